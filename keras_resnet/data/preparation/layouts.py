"""The images of ImageNet and their labels, as people have them: archives, class folders, or Kaggle's tree.

Nothing is unpacked, and nothing passed over in silence but hidden files: what is in the wrong place is refused.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from keras_resnet.data.preparation.labels import DEVKIT, SOLUTION, naming_archive, read_labels
from keras_resnet.data.preparation.plan import Entry
from keras_resnet.host.files import special_file
from keras_resnet.host.texts import check_names

TRAIN_TAR, VALIDATION_TAR = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
KAGGLE = Path("ILSVRC", "Data", "CLS-LOC")
PADDING = 2**20
"""The most bytes that are taken for what fills the last block of an archive."""
TOLD = 100
"""Classes between two lines of progress."""

Tell = Callable[[str], None]


class File(NamedTuple):
    """An image: its name, the file that holds it, and where in it."""

    name: str
    file: str
    offset: int
    size: int


ByClass = dict[str, list[File]]


def read_source(source: Path, tell: Tell = lambda line: None) -> tuple[tuple[str, ...], dict[str, list[Entry]]]:
    """Class names, sorted, and the images of both splits.

    Args:
        source: A directory in one of the layouts.
        tell: Told of what takes long.

    Raises:
        ValueError: saying what is missing, or wrong.
        OSError: if something cannot be read.
    """
    if not source.is_dir() or not any(source.iterdir()):
        raise ValueError(f"`source` must be a directory with ImageNet in it. Missing or empty: {source}")
    train, validation = list_archives(source, tell) if has_archives(source) else list_folders(source, tell)
    class_names = tuple(sorted(train))
    if empty := [name for name in class_names if not train[name]] or ([] if train else ["every class"]):
        raise ValueError(
            f"The training split has no images of {empty[0]}. Complete it, or remove that folder or archive"
        )
    check_names(class_names, str(source))
    if unknown := sorted(set(validation) - set(train)):
        raise ValueError(f"The validation split has classes that the training split has not: {', '.join(unknown[:5])}")
    if not any(validation.values()):
        raise ValueError(f"The validation split in {source} has no images")
    return class_names, {
        split: [
            Entry(file.name, label, *file[1:]) for label, name in enumerate(class_names) for file in files.get(name, [])
        ]
        for split, files in (("train", train), ("validation", validation))
    }


def has_archives(source: Path) -> bool:
    """Whether the source has the archives.

    Raises:
        ValueError: if it has one without the other.
    """
    missing = [name for name in (TRAIN_TAR, VALIDATION_TAR) if not (source / name).is_file()]
    if len(missing) == 1:
        raise ValueError(f"{source} lacks {missing[0]}, which is beside the other archive on image-net.org")
    return not missing


def list_archives(source: Path, tell: Tell) -> tuple[ByClass, ByClass]:
    """The images of each class in both archives, which stay as they are."""
    labels = read_labels(source, f"{source / VALIDATION_TAR} has no labels in it")
    # The smaller one first: what is wrong with it shows at once.
    tell(f"reading the contents of {source / VALIDATION_TAR}")
    with naming_archive(source / VALIDATION_TAR), tarfile.open(source / VALIDATION_TAR, "r:") as archive:
        validation = by_label(members(archive, source / VALIDATION_TAR), labels)
    return list_classes(source / TRAIN_TAR, tell), validation


def list_classes(file: Path, tell: Tell) -> ByClass:
    """The images in an archive of archives, one for each class."""
    tell(f"reading the contents of {file}, from its beginning to its end: minutes, or more from a slow disk")
    found: ByClass = {}
    with naming_archive(file), tarfile.open(file, "r:") as outer:
        for member in plain_members(outer):
            path = Path(member.name)
            if path.suffix != ".tar" or path.stem in found:
                raise ValueError(f"{file} must hold one archive for each class (n01440764.tar, …). It holds {path}")
            with tarfile.open(fileobj=outer.extractfile(member), mode="r:") as inner:
                found[path.stem] = list(members(inner, file, member.offset_data))
            if len(found) % TOLD == 0:
                tell(f"{len(found):,} classes, {sum(map(len, found.values())):,} images")
        check_end(outer)
    return found


def members(archive: tarfile.TarFile, file: Path, start: int = 0) -> Iterator[File]:
    """The files in an archive, which begins at an offset of a file."""
    for member in plain_members(archive):
        yield File(Path(member.name).name, str(file), start + member.offset_data, member.size)
    check_end(archive)


def plain_members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The files of an archive but hidden ones, such as those that macOS adds."""
    return (member for member in archive if member.isfile() and Path(member.name).name[0] != ".")


def check_end(archive: tarfile.TarFile) -> None:
    """Refuses an archive that ends without its end mark, or long after it.

    `tarfile` takes the end of the file for the end of the archive if a download broke off between two members, and
    zeros, which a download that was given its full size beforehand has not filled yet.

    Raises:
        tarfile.ReadError: if it does.
    """
    stream = archive.fileobj
    stream.seek(archive.offset)
    if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("it ends without a mark of its end")
    rest = stream.seek(0, os.SEEK_END) - archive.offset
    if rest > PADDING:
        raise tarfile.ReadError(f"{rest:,} bytes come after its end")


def list_folders(source: Path, tell: Tell) -> tuple[ByClass, ByClass]:
    """The images of each class in class folders; the validation images may lie together."""
    root = source / KAGGLE if (source / KAGGLE).is_dir() else source
    train = root / "train"
    validation = next((root / name for name in ("validation", "val") if (root / name).is_dir()), None)
    if not train.is_dir() and validation is None:
        raise ValueError(f"{source} holds neither {TRAIN_TAR}, nor train/CLASS/*, nor {KAGGLE}")
    if not train.is_dir() or validation is None:
        raise ValueError(f"{root} lacks the split {'train' if validation else 'validation (or val)'}")
    # The smaller one first: what is wrong with it shows at once.
    folders, loose = class_folders(validation, tell)
    if loose and folders:
        raise ValueError(f"{validation} holds class folders and, beside them, {loose[0].name}. Move it away")
    if loose:
        folders = by_label(loose, read_labels(source, f"{validation} has no class folders"))
    trained, loose = class_folders(train, tell)
    if loose:
        raise ValueError(f"{train} must hold a folder for each class. It holds {loose[0].name}: unpack or move it away")
    return trained, folders


def class_folders(directory: Path, tell: Tell) -> tuple[ByClass, list[File]]:
    """The files in each folder of a directory, and those beside the folders."""
    tell(f"reading the contents of {directory}")
    folders, loose = entries_in(directory)
    found: ByClass = {}
    for folder in folders:
        below, files = entries_in(folder)
        if below:
            raise ValueError(f"{folder} must hold the images of its class. It holds the folder {below[0].name}")
        found[folder.name] = files
        if len(found) % TOLD == 0:
            tell(f"{len(found):,} classes, {sum(map(len, found.values())):,} images")
    return found, loose


def entries_in(folder: Path) -> tuple[list[Path], list[File]]:
    """Folders and files, but hidden ones: whether the files are images, their content decides."""
    folders, files = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name[0] == ".":
                continue
            if entry.is_dir():
                folders.append(Path(entry.path))
                continue
            try:
                status = entry.stat()
            except FileNotFoundError as error:
                raise ValueError(f"{entry.path} is a link to a file that is missing. Repair or remove it") from error
            if not stat.S_ISREG(status.st_mode):
                raise ValueError(f"{entry.path} is {special_file(status.st_mode)}, not a file. Remove it")
            files.append(File(entry.name, entry.path, 0, status.st_size))
    return folders, files


def by_label(files: Iterable[File], labels: dict[str, str]) -> ByClass:
    """Images that lie together, by class."""
    found: ByClass = {}
    for file in files:
        name = Path(file.name).stem
        if name not in labels:
            raise ValueError(
                f"The labels of the validation images say nothing of {file.name}. Are {DEVKIT} or {SOLUTION}, and the "
                "images, of ILSVRC2012?"
            )
        found.setdefault(labels[name], []).append(file)
    return found

"""Files that cannot be written, or would replace others, are refused before anything takes long."""

from __future__ import annotations

import pytest

from keras_resnet.host import outputs


def test_a_directory_that_is_a_file_or_below_one_is_refused(tmp_path):
    file = tmp_path / "file"
    file.touch()
    for directory in (file, file / "below" / "it"):
        with pytest.raises(NotADirectoryError) as told:
            outputs.check_directory(directory)
        assert str(told.value) == f"{file} is a file. Choose another `output`"
    outputs.check_directory(tmp_path)
    outputs.check_directory(tmp_path / "new" / "deep")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_files_are_replaced_only_when_asked(tmp_path):
    one, two, new = (tmp_path / name for name in ("one", "two", "new"))
    one.touch()
    outputs.check_vacant([new], overwrite=False)
    with pytest.raises(FileExistsError, match="one is there already. Choose another `output`, or replace it with"):
        outputs.check_vacant([one, new], overwrite=False)
    two.mkdir()
    with pytest.raises(FileExistsError) as told:
        outputs.check_vacant([one, two], overwrite=False, argument="page")
    remedy = "Choose another `page`, or replace them with `overwrite=True`"
    assert str(told.value) == f"{one}, {two} are there already. {remedy}"
    outputs.check_vacant([one, two], overwrite=True)


def test_a_file_that_cannot_be_is_refused(tmp_path):
    check = outputs.check_file
    check(tmp_path / "a.csv", overwrite=False, suffixes=(".csv", ".md"))
    with pytest.raises(ValueError, match="`output` must end in one of .csv, .md. Received: .*a.txt"):
        check(tmp_path / "a.txt", overwrite=False, suffixes=(".csv", ".md"))
    with pytest.raises(ValueError, match="`page` must end in .md with a rule. Received: "):
        check(tmp_path / "a.txt", overwrite=True, argument="page", suffixes=(".md",), rule="with a rule")
    with pytest.raises(FileNotFoundError, match="There is no directory .*no. Make it, or choose another `output`"):
        check(tmp_path / "no" / "a.csv", overwrite=True)
    with pytest.raises(IsADirectoryError, match="is a directory. Choose another `output`"):
        check(tmp_path, overwrite=True)
    (tmp_path / "a.csv").touch()
    with pytest.raises(NotADirectoryError, match="a.csv is a file"):
        check(tmp_path / "a.csv" / "b.csv", overwrite=True)
    with pytest.raises(FileExistsError, match="a.csv is there already"):
        check(tmp_path / "a.csv", overwrite=False)
    check(tmp_path / "a.csv", overwrite=True)


def test_a_folder_of_something_else_is_not_replaced(tmp_path):
    folder = tmp_path / "folder"
    outputs.check_folder_of(folder, "mark")
    folder.mkdir()
    with pytest.raises(FileExistsError, match="folder has no mark, and is not replaced. Choose another `output`"):
        outputs.check_folder_of(folder, "mark")
    (folder / "mark").touch()
    outputs.check_folder_of(folder, "mark")
    with pytest.raises(FileNotFoundError, match="There is no directory"):
        outputs.check_folder_of(folder / "no" / "deep", "mark")

"""The identity of the images of a run, `data.json`: how many there are of which class, and digests of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from keras_resnet.runs.results import COUNT, TEXT, TEXTS, Key, Rules, Values, or_null

NAMED = 5
"""Classes that a line names."""

SPLIT: Rules = {
    "images": COUNT,
    "digest": TEXT,
    "images_by_class": Key("a list of whole numbers", lambda value: _is_list(value, int)),
    "digests_by_class": TEXTS,
    "first_by_class": TEXTS,
    "manifest": or_null(TEXT),
}
"""Of a split; lists are in the order of the classes. A manifest is one beside the files, with their checksums."""

IDENTITY: Rules = {
    "class_names": TEXTS,
    "splits": Key(
        "an object that has `train`", lambda value: isinstance(value, dict) and "train" in value, True, SPLIT
    ),
}
"""`data.json`."""


def _is_list(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(type(one) is kind for one in value)


def differences(before: Values, now: Values) -> list[str]:
    """The changes from the images of a run to others, a line for each kind of them; none between the same.

    Args:
        before: What `IDENTITY` rules.
        now: The same.
    """
    old, new = before["class_names"], now["class_names"]
    lines = []
    if old != new:
        gone, added = (sorted(set(some) - set(others)) for some, others in ((old, new), (new, old)))
        lines += [f"classes that are gone: {_listed(gone)}"] * bool(gone)
        lines += [f"classes that are new: {_listed(added)}"] * bool(added)
        lines += ["the classes have another order"] * (not gone and not added)
    for name in {**before["splits"], **now["splits"]}:
        parts = [identity["splits"].get(name) for identity in (before, now)]
        if None in parts:
            lines.append(f"{name}: {_amount(parts[0])} -> {_amount(parts[1])}")
        else:
            lines += [f"{name}: {line}" for line in _of_split(old, parts[0], new, parts[1])]
    return lines


def _of_split(old: list[str], before: Values, new: list[str], now: Values) -> list[str]:
    """The changes of a split: its number of images, classes that are exchanged, and classes with other images."""
    if before["digest"] == now["digest"]:
        manifests = before["manifest"], now["manifest"]
        return ["other files, says their manifest"] if None not in manifests and manifests[0] != manifests[1] else []
    lines = []
    if change := now["images"] - before["images"]:
        counts = f"{before['images']:,} -> {now['images']:,}"
        lines.append(f"{abs(change):,} image{'s' * (abs(change) > 1)} {'more' if change > 0 else 'fewer'} ({counts})")
    was, is_now = _by_class(old, before), _by_class(new, now)
    other = [name for name in was if name in is_now and was[name] != is_now[name]]
    swapped = [pair for pair in itertools.combinations(other, 2) if _are_swapped(pair, was, is_now)]
    lines += [f"the classes {' and '.join(pair)} are swapped" for pair in swapped]
    if rest := [name for name in other if not any(name in pair for pair in swapped)]:
        lines.append(f"other images in {_listed(_counted(name, was[name], is_now[name]) for name in rest)}")
    return lines or ["the same images in another order"]


@dataclass(frozen=True)
class Class:
    """The images of a class in a split."""

    images: int
    digest: str
    first: str

    def resembles(self, other: Class) -> bool:
        """Whether these are the images of the other, or most of them."""
        return (self.images > 0 and self.digest == other.digest) or (self.first != "" and self.first == other.first)


def _by_class(class_names: list[str], split: Values) -> dict[str, Class]:
    """The classes by their names; of several with one name, the last."""
    facts = (split["images_by_class"], split["digests_by_class"], split["first_by_class"])
    return dict(zip(class_names, map(Class, *facts), strict=False))


def _are_swapped(pair: tuple[str, str], before: Mapping[str, Class], now: Mapping[str, Class]) -> bool:
    one, another = pair
    crossed = before[one].resembles(now[another]) and before[another].resembles(now[one])
    return crossed and not before[one].resembles(now[one])


def _counted(name: str, before: Class, now: Class) -> str:
    return name if before.images == now.images else f"{name} ({before.images:,} -> {now.images:,})"


def _amount(split: Values | None) -> str:
    return "absent" if split is None else f"{split['images']:,} images"


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")

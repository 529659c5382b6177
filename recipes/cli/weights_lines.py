"""Lines for a person about weights that were found: what they are, and what was assumed of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet.facts.network_spec import SHAPELESS
from keras_resnet.host.texts import readable

if TYPE_CHECKING:
    from keras_resnet.weights.arrays import Weights


def description(path: Path, found: Weights) -> list[str]:
    """What was found, in a line, and lines for what was chosen and what was assumed."""
    spec, checkpoint = found.metadata.spec, found.checkpoint
    name = f"{'ResNet' if spec.shortcut else 'plain network'}-{spec.depth}"
    parts = [f"shortcut {spec.shortcut}"] * bool(spec.shortcut) + [f"{spec.classes} classes"] * bool(spec.classes)
    parts += [f"{spec.channels} channel{'s' * (spec.channels > 1)}"] * (spec.channels != 3)
    said = readable(f"{path}: {found.layout or 'ours'}, {name}, {', '.join(parts)}, images by {sees(found)}")
    lines = [said]
    if checkpoint and checkpoint.architecture:
        lines.append(readable(f"called    {checkpoint.architecture} by the program that wrote it"))
    if checkpoint and checkpoint.others:
        lines.append(readable(f"taken     {checkpoint.entry}, and not {', '.join(checkpoint.others)} (--entry)"))
    values = {"preprocessing": found.metadata.preprocessing} | {each: getattr(spec, each) for each in SHAPELESS}
    if assumed := [f"{each} {values[each]}" for each in values if each in found.assumed and values[each] is not None]:
        habits = f"as {found.layout} has it: weights alone do not tell"
        lines.append(f"assumed   {', '.join(assumed)}, {habits}")
    return lines


def sees(found: Weights) -> str:
    """How images are normalized for the network."""
    if found.metadata.preprocessing is not None:
        return found.metadata.preprocessing
    if found.preprocessing is not None:
        mean, deviation = (
            " ".join(f"{value:.6g}" for value in values)
            for values in (found.preprocessing.mean, found.preprocessing.deviation)
        )
        return f"mean {mean} and deviation {deviation}, which the output does not keep"
    return "a normalization that is not known" if found.layout else "its own normalization"

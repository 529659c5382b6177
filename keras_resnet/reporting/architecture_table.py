"""Table 1 and the table of Section 4.2 as plain text, with the exact size of each network below.

Reference:
    He et al., 2015, Table 1 and Section 4.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from keras_resnet.facts import architectures, paper
from keras_resnet.facts.architectures import Architecture, BottleneckStride, Counts, Shortcut

Row = list[str]
"""The cells of a row, from left to right; a line break inside a cell starts a new line of the cell."""

GAP = "  "
"""What stands between two columns."""

NETWORKS_ABREAST = 5
"""More networks than these start another table below, so that the lines stay below 140 characters."""


@dataclass(frozen=True)
class Column:
    """One network of a table. `built` holds the weights of the Keras model, if it was built, and no multiply-adds."""

    architecture: Architecture
    shortcut: Shortcut
    bottleneck_stride: BottleneckStride = "1x1"
    built: Counts | None = None

    @property
    def title(self) -> str:
        """The paper's name of the network, with its shortcut."""
        depth = self.architecture.depth
        return f"ResNet-{depth} {self.shortcut}" if self.shortcut else f"plain-{depth}"

    @property
    def counts(self) -> Counts:
        """The size of the network by arithmetic."""
        return architectures.count(self.architecture, shortcut=self.shortcut, bottleneck_stride=self.bottleneck_stride)

    @property
    def agrees(self) -> bool:
        """Whether the built network, if there is one, has as many weights of each kind as the arithmetic says."""
        counts, built = self.counts, self.built
        return built is None or (built.trainable, built.non_trainable) == (counts.trainable, counts.non_trainable)


def table(columns: Sequence[Column]) -> str:
    """The networks of one family side by side, as text.

    Args:
        columns: The networks; all of ImageNet (Table 1) or all of CIFAR (Section 4.2).
    """
    rows = imagenet_rows if columns[0].architecture.stem.pool else cifar_rows
    tables = []
    for start in range(0, len(columns), NETWORKS_ABREAST):
        abreast = columns[start : start + NETWORKS_ABREAST]
        heading, *drawing = rows(abreast)
        tables.append(align([[heading], drawing], [list(size_rows(abreast)), list(built_rows(abreast))]))
    return "\n\n".join(tables)


def imagenet_rows(columns: Sequence[Column]) -> Iterator[Row]:
    """Table 1: a row for each stage, a cell for the blocks of each network."""
    first = columns[0].architecture
    size = map_sizes(first)
    stem = first.stem
    conv1 = f"{stem.kernel}x{stem.kernel}, {stem.filters}, stride {stem.strides}"
    yield ["layer", "output", *(column.title for column in columns)]
    yield ["conv1", size["conv1"], *[conv1] * len(columns)]
    yield ["pool1", size["conv2"], *["3x3 max, stride 2"] * len(columns)]
    for index in range(len(first.blocks)):
        cells = (blocks_in_brackets(column.architecture, index) for column in columns)
        yield [f"conv{index + 2}_x", size[f"conv{index + 2}"], *cells]
    yield ["", "1x1", *(f"average pool\n{column.architecture.classes}-d fc, softmax" for column in columns)]


def cifar_rows(columns: Sequence[Column]) -> Iterator[Row]:
    """The table of Section 4.2: a row for each map size, a cell for the number of layers of each network."""
    first = columns[0].architecture
    size = map_sizes(first)
    yield ["output map size", "# filters", *(column.title for column in columns)]
    for index, filters in enumerate(first.filters):
        layers = (2 * column.architecture.blocks[index] for column in columns)
        cells = (f"{'1+' if index == 0 else ''}{n} layers" for n in layers)
        yield [size[f"conv{index + 2}"], str(filters), *cells]
    yield ["1x1", "", *(f"average pool\n{column.architecture.classes}-d fc, softmax" for column in columns)]


def size_rows(columns: Sequence[Column]) -> Iterator[Row]:
    """The exact size of each network, and what the paper prints of it."""
    counts = [column.counts for column in columns]
    if any(column.architecture.block == "bottleneck" for column in columns):
        yield ["stride of bottleneck", "", *(stride_of_bottleneck(column) for column in columns)]
    yield ["multiply-adds", "", *(f"{count.multiply_adds:,}" for count in counts)]
    if columns[0].architecture.stem.pool:
        yield ["  as in Table 1", "", *(printed_multiply_adds(column) for column in columns)]
    yield ["trainable weights", "", *(f"{count.trainable:,}" for count in counts)]
    if not columns[0].architecture.stem.pool:
        yield ["  as in Table 6", "", *(printed_parameters(column) for column in columns)]
    yield ["batch statistics", "", *(f"{count.non_trainable:,}" for count in counts)]


def built_rows(columns: Sequence[Column]) -> Iterator[Row]:
    """The weights of the Keras models, and whether they are those of the arithmetic; nothing if they were not built."""
    built = [column.built for column in columns if column.built]
    if len(built) == len(columns):
        yield ["built: trainable", "", *(f"{count.trainable:,}" for count in built)]
        yield ["built: statistics", "", *(f"{count.non_trainable:,}" for count in built)]
        yield ["built is", "", *("equal" if column.agrees else "DIFFERENT" for column in columns)]


def map_sizes(architecture: Architecture) -> dict[str, str]:
    """Height and width of the output of conv1 and of each stage, by the first word of their layers' names."""
    return {layer.name.split("_")[0]: f"{layer.height}x{layer.width}" for layer in architectures.layers(architecture)}


def blocks_in_brackets(architecture: Architecture, index: int) -> str:
    """The blocks of a stage as Table 1 writes them: one line for each convolution, in brackets, times the blocks."""
    path = architectures.convolutions(architecture.block, architecture.filters[index], strides=1)
    inside = [f"{kernel}x{kernel}, {filters}" for kernel, _, filters in path]
    width = max(map(len, inside))
    lines = [f"[{line:{width}}]" for line in inside]
    lines[(len(lines) - 1) // 2] += f" x {architecture.blocks[index]}"
    return "\n".join(lines)


def stride_of_bottleneck(column: Column) -> str:
    """The convolution that has the stride; empty for basic blocks, whose first one always has it."""
    return f"in the {column.bottleneck_stride}" if column.architecture.block == "bottleneck" else ""


def printed_multiply_adds(column: Column) -> str:
    """Table 1's "FLOPs"; empty where the paper means another network."""
    bottleneck = column.architecture.block == "bottleneck"
    options = ("B",) if bottleneck else (None, "A", "B")
    if column.shortcut not in options or (bottleneck and column.bottleneck_stride != "1x1"):
        return ""
    return f"{paper.MULTIPLY_ADDS[column.architecture.depth] / 1e9:.1f} x 10^9"


def printed_parameters(column: Column) -> str:
    """Table 6's "# params"; empty for networks that are not in it."""
    for row in paper.TABLE_6.rows:
        if (row.depth, row.shortcut) == (column.architecture.depth, column.shortcut) and row.parameters:
            return f"{row.parameters / 1e6:.2g}M" if row.parameters < 10e6 else f"{row.parameters / 1e6:.1f}M"
    return ""


def align(words: Sequence[list[Row]], numbers: Sequence[list[Row]]) -> str:
    """Sections of rows as text, with aligned columns and a line between two sections.

    Args:
        words: Sections whose cells stand to the left.
        numbers: Sections whose cells stand to the right, below the words; their first cells are labels and stay left.
    """
    cells_of_columns = zip(*(row for section in (*words, *numbers) for row in section), strict=True)
    widths = [max(len(line) for cell in cells for line in cell.split("\n")) for cells in cells_of_columns]
    rule = "-" * (sum(widths) + len(GAP) * (len(widths) - 1))
    left = [["\n".join(lines(row, widths, str.ljust)) for row in section] for section in words]
    right = [["\n".join(lines(row, widths, str.rjust)) for row in section] for section in numbers]
    return f"\n{rule}\n".join("\n".join(section) for section in (*left, *right) if section)


def lines(row: Row, widths: list[int], justify: Callable[[str, int], str]) -> Iterator[str]:
    """The lines of a row: as many as its tallest cell has."""
    for parts in zip_longest(*(cell.split("\n") for cell in row), fillvalue=""):
        label = parts[0].ljust(widths[0])
        yield GAP.join([label, *map(justify, parts[1:], widths[1:])]).rstrip()

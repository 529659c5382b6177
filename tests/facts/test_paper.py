"""The printed numbers against the arithmetic, and against each other where the paper prints one twice."""

from __future__ import annotations

import pytest

from keras_resnet.facts import architectures, paper

OURS = [(table, row) for table in (*paper.TABLES.values(), paper.CENTER_CROP) for row in table.rows if row.depth]


@pytest.mark.parametrize(
    ("depth", "shortcut"),
    [(18, None), (18, "A"), (18, "B"), (34, None), (34, "A"), (34, "B"), (50, "B"), (101, "B"), (152, "B")],
)
def test_table_1_is_the_exact_count_to_its_last_digit(depth, shortcut):
    exact = architectures.count(architectures.imagenet(depth), shortcut=shortcut).multiply_adds
    # Cut or rounded: the paper does both, and each stays within one unit of the digit it prints.
    assert abs(exact - paper.MULTIPLY_ADDS[depth]) < 0.1e9


@pytest.mark.parametrize("row", [row for row in paper.TABLE_6.rows if row.depth], ids=lambda row: row.name)
def test_table_6_prints_the_exact_parameters_rounded(row):
    exact = architectures.count(architectures.cifar(row.depth), shortcut=row.shortcut).trainable
    last_digit = 0.01e6 if row.parameters < 1e6 else 0.1e6
    assert abs(exact - row.parameters) <= last_digit / 2


@pytest.mark.parametrize(("table", "row"), OURS, ids=[f"table {table.number} {row.name}" for table, row in OURS])
def test_every_row_of_ours_names_a_network_that_exists(table, row):
    (architectures.cifar if "CIFAR" in table.split else architectures.imagenet)(row.depth)
    assert row.shortcut in architectures.SHORTCUTS
    assert str(row.depth) in row.name
    assert row.name.startswith("plain") == (row.shortcut is None)


def test_what_is_printed_twice_agrees():
    table_3 = {(row.depth, row.shortcut): row.top1 for row in paper.TABLE_3.rows if row.depth}
    shared = [row for row in paper.TABLE_2.rows if (row.depth, row.shortcut) in table_3]
    assert [row.name for row in shared] == ["plain-34", "ResNet-34"]
    assert all(row.top1 == table_3[row.depth, row.shortcut] for row in shared)


def test_more_views_and_more_depth_lower_the_error():
    crop, ten, scales = (
        {row.depth: row for row in table.rows if row.depth and row.depth >= 50}
        for table in (paper.CENTER_CROP, paper.TABLE_3, paper.TABLE_4)
    )
    for depth in (50, 101, 152):
        assert crop[depth].top1 > ten[depth].top1 > scales[depth].top1
        assert crop[depth].top5 > ten[depth].top5 > scales[depth].top5
    for table in (crop, ten, scales):
        assert table[50].top1 > table[101].top1 > table[152].top1


def test_top5_is_below_top1():
    rows = [row for table in paper.TABLES.values() for row in table.rows if row.top1 and row.top5]
    assert len(rows) == 17
    assert all(row.top5 < row.top1 for row in rows)


@pytest.mark.parametrize("figure", paper.FIGURES.values(), ids=lambda figure: f"figure {figure.number}")
def test_figures_draw_networks_that_exist(figure):
    build = architectures.imagenet if "ImageNet" in figure.draws else architectures.cifar
    assert [build(depth).depth for depth, _ in figure.networks] == [depth for depth, _ in figure.networks]
    assert all(shortcut in architectures.SHORTCUTS for _, shortcut in figure.networks)


def test_protocols():
    assert paper.CIFAR_PROTOCOL.boundaries == (32_000, 48_000)
    # 64,000 iterations of 128 images are the 164 epochs of 50,000 that the ports of the paper train for.
    assert round(paper.CIFAR_PROTOCOL.iterations * paper.CIFAR_PROTOCOL.global_batch_size / 50_000) == 164
    assert round(paper.IMAGENET_PROTOCOL.iterations * paper.IMAGENET_PROTOCOL.global_batch_size / 1_281_167) == 120

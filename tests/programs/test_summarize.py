"""The printed tables: read back as a person would, and the command around them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import summarize
from keras_resnet.facts import architectures
from keras_resnet.facts.architectures import Counts
from keras_resnet.reporting.architecture_table import Column, table
from tiers import slow

SUMMARIZE = Path(__file__).parents[2] / "recipes" / "summarize.py"


def column(depth, shortcut="B", **options):
    return Column(summarize.architecture(depth), shortcut, **options)


def line(text, label):
    [found] = [line for line in text.splitlines() if line.strip().startswith(label)]
    return found.strip().removeprefix(label).split()


def printed(capsys, *arguments):
    code = summarize.main([*arguments, "--no-built"])
    return code, capsys.readouterr().out


def test_the_default_is_table_1(capsys):
    code, text = printed(capsys)
    assert code == 0
    header = text.splitlines()[0].split()
    assert header[2:] == ["ResNet-18", "B", "ResNet-34", "B", "ResNet-50", "B", "ResNet-101", "B", "ResNet-152", "B"]
    multiply_adds = ["1,814,073,344", "3,663,761,408", "3,857,973,248", "7,570,194,432", "11,282,415,616"]
    assert line(text, "multiply-adds") == multiply_adds
    assert line(text, "trainable weights")[1:3] == ["21,797,672", "25,557,032"]
    assert line(text, "batch statistics")[1:3] == ["17,024", "53,120"]
    as_printed = "".join(line(text, "as in Table 1"))
    assert as_printed == "1.8x10^93.6x10^93.8x10^97.6x10^911.3x10^9"
    assert max(map(len, text.splitlines())) <= 140


def test_blocks_stand_in_brackets_as_in_table_1(capsys):
    _, text = printed(capsys, "34", "50")
    lines = text.splitlines()
    [conv4] = [i for i, line in enumerate(lines) if line.startswith("conv4_x")]
    left = lines[conv4].index("[3x3")
    right = lines[conv4].index("[1x1")
    assert [lines[i][left:right].strip() for i in (conv4, conv4 + 1, conv4 + 2)] == ["[3x3, 256] x 6", "[3x3, 256]", ""]
    bottleneck = ["[1x1, 256 ]", "[3x3, 256 ] x 6", "[1x1, 1024]"]
    assert [lines[i][right:] for i in (conv4, conv4 + 1, conv4 + 2)] == bottleneck


def test_map_sizes_shrink_as_in_table_1(capsys):
    _, text = printed(capsys, "18")
    sizes = {words[0]: words[1] for words in map(str.split, text.splitlines()) if words and "conv" in words[0]}
    assert list(sizes.values()) == ["112x112", "56x56", "28x28", "14x14", "7x7"]


def test_shortcuts_stand_side_by_side(capsys):
    _, text = printed(capsys, "34", "--shortcut", "A", "B", "C", "None")
    assert text.splitlines()[0].split()[2:] == ["ResNet-34", "A", "ResNet-34", "B", "ResNet-34", "C", "plain-34"]
    assert line(text, "trainable weights") == ["21,623,848", "21,797,672", "22,716,840", "21,623,848"]
    # Table 1 does not mean the network with projections everywhere.
    assert line(text, "as in Table 1") == ["3.6", "x", "10^9"] * 3


def test_stride_of_the_bottleneck(capsys):
    _, text = printed(capsys, "50", "--bottleneck-stride", "3x3")
    assert line(text, "stride of bottleneck") == ["in", "the", "3x3"]
    assert line(text, "multiply-adds") == ["4,089,184,256"]
    assert line(text, "as in Table 1") == []


def test_cifar_is_the_table_of_section_4_2(capsys):
    _, text = printed(capsys, "20", "1202")
    lines = text.splitlines()
    assert lines[0].split() == ["output", "map", "size", "#", "filters", "ResNet-20", "A", "ResNet-1202", "A"]
    assert lines[2].split() == ["32x32", "16", "1+6", "layers", "1+400", "layers"]
    assert lines[3].split() == ["16x16", "32", "6", "layers", "400", "layers"]
    assert lines[4].split() == ["8x8", "64", "6", "layers", "400", "layers"]
    assert line(text, "trainable weights") == ["269,722", "19,421,274"]
    assert line(text, "as in Table 6") == ["0.27M", "19.4M"]


def test_table_6_prints_parameters_of_its_own_networks_only():
    columns = [column(20, "A"), column(20, "C"), column(26, "A"), column(110, "A")]
    assert line(table(columns), "as in Table 6") == ["0.27M", "1.7M"]


def test_families_do_not_mix(capsys):
    _, text = printed(capsys, "20", "18")
    imagenet, cifar = text.split("\n\n")
    assert "ResNet-18 B" in imagenet
    assert "ResNet-20 A" in cifar


def test_more_networks_than_fit_start_another_table(capsys):
    _, text = printed(capsys, "20", "32", "44", "56", "110", "1202")
    first, second = text.split("\n\n")
    assert "ResNet-110 A" in first
    assert "ResNet-1202 A" in second


def test_the_last_digits_stand_below_each_other(capsys):
    _, text = printed(capsys, "34")
    counts = [line for line in text.splitlines() if line[-4:-3] == ","]
    assert len(counts) == 3
    assert len(set(map(len, counts))) == 1


def test_a_built_network_is_equal_or_different():
    exact = architectures.count(architectures.cifar(8), shortcut="A")
    built = Counts(exact.trainable, exact.non_trainable, 0)
    assert line(table([column(8, "A", built=built)]), "built is") == ["equal"]
    for wrong in (replace(built, trainable=1), replace(built, non_trainable=1)):
        wrong_column = column(8, "A", built=wrong)
        assert line(table([wrong_column]), "built is") == ["DIFFERENT"]
        assert not wrong_column.agrees


def test_a_network_that_is_built_wrongly_ends_with_1(capsys, monkeypatch):
    monkeypatch.setattr(summarize, "built_counts", lambda column: Counts(1, 2, 0))
    assert summarize.main(["8"]) == 1
    assert line(capsys.readouterr().out, "built is") == ["DIFFERENT"]


@pytest.mark.parametrize("shortcut", ["B", *slow(["A", "C", "None"])])
def test_the_built_network_is_equal(capsys, shortcut):
    assert summarize.main(["8", "18", "--shortcut", shortcut]) == 0
    assert capsys.readouterr().out.count("equal") == 2


@pytest.mark.slow
def test_every_network_of_the_paper_is_built_equal(capsys):
    depths = ["18", "34", "50", "101", "152", "20", "32", "44", "56", "110", "1202"]
    assert summarize.main(depths) == 0
    assert capsys.readouterr().out.count("equal") == len(depths)


@pytest.mark.parametrize("depth", ["21", "0", "-20", "2"])
def test_a_depth_that_does_not_exist(capsys, depth):
    assert summarize.main(["--", depth]) == 2
    assert capsys.readouterr().err == (
        "error: `depth` must be one of 18, 34, 50, 101, 152 (ImageNet) or 6n+2 "
        f"(CIFAR: 20, 32, 44, 56, 110, 1202, …). Received: depth={depth}\n"
    )


@pytest.mark.parametrize("arguments", [["20.0"], ["twenty"], ["20", "--shortcut", "D"], ["--deep"]])
def test_a_wrong_command_line(capsys, arguments):
    with pytest.raises(SystemExit) as end:
        summarize.main(arguments)
    assert end.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_the_arithmetic_imports_no_framework():
    code = f"""
import sys
sys.path.insert(0, {str(SUMMARIZE.parent)!r})
import summarize
summarize.main(["50", "--no-built"])
print(sorted({{"keras", "tensorflow", "numpy"}} & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"

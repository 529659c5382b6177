"""`recipes/benchmark.py input`: what it says of measurements, and that it measures real photographs."""

from __future__ import annotations

import contextlib
import pickle
import re
import time
from importlib.util import find_spec

import numpy as np
import pytest

import benchmark
from benchmarks import grain_input, input_file, interleaved
from benchmarks.baselines import AREA, ASPECT_RATIO, DECODERS, Pictures
from benchmarks.input_speed import NETWORK, REMEDIES, WHOLE, slowest, table, verdict
from commands import status
from split_in_memory import pictures

STAGES = {"read": 8000.0, "decode": 1000.0, "augment": 800.0, WHOLE: 750.0}


def said(network: float, *, shared: bool = False, **changes: float) -> str:
    return "\n".join(verdict({**STAGES, **changes, NETWORK: network}, cores=8, shared=shared))


def test_an_input_that_is_fast_enough_is_left_alone():
    assert said(600.0) == "750 images/s come, and the network takes 600: not input-bound, leave the input as it is"


def test_a_slow_input_is_named_with_how_long_the_devices_wait_and_what_to_change():
    told = said(1500.0)
    assert "750 images/s come, and the network takes 1,500: input-bound, and the devices wait 50% of the time" in told
    assert f"most of the input's time is: decode\nto change it, {REMEDIES['decode']}; or have 20 cores instead" in told


def test_an_input_that_is_hardly_fast_enough_is_told():
    assert "about to be input-bound. What takes" in said(700.0)


def test_on_a_shared_processor_the_times_add_up():
    assert "the input takes 1% of the time\nnot input-bound" in said(7.5, shared=True)
    assert "the input takes 50% of the time\ninput-bound in part" in said(750.0, shared=True)


@pytest.mark.parametrize(
    ("speeds", "stage"),
    [
        ({"read": 900.0, "decode": 850.0, "augment": 800.0}, "read"),
        ({}, "decode"),
        ({"augment": 400.0, WHOLE: 390.0}, "augment"),
        ({WHOLE: 300.0}, "batch"),
    ],
)
def test_the_stage_that_adds_most_is_the_slowest(speeds, stage):
    assert slowest({**STAGES, **speeds, NETWORK: 1.0}) == stage
    assert stage in REMEDIES


def test_images_in_memory_have_no_stages():
    assert slowest({WHOLE: 60_000.0, NETWORK: 1000.0}) == "batch"


def test_the_table_adds_up():
    rows = table({**STAGES, NETWORK: 100.0}, cores=2).splitlines()[1:-1]
    added = [float(row.split()[-1]) for row in rows]
    assert sum(added) == pytest.approx(1000 * 2 / STAGES[WHOLE], abs=0.002)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["imagenet-resnet51"], "is no recipe. Did you mean 'imagenet-resnet50'?"),
        (["--rounds", "0"], "`rounds` must be at least 1. Received: rounds=0 (--rounds)"),
        (
            ["digits-resnet8", "--run.strategy", "multi_worker"],
            "`strategy` must be one_device or mirrored",
        ),
        ([], "must be the directory of ImageNet's files"),
    ],
)
def test_a_bad_command_line_is_refused(words, told, capsys):
    assert status(benchmark.main, "input", *words) == 2
    assert told in capsys.readouterr().err


def test_the_crops_of_the_baseline_are_those_of_torchvision():
    pytest.importorskip("torch", reason="the baseline is a DataLoader of torch")
    windows = np.array([Pictures.window((640, 480)) for _ in range(500)])
    widths, heights = windows[:, 2] - windows[:, 0], windows[:, 3] - windows[:, 1]
    assert (windows[:, :2] >= 0).all() and (windows[:, 2] <= 640).all() and (windows[:, 3] <= 480).all()
    free = (widths < 640) & (heights < 480)
    ratios, areas = widths[free] / heights[free], widths * heights / (640 * 480)
    assert ASPECT_RATIO[0] - 0.02 < ratios.min() < 0.8 and 1.25 < ratios.max() < ASPECT_RATIO[1] + 0.02
    assert AREA[0] - 0.01 < areas.min() < 0.15 and areas.max() > 0.8


@pytest.mark.slow
def test_damaged_photographs_are_named(tmp_path, capsys):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.jpg").write_bytes(b"\xff\xd8\xff" + bytes(100) + b"\xff\xd9")
    words = ["folder-resnet18", "--run.data-directory", str(tmp_path), "--data.holdout", "1", "--data.image-size", "32"]
    assert benchmark.main(["input", *words, "--images", "2", "--rounds", "1"]) == 2
    told = capsys.readouterr().err
    assert "2 of 2 images cannot be used; repair or remove them:" in told
    assert f"{tmp_path / 'dog' / '0.jpg'}: damaged" in told


@pytest.mark.slow
def test_real_photographs_are_measured_stage_by_stage(shared_data, capsys):
    words = ["imagenet-resnet18", "--run.data-directory", str(shared_data / "tfds"), "--data.image-size", "64"]
    assert benchmark.main(["input", *words, "--images", "64", "--rounds", "1"]) == 0
    told = capsys.readouterr().out
    assert [row.split("  ")[0] for row in told.splitlines()[2:7]] == ["read", "decode", "augment", WHOLE, NETWORK]
    assert re.search(r"[\d,]+ images/s come, and the network takes [\d,]+", told)
    decoders = {library: f"{name}, decoding alone" for library, (name, _) in DECODERS.items()}
    assert len(decoders) == 3
    for library, name in {"torch": "PIL DataLoader", **decoders}.items():
        assert (name in told) == (find_spec(library) is not None)


def test_grain_s_stages_do_to_an_image_what_training_does_and_drop_it(tmp_path):
    split, words = pictures([(30, 20)] * 8, size=16), ("random-resized-crop", "flip")
    [*stages] = grain_input.stages(split, words, 4, 8)
    assert stages == ["read", "decode", "augment"]
    tasks = {**grain_input.stages(split, words, 4, 8), WHOLE: grain_input.whole(split, words, 4, 8, 0)}
    for task in tasks.values():
        with task:
            assert task() == 8
    images, labels = next(grain_input._batches(split, words, 4, function=grain_input.Augmented(words, 16)))
    expected, of_same = next(grain_input._batches(split, words, 4))
    np.testing.assert_array_equal(images, expected[:, 0, 0, :1])
    np.testing.assert_array_equal(labels, of_same)


@pytest.mark.parametrize(
    "function", [grain_input.read, grain_input.Decoded(("flip",), 8), grain_input.Augmented((), 8)]
)
def test_processes_can_have_grain_s_stages(function):
    assert pickle.loads(pickle.dumps(function)) == function


def test_a_task_that_is_entered_is_timed_afterwards():
    class Slow(contextlib.AbstractContextManager):
        entered = left = 0

        def __enter__(self):
            time.sleep(0.2)
            self.entered += 1

        def __call__(self):
            return 10

        def __exit__(self, *_):
            self.left += 1

    task = Slow()
    assert interleaved.measure({"slow": task}, 1)["slow"][0] > 1000
    assert task.entered == task.left == 2


@pytest.mark.slow
def test_images_in_memory_are_measured_as_a_whole(tmp_path, capsys):
    assert (
        benchmark.main([*"input digits-resnet8 --images 64 --rounds 1 --json".split(), str(tmp_path / "input.json")])
        == 0
    )
    told = capsys.readouterr().out
    assert WHOLE in told and "decode" not in told.splitlines()[2]
    assert input_file.speed(tmp_path / "input.json") > 0

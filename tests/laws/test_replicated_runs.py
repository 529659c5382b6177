"""A run on two devices leaves a network that knows nothing of them, and is what was measured."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from catalog import RECIPES
from keras_resnet.config.recipe import DataConfig, OptimizerConfig, ScheduleConfig, TrainingConfig
from keras_resnet.config.run import Run
from keras_resnet.data.datasets import loading
from keras_resnet.experiment import build
from keras_resnet.experiment import run as experiment
from keras_resnet.runs.directory import RunDirectory
from keras_resnet.training.tensorflow import strategies
from tiers import slow

ROOT = Path(__file__).parents[2]

RECIPE = replace(
    RECIPES["digits-resnet8"],
    data=DataConfig("digits", augmentation=("pad-crop",), padding=1, normalization="per-channel", holdout=137),
    schedule=ScheduleConfig(iterations=20, boundaries=()),
    training=TrainingConfig(global_batch_size=32, log_every=10, validate_every=10),
)

LOGITS = (
    "import sys, numpy, keras, keras_resnet\n"
    "model = keras.saving.load_model(sys.argv[1])\n"
    "images = numpy.load(sys.argv[2])\n"
    "numpy.savez(sys.argv[3], **{name: model.predict(images[name], verbose=0) for name in images})\n"
)


@pytest.fixture(scope="module", params=["last weights", *slow(["average"])])
def finished(request, tmp_path_factory, two_devices) -> RunDirectory:
    """A run on two devices, one with and one without a moving average."""
    directory = RunDirectory(tmp_path_factory.mktemp("finished"))
    recipe = RECIPE
    if request.param == "average":
        recipe = replace(recipe, optimizer=OptimizerConfig(ema_momentum=0.5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(strategies.STRATEGIES, "mirrored", lambda *_: two_devices)
        run = Run(str(directory.path), strategy="mirrored", replicas=2)
        assert experiment.train(recipe, run) == 0
    return directory


@pytest.mark.slow
def test_what_was_measured_is_what_another_process_measures_on_the_saved_network(finished, tmp_path):
    """By the definition, in float64, to the last image."""
    splits = {name: split for name, split in loading.load("digits", holdout=137).splits.items() if name != "train"}
    np.savez(tmp_path / "images.npz", **{name: split.images for name, split in splits.items()})
    files = [str(finished.model), str(tmp_path / "images.npz"), str(tmp_path / "logits.npz")]
    subprocess.run([sys.executable, "-c", LOGITS, *files], check=True, cwd=ROOT, env=os.environ)
    measured = finished.read_result()["splits"]
    assert measured.keys() == splits.keys() == {"validation", "test"}
    for name, all_logits in np.load(tmp_path / "logits.npz").items():
        logits, labels = all_logits.astype("float64"), splits[name].labels
        of_label = logits[np.arange(len(labels)), labels]
        loss = np.mean(np.log(np.exp(logits).sum(-1)) - of_label)
        assert measured[name]["loss"] == pytest.approx(loss, rel=1e-6)
        larger = np.sum(logits >= of_label[:, None], axis=-1)
        for k in (1, 5):
            errors = measured[name][f"top{k}_error"] * len(labels) / 100
            assert errors == pytest.approx(np.count_nonzero(larger > k))
        assert measured[name]["images"] == len(labels)


def test_the_last_validation_measured_the_same_network(finished):
    last = finished.history.read_text().splitlines()[-1].split(",")
    measured = finished.read_result()["splits"]["validation"]
    assert [float(cell) for cell in last[-2:]] == pytest.approx([measured["loss"], measured["top1_error"]], rel=1e-6)


def test_the_file_has_no_trace_of_a_strategy(finished, tmp_path):
    """It is the file of a network that was made outside of all strategies, but for the values."""
    recipe = finished.recipe.read_text()
    apart = build.build_network(experiment.Recipe.from_json(recipe), loading.load("digits", holdout=137))
    apart.save(tmp_path / "apart.keras")
    configs = []
    for file in (finished.model, tmp_path / "apart.keras"):
        with zipfile.ZipFile(file) as archive:
            # Where objects lay in memory is no matter.
            configs.append(re.sub(r'"shared_object_id": \d+', "", archive.read("config.json").decode()))
    assert configs[0] == configs[1]


def test_the_environment_says_how_the_batch_was_shared(finished):
    [start] = finished.starts()
    assert (start["replicas"], start["workers"], start["per_replica_batch_size"]) == (2, 1, 16)
    assert len(start["devices"]) == 2
    assert (start["run"]["strategy"], start["run"]["replicas"]) == ("mirrored", 2)

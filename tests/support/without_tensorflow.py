"""What works where TensorFlow is not installed, each by its name; run as a program on the backend of `KERAS_BACKEND`.

    python without_tensorflow.py RUN OUT

RUN is a finished run, OUT an empty folder. Prints a JSON object: the traceback of each that fails, or null.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import absent

SHAPE = (8, 8, 1)


def network():
    import keras_resnet

    return keras_resnet.CifarResNet(8, input_shape=SHAPE)


def images():
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, (2, *SHAPE)).astype("uint8")


def the_package(run: Path, out: Path) -> None:
    import keras_resnet

    for name in keras_resnet.__all__:
        getattr(keras_resnet, name)
    keras_resnet.ResNet50()


def saved_networks(run: Path, out: Path) -> None:
    import keras
    import numpy as np

    one = network()
    expected = one.predict(images(), verbose=0)
    one.save(out / "network.keras")
    one.save_weights(out / "network.weights.h5")
    other = network()
    other.load_weights(out / "network.weights.h5")
    for read in (keras.saving.load_model(out / "network.keras"), other):
        np.testing.assert_allclose(read.predict(images(), verbose=0), expected, rtol=1e-6)


def weights_of_other_packages(run: Path, out: Path) -> None:
    import numpy as np

    import keras_resnet

    one = network()
    one.save_weights(out / "ours.weights.h5")
    program("convert", out / "ours.weights.h5", "--output", out / "theirs.safetensors")
    other = keras_resnet.CifarResNet(8, input_shape=SHAPE, weights=str(out / "theirs.safetensors"))
    np.testing.assert_allclose(other.predict(images(), verbose=0), one.predict(images(), verbose=0), rtol=1e-5)


def optimizers_and_schedules(run: Path, out: Path) -> None:
    import numpy as np

    import keras_resnet
    from keras_resnet.optimization.schedules import Steps

    for optimizer in (keras_resnet.SGD, keras_resnet.LARS):
        one = network()
        one.compile(optimizer(0.1, momentum=0.9, coupled_weight_decay=1e-4), "sparse_categorical_crossentropy")
        assert np.isfinite(one.fit(images(), np.array([0, 1]), verbose=0).history["loss"]).all()
    assert float(Steps(0.1, (20,))(30)) < 0.1


def checkpoints(run: Path, out: Path) -> None:
    from keras.ops import convert_to_numpy

    from keras_resnet.training.checkpoints import Checkpoints
    from keras_resnet.training.variable_names import by_path

    values = {name: convert_to_numpy(variable) for name, variable in by_path(network().variables).items()}
    Checkpoints(out / "checkpoints").save(1, values, {})
    saved, messages = Checkpoints(out / "checkpoints").restore(lambda shapes: None)
    assert saved is not None and saved.values.keys() == values.keys() and not messages


def records(run: Path, out: Path) -> None:
    from keras_resnet.training.summaries import summary_writer

    summary_writer(str(out / "logs"))(1, {"loss": 2.0})
    assert list((out / "logs").iterdir())


def program(name: str, *words: object) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as told, contextlib.redirect_stderr(told):
        try:
            status = importlib.import_module(name).main(list(map(str, words)))
        except SystemExit as end:
            status = end.code or 0
    assert status == 0, told.getvalue()


def pictures(out: Path) -> Path:
    """A folder of pictures of two classes, all of one shape."""
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(0)
    for split, count in (("train", 4), ("validation", 2)):
        for label in ("cat", "dog"):
            (out / split / label).mkdir(parents=True)
            for number in range(count):
                pixels = noise.integers(0, 256, (20, 16, 3), np.uint8)
                Image.fromarray(pixels).save(out / split / label / f"{number}.jpg")
    return out


def the_road(run: Path, out: Path) -> None:
    """The whole of it, from pictures to a report."""
    import keras

    images, trained = pictures(out / "pictures"), out / "trained"
    if keras.backend.backend() == "jax":
        words = "--model.family cifar --model.depth 8 --model.shortcut A --data.image-size 16 --run.cache decoded"
        words += " --schedule.iterations 2 --schedule.warmup-iterations 0 --training.global-batch-size 4"
        words += " --training.precise-statistics 4 --run.data-directory"
        program("train", "folder-resnet18", *words.split(), images, "--run.directory", trained)
        assert list((trained / "logs").iterdir())
        program("precise_bn", trained, "--images", 4)
        assert (trained / "precise.keras").is_file()
    else:
        trained = run
    views = ("center", "10-crop", "multi-scale") if trained != run else ("center",)
    for view in views:
        sides = ["--shorter-sides", 16, 20] if view == "multi-scale" else []
        program("evaluate", trained, "--view", view, *sides, "--predictions", "--output", out / "evaluated")
    program("predict", trained, images / "train" / "cat")
    program("explain", trained, images / "train" / "cat" / "0.jpg", "--output", out / "explained")
    program("mistakes", trained, "--output", out / "mistakes")
    program("layer_responses", trained, "--output", out / "responses", "--images", 4)
    program("report", trained, "--output", out / "report.html")
    program("model_card", trained)


def refusals(run: Path, out: Path) -> None:
    """What needs TensorFlow says so in one line."""
    with contextlib.redirect_stderr(io.StringIO()) as told:
        words = [str(run), "--format", "saved-model", "--output", str(out / "served")]
        assert importlib.import_module("export").main(words) == 2
    [line] = told.getvalue().splitlines()
    assert "needs tensorflow, which is not installed" in line


THINGS: dict[str, Callable[[Path, Path], None]] = {
    "the package": the_package,
    "saved networks": saved_networks,
    "weights of other packages": weights_of_other_packages,
    "optimizers and schedules": optimizers_and_schedules,
    "checkpoints": checkpoints,
    "records": records,
    "convert.py": lambda run, out: program("convert", run, "--output", out / "run.weights.h5"),
    "the road": the_road,
    "refusals": refusals,
    "departures.py": lambda run, out: program("departures"),
    "model_card.py": lambda run, out: program("model_card", run),
    "report.py": lambda run, out: program("report", run, "--output", out / "report.html"),
    "reproduce.py": lambda run, out: program("reproduce", "table1", "--output", out / "pages"),
    "summarize.py": lambda run, out: program("summarize", "8"),
    "train.py --list": lambda run, out: program("train", "--list"),
    "train.py --help": lambda run, out: program("train", "digits-resnet8", "--help"),
    "tune.py --help": lambda run, out: program("tune", "digits-resnet8", "--help"),
}
"""What is tried, given a finished run and an empty folder."""


def main(run: Path, out: Path) -> None:
    found: dict[str, str | None] = {}
    for name, thing in THINGS.items():
        folder = out / name.replace(" ", "_")
        folder.mkdir()
        try:
            thing(run, folder)
            found[name] = None
        except BaseException:
            found[name] = traceback.format_exc()
    print(json.dumps(found))


if __name__ == "__main__":
    absent.hide("tensorflow", "tensorflow_datasets")
    sys.path.insert(0, str(Path(__file__).parents[2] / "recipes"))
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""Measure a trained network, or several together, as the paper did.

    python recipes/evaluate.py RUN --view 10-crop
    python recipes/evaluate.py RUN --view multi-scale --ensemble RUN RUN --output DIR
    python recipes/evaluate.py WEIGHTS --view center --dataset imagenet --data-directory DIR --output DIR

RUN is the directory of a finished run, whose recipe names the data set; WEIGHTS a .keras file, or weights of this or of
another package. What is seen of an image:
  center        the center crop, as in a training; of images of one size, the whole
  10-crop       four corners, the center and their mirror images (Tables 2 and 3); photographs only
  multi-scale   every position of the whole photograph at five sizes (Tables 4 and 5); photographs only
Softmax scores are averaged. The errors, their 95% confidence intervals and how they were measured are kept in
RUN/evaluation/result-VIEW.json, or in DIR. One device does all the work.

Exit status: 0 done; 1 failed while running; 2 refused, and nothing was changed; 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import labelled_images
import refusal
import startup
from evaluation_plan import REMEDY, Plan, make_plan
from image_progress import ImageProgress
from keras_resnet.facts.datasets import DATASETS
from keras_resnet.host import files
from keras_resnet.runs.environment import environment

if TYPE_CHECKING:
    from keras_resnet.data.datasets.loading import Data
    from keras_resnet.data.splits import Split
    from keras_resnet.evaluation.scoring import Scored
    from keras_resnet.evaluation.test_views import EvaluationView
    from keras_resnet.inference.trained_network import TrainedNetwork

VIEW_FLAGS = {"center": ("batch_size",), "10-crop": ("batch_size",), "multi-scale": ("shorter_sides", "mirror")}
"""The flags that a view takes; one photograph at a time is seen at several scales."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures what the command line asks for; returns the exit status."""
    return refusal.answer(carry_out, read_options(arguments))


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = refusal.Parser(__doc__)
    parser.add_argument("source", metavar="RUN_OR_WEIGHTS")
    parser.add_argument("--view", choices=VIEW_FLAGS, default="center", help="defaults to %(default)s")
    parser.add_argument("--ensemble", nargs="+", default=[], metavar="SOURCE", help="networks to average with")
    parser.add_argument("--preprocessing", help="of weights that do not tell it: torch, caffe or tf")
    parser.add_argument("--dataset", choices=DATASETS, help="defaults to the run's")
    parser.add_argument("--data-directory", help="defaults to the run's")
    parser.add_argument("--holdout", type=int, help="training images that are the validation images; the run's, or 0")
    parser.add_argument("--split", choices=("train", "validation", "test"), default="validation")
    parser.add_argument("--images", type=int, help="only the first ones of the split")
    parser.add_argument("--batch-size", type=int, help="images at a time; defaults to 100, or with 10-crop to 10")
    parser.add_argument("--shorter-sides", type=int, nargs="+", help="multi-scale: defaults to 224 256 384 480 640")
    parser.add_argument("--mirror", action="store_true", default=None, help="multi-scale: see mirror images as well")
    parser.add_argument("--output", type=Path, help="directory for what is kept; defaults to RUN/evaluation")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier result of the same view")
    parser.add_argument("--predictions", action="store_true", help="keep the five largest scores of every image")
    options = parser.parse_args(arguments)
    parser.require_positive(options, "images", "batch_size")
    for name in ("batch_size", "shorter_sides", "mirror"):
        if getattr(options, name) is not None and name not in VIEW_FLAGS[options.view]:
            takers = " or ".join(view for view, flags in VIEW_FLAGS.items() if name in flags)
            parser.error(f"--{name.replace('_', '-')} is for --view {takers}. Received: --view {options.view}")
    return options


def carry_out(options: argparse.Namespace) -> int:
    """Measures, keeps and prints; returns the exit status.

    Raises:
        ValueError, OSError: if anything does not fit; nothing was changed.
    """
    plan = make_plan(options)
    # TensorFlow takes seconds to load: everything that can be refused without it has been by now.
    with startup.loading():
        from keras_resnet.evaluation.test_views import VIEWS
        from keras_resnet.inference import trained_network

    networks = [trained_network.load(source, preprocessing(source, options)) for source in plan.sources]
    check_ensemble(networks)
    data = labelled_images.load(networks[0], plan.dataset, plan.data_directory, plan.holdout)
    split = choose_split(data, options)
    given = {name: getattr(options, name) for name in VIEW_FLAGS[options.view]}
    view = VIEWS[options.view](split, **{name: value for name, value in given.items() if value is not None})
    models = [view.prepare(one.network) for one in networks]
    plan.result.parent.mkdir(parents=True, exist_ok=True)
    try:
        scored = look(models, view, data, split.size)
        plan.predictions.unlink(missing_ok=True)
        if options.predictions:
            files.write(plan.predictions, table_of(scored), REMEDY)
        files.write(plan.result, files.as_json(result(plan, options, networks, data, view, scored)), REMEDY)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(report(plan, options, scored))
    return 0


def look(models: list, view: EvaluationView, data: Data, images: int) -> Scored:
    """What the networks make of the images; tells how far they are.

    Raises:
        ValueError: naming damaged images.
        RuntimeError: if the device has too little memory, or other images were counted.
    """
    import tensorflow as tf

    from keras_resnet.data.datasets.loading import naming_damaged_images
    from keras_resnet.evaluation.scoring import score

    progress = ImageProgress(images)
    try:
        with naming_damaged_images(data, labelled_images.tell):
            return score(models, view.batches, images, progress)
    except tf.errors.ResourceExhaustedError as error:
        remedy = "show it less with --batch-size or --shorter-sides"
        raise RuntimeError(f"the device has too little memory: {remedy}") from error
    finally:
        progress.end()


def preprocessing(source: str, options: argparse.Namespace) -> str | None:
    """What was said of weights; a run knows it."""
    return None if Path(source).is_dir() else options.preprocessing


def check_ensemble(networks: list[TrainedNetwork]) -> None:
    """Refuses networks that do not see the same images, or do not name the same classes.

    Raises:
        ValueError: if they differ.
    """
    from keras_resnet.evaluation.ensembles import check_class_names, common

    common("number of classes", {str(one.source): one.network.output_shape[-1] for one in networks})
    common("shape of the images", {str(one.source): one.network.image_shape for one in networks})
    check_class_names({str(one.source): one.class_names for one in networks})


def choose_split(data: Data, options: argparse.Namespace) -> Split:
    """The images that are to be seen.

    Raises:
        ValueError: if there are none, or not so many.
    """
    if options.split not in data.splits:
        raise ValueError(
            f"--split must be one of {', '.join(data.splits)}: without --holdout, the test images are the validation "
            f"images. Received: --split {options.split}"
        )
    split = data.splits[options.split]
    if options.images is None:
        return split
    if options.images > split.size:
        raise ValueError(f"--images must be at most {split.size}, all there are. Received: {options.images}")
    return split.part(0, options.images)


def result(
    plan: Plan,
    options: argparse.Namespace,
    networks: list[TrainedNetwork],
    data: Data,
    view: EvaluationView,
    scored: Scored,
) -> dict[str, Any]:
    """What was measured, and how, fit for JSON."""
    from keras_resnet.models.fully_convolutional import normalization
    from keras_resnet.training.tensorflow import strategies

    return {
        **asdict(scored.errors),
        **{f"{name}_interval": list(limits) for name, limits in scored.intervals.items()},
        "dataset": plan.dataset,
        "split": options.split,
        "split_images": data.splits[options.split].size,
        "holdout": plan.holdout,
        "view": options.view,
        "protocol": view.protocol | {"networks_averaged": len(networks)},
        "networks": [
            {
                "source": str(one.source),
                "name": one.network.name,
                "fingerprint": one.recipe.fingerprint if one.recipe else None,
                "precision": one.network.get_layer("conv1_conv").compute_dtype,
                "normalization": normalization(one.network),
            }
            for one in networks
        ],
        "class_names": list(data.class_names),
        "environment": environment(strategies.device_names(strategies.one_device())),
    }


def table_of(scored: Scored) -> bytes:
    """The largest scores of every image as CSV."""
    ranks = range(1, scored.classes.shape[1] + 1)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["index", "label", *(f"class_{rank}" for rank in ranks), *(f"score_{rank}" for rank in ranks)])
    for index, label in enumerate(scored.labels):
        table.writerow([index, label, *scored.classes[index], *(f"{score:.6g}" for score in scored.scores[index])])
    return text.getvalue().encode()


def report(plan: Plan, options: argparse.Namespace, scored: Scored) -> str:
    """What was measured, for the one who waited for it."""
    errors, intervals = scored.errors, scored.intervals
    together = f", {len(plan.sources)} networks together" if len(plan.sources) > 1 else ""
    lines = [f"{options.view} on {errors.images:,} {options.split} images of {plan.dataset}{together}"]
    for name, error in (("top-1", errors.top1_error), ("top-5", errors.top5_error)):
        low, high = intervals[name.replace("-", "")]
        lines.append(f"{name} error {error:7.2f}%   95% interval {low:.2f}% … {high:.2f}%")
    lines += [f"cross-entropy {errors.loss:.4f}", f"result {plan.result}"]
    return "\n".join(lines + [f"predictions {plan.predictions}"] * options.predictions)


if __name__ == "__main__":
    sys.exit(main())

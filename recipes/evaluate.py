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

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import command_line, program, refusal, startup
from cli.evaluation_plan import Options, Plan, make_plan
from cli.progress import ImageProgress
from keras_resnet.host import files, outputs
from keras_resnet.inference import labelled_images
from keras_resnet.runs import results
from keras_resnet.runs.environment import environment

if TYPE_CHECKING:
    from keras_resnet.data.datasets.loading import Data
    from keras_resnet.data.splits import Split
    from keras_resnet.evaluation.scoring import Scored
    from keras_resnet.evaluation.test_views import EvaluationView
    from keras_resnet.inference.trained_network import TrainedNetwork

FLAGS = command_line.flags_by_argument(Options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures what the command line asks for; returns the exit status."""
    return program.answer(evaluate, command_line.read(Options, __doc__, arguments), flags=FLAGS)


def evaluate(options: Options) -> int:
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
    data = labelled_images.load(networks[0], plan.dataset, plan.data_directory, plan.holdout, tell=startup.tell)
    split = choose_split(data, options)
    view = VIEWS[options.view](split, **options.of_view())
    models = [view.prepare(one.network) for one in networks]
    plan.result.parent.mkdir(parents=True, exist_ok=True)
    try:
        scored = score(models, view, data, split.size)
        plan.predictions.unlink(missing_ok=True)
        if options.predictions:
            files.write(plan.predictions, table_of(scored, split.image_files), outputs.remedy())
        measured = result(plan, options, networks, data, view, scored)
        results.write(plan.result, measured, results.EVALUATION, outputs.remedy())
    except (ValueError, OSError, RuntimeError) as error:
        refusal.show(error, FLAGS)
        return 1
    print(report(plan, options, scored))
    return 0


def score(models: list, view: EvaluationView, data: Data, images: int) -> Scored:
    """The scores of the networks on the images; shows the progress.

    Raises:
        ValueError: naming damaged images.
        RuntimeError: if the device has too little memory, or other images were counted.
    """
    from keras_resnet.data import roads
    from keras_resnet.data.datasets.loading import naming_damaged_images
    from keras_resnet.evaluation import scoring
    from keras_resnet.models import compiled

    progress = ImageProgress(images)
    try:
        with naming_damaged_images(data, startup.tell), roads.closing(view.batches) as batches:
            return scoring.score(models, batches, images, progress)
    except Exception as error:
        if not compiled.out_of_memory(error):
            raise
        raise RuntimeError(
            "the device has too little memory: choose smaller --batch-size or --shorter-sides"
        ) from error
    finally:
        progress.end()


def preprocessing(source: str, options: Options) -> str | None:
    """The preprocessing of weights; that of a run is in its network."""
    return None if Path(source).is_dir() else options.preprocessing


def check_ensemble(networks: list[TrainedNetwork]) -> None:
    """Refuses networks that do not take the same images, or do not name the same classes.

    Raises:
        ValueError: if they differ.
    """
    from keras_resnet.evaluation.ensembles import check_class_names, common

    common("number of classes", {str(one.source): one.network.output_shape[-1] for one in networks})
    common("shape of the images", {str(one.source): one.network.image_shape for one in networks})
    check_class_names({str(one.source): one.class_names for one in networks})


def choose_split(data: Data, options: Options) -> Split:
    """The images to evaluate on.

    Raises:
        ValueError: if there are none, or not so many.
    """
    if options.split not in data.splits:
        raise ValueError(
            f"`split` must be one of {', '.join(data.splits)}: without `holdout`, the test images are the validation "
            f"images. Received: split={options.split!r}"
        )
    split = data.splits[options.split]
    if options.images is None:
        return split
    if options.images > split.size:
        raise ValueError(f"`images` must be at most {split.size}, all there are. Received: images={options.images}")
    return split.part(0, options.images)


def result(
    plan: Plan, options: Options, networks: list[TrainedNetwork], data: Data, view: EvaluationView, scored: Scored
) -> dict[str, Any]:
    """The errors, and how they were measured, fit for JSON."""
    from keras_resnet.models import compiled, input_normalization

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
                "normalization": input_normalization.described(one.network),
            }
            for one in networks
        ],
        "class_names": list(data.class_names),
        "environment": environment([compiled.device()]),
    }


def table_of(scored: Scored, paths: Sequence[str] = ()) -> bytes:
    """The largest scores of every image as CSV, with its file where it has one."""
    ranks = range(1, scored.classes.shape[1] + 1)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(
        [
            "index",
            "label",
            *(f"class_{rank}" for rank in ranks),
            *(f"score_{rank}" for rank in ranks),
            *["file"] * bool(paths),
        ]
    )
    for index, label in enumerate(scored.labels):
        table.writerow(
            [
                index,
                label,
                *scored.classes[index],
                *(f"{score:.6g}" for score in scored.scores[index]),
                *paths[index : index + 1],
            ]
        )
    return text.getvalue().encode(errors="backslashreplace")


def report(plan: Plan, options: Options, scored: Scored) -> str:
    """The errors, for people."""
    errors, intervals = scored.errors, scored.intervals
    together = f", {len(plan.sources)} networks together" if len(plan.sources) > 1 else ""
    lines = [f"{options.view} on {errors.images:,} {options.split} images of {plan.dataset}{together}"]
    for k, error in {1: errors.top1_error, 5: errors.top5_error}.items():
        if error is not None:
            low, high = intervals[f"top{k}"]
            lines.append(f"top-{k} error {error:7.2f}%   95% interval {low:.2f}% … {high:.2f}%")
    lines += [f"cross-entropy {errors.loss:.4f}", f"result {plan.result}"]
    return "\n".join(lines + [f"predictions {plan.predictions}"] * options.predictions)


if __name__ == "__main__":
    program.run(main)

"""The recipe and the errors of a run as TensorBoard's hparams plugin wants them.

python -m tensorboard.main --logdir DIR     compares all runs below DIR
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_resnet import validation
from keras_resnet.config.recipe import Recipe
from keras_resnet.evaluation.error_rates import ErrorRates
from keras_resnet.training import summaries


def write(logs: Path, recipe: Recipe, measured: Mapping[str, ErrorRates], iteration: int) -> None:
    """Adds the recipe and the final errors of a run to its logs; does nothing where TensorBoard is not installed.

    Args:
        logs: The directory of one run that TensorBoard reads.
        recipe: Its fields become hyperparameters under their dotted names, such as `model.shortcut`.
        measured: By split; the top-1 error in percent becomes the metric `final/validation_error`.
        iteration: The last one.

    Raises:
        OSError: if the logs cannot be written.
    """
    if not summaries.installed():
        return
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb

    values = {name: plain(value) for name, value in validation.leaves(recipe.hyperparameters())}
    # Runs with the same identifier would be shown as one: seeds differ, names do not count.
    run = hparams_pb(values, trial_id=recipe.fingerprint)
    scalars = [scalar_pb(f"final/{name}_error", errors.top1_error) for name, errors in measured.items()]
    summaries.event_writer(logs)(iteration, [run, *scalars])


def plain(value: Any) -> bool | float | str:
    """A value as the plugin takes it: what is neither a truth value nor a number becomes text."""
    return value if isinstance(value, bool | int | float) else str(value)

"""Train a network.

    python recipes/train.py RECIPE [--model.shortcut B] [--schedule.scale 0.125] [--run.directory DIR] …

RECIPE is a name from the catalog, or the recipe.json of a run, which replays it exactly. Flags change it.

    python recipes/train.py --list            the recipes
    python recipes/train.py RECIPE --help     the flags, and their values in that recipe
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import command_line
import startup

from keras_resnet.runs import RunDirectory


def main(arguments: Sequence[str]) -> int:
    """Trains what the command line asks for; returns the exit status."""
    recipe, run = command_line.read(arguments, usage=__doc__.strip())
    try:
        RunDirectory(run.directory_for(recipe)).check(recipe.to_json(), resume=run.resume)
        # TensorFlow takes seconds to load: everything that can be refused without it has been by now.
        with startup.quiet():
            from keras_resnet import experiment

        return experiment.train(recipe, run) or 0
    except KeyboardInterrupt:
        print("stopped at once; --run.resume continues from the last checkpoint", file=sys.stderr)
        return 130
    except ModuleNotFoundError as error:
        command_line.fail(
            f"{error.name} is not installed. To install all that recipes need: pip install -e '.[recipes]'"
        )
    except (ValueError, OSError) as error:
        command_line.fail(error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

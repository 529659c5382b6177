"""Train a network.

    python recipes/train.py RECIPE [--model.shortcut B] [--schedule.scale 0.125] [--run.directory DIR] …
    python recipes/train.py DIR

RECIPE is a name from the catalog, or the recipe.json of a run, which replays it exactly. Flags change it.
DIR is the directory of a run, which is continued as it was started.

    python recipes/train.py --list            the recipes
    python recipes/train.py RECIPE --help     the flags, and their values in that recipe

Exit status: 0 finished; 1 ended by something else, such as a full disk; 2 refused, and nothing was changed; 3 the loss
is no longer finite; 75 start the same command again (preempted, or a worker is missing); 130 Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from cli import backends, program, recipe_line, refusal, startup
from keras_resnet.config.recipe import hyperparameters_of
from keras_resnet.data import places
from keras_resnet.host import outputs
from keras_resnet.host.texts import printable
from keras_resnet.runs import iterations, lock
from keras_resnet.runs.directory import RunDirectory


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains what the command line asks for; returns the exit status."""
    recipe, run = recipe_line.read(sys.argv[1:] if arguments is None else arguments, __doc__)
    directory = RunDirectory(run.directory_for(recipe))
    try:
        backends.check("train")
        if run.strategy not in (
            "multi_worker",
            "multi_process",
            "tpu",
            "auto",
        ):  # where there are other processes, only worker 0 looks
            directory.check(
                recipe.to_json(), resume=run.resume, accept_changes=run.accept_changes, read=hyperparameters_of
            )
            if directory.finished:
                from keras_resnet.reporting import console

                print(f"This run is finished.\n{console.report(directory)}")
                return 0
            if run.checkpoint_directory and "://" not in run.checkpoint_directory:
                outputs.check_directory(Path(run.checkpoint_directory).expanduser(), "checkpoint_directory")
            lock.check(directory.path)
            iterations.check_not_beyond(directory, recipe.schedule.scaled_iterations)
        places.require(recipe.data.dataset, run.data_directory)
        # TensorFlow takes seconds to load: everything that can be refused without it has been by now.
        with startup.loading():
            from keras_resnet.experiment.run import train

        return train(recipe, run, tell=tell)
    except KeyboardInterrupt:
        print("stopped at once; --run.resume continues from the last checkpoint", file=sys.stderr)
        return program.INTERRUPTED
    except ModuleNotFoundError as error:
        refusal.refuse(refusal.missing(error))
    except BrokenPipeError:
        raise
    except TimeoutError as error:  # of workers that wait for another
        refusal.show(error, recipe_line.FLAGS)
        return program.AGAIN
    except (ValueError, OSError) as error:
        refusal.refuse(error, recipe_line.FLAGS)


def tell(line: str) -> None:
    """Prints a line of the training, an error with its flags."""
    print(printable(refusal.with_flags(line, recipe_line.FLAGS)), flush=True)


if __name__ == "__main__":
    program.run(main)

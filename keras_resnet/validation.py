"""Guards that every configuration meets, whether it comes from the command line, a JSON file, the tuner or a notebook.

Each raises a `ValueError` that names the argument, the rule with the allowed values, and what was received.
"""

from __future__ import annotations

import difflib
import math
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NoReturn, Union, get_args, get_origin

KINDS: dict[Any, str] = {
    bool: "True or False",
    int: "a whole number",
    float: "a finite number",
    str: "text",
    str | None: "text or None",
    bool | None: "True, False or None",
    int | None: "a whole number or None",
    float | None: "a finite number or None",
    tuple[int, ...]: "a list of whole numbers",
}
"""The names of types in errors, for every type that a configuration uses beside `Literal`."""


MEANT: dict[str, tuple[str, ...]] = {
    word: tuple(meant.split())
    for words, meant in {
        # arguments
        "epochs num_epochs n_epochs nb_epochs max_epochs epoch": "iterations",
        "steps max_steps num_steps train_steps total_steps iters iter max_iters max_iter": "iterations",
        "lr base_lr init_lr initial_lr max_lr eta rate": "learning_rate",
        "bs b batch train_batch_size minibatch": "batch_size global_batch_size",
        "batch_size": "global_batch_size",
        "wd decay l2 regularization": "weight_decay",
        "opt optim optimizer": "optimizer.name",
        "sched scheduler lr_scheduler lr_schedule lr_policy": "schedule.name",
        "milestones lr_steps lr_milestones decay_steps": "boundaries",
        "gamma lr_gamma lr_decay decay_rate": "factor",
        "warmup warmup_steps warmup_epochs": "warmup_iterations",
        "device devices gpu gpus num_gpus n_gpus n_gpu ngpu cuda tpu ddp distributed accelerator": "strategy mirrored",
        "cpu single": "strategy one_device",
        "num_classes n_classes nb_classes": "classes",
        "data data_dir data_path data_root datadir dataset_dir dataset_path root image_dir": "data_directory",
        "amp use_amp dtype mixed_precision bf16 bfloat16": "precision mixed_bfloat16",
        "fp16 float16 half": "precision mixed_float16",
        "j num_workers n_workers threads num_threads": "workers",
        "random_seed manual_seed rng_seed": "seed",
        "seed": "seeds",
        "resume continue restart restore auto_resume resume_from": "resume",
        "checkpoint ckpt load": "resume network source run",
        "to out o outdir out_dir output_dir save save_dir save_path dest destination": "output directory",
        "output log_dir logdir work_dir workdir exp_dir experiment": "directory output",
        "weights pretrained model_path from_pretrained init_weights load_weights": "network source run runs",
        "model arch architecture backbone": "network source run depth depths",
        "layers num_layers": "depth",
        "img_size imgsz input_size size resolution crop_size": "image_size",
        "aug augment augmentations transform transforms data_augmentation": "augmentation",
        "smoothing": "label_smoothing",
        "clip clip_grad grad_clip clip_norm max_norm clipnorm": "global_clipnorm",
        "accum grad_accum accumulation_steps gradient_accumulation gradient_accumulation_steps": "accumulation",
        "ema model_ema ema_decay": "ema_momentum",
        "log_interval log_freq print_freq logging_steps": "log_every",
        "eval_every eval_interval eval_freq eval_steps val_interval val_freq validation_freq": "validate_every",
        "save_every save_freq save_steps save_interval checkpoint_freq checkpoint_interval": "checkpoint_every",
        "max_to_keep keep save_total_limit": "keep_checkpoints",
        "val_split validation_split val_size": "holdout",
        "jit jit_compile compile": "xla",
        "force f yes y replace": "overwrite",
        "k topk top_k": "top",
        "labels label_names names classes class_map": "class_names",
        "i input image images img picture photo photos": "pictures source",
        "subset": "split",
        "mean std normalize": "normalization preprocessing",
        "n_trials num_trials max_trials": "trials",
        "param params grid space": "axes",
        "fmt type": "format",
        # words of choices
        "fp32 f32 full": "float32",
        "multi_gpu dp data_parallel": "mirrored",
        "nodes multi_node": "multi_worker multi_process",
        "imagenet1k imagenet_1k imagenet2012 ilsvrc ilsvrc2012": "imagenet",
        "imagefolder image_folder custom own": "folder",
        "val valid dev eval": "validation",
        "hflip horizontal_flip random_flip randomhorizontalflip": "flip",
        "random_crop randomcrop": "pad-crop",
        "rrc randomresizedcrop": "random-resized-crop",
        "jitter colorjitter": "color-jitter",
        "cos cosine_annealing cosineannealing cosineannealinglr": "cosine",
        "step multistep multisteplr steplr": "steps",
        "poly": "polynomial",
        "reduceonplateau reduce_on_plateau reducelronplateau": "plateau",
        "tencrop ten_crop 10crop": "10-crop",
        "single_crop one_crop 1_crop": "center",
        "bayes bayesian_optimization": "bayesian",
        "projection conv": "B",
        "identity zero_padding": "A",
    }.items()
    for word in words.split()
}
"""What people type who come from elsewhere -> the arguments or words here that it may mean, likeliest first."""


def refuse(name: str, rule: str, value: object, hint: str = "") -> NoReturn:
    """Raises the error of a value that breaks a rule; `hint` is the remedy, the last sentence."""
    raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}{hint and '. ' + hint}")


def meant(word: object, words: Iterable[object]) -> object | None:
    """The one of some words, which may have sections in front, that means the same as the word received."""
    plain = str(word).lower().rpartition(".")[2].strip("-").replace("-", "_")
    words = list(words)
    for name in (plain, *MEANT.get(plain, ())):
        ending = [candidate for candidate in words if f".{candidate}".endswith(f".{name}")]
        if ending:
            return name if name in ending else ending[0]
    return None


def nearest(word: object, words: Iterable[object]) -> str:
    """`"Did you mean …?"` with the word that means the same as the one received, or else with the word most like it.

    `""` where there is neither.
    """
    words = list(words)
    if (same := meant(word, words)) is not None:
        return f"Did you mean {same!r}?"

    def likeness(candidate: object) -> tuple[float, int]:
        if str(word).lower() == initials(str(candidate)):
            return 1.0, len(str(candidate))
        matcher = difflib.SequenceMatcher(None, str(word).lower(), str(candidate).lower())
        # The longest common part decides between resnet20 and resnet32 for resnet21.
        return matcher.ratio(), matcher.find_longest_match().size

    best = max(words, key=likeness)
    return f"Did you mean {best!r}?" if likeness(best)[0] >= 0.6 else ""


def initials(name: str) -> str:
    """A name whose last part, of several words, is shortened to their initials, with its section: `schedule.lr`."""
    section, dot, last = name.rpartition(".")
    words = [part for part in last.split("_") if part]
    return f"{section}{dot}{''.join(part[0] for part in words)}" if len(words) > 1 else name


def one_of(name: str, value: object, allowed: Iterable[object]) -> None:
    """Refuses a value that is none of those allowed, and suggests the nearest."""
    allowed = tuple(allowed)
    if value not in allowed:
        refuse(name, "one of " + ", ".join(map(repr, allowed)), value, nearest(value, allowed))


def positive(name: str, value: float) -> None:
    """Refuses zero and less."""
    if not value > 0:
        refuse(name, "positive", value)


def at_least(name: str, value: float, minimum: float) -> None:
    """Refuses less than the minimum."""
    if not value >= minimum:
        refuse(name, f"at least {minimum}", value)


def fraction(name: str, value: float) -> None:
    """Refuses what is outside [0, 1)."""
    if not 0 <= value < 1:
        refuse(name, "at least 0 and below 1", value)


def choices(hint: Any) -> tuple[object, ...] | None:
    """The words that a `Literal`, or `Literal[…] | None`, allows; `None` for any other type."""
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if not any(get_origin(option) is Literal for option in options):
        return None
    return tuple(word for option in options for word in (get_args(option) or (None,)))


def fitting(name: str, value: Any, hint: Any) -> Any:
    """The value as its type wants it: a whole number where a float is due becomes one, and a list a tuple.

    One spelling of each value is what makes equal recipes have equal fingerprints.

    Args:
        name: The argument, for the error.
        value: The value received.
        hint: A class, a `Literal`, or one of the types in `KINDS`.

    Raises:
        ValueError: if the value is of another type; also if it is NaN or infinite.
    """
    if (words := choices(hint)) is not None:
        one_of(name, value, words)
        return value
    if get_origin(hint) is tuple:
        return _fitting_list(name, value, hint)
    if hint in (float, float | None) and type(value) is int:
        return float(value)
    # True is an `int` to Python, and never what somebody meant by a number.
    mistaken = isinstance(value, bool) and bool not in (get_args(hint) or (hint,))
    if mistaken or not isinstance(value, hint) or (isinstance(value, float) and not math.isfinite(value)):
        refuse(name, KINDS.get(hint) or f"of type {hint.__name__}", value)
    return value


def _fitting_list(name: str, value: Any, hint: Any) -> tuple[Any, ...]:
    """A list of whole numbers, or of the words of a `Literal`, as a tuple."""
    words = choices(get_args(hint)[0])
    rule = KINDS[hint] if words is None else "a list of " + ", ".join(map(repr, words))
    if not isinstance(value, list | tuple):
        refuse(name, rule, value)
    for item in value:
        if words is None and type(item) is not int:
            refuse(name, rule, value)
        if words is not None and item not in words:
            refuse(name, rule, value, nearest(item, words))
    return tuple(value)


def keys(received: object, known: Iterable[str], required: Iterable[str] = (), where: str = "") -> None:
    """Refuses anything but a mapping of known keys; an unknown key before a missing one, as a typo is both.

    Args:
        received: The value that should be a mapping.
        known: The keys that it may have.
        required: Those that it must have.
        where: The key under which it lies, for the error; empty for the outermost.
    """
    prefix = f"{where}." if where else ""
    expected = [prefix + key for key in known]
    if not isinstance(received, Mapping):
        raise ValueError(f"`{where or 'recipe'}` must be an object with the keys {', '.join(expected)}.")
    found = [f"{prefix}{key}" for key in received]
    for key in found:
        if key not in expected:
            hint = nearest(key, expected) or f"The keys are {', '.join(expected)}"
            raise ValueError(f"`{key}` is no key of a recipe. {hint}")
    if missing := [prefix + key for key in required if prefix + key not in found]:
        raise ValueError(f"The recipe lacks {', '.join(f'`{key}`' for key in missing)}.")


LABELS = ("name", "description")
"""The keys of a recipe that cannot change its result."""


def hyperparameters(recipe: Any) -> dict[str, Any]:
    """The part of a recipe, given as nested dictionaries, that may change its result; nothing of anything else."""
    return {key: value for key, value in recipe.items() if key not in LABELS} if isinstance(recipe, Mapping) else {}


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The changes from one nested mapping to another, as `"model.shortcut: 'A' -> 'B'"`."""
    old, new = dict(leaves(before)), dict(leaves(after))
    return [
        f"{key}: {repr(old[key]) if key in old else 'absent'} -> {repr(new[key]) if key in new else 'absent'}"
        for key in {**old, **new}
        if key not in old or key not in new or old[key] != new[key]
    ]


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every (dotted key, value) of a nested mapping."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value

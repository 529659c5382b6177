"""Deep residual networks in Keras 3.

Importing the package imports no framework: a public name brings its module along when it is first used. So the
arithmetic of the networks, the recipes and the command line answer at once, and `KERAS_BACKEND` may still be set after
the import. Keras itself brings along the classes that saved networks are made of.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Any

from wrapt import when_imported

__version__ = "0.4.0"

_NAMES = {
    "models.resnet": (
        *("ResNet", "ResNet18", "ResNet34", "ResNet50", "ResNet101", "ResNet152"),
        *("PlainNet18", "PlainNet34"),
        *("CifarResNet", "CifarResNet20", "CifarResNet32", "CifarResNet44", "CifarResNet56", "CifarResNet110"),
        *("CifarResNet1202", "CifarPlainNet20", "CifarPlainNet32", "CifarPlainNet44", "CifarPlainNet56"),
        "CifarPlainNet110",
    ),
    "models.layers": (
        "BatchNormalization",
        "IdentityShortcut",
        "ProjectionShortcut",
        "Rematerialized",
        "SpaceToDepthConv2D",
    ),
    "models.residual_network": ("ResidualNetwork",),
    "models.preprocessing": ("decode_predictions", "preprocess_input"),
    "models.batch_norm_folding": ("fold_batch_norm",),
    "optimization.optimizers": ("LARS", "SGD"),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}
_MOVED = {
    **{name: f"facts.{name}" for name in ("architectures", "datasets", "paper")},
    **{name: f"host.{name}" for name in ("files", "processors")},
    **{name: f"models.{name}" for name in ("blocks", "layers", "preprocessing", "residual_network")},
    **{name: f"optimization.{name}" for name in ("optimizers", "schedules")},
    "assembly": "experiment.build",
    "checks": "validation",
    "distribution": "training.tensorflow.strategies",
    "folding": "models.batch_norm_folding",
    "metrics": "optimization.losses",
    "networks": "models.resnet",
    "pretrained": "models.published_weights",
    "trained": "inference.trained_network",
    "tuning": "search.oracles",
}
"""Modules of 0.1: `from keras_resnet import architectures` still works."""
_GONE = {
    "conversion": "The weights of a Keras model, or arrays by name, are given as they are: "
    "`keras_resnet.ResNet50(weights=model)`. Layouts are in `keras_resnet.weights.conversion`",
}
"""The way out where a module of 0.1 is gone."""
_REGISTERING = ("models.layers", "models.residual_network", "optimization.optimizers", "optimization.schedules")

__all__ = ["__version__", *_MODULES]


@when_imported("keras")
def _register(_: Any) -> None:
    """Register our classes, so that Keras loads saved networks once this package is imported, before it or after."""
    for module in _REGISTERING:
        import_module(f"{__name__}.{module}")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    elif name in _MOVED:
        value = import_module(f"{__name__}.{_MOVED[name]}")
    elif not name.startswith("_") and find_spec(f"{__name__}.{name}"):
        value = import_module(f"{__name__}.{name}")
    else:
        remedy = f". {_GONE[name]}" if name in _GONE else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{remedy}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *(module.name for module in iter_modules(__path__))})

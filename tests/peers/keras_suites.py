"""Keras's own tests that run with our classes in the place of its own, and those that cannot pass, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

BACKENDS = ("tensorflow", "jax", "torch")


class Ours(NamedTuple):
    """One of ours, the names in Keras that it takes, and the defaults that Keras's has there."""

    name: str
    places: tuple[str, ...]
    defaults: Mapping[str, object] = MappingProxyType({})


class Suite(NamedTuple):
    """What is put in place together, and the files of tests that then run; a file of ours ends in `_of_ours.py`."""

    ours: tuple[Ours, ...]
    files: tuple[str, ...]
    only: str = ""
    """Expression of pytest's `-k`."""


def _optimizer(name: str) -> Ours:
    places = ("keras.optimizers.SGD", "keras.src.optimizers.SGD", "keras.src.optimizers.sgd.SGD")
    defaults = {"learning_rate": 0.01, "momentum": 0.0, "coupled_weight_decay": 0.0}
    return Ours(f"keras_resnet.{name}", (*places, "keras.src.optimizers.ALL_OBJECTS_DICT.sgd"), defaults)


def _networks(version: str, **options: object) -> tuple[Ours, ...]:
    module = f"keras.src.applications.resnet{version.lower().replace('v', '_v')}"
    return tuple(
        Ours(f"keras_resnet.ResNet{depth}", (f"{module}.ResNet{depth}{version}",), options) for depth in (50, 101, 152)
    )


SUITES = {
    "BatchNormalization": Suite(
        (
            Ours(
                "keras_resnet.BatchNormalization",
                ("keras.layers.BatchNormalization", "keras.src.layers.BatchNormalization"),
                {"momentum": 0.99, "epsilon": 1e-3},
            ),
        ),
        ("layers/normalization/batch_normalization_test.py", "export/saved_model_test.py", "export/torch_test.py"),
    ),
    "SGD": Suite(
        (_optimizer("SGD"),),
        (
            "optimizers/sgd_test.py",
            "optimizers/optimizer_test.py",
            "optimizers/optimizer_sparse_test.py",
            "optimizers/loss_scale_optimizer_test.py",
            "optimizers/multi_optimizer_test.py",
            "callbacks/swap_ema_weights_test.py",
            "backend/tensorflow/optimizer_distribute_test.py",
        ),
    ),
    # The files that compare no trained kernel with numbers, as LARS gives each kernel another rate.
    "LARS": Suite(
        (_optimizer("LARS"),),
        ("optimizers/sgd_test.py", "optimizers/optimizer_sparse_test.py", "optimizers/loss_scale_optimizer_test.py"),
    ),
    "ResidualNetwork": Suite(
        (
            Ours(
                "keras_resnet.ResidualNetwork",
                (
                    "keras.src.models.functional_test.Functional",
                    "keras.src.models.model_test.Functional",
                    "keras.src.models.model_test.Model",
                ),
            ),
        ),
        ("models/functional_test.py", "models/model_test.py"),
    ),
    "networks": Suite(
        (
            *_networks("", pool_padding="symmetric"),
            *_networks("V2", preactivation="slim", bottleneck_stride="3x3", pool_padding="symmetric"),
        ),
        ("applications/applications_test.py",),
        only="ResNet50 or ResNet101 or ResNet152",
    ),
    "layers": Suite((), ("layers_of_ours.py",)),
}

_WEIGHT_DECAY = "`weight_decay` of Keras is refused: it bypasses the momentum"
_SPARSE = "the norm of a sparse gradient is not computed on JAX; residual networks have none"
_NO_GRAPH = "the test makes a subclass without a graph, and a `ResidualNetwork` is one"

EXPECTED: dict[str, dict[str, str]] = {
    "SGD": {
        "sgd_test.py::SGDTest::test_config": _WEIGHT_DECAY,
        "sgd_test.py::SGDTest::test_weight_decay": _WEIGHT_DECAY,
        "loss_scale_optimizer_test.py::LossScaleOptimizerTest::test_config": _WEIGHT_DECAY,
        "optimizer_test.py::OptimizerTest::test_gradient_accumulation_with_weigth_decay1": _WEIGHT_DECAY,
        "tensorflow: optimizer_distribute_test.py::OptimizerDistributeTest::test_config": _WEIGHT_DECAY,
        "tensorflow: optimizer_distribute_test.py::OptimizerDistributeTest::test_weight_decay": _WEIGHT_DECAY,
    },
    "LARS": {
        "sgd_test.py::SGDTest::test_config": _WEIGHT_DECAY,
        "sgd_test.py::SGDTest::test_weight_decay": _WEIGHT_DECAY,
        "loss_scale_optimizer_test.py::LossScaleOptimizerTest::test_config": _WEIGHT_DECAY,
        **{
            f"jax: optimizer_sparse_test.py::OptimizerSparseTest::test_sparse_{claim}_{optimizer}": _SPARSE
            for claim in ("correctness", "gradients")
            for optimizer in ("loss_scale_optimizer_sgd", "sgd", "sgd_momentum", "sgd_momentum_nesterov")
        },
    },
    "ResidualNetwork": {
        "model_test.py::ModelTest::test_get_state_tree_with_duplicate_path": _NO_GRAPH,
        "model_test.py::ModelTest::test_layers_setter": _NO_GRAPH,
        "model_test.py::ModelTest::test_quantize_unbuilt_float8": _NO_GRAPH,
        "model_test.py::ModelTest::test_quantize_unbuilt_int8": _NO_GRAPH,
        "model_test.py::ModelTest::test_tuple_input_model_subclass": _NO_GRAPH,
    },
}
"""Reasons by suite and test; a test of one backend alone has its name in front."""


def expected(suite: str, backend: str) -> dict[str, str]:
    """The tests of a suite that cannot pass on a backend, with the reasons."""
    rows = EXPECTED.get(suite, {})
    own, elsewhere = f"{backend}: ", tuple(f"{other}: " for other in BACKENDS)
    return {
        test.removeprefix(own): reason
        for test, reason in rows.items()
        if test.startswith(own) or not test.startswith(elsewhere)
    }


def surprises(outcomes: dict[str, str], theirs: dict[str, str], reasons: dict[str, str]) -> list[str]:
    """What is not as the table says.

    Args:
        outcomes: "passed", "failed" or "skipped" by test, with ours in place.
        theirs: The same of those that failed, with Keras's own in place: what fails there, too, is no fault of ours.
        reasons: The tests that cannot pass.
    """
    failed = {test for test, outcome in outcomes.items() if outcome == "failed" and theirs.get(test) != "failed"}
    return [
        *(f"{test} fails with ours, and passes with Keras's" for test in sorted(failed - set(reasons))),
        *(f"{test} passes now: take it off the table" for test in sorted(reasons) if outcomes.get(test) == "passed"),
        *(f"{test} is not among Keras's tests: take it off the table" for test in sorted(set(reasons) - set(outcomes))),
    ]

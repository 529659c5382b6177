"""Errors of the compiler become what a person can act on."""

from __future__ import annotations

import pytest

from keras_resnet.preflight.compilation import DoesNotFitError, compiled, sizes

MESSAGES = {
    "RESOURCE_EXHAUSTED: E1000: CompileTimeHbmOom: Ran out of memory on HBM, the total memory required for HLO "
    "temporaries (34.18G) exceeds available HBM (15.75G). HLO module: jit_f.": (34.18, 15.75),
    "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 17.50G of 15.75G hbm. Exceeded": (17.5, 15.75),
    "temporaries (512.00M) exceeds available HBM (0.25G)": (0.5, 0.25),
    "RESOURCE_EXHAUSTED: something else": (None, None),
}


@pytest.mark.parametrize("message", MESSAGES)
def test_sizes_are_read(message):
    assert sizes(message) == MESSAGES[message]
    error = DoesNotFitError(message)
    assert (error.needed, error.allowed) == MESSAGES[message]


def test_the_error_says_how_much():
    assert "34.18 GiB of the 15.75 GiB" in str(DoesNotFitError(next(iter(MESSAGES))))
    assert "more than a device has" in str(DoesNotFitError("RESOURCE_EXHAUSTED"))


def test_another_failure_of_the_compiler_is_shown_with_what_may_help():
    jax = pytest.importorskip("jax")

    class Lowered:
        def compile(self):
            raise jax.errors.JaxRuntimeError("INTERNAL: RET_CHECK failure\nmore of it")

    with pytest.raises(
        ValueError, match="It says: INTERNAL: RET_CHECK failure. Choose another slice, another batch, or"
    ):
        compiled(Lowered)

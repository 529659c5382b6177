"""Networks with the graph that version 0.2 gave them: projections, and rematerialized blocks, with layers inside."""

import pytest

from keras_resnet.models import resnet
from keras_resnet.models.layers import SHORTCUTS, ProjectionShortcut, shortcuts


def _one_layer(x, filters, strides, *, activated=None, **options):
    if activated is None:
        return ProjectionShortcut(filters, strides, **options)(x)
    return ProjectionShortcut(filters, strides, normalize=False, **options)(activated)


def as_in_0_2(*arguments, remat=False, **options):
    """`CifarResNet` as it was."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shortcuts, "projection", _one_layer)
        patch.setitem(SHORTCUTS, "C", _one_layer)
        if remat:
            patch.setattr(resnet, "REMAT_DEPTH", 0)
        return resnet.CifarResNet(*arguments, remat=remat, **options)

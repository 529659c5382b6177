"""Tensors of any framework as arrays of NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np


def float32_of(tensor: Any, name: str, source: object) -> np.ndarray:
    """The values of a tensor, whatever its precision, its device, and whether it has a gradient.

    Args:
        tensor: Of NumPy, PyTorch, TensorFlow or JAX; or numbers.
        name: Its name, for errors.
        source: Where it is from, for errors.

    Raises:
        ValueError: naming it, if it has values of another kind, values that are not finite, or none.
    """
    if hasattr(tensor, "detach"):
        tensor = _of_torch(tensor, name, source)
    try:
        array = np.asarray(tensor)
        numbers = array.dtype.kind in "fiub" or (array.dtype.kind == "V" and array.dtype.fields is None)
        with np.errstate(over="ignore"):  # a value too great for float32 is infinite then, and refused
            values = array.astype("float32") if numbers else None
    except (TypeError, ValueError, RuntimeError) as error:
        raise refusal(name, source, f"of type {type(tensor).__name__}, which NumPy cannot hold") from error
    if values is None:
        raise refusal(name, source, f"dtype={array.dtype}")
    if not np.isfinite(values).all():
        raise ValueError(f"The weights in {source} must be finite. {name} is not; get the file again")
    return values


def refusal(name: str, source: object, received: str) -> ValueError:
    """The error for a tensor that is no weight."""
    return ValueError(f"Every tensor in {source} must hold real numbers. Received: {name!r}, {received}")


def _of_torch(tensor: Any, name: str, source: object) -> Any:
    """A tensor of PyTorch in a form that NumPy takes; quantized and sparse ones are written out."""
    if tensor.device.type == "meta":
        raise refusal(name, source, "on the device 'meta', without values")
    if tensor.is_complex():
        raise refusal(name, source, f"dtype={tensor.dtype}")
    try:
        tensor = tensor.detach()
        if tensor.is_quantized:
            tensor = tensor.dequantize()
        if str(tensor.layout) != "torch.strided":
            tensor = tensor.to_dense()
        return tensor.cpu().float().numpy()
    except (TypeError, ValueError, RuntimeError) as error:
        raise refusal(name, source, f"dtype={tensor.dtype}, layout={tensor.layout}, which NumPy cannot hold") from error

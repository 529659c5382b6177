"""Runtimes of exported networks, each format's own, in float32 on the CPU."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from keras_resnet.models import compiled

Run = Callable[[np.ndarray], np.ndarray]
"""From images [batch, height, width, channels] to outputs float32 [batch, classes]."""


def run_keras(network: keras.Model) -> Run:
    """The network itself, compiled by the backend, which computes on all cores."""
    return compiled.of_images(network)


def _saved_model(path: Path, threads: int) -> Run:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    return lambda images: loaded.serve(tf.constant(images)).numpy()


def _onnx(path: Path, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    [image] = session.get_inputs()
    return lambda images: session.run(None, {image.name: images})[0]


def _litert(path: Path, threads: int) -> Run:
    import tensorflow as tf

    with warnings.catch_warnings():  # that a later TensorFlow will leave the interpreter to another package
        warnings.filterwarnings("ignore", "(?s).*tf.lite.Interpreter is deprecated")
        interpreter = tf.lite.Interpreter(str(path), num_threads=threads)
    [image], [output] = interpreter.get_input_details(), interpreter.get_output_details()
    allocated = None

    def run(images: np.ndarray) -> np.ndarray:
        nonlocal allocated
        if images.shape != allocated:
            interpreter.resize_tensor_input(image["index"], images.shape, strict=True)
            interpreter.allocate_tensors()
            allocated = images.shape
        interpreter.set_tensor(image["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(output["index"])

    return run


def _openvino(path: Path, threads: int) -> Run:
    import openvino

    # Where the CPU has bfloat16, OpenVINO would compute in it.
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(path, "CPU", settings)
    # Not with the caller's own memory, which OpenVINO would go on to write its results into.
    return lambda images: compiled(images, share_inputs=False)[0]


def _torch(path: Path, threads: int) -> Run:
    import torch

    torch.set_num_threads(threads)
    module = torch.export.load(path).module()

    def run(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return module(torch.from_numpy(images)).numpy()

    return run


RUNTIMES: dict[str, Callable[[Path, int], Run]] = {
    "saved-model": _saved_model,
    "onnx": _onnx,
    "litert": _litert,
    "openvino": _openvino,
    "torch": _torch,
}
"""Format -> function of a file and a number of threads. TensorFlow has as many threads as there are cores."""

"""Batch normalization with statistics of as many images as are wanted, on one replica or several."""

from __future__ import annotations

import inspect

import keras
from keras import ops

from keras_resnet.models.layers.batch_statistics import BACKENDS

SERVED_DTYPES = ("float16", "bfloat16", "float32")


@keras.saving.register_keras_serializable(package="keras_resnet")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalization with the same variables in the same order, so that weights interchange.

    Four things differ:

    - On TensorFlow, images are normalized by the fused kernel, in float16, bfloat16 or float32 with float32 statistics.
      On JAX, statistics of float16 and bfloat16 are float32 sums of one pass. Keras computes the same from more kernels
      or passes; on other backends this layer is Keras's.
    - Each replica updates moving statistics of its own. Replicas are those of a `tf.distribute.Strategy`, where reading
      the statistics outside of them gives their mean, and Keras's layer saves those of the first; or those of
      `jax.shard_map` with `check_vma=False` over an axis called `"data"`, where the training has to average them.
    - `normalization_batch_size` is the number of images over which training takes its statistics, whatever the devices.
    - `momentum` and `epsilon` default to the values that ResNets are trained with.

    The moving variance takes the biased variance of the batch, as in Keras.

    Args:
        axis: That of the channels.
        momentum: Share of the old moving statistics in the new, in [0, 1].
        epsilon: Added to the variance.
        *args: The remaining arguments of `keras.layers.BatchNormalization`, in its order.
        **kwargs: The same by keyword. `synchronized` takes the statistics of a batch over all replicas (TensorFlow
            and JAX). Replicas count by their images, of which some may have more than others.

    Attributes:
        normalization_batch_size: Images that share their statistics in training (TensorFlow and JAX): consecutive
            images of a replica, or all images of consecutive replicas. None: those of a replica, or of all replicas
            where `synchronized`. It belongs to a training and is not saved; `set_normalization_batch_size` sets it in a
            whole network, before the training is traced.

    Input shape:
        Any; TensorFlow's fused kernel serves rank 4 with the channels last. With `normalization_batch_size`, any with
        the images first.

    Output shape:
        That of the input.

    Raises:
        ValueError: In training, if the images cannot be divided as `normalization_batch_size` demands, or if it is set
            on another backend than these two, for float64, or together with a mask or with renormalization.

    Reference:
        Ioffe and Szegedy, 2015. He et al., 2015, Section 3.4 (after each convolution, before the activation). Wu and
        Johnson, 2021, Section 4 (the normalization batch size).

    Differs from the paper:
        The paper's moving statistics were replaced by an exact average after training. Here they are exponential moving
        averages, unless `precise_statistics` of a training is above 0, as in the paper's recipes for ImageNet.
    """

    normalization_batch_size: int | None = None

    def __init__(self, axis: int = -1, momentum: float = 0.9, epsilon: float = 1e-5, *args, **kwargs):
        given = inspect.signature(super().__init__).bind(axis, momentum, epsilon, *args, **kwargs)
        synchronized = given.arguments.get("synchronized", False)
        if keras.backend.backend() in BACKENDS:
            given.arguments.pop("synchronized", None)  # Keras's layer refuses it where it cannot do it by itself
        super().__init__(*given.args, **given.kwargs)
        self.synchronized = synchronized

    def add_weight(self, shape=None, initializer=None, trainable=True, **kwargs):
        if trainable:
            return super().add_weight(shape=shape, initializer=initializer, trainable=True, **kwargs)
        # `Layer.add_weight` has no `synchronization`; a variable that is set as an attribute is tracked all the same.
        return keras.Variable(
            initializer,
            shape=shape,
            dtype=self.variable_dtype,
            trainable=False,
            autocast=False,
            synchronization="on_read",
            aggregation="mean",
            name=kwargs["name"],
        )

    def communicates(self, images: int | None) -> bool:
        """Whether training on a replica's `images` takes statistics over several replicas of the current strategy.

        Raises:
            ValueError: If the images cannot be divided as `normalization_batch_size` demands.
        """
        return self.trainable and keras.backend.backend() in BACKENDS and self._groups(images)[1] > 1

    def call(self, inputs, training=None, mask=None):
        batch_statistics = bool(training and self.trainable)
        if batch_statistics and self.normalization_batch_size is not None:
            self._check_support(inputs, mask)
            return self._train(inputs)
        if mask is None and self._is_served(inputs):
            return self._train(inputs) if batch_statistics else self._infer(inputs)
        return super().call(inputs, training=training, mask=mask)

    def _is_served(self, inputs) -> bool:
        statistics = BACKENDS.get(keras.backend.backend())
        return (
            statistics is not None
            and statistics.serves(inputs.shape, self.axis, affine=self.center and self.scale)
            and keras.backend.standardize_dtype(inputs.dtype) in SERVED_DTYPES
            and not getattr(self, "renorm", False)  # older versions of Keras cannot renormalize
        )

    def _check_support(self, inputs, mask) -> None:
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        causes = {
            f"the {keras.backend.backend()} backend": keras.backend.backend() not in BACKENDS,
            f"inputs of type {dtype}": dtype not in SERVED_DTYPES,
            "a mask": mask is not None,
            "renorm=True": getattr(self, "renorm", False),
        }
        for cause in (cause for cause, holds in causes.items() if holds):
            raise ValueError(
                f"`normalization_batch_size` must be None except on the {' and '.join(BACKENDS)} backends, for inputs "
                f"of type {', '.join(SERVED_DTYPES)}, without a mask and without renormalization. "
                f"Received: normalization_batch_size={self.normalization_batch_size} with {cause}"
            )

    def _groups(self, images: int | None) -> tuple[int, int]:
        """The number of groups in a replica's images and the number of replicas in a group; one of the two is 1."""
        replicas = BACKENDS[keras.backend.backend()].replicas()
        size = self.normalization_batch_size
        if size is None:
            return 1, replicas if self.synchronized else 1
        if images is None:
            raise ValueError(
                "`normalization_batch_size` must be None for batches of unknown size. Received: "
                f"normalization_batch_size={size}. Batch the images with `drop_remainder=True`"
            )
        if size >= 1 and images % size == 0:
            return images // size, 1
        if size >= 1 and size % images == 0 and images * replicas % size == 0:
            return 1, size // images
        raise ValueError(
            f"`normalization_batch_size` must divide the {images} images of a replica, or be a multiple of them that "
            f"divides the {images * replicas} images of all replicas. Received: normalization_batch_size={size}"
        )

    def _scale_and_offset(self, channels: int):
        gamma = ops.cast(self.gamma, "float32") if self.scale else ops.ones([channels], "float32")
        beta = ops.cast(self.beta, "float32") if self.center else ops.zeros([channels], "float32")
        return gamma, beta

    def _infer(self, inputs):
        x = _moved(inputs, self.axis, -1)
        parameters = (*self._scale_and_offset(x.shape[-1]), *self._moving_statistics())
        outputs = BACKENDS[keras.backend.backend()].infer(x, *parameters, self.epsilon)
        return ops.cast(_moved(outputs, -1, self.axis), self.compute_dtype)

    def _moving_statistics(self):
        return ops.cast(self.moving_mean, "float32"), ops.cast(self.moving_variance, "float32")

    def _train(self, inputs):
        """Normalizes images of any shape and updates the moving statistics."""
        groups, replicas = self._groups(inputs.shape[0])
        x = _moved(inputs, self.axis, -1)
        outputs, *moments = BACKENDS[keras.backend.backend()].train(
            x, *self._scale_and_offset(x.shape[-1]), self.epsilon, groups=groups, replicas=replicas
        )
        self.update_moving_statistics(*moments)
        return ops.cast(_moved(outputs, -1, self.axis), self.compute_dtype)

    def update_moving_statistics(self, mean, variance) -> None:
        """Moves the statistics towards a mean and a biased variance, float32 [channels]."""
        moving_mean, moving_variance = self._moving_statistics()
        self.moving_mean.assign(moving_mean + (mean - moving_mean) * (1.0 - self.momentum))
        self.moving_variance.assign(moving_variance + (variance - moving_variance) * (1.0 - self.momentum))


def _moved(x, source: int, destination: int):
    """A tensor with an axis in another place; of one whose axis is there, the graph shows nothing."""
    rank = len(x.shape)
    return x if source % rank == destination % rank else ops.moveaxis(x, source, destination)


def set_normalization_batch_size(model: keras.Model, images: int | None) -> None:
    """Sets the number of images over which training takes its statistics, in every `BatchNormalization` of a network.

    Those in nested models and in `Rematerialized` blocks are among them. What was traced before stays as it was.

    Args:
        model: The network.
        images: At least 1; None for the images of a replica, or of all replicas where a layer is `synchronized`.

    Raises:
        ValueError: If `images` is less than 1.

    Reference:
        Wu and Johnson, 2021, "Rethinking 'Batch' in BatchNorm".
    """
    if images is not None and images < 1:
        raise ValueError(f"`images` must be at least 1, or None. Received: images={images}")
    for layer in model._flatten_layers():
        if isinstance(layer, BatchNormalization):
            layer.normalization_batch_size = images

"""Batch normalization, fused on TensorFlow, with right statistics under `tf.distribute`."""

from __future__ import annotations

import keras
from keras import ops

FUSED_DTYPES = ("float16", "bfloat16", "float32")


@keras.saving.register_keras_serializable(package="keras_resnet")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalization with the same variables in the same order, so that weights interchange.

    Four things differ:

    - On TensorFlow, images are normalized by the fused kernel, in float16, bfloat16 or float32 with float32 statistics.
      Keras computes the same from several kernels; on other backends this layer is Keras's.
    - Under a `tf.distribute.Strategy` each replica updates moving statistics of its own, and reading them outside of
      the replicas gives their mean. Keras's layer saves those of the first replica.
    - `normalization_batch_size` is the number of images over which training takes its statistics, whatever the devices.
    - `momentum` and `epsilon` default to the values that ResNets are trained with.

    The moving variance takes the biased variance of the batch, as in Keras.

    Args:
        axis: That of the channels.
        momentum: Share of the old moving statistics in the new, in [0, 1].
        epsilon: Added to the variance.
        *args: The remaining arguments of `keras.layers.BatchNormalization`, in its order.
        **kwargs: The same by keyword. `synchronized` takes the statistics of a batch over all replicas (TensorFlow
            only). Replicas count by their images, of which some may have more than others.

    Attributes:
        normalization_batch_size: Images that share their statistics in training (TensorFlow only): consecutive images
            of a replica, or all images of consecutive replicas. None: those of a replica, or of all replicas where
            `synchronized`. It belongs to a training and is not saved; `set_normalization_batch_size` sets it in a
            whole network, before the training is traced.

    Input shape:
        Any; the fused kernel serves rank 4 with the channels last. With `normalization_batch_size`, any with the images
        first.

    Output shape:
        That of the input.

    Raises:
        ValueError: In training, if the images cannot be divided as `normalization_batch_size` demands, or if it is set
            on another backend than TensorFlow, for float64, or together with a mask or with renormalization.

    Reference:
        Ioffe and Szegedy, 2015. He et al., 2015, Section 3.4 (after each convolution, before the activation). Wu and
        Johnson, 2021, Section 4 (the normalization batch size).

    Differs from the paper:
        The paper's moving statistics were replaced by an exact average after training. Here they are exponential moving
        averages, unless `precise_statistics` of a training is above 0, as in the paper's recipes for ImageNet.
    """

    normalization_batch_size: int | None = None

    def __init__(self, axis: int = -1, momentum: float = 0.9, epsilon: float = 1e-5, *args, **kwargs):
        super().__init__(axis, momentum, epsilon, *args, **kwargs)

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
        return self.trainable and keras.backend.backend() == "tensorflow" and self._groups(images)[1] > 1

    def call(self, inputs, training=None, mask=None):
        batch_statistics = bool(training and self.trainable)
        if batch_statistics and self.normalization_batch_size is not None:
            self._check_support(inputs, mask)
            return self._regrouped(inputs)
        if mask is None and self._has_fused_kernel(inputs):
            return self._train(inputs) if batch_statistics else self._infer(inputs)
        return super().call(inputs, training=training, mask=mask)

    def _has_fused_kernel(self, inputs) -> bool:
        return (
            keras.backend.backend() == "tensorflow"
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and keras.backend.standardize_dtype(inputs.dtype) in FUSED_DTYPES
            and self.center
            and self.scale
            and not getattr(self, "renorm", False)  # older versions of Keras cannot renormalize
        )

    def _check_support(self, inputs, mask) -> None:
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        causes = {
            f"the {keras.backend.backend()} backend": keras.backend.backend() != "tensorflow",
            f"inputs of type {dtype}": dtype not in FUSED_DTYPES,
            "a mask": mask is not None,
            "renorm=True": getattr(self, "renorm", False),
        }
        for cause in (cause for cause, holds in causes.items() if holds):
            raise ValueError(
                "`normalization_batch_size` must be None except on the tensorflow backend, for inputs of type "
                f"{', '.join(FUSED_DTYPES)}, without a mask and without renormalization. "
                f"Received: normalization_batch_size={self.normalization_batch_size} with {cause}"
            )

    def _groups(self, images: int | None) -> tuple[int, int]:
        """The number of groups in a replica's images and the number of replicas in a group; one of the two is 1."""
        import tensorflow as tf

        context = tf.distribute.get_replica_context()  # None where no replica runs
        replicas = context.num_replicas_in_sync if context else 1
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

    def _regrouped(self, inputs):
        """Images of any shape through the kernel, which takes float [images, positions, 1, channels]."""
        import tensorflow as tf

        images, channels = inputs.shape[0], inputs.shape[self.axis]
        self._groups(images)  # or there is no telling the images from the positions
        if len(inputs.shape) == 4 and self.axis in (-1, 3):
            return self._train(inputs)
        last = ops.moveaxis(inputs, self.axis, -1)
        outputs = self._train(tf.reshape(last, [images, -1, 1, channels]))
        return ops.moveaxis(tf.reshape(outputs, tf.shape(last)), -1, self.axis)

    def _scale_and_offset(self, channels: int):
        gamma = ops.cast(self.gamma, "float32") if self.scale else ops.ones([channels], "float32")
        beta = ops.cast(self.beta, "float32") if self.center else ops.zeros([channels], "float32")
        return gamma, beta

    def _infer(self, inputs):
        gamma, beta = self._scale_and_offset(inputs.shape[-1])
        mean, variance = (ops.cast(w, "float32") for w in (self.moving_mean, self.moving_variance))
        return ops.cast(_normalize(inputs, gamma, beta, mean, variance, self.epsilon), self.compute_dtype)

    def _train(self, inputs):
        """Normalizes images [images, height, width, channels] and updates the moving statistics."""
        groups, replicas = self._groups(inputs.shape[0])
        parameters = (*self._scale_and_offset(inputs.shape[-1]), self.epsilon)
        if replicas > 1:
            outputs, mean, variance = _normalize_over_replicas(inputs, *parameters, replicas)
        else:
            outputs, mean, variance = _normalize_groups(inputs, *parameters, groups)
        moving_mean, moving_variance = (ops.cast(w, "float32") for w in (self.moving_mean, self.moving_variance))
        self.moving_mean.assign(moving_mean + (mean - moving_mean) * (1.0 - self.momentum))
        self.moving_variance.assign(moving_variance + (variance - moving_variance) * (1.0 - self.momentum))
        return ops.cast(outputs, self.compute_dtype)


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


def _normalize(x, gamma, beta, mean, variance, epsilon: float):
    """Normalizes [images, height, width, channels] by statistics float32 [channels]."""
    import tensorflow as tf

    given = {"mean": mean, "variance": variance, "epsilon": epsilon, "is_training": False}
    return tf.compat.v1.nn.fused_batch_norm(x, gamma, beta, **given)[0]


def _normalize_by_own(x, gamma, beta, epsilon: float):
    """Normalizes [images, height, width, channels] by its own mean and biased variance float32 [channels]."""
    import tensorflow as tf

    outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(x, gamma, beta, epsilon=epsilon)
    size = tf.cast(tf.size(x) // tf.shape(x)[-1], "float32")
    return outputs, mean, variance * ((size - 1.0) / size)


def _normalize_groups(x, gamma, beta, epsilon: float, groups: int):
    """Normalizes each of the groups by its own statistics; returns the means of the groups' statistics as well."""
    import tensorflow as tf

    if groups == 1:
        return _normalize_by_own(x, gamma, beta, epsilon)
    parts = [_normalize_by_own(part, gamma, beta, epsilon) for part in tf.split(x, groups)]
    outputs, means, variances = zip(*parts, strict=True)
    return tf.concat(outputs, 0), tf.add_n(means) / groups, tf.add_n(variances) / groups


def _normalize_over_replicas(x, gamma, beta, epsilon: float, replicas: int):
    """Normalizes by the mean and biased variance over all images of `replicas` replicas.

    The gradients of gamma and beta are those of this replica's outputs, which the training adds up; the gradient of `x`
    is that of the outputs of the whole group.
    """
    import tensorflow as tf

    # The kernel measures faster than sums do, even though its outputs are thrown away.
    _, mean, variance = _normalize_by_own(x, gamma, beta, epsilon)
    size = tf.fill(tf.shape(mean), tf.cast(tf.size(x) // tf.shape(x)[-1], "float32"))
    # A replica without images has no mean.
    sums = [tf.math.multiply_no_nan(moment, size) for moment in (mean, variance + mean**2)]
    total, squares, size = tf.unstack(_group_sum(tf.stack([*sums, size]), replicas))
    mean = total / size
    variance = tf.maximum(squares / size - mean**2, 0.0)

    @tf.custom_gradient
    def normalize(x, gamma, beta):
        def gradient(d_outputs):
            # As if the statistics were constants: gamma / std * d_outputs, and the two sums over this replica.
            d_x, d_gamma, d_beta, _, _ = tf.raw_ops.FusedBatchNormGradV3(
                y_backprop=d_outputs,
                x=x,
                scale=gamma,
                reserve_space_1=mean,
                reserve_space_2=variance,
                reserve_space_3=[],
                epsilon=epsilon,
                is_training=False,
            )
            through_statistics = _group_sum(tf.stack([d_gamma, d_beta]), replicas) / size
            slope, offset = tf.unstack(through_statistics * -gamma * tf.math.rsqrt(variance + epsilon))
            return d_x + _normalize(x, slope, offset, mean, variance, epsilon), d_gamma, d_beta

        return _normalize(x, gamma, beta, mean, variance, epsilon), gradient

    return normalize(x, gamma, beta), mean, variance


def _group_sum(values, replicas: int):
    """The sum of a tensor over the replicas of a group, which are consecutive, by one collective for all groups."""
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    groups = context.num_replicas_in_sync // replicas
    if groups == 1:
        return context.all_reduce("SUM", values)
    group = context.replica_id_in_sync_group // replicas
    # Not multiplied by zero: what overflows in one group would come to the others as NaN.
    own = tf.reshape(tf.range(groups) == group, [groups] + [1] * len(values.shape))
    return tf.gather(context.all_reduce("SUM", tf.where(own, values, 0.0)), group)

"""Stochastic gradient descent as in the paper: Caffe's momentum, and a weight decay that is part of the gradient.

Three forms are in use, and they part company as soon as the learning rate changes or the weights decay:

- Caffe, the paper and Keras keep the learning rate inside the momentum, PyTorch outside: equal only while the rate is
  constant.
- Caffe and PyTorch add `weight_decay * weights` to the gradient; the `weight_decay` of Keras's optimizers shrinks the
  weights beside the momentum instead, which at a momentum of 0.9 is about ten times weaker.
- The paper decays the kernels alone; many ports decay biases and batch normalization too.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_resnet")
class SGD(keras.optimizers.SGD):
    """Gradient descent with Caffe's momentum and coupled weight decay on kernels.

    For a weight `w`, its gradient `g` and its momentum `v`:

        g += coupled_weight_decay * w          kernels of convolutions and dense layers only
        v = momentum * v - learning_rate * g
        w += v                                 nesterov: w += momentum * v - learning_rate * g

    A kernel is a variable of rank 2 or more, so biases and the gamma and beta of batch normalization do not decay.
    Momentum and update have the variable's dtype: float32 under the policy "mixed_bfloat16" too.

    Args:
        learning_rate: A float, a schedule, or a callable without arguments.
        momentum: Float in [0, 1].
        nesterov: Whether to look ahead.
        weight_decay: None; Keras's, in the place that it has there.
        clipnorm: As in `keras.optimizers.SGD`, like the others up to `name`.
        clipvalue: The same.
        global_clipnorm: The same.
        use_ema: The same.
        ema_momentum: The same.
        ema_overwrite_frequency: The same.
        loss_scale_factor: The same.
        gradient_accumulation_steps: The same.
        name: Of the optimizer. None: one of its own, "sgd", "sgd_1", ….
        coupled_weight_decay: Float, at least 0; the paper's "weight decay".
        **kwargs: Of Keras's base class.

    Raises:
        ValueError: if `coupled_weight_decay` is negative, or Keras's `weight_decay` is set.

    Reference:
        He et al., 2015, Section 3.4.
    """

    def __init__(
        self,
        learning_rate=0.1,
        momentum: float = 0.9,
        nesterov: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        *,
        coupled_weight_decay: float = 1e-4,
        **kwargs,
    ):
        if weight_decay is not None:
            raise ValueError(
                f"`weight_decay` must be None: in Keras it bypasses the momentum, and is about ten times weaker than "
                f"the paper's. Received: weight_decay={weight_decay!r}. Set `coupled_weight_decay` instead"
            )
        if not coupled_weight_decay >= 0:
            raise ValueError(
                f"`coupled_weight_decay` must be at least 0. Received: coupled_weight_decay={coupled_weight_decay!r}"
            )
        super().__init__(
            learning_rate=learning_rate,
            momentum=momentum,
            nesterov=nesterov,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            loss_scale_factor=loss_scale_factor,
            gradient_accumulation_steps=gradient_accumulation_steps,
            name=name,
            **kwargs,
        )
        self.coupled_weight_decay = coupled_weight_decay

    def update_step(self, gradient, variable, learning_rate):
        """Updates one variable.

        Args:
            gradient: Tensor of the variable's shape.
            variable: A `keras.Variable`; on TensorFlow the `tf.Variable` of one replica.
            learning_rate: Scalar.
        """
        gradient = ops.cast(gradient, variable.dtype)
        if self.coupled_weight_decay and self._is_kernel(variable):
            gradient = gradient + self.coupled_weight_decay * variable
        if self.momentum and keras.backend.backend() == "tensorflow":
            self._fused_update(gradient, variable, learning_rate)
        else:
            super().update_step(gradient, variable, learning_rate)

    def _is_kernel(self, variable) -> bool:
        """Whether a variable decays."""
        return len(variable.shape) >= 2 and self._use_weight_decay(variable)

    def _fused_update(self, gradient, variable, learning_rate):
        """Keras's update as one node: less than half of the graph, and about 60% of the time to trace it."""
        import tensorflow as tf

        momentums = self.momentums[self._get_variable_index(variable)].value
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=momentums.handle,  # inside tf.distribute's update, the handle of the same replica
            lr=ops.cast(learning_rate, variable.dtype),
            grad=gradient,
            momentum=self.momentum,
            use_nesterov=self.nesterov,
        )

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        # Keras hands over the learning rate as a variable, which TensorFlow would read once more for each weight.
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            learning_rate = tf.convert_to_tensor(learning_rate)
        super()._backend_update_step(grads, trainable_variables, learning_rate)

    def get_config(self) -> dict:
        """The arguments, for saving."""
        config = super().get_config()
        del config["weight_decay"]
        return {**config, "coupled_weight_decay": self.coupled_weight_decay}


@keras.saving.register_keras_serializable(package="keras_resnet")
class LARS(SGD):
    """`SGD` in which each kernel has a learning rate of its own, for batches of many thousands of images.

    The learning rate of a kernel `w` with the gradient `g` is multiplied by

        trust_coefficient * |w| / (|g| + coupled_weight_decay * |w|)

    and is left as it is where `w` or `g` is zero, and of all that does not decay. The norms are taken over the whole
    variable, and over the gradient of the global batch.

    Args:
        learning_rate: A float, a schedule, or a callable without arguments.
        momentum: Float in [0, 1].
        nesterov: Whether to look ahead.
        *args: Of `SGD`, from `weight_decay` to `name`.
        coupled_weight_decay: Float, at least 0.
        trust_coefficient: Float above 0; the length of an update over that of the weights, at a learning rate of 1 and
            without momentum.
        **kwargs: Of `SGD`.

    Raises:
        ValueError: if `trust_coefficient` is not positive, or `SGD` refuses the rest.

    Reference:
        You et al., 2017, "Large Batch Training of Convolutional Networks", Algorithm 1.
    """

    def __init__(
        self,
        learning_rate=0.1,
        momentum: float = 0.9,
        nesterov: bool = False,
        *args,
        coupled_weight_decay: float = 1e-4,
        trust_coefficient: float = 0.001,
        **kwargs,
    ):
        if not trust_coefficient > 0:
            raise ValueError(f"`trust_coefficient` must be positive. Received: {trust_coefficient=}")
        super().__init__(learning_rate, momentum, nesterov, *args, coupled_weight_decay=coupled_weight_decay, **kwargs)
        self.trust_coefficient = trust_coefficient

    def update_step(self, gradient, variable, learning_rate):
        """Updates one variable; see `SGD.update_step`."""
        if self._is_kernel(variable):
            trust = self._trust(gradient, variable)
            learning_rate = ops.cast(learning_rate, trust.dtype) * trust
        super().update_step(gradient, variable, learning_rate)

    def _trust(self, gradient, variable):
        """What the learning rate of a kernel is multiplied by: a scalar of its dtype, but at least float32."""
        dtype = keras.backend.result_type(variable.dtype, "float32")
        weights, gradient = (ops.sqrt(ops.sum(ops.square(ops.cast(part, dtype)))) for part in (variable, gradient))
        opposed = gradient + self.coupled_weight_decay * weights
        both = ops.logical_and(weights > 0, gradient > 0)
        return ops.where(both, self.trust_coefficient * weights / ops.where(both, opposed, 1.0), 1.0)

    def get_config(self) -> dict:
        """The arguments, for saving."""
        return {**super().get_config(), "trust_coefficient": self.trust_coefficient}


def sgd(*, trust_coefficient: float | None = None, **settings) -> SGD:
    """One learning rate for all."""
    return SGD(**settings, name="SGD")


def lars(**settings) -> LARS:
    """A learning rate for each kernel."""
    return LARS(**settings, name="LARS")


OPTIMIZERS: dict[str, Callable[..., keras.optimizers.Optimizer]] = {"sgd": sgd, "lars": lars}
"""Optimizers by the name that a recipe gives them.

Each row takes every setting of a recipe's optimizer as a keyword argument (learning_rate, momentum, nesterov,
coupled_weight_decay, trust_coefficient) and reads those that concern it. Their own names never change: they are a part
of the names of variables in checkpoints.
"""

"""Stochastic gradient descent as the paper ran it: Caffe's momentum, and a weight decay that is part of the gradient.

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
        coupled_weight_decay: Float, at least 0; the paper's "weight decay".
        name: Of the optimizer.
        **kwargs: Of `keras.optimizers.SGD`: clipping, moving averages of the weights, gradient accumulation.

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
        coupled_weight_decay: float = 1e-4,
        name: str = "SGD",
        **kwargs,
    ):
        weight_decay = kwargs.pop("weight_decay", None)
        if weight_decay is not None:
            raise ValueError(
                f"`weight_decay` must be None: in Keras it bypasses the momentum, and is about ten times weaker than "
                f"the paper's. Received: weight_decay={weight_decay!r}. Set `coupled_weight_decay` instead"
            )
        if not coupled_weight_decay >= 0:
            raise ValueError(
                f"`coupled_weight_decay` must be at least 0. Received: coupled_weight_decay={coupled_weight_decay!r}"
            )
        super().__init__(learning_rate=learning_rate, momentum=momentum, nesterov=nesterov, name=name, **kwargs)
        self.coupled_weight_decay = coupled_weight_decay

    def update_step(self, gradient, variable, learning_rate):
        """Updates one variable.

        Args:
            gradient: Tensor of the variable's shape.
            variable: A `keras.Variable`; on TensorFlow the `tf.Variable` of one replica.
            learning_rate: Scalar.
        """
        gradient = ops.cast(gradient, variable.dtype)
        if self.coupled_weight_decay and len(variable.shape) >= 2 and self._use_weight_decay(variable):
            gradient = gradient + self.coupled_weight_decay * variable
        if self.momentum and keras.backend.backend() == "tensorflow":
            self._fused_update(gradient, variable, learning_rate)
        else:
            super().update_step(gradient, variable, learning_rate)

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


OPTIMIZERS: dict[str, Callable[..., keras.optimizers.Optimizer]] = {"sgd": SGD}
"""Optimizers by the name that a recipe gives them."""

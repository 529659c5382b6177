"""What one replica does in an iteration: the loss of its images, the gradients, and the update that all agree on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from keras_resnet.optimization import losses
from keras_resnet.training import optimizer_check
from keras_resnet.training.tensorflow.loss_scale import LossScale
from keras_resnet.training.tensorflow.moving_average import Average
from keras_resnet.training.variable_names import by_path


class Replica:
    """The functions that `tf.distribute` runs on every device.

    Gradients are summed over the replicas once, and everything that decides about them afterwards, such as whether they
    are finite, sees the sum, hence is the same everywhere.

    Args:
        model: From images to logits; built, like everything here, in the scope of the strategy.
        optimizer: Only its `update_step` is used.
        global_batch_size: Images in an iteration, over all replicas and parts.
        loss: From logits float32 [batch, classes] and labels int32 [batch] to the loss of each image, float32 [batch].
        global_clipnorm: The largest norm of the gradient over all weights.
        loss_scale: For float16.
        average: Follows the weights.
        xla: Whether to compile the gradients with XLA.

    Raises:
        ValueError: if the optimizer clips, averages, accumulates or decays by itself.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        *,
        global_batch_size: int,
        loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] = losses.cross_entropy,
        global_clipnorm: float | None = None,
        loss_scale: LossScale | None = None,
        average: Average | None = None,
        xla: bool = False,
    ):
        optimizer_check.check(optimizer)
        self.model = model
        self.optimizer = optimizer
        self.global_batch_size = global_batch_size
        self.loss = loss
        self.global_clipnorm = global_clipnorm
        self.loss_scale = loss_scale
        self.average = average
        if xla:
            self.gradients = tf.function(self.gradients, jit_compile=True, autograph=False)

    @property
    def variables(self) -> dict[str, dict[str, keras.Variable]]:
        """All that a checkpoint keeps, by its path, by what it belongs to."""
        parts = {"model": by_path(self.model.variables), "optimizer": by_path(self.optimizer.variables)}
        if self.loss_scale:
            parts["loss_scale"] = by_path(self.loss_scale.variables)
        if self.average:
            parts["average"] = self.average.variables
        return parts

    def statistics(self) -> list[tf.Tensor]:
        """What the forward pass changes, as it is before an iteration that may overflow; nothing without a loss scale.

        In each replica, as moving statistics differ.
        """
        return [tf.identity(variable.value) for variable in self._changed_by_forward_pass]

    @property
    def _changed_by_forward_pass(self) -> list[keras.Variable]:
        return self.model.non_trainable_variables if self.loss_scale else []

    def gradients(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """The replica's share of the loss, its misclassified images, and its scaled gradients.

        Args:
            images: uint8 [batch, height, width, channels].
            labels: int32 [batch].
        """
        with tf.GradientTape() as tape:
            logits = self.model(images, training=True)
            loss = tf.reduce_sum(self.loss(logits, labels)) / self.global_batch_size
            scaled = loss * self.loss_scale.scale.value if self.loss_scale else loss
        gradients = tape.gradient(scaled, self.model.trainable_variables)
        return loss, tf.math.count_nonzero(losses.misclassified(logits, labels)), gradients

    def update(self, gradients: Sequence[tf.Tensor], rate: tf.Tensor, before: Sequence[tf.Tensor] = ()) -> tf.Tensor:
        """Updates the weights; if the summed gradients overflowed, nothing changes, the moving statistics included.

        Without a loss scale this is not checked: weights that are not finite are found before they are saved.

        Args:
            gradients: Of this replica.
            rate: Learning rate.
            before: What `statistics` gave before the iteration.

        Returns:
            Whether the gradients are finite, the same in all replicas.
        """
        context = tf.distribute.get_replica_context()
        if context.num_replicas_in_sync > 1:
            gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, list(gradients))
        finite = tf.constant(True)
        if self.loss_scale:
            gradients = [gradient / self.loss_scale.scale.value for gradient in gradients]
            finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients])
        if self.global_clipnorm:
            gradients, _ = tf.clip_by_global_norm(gradients, self.global_clipnorm)
        context.merge_call(self._step, args=(list(gradients), rate, finite))
        for variable, old in zip(self._changed_by_forward_pass, before, strict=True):
            variable.assign(tf.where(finite, variable.value, old))
        if self.average:
            self.average.update(self.optimizer.iterations.value, finite)
        return finite

    def _step(self, strategy: tf.distribute.Strategy, gradients, rate, finite) -> None:
        """Updates each variable on each device; outside of the replicas, with all that they brought."""

        def one(variable, gradient, rate, finite):
            if not self.loss_scale:
                self.optimizer.update_step(gradient, variable, rate)
                return

            def step():
                self.optimizer.update_step(gradient, variable, rate)
                return tf.constant(0)

            tf.cond(finite, step, lambda: tf.constant(0))

        for variable, gradient in zip(self.model.trainable_variables, gradients, strict=True):
            strategy.extended.update(variable.value, one, args=(gradient, rate, finite), group=False)

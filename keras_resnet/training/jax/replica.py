"""What one replica does in an iteration: the loss of its images, the gradients, and the update that all agree on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from keras_resnet.models.layers.replicas import AXIS
from keras_resnet.optimization import losses
from keras_resnet.training import optimizer_check
from keras_resnet.training.jax import loss_scale, moving_average
from keras_resnet.training.jax.variables import Values
from keras_resnet.training.variable_names import prefixed

if TYPE_CHECKING:
    import jax

SEED = "seed_generator_state"
"""Name of a variable that random layers, such as dropout, draw from."""


class Replica:
    """The function that every device runs under `jax.shard_map`.

    Gradients are summed over the replicas once, and everything that decides about them afterwards, such as whether they
    are finite, sees the sum, hence is the same everywhere.

    Args:
        model: From images to logits.
        optimizer: Only its `update_step` is used.
        global_batch_size: Images in an iteration, over all replicas and parts.
        loss: From logits float32 [batch, classes] and labels int32 [batch] to the loss of each image, float32 [batch].
        global_clipnorm: The largest norm of the gradient over all weights.
        ema_momentum: Momentum of the moving average; None: no average.
        scale_loss: Whether the loss is scaled, for float16.

    Raises:
        ValueError: if the optimizer clips, averages, accumulates or decays by itself.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        *,
        global_batch_size: int,
        loss: Callable = losses.cross_entropy,
        global_clipnorm: float | None = None,
        ema_momentum: float | None = None,
        scale_loss: bool = False,
    ):
        optimizer_check.check(optimizer)
        self.model = model
        self.optimizer = optimizer
        self.global_batch_size = global_batch_size
        self.loss = loss
        self.global_clipnorm = global_clipnorm
        self.ema_momentum = ema_momentum
        self.scale_loss = scale_loss
        self._trainable = prefixed("model", model.trainable_variables)
        self._state = prefixed("model", model.non_trainable_variables)
        self._slots = prefixed("optimizer", optimizer.variables)
        counters = (optimizer.iterations, optimizer.learning_rate)
        self._iteration, self._rate = (f"optimizer/{variable.path}" for variable in counters)

    def iteration(self, values: Values, batches: Any, rate: jax.Array, read: Callable, *, unroll: bool) -> tuple:
        """One iteration.

        What a recipe calls float32 is computed in float32: a GPU of NVIDIA would round the factors of convolutions to
        11 bits (TF32), a TPU to 8 (bfloat16).

        Args:
            values: Of this replica, each of its variable's shape.
            batches: Arrays [parts, …]; each part is what `read` takes.
            rate: Learning rate, float32 scalar.
            read: From a part to the replica's images uint8 [batch, height, width, channels] and labels int32 [batch].
            unroll: Whether the program repeats the operations of a part, instead of a loop.

        Returns:
            (values, loss, misclassified images), the same in all replicas but for values that differ between them.
        """
        import jax

        with jax.default_matmul_precision("float32"):
            state, gradients, loss, misclassified = self._of_parts(values, batches, read, unroll)
            gradients, loss, misclassified = jax.lax.psum((gradients, loss, misclassified), AXIS)
            return self._updated(values, state, gradients, rate), loss, misclassified

    def _of_parts(self, values: Values, batches: Any, read: Callable, unroll: bool) -> tuple:
        """What the forward passes leave, the sum of scaled gradients, the loss, and the misclassified images."""
        import jax

        def part(carry: tuple, batch: Any) -> tuple:
            state, *sums = carry
            state, *more = self._gradients(values, state, *read(batch))
            return (state, *jax.tree.map(lambda total, one: total + one, sums, more)), None

        first, others = (jax.tree.map(lambda rows, k=k: rows[k], batches) for k in (0, slice(1, None)))
        carry = self._gradients(values, [values[name] for name in self._state], *read(first))
        if count := len(jax.tree.leaves(others)[0]):
            carry, _ = jax.lax.scan(part, carry, others, unroll=count if unroll else 1)
        return carry

    def _gradients(self, values: Values, state: Sequence, images: jax.Array, labels: jax.Array) -> tuple:
        """The state after a forward pass, the replica's scaled gradients, its loss, and its misclassified images."""
        import jax
        import jax.numpy as jnp

        def scaled_loss(trainable: list[jax.Array]) -> tuple:
            logits, after = self.model.stateless_call(trainable, self._with_own_seeds(state, 1), images, training=True)
            loss = ops.sum(self.loss(logits, labels)) / self.global_batch_size
            scaled = loss * values[loss_scale.SCALE] if self.scale_loss else loss
            return scaled, (self._with_own_seeds(after, -1), loss, logits)

        trainable = [values[name] for name in self._trainable]
        gradients, (state, loss, logits) = jax.grad(scaled_loss, has_aux=True)(trainable)
        return state, gradients, loss, jnp.count_nonzero(losses.misclassified(logits, labels)).astype(jnp.int32)

    def _with_own_seeds(self, state: Sequence, sign: int) -> list[jax.Array]:
        """The state with seeds that no other replica has, or the common ones again."""
        import jax

        index = sign * jax.lax.axis_index(AXIS)
        names = (variable.name for variable in self._state.values())
        return [
            value.at[0].add(index.astype(value.dtype)) if name == SEED else value
            for name, value in zip(names, state, strict=True)
        ]

    def _updated(self, values: Values, state: Sequence, gradients: Sequence, rate: jax.Array) -> Values:
        """The values after the iteration; if the summed gradients overflowed, only what is counted has changed.

        Without a loss scale this is not checked: weights that are not finite are found before they are saved.
        """
        import jax.numpy as jnp

        finite = None
        if self.scale_loss:
            gradients = [gradient / values[loss_scale.SCALE] for gradient in gradients]
            finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(gradient)) for gradient in gradients]))
        if self.global_clipnorm:
            gradients = _clipped(gradients, self.global_clipnorm)
        after = values | dict(zip(self._state, state, strict=True)) | self._step(values, gradients, rate)
        if self.ema_momentum is not None:
            after |= moving_average.followed(after, after[self._iteration], self.ema_momentum)
        if finite is not None:
            kept = values.keys() - {self._iteration, self._rate}
            after |= {name: jnp.where(finite, after[name], values[name]) for name in kept}
            after |= loss_scale.adjusted(values[loss_scale.SCALE], values[loss_scale.FINITE_ITERATIONS], finite)
        return after

    def _step(self, values: Values, gradients: Sequence, rate: jax.Array) -> Values:
        """The weights and the optimizer's variables after the update."""
        variables = self._trainable | self._slots
        now = [(variable, values[name]) for name, variable in variables.items()]
        with keras.StatelessScope(state_mapping=now) as scope:
            self.optimizer.learning_rate.assign(rate)
            self.optimizer.iterations.assign_add(1)
            for variable, gradient in zip(self._trainable.values(), gradients, strict=True):
                self.optimizer.update_step(gradient, variable, rate)
        return {name: scope.get_current_value(variable) for name, variable in variables.items()}


def _clipped(gradients: Sequence, largest: float) -> list:
    """The gradients, scaled down to a norm over all of them."""
    norm = ops.sqrt(sum(ops.sum(ops.square(gradient)) for gradient in gradients))
    return [gradient * (largest / ops.maximum(norm, largest)) for gradient in gradients]

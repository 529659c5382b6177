"""Everything in a training that is a variable, as arrays on the devices, and as arrays that a checkpoint can hold."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_resnet.models.layers.replicas import AXIS
from keras_resnet.training import variable_names
from keras_resnet.training.jax import loss_scale, moving_average
from keras_resnet.training.jax.mesh import in_replicas, placed
from keras_resnet.training.variable_names import by_path

if TYPE_CHECKING:
    import jax

Values = dict[str, "jax.Array"]
"""The arrays of a training by names such as `model/conv1_conv/kernel`."""


class Layout:
    """The names, shapes and types of a training's values, and which of them differ between replicas; no device has any.

    Args:
        network: Whose variables are values.
        optimizer: The same; None where only the network's are wanted.
        averages: Whether each variable of the network has a moving average.
        scales_loss: Whether there is a scale of the loss.

    Attributes:
        keras: Keras's variables by the names of their values.
        apart: Names of those that differ between replicas, such as moving statistics.
        shapes: Shape and type of each value, those that differ as one replica has them.
    """

    def __init__(
        self,
        network: keras.Model,
        optimizer: keras.optimizers.Optimizer | None = None,
        *,
        averages: bool = False,
        scales_loss: bool = False,
    ):
        parts = {"model": by_path(network.variables), "optimizer": by_path(optimizer.variables if optimizer else ())}
        common, apart = variable_names.named(parts)
        self.keras = common | apart
        of_network = [name for name in self.keras if name.startswith(moving_average.MODEL)] if averages else []
        floats = [name for name in of_network if keras.backend.is_float_dtype(self.keras[name].dtype)]
        self._averages = {moving_average.of(name): name for name in floats}
        self._others = loss_scale.first() if scales_loss else {}
        self.apart = frozenset(apart) | {average for average, name in self._averages.items() if name in apart}
        variables = self.keras | {average: self.keras[name] for average, name in self._averages.items()}
        self.shapes = {
            name: (tuple(v.shape), keras.backend.standardize_dtype(v.dtype)) for name, v in variables.items()
        }
        self.shapes |= {name: (value.shape, value.dtype.name) for name, value in self._others.items()}

    @property
    def specs(self) -> dict[str, jax.sharding.PartitionSpec]:
        """How each of the values is divided, as `jax.shard_map` takes it."""
        from jax.sharding import PartitionSpec

        return {name: PartitionSpec(AXIS) if name in self.apart else PartitionSpec() for name in self.shapes}

    def abstract(self, mesh: jax.sharding.Mesh) -> dict[str, jax.ShapeDtypeStruct]:
        """What the values would be on a mesh, whose devices need not be here; to compile for it."""
        import jax

        shapes = {
            name: ((mesh.size, *shape) if name in self.apart else shape, dtype)
            for name, (shape, dtype) in self.shapes.items()
        }
        divided = {name: jax.sharding.NamedSharding(mesh, spec) for name, spec in self.specs.items()}
        return {name: jax.ShapeDtypeStruct(*shapes[name], sharding=divided[name]) for name in shapes}

    def of_replica(self, values: Values) -> Values:
        """A replica's values, each of a variable's shape, from the part that `jax.shard_map` gives it."""
        return {name: value[0] if name in self.apart else value for name, value in values.items()}

    def to_rows(self, values: Values) -> Values:
        """What `of_replica` was made from."""
        return {name: value[None] if name in self.apart else value for name, value in values.items()}

    def first(self) -> dict[str, np.ndarray]:
        """The values with which a training begins, as `Variables.write` takes them, those of one replica."""
        values = {name: np.array(variable.value) for name, variable in self.keras.items()}
        values |= {average: values[name] for average, name in self._averages.items()} | self._others
        return {name: value[None] if name in self.apart else value for name, value in values.items()}


class Variables:
    """The variables of a training, on the devices of a mesh.

    `values` holds them. Every device has the same, except of those that differ between replicas, such as moving
    statistics: their arrays are [replicas, …], a row on each device. An iteration takes the memory of the values that
    it is given, so Keras's variables have copies; `show` brings them up to date.

    Args:
        mesh: The devices.
        layout: Of the values. They begin as those of the first process, whatever the others have.
    """

    def __init__(self, mesh: jax.sharding.Mesh, layout: Layout):
        self.mesh = mesh
        self.layout = layout
        self.write(layout.first())
        if len({device.process_index for device in mesh.devices.flat}) > 1:
            self.values = self._of_first_replica(self.values)
            self.show()

    def read(self) -> dict[str, np.ndarray]:
        """Every value; [replicas, …] where replicas differ. All processes must call it at the same time."""
        return {name: np.array(value) for name, value in self._everywhere(self.values).items()}

    def write(self, values: Mapping[str, np.ndarray]) -> None:
        """Sets what `read` gave; replicas of another number all get the mean of those that were."""
        self.values = {}
        for name, (_, dtype) in self.layout.shapes.items():
            value = np.asarray(values[name])
            if name in self.layout.apart and len(value) != self.mesh.size:
                mean = value.mean(axis=0, dtype="float64", keepdims=True)
                value = np.repeat(mean, self.mesh.size, axis=0)
            axes = (AXIS,) if name in self.layout.apart else ()
            self.values[name] = placed(value.astype(dtype), self.mesh, *axes)
        self.show()

    def difference(self, saved: Mapping[str, tuple[int, ...]]) -> str | None:
        """The first variable that is not the same in what was saved, in words; the number of replicas may differ."""
        shapes = {
            name: np.broadcast_to(np.zeros((), dtype), shape) for name, (shape, dtype) in self.layout.shapes.items()
        }
        apart = {name: shapes.pop(name) for name in self.layout.apart}
        return variable_names.difference(shapes, apart, saved)

    def show(self) -> None:
        """Gives the network's variables copies of the values, means where replicas differ."""
        names = [name for name in self.layout.shapes if name.startswith(moving_average.MODEL)]
        for name, value in self._shown({name: self.values[name] for name in names}).items():
            self.layout.keras[name].assign(value.addressable_data(0))

    def average_statistics(self) -> None:
        """Gives all replicas the mean of what differs between them in the network."""
        names = [name for name in self.layout.apart if name.startswith(moving_average.MODEL)]
        if names and self.mesh.size > 1:
            self.values |= self._mean({name: self.values[name] for name in names})

    def exchange_averages(self) -> None:
        """Puts the network's variables and their moving averages in each other's place."""
        self.values = moving_average.exchanged(self.values)
        self.show()

    @functools.cached_property
    def _everywhere(self) -> Callable[[Values], Values]:
        """The whole of every value on every device."""
        import jax

        return jax.jit(lambda values: values, out_shardings=self._on_all)

    @functools.cached_property
    def _shown(self) -> Callable[[Values], Values]:
        import jax
        import jax.numpy as jnp

        def shown(values: Values) -> Values:
            return {
                name: value.mean(0) if name in self.layout.apart else jnp.copy(value) for name, value in values.items()
            }

        return jax.jit(shown, out_shardings=self._on_all)

    @property
    def _on_all(self) -> jax.sharding.NamedSharding:
        import jax

        return jax.sharding.NamedSharding(self.mesh, jax.sharding.PartitionSpec())

    @functools.cached_property
    def _mean(self) -> Callable[[Values], Values]:
        import jax
        from jax.sharding import PartitionSpec

        rows = PartitionSpec(AXIS)
        return jax.jit(in_replicas(lambda values: jax.lax.pmean(values, AXIS), self.mesh, rows, rows))

    @functools.cached_property
    def _of_first_replica(self) -> Callable[[Values], Values]:
        import jax
        import jax.numpy as jnp

        def first(values: Values) -> Values:
            is_first = jax.lax.axis_index(AXIS) == 0
            return jax.lax.psum({n: jnp.where(is_first, v, jnp.zeros_like(v)) for n, v in values.items()}, AXIS)

        return jax.jit(in_replicas(first, self.mesh, (self.layout.specs,), self.layout.specs))

"""The training on JAX's devices."""

"""The training on TensorFlow's devices."""

"""Images read by grain, for every backend but TensorFlow: NumPy arrays, no framework."""

"""Images read by tf.data, for TensorFlow."""

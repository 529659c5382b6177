"""Images in a reproducible order: `loading` reads a data set, `batches` makes `tf.data` pipelines of its splits."""

"""Images in a reproducible order: `loading` reads a data set, and a road of `roads` makes batches of its splits."""

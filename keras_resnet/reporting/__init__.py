"""What the runs and the networks look like, as tables and curves."""

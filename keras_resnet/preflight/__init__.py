"""What a training would do on a TPU, from its compiler, without one."""

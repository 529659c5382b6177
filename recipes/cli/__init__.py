"""What the programs share: reading a command line, refusing it in one line, loading TensorFlow, showing progress."""

"""The machine: files, cores, signals, processes, and the terminal."""

"""Error rates of a network, counted as in the paper."""

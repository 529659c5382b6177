"""What a network gets wrong, counted as the paper counts."""

"""Configuration of a training, as values that check themselves."""

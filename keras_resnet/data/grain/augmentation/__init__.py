"""Augmentation in NumPy; the operations as facts are in `facts.augmentation`."""

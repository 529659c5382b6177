"""Data augmentation: random changes of training images. Which operations there are: `facts.augmentation`."""

"""The data sets as facts: names, classes, image shapes and numbers of images."""

from __future__ import annotations

from dataclasses import dataclass

from keras_resnet.facts.augmentation import Images


@dataclass(frozen=True)
class Dataset:
    """A data set that a recipe can name. `None` marks what only the user's own files can tell."""

    name: str
    classes: int | None
    image_shape: tuple[int, int, int] | None
    """(height, width, channels)."""
    train: int | None
    """Images in the published training split."""
    test: int | None
    class_names: tuple[str, ...] | None
    """In the order of the labels."""
    source: str
    """The origin of the images."""

    @property
    def images(self) -> Images:
        """Whether the images have one size and lie in memory, or stay image files."""
        return "encoded" if self.image_shape is None else "fixed-size"

    @property
    def of_user(self) -> bool:
        """Whether the images are somebody's own, so that nothing is known of them."""
        return self.train is None


DIGITS_CLASSES = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

CIFAR100_CLASSES = tuple(
    """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle
    bowl boy bridge bus butterfly camel can castle caterpillar cattle
    chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur
    dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard
    lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain
    mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree
    plain plate poppy porcupine possum rabbit raccoon ray road rocket
    rose sea seal shark shrew skunk skyscraper snail snake spider
    squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor
    train trout tulip turtle wardrobe whale willow_tree wolf woman worm
    """.split()
)

DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        Dataset("digits", 10, (8, 8, 1), 1437, 360, DIGITS_CLASSES, "scikit-learn, `load_digits`: no download"),
        Dataset(
            "cifar10",
            10,
            (32, 32, 3),
            50_000,
            10_000,
            CIFAR10_CLASSES,
            "tensorflow-datasets, `cifar10`, or the published archive",
        ),
        Dataset(
            "cifar100",
            100,
            (32, 32, 3),
            50_000,
            10_000,
            CIFAR100_CLASSES,
            "tensorflow-datasets, `cifar100`, or the published archive",
        ),
        Dataset(
            "imagenet",
            1000,
            None,
            1_281_167,
            50_000,
            None,
            "image-net.org, prepared as TFRecord shards or as class folders",
        ),
        Dataset("folder", None, None, None, None, None, "your own pictures, one folder for each class"),
    )
}

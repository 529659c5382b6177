"""The order of the images, and the random numbers of their augmentation.

An epoch is a permutation of the images, and every image has a row of uniform numbers in it. Both are functions of the
seed and the epoch alone, so any batch of a training is known without those before it, and a resumed run trains on the
images of an uninterrupted one. `data.tensorflow.order` computes the same numbers in a graph, to the bit.

Reference:
    Salmon et al., 2011, "Parallel random numbers: as easy as 1, 2, 3": Philox4x32-10.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

# Two streams of random numbers, so that the augmentation of an image does not depend on its place in the order.
ORDER, DRAWS = 0, 1

MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
KEY_STEPS = 0x9E3779B9, 0xBB67AE85
ROUNDS = 10
LANES = 4
"""Numbers of 32 bits that a block gives."""
TOGETHER = 1 << 14
"""Blocks that are computed at a time, so that they stay in the processor's cache."""
SCRAMBLING_KEY = 0x02461E293EC8F720
"""The key with which TensorFlow makes a key and a counter of two seeds."""
LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
WORD, LONG = (1 << 32) - 1, (1 << 64) - 1

Stream = tuple[int, int]
"""Key and upper half of the counter, of 64 bits each."""


@functools.lru_cache(maxsize=4)
def permutation(size: int, *, seed: int, epoch: int) -> np.ndarray:
    """The order in which an epoch visits the images; that of the last few epochs is kept.

    Args:
        size: Number of images.
        seed: Any integer of 64 bits.
        epoch: Zero-based.

    Returns:
        int64 [size], read-only: every index in [0, size) once.
    """
    words = _words(_stream(seed, epoch, ORDER), np.arange(-(-size // LANES))).reshape(-1)[:size]
    places = np.arange(size)
    swapped = (places + words % (size - places)).tolist()
    # Each swap depends on those before it; a list is swapped several times as fast as an array.
    order = places.tolist()
    for place, other in enumerate(swapped):
        order[place], order[other] = order[other], order[place]
    found = np.array(order, np.int64)
    found.flags.writeable = False
    return found


def uniform_draws(size: int, count: int, *, seed: int, epoch: int) -> np.ndarray:
    """The random numbers that augment the images in an epoch.

    Args:
        size: Number of images.
        count: Numbers for each image.
        seed: Any integer of 64 bits.
        epoch: Zero-based.

    Returns:
        float32 [size, count], uniform in [0, 1). Row i belongs to image i, whenever the epoch visits it.
    """
    words = _words(_stream(seed, epoch, DRAWS), np.arange(-(-size * count // LANES)))
    return _uniform(words.reshape(-1)[: size * count]).reshape(size, count)


def draws_of(indices: np.ndarray, count: int, *, seed: int, epoch: int) -> np.ndarray:
    """The rows of `uniform_draws` that belong to some images; none of the others is computed.

    Args:
        indices: int64 [images].
        count: Numbers for each image.
        seed: Any integer of 64 bits.
        epoch: Zero-based.

    Returns:
        float32 [images, count], uniform in [0, 1).
    """
    numbers = indices[:, None] * count + np.arange(count)
    words = _words(_stream(seed, epoch, DRAWS), (numbers // LANES).reshape(-1)).reshape(*numbers.shape, LANES)
    return _uniform(np.take_along_axis(words, numbers[..., None] % LANES, axis=-1)[..., 0])


def batch(size: int, count: int, *, seed: int, batch_size: int, iteration: int) -> tuple[np.ndarray, np.ndarray]:
    """The images of one iteration; the end of an epoch and the beginning of the next may be in one batch.

    Args:
        size: Number of images.
        count: Uniform numbers for each image.
        seed: Any integer of 64 bits.
        batch_size: Images in an iteration.
        iteration: Zero-based.

    Returns:
        indices int64 [batch] and draws float32 [batch, count].
    """
    first, indices, draws = iteration * batch_size, [], []
    last = first + batch_size
    while first < last:
        epoch, skipped = divmod(first, size)
        chosen = permutation(size, seed=seed, epoch=epoch)[skipped : skipped + last - first]
        indices.append(chosen)
        draws.append(draws_of(chosen, count, seed=seed, epoch=epoch))
        first += len(chosen)
    return np.concatenate(indices), np.concatenate(draws)


def batches(
    size: int, count: int, *, seed: int, batch_size: int, first_iteration: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """`batch` of every iteration from one on.

    Yields:
        (indices int64 [batch], draws float32 [batch, count]), without end.
    """
    iteration = first_iteration
    while True:
        yield batch(size, count, seed=seed, batch_size=batch_size, iteration=iteration)
        iteration += 1


def _stream(seed: int, epoch: int, number: int) -> Stream:
    """One of the two streams of an epoch, as TensorFlow's `fold_in` and stateless functions derive it."""
    low, high = _words(_scrambled(seed, epoch), np.zeros(1, np.int64))[0, :2].tolist()
    return _scrambled(low | high << 32, number)


def _scrambled(first: int, second: int) -> Stream:
    """The stream of two seeds."""
    place = np.array([first & LONG], np.uint64)
    words = _words((SCRAMBLING_KEY, second & LONG), place)[0].tolist()
    return words[0] | words[1] << 32, words[2] | words[3] << 32


def _words(stream: Stream, blocks: np.ndarray) -> np.ndarray:
    """Random numbers of 32 bits, as int64 [blocks, 4], of the blocks with some numbers (the counter's lower half)."""
    words = np.empty((len(blocks), LANES), np.int64)
    for start in range(0, len(blocks), TOGETHER):
        part = slice(start, start + TOGETHER)
        words[part] = np.stack(_philox(stream, blocks[part].astype(np.uint64)), axis=-1)
    return words


def _philox(stream: Stream, blocks: np.ndarray) -> list[np.ndarray]:
    """The four numbers of each block, as uint64."""
    key, upper = stream
    one, two = blocks & LOW, blocks >> HALF
    three, four = np.full_like(blocks, upper & WORD), np.full_like(blocks, upper >> 32)
    for number in range(ROUNDS):
        keys = [((key >> shift) + number * step) & WORD for shift, step in zip((0, 32), KEY_STEPS, strict=True)]
        first, second = one * MULTIPLIERS[0], three * MULTIPLIERS[1]
        one, two = (second >> HALF) ^ two ^ np.uint64(keys[0]), second & LOW
        three, four = (first >> HALF) ^ four ^ np.uint64(keys[1]), first & LOW
    return [one, two, three, four]


def _uniform(words: np.ndarray) -> np.ndarray:
    """float32 in [0, 1) of random numbers: their lowest 23 bits are the mantissa of a number from 1 to below 2."""
    return ((words.astype(np.uint32) & np.uint32(0x7FFFFF)) | np.uint32(0x3F800000)).view(np.float32) - np.float32(1)

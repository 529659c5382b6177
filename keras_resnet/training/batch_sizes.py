"""How an iteration's images are divided, and which divisions are refused."""

from __future__ import annotations


def per_replica_batch_size(global_batch_size: int, replicas: int, accumulation: int = 1) -> int:
    """Images of a replica at a time.

    Args:
        global_batch_size: Images in an iteration, over all replicas.
        replicas: Devices that share them.
        accumulation: Parts of an iteration, one after the other.

    Raises:
        ValueError: if the replicas do not divide the batch.
    """
    parts = replicas * accumulation
    if global_batch_size % parts:
        times = f", times {accumulation} parts of the accumulation" if accumulation > 1 else ""
        raise ValueError(
            f"`global_batch_size` must be a multiple of the {replicas} replicas{times}. "
            f"Received: global_batch_size={global_batch_size}"
        )
    return global_batch_size // parts


def check_normalization_batch_size(images: int | None, per_replica: int, replicas: int) -> None:
    """Refuses statistics over images that are neither a part of a replica's nor those of several whole replicas.

    Args:
        images: Over which batch normalization takes its statistics; None: those of a replica.
        per_replica: Images of a replica at a time.
        replicas: How many there are.

    Raises:
        ValueError: naming the two numbers that do not fit.
    """
    if (
        images is None
        or per_replica % images == 0
        or (images % per_replica == 0 and per_replica * replicas % images == 0)
    ):
        return
    raise ValueError(
        f"`normalization_batch_size` must be a divisor of the {per_replica} images that a replica has at a time, or be "
        f"those of some of the {replicas} replicas, all of the same number. "
        f"Received: normalization_batch_size={images}. Choose another number of `replicas`"
    )

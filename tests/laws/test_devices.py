from __future__ import annotations


def test_the_cpu_is_two_logical_devices():
    import tensorflow as tf

    assert len(tf.config.list_logical_devices("CPU")) == 2

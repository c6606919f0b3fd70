import numpy as np
import tensorflow as tf

from deeplab_lfov.seeds import order_of, seed_for


def test_every_epoch_of_every_seed_has_its_own_order():
    orders = [order_of(seed, epoch, 20) for seed in (0, 1, 256) for epoch in range(400)]
    assert len({order.tobytes() for order in orders}) == len(orders)
    assert all(np.array_equal(np.sort(order), np.arange(20)) for order in orders)
    assert order_of(0, 0, 6).tolist() == [0, 2, 1, 5, 4, 3]  # of runs that have begun


def test_all_bits_of_seed_and_number_count_in_every_draw():
    pairs = [(0, 0), *((1 << bit, 0) for bit in range(31)), *((0, 1 << bit) for bit in range(62))]
    draws = [tf.random.stateless_uniform([2], seed_for("crop", *pair)) for pair in pairs]
    assert len({draw.numpy().tobytes() for draw in draws}) == len(pairs)

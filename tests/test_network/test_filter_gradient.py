import numpy as np
import pytest
import tensorflow as tf

from deeplab_lfov.network import filter_gradient


@pytest.mark.parametrize(("size", "dilation"), [(1, 1), (3, 1), (3, 2), (3, 12)])
@pytest.mark.parametrize("height", [5, 13])  # smaller and larger than fc6's step of 12
def test_gradients_are_those_of_a_convolution(size, dilation, height):
    x = tf.random.stateless_normal([2, height, 17, 4], [0, 1])
    filters = tf.random.stateless_normal([size, size, 4, 3], [0, 2])
    above = tf.random.stateless_normal([2, height, 17, 3], [0, 3])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, filters])
        expected = tf.nn.conv2d(x, filters, 1, "SAME", dilations=dilation)
        found = filter_gradient.convolve(x, filters, dilation)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for of in (x, filters):
        one, two = (tape.gradient(each, of, above) for each in (found, expected))
        np.testing.assert_allclose(one, two, atol=1e-4)


def test_products_are_for_wide_layers_in_bfloat16():
    assert filter_gradient.pays((3, 3, 512, 1024), tf.bfloat16)
    assert not filter_gradient.pays((3, 3, 256, 256), tf.bfloat16)
    assert not filter_gradient.pays((3, 3, 512, 512), tf.float32)
    assert not filter_gradient.pays((1, 1, 1024, 21), tf.bfloat16)

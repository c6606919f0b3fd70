import numpy as np
import pytest
import tensorflow as tf

from deeplab_lfov.network import winograd

CASES = [  # pictures, height, width, channels in and out, dilation
    (1, 5, 7, 3, 4, 1),
    (2, 13, 9, 8, 5, 1),
    (2, 9, 17, 6, 6, 2),
    (1, 1, 1, 2, 2, 2),
    (1, 3, 30, 4, 4, 12),
]


def direct(x, filters, dilation):
    return tf.nn.conv2d(x, filters, 1, "SAME", dilations=dilation)


def by_winograd(x, filters, dilation):
    return winograd.convolve(x, filters, winograd.tiling(tf.shape(x), dilation, 8))


def output_and_gradients(convolution, x, filters, dilation):
    with tf.GradientTape() as tape:
        tape.watch([x, filters])
        y = convolution(x, filters, dilation)
    weights = tf.random.stateless_normal(y.shape, [1, 2])
    return y, *tape.gradient(y, [x, filters], weights)


def assert_near(found, expected):
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.ptp(expected))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("cached", [winograd.CACHED, 2000])  # in one part, and in several
def test_output_and_gradients_are_conv2ds(case, cached, monkeypatch):
    monkeypatch.setattr(winograd, "CACHED", cached)
    num, height, width, inputs, outputs, dilation = case
    x = tf.random.stateless_normal([num, height, width, inputs], [3, 4])
    filters = tf.random.stateless_normal([3, 3, inputs, outputs], [5, 6])
    expected = output_and_gradients(direct, x, filters, dilation)
    for found, wanted in zip(
        output_and_gradients(by_winograd, x, filters, dilation), expected, strict=True
    ):
        assert_near(found, wanted)


def test_no_picture_gives_no_output_and_no_gradient():
    filters = tf.random.stateless_normal([3, 3, 2, 4], [5, 6])
    y, dx, d_filters = output_and_gradients(by_winograd, tf.zeros([0, 5, 7, 2]), filters, 1)
    assert y.shape == (0, 5, 7, 4) and dx.shape == (0, 5, 7, 2)
    np.testing.assert_array_equal(d_filters, tf.zeros_like(filters))


def test_filters_may_be_transformed_beforehand():
    x = tf.random.stateless_normal([1, 6, 11, 4], [3, 4])
    filters = tf.random.stateless_normal([3, 3, 4, 2], [5, 6])
    assert_near(by_winograd(x, winograd.transform_filters(filters), 1), direct(x, filters, 1))


def test_one_graph_serves_all_sizes():
    filters = tf.random.stateless_normal([3, 3, 2, 3], [5, 6])
    graph = tf.function(
        lambda x: by_winograd(x, filters, 2),
        input_signature=[tf.TensorSpec([None, None, None, 2], tf.float32)],
    )
    for shape in ([1, 4, 9, 2], [3, 18, 7, 2]):
        x = tf.random.stateless_normal(shape, [3, 4])
        assert_near(graph(x), direct(x, filters, 2))


def test_layers_share_their_graphs_in_training():
    """With graphs of their own a training step takes 100 MB more."""

    @tf.function
    def gradients(x, one, two):
        with tf.GradientTape() as tape:
            tape.watch([x, one, two])
            y = by_winograd(by_winograd(x, one, 1), two, 1)
        return tape.gradient(y, [x, one, two])

    shapes = [1, 5, 7, 3], [3, 3, 3, 4], [3, 3, 4, 2]
    graph = gradients.get_concrete_function(*map(tf.TensorSpec, shapes)).graph.as_graph_def()
    called = [
        node.attr["f"].func.name for node in graph.node if node.op.endswith("PartitionedCall")
    ]
    assert len(called) == 6 and len(set(called)) == 3  # outputs, and two kinds of gradients


def test_a_gradients_gradient_is_refused_and_not_wrong():
    x, filters = tf.ones([1, 5, 7, 2]), tf.ones([3, 3, 2, 2])
    with tf.GradientTape() as outer, tf.GradientTape() as inner:
        outer.watch(filters)
        inner.watch(filters)
        loss = tf.reduce_sum(by_winograd(x, filters, 1) ** 2)
        d_filters = inner.gradient(loss, filters)
    with pytest.raises(LookupError, match="of a gradient"):
        outer.gradient(d_filters, filters)

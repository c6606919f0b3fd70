"""A convolution whose filters' gradient is computed by matrix products, one for each tap.

oneDNN's own takes several times as long for dilated and for wide layers: `pays` says where.
"""

import tensorflow as tf


def pays(filters: tuple[int, int, int, int], dtype: tf.DType) -> bool:
    """Tell whether products are faster for filters HWIO: in bfloat16 from 512 channels on.

    Measured at 321 x 321 on a Xeon with AMX: 7 times as fast for fc6, 2 times for conv4 and conv5.
    """
    return dtype == tf.bfloat16 and min(filters[2:]) >= 512


def convolve(x: tf.Tensor, filters: tf.Tensor, dilation: int) -> tf.Tensor:
    """Convolve as `tf.nn.conv2d` with padding "SAME": [N, h, w, I] and HWIO -> [N, h, w, O].

    Its gradients have no gradients of their own.
    """

    @tf.custom_gradient
    def convolution(x: tf.Tensor, filters: tf.Tensor):
        geometry = {"strides": [1] * 4, "padding": "SAME", "dilations": [1, dilation, dilation, 1]}

        def gradients(above: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            of_x = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(x), filter=filters, out_backprop=above, **geometry
            )
            return of_x, _of_filters(x, above, filters.shape, dilation)

        return tf.raw_ops.Conv2D(input=x, filter=filters, **geometry), gradients

    return convolution(x, filters)


def _of_filters(x: tf.Tensor, above: tf.Tensor, shape: tf.TensorShape, dilation: int) -> tf.Tensor:
    """Multiply, for each tap, the cells of x with those of the gradient above that they went to."""
    size, _, inputs, outputs = shape
    steps = [dilation * (tap - size // 2) for tap in range(size)]
    taps = [
        tf.matmul(
            tf.reshape(_shifted(_shifted(x, down, 1), right, 2), [-1, inputs]),
            tf.reshape(_shifted(_shifted(above, -down, 1), -right, 2), [-1, outputs]),
            transpose_a=True,
        )
        for down in steps
        for right in steps
    ]
    return tf.reshape(tf.stack(taps), shape)


def _shifted(blob: tf.Tensor, cells: int, axis: int) -> tf.Tensor:
    """Leave out the first cells along an axis, or the last where cells is negative."""
    kept = slice(cells, None) if cells >= 0 else slice(None, cells)
    return blob[(slice(None),) * axis + (kept,)]

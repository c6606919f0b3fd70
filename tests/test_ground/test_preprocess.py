import numpy as np

from deeplab_lfov import preprocess


def test_network_input_is_bgr_minus_the_mean_and_picture_its_inverse():
    image = np.array([[[10, 20, 30]]], np.uint8)
    network_input = preprocess.network_input(image)
    np.testing.assert_allclose(
        network_input[0, 0], [30 - 104.00698793, 20 - 116.66876762, 10 - 122.67891434], rtol=1e-6
    )
    np.testing.assert_array_equal(preprocess.picture(network_input), image)

import numpy as np

from deeplab_lfov import preprocess


def test_network_input_is_bgr_minus_the_mean_and_picture_its_inverse():
    image = np.array([[[10, 20, 30]]], np.uint8)
    network_input = preprocess.network_input(image)
    np.testing.assert_allclose(
        network_input[0, 0], [30 - 104.00698793, 20 - 116.66876762, 10 - 122.67891434], rtol=1e-6
    )
    np.testing.assert_array_equal(preprocess.picture(network_input), image)


def test_padded_input_is_the_networks_with_zeros_below_and_at_the_right():
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 3), np.uint8)
    padded = preprocess.padded_input(images, (5, 7))
    assert padded.shape == (2, 5, 7, 3) and padded.dtype == np.float32
    np.testing.assert_array_equal(padded[:, :3, :4], preprocess.network_input(images))
    assert not padded[:, 3:].any() and not padded[:, :, 4:].any()

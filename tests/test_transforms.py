import numpy as np
import pytest
import tensorflow as tf

from deeplab_lfov import transforms
from deeplab_lfov.seeds import seed_for


def _pair(height, width):
    """An image whose channels all hold the mask's value."""
    mask = np.arange(height * width, dtype=np.uint8).reshape(height, width, 1) % 200 + 1
    return tf.constant(np.repeat(mask, 3, axis=2), tf.float32), tf.constant(mask)


def test_network_input_is_bgr_minus_the_mean_and_picture_its_inverse():
    image = np.array([[[10, 20, 30]]], np.uint8)
    network_input = transforms.network_input(image)
    np.testing.assert_allclose(
        network_input[0, 0], [30 - 104.00698793, 20 - 116.66876762, 10 - 122.67891434], rtol=1e-6
    )
    np.testing.assert_array_equal(transforms.picture(network_input), image)


def test_the_window_is_cut_from_the_resized_picture():
    """The whole picture resized first, as the window's own pixels must come out."""
    image = tf.random.stateless_uniform([37, 53, 3], [1, 2], 0, 256, tf.int32)
    image, mask = tf.cast(image, tf.uint8), _pair(37, 53)[1]
    for number in range(12):
        pixels, labels = transforms.random_window(image, mask, (30, 31), (0.6, 1.8), 7, number)
        height, width = _resized_shape(number, 37, 53)
        whole = tf.image.resize(image, [height, width]).numpy()
        whole_mask = tf.image.resize(mask, [height, width], "nearest").numpy()
        assert labels.shape[:2] == (min(height, 30), min(width, 31)) == pixels.shape[:2]
        assert _is_within(whole, pixels.numpy(), 0.02) & _is_within(whole_mask, labels.numpy(), 0)


def _resized_shape(number, height, width):
    draw = tf.random.stateless_uniform([], seed_for("scale", 7, number), 0.6, 1.8)
    return round(height * float(draw)), round(width * float(draw))


def _is_within(whole, window, tolerance):
    """Whether the window stands somewhere in the whole."""
    height, width = window.shape[:2]
    places = np.lib.stride_tricks.sliding_window_view(whole, window.shape)
    places = places.reshape(-1, height, width, window.shape[2]).astype(np.float64)
    return (np.abs(places - window).max(axis=(1, 2, 3)) <= tolerance).any()


def test_random_windows_move_both_alike_and_are_inside():
    image, mask = _pair(20, 30)
    corners = set()
    for number in range(30):
        pixels, labels = transforms.random_window(image, mask, (8, 9), (1.0, 1.0), 0, number)
        assert pixels.shape == (8, 9, 3)
        np.testing.assert_array_equal(pixels[..., :1], tf.cast(labels, tf.float32))
        corners.add(int(labels[0, 0, 0]))
    assert len(corners) > 15


def test_pad_adds_the_mean_to_the_image_and_void_to_the_mask():
    image, mask = _pair(3, 4)
    image_padded, mask_padded = transforms.pad(image, mask, (5, 4))
    np.testing.assert_array_equal(mask_padded[:3], mask)
    assert (mask_padded[3:].numpy() == 255).all() and not image_padded[3:].numpy().any()


def test_random_mirror_swaps_both_about_every_second_time():
    image, mask = _pair(2, 3)
    mirrored = 0
    for number in range(100):
        new_image, new_mask = transforms.random_mirror(image, mask, 0, number)
        np.testing.assert_array_equal(new_image[..., :1], tf.cast(new_mask, tf.float32))
        if np.array_equal(new_mask, mask[:, ::-1]):
            mirrored += 1
        else:
            np.testing.assert_array_equal(new_mask, mask)
    assert 35 < mirrored < 65


def test_scaling_keeps_labels_and_moves_both_alike():
    left = np.repeat([True, False], 40)
    image = tf.constant(np.tile(np.where(left, 7.0, -7.0)[:, None], (40, 1, 3)), tf.float32)
    mask = tf.constant(np.tile(np.where(left, 3, 255)[:, None], (40, 1, 1)), tf.uint8)
    heights = []
    for number in range(40):
        new_image, new_mask = transforms.random_window(
            image, mask, (99, 199), (0.5, 1.5), 0, number
        )
        height, width = new_mask.shape[:2]
        heights.append(height)
        assert new_image.shape == (height, width, 3) and abs(width - 2 * height) <= 1
        edge = width // 2
        for columns, value, label in ((slice(edge - 2), 7, 3), (slice(edge + 2, None), -7, 255)):
            np.testing.assert_allclose(new_image[:, columns], value, rtol=1e-5)
            assert (new_mask[:, columns].numpy() == label).all()
    assert 20 <= min(heights) < 28 and 52 < max(heights) <= 60


@pytest.mark.parametrize("transform", ["random_window", "random_mirror"])
def test_draws_follow_seed_and_number(transform):
    image, mask = _pair(40, 40)
    size = {"random_window": [(9, 9), (0.5, 2.0)], "random_mirror": []}[transform]
    step = getattr(transforms, transform)
    draws = [step(image, mask, *size, seed, n)[1].numpy() for seed in (1, 2) for n in range(8)]
    again = [step(image, mask, *size, seed, n)[1].numpy() for seed in (1, 2) for n in range(8)]
    assert all(np.array_equal(one, two) for one, two in zip(draws, again, strict=True))
    assert len({draw.tobytes() for draw in draws[:8]}) > 1
    assert [draw.tobytes() for draw in draws[:8]] != [draw.tobytes() for draw in draws[8:]]

import numpy as np
import pytest
import tensorflow as tf

from deeplab_lfov import transforms


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


def test_random_crop_moves_both_alike_and_is_inside():
    image, mask = _pair(20, 30)
    corners = set()
    for number in range(30):
        image_crop, mask_crop = transforms.random_crop(image, mask, (8, 9), 0, number)
        assert image_crop.shape == (8, 9, 3)
        np.testing.assert_array_equal(image_crop[..., :1], tf.cast(mask_crop, tf.float32))
        corners.add(int(mask_crop[0, 0, 0]))
    assert len(corners) > 15


def test_random_crop_pads_image_with_mean_and_mask_with_void():
    image, mask = _pair(3, 4)
    image_crop, mask_crop = transforms.random_crop(image, mask, (5, 4), 0, 0)
    np.testing.assert_array_equal(mask_crop[:3], mask)
    assert (mask_crop[3:].numpy() == 255).all() and not image_crop[3:].numpy().any()


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


def test_random_scale_keeps_labels_and_moves_both_alike():
    left = np.repeat([True, False], 40)
    image = tf.constant(np.tile(np.where(left, 7.0, -7.0)[:, None], (40, 1, 3)), tf.float32)
    mask = tf.constant(np.tile(np.where(left, 3, 255)[:, None], (40, 1, 1)), tf.uint8)
    heights = []
    for number in range(40):
        new_image, new_mask = transforms.random_scale(image, mask, (0.5, 1.5), 0, number)
        height, width = new_mask.shape[:2]
        heights.append(height)
        assert new_image.shape == (height, width, 3) and abs(width - 2 * height) <= 1
        edge = width // 2
        for columns, value, label in ((slice(edge - 2), 7, 3), (slice(edge + 2, None), -7, 255)):
            np.testing.assert_allclose(new_image[:, columns], value, rtol=1e-5)
            assert (new_mask[:, columns].numpy() == label).all()
    assert 20 <= min(heights) < 28 and 52 < max(heights) <= 60


@pytest.mark.parametrize("transform", ["random_scale", "random_crop", "random_mirror"])
def test_draws_follow_seed_and_number(transform):
    image, mask = _pair(40, 40)
    size = {"random_scale": [(0.5, 2.0)], "random_crop": [(9, 9)], "random_mirror": []}[transform]
    step = getattr(transforms, transform)
    draws = [step(image, mask, *size, seed, n)[1].numpy() for seed in (1, 2) for n in range(8)]
    again = [step(image, mask, *size, seed, n)[1].numpy() for seed in (1, 2) for n in range(8)]
    assert all(np.array_equal(one, two) for one, two in zip(draws, again, strict=True))
    assert len({draw.tobytes() for draw in draws[:8]}) > 1
    assert [draw.tobytes() for draw in draws[:8]] != [draw.tobytes() for draw in draws[8:]]

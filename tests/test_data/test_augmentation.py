import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from deeplab_lfov.data import augmentation
from deeplab_lfov.settings import STRENGTHS


def _pair(height, width):
    """An image whose channels all hold the mask's value."""
    mask = np.arange(height * width, dtype=np.uint8).reshape(height, width) % 200 + 1
    return Image.fromarray(np.repeat(mask[..., np.newaxis], 3, axis=2)), mask


def _padded(image, mask, mirrored):
    """What the network takes of a window, padded to 5 x 6 pixels."""
    arrays = np.asarray(image), mask[..., np.newaxis]
    return [part.numpy() for part in augmentation.padded(*arrays, (5, 6), mirrored)]


def _draws(seed, scales=(0.6, 1.8), mirror=True, numbers=range(12)):
    draws = (augmentation.draw(seed, number, scales, mirror) for number in numbers)
    return [augmentation.Draw(*(part.numpy() for part in draw)) for draw in draws]


def test_the_window_is_cut_from_the_resized_picture():
    """The whole picture resized first, as the window's own pixels must come out."""
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (37, 53, 3), np.uint8))
    mask = _pair(37, 53)[1]
    for draw in _draws(7):
        pixels, labels = augmentation.window(image, mask, (30, 31), draw.factor, draw.position)
        height, width = round(37 * float(draw.factor)), round(53 * float(draw.factor))
        whole = tf.image.resize(np.asarray(image), [height, width], antialias=True).numpy()
        whole_mask = tf.image.resize(mask[..., None], [height, width], "nearest")
        assert labels.shape == (min(height, 30), min(width, 31)) == pixels.size[::-1]
        top, left = (
            int(position * (max(0, side - most) + 1))
            for position, side, most in zip(draw.position, (height, width), (30, 31), strict=True)
        )
        place = slice(top, top + len(labels)), slice(left, left + labels.shape[1])
        np.testing.assert_array_equal(labels, whole_mask[place][..., 0])
        np.testing.assert_allclose(pixels, whole[place], atol=1.1)  # rounded, along both sides


def test_random_windows_move_both_alike_and_are_inside():
    image, mask = _pair(20, 30)
    corners = set()
    for draw in _draws(0, numbers=range(30)):
        pixels, labels = augmentation.window(image, mask, (8, 9), 1.0, draw.position)
        assert pixels.size == (9, 8)
        np.testing.assert_array_equal(np.asarray(pixels)[..., 0], labels)
        corners.add(labels[0, 0])
    assert len(corners) > 15


@pytest.mark.parametrize("at", [np.float32(0), np.nextafter(np.float32(1), np.float32(0))])
@pytest.mark.parametrize("factor", [0.01, 0.333, 0.75, 1.0, 1.1, 3.7])
def test_a_window_reaches_every_border_and_no_further(factor, at):
    image, mask = _pair(19, 13)
    position = np.float32([at, at])
    pixels, labels = augmentation.window(image, mask, (9, 7), np.float32(factor), position)
    height, width = (min(max(1, round(n * factor)), most) for n, most in ((19, 9), (13, 7)))
    assert pixels.size == labels.shape[::-1] == (width, height)
    if factor >= 1:
        assert labels[-1, -1] == mask[-1, -1] if at else labels[0, 0] == mask[0, 0]


def test_padding_adds_the_mean_to_the_image_and_void_to_the_mask():
    image, mask = Image.new("RGB", (4, 3), (10, 20, 30)), _pair(3, 4)[1]
    pixels, labels = _padded(image, mask, mirrored=False)
    assert pixels.dtype == np.float32 and labels.dtype == np.uint8
    assert pixels.shape == (5, 6, 3) and labels.shape == (5, 6, 1)
    bgr = [30 - 104.00698793, 20 - 116.66876762, 10 - 122.67891434]
    np.testing.assert_allclose(pixels[:3, :4], np.broadcast_to(bgr, (3, 4, 3)), rtol=1e-6)
    np.testing.assert_array_equal(labels[:3, :4, 0], mask)
    assert not pixels[3:].any() and not pixels[:, 4:].any()
    assert (labels[3:] == 255).all() and (labels[:, 4:] == 255).all()


def test_mirrored_pictures_are_padded_at_the_left():
    image, mask = _pair(3, 4)
    pixels, labels = _padded(image, mask, mirrored=False)
    turned = _padded(ImageOps.mirror(image), mask[:, ::-1], mirrored=True)
    np.testing.assert_array_equal(turned[0], pixels[:, ::-1])
    np.testing.assert_array_equal(turned[1], labels[:, ::-1])


def test_draws_fill_their_ranges():
    draws = _draws(0, (0.5, 1.5), numbers=range(100))
    assert 35 < sum(draw.mirrored for draw in draws) < 65
    assert not any(draw.mirrored for draw in _draws(0, mirror=False, numbers=range(20)))
    factors = [draw.factor for draw in draws]
    assert 0.5 <= min(factors) < 0.6 and 1.4 < max(factors) < 1.5


def test_scaling_keeps_labels_and_moves_both_alike():
    left = np.repeat([True, False], 40)
    image = Image.fromarray(np.tile(np.where(left, 7, 99).astype(np.uint8)[:, None], (40, 1, 3)))
    mask = np.tile(np.where(left, 3, 255).astype(np.uint8), (40, 1))
    for factor in (0.5, 0.71, 0.93, 1.0, 1.31, 1.5):
        pixels, labels = augmentation.window(image, mask, (99, 199), factor, np.zeros(2))
        assert pixels.size == labels.shape[::-1] == (round(80 * factor), round(40 * factor))
        edge = labels.shape[1] // 2
        for columns, value, label in ((slice(edge - 2), 7, 3), (slice(edge + 2, None), 99, 255)):
            assert (np.asarray(pixels)[:, columns] == value).all()
            assert (labels[:, columns] == label).all()


def test_draws_follow_seed_and_number():
    def numbers(seed):
        return [(float(d.factor), *d.position.tolist(), bool(d.mirrored)) for d in _draws(seed)]

    assert numbers(1) == numbers(1) != numbers(2)
    assert len(set(numbers(1))) == 12


OFF = dict.fromkeys(STRENGTHS, 0.0)
STILL = augmentation.Draw(np.float32(1), np.zeros(2, np.float32), False, None)


class Given:
    """A generator whose numbers are given: flip, turn, angle, blur and four colors; 0.5 is none."""

    def __init__(self, **numbers):
        names = ("flip", "turn", "angle", "blur", "brightness", "contrast", "saturation", "hue")
        self._numbers = [numbers.get(name, 0.5) for name in names]

    def random(self, count):
        assert count == len(self._numbers)
        return np.array(self._numbers)


def _augmented(image, mask, size, on, **numbers):
    return augmentation.augmented((image, mask), size, STILL, OFF | on, (), Given(**numbers))


@pytest.mark.parametrize(
    ("on", "numbers", "expected"),
    [
        ({}, {}, lambda mask: mask),
        ({"flip": 0.5}, {"flip": 0.49}, np.flipud),
        ({"flip": 0.5}, {"flip": 0.51}, lambda mask: mask),
        ({"turn": 0.75}, {"turn": 0.2}, lambda mask: np.rot90(mask, 1)),
        ({"turn": 0.75}, {"turn": 0.4}, lambda mask: np.rot90(mask, 2)),
        ({"turn": 0.75}, {"turn": 0.7}, lambda mask: np.rot90(mask, 3)),
        ({"turn": 0.75}, {"turn": 0.8}, lambda mask: mask),
        ({"turn": 1, "flip": 1}, {"turn": 0, "flip": 0}, lambda mask: np.rot90(np.flipud(mask))),
        ({"rotate": 90}, {"angle": 1}, np.rot90),
        ({"blur": 9, "color": 0}, {"blur": 0.5}, lambda mask: mask),
    ],
)
def test_flips_and_quarter_turns_move_every_pixel_of_both(on, numbers, expected):
    image, mask = _pair(9, 14)
    pixels, labels = _augmented(image, mask, (20, 20), on, **numbers)
    np.testing.assert_array_equal(labels, expected(mask))
    np.testing.assert_array_equal(np.asarray(pixels)[..., 0], labels)
    pixels, labels = _augmented(image, mask, (5, 8), on, **numbers)
    assert labels.shape == (5, 8) == pixels.size[::-1]


@pytest.mark.parametrize("degrees", [-10, 7.5, 45, 100])
def test_a_rotation_is_about_the_middle_with_void_and_the_mean_outside(degrees):
    """Each label is that of the pixel that the inverse rotation leads to."""
    image, mask = _pair(40, 50)
    on, angle = {"rotate": 180}, degrees / 360 + 0.5
    pixels, labels = _augmented(image, mask, (90, 90), on, angle=angle)
    pixels, (height, width), wrong = np.asarray(pixels), labels.shape, 0
    turn = np.radians(degrees)
    for (row, column), label in np.ndenumerate(labels):
        y, x = row + 0.5 - height / 2, column + 0.5 - width / 2
        y, x = y * np.cos(turn) + x * np.sin(turn) + 20, x * np.cos(turn) - y * np.sin(turn) + 25
        inside = 0 <= y < 40 and 0 <= x < 50
        wrong += label != (mask[int(y), int(x)] if inside else 255)
    assert wrong <= 0.02 * labels.size  # where a place is between two pixels
    assert (pixels[labels == 255] == (123, 117, 104)).all()
    assert np.count_nonzero(labels != 255) == pytest.approx(40 * 50, rel=0.02)
    labels = _augmented(*_pair(90, 90), (30, 40), on, angle=angle)[1]
    assert labels.shape == (30, 40) and (labels != 255).all()  # a larger window was cut


def test_colors_change_by_shares():
    """By hand: grey 60 and 140, whose mean is 100, and a red of luma 0.299 x 100."""
    grey = Image.fromarray(np.repeat(np.uint8([[60, 140]])[..., None], 3, axis=2))

    def values(image, *shares):
        return np.asarray(augmentation.recolored(image, shares))[0].tolist()

    assert values(grey, 0, 0, 0, 0) == [[60] * 3, [140] * 3]
    assert values(grey, 0.5, 0, 0, 0) == [[90] * 3, [210] * 3]
    assert values(grey, 0, -0.5, 0, 0) == [[80] * 3, [120] * 3]
    assert values(grey, 0, 0, 0.9, 1) == [[60] * 3, [140] * 3]  # grey has no hue
    red = Image.new("RGB", (1, 1), (100, 0, 0))
    assert values(red, 0, 0, -1, 0) == [[30] * 3]
    ((r, g, b),) = values(red, 0, 0, -0.5, 0.5)
    assert r > max(g, b) and 0.299 * r + 0.587 * g + 0.114 * b == pytest.approx(30, abs=1)


def test_blur_reaches_the_image_alone():
    image, mask = _pair(9, 9)
    pixels, labels = _augmented(image, mask, (9, 9), {"blur": 2}, blur=1)
    np.testing.assert_array_equal(labels, mask)
    assert np.asarray(pixels).std() < np.asarray(image).std()


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.7])
def test_a_window_is_moved_to_a_rare_label(factor):
    mask = np.zeros((60, 80), np.uint8)
    mask[50:54, 4:8], mask[2:6, 70:74] = 3, 5
    image, found = Image.fromarray(np.stack([mask] * 3, axis=-1)), set()
    for number in range(20):
        rng = np.random.default_rng(number)
        draw = STILL._replace(factor=np.float32(factor), position=rng.random(2))
        labels = augmentation.augmented((image, mask), (17, 17), draw, OFF, (9, 3, 5), rng)[1]
        assert labels.shape == (17, 17) and labels.any()
        found |= set(np.unique(labels))
        assert augmentation.at_rare(mask, (9,), (17, 17), draw, rng) is draw
    assert found == {0, 3, 5}

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from deeplab_lfov import ImageReader, UserError, preprocess
from deeplab_lfov.data.image_files import read_image, read_mask, write_mask
from deeplab_lfov.settings import STRENGTHS

TRAIN = "ImageSets/Segmentation/train.txt"


def collect(reader, batch_size=2, size=(33, 41), num_steps=4, first_step=0):
    batches = list(reader.batches(batch_size, size, num_steps, first_step))
    return [np.concatenate([batch[part] for batch in batches]) for part in (0, 1)]


def noisy(image, mask, rng):
    """Augment by hand: noise, and a label that is void at random."""
    noise = rng.integers(0, 9, image.shape, np.uint8)
    return np.minimum(image, 246) + noise, np.where(mask == rng.integers(21), 255, mask)


def test_a_hook_gets_crops_and_draws_of_its_own(shapes):
    seen = []

    def hook(image, mask, rng):
        seen.append((image.shape, mask.shape, rng.random()))
        image[:] = 0
        return image, np.full_like(mask, 255)

    reader = ImageReader(shapes, TRAIN, hook=hook)
    images, labels = collect(reader, 2, (33, 41), 3)
    black = preprocess.network_input(np.zeros([1, 1, 1, 3]))
    np.testing.assert_allclose(images, np.broadcast_to(black, images.shape))
    assert (labels == 255).all() and len({draw for *_, draw in seen}) == 6
    assert {shape[:2] for shape in seen} == {((33, 41, 3), (33, 41))}


@pytest.mark.parametrize(
    "wrong",
    [
        lambda image, mask, rng: (image / 255, mask),
        lambda image, mask, rng: (image, mask[1:]),
        lambda image, mask, rng: (np.tile(image, (2, 1, 1)), np.tile(mask, (2, 1))),
        lambda image, mask, rng: (image, mask | 64),
    ],
)
def test_what_a_hook_returns_is_checked(shapes, wrong):
    with pytest.raises(UserError, match=r"the hook must return .* below 21 or 255; not "):
        collect(ImageReader(shapes, TRAIN, hook=wrong), 1, (33, 41), 1)
    with pytest.raises(UserError, match="augment must be a list of flip"):
        ImageReader(shapes, TRAIN, augment={"hue": 1})


def test_batches_have_the_networks_form(shapes):
    for images, labels, labelled in ImageReader(shapes, TRAIN).batches(3, (33, 41), 2):
        assert images.shape == (3, 33, 41, 3) and images.dtype == np.float32
        assert labels.shape == (3, 33, 41, 1) and labels.dtype == np.uint8
        assert labelled == np.mean(labels != 255, dtype=np.float32)
        assert -123 <= images.numpy().min() < 0 < images.numpy().max() <= 151


def test_an_unscaled_whole_crop_is_the_picture_then_mean_and_void(shapes):
    reader = ImageReader(shapes, TRAIN)
    images, labels = collect(reader, 1, (200, 200), 6)
    expected = {sample.image: read_image(sample.image) for sample in reader.samples}
    for image, label in zip(preprocess.picture(images).numpy(), labels, strict=True):
        path = next(
            p for p, e in expected.items() if np.array_equal(image[: len(e), : e.shape[1]], e)
        )
        height, width = expected.pop(path).shape[:2]
        mask = read_mask(reader.samples[[s.image for s in reader.samples].index(path)].mask, 21)
        np.testing.assert_array_equal(label[:height, :width, 0], mask)
        assert (label[height:] == 255).all() and (label[:, width:] == 255).all()
    assert not expected  # every picture came once in the epoch


def test_every_epoch_has_its_own_order(shapes):
    images, _ = collect(ImageReader(shapes, TRAIN), 1, (200, 200), 18)
    epochs = [[image.tobytes() for image in images[start : start + 6]] for start in (0, 6, 12)]
    assert set(epochs[0]) == set(epochs[1]) == set(epochs[2])
    assert len({tuple(epoch) for epoch in epochs}) == 3


@pytest.mark.parametrize(
    "augments",
    [{}, {"augment": dict.fromkeys(STRENGTHS, 0.3), "rare_crops": 0.5, "hook": noisy}],
)
def test_samples_do_not_depend_on_batches_or_on_where_a_run_resumed(shapes, augments):
    options = {"scale_range": (0.75, 1.25), "random_mirror": True, "seed": 3}
    reader = ImageReader(shapes, TRAIN, **options, **augments)
    reader.rare_labels = (1, 2)
    whole = collect(reader, 2, num_steps=6)
    for other in (collect(reader, 4, num_steps=3), collect(reader, 2, num_steps=6, first_step=2)):
        for one, two in zip(whole, other, strict=True):
            np.testing.assert_array_equal(one[-len(two) :], two)


def test_batches_may_be_copied_to_a_device_ahead(shapes):
    reader = ImageReader(shapes, TRAIN, random_mirror=True)
    expected = list(reader.batches(2, (33, 41), 4))
    found = list(reader.batches(2, (33, 41), 4, device="/CPU:0"))
    assert len(found) == 4
    for one, two in zip(expected, found, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_determinism_leaves_reading_to_several_threads(shapes):
    """TensorFlow gives a map one thread if it is to be deterministic and has state."""
    reader = ImageReader(shapes, TRAIN, scale_range=(0.5, 2), random_mirror=True)
    sample = tf.function(lambda number: reader._training_sample(number, (9, 9)))
    graph = sample.get_concrete_function(tf.TensorSpec([], tf.int64)).graph
    assert [op.type for op in graph.get_operations() if op.op_def.is_stateful] == []


def test_seeds_differ(shapes):
    one, two = (collect(ImageReader(shapes, TRAIN, seed=seed))[1] for seed in (0, 1))
    assert np.any(one != two)


def test_pictures_come_whole_and_in_order(shapes):
    reader = ImageReader(shapes, TRAIN)
    found = list(reader.pictures(4))
    assert [sample for sample, *_ in found] == list(reader.samples[:4])
    for sample, image, labels in found:
        np.testing.assert_array_equal(image, read_image(sample.image))
        np.testing.assert_array_equal(labels, read_mask(sample.mask, 21))


@pytest.mark.parametrize("way", ["batches", "copied batches", "pictures"])
def test_a_bad_file_is_named_by_a_user_error(tmp_path, way):
    Image.new("RGB", (9, 7)).save(tmp_path / "a.png")
    write_mask(tmp_path / "b.png", np.zeros((9, 7), np.uint8))
    (tmp_path / "list.txt").write_text("a.png b.png")
    reader = ImageReader(tmp_path, "list.txt")
    items = {
        "batches": lambda: reader.batches(1, (9, 9), 1),
        "copied batches": lambda: reader.batches(1, (9, 9), 1, device="/CPU:0"),
        "pictures": reader.pictures,
    }[way]()
    with pytest.raises(
        UserError, match=r"a.png is 7 x 9 pixels .height x width. and its mask .*b.png is 9 x 7"
    ):
        list(items)


def test_the_reader_recovers_no_other_error(shapes, monkeypatch):
    reader = ImageReader(shapes, TRAIN)
    monkeypatch.setattr(reader, "labels_of", lambda mask: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(reader.pictures())
    with pytest.raises(Exception, match="ZeroDivisionError"):
        list(reader.batches(1, (9, 9), 1))


def test_a_run_of_an_earlier_version_keeps_its_orders(shapes):
    reader = ImageReader(shapes, TRAIN, seed=3, order_by="index_shuffle")
    assert "".join(path.stem[-1] for path in reader.files_of_step(1, 12)) == "014532210435"

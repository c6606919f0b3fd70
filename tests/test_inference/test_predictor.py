import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from deeplab_lfov import VOID, DeepLabLFOVModel, DenseCRF, Predictor, UserError
from deeplab_lfov.classes import voc_classes
from deeplab_lfov.inference import predictor as predictors
from deeplab_lfov.network.grid import upsample_scores
from deeplab_lfov.preprocess import network_input
from deeplab_lfov.training.snapshots import Snapshots
from deeplab_lfov.weights import checkpoints


def picture(height, width):
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def image():
    return picture(50, 61)


def softmax(scores):
    return tf.nn.softmax(scores).numpy()


def test_scores_and_labels_are_the_models(reference_model, image):
    predictor = Predictor(reference_model)
    labels, scores = predictor(image), predictor.scores(image)
    np.testing.assert_allclose(predictor.probabilities(image), softmax(scores), atol=1e-6)
    assert labels.shape == (50, 61) and labels.dtype == np.uint8
    assert scores.shape == (50, 61, 21) and scores.dtype == np.float32
    np.testing.assert_array_equal(labels, scores.argmax(axis=-1))
    expected = reference_model.preds(network_input(image)[np.newaxis])
    np.testing.assert_array_equal(labels, expected[0, ..., 0])
    cells = reference_model.scores(network_input(image)[np.newaxis])
    pixels = upsample_scores(cells, 50, 61)[0]
    np.testing.assert_allclose(scores, pixels, atol=1e-5 * np.ptp(pixels))


def test_a_path_is_enough(checkpoint, reference_model, image):
    predictor = Predictor(checkpoint)
    np.testing.assert_array_equal(predictor(image), Predictor(reference_model)(image))
    assert predictor.class_names[15] == "person"


@pytest.mark.parametrize("size", [(49, 57), (50, 61)])
def test_flip_averages_with_the_mirrored_picture(reference_model, size):
    image, plain = picture(*size), Predictor(reference_model)
    mirrored = plain.probabilities(image[:, ::-1])[:, ::-1]
    expected = (plain.probabilities(image) + mirrored) / 2
    flipped = Predictor(reference_model, flip=True)
    np.testing.assert_allclose(flipped.probabilities(image), expected, atol=1e-6)
    np.testing.assert_allclose(softmax(flipped.scores(image)), expected, atol=1e-6)
    np.testing.assert_array_equal(flipped(image), flipped.scores(image).argmax(axis=-1))


def test_scales_average_after_the_softmax(reference_model, image):
    each = [Predictor(reference_model, scales=[s]).probabilities(image) for s in (0.5, 1, 1.25)]
    together = Predictor(reference_model, scales=[0.5, 1, 1.25]).probabilities(image)
    np.testing.assert_allclose(together, np.mean(each, axis=0), atol=1e-6)
    assert np.abs(each[0] - each[1]).max() > 0.01


def test_input_size_pads_with_the_mean(reference_model, image):
    padded = np.zeros((1, 65, 81, 3), np.float32)
    padded[0, :50, :61] = network_input(image)
    expected = upsample_scores(reference_model.scores(padded), 50, 61)[0]
    scores = Predictor(reference_model, input_size=(65, 81)).scores(image)
    np.testing.assert_allclose(scores, expected, atol=1e-5 * np.ptp(expected))


def test_max_side_shrinks_for_the_network_only(reference_model):
    image = np.repeat(np.repeat(picture(40, 30), 2, axis=0), 2, axis=1)
    mask = Predictor(reference_model, max_side=40)(image)
    half = Predictor(reference_model, scales=[0.5])(image)
    np.testing.assert_array_equal(mask, half)
    whole = Predictor(reference_model)
    np.testing.assert_array_equal(Predictor(reference_model, max_side=80)(image), whole(image))


@pytest.mark.parametrize(
    ("size", "side", "options"),
    [((530, 491), 200, {}), ((300, 261), 320, {"scales": [0.75, 1.9], "flip": True})],
)
def test_tiles_change_no_score(reference_model, size, side, options):
    """Larger than the receptive field, so that tiles have inner borders on both axes."""
    image = picture(*size)
    whole = Predictor(reference_model, **options).scores(image)
    tiled = Predictor(reference_model, tile=side, **options).scores(image)
    assert np.abs(tiled - whole).max() <= 1e-5 * np.ptp(whole)


def test_the_crf_sees_the_picture_and_has_the_last_word(reference_model, image):
    def crf(pixels, probabilities):
        np.testing.assert_array_equal(pixels, image)
        np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-5)
        return np.roll(probabilities, 1, axis=-1)

    plain, refined = Predictor(reference_model), Predictor(reference_model, crf=crf)
    np.testing.assert_array_equal(refined(image), (plain(image) + 1) % 21)
    np.testing.assert_array_equal(refined.scores(image), plain.scores(image))


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (8, 9), (700, 500)])
def test_every_size_has_its_mask(reference_model, size):
    """The largest comes in more than one band."""
    image = picture(*size)
    labels = Predictor(reference_model, scales=[0.3, 1])(image)
    scores = Predictor(reference_model, scales=[0.3, 1]).scores(image)
    assert labels.shape == size and scores.shape == (*size, 21)
    np.testing.assert_array_equal(labels, scores.argmax(axis=-1))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"scales": 0.5}, r"scales must be a list of different scales .*, got 0.5"),
        ({"scales": "1"}, r"scales must be .* from 0.05 to 8 .*, got \('1',\)"),
        ({"scales": None}, "scales must be"),
        ({"flip": "no"}, "flip must be True or False, got 'no'"),
        ({"precision": "half"}, "precision must be one of .*bfloat16.*, got 'half'"),
        ({"crf": DenseCRF}, r"crf must be a callable such as DenseCRF\(\), got "),
        ({"input_size": (513,)}, r"input_size must be a height and width .*, got \(513,\)"),
        ({"tile": 100}, "tile must be a multiple of 8"),
        ({"max_side": 0}, "max_side must be a whole number"),
        ({"tile": 64, "input_size": (65, 65)}, "exclude"),
        ({"tile": 64, "crf": max}, "exclude"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_weights_are_read(options, word):
    with pytest.raises(UserError, match=word):
        Predictor("there is no such file", **options)


def test_a_crf_on_one_class_is_refused():
    with pytest.raises(UserError, match="one"):
        Predictor(DeepLabLFOVModel(1, 1 / 16), crf=max)


def test_pictures_beyond_input_size_are_refused(reference_model):
    predictor = Predictor(reference_model, input_size=(60, 40))
    predictor.check_size(60, 40)
    for size in ((61, 40), (60, 41), (10, 50)):
        with pytest.raises(UserError, match="does not fit"):
            predictor.check_size(*size)


def test_files_and_pictures_of_pillows_are_as_good_as_arrays(reference_model, image, tmp_path):
    predictor, picture = Predictor(reference_model), Image.fromarray(image)
    picture.save(tmp_path / "a.png")
    for kind in (picture, tmp_path / "a.png", str(tmp_path / "a.png")):
        np.testing.assert_array_equal(predictor(kind), predictor(image))
        np.testing.assert_array_equal(predictor.segment(kind).image, image)


@pytest.mark.parametrize(
    "options", [{}, {"scales": [0.5, 1.5], "flip": True, "max_side": 60}, {"tile": 64}]
)
def test_several_pictures_have_the_results_of_each(reference_model, image, options):
    predictor = Predictor(reference_model, **options)
    images = [image, image[::-1].copy(), Image.fromarray(picture(300, 90)), image[:, ::-1]]
    for several in (images, tuple(images)):
        masks, scores = predictor(several), predictor.scores(several)
        assert isinstance(masks, list) and len(masks) == len(scores) == 4
        for one, mask, score in zip(images, masks, scores, strict=True):
            np.testing.assert_array_equal(mask, predictor(one))
            expected = predictor.scores(one)
            np.testing.assert_allclose(score, expected, atol=1e-5 * np.ptp(expected))
    assert predictor([]) == predictor.probabilities([]) == []
    with pytest.raises(TypeError, match="got NoneType"):
        predictor([image, None])
    with pytest.raises(TypeError, match="got generator"):
        predictor.scores(each for each in [image])


@pytest.mark.parametrize(
    ("options", "together"),
    [
        ({}, [3, 3, 1]),
        ({"max_side": 25}, [7]),
        ({"input_size": (60, 50)}, [2, 2, 2, 1]),
    ],
)
def test_pictures_go_through_the_network_as_many_as_memory_allows(
    reference_model, monkeypatch, options, together
):
    """Seven of 50 x 40 pixels, where 6000 pixels may be in the network."""
    predictor = Predictor(reference_model, **options)
    monkeypatch.setattr(predictors, "BATCH", 6000)
    network, found = predictor._network, []

    def counted(pictures, size):
        found.append(len(pictures))
        return network(pictures, size)

    predictor._network = counted
    assert len(predictor([picture(50, 40)] * 7)) == 7 and found == together


@pytest.mark.parametrize("crf", [None, lambda _, probabilities: probabilities])
def test_unsure_pixels_are_void(reference_model, image, crf):
    predictor = Predictor(reference_model, crf=crf)
    probabilities, labels = predictor.probabilities(image), predictor(image)
    unsure = probabilities.max(axis=-1) < 0.999
    assert 0.1 < unsure.mean() < 0.9
    expected = np.where(unsure, VOID, labels)
    np.testing.assert_array_equal(predictor(image, min_confidence=0.999), expected)
    np.testing.assert_array_equal(predictor([image], min_confidence=0.999), [expected])


@pytest.mark.parametrize("share", [90, "0.9", float("nan")])
def test_a_confidence_is_a_share(reference_model, image, share):
    with pytest.raises(UserError, match="min_confidence must be a share from 0 to 1"):
        Predictor(reference_model)(image, min_confidence=share)


def test_the_options_are_told_in_a_line(reference_model):
    assert str(Predictor(reference_model)) == ""
    numbers = {"scales": np.float32([0.5, 1]), "max_side": np.int64(40), "flip": np.bool_(True)}
    predictor = Predictor(reference_model, input_size=(321, 513), **numbers)
    expected = "scales 0.5, 1; mirrored too; padded to 321 x 513; shrunk to 40 pixels"
    assert str(predictor) == expected


def test_a_run_that_removes_its_checkpoint_has_a_newer_one(reference_model, tmp_path, monkeypatch):
    snapshots = Snapshots(tmp_path, reference_model.parameters, voc_classes(21))
    fit_of = checkpoints.fit_of

    def fit_and_rotate(*given, **more):
        if not (tmp_path / "model.ckpt-2.index").exists():
            for file in tmp_path.glob("model.ckpt-1.*"):
                file.unlink()
            snapshots.save(2)
        return fit_of(*given, **more)

    snapshots.save(1)
    monkeypatch.setattr(checkpoints, "fit_of", fit_and_rotate)
    assert Predictor(tmp_path)(picture(20, 30)).shape == (20, 30)


def test_a_forked_process_is_told_so_and_does_not_hang(reference_model, image, monkeypatch):
    predictor = Predictor(reference_model)
    monkeypatch.setattr(predictors.os, "getpid", lambda: 0)
    with pytest.raises(UserError, match="forked process .* spawn"):
        predictor(image)

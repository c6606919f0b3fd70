import numpy as np

from deeplab_lfov import ImageReader
from deeplab_lfov.voc import CLASS_NAMES
from util import make_shapes


def test_a_data_set_in_voc_layout(shapes):
    sizes, labels = set(), set()
    for split, count in (("train", 6), ("val", 3)):
        reader = ImageReader(shapes, f"ImageSets/Segmentation/{split}.txt")
        assert len(reader.samples) == count
        for _, image, mask in reader.pictures():
            sizes.add(image.shape)
            labels.update(np.unique(mask).tolist())
    assert len(sizes) > 5
    assert {0, 255} < labels <= {0, 255, *map(CLASS_NAMES.index, make_shapes.FIGURES)}


def test_every_figure_is_outlined_with_void():
    for index in range(5):
        _, labels = make_shapes.draw(np.random.default_rng(index))
        pairs = np.stack([labels[:, :-1].ravel(), labels[:, 1:].ravel()])
        pairs = pairs[:, (pairs != 255).all(axis=0)]
        assert (pairs[0] == pairs[1]).all() and (labels == 255).mean() < 0.1


def test_the_same_seed_draws_the_same_files(tmp_path, script):
    for folder, seed in (("a", 5), ("b", 5), ("c", 6)):
        flags = ["--num_train", 2, "--num_val", 1, "--seed", seed]
        assert script("util.make_shapes", tmp_path / folder, *flags).status == 0
    files = [sorted(p for p in (tmp_path / f).rglob("*") if p.is_file()) for f in "abc"]
    assert len(files[0]) == 8
    contents = [[path.read_bytes() for path in paths] for paths in files]
    assert contents[0] == contents[1] != contents[2]


def test_a_folder_in_use_is_refused(tmp_path, script):
    (tmp_path / "precious").touch()
    result = script("util.make_shapes", tmp_path)
    assert result.status == 2 and "not empty" in result.err

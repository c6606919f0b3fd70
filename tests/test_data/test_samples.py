"""A list's pictures and masks, kept as text."""

from pathlib import Path

import pytest
from deeplab_lfov.data.samples import Sample, Samples


@pytest.fixture
def samples():
    samples = Samples(Path("data"))
    samples.add("a/ü.jpg", "m/ü.png")
    samples.add("/elsewhere/b.jpg", None)
    samples.add("c.jpg", "c.png")
    return samples


def test_they_are_a_sequence_of_paths(samples):
    assert list(samples) == [
        Sample(Path("data/a/ü.jpg"), Path("data/m/ü.png")),
        Sample(Path("/elsewhere/b.jpg"), None),
        Sample(Path("data/c.jpg"), Path("data/c.png")),
    ]
    assert samples[-1].name == "c" and len(samples) == 3
    with pytest.raises(IndexError):
        samples[3]
    assert list(samples.names()) == ["ü.jpg ü.png", "b.jpg ", "c.jpg c.png"]


def test_parts_are_sequences_too(samples):
    part = samples[::2]
    assert [each.name for each in part] == ["ü", "c"] and len(part) == 2
    assert [each.name for each in part[1:]] == ["c"]
    assert list(part.files())[1] == ("data/c.jpg", "data/c.png")
    assert not samples[:0] and samples

"""What one sample is like."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgekit.datasets.base import BadSample, Boxes, Sample
from edgekit.datasets.describing import HASH_SIDE, count_objects, describe_sample, list_classes

pytest.importorskip("imagehash")


def test_picture(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """A picture has a size, a range, a format and channels, and looks by which it is compared."""
    described = describe_sample(Sample("a", {"photo": draw(tmp_path / "a.png", mode="L")}, 3))
    assert (described.figures["width"], described.figures["height"]) == (64, 48)
    assert 0 <= described.figures["lowest value"] < described.figures["mean value"] < described.figures["highest value"] <= 255
    assert described.forms == {"format": "PNG", "channels": "L"}
    assert described.looks is not None
    assert described.looks.shape == (HASH_SIDE**2,)
    assert described.classes == (3,)
    assert (described.likeness or 0) > 0.5


def test_sound(tmp_path: Path, play: Callable[..., bytes]) -> None:
    """A sound has a rate, channels, a length and a peak."""
    described = describe_sample(Sample("a", {"sound": play(tmp_path / "a.wav", rate=8000, seconds=0.5)}))
    assert described.forms == {"sample rate": "8000", "channels": "1"}
    assert described.figures["seconds"] == pytest.approx(0.5)
    assert described.figures["peak"] == pytest.approx(0.3, abs=0.02)
    assert described.looks is None


def test_others() -> None:
    """Texts have letters and words, arrays a shape and a range, and several features are told apart."""
    described = describe_sample(Sample("a", {"words": "go now", "acc": np.array([[1, 2], [3, 5]], np.int16)}))
    assert described.figures["words: words"] == 2
    assert (described.figures["acc: lowest value"], described.figures["acc: highest value"]) == (1, 5)
    assert described.forms == {"acc: shape": "2x2", "acc: dtype": "int16"}


def test_digest() -> None:
    """Samples with the same bytes have the same digest, and an array of another shape has another."""
    first, second = np.arange(6, dtype=np.float32), np.arange(6, dtype=np.float32).reshape(2, 3)
    assert describe_sample(Sample("a", {"x": first})).digest == describe_sample(Sample("b", {"x": first.copy()})).digest
    assert describe_sample(Sample("a", {"x": first})).digest != describe_sample(Sample("a", {"x": second})).digest


@pytest.mark.parametrize("data", [b"no picture", b"RIFF\x04\0\0\0WAVE", b"\x89PNG\r\n\x1a\n" + bytes(20)])
def test_damaged(data: bytes) -> None:
    """What cannot be read is a bad sample, under its own name."""
    with pytest.raises(BadSample, match="a: it"):
        describe_sample(Sample("a", {"given": data}))


def test_objects() -> None:
    """The classes of a picture with objects are those of its objects, and its figures say how many and how small."""
    boxes = Boxes(np.array([[0, 0, 2, 3], [0, 0, 10, 10.0]]), np.array([4, 1]), np.zeros(2, bool))
    sample = Sample("a", {"x": np.zeros((2, 2))}, boxes)
    described = describe_sample(sample)
    assert (described.figures["objects"], described.figures["smallest object, pixels"]) == (2, 6)
    assert (described.classes, list(count_objects(sample))) == ((1, 4), [4, 1])
    assert list_classes(Sample("a", {}, np.array([[0, 2], [2, 0]]))) == [0, 2]
    assert list_classes(Sample("a", {}, "said")) == []


def test_looked_at_less(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """What costs time is left out where nobody asks for it."""
    described = describe_sample(Sample("a", {"photo": draw(tmp_path / "a.png")}), alike=False, closely=False)
    assert (described.looks, described.likeness) == (None, None)

"""The usual mistakes, each as a contract of its own."""

import pytest
from msgspec.structs import replace

from edgekit.contract import Cast, Color, Crop, Feature, Layout, Normalize, Processing, Quantize, Reshape, Resize, Scale
from edgekit.processing.alternatives import list_alternatives

SIDE = 16
UNIT = Scale(factor=1 / 255)
RESIZE = Resize(width=SIDE, height=SIDE)
CHW = Layout(axes="CHW")


def contract(*steps):
    return Processing(inputs=(Feature(name="photo", kind="image", feeds="x", steps=steps),))


def guess(words, *steps):
    """The steps of the guess *words* at a contract of *steps*."""
    return dict(list_alternatives(contract(*steps)))[words].inputs[0].steps


@pytest.mark.parametrize(
    ("words", "steps", "expected"),
    [
        ("BGR", (RESIZE, UNIT, CHW), (RESIZE, Color(order="BGR"), UNIT, CHW)),
        ("RGB", (Color(order="BGR"), RESIZE, UNIT, CHW), (RESIZE, UNIT, CHW)),
        ("values from 0 to 255", (RESIZE, UNIT, CHW), (RESIZE, Scale(factor=1.0), CHW)),
        ("values from 0 to 1", (RESIZE, Cast(dtype="float32"), CHW), (RESIZE, UNIT, Cast(dtype="float32"), CHW)),
        (
            "values from -1 to 1",
            (RESIZE, UNIT, Quantize(dtype="int8", scale=0.01), CHW),
            (RESIZE, Scale(factor=1 / 127.5, offset=-1.0), Quantize(dtype="int8", scale=0.01), CHW),
        ),
        ("no mean and deviation", (RESIZE, UNIT, Normalize(mean=(0.5,), std=(0.2,)), CHW), (RESIZE, UNIT, CHW)),
        ("a picture that is stretched", (Resize(width=20, height=20, fit="cover"), Crop(width=SIDE, height=SIDE), UNIT), (RESIZE, UNIT)),
        ("a picture whose middle is cut out", (RESIZE, UNIT), (Resize(width=SIDE, height=SIDE, fit="cover"), Crop(width=SIDE, height=SIDE), UNIT)),
        ("bilinear without antialiasing", (RESIZE, UNIT), (Resize(width=SIDE, height=SIDE, antialias=False), UNIT)),
        ("HWC values in a tensor that says CHW", (RESIZE, UNIT, CHW), (RESIZE, UNIT, Reshape(shape=(3, SIDE, SIDE)))),
        (
            "CHW values in a tensor that says HWC",
            (RESIZE, UNIT, Layout(axes="HWC")),
            (RESIZE, UNIT, CHW, Reshape(shape=(SIDE, SIDE, 3))),
        ),
    ],
)
def test_each_mistake_is_a_contract(words, steps, expected):
    """A guess changes what it names, at its place, and leaves the other steps alone."""
    assert guess(words, *steps) == expected


def test_guesses_differ_from_what_is_declared():
    """No guess is the contract itself, none is there twice in the same words, and each keeps the rest of the contract."""
    declared = replace(contract(Resize(width=20, height=20, fit="cover"), Crop(width=SIDE, height=SIDE), UNIT, CHW), labels=("a", "b"))
    guesses = dict(list_alternatives(declared))
    assert len(guesses) == len(list(list_alternatives(declared))) > 15
    for words, guess in guesses.items():
        assert guess != declared, words
        assert guess.labels == ("a", "b")


def test_bytes_have_no_other_units():
    """A model that takes pixels as bytes is not suspected of wanting floats; its order and size may still be wrong."""
    names = [words for words, _ in list_alternatives(contract(RESIZE, Layout(axes="HWC")))]
    assert "BGR" in names
    assert not any("values from" in name for name in names)


def test_sounds_have_no_guesses():
    """What is no picture is left alone."""
    assert list(list_alternatives(Processing(inputs=(Feature(name="sound", kind="audio", feeds="x"),)))) == []

"""The usual mistakes in a contract for pictures: each as the contract that would be right if it were made."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from msgspec.structs import replace

from edgekit.contract import Cast, Color, Crop, Feature, Interpolation, Layout, Normalize, Processing, Quantize, Reshape, Resize, Scale, Step
from edgekit.processing.picture_presets import CROPPED_SHARE, IMAGENET_MEAN, IMAGENET_STD, LETTERBOX_GREY

Steps: TypeAlias = tuple[Step, ...]
#: A guess in words that follow "looks like", and the steps that it means.
Guess: TypeAlias = tuple[str, Steps]

_TO_FLOAT = Scale(factor=1.0)
_TO_UNIT = Scale(factor=1 / 255)
# fmt: off
_INTERPOLATIONS: tuple[tuple[str, Interpolation, bool], ...] = (
    ("bilinear with antialiasing",    "bilinear", True),
    ("bilinear without antialiasing", "bilinear", False),
    ("bicubic with antialiasing",     "bicubic",  True),
    ("bicubic without antialiasing",  "bicubic",  False),
    ("lanczos with antialiasing",     "lanczos",  True),
    ("lanczos without antialiasing",  "lanczos",  False),
    ("the mean over areas",           "area",     True),
    ("the nearest pixel (Pillow)",    "nearest",  True),
    ("the nearest pixel (OpenCV)",    "nearest",  False),
)
_UNITS: dict[str, Steps] = {
    "values from 0 to 255":             (_TO_FLOAT,),
    "values from 0 to 1":               (_TO_UNIT,),
    "values from -1 to 1":              (Scale(factor=1 / 127.5, offset=-1.0),),
    "ImageNet's mean and deviation":    (_TO_UNIT, Normalize(mean=IMAGENET_MEAN, std=IMAGENET_STD)),
    "inverted brightness from 0 to 1":  (Scale(factor=-1 / 255, offset=1.0),),
}
# fmt: on


def list_alternatives(contract: Processing) -> Iterator[tuple[str, Processing]]:
    """Contracts that differ from *contract* by one usual mistake in one feature, each with words that follow "looks like"."""
    for index, feature in enumerate(contract.inputs):
        if feature.kind != "image":
            continue
        for guess, steps in _list_guesses(feature):
            changed = replace(feature, steps=steps)
            yield guess, replace(contract, inputs=(*contract.inputs[:index], changed, *contract.inputs[index + 1 :]))


def _list_guesses(feature: Feature) -> Iterator[Guess]:
    guessing: tuple[Callable[[Steps], Iterator[Guess]], ...] = (_guess_orders, _guess_units, _guess_fits, _guess_interpolations, _guess_layouts)
    for guess in guessing:
        for words, steps in guess(feature.steps):
            if steps != feature.steps:
                yield words, steps


def _guess_orders(steps: Steps) -> Iterator[Guess]:
    """The other order of the colours. Grey has none."""
    orders = [step.order for step in steps if isinstance(step, Color)]
    if orders[-1:] == ["GRAY"]:
        return
    other: Color = Color(order="RGB") if orders[-1:] == ["BGR"] else Color(order="BGR")
    rest = [step for step in steps if not isinstance(step, Color)]
    yield other.order, (*_of_pictures(rest), *((other,) if other.order == "BGR" else ()), *_of_numbers(rest))


def _guess_units(steps: Steps) -> Iterator[Guess]:
    """Other units of the values, and the declared ones with a step left out. An input that takes pixels as bytes has no others."""
    units = [step for step in steps if isinstance(step, Scale | Normalize)]
    if not units and not any(isinstance(step, Cast | Quantize) for step in steps):
        return
    guesses = {words: usual for words, usual in _UNITS.items() if not _is_grey(steps) or not any(isinstance(step, Normalize) for step in usual)}
    guesses["no mean and deviation"] = tuple(step for step in units if isinstance(step, Scale)) or (_TO_FLOAT,)
    guesses["values from 0 to 255, less the mean and divided by the deviation"] = tuple(step for step in units if isinstance(step, Normalize))
    guesses["values from 0 to 1, less the mean and divided by the deviation"] = (_TO_UNIT, *(step for step in units if isinstance(step, Normalize)))
    rest = [step for step in steps if not isinstance(step, Scale | Normalize)]
    for words, usual in guesses.items():
        if usual and usual != tuple(units):
            yield words, (*_of_pictures(rest), *usual, *_of_numbers(rest))


def _guess_fits(steps: Steps) -> Iterator[Guess]:
    """Other ways to the same size: stretched, cut, or with a border."""
    resize = next((step for step in steps if isinstance(step, Resize)), None)
    if resize is None:
        return
    crop = next((step for step in steps if isinstance(step, Crop)), None)
    width, height = (resize.width, resize.height) if crop is None else (crop.width, crop.height)
    stretched = replace(resize, width=width, height=height, fit="stretch", fill=(0,), anchor="centre")
    wide = replace(stretched, fit="cover", width=round(width / CROPPED_SHARE), height=round(height / CROPPED_SHARE))
    cut = Crop(width=width, height=height)
    ways: dict[str, Steps] = {
        "a picture that is stretched": (stretched,),
        "a picture whose middle is cut out": (replace(stretched, fit="cover"), cut),
        f"the middle {CROPPED_SHARE:.1%} of a picture": (wide, cut),
        "a picture in a black border (letterbox)": (replace(stretched, fit="letterbox"),),
        "a picture in a grey border (letterbox)": (replace(stretched, fit="letterbox", fill=(LETTERBOX_GREY,)),),
    }
    place = steps.index(resize)
    for words, way in ways.items():
        if way != tuple(step for step in steps if isinstance(step, Resize | Crop)):
            rest = [step for step in steps if not isinstance(step, Resize | Crop)]
            yield words, (*rest[:place], *way, *rest[place:])


def _guess_interpolations(steps: Steps) -> Iterator[Guess]:
    """Other interpolations of each resize, one at a time."""
    for place, step in enumerate(steps):
        if isinstance(step, Resize):
            for words, interpolation, antialias in _INTERPOLATIONS:
                yield words, (*steps[:place], replace(step, interpolation=interpolation, antialias=antialias), *steps[place + 1 :])


def _guess_layouts(steps: Steps) -> Iterator[Guess]:
    """Values that were written in one layout and are read in the other, which no shape tells."""
    sizes = [step for step in steps if isinstance(step, Resize | Crop)]
    place = next((index for index, step in enumerate(steps) if isinstance(step, Layout)), None)
    if not sizes or place is None:
        return
    width, height, channels = sizes[-1].width, sizes[-1].height, 1 if _is_grey(steps) else 3
    if steps[place] == Layout(axes="CHW"):
        yield "HWC values in a tensor that says CHW", (*steps[:place], Reshape(shape=(channels, height, width)), *steps[place + 1 :])
    elif steps[place] == Layout(axes="HWC"):
        read = (Layout(axes="CHW"), Reshape(shape=(height, width, channels)))
        yield "CHW values in a tensor that says HWC", (*steps[:place], *read, *steps[place + 1 :])


def _is_grey(steps: Steps) -> bool:
    return any(isinstance(step, Color) and step.order == "GRAY" for step in steps)


def _of_pictures(steps: Sequence[Step]) -> Steps:
    return tuple(step for step in steps if isinstance(step, Resize | Crop | Color))


def _of_numbers(steps: Sequence[Step]) -> Steps:
    return tuple(step for step in steps if not isinstance(step, Resize | Crop | Color))

"""Raw items that travel to devices: made of a user's data without what else its files say, or made up."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edgekit.arrays import Array
from edgekit.contract import Crop, Feature, Kind, Processing, Resize
from edgekit.errors import InputError
from edgekit.golden import synthesize_inputs
from edgekit.golden_raw import MAX_BYTES, MAX_ITEMS
from edgekit.processing.base import Raw
from edgekit.processing.libraries import load_library
from edgekit.processing.pictures import open_picture
from edgekit.processing.pipeline import ContractPipeline
from edgekit.processing.sounds import find_rate, read_sound
from edgekit.processing.tables import read_table
from edgekit.processing.texts import read_text
from edgekit.tensors import Quantization, TensorSpec

#: The longest side of a picture in pixels, and the longest sound in seconds: many times what models take.
LONGEST_SIDE, LONGEST_S = 640, 10
#: The longest text in letters.
LONGEST_TEXT = 2000
_USUAL_RATE = 16_000
#: Where nothing says how large a picture is, (width, height).
_USUAL_SIZE = (96, 72)
#: Made-up sounds and tables are tried at these lengths, in seconds or in rows, until the contract takes one.
_SECONDS, _ROWS = (1, 2, 4, 10), (32, 128, 512, 2048)
_FULL = Quantization(scale=(1.0,), zero_point=(0,))
_WORDS = ("a", "the", "small", "bright", "red", "cold", "quick", "river", "train", "market", "song", "winter", "machine", "opens", "carries")
_LINKS = ("finds", "breaks", "near", "under", "without", "behind", "because", "today", "never", "again", "very", "well", "badly", "1984", ",", "?")


def encode_item(contract: Processing, raws: Mapping[str, Raw]) -> dict[str, bytes | str]:
    """*raws* as files and texts that travel: PNG, WAV of 16 bits, UTF-8 and CSV, shorter and smaller than what was given may be.

    Nothing else that a user's file says goes with them, such as where a picture was taken.

    Raises:
        InputError: one cannot be read.
        DeviceError: a library that writes it is missing.
    """
    return {feature.name: _ENCODERS[feature.kind](feature, raws[feature.name]) for feature in contract.inputs}


def _encode_picture(feature: Feature, raw: Raw) -> bytes:
    image = open_picture(raw, f"input {feature.name!r}").to_image().copy()
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    image.info.clear()
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _encode_sound(feature: Feature, raw: Raw) -> bytes:
    sound = read_sound(raw, f"input {feature.name!r}")
    rate = sound.rate or find_rate(feature.steps, feature.name) or _USUAL_RATE
    buffer = io.BytesIO()
    load_library("soundfile", "audio").write(buffer, sound.samples[: LONGEST_S * rate], rate, "PCM_16", format="WAV")
    return buffer.getvalue()


def _encode_text(feature: Feature, raw: Raw) -> str:
    return read_text(raw, f"input {feature.name!r}")[:LONGEST_TEXT]


def _encode_table(feature: Feature, raw: Raw) -> bytes:
    rows = read_table(raw, feature.columns, f"input {feature.name!r}")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(feature.columns or [f"column{index}" for index in range(rows.shape[1])])
    # Nine digits give every float32 back as it was (IEEE 754-2008, 5.12.2).
    writer.writerows([f"{value:.9g}" for value in row] for row in rows.tolist())
    return text.getvalue().encode()


_ENCODERS: dict[Kind, Callable[[Feature, Raw], bytes | str]] = {
    "image": _encode_picture,
    "audio": _encode_sound,
    "text": _encode_text,
    "series": _encode_table,
}


def choose_items(contract: Processing, candidates: Sequence[Mapping[str, Raw]]) -> list[dict[str, bytes | str]]:
    """Those of *candidates*, encoded, that can be, as many as may travel: MAX_ITEMS, and MAX_BYTES together."""
    chosen: list[dict[str, bytes | str]] = []
    size = 0
    for raws in candidates:
        try:
            item = encode_item(contract, raws)
        except InputError:
            # One that cannot be read is no proof of anything; edgekit data check names it.
            continue
        each = sum(map(len, item.values()))
        if len(chosen) < MAX_ITEMS and size + each <= MAX_BYTES:
            chosen.append(item)
            size += each
    return chosen


def spread_keys(keys: Sequence[str], seed: int) -> list[str]:
    """MAX_ITEMS of *keys*, evenly spread, since sets are sorted by class; in an order that *seed* decides, as there may be room for a few only."""
    places = np.linspace(0, len(keys) - 1, min(MAX_ITEMS, len(keys))).round().astype(int)
    return [keys[place] for place in np.random.default_rng(seed).permutation(places).tolist()]


def make_up_items(pipeline: ContractPipeline, seed: int) -> list[dict[str, bytes | str]]:
    """Items that are made up for the contract of *pipeline*; none where it does not take such as can be made up."""
    for scale in range(len(_SECONDS)):
        rng = np.random.default_rng(seed)
        raws = [{one.name: _MAKERS[one.kind](pipeline, one, scale, rng) for one in pipeline.contract.inputs} for _ in range(MAX_ITEMS)]
        items = choose_items(pipeline.contract, raws)
        if items and _is_taken(pipeline, items[0]):
            return items
    return []


def _is_taken(pipeline: ContractPipeline, item: Mapping[str, Raw]) -> bool:
    try:
        pipeline.feed(item)
    except InputError:
        return False
    return True


def _make_up_picture(_pipeline: ContractPipeline, feature: Feature, _scale: int, rng: np.random.Generator) -> Array:
    """Steps of colour with some noise, larger than the model's picture and of other proportions, so that every step has its effect."""
    sizes = [(step.width, step.height) for step in feature.steps if isinstance(step, Resize | Crop)] or [_USUAL_SIZE]
    width, height = (min(side, LONGEST_SIDE) for side in sizes[-1])
    longer, shorter = min(round(1.7 * width) + 1, LONGEST_SIDE), min(round(1.2 * height) + 1, LONGEST_SIDE)
    rows, columns = (shorter, longer) if rng.integers(2) else (longer, shorter)
    spec = TensorSpec(name="image", dtype="uint8", shape=("n", rows, columns, 3), quantization=_FULL)
    picture: Array = synthesize_inputs([spec], 1, rng)["image"][0]
    return picture


def _make_up_sound(_pipeline: ContractPipeline, feature: Feature, scale: int, rng: np.random.Generator) -> Array:
    """Tones that swell and fade over a quiet noise, as float32 from -1 to 1 at the contract's rate."""
    rate = find_rate(feature.steps, feature.name) or _USUAL_RATE
    time = np.arange(_SECONDS[scale] * rate) / rate
    tones = [np.sin(2 * np.pi * rng.uniform(80, rate / 5) * time) * np.sin(np.pi * rng.uniform(0.5, 4) * time) ** 2 for _ in range(4)]
    sound = 0.2 * np.sum(tones, axis=0) + rng.normal(scale=0.01, size=len(time))
    clipped: Array = np.clip(sound, -1, 1).astype(np.float32)
    return clipped


def _make_up_text(_pipeline: ContractPipeline, _feature: Feature, _scale: int, rng: np.random.Generator) -> str:
    return " ".join(rng.choice(_WORDS + _LINKS, int(rng.integers(4, 40))).tolist())


def _make_up_table(pipeline: ContractPipeline, feature: Feature, scale: int, rng: np.random.Generator) -> Array:
    """Walks at random around a level of their own, with some noise."""
    size = (_ROWS[scale], _count_columns(pipeline, feature))
    walks: Array = rng.normal(scale=0.1, size=size).cumsum(axis=0) + rng.normal(scale=0.1, size=size) + rng.normal(size=size[1])
    return walks.astype(np.float32)


def _count_columns(pipeline: ContractPipeline, feature: Feature) -> int:
    """Those that the contract names, else those of the model's input."""
    last = [spec.shape[-1] for spec in pipeline.specs if spec.name == feature.feeds]
    return len(feature.columns) or next((size for size in last if isinstance(size, int)), 1)


_MAKERS: dict[Kind, Callable[[ContractPipeline, Feature, int, np.random.Generator], Raw]] = {
    "image": _make_up_picture,
    "audio": _make_up_sound,
    "text": _make_up_text,
    "series": _make_up_table,
}

"""What travels to devices: plain files of a bounded size, of the user's data or made up."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.contract import Cast, Crop, Feature, Fit, Layout, Processing, Resample, Resize, Scale, Step, Tokenize, Windows
from edgekit.errors import InputError
from edgekit.golden_raw import MAX_BYTES, MAX_ITEMS
from edgekit.processing.pipeline import open_pipeline
from edgekit.raw_items import LONGEST_SIDE, choose_items, encode_item, make_up_items, spread_keys
from edgekit.tensors import TensorSpec

IMAGE = Feature(name="image", kind="image", feeds="x", steps=(Resize(width=8, height=8), Scale(factor=1 / 255), Layout(axes="CHW")))
AUDIO = Feature(name="sound", kind="audio", feeds="x", steps=(Resample(rate=8000), Fit(length=4000)))
SERIES = Feature(name="rows", kind="series", feeds="x", columns=("ax", "ay"), steps=(Windows(length=100, hop=50),))
TEXT = Feature(name="text", kind="text", steps=(Tokenize(file="tokenizer.json", length=8, feeds={"x": "ids"}),))


def encode(feature: Feature, raw: Any) -> bytes | str:
    return encode_item(Processing(inputs=(feature,)), {feature.name: raw})[feature.name]


def test_pictures_become_small_png() -> None:
    """A large picture keeps its proportions and gets smaller; one that is small enough keeps every pixel."""
    from PIL import Image

    small = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode(IMAGE, small)))), small)  # type: ignore[arg-type] # bytes of a picture
    large = Image.open(io.BytesIO(encode(IMAGE, np.zeros((600, 1200, 3), np.uint8))))  # type: ignore[arg-type]
    assert (large.format, large.size) == ("PNG", (LONGEST_SIDE, LONGEST_SIDE // 2))


def test_sounds_become_wav_of_ten_seconds() -> None:
    """A sound keeps its rate, and of a long one the first ten seconds."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, np.sin(np.arange(12 * 44_100) / 9), 44_100, format="FLAC")
    samples, rate = soundfile.read(io.BytesIO(encode(AUDIO, buffer.getvalue())))  # type: ignore[arg-type]
    assert (rate, len(samples)) == (44_100, 441_000)
    assert samples == pytest.approx(np.sin(np.arange(441_000) / 9), abs=1e-4)
    assert soundfile.info(io.BytesIO(encode(AUDIO, np.zeros(800, np.float32)))).samplerate == 8000  # type: ignore[arg-type]


def test_tables_become_csv_that_reads_back_the_same() -> None:
    """Figures come back as the same float32, under the contract's columns."""
    from edgekit.processing.tables import read_table

    rows = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    data = encode(SERIES, rows)
    assert data.startswith(b"ax,ay\n")  # type: ignore[arg-type]
    assert np.array_equal(read_table(data, ("ax", "ay"), "rows"), rows)


def test_texts_are_cut() -> None:
    """A text travels as it is, up to its bound."""
    assert encode(TEXT, b"gr\xc3\xbc\xc3\x9fe") == "grüße"
    assert len(encode(TEXT, "word " * 10_000)) == 2000


def test_what_cannot_be_read_does_not_travel() -> None:
    """A damaged picture among good ones is left out, and as many others go as there is room for."""
    noise = np.random.default_rng(0).integers(0, 255, (640, 640, 3), dtype=np.uint8)
    items = choose_items(Processing(inputs=(IMAGE,)), [{"image": b"damaged"}, *({"image": noise} for _ in range(5))])
    assert len(items) == MAX_BYTES // len(items[0]["image"])
    assert len(choose_items(Processing(inputs=(IMAGE,)), [{"image": noise[:9, :9]}] * 40)) == MAX_ITEMS
    with pytest.raises(InputError, match="no picture"):
        encode(IMAGE, b"damaged")


def test_keys_are_spread() -> None:
    """Of data that are sorted by class every class is among the items, in an order that the seed decides."""
    keys = [f"{label}/{index}" for label in range(8) for index in range(50)]
    assert {key[0] for key in spread_keys(keys, 0)} == set("01234567")
    assert spread_keys(keys, 0) == spread_keys(keys, 0) != spread_keys(keys, 1)
    assert spread_keys(["only"], 0) == ["only"]


@pytest.mark.parametrize(
    ("feature", "shape"),
    [(IMAGE, ("n", 3, 8, 8)), (AUDIO, ("n", 4000)), (SERIES, ("n", 100, 2)), (Feature(name="rows", kind="series", feeds="x"), (1, "rows", 3))],
)
def test_items_are_made_up_for_what_the_contract_takes(feature: Feature, shape: tuple[int | str, ...]) -> None:
    """Pictures, sounds and tables are made up that the contract feeds, different ones, and the same ones again."""
    pipeline = open_pipeline(Processing(inputs=(feature,)), [TensorSpec(name="x", dtype="float32", shape=shape)], [], Path())
    items = make_up_items(pipeline, 0)
    assert 4 <= len(items) <= MAX_ITEMS
    fed = [pipeline.feed(item).inputs["x"].tobytes() for item in items]
    assert len(set(fed)) == len(fed)
    assert make_up_items(pipeline, 0) == items != make_up_items(pipeline, 1)


def test_texts_are_made_up(tmp_path: Path) -> None:
    """Sentences are made up that a tokeniser reads, of several lengths."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "river": 1, "the": 2, "a": 3, "train": 4}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    steps: tuple[Step, ...] = (*TEXT.steps, Cast(dtype="int32"))
    feature = Feature(name="text", kind="text", steps=steps)
    pipeline = open_pipeline(Processing(inputs=(feature,)), [TensorSpec(name="x", dtype="int32", shape=("n", 8))], [], tmp_path)
    items = make_up_items(pipeline, 0)
    assert len({len(str(item["text"]).split()) for item in items}) > 4


def test_what_takes_longer_than_can_be_made_up_has_no_items() -> None:
    """A contract whose window is longer than any made-up table gets none, and that is no error."""
    feature = Feature(name="rows", kind="series", feeds="x", steps=(Windows(length=5000, hop=2500),))
    pipeline = open_pipeline(Processing(inputs=(feature,)), [TensorSpec(name="x", dtype="float32", shape=("n", 5000, 3))], [], Path())
    assert make_up_items(pipeline, 0) == []


def test_made_up_pictures_show_each_step() -> None:
    """They are larger than the model's picture and of other proportions, so that a crop and a resize have their effect."""
    from PIL import Image

    feature = Feature(name="image", kind="image", feeds="x", steps=(Resize(width=72, height=64, fit="cover"), Crop(width=64, height=56)))
    pipeline = open_pipeline(Processing(inputs=(feature,)), [TensorSpec(name="x", dtype="uint8", shape=("n", 56, 64, 3))], [], Path())
    sizes = [Image.open(io.BytesIO(item["image"])).size for item in make_up_items(pipeline, 0)]  # type: ignore[arg-type]
    assert all(min(size) > 56 and max(size) > 1.2 * min(size) for size in sizes)
    assert len(set(sizes)) == 2

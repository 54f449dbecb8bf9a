"""Golden raw items prove a contract wherever it is carried out, and name the mistake that it looks like."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgekit.arrays import Arrays, encode_arrays
from edgekit.benchmark import make_session
from edgekit.build import build_bundle
from edgekit.build_request import BuildRequest
from edgekit.bundles import VerifiedBundle, open_bundle
from edgekit.contract import Color, Feature, Layout, Processing, Resize, Scale
from edgekit.errors import InputError, RawParityError
from edgekit.golden_raw import MAX_BYTES, MAX_ITEMS, GoldenRaw, RawItem, derive_agreement, prove_raw, read_golden_raw
from edgekit.measuring import IsolatedSession
from edgekit.processing.pipeline import ContractPipeline, open_pipeline


@pytest.fixture(scope="module")
def proven(colours: Any, tmp_path_factory: pytest.TempPathFactory) -> VerifiedBundle:
    """The classifier of colours as a bundle with golden raw items of its data."""
    destination = tmp_path_factory.mktemp("proven") / "bundle"
    request = BuildRequest(
        source=colours.model, destination=destination, processing=colours.contract, formats=("onnx",), golden_raw=True, **colours.data
    )
    build_bundle(request, lambda *_: None)
    return open_bundle(destination)


@pytest.fixture(scope="module")
def session(proven: VerifiedBundle) -> Iterator[IsolatedSession]:
    """The int8 variant, opened in its runtime."""
    with make_session(proven, proven.manifest.find_variant("onnx-int8"), threads=1) as opened:
        yield opened


def open_contract(bundle: VerifiedBundle, change: Callable[[Processing], Processing] = lambda contract: contract) -> ContractPipeline:
    """The bundle's contract, changed by *change*, ready."""
    manifest = bundle.manifest
    assert manifest.processing is not None
    return open_pipeline(change(manifest.processing), manifest.inputs, manifest.outputs, bundle.root)


def read_items(bundle: VerifiedBundle) -> GoldenRaw:
    golden_raw = read_golden_raw(bundle)
    assert golden_raw is not None
    return golden_raw


@pytest.mark.workstation
def test_the_same_contract_proves_its_items(proven: VerifiedBundle, session: IsolatedSession) -> None:
    """Where the contract is carried out as it was recorded, nothing deviates and int8 gives the source model's classes."""
    golden_raw = read_items(proven)
    proof = prove_raw(open_contract(proven), session, golden_raw, "onnx-int8", "colours")
    assert (proof.items, proof.fed_deviation, proof.agreement) == (len(golden_raw.items), 0.0, 1.0)
    assert proof.least == pytest.approx(1 - 1 / proof.items)
    assert {item.answer["labels"][0] for item in golden_raw.items} == {b"bright", b"dark", b"blue", b"red", b"stripes"}
    assert len(golden_raw.items) <= MAX_ITEMS


def with_steps(*steps: Any) -> Callable[[Processing], Processing]:
    """Gives the one feature of a contract these steps."""
    return lambda contract: msgspec.structs.replace(contract, inputs=(msgspec.structs.replace(contract.inputs[0], steps=steps),))


RESIZE, UNIT, FIRST = Resize(width=12, height=9), Scale(factor=1 / 255), Layout(axes="CHW")


@pytest.mark.workstation
@pytest.mark.parametrize(
    ("steps", "named"),
    [
        ((RESIZE, Color(order="BGR"), UNIT, FIRST), "looks like RGB"),
        ((RESIZE, Scale(factor=1.0), FIRST), "looks like values from 0 to 1"),
        ((Resize(width=12, height=9, interpolation="nearest", antialias=False), UNIT, FIRST), "looks like bilinear with antialiasing"),
        ((Resize(width=12, height=9, antialias=False), UNIT, FIRST), "looks like bilinear with antialiasing"),
    ],
)
def test_a_wrong_contract_is_caught_and_named(proven: VerifiedBundle, session: IsolatedSession, steps: tuple[Any, ...], named: str) -> None:
    """Channels in another order, values in another unit and another resize are refused with the mistake's name and with figures."""
    wrong = open_contract(proven, with_steps(*steps))
    with pytest.raises(RawParityError, match=rf"do not become what was recorded: {named}.*deviates by .*; 15 more"):
        prove_raw(wrong, session, read_items(proven), "onnx-int8", "colours")


@pytest.mark.workstation
def test_labels_in_another_order_are_caught(proven: VerifiedBundle, session: IsolatedSession) -> None:
    """Where the model is fed rightly and its classes are called by each other's names, the answers tell."""
    swapped = open_contract(proven, lambda contract: msgspec.structs.replace(contract, labels=contract.labels[::-1]))
    with pytest.raises(
        RawParityError, match=r"its answers agree by \d\d\.\d% with those recorded, and 93\.8% is the least; item \d+ agrees by 0\.0%"
    ):
        prove_raw(swapped, session, read_items(proven), "onnx-int8", "colours")


@pytest.mark.workstation
def test_a_variant_that_nobody_measured_is_proven_by_what_it_is_fed(proven: VerifiedBundle, session: IsolatedSession) -> None:
    """Without a recorded agreement the proof says that there was none, and still what was found."""
    proof = prove_raw(open_contract(proven), session, read_items(proven), "onnx-bf16", "colours")
    assert (proof.least, proof.agreement) == (None, 1.0)


@pytest.mark.workstation
def test_what_travels_says_nothing_else(colours: Any, tmp_path: Path) -> None:
    """Pictures of a user's data travel as PNG without the place where they were taken, and the bundle warns that they do."""
    from PIL import Image

    photos = tmp_path / "photos"
    for path in (colours.root / "test").rglob("*.png"):
        target = photos / path.parent.name / f"{path.stem}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[0x010E] = "taken in the kitchen"
        Image.open(path).save(target, exif=exif, comment=b"taken in the kitchen")
    request = BuildRequest(colours.model, tmp_path / "bundle", processing=colours.contract, formats=("onnx",), precisions=("fp32",), golden_raw=True)
    manifest = build_bundle(replace(request, evaluation=photos), lambda *_: None)
    golden_raw = read_items(open_bundle(tmp_path / "bundle"))
    assert all(item.raws["image"].startswith(b"\x89PNG") and b"kitchen" not in item.raws["image"] for item in golden_raw.items)
    assert manifest.golden_raw_origin == "evaluation"
    assert any("16 golden raw items are of the evaluation data, and travel to every device" in warning for warning in manifest.warnings)


@pytest.mark.workstation
def test_items_are_made_up_unless_the_user_lets_them_travel(colours: Any, tmp_path: Path) -> None:
    """Without --golden-raw no byte of the data is among the items, and the same request makes the same ones."""
    request = BuildRequest(colours.model, tmp_path / "bundle", processing=colours.contract, formats=("onnx",), precisions=("fp32",), **colours.data)
    first = build_bundle(request, lambda *_: None)
    assert first.golden_raw_origin == "synthetic"
    assert first.warnings == ()
    assert build_bundle(request, lambda *_: None).golden_raw == first.golden_raw


def make_items(count: int = 1, size: int = 10) -> GoldenRaw:
    """Items of *size* bytes each."""
    arrays = {"x": np.zeros((1, 2), np.float32)}
    return GoldenRaw(tuple(RawItem({"image": bytes(size), "caption": "größe"}, arrays, arrays) for _ in range(count)), {"onnx-fp32": 0.5})


def test_items_come_back_as_they_were() -> None:
    """Bytes, texts, tensors, answers and agreements survive, and equal items give equal bytes."""
    items = make_items(2)
    read = GoldenRaw.decode(items.encode())
    assert [item.raws for item in read.items] == [item.raws for item in items.items]
    assert read.items[1].fed["x"].tolist() == [[0.0, 0.0]]
    assert read.agreements == {"onnx-fp32": 0.5}
    assert items.encode() == make_items(2).encode()


def index(text: bytes) -> Arrays:
    return {"index": np.frombuffer(text, np.uint8)}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"no archive", "not an .npz file"),
        (encode_arrays({"x": np.zeros(3)}), "it has no index"),
        (encode_arrays(index(b'{"items": 0}')), "it has 0 items, and 1 to 16 are allowed"),
        (encode_arrays(index(b'{"items": 1000000000}')), "1 to 16 are allowed"),
        (encode_arrays(index(b'{"items": "all"}')), "not a valid _Index"),
        (encode_arrays(index(b'{"items": 1}')), "item 1 lacks what was given"),
        (encode_arrays(index(b'{"items": 1}') | {"0:text:t": np.array([0xFF], np.uint8)}), "item 1 has a text that is no UTF-8"),
        (
            encode_arrays(index(b'{"items": 1}') | {"0:raw:t": np.zeros(1, np.uint8), "0:fed:x": np.zeros(1, "V8"), "0:answer:y": np.zeros(1)}),
            "'x' of item 1 holds neither numbers nor strings",
        ),
        (make_items(size=MAX_BYTES).encode(), "more than 4 MiB together"),
    ],
)
def test_files_that_hold_no_items_are_refused(data: bytes, told: str) -> None:
    """Whatever a stranger's file holds ends in a message that names it."""
    with pytest.raises(InputError, match=told):
        GoldenRaw.decode(data, "golden-raw.npz")


def test_a_variant_may_miss_one_item_more() -> None:
    """What is asked of a variant is what it gave where it was made, less one item."""
    assert derive_agreement([1.0, 1.0, 0.5, 0.5]) == pytest.approx(0.5)
    assert derive_agreement([0.0]) == 0.0


def test_items_that_cannot_be_fed_are_named() -> None:
    """An item that is no picture here, though it was one when it was recorded, is told with its number."""
    feature = Feature(name="image", kind="image", feeds="x", steps=(RESIZE, UNIT, FIRST))
    from edgekit.tensors import TensorSpec

    spec = TensorSpec(name="x", dtype="float32", shape=("n", 3, 9, 12))
    pipeline = open_pipeline(Processing(inputs=(feature,)), [spec], [], Path())
    item = RawItem({"image": b"no picture"}, {"x": np.zeros((1, 3, 9, 12), np.float32)}, {"y": np.zeros(1)})
    with pytest.raises(RawParityError, match="item 1 cannot be fed: it is no picture"):
        prove_raw(pipeline, None, GoldenRaw((item,), {}), "onnx-fp32", "colours")  # type: ignore[arg-type] # it is refused before it is asked

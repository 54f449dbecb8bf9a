"""The contract of a build: what the user says goes before what the source brings, and its files travel."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgekit.artifacts import Artifact, FileEntry, bind_identically
from edgekit.build_request import BuildRequest
from edgekit.contract import Classify, Feature, Layout, Processing, Resize, Scale, Tokenize
from edgekit.contract_choice import adopt_labels, choose_contract, list_libraries, place_files
from edgekit.conversion import SourceModel
from edgekit.datasets.class_folders import open_class_folders
from edgekit.errors import InputError, UnknownName
from edgekit.files import digest_bytes, digest_file
from edgekit.tensors import TensorSpec

IMAGE = TensorSpec(name="x", dtype="float32", shape=("n", 3, 8, 8))
SCORES = TensorSpec(name="scores", dtype="float32", shape=("n", 3))
STEPS = (Resize(width=8, height=8), Scale(factor=1 / 255), Layout(axes="CHW"))
BROUGHT = Processing(
    task="classify", inputs=(Feature(name="photo", kind="image", feeds="x", steps=STEPS),), answer=Classify(output="scores"), labels=("a", "b", "c")
)


def make_model(processing: Processing | None = None, files: dict[str, Path] | None = None, inputs: tuple[TensorSpec, ...] = (IMAGE,)) -> SourceModel:
    """A source that brings *processing*."""
    entry = FileEntry(path="model.onnx", digest=digest_bytes(b""), length=0)
    artifact = Artifact(format="onnx", files=(entry,), inputs=bind_identically(inputs), outputs=bind_identically((SCORES,)))
    model = SourceModel("onnx", (Path("model.onnx"),), Path(), artifact, inputs, (SCORES,), {})
    return replace(model, processing=processing, processing_files=files or {})


def ask(tmp_path: Path, **given: Any) -> BuildRequest:
    return BuildRequest(Path("model.onnx"), tmp_path / "bundle", **given)


def test_without_a_word_there_is_none(tmp_path: Path) -> None:
    """Callers then give the model's own tensors."""
    choice = choose_contract(ask(tmp_path), make_model(), tmp_path)
    assert (choice.contract, choice.origin) == (None, None)
    assert choice.pipeline.inputs == (IMAGE,)


def test_what_the_source_brings_is_taken(tmp_path: Path) -> None:
    """A contract that comes with the model is used, and said to be from there."""
    choice = choose_contract(ask(tmp_path), make_model(BROUGHT), tmp_path)
    assert (choice.contract, choice.origin, choice.warnings) == (BROUGHT, "the source itself", ())


def test_the_user_goes_before_the_source(tmp_path: Path) -> None:
    """A task, or a file, replaces what the source brings."""
    choice = choose_contract(ask(tmp_path, task="classify"), make_model(BROUGHT), tmp_path)
    assert (choice.origin, [feature.name for feature in choice.pipeline.contract.inputs]) == ("--task classify", ["image"])
    path = tmp_path / "mine.json"
    path.write_bytes(msgspec.structs.replace(BROUGHT, labels=("x", "y", "z")).encode())
    assert choose_contract(ask(tmp_path, processing=path), make_model(BROUGHT), tmp_path).pipeline.contract.labels == ("x", "y", "z")


def test_what_the_source_brings_may_not_fit_any_more(tmp_path: Path) -> None:
    """A contract of the source that does not fit the inputs as they are asked for is left out with a warning; a user's is refused."""
    changed = TensorSpec(name="x", dtype="uint8", shape=("n", 8, 8, 3))
    choice = choose_contract(ask(tmp_path), make_model(BROUGHT, inputs=(changed,)), tmp_path)
    assert choice.contract is None
    assert "the contract that the source brings was left out" in choice.warnings[0]
    path = tmp_path / "mine.json"
    path.write_bytes(BROUGHT.encode())
    with pytest.raises(InputError, match="the model's input is x: uint8"):
        choose_contract(ask(tmp_path, processing=path), make_model(inputs=(changed,)), tmp_path)


def test_files_are_placed_for_the_bundle(tmp_path: Path) -> None:
    """A tokeniser is copied to where it lies in the bundle, under a name of its own, and the step names it there."""
    source = tmp_path / "model" / "tokenizer.json"
    source.parent.mkdir()
    source.write_text("{}")
    step = Tokenize(file="tokenizer.json", length=8, feeds={"x": "ids"})
    contract = Processing(inputs=(Feature(name="text", kind="text", steps=(step,)),))
    placed = place_files(contract, {"tokenizer.json": source}, tmp_path / "root")
    (entry,) = placed.files
    assert entry.path == "processing/tokenizer.json"
    assert digest_file(tmp_path / "root" / entry.path) == entry.digest == digest_file(source)
    assert [one.file for feature in placed.inputs for one in feature.steps if isinstance(one, Tokenize)] == [entry.path]


def test_a_path_that_gets_too_long_is_refused(tmp_path: Path) -> None:
    """A name that just was short enough is none any more below the bundle's own folder."""
    source = tmp_path / "tokenizer.json"
    source.write_text("{}")
    name = "/".join(["a" * 61] * 4)
    step = Tokenize(file=name, length=8, feeds={"x": "ids"})
    with pytest.raises(InputError, match="processing"):
        place_files(Processing(inputs=(Feature(name="text", kind="text", steps=(step,)),)), {name: source}, tmp_path / "root")


def write_folders(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "one.png").write_bytes(b"not opened")
    return root


def test_labels_of_folders_name_the_classes(tmp_path: Path) -> None:
    """Where the contract names no classes, those of the data do; where it does, it keeps its own."""
    model = make_model()
    data = open_class_folders(write_folders(tmp_path / "data", "cat", "dog", "owl"), "image", (".png",), ())
    choice = choose_contract(ask(tmp_path, task="classify"), model, tmp_path)
    assert adopt_labels(choice, model, data).pipeline.contract.labels == ("cat", "dog", "owl")
    brought = choose_contract(ask(tmp_path), make_model(BROUGHT), tmp_path)
    assert adopt_labels(brought, model, data) is brought


def test_folders_of_fewer_classes_than_the_model_has_name_none(tmp_path: Path) -> None:
    """Two folders for a model of three classes leave open which is which, and that is refused with both numbers."""
    model = make_model()
    data = open_class_folders(write_folders(tmp_path / "data", "cat", "dog"), "image", (".png",), ())
    with pytest.raises(InputError, match="it has 2 classes by name, the model has 3"):
        adopt_labels(choose_contract(ask(tmp_path, task="classify"), model, tmp_path), model, data)


def test_a_request_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    """A task that nobody knows, and a task beside a file, are refused before any work."""
    with pytest.raises(UnknownName, match="Known here: anomaly, audio, classify"):
        ask(tmp_path, task="cook").check()
    with pytest.raises(InputError, match="names a contract already"):
        ask(tmp_path, task="classify", processing=tmp_path / "x.toml").check()


def test_libraries_that_carry_it_out_are_told() -> None:
    """The lineage names the packages by which items become tensors here, and none where there is no contract."""
    assert {"numpy", "pillow"} <= list_libraries(BROUGHT).keys()
    assert list_libraries(None) == {}

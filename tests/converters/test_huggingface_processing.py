"""The contract of a whole Hugging Face directory: found and fitting its model, or left out with the reason."""

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from PIL import Image
from tokenizers import models

from edgekit.conversion import SourceOptions
from edgekit.files import digest_file
from edgekit.processing.pipeline import open_pipeline
from edgekit.reference import open_source
from edgekit.tensors import TensorSpec
from edgekit_converters.huggingface_processing import find_processing
from edgekit_converters.huggingface_source import HuggingFaceSource

PICTURE = TensorSpec(name="pixel_values", dtype="float32", shape=("batch", 3, 32, 32))
LOGITS = TensorSpec(name="logits", dtype="float32", shape=("batch", 3))
VIT = {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}}
CONFIG = {"architectures": ["ViTForImageClassification"], "id2label": {"0": "cat", "1": "dog", "2": "owl"}}


def write(path: Path, **files: Any) -> Path:
    for name, fields in files.items():
        (path / f"{name}.json").write_text(json.dumps(fields))
    return path


def make_tokenizer(path: Path) -> None:
    tokenizers.Tokenizer(models.WordLevel({"[UNK]": 0, "hello": 1}, unk_token="[UNK]")).save(str(path))


def encode_picture() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_picture_model_brings_its_contract(tmp_path):
    """What the processor does and what classes are called is one contract, that feeds the model from a picture's file."""
    write(tmp_path, config=CONFIG, preprocessor_config=VIT)
    found = find_processing(tmp_path, [PICTURE], [LOGITS], tmp_path / "workspace")
    assert (found.gap, found.files) == ("", {})
    assert found.notes == (tmp_path / "config.json", tmp_path / "preprocessor_config.json")
    assert found.processing is not None
    assert (found.processing.task, found.processing.labels) == ("classify", ("cat", "dog", "owl"))
    pipeline = open_pipeline(found.processing, [PICTURE], [LOGITS], tmp_path)
    fed = pipeline.feed({"image": encode_picture()})
    assert fed.inputs["pixel_values"].shape == (1, 3, 32, 32)
    answer = pipeline.read({"logits": np.array([[0, 9, 1]], np.float32)}, fed)
    assert answer["labels"][0] == b"dog"


def test_a_text_model_brings_its_tokeniser(tmp_path):
    """The tokeniser is copied, and the contract names it, with its length and its digest."""
    make_tokenizer(tmp_path / "tokenizer.json")
    write(tmp_path, config=CONFIG | {"architectures": ["BertForSequenceClassification"]})
    inputs = [TensorSpec(name=name, dtype="int64", shape=("batch", "sequence")) for name in ("input_ids", "attention_mask")]
    found = find_processing(tmp_path, inputs, [LOGITS], tmp_path / "workspace")
    assert found.processing is not None
    (entry,) = found.processing.files
    assert found.files == {entry.path: tmp_path / "workspace" / "tokenizer.json"}
    assert (entry.digest, entry.length) == (digest_file(tmp_path / "tokenizer.json"), (tmp_path / "tokenizer.json").stat().st_size)
    pipeline = open_pipeline(found.processing, inputs, [LOGITS], tmp_path / "workspace")
    assert pipeline.feed({"text": "hello"}).inputs["input_ids"].tolist() == [[1]]


def test_processors_in_a_file_of_their_own_go_first(tmp_path):
    """What transformers 5 nests in processor_config.json goes before what lies beside it."""
    nested = {"image_processor": VIT | {"do_normalize": False}}
    write(tmp_path, config=CONFIG, processor_config=nested, preprocessor_config={"image_processor_type": "Other"})
    found = find_processing(tmp_path, [PICTURE], [LOGITS], tmp_path)
    assert found.processing is not None
    assert len(found.processing.inputs[0].steps) == 3
    assert found.notes[1] == tmp_path / "processor_config.json"


@pytest.mark.parametrize(
    ("files", "spec", "told"),
    [
        ({}, PICTURE, r"preprocessor_config\.json: it cannot be read"),
        ({"preprocessor_config": {"image_processor_type": "SamImageProcessor"}}, PICTURE, "field 'image_processor_type'"),
        (
            {"preprocessor_config": VIT | {"size": {"height": 30, "width": 32}}},
            PICTURE,
            r"float32\[n, 3, 30, 32\].*float32\[batch, 3, 32",
        ),
        ({"preprocessor_config": VIT | {"size": {"height": 10**9, "width": 9}}}, PICTURE, r"preprocessor_config\.json: .*\$\.inputs"),
        ({"preprocessor_config": VIT | {"rescale_factor": 1e300}}, PICTURE, "beyond float32"),
        ({"preprocessor_config": VIT, "config": CONFIG | {"id2label": {"0": "one", "1": "two"}}}, PICTURE, "label"),
        ({"preprocessor_config": VIT, "config": CONFIG | {"architectures": None}}, PICTURE, "field 'architectures' is null"),
        ({"preprocessor_config": VIT}, TensorSpec(name="pixel_values", dtype="uint8", shape=("batch", 3, 32, 32)), "dtype uint8"),
    ],
)
def test_what_does_not_fit_is_left_out_and_said(files, spec, told, tmp_path):
    """Nothing is approximated: a directory whose notes are missing, unknown or not the model's own has no contract, and says why."""
    write(tmp_path, **({"config": CONFIG} | files))
    found = find_processing(tmp_path, [spec], [LOGITS], tmp_path / "workspace")
    assert found.processing is None
    assert found.files == {}
    assert re.search(told, found.gap)


def test_models_of_several_inputs_are_left_out(tmp_path):
    """A picture and its mask are two inputs, and one feature makes one."""
    write(tmp_path, config=CONFIG, preprocessor_config=VIT)
    mask = TensorSpec(name="pixel_mask", dtype="int64", shape=("batch", 32, 32))
    assert "the model takes pixel_values, pixel_mask" in find_processing(tmp_path, [PICTURE, mask], [LOGITS], tmp_path).gap


@pytest.mark.heavy
@pytest.mark.torch
def test_a_directory_answers_a_picture_as_transformers_does(tmp_path):
    """From a PNG to the names of classes: the exported model with its contract says what transformers' own pipeline says."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    names = {index: f"class {index}" for index in range(6)}
    torch.manual_seed(0)
    config = transformers.ViTConfig(**sizes, image_size=32, patch_size=8, id2label=names, label2id={name: index for index, name in names.items()})
    model = transformers.ViTForImageClassification(config).eval()
    model.save_pretrained(tmp_path / "model")
    processor = transformers.ViTImageProcessorPil(size={"height": 32, "width": 32})
    processor.save_pretrained(tmp_path / "model")
    (tmp_path / "workspace").mkdir()
    source = HuggingFaceSource().load(tmp_path / "model", tmp_path / "workspace", SourceOptions())
    assert source.processing is not None
    assert tmp_path / "model" / "preprocessor_config.json" in source.files
    pipeline = open_pipeline(source.processing, source.inputs, source.outputs, tmp_path)
    fed = pipeline.feed({"image": encode_picture()})
    with open_source(source) as session:
        answer = pipeline.read(session.infer(dict(fed.inputs)), fed)
    with torch.no_grad():
        tensors = processor(Image.open(io.BytesIO(encode_picture())), return_tensors="pt")
        shares = model(**tensors).logits.softmax(-1)[0]
    best = shares.argsort(descending=True)[:5]
    assert [label.decode() for label in answer["labels"]] == [names[int(index)] for index in best]
    np.testing.assert_allclose(answer["scores"], shares[best].numpy(), atol=1e-5)

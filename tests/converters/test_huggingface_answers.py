"""Answers of models of transformers: names of classes, and what each task's outputs are, from the model's own notes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.contract import Classify, Detect, Embed, Processing, Segment, Transcribe
from edgekit.errors import InputError
from edgekit.processing.base import Fed
from edgekit.processing.pipeline import open_pipeline
from edgekit.tensors import TensorSpec
from edgekit_converters.huggingface_answers import Answering, read_answer, read_labels
from edgekit_converters.huggingface_notes import Notes

LETTERS = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, "e": 5, "t": 6, "a": 7}


def read(path: Path, ending: str, kind: Any = "image", outputs=(), **config: Any):
    return read_answer(Answering(path, Notes(path / "config.json", config, {}), kind, outputs), ending)


def name_classes(count: int) -> dict[str, str]:
    return {str(index): f"class {index}" for index in range(count)}


@pytest.mark.parametrize(
    ("ending", "kind", "task"),
    [
        ("ForImageClassification", "image", "classify"),
        ("ForAudioClassification", "audio", "audio"),
        ("ForSequenceClassification", "text", "text"),
        ("ForSequenceClassification", "audio", "audio"),
    ],
)
def test_classes_are_named_and_scored(ending, kind, task, tmp_path):
    """Logits become shares of the five highest classes, by their names; where several may be true each has a share of its own."""
    answer = read(tmp_path, ending, kind, id2label=name_classes(7))
    assert answer.task == task
    assert answer.reading == Classify(output="logits", activation="softmax", top=5)
    assert answer.labels[6] == "class 6"
    several = read(tmp_path, ending, kind, id2label=name_classes(3), problem_type="multi_label_classification")
    assert several.reading == Classify(output="logits", activation="sigmoid", top=3)


def test_labels_are_by_number():
    """Names come in the order of their numbers, and one that is missing is its number."""
    assert read_labels(Notes(Path("config.json"), {"id2label": {"2": "c", "0": "a"}}, {})) == ("a", "1", "c")
    assert read_labels(Notes(Path("config.json"), {}, {})) == ()


@pytest.mark.parametrize("names", [["a"], {"a": "b"}, {"0": 1}, {"1000000000": "x"}, {"-1": "x"}, 7])
def test_wrong_labels_are_named(names, tmp_path):
    """Names that are no names of numbers, or of numbers that would need a huge table, are refused."""
    with pytest.raises(InputError, match=r"config\.json: field 'id2label'"):
        read(tmp_path, "ForImageClassification", id2label=names)


def test_detectors_score_with_or_without_a_class_for_none(tmp_path):
    """DETR and YOLOS have a last class for no object; those that score each class for itself have none."""
    yolos = read(tmp_path, "ForObjectDetection", model_type="yolos").reading
    assert isinstance(yolos, Detect)
    assert (yolos.activation, yolos.background, yolos.form, yolos.unit) == ("softmax", -1, "cxcywh", "shares")
    other = read(tmp_path, "ForObjectDetection", model_type="rt_detr").reading
    assert isinstance(other, Detect)
    assert (other.activation, other.background) == ("sigmoid", None)


def test_pixels_have_the_highest_class(tmp_path):
    """A segmenter's logits have classes first."""
    assert read(tmp_path, "ForSemanticSegmentation").reading == Segment(output="logits", axis="first")


def test_vectors_are_pooled_as_sentence_transformers_wrote(tmp_path):
    """The mean, or the first token, of length 1 where its modules say so; without its file, the output that is pooled."""
    pooled = [TensorSpec(name="pooler_output", dtype="float32", shape=("batch", 8))]
    assert read(tmp_path, "Model", outputs=pooled).reading == Embed(output="pooler_output")
    with pytest.raises(InputError, match="nothing says how its vectors become one"):
        read(tmp_path, "Model")
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}))
    assert read(tmp_path, "Model").reading == Embed(output="last_hidden_state", pool="mean", normalize=False)
    (tmp_path / "modules.json").write_text(json.dumps([{"type": "sentence_transformers.models.Normalize"}]))
    assert read(tmp_path, "Model").reading == Embed(output="last_hidden_state", pool="mean", normalize=True)
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_max_tokens": True}))
    with pytest.raises(InputError, match="its modes are pooling_mode_max_tokens"):
        read(tmp_path, "Model")


def test_letters_are_those_of_the_vocabulary(tmp_path):
    """Letters come by their numbers, the filling is the blank, and a bar stands for a space unless another letter does."""
    (tmp_path / "vocab.json").write_text(json.dumps(LETTERS))
    answer = read(tmp_path, "ForCTC", "audio", pad_token_id=0)
    assert (answer.task, answer.labels) == ("transcribe", tuple(LETTERS))
    assert answer.reading == Transcribe(output="logits", blank=0, space="|")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"word_delimiter_token": "e"}))
    assert read(tmp_path, "ForCTC", "audio", pad_token_id=0).reading == Transcribe(output="logits", blank=0, space="e")


@pytest.mark.parametrize(
    ("vocabulary", "config", "told"),
    [
        ({"a": 0, "b": 2}, {"pad_token_id": 0}, "does not number its letters from 0 on"),
        ({"eng": {"a": 0}}, {"pad_token_id": 0}, "does not number its letters"),
        (LETTERS, {}, "field 'pad_token_id' is null"),
        (LETTERS, {"pad_token_id": 99}, "field 'pad_token_id' is 99"),
    ],
)
def test_wrong_vocabularies_are_named(vocabulary, config, told, tmp_path):
    """Letters without a number each, or a filling that is none of them, are refused."""
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    with pytest.raises(InputError, match=told):
        read(tmp_path, "ForCTC", "audio", **config)


@pytest.mark.parametrize(
    ("ending", "config", "told"),
    [
        ("ForDepthEstimation", {}, "ends in ForDepthEstimation, and what such a model gives is no answer"),
        ("ForImageClassification", {"problem_type": "regression"}, "a figure instead of classes"),
        ("ForSequenceClassification", {"id2label": {"0": "score"}}, "a figure instead of classes"),
    ],
)
def test_what_a_contract_has_no_words_for_is_named(ending, config, told, tmp_path):
    """Depths, and figures instead of classes, are no answers of a contract."""
    with pytest.raises(InputError, match=rf"config\.json: .*{told}"):
        read(tmp_path, ending, **config)


@pytest.mark.heavy
@pytest.mark.torch
def test_texts_are_those_of_transformers(tmp_path):
    """Paths of letters with repetitions, blanks and spaces are read as transformers' own tokeniser reads them."""
    transformers = pytest.importorskip("transformers")
    (tmp_path / "vocab.json").write_text(json.dumps(LETTERS))
    theirs = transformers.Wav2Vec2CTCTokenizer(str(tmp_path / "vocab.json"))
    answer = read(tmp_path, "ForCTC", "audio", pad_token_id=0)
    output = TensorSpec(name="logits", dtype="float32", shape=("batch", "steps", len(LETTERS)))
    fed = TensorSpec(name="input_values", dtype="float32", shape=("batch", 5))
    pipeline = open_pipeline(Processing(answer=answer.reading, labels=answer.labels), [fed], [output], tmp_path)
    rng = np.random.default_rng(0)
    for _ in range(100):
        logits = rng.normal(size=(1, 40, len(LETTERS))).astype(np.float32) + np.array([1, -9, -9, -9, 0.5, 0, 0, 0], np.float32)
        found = pipeline.read({"logits": logits}, Fed({"input_values": np.zeros((1, 5), np.float32)}))["text"][0].decode()
        assert found == theirs.decode(logits[0].argmax(axis=-1))

"""Hugging Face directories: what is read of them, what is refused before anything of theirs is loaded, and what comes out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.conversion import SourceOptions
from edgekit.errors import InputError
from edgekit.reference import check_witness, open_source
from edgekit_converters.huggingface_source import HuggingFaceSource, check_counts, count_tensors, find_weights, read_config

CONFIG: dict[str, Any] = {"architectures": ["BertModel"], "model_type": "bert", "num_hidden_layers": 2}


def make_safetensors(names: list[str]) -> bytes:
    header = json.dumps({name: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for name in names}).encode()
    return len(header).to_bytes(8, "little") + header


@pytest.fixture
def directory(tmp_path: Path) -> Callable[..., Path]:
    """A directory with a configuration, and weights of three tensors."""

    def make(**changes: Any) -> Path:
        (tmp_path / "config.json").write_text(json.dumps(CONFIG | changes))
        (tmp_path / "model.safetensors").write_bytes(make_safetensors(["a", "b", "c"]))
        return tmp_path

    return make


def test_directories_with_a_configuration_are_accepted(directory) -> None:
    """A directory is this source's when it has a config.json, and a file never is."""
    path = directory()
    assert HuggingFaceSource().accepts(path)
    assert not HuggingFaceSource().accepts(path / "config.json")
    (path / "config.json").unlink()
    assert not HuggingFaceSource().accepts(path)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"auto_map": {"AutoModel": "modeling.Model"}}, "auto_map.*factory"),
        ({"transformers_weights": "adapter_model.bin"}, "adapter"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantised already"),
        ({"backbone_config": {"_attn_implementation": "somebody/kernel"}}, "somebody/kernel"),
        ({"architectures": None}, "architectures"),
        ({"architectures": ["T5ForConditionalGeneration"], "is_encoder_decoder": True}, "run again for each word"),
        ({"architectures": ["SamPointModelling"]}, "SamPointModelling"),
    ],
)
def test_configurations_that_ask_for_more_are_refused(changes, told, directory) -> None:
    """Code of its own, kernels from a hub, weights in a library's own format, and unknown tasks are refused by the field."""
    with pytest.raises(InputError, match=told):
        read_config(directory(**changes))


def test_adapters_are_refused(directory) -> None:
    """An adapter beside the model would be left out or put on by what is installed, so it is to be merged first."""
    path = directory()
    (path / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match="Merge it"):
        read_config(path)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000])
def test_damaged_configurations_are_refused(text, directory) -> None:
    """A configuration that is no JSON object, or nested without end, is damaged."""
    path = directory()
    (path / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"config\.json: it is damaged"):
        read_config(path)


def test_pickled_weights_are_refused(directory) -> None:
    """Where there are only pickles, the first is named, with the command that writes safetensors."""
    path = directory()
    (path / "model.safetensors").rename(path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pytorch_model\.bin.*save_pretrained"):
        find_weights(path)


def test_shards_lie_in_the_directory(directory) -> None:
    """Weights in several files are those that the index names, and none of them lies elsewhere."""
    path = directory()
    (path / "model.safetensors").rename(path / "shard-1.safetensors")
    index = path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "shard-1.safetensors", "b": "shard-1.safetensors"}}))
    assert find_weights(path) == (path / "shard-1.safetensors",)
    index.write_text(json.dumps({"weight_map": {"a": "../shard-1.safetensors"}}))
    with pytest.raises(InputError, match=r"\.\./shard-1"):
        find_weights(path)


@pytest.mark.parametrize("data", [b"", b"\xff" * 8, (100).to_bytes(8, "little") + b"{}", (2).to_bytes(8, "little") + b"[]"])
def test_damaged_weights_are_refused(data, directory) -> None:
    """A header that is cut off, absurdly long, or no object, is refused before the file is read."""
    path = directory()
    (path / "model.safetensors").write_bytes(data)
    with pytest.raises(InputError, match=r"model\.safetensors"):
        count_tensors(find_weights(path))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"num_hidden_layers": 1_000_000}, "1000000 layers"),
        ({"backbone_config": {"depths": [2, 1_000_000]}}, "'depths' asks for 1000000 layers"),
        ({"num_labels": 1_000_000}, "'num_labels' is 1000000, and the weights have"),
        ({"hidden_sizes": [8, 1 << 40]}, "'hidden_sizes' is 1099511627776"),
        ({"vocab_size": -(1 << 40)}, "'vocab_size' is -1099511627776"),
    ],
)
def test_more_than_the_weights_can_hold_is_refused(changes, told, directory) -> None:
    """A configuration that asks for a million layers or classes would be built for ever, so it is held against the weights first."""
    path = directory(**changes)
    weights = find_weights(path)
    with pytest.raises(InputError, match=told):
        check_counts(path, read_config(path), count_tensors(weights), weights[0].stat().st_size)


def test_numbers_that_are_no_sizes_are_let_through(directory) -> None:
    """A frequency may be larger than a small model, and a flag or a fraction is no count."""
    path = directory(rope_theta=10_000_000, is_decoder=True, dropout=0.1)
    check_counts(path, read_config(path), 3, 100)


def save_model(kind: str, directory: Path, **config: Any) -> None:
    """A seeded model of transformers with *config*."""
    import torch
    import transformers

    torch.manual_seed(0)
    model = getattr(transformers, kind)
    model(model.config_class(**config)).eval().save_pretrained(directory)


SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
TEXT = SMALL | {"vocab_size": 100, "max_position_embeddings": 64}
MODELS: dict[str, dict[str, Any]] = {
    "ViTForImageClassification": SMALL | {"image_size": 32, "patch_size": 8, "num_labels": 5},
    "YolosForObjectDetection": SMALL | {"image_size": [32, 48], "patch_size": 8, "num_detection_tokens": 7, "num_labels": 5},
    "BertModel": TEXT,
    "LlamaForCausalLM": TEXT | {"num_key_value_heads": 1},
    "ASTForAudioClassification": SMALL | {"max_length": 64, "num_mel_bins": 32, "num_labels": 5},
}


@pytest.mark.heavy
@pytest.mark.torch
@pytest.mark.parametrize("kind", MODELS)
def test_models_of_every_task_become_onnx(kind, tmp_path) -> None:
    """A picture's class, its objects, a text's meaning, its next word, and a sound's class: as transformers answers, for any batch."""
    pytest.importorskip("transformers")
    (tmp_path / "workspace").mkdir()
    save_model(kind, tmp_path / "model", **MODELS[kind])
    source = HuggingFaceSource().load(tmp_path / "model", tmp_path / "workspace", SourceOptions())
    assert source.format == "huggingface"
    assert all(spec.shape[0] == "batch" for spec in (*source.inputs, *source.outputs))
    assert "int8-weights" in source.suggested
    assert (tmp_path / "workspace" / "model.pt2") == source.forms["torch"]
    with open_source(source) as session:
        check_witness(source, session)
        assert source.witness is not None
        for count in (1, 3):
            answers = session.infer({name: array[:count] for name, array in source.witness.inputs.items()})
            for name, array in answers.items():
                np.testing.assert_allclose(array, source.witness.outputs[name][:count], atol=1e-5)


@pytest.mark.heavy
@pytest.mark.torch
def test_samples_of_a_language_model_tell_its_tokens_apart(tmp_path) -> None:
    """Samples are sentences of the whole vocabulary and different lengths, and the model takes any length."""
    pytest.importorskip("transformers")
    (tmp_path / "workspace").mkdir()
    save_model("LlamaForCausalLM", tmp_path / "model", **MODELS["LlamaForCausalLM"])
    source = HuggingFaceSource().load(tmp_path / "model", tmp_path / "workspace", SourceOptions())
    assert source.samples is not None
    ids, mask = source.samples["input_ids"], source.samples["attention_mask"]
    assert len(np.unique(ids)) > 90
    assert len(np.unique(mask.sum(axis=1))) > 3
    with open_source(source) as session:
        answers = session.infer({"input_ids": ids[:2, :5], "attention_mask": mask[:2, :5]})
    assert answers["logits"].shape == (2, 5, 100)
    assert len({row.tobytes() for row in answers["logits"][0]}) == 5


@pytest.mark.heavy
@pytest.mark.torch
def test_missing_weights_are_refused(tmp_path) -> None:
    """Weights are made up by transformers where a file lacks them, so a file that lacks some is refused."""
    safetensors = pytest.importorskip("safetensors.numpy")
    pytest.importorskip("transformers")
    save_model("BertModel", tmp_path, **TEXT)
    file = tmp_path / "model.safetensors"
    weights = safetensors.load_file(file)
    weights.pop("encoder.layer.0.output.dense.weight")
    safetensors.save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lack 1 of the weights.*encoder\.layer\.0\.output\.dense\.weight"):
        HuggingFaceSource().load(tmp_path, tmp_path, SourceOptions())

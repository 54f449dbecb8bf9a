"""Hugging Face models brought to life: their inputs, their tokens, and what a user may say of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.errors import InputError
from edgekit.tensors import TensorSpec
from edgekit_converters.torch_exporting import ExportRequest

pytestmark = [pytest.mark.heavy, pytest.mark.torch]
SMALL = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}


@pytest.fixture
def load(tmp_path: Path):
    """A seeded model of transformers, saved, its configuration damaged, and loaded, with what a user says of its inputs."""
    transformers = pytest.importorskip("transformers")
    from edgekit_converters.torch_worker.huggingface import load_directory

    def load_model(kind: str, *inputs: TensorSpec, damage: dict[str, Any] | None = None, **config: Any) -> Any:
        model = getattr(transformers, kind)
        model(model.config_class(**SMALL, **config)).save_pretrained(tmp_path)
        file = tmp_path / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | (damage or {})))
        request = ExportRequest(kind="huggingface", subject="model", source=str(tmp_path), directory=str(tmp_path), inputs=inputs)
        return load_directory(request)

    return load_model


def test_sentences_fit_the_model(load) -> None:
    """Tokens are of the vocabulary, no longer than there are positions, and what is masked is padding."""
    model = load("BertModel", vocab_size=50, max_position_embeddings=12, pad_token_id=7)
    ids, mask = model.samples["input_ids"], model.samples["attention_mask"]
    assert ids.shape == mask.shape == (len(ids), 12)
    assert ids.max() < 50
    assert len(np.unique(ids)) > 40
    assert set(ids[mask == 0]) == {7}
    assert (mask[:, 0] == 1).all()
    assert model.limits == {"sequence": 12}


def test_sentences_are_short_where_answers_are_large(load) -> None:
    """A model that scores a large vocabulary for each token gets shorter sentences, so that golden samples stay small."""
    model = load("LlamaForCausalLM", vocab_size=100_000, num_key_value_heads=2)
    assert model.samples["input_ids"].shape[1] == 5
    assert model.inputs[0].shape == ("batch", "sequence")


def test_sizes_of_pictures_can_be_changed(load) -> None:
    """--input gives another size where the model takes any; what is no input of it is refused."""
    config = {"depths": [1], "hidden_sizes": [8], "embedding_size": 8}
    given = TensorSpec(name="pixel_values", dtype="float32", shape=("batch", 3, 32, 48))
    assert load("ResNetForImageClassification", given, **config).inputs == (given,)
    with pytest.raises(InputError, match=r"picture.*the model takes pixel_values"):
        load("ResNetForImageClassification", TensorSpec(name="picture", dtype="float32", shape=("batch", 3, 32, 48)), **config)


def test_weights_of_another_shape_are_named(load) -> None:
    """Where the configuration asks for other shapes than the weights have, the first such weight is named with both."""
    with pytest.raises(InputError, match=r"its weight 'embeddings\.word_embeddings\.weight' has the shape \[50, 32\].*asks for \[60, 32\]"):
        load("BertModel", vocab_size=50, damage={"vocab_size": 60})

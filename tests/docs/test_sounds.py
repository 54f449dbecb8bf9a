"""The page on sounds, texts and tables: its contracts are carried out, and it names every step that there is for them."""

import re
from pathlib import Path

import msgspec
import numpy as np
import pytest
import tokenizers
from tokenizers import models

from edgekit import contract
from edgekit.processing.pipeline import open_pipeline
from edgekit.processing.presets import read_processing
from edgekit.tensors import TensorSpec

PAGE = (Path(__file__).parents[2] / "docs" / "concepts" / "sounds.md").read_text()
BLOCKS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
#: For each contract in the page, the model's inputs, an item, and the shapes that it becomes.
CASES = [
    ([("mfcc", "float32", (49, 10, 1))], {"sound": np.linspace(-1, 1, 16_000, dtype=np.float32)}, {"mfcc": (1, 49, 10, 1)}),
    ([("input_ids", "int64", (128,)), ("attention_mask", "int64", (128,))], {"text": "hello"}, {"input_ids": (1, 128), "attention_mask": (1, 128)}),
    ([("window", "float32", (24, 3))], {"motion": b"z,y,x\n" + b"1,2,3\n" * 60}, {"window": (4, 24, 3)}),
]


@pytest.mark.parametrize(("block", "case"), list(zip(BLOCKS, CASES, strict=True)))
def test_each_contract_in_the_page_is_carried_out(block: str, case, tmp_path: Path) -> None:
    """What the page shows is a contract, and makes of a sound, a text and a table what the page says."""
    specs, item, shapes = case
    tokenizers.Tokenizer(models.WordLevel({"[PAD]": 0, "hello": 1}, unk_token="[PAD]")).save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "contract.toml").write_text(block)
    inputs = [TensorSpec(name=name, dtype=dtype, shape=("batch", *shape)) for name, dtype, shape in specs]
    pipeline = open_pipeline(read_processing(tmp_path / "contract.toml"), inputs, [], tmp_path)
    assert {name: array.shape for name, array in pipeline.feed(item).inputs.items()} == shapes


def test_the_page_names_every_step_and_scale() -> None:
    """Each step for sounds and texts, and each word that a filter bank, a spectrogram and a logarithm have, is in the page."""
    steps = (contract.Resample, contract.Level, contract.Transpose, contract.Spectrogram, contract.Filterbank, contract.Log, contract.Cepstrum)
    for step in (*steps, contract.Stack, contract.Windows, contract.Fit, contract.Tokenize):
        assert f"`{step.__struct_config__.tag}`" in PAGE
    schema = msgspec.json.schema(contract.Filterbank)["$defs"]["Filterbank"]["properties"]
    for word in schema["scale"]["enum"]:
        assert word in PAGE.lower()

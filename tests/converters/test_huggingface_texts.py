"""Tokenisers of transformers as contracts: what their files say, and real texts as transformers itself makes them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

from edgekit.contract import Cast, Processing, Tokenize
from edgekit.errors import InputError
from edgekit.processing.pipeline import open_pipeline
from edgekit.tensors import TensorSpec
from edgekit_converters.huggingface_notes import Notes
from edgekit_converters.huggingface_texts import TOKENIZER, read_text

CORPUS = ["the quick brown fox jumps over the lazy dog", "Größe naïve café — 12,5 % of it!", "hello world, it's fine."] * 5
TEXTS = ["Hello world!", "the quick brown fox jumps over the lazy dog " * 4, "Größe 😀 café", "x", "  spaces   and\nlines\t"]


def make_words() -> tokenizers.Tokenizer:
    """Pieces of words as BERT has them."""
    tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=200, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"]))
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return tokenizer


def make_bytes() -> tokenizers.Tokenizer:
    """Pairs of bytes as RoBERTa has them, whose filling is number 1."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letters = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=letters, special_tokens=["<s>", "<pad>", "</s>"])
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return tokenizer


def make_specs(length: int | str = "sequence", dtype: str = "int64", names: tuple[str, ...] = ("input_ids", "attention_mask")):
    return [TensorSpec(name=name, dtype=dtype, shape=("batch", length)) for name in names]


def read(path: Path, inputs, **config: Any):
    return read_text(path, Notes(path / "config.json", config, {}), inputs).steps


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with a tokeniser that is filled with number 1, and reads 16 tokens."""
    make_bytes().save(str(tmp_path / TOKENIZER))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"pad_token": "<pad>", "model_max_length": 16}))
    return tmp_path


def test_a_tokeniser_travels_with_its_length_and_filling(directory):
    """The longest text and the filling are the tokeniser's, the length the model's, and each input gets its part."""
    feeds = {"input_ids": "ids", "attention_mask": "mask"}
    assert read(directory, make_specs()) == (Tokenize(file=TOKENIZER, most=16, fill=1, feeds=feeds),)
    assert read(directory, make_specs(8)) == (Tokenize(file=TOKENIZER, length=8, most=16, fill=1, feeds=feeds),)
    assert read(directory, make_specs(dtype="int32"))[1] == Cast(dtype="int32")


def test_the_models_own_length_counts_where_the_tokeniser_has_none(directory):
    """A tokeniser without a longest text, which transformers writes as a huge number, reads what the model has positions for."""
    (directory / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 10**30}))
    assert read(directory, make_specs(), max_position_embeddings=512)[0].most == 512
    assert read(directory, make_specs())[0].most is None
    (directory / "tokenizer_config.json").unlink()
    assert read(directory, make_specs())[0].fill == 0


@pytest.mark.parametrize(
    ("notes", "told"),
    [
        ({"padding_side": "left"}, "field 'padding_side' is \"left\", and 'right'"),
        ({"truncation_side": "left"}, "field 'truncation_side'"),
        ({"pad_token": {"content": "<none>"}}, "field 'pad_token' is .*has no such token"),
    ],
)
def test_what_a_contract_has_no_words_for_is_named(notes, told, directory):
    """Filling from the left, and a filling that the tokeniser does not know, are refused by the field."""
    (directory / "tokenizer_config.json").write_text(json.dumps(notes))
    with pytest.raises(InputError, match=rf"tokenizer_config\.json: {told}"):
        read(directory, make_specs())


def test_a_directory_without_a_fast_tokeniser_is_refused(directory):
    """A vocabulary alone does not say how words are cut, and inputs that are no tokens are not fed."""
    with pytest.raises(InputError, match="input 'bbox' is no part of a text's tokens"):
        read(directory, make_specs(names=("input_ids", "bbox")))
    (directory / TOKENIZER).unlink()
    with pytest.raises(InputError, match=r"it has no tokenizer\.json"):
        read(directory, make_specs())


@pytest.mark.heavy
@pytest.mark.torch
@pytest.mark.parametrize("length", ["sequence", 16])
@pytest.mark.parametrize(("make", "special"), [(make_words, ("[PAD]", "[UNK]")), (make_bytes, ("<pad>", "</s>"))])
def test_tokens_are_those_of_transformers(make, special, length, tmp_path):
    """Texts of several scripts and lengths become the tokens that transformers makes with the directory it saved."""
    transformers = pytest.importorskip("transformers")
    saved = transformers.PreTrainedTokenizerFast(tokenizer_object=make(), pad_token=special[0], unk_token=special[1], model_max_length=16)
    saved.save_pretrained(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    inputs = make_specs(length)
    feature = read_text(tmp_path, Notes(tmp_path / "config.json", {}, {}), inputs)
    pipeline = open_pipeline(Processing(inputs=(feature,)), inputs, [], tmp_path)
    for text in TEXTS:
        wanted = theirs(text, return_tensors="np", truncation=True, padding="max_length" if length == 16 else False)
        for name, tokens in pipeline.feed({"text": text}).inputs.items():
            np.testing.assert_array_equal(tokens, wanted[name])

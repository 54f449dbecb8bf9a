"""Texts: tokens by a real tokeniser, and tokenisers that are damaged or mean harm."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors

from edgekit.contract import Cast, Feature, Scale, Tokenize
from edgekit.errors import InputError
from edgekit.processing.texts import MAX_TEXT_BYTES, prepare_text, read_text

VOCABULARY = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "hello": 4, "world": 5, "##s": 6, "!": 7}
FEEDS = {"input_ids": "ids", "attention_mask": "mask", "token_type_ids": "types"}


def make_tokenizer() -> tokenizers.Tokenizer:
    """One as BERT has it, that knows three words."""
    tokenizer = tokenizers.Tokenizer(models.WordPiece(VOCABULARY, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return tokenizer


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with a tokeniser, which itself asks for another length and filling than any contract here."""
    tokenizer = make_tokenizer()
    tokenizer.enable_padding(length=3, pad_id=7, pad_token="!")
    tokenizer.enable_truncation(max_length=3)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def make_feature(*rest, file: str = "tokenizer.json", feeds=FEEDS, **fields) -> Feature:
    return Feature(name="text", kind="text", steps=(Tokenize(file=file, feeds=feeds, **fields), *rest))


def test_a_text_becomes_tokens_of_a_fixed_length(root):
    """Numbers, a mask of what is none of the filling, and sentences, cut or filled to the length that the contract says."""
    read = prepare_text(make_feature(length=6), root)
    short = read("Hello worlds!")
    assert short["input_ids"].tolist() == [[2, 4, 5, 6, 7, 3]]
    assert read("hello")["input_ids"].tolist() == [[2, 4, 3, 0, 0, 0]]
    assert read("hello")["attention_mask"].tolist() == [[1, 1, 1, 0, 0, 0]]
    assert read("hello")["token_type_ids"].tolist() == [[0] * 6]
    assert read("hello " * 20)["input_ids"].tolist() == [[2, 4, 4, 4, 4, 3]]
    assert all(array.dtype == np.int64 for array in short.values())


def test_a_text_keeps_its_length_where_none_is_fixed(root):
    """Without a length nothing is filled; with *most* alone, what is longer is cut."""
    assert prepare_text(make_feature(), root)("hello " * 20)["input_ids"].shape == (1, 22)
    cut = prepare_text(make_feature(most=4), root)
    assert cut("hello " * 20)["input_ids"].tolist() == [[2, 4, 4, 3]]
    assert cut("hello")["input_ids"].tolist() == [[2, 4, 3]]


def test_the_filling_is_the_contracts(root):
    """What is shorter is filled with the token that the contract names, which the tokeniser must know."""
    assert prepare_text(make_feature(length=4, fill=7), root)("hello")["input_ids"].tolist() == [[2, 4, 3, 7]]
    with pytest.raises(InputError, match="fill: it is 99, and the tokeniser has no token of that number"):
        prepare_text(make_feature(length=4, fill=99), root)


def test_tokens_are_cast_where_the_model_takes_others(root):
    """A step cast after it makes int32; other steps, and other dtypes, are refused."""
    assert prepare_text(make_feature(Cast(dtype="int32")), root)("hello")["input_ids"].dtype == np.int32
    for wrong in (make_feature(Cast(dtype="int8")), make_feature(Scale(factor=2.0)), Feature(name="text", kind="text")):
        with pytest.raises(InputError, match=r"input 'text': (its steps are not|its tokens are to become int8)"):
            prepare_text(wrong, root)


def test_texts_are_strings_or_utf_8(root):
    """Bytes of UTF-8 are the text that they write; other bytes, arrays, half letters and long texts are refused."""
    assert read_text("Größe".encode(), "text") == read_text(bytearray("Größe".encode()), "text") == "Größe"
    for raw in (b"\xff\xfe", np.zeros(3), "\ud800", "a" * (MAX_TEXT_BYTES + 1)):
        with pytest.raises(InputError, match=r"text: it (is no text in UTF-8|is an array|has 1048577 bytes)"):
            read_text(raw, "text")


def test_a_length_leaves_room_for_the_tokenisers_own_tokens(root):
    """A length that the tokeniser's own tokens would fill is refused with their number."""
    with pytest.raises(InputError, match="length: it is 2, and the tokeniser itself adds 2 tokens"):
        prepare_text(make_feature(length=2), root)


def test_a_file_stays_in_its_directory(root, tmp_path_factory):
    """A link that leads out of the bundle is not followed, and a file that is not there is named."""
    outside = tmp_path_factory.mktemp("outside") / "tokenizer.json"
    outside.write_bytes((root / "tokenizer.json").read_bytes())
    (root / "link.json").symlink_to(outside)
    with pytest.raises(InputError, match=r"link\.json: it leads out of the bundle"):
        prepare_text(make_feature(file="link.json"), root)
    with pytest.raises(InputError, match=r"none\.json: it cannot be read: No such file"):
        prepare_text(make_feature(file="none.json"), root)


def change(root: Path, **fields) -> Feature:
    """A feature whose tokeniser has other *fields*."""
    described = json.loads((root / "tokenizer.json").read_text())
    (root / "changed.json").write_text(json.dumps(described | fields))
    return make_feature(file="changed.json", length=8)


DOUBLING = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"model": None}, "field 'model' is missing"),
        ({"model": {"type": "WordPiece"}}, "no tokeniser that can be read"),
        ({"model": {"type": "Unigram", "unk_id": 7, "vocab": [["a", 0.0]]}}, "no tokeniser that can be read"),
        ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}}, "no tokeniser that can be read: Precompiled"),
        ({"normalizer": {"type": "Sequence", "normalizers": [DOUBLING] * 30}}, "more than 64 times as long"),
        ({"normalizer": {"type": "Replace", "pattern": {"Regex": ""}, "content": "x" * 100}}, "more than 64 times as long"),
        ({"normalizer": {"type": "Prepend", "prepend": "x" * 100}}, "more than 64 times as long"),
        ({"post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}] * 100}}, "more than 64 times as long"),
        ({"model": {"type": "WordPiece", "max_input_chars_per_word": 10**9}}, "'max_input_chars_per_word' is 1000000000"),
    ],
)
def test_tokenisers_that_would_do_harm_are_refused(fields, told, root):
    """One that is damaged, even so that its library panics, or that would lengthen a text without measure, is refused by its file."""
    feature = change(root, **fields)
    with pytest.raises(InputError, match=rf"changed\.json: .*{told}"):
        prepare_text(feature, root)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, "\xff"])
def test_files_that_are_no_tokeniser_are_refused(text, root):
    """What is no JSON object, or nested without end, is no tokeniser."""
    (root / "damaged.json").write_text(text)
    with pytest.raises(InputError, match=r"damaged\.json: it is no tokeniser"):
        prepare_text(make_feature(file="damaged.json"), root)


def test_a_pattern_that_never_ends_ends_the_text_alone(root):
    """A regular expression that backtracks without end is stopped, and the text is refused."""
    endless = {"type": "Split", "pattern": {"Regex": "(a+)+b"}, "behavior": "Isolated", "invert": False}
    read = prepare_text(change(root, pre_tokenizer=endless), root)
    assert read("hello")["input_ids"].shape == (1, 8)
    start = time.monotonic()
    with pytest.raises(InputError, match=r"input 'text': the tokeniser cannot read it: .*retry-limit"):
        read("a" * 100_000)
    assert time.monotonic() - start < 20


def test_a_text_that_has_no_token_is_refused(root):
    """A tokeniser without a token for what it does not know cannot read everything, and nothing is not fed."""
    unknown = {"type": "WordLevel", "vocab": {"hello": 0}, "unk_token": "[UNK]"}
    read = prepare_text(change(root, model=unknown, post_processor=None, added_tokens=[]), root)
    with pytest.raises(InputError, match=r"input 'text': the tokeniser cannot read it: .*UNK"):
        read("goodbye")
    bare = prepare_text(make_feature(file="changed.json"), root)
    with pytest.raises(InputError, match="input 'text': it has no tokens"):
        bare("")

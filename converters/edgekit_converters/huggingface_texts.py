"""The contract of a tokeniser of transformers: ``tokenizer.json``, and what ``tokenizer_config.json`` says of its length and filling."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from edgekit.contract import Cast, Feature, Step, Tokenize
from edgekit.errors import InputError
from edgekit.processing.texts import open_tokenizer
from edgekit.tensors import TensorSpec
from edgekit_converters.huggingface_notes import Notes, read_notes

TOKENIZER, _TOKENIZER_NOTES = "tokenizer.json", "tokenizer_config.json"
#: What transformers writes where a tokeniser has no longest text is larger than any model's.
_LONGEST = 1 << 20
_PARTS: dict[str, Literal["ids", "mask", "types"]] = {"input_ids": "ids", "attention_mask": "mask", "token_type_ids": "types"}
_SAVE = "Save the tokeniser again where it was made: tokenizer.save_pretrained(directory)."


def read_text(path: Path, config: Notes, inputs: Sequence[TensorSpec]) -> Feature:
    """How a text becomes the model's *inputs*, by the tokeniser in the directory *path*; *config* is the model's.

    Raises:
        InputError: there is no ``tokenizer.json``, it cannot be used, or the model takes something else beside tokens.
    """
    if not (path / TOKENIZER).is_file():
        raise InputError(path, f"it has no {TOKENIZER}, so how texts become tokens is not known", _SAVE)
    for spec in inputs:
        if spec.name not in _PARTS:
            raise InputError(path, f"the model's input {spec.name!r} is no part of a text's tokens", "Give a contract with --processing FILE.")
    notes = read_notes(path / _TOKENIZER_NOTES) if (path / _TOKENIZER_NOTES).is_file() else Notes(path / _TOKENIZER_NOTES, {}, {})
    _check_side(notes)
    fill = _find_fill(notes, open_tokenizer(path / TOKENIZER))
    length = next((size for spec in inputs for size in spec.shape[1:] if isinstance(size, int)), None)
    feeds = {spec.name: _PARTS[spec.name] for spec in inputs}
    step = Tokenize(file=TOKENIZER, length=length, most=_find_most(notes, config), fill=fill, feeds=feeds)
    narrow: tuple[Step, ...] = (Cast(dtype="int32"),) if inputs[0].dtype == "int32" else ()
    return Feature(name="text", kind="text", steps=(step, *narrow))


def _check_side(notes: Notes) -> None:
    for field in ("padding_side", "truncation_side"):
        if notes.find(field) not in (None, "right"):
            raise notes.refuse(field, "'right' is expected")


def _find_most(notes: Notes, config: Notes) -> int | None:
    """The most tokens that the model reads."""
    for found in (notes.find("model_max_length"), config.find("max_position_embeddings")):
        if isinstance(found, int) and 0 < found <= _LONGEST:
            return found
    return None


def _find_fill(notes: Notes, tokenizer: Any) -> int:
    """The number of the token that *tokenizer* fills texts with; 0 where none is named."""
    token = notes.find("pad_token")
    name = token.get("content") if isinstance(token, dict) else token
    if not isinstance(name, str):
        return 0
    number = tokenizer.token_to_id(name)
    if number is None:
        raise notes.refuse("pad_token", f"{TOKENIZER} has no such token")
    return int(number)

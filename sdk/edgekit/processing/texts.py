"""Texts become the numbers of their tokens, by the tokeniser that travels with the model.

The file is Hugging Face's ``tokenizer.json``, read by their own library. It may come from anybody, so what could make a short
text endless, or take for ever over it, is refused before it is used.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.arrays import Arrays
from edgekit.contract import Cast, Feature, Tokenize
from edgekit.errors import InputError
from edgekit.processing.base import Raw
from edgekit.processing.libraries import load_library

#: The longest text, in bytes of UTF-8, and the largest tokeniser.
MAX_TEXT_BYTES = 1 << 20
MAX_FILE_BYTES = 64 << 20
#: How many times as long a tokeniser may make a text before it looks for tokens. Those in use put a mark before each word, and
#: another letter in the place of one.
MAX_GROWTH = 64
#: WordPiece tries each piece of a word, so a word's length counts squared; 100 is usual.
MAX_WORD = 1000
_REMEDY = "Save the tokeniser again: tokenizer.save('tokenizer.json')."


def prepare_text(feature: Feature, root: Path) -> Callable[[Raw], Arrays]:
    """What makes tokens of a text for *feature*, whose tokeniser lies in *root*: for each input that it feeds (1, tokens).

    Its steps are one ``tokenize``, which makes int64, and where the model takes other integers one ``cast``.

    Raises:
        InputError: it has other steps, their fields contradict each other, or the file is missing, damaged or no tokeniser that can be used.
        DeviceError: the library for texts is not installed.
    """
    subject = f"input {feature.name!r}"
    step, dtype = _find_steps(feature, subject)
    tokenizer = _set_up(open_tokenizer(find_file(step, root)), step)

    def read(raw: Raw) -> Arrays:
        encoding = _encode(tokenizer, read_text(raw, subject), subject)
        parts = {"ids": encoding.ids, "mask": encoding.attention_mask, "types": encoding.type_ids}
        return {name: np.array([parts[part]], dtype) for name, part in step.feeds.items()}

    return read


def _find_steps(feature: Feature, subject: str) -> tuple[Tokenize, str]:
    """The feature's step ``tokenize``, and the dtype that its numbers get."""
    first, *rest = feature.steps or (None,)
    if not isinstance(first, Tokenize) or len(rest) > 1 or not all(isinstance(step, Cast) for step in rest):
        raise InputError(subject, "its steps are not 'tokenize' alone, or with 'cast' after it", "Give a text these steps.")
    dtypes = [step.dtype for step in rest if isinstance(step, Cast)]
    if dtypes and dtypes[0] not in ("int32", "int64"):
        raise InputError(subject, f"its tokens are to become {dtypes[0]}, which does not hold them all", "Cast them to int32 or int64.")
    return first, dtypes[0] if dtypes else "int64"


def _encode(tokenizer: Any, text: str, subject: str) -> Any:
    with _naming_failures(subject, "the tokeniser cannot read it", "Give another text, or another tokeniser."):
        encoding = tokenizer.encode(text)
    if not encoding.ids:
        raise InputError(subject, "it has no tokens", "Give a text with words.")
    return encoding


@contextlib.contextmanager
def _naming_failures(subject: str | Path, problem: str, remedy: str) -> Iterator[None]:
    """Turn what the library raises, which is Exception itself, or a panic of Rust's that is no Exception, into an InputError."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise InputError(subject, f"{problem}: {str(error)[:300]}", remedy) from error


def read_text(raw: Raw, subject: str) -> str:
    """The text that a caller gave, as such or as bytes of UTF-8; InputError where it is none, or too long."""
    if isinstance(raw, np.ndarray):
        raise InputError(subject, "it is an array, and a text is expected", "Give a text, or its bytes in UTF-8.")
    data = raw.encode(errors="surrogatepass") if isinstance(raw, str) else bytes(raw)
    if len(data) > MAX_TEXT_BYTES:
        raise InputError(subject, f"it has {len(data)} bytes, and at most {MAX_TEXT_BYTES} are taken", "Cut it into pieces.")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InputError(subject, f"it is no text in UTF-8: {error}", "Give a text, or its bytes in UTF-8.") from error


def find_file(step: Tokenize, root: Path) -> Path:
    """The tokeniser's file in *root*; InputError where it is a link that leads out of it."""
    path = root / step.file
    if not path.resolve().is_relative_to(root.resolve()):
        raise InputError(path, "it leads out of the bundle", "Put the tokeniser itself there.")
    return path


def open_tokenizer(path: Path) -> Any:
    """The tokeniser (tokenizers.Tokenizer) in the file at *path*; raises as prepare_text does."""
    library = load_library("tokenizers", "text")
    data = _read_file(path)
    try:
        described = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(path, f"it is no tokeniser: {error}", _REMEDY) from error
    check_tokenizer(described, path)
    with _naming_failures(path, "it is no tokeniser that can be read", _REMEDY):
        return library.Tokenizer.from_str(data.decode())


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(path, f"it cannot be read: {error.strerror}", "Fetch or build the bundle again.") from error
    if len(data) > MAX_FILE_BYTES:
        raise InputError(path, f"it has more than {MAX_FILE_BYTES >> 20} MiB", _REMEDY)
    return data


def check_tokenizer(described: Any, path: Path) -> None:
    """Refuse what *described*, a ``tokenizer.json``, would do to a text: lengthen it without measure, or try words for ever (InputError)."""
    if not isinstance(described, dict) or not isinstance(described.get("model"), dict):
        raise InputError(path, "it is no tokeniser: field 'model' is missing", _REMEDY)
    word = described["model"].get("max_input_chars_per_word", 0)
    if not isinstance(word, int) or word > MAX_WORD:
        raise InputError(path, f"field 'max_input_chars_per_word' is {word}, and at most {MAX_WORD} is expected", _REMEDY)
    growth = 1.0
    for part in _walk([described.get(field) for field in ("normalizer", "pre_tokenizer", "post_processor")]):
        growth *= _find_growth(part)
        if growth > MAX_GROWTH:
            raise InputError(path, f"it would make a text more than {MAX_GROWTH} times as long", _REMEDY)


def _walk(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every object in *value*, a JSON document, from the outermost on."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def _find_growth(part: Mapping[str, Any]) -> float:
    """How many times as long *part* of a tokeniser makes a text at most."""
    kind = part.get("type")
    if kind == "Replace":
        pattern = part.get("pattern")
        # A regular expression may find a place before every letter, and needs no letter of its own for it.
        found = pattern.get("String") if isinstance(pattern, dict) else None
        return max(1.0, _count(part.get("content")) / max(1, _count(found)) + (found is None or not found))
    if kind == "Prepend":
        # Before each piece, of which there may be one for each letter.
        return 1.0 + _count(part.get("prepend"))
    if kind == "TemplateProcessing":
        return float(max(1, sum("Sequence" in item for item in _as_list(part.get("single")))))
    return 1.0


def _count(value: Any) -> int:
    return len(value) if isinstance(value, str) else 0


def _as_list(value: Any) -> list[Any]:
    """The objects in *value*, a list of them."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _set_up(tokenizer: Any, step: Tokenize) -> Any:
    """*tokenizer*, which cuts and fills as *step* says, whatever its file says of that."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if step.length is not None:
        _check_fill(tokenizer, step)
        tokenizer.enable_padding(length=step.length, pad_id=step.fill, pad_token=tokenizer.id_to_token(step.fill))
    most = step.length if step.length is not None else step.most
    if most is not None:
        _truncate(tokenizer, most)
    return tokenizer


def _check_fill(tokenizer: Any, step: Tokenize) -> None:
    if tokenizer.id_to_token(step.fill) is None:
        raise InputError("fill", f"it is {step.fill}, and the tokeniser has no token of that number", "Give that of its padding token.")


def _truncate(tokenizer: Any, most: int) -> None:
    added = tokenizer.num_special_tokens_to_add(is_pair=False)
    if most <= added:
        raise InputError("length", f"it is {most}, and the tokeniser itself adds {added} tokens", "Give a greater length.")
    tokenizer.enable_truncation(max_length=most)

"""What torch, or the user's own code, says when it fails, in one line."""

import re
import traceback
from pathlib import Path

_MAX_LETTERS = 600
#: torch.export tells the line of the model that it could not follow in the message alone.
_PLACE = re.compile(r'File "([^"]+)", line (\d+)')


def tell_failure(error: BaseException) -> str:
    """The kind of *error*, the first paragraph of its message, and the line of code that it came from."""
    words = str(error).strip()
    paragraph = " ".join(words.split("\n\n", maxsplit=1)[0].split())
    return f"{type(error).__name__}: {paragraph}"[:_MAX_LETTERS] + _find_place(error, words)


def _find_place(error: BaseException, words: str) -> str:
    told = _PLACE.findall(words)
    frames = traceback.extract_tb(error.__traceback__)
    if told:
        return _say_place(*told[-1])
    return _say_place(frames[-1].filename, str(frames[-1].lineno)) if frames else ""


def _say_place(file: str, line: str) -> str:
    return f" ({Path(file).name}, line {line})"

"""What torch, or the user's own code, says when it fails, in one line."""

import re
import traceback
from pathlib import Path

_MAX_LETTERS = 600
_OPERATOR = re.compile(r"target=torch\.ops\.([\w.]+)")
#: torch.export tells the line of the model that it could not follow in the message alone.
_PLACE = re.compile(r'File "([^"]+)", line (\d+)')
#: What torch's messages go on with: the lines of its own code, the numbers of a tensor, advice to write custom operators.
_CHATTER = re.compile(r"( Original exception)? Traceback \(most recent call last\):.*| Position: \d+ Value: .*| If it's a custom op.*")


def tell_failure(error: BaseException) -> str:
    """The kind of *error*, the first paragraph of its message, and the line of code that it came from."""
    words = str(error).strip()
    paragraph = _CHATTER.sub("", " ".join(words.split("\n\n", maxsplit=1)[0].split()))
    return f"{type(error).__name__}: {paragraph}"[:_MAX_LETTERS] + _find_place(error, words)


def tell_cause(error: BaseException) -> str:
    """What *error* came of in the first place, and the operator that the errors between name.

    torch.onnx wraps what it fails at several times, with advice for its own developers.
    """
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    cause = tell_failure(chain[-1])
    named = [match[1] for one in chain for match in [_OPERATOR.search(str(one))] if match]
    return cause if not named or named[-1] in cause else f"{cause}, at {named[-1]}"


def _find_place(error: BaseException, words: str) -> str:
    told = _PLACE.findall(words)
    frames = traceback.extract_tb(error.__traceback__)
    if told:
        return _say_place(*told[-1])
    return _say_place(frames[-1].filename, str(frames[-1].lineno)) if frames else ""


def _say_place(file: str, line: str) -> str:
    return f" ({Path(file).name}, line {line})"

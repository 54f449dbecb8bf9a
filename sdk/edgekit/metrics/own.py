"""A metric of one's own: ``package.module:function``, which is code of the user's and runs here."""

import contextlib
import importlib
import math
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from edgekit.errors import InputError
from edgekit.metrics.base import FEW_RESAMPLES, Answers, Better, Metric, Truths

_SIGNATURE = "It is called with (answers, truths), edgekit.metrics.base.Answers and what is true of each item, and returns a float."


def is_own(name: str) -> bool:
    """Whether *name* is that of a function, whose code runs here once it is looked for."""
    return ":" in name


def load_own(name: str) -> Metric:
    """The metric that ``package.module:function`` is, found from the current directory too.

    What is named is a function of (answers, truths) that returns a float, of which more is better unless it has an attribute
    ``better`` that says ``"lower"``; or a Metric itself.

    Raises:
        InputError: there is no such module or function, or the module's own code failed; the message has its last line.
    """
    module, _, attribute = name.partition(":")
    found = getattr(_import(name, module), attribute, None)
    if isinstance(found, Metric):
        return found
    if not callable(found):
        problem = f"{module} has no {attribute!r}" if found is None else f"it is a {type(found).__name__}"
        raise InputError(f"metric {name}", f"{problem}, and a function is expected", _SIGNATURE)
    return Metric(name, lambda answers, truths: _call(name, found, answers, truths), better=_find_better(name, found), resamples=FEW_RESAMPLES)


def _find_better(name: str, function: Callable[..., Any]) -> Better:
    said = getattr(function, "better", "higher")
    if said not in get_args(Better):
        raise InputError(f"metric {name}", f"its attribute better is {said!r}", "Let it be 'higher' or 'lower'.")
    return "lower" if said == "lower" else "higher"


@contextlib.contextmanager
def _in_current_directory() -> Iterator[None]:
    """The current directory first among those in which modules are looked for, as Python itself has it."""
    place = str(Path.cwd())
    sys.path.insert(0, place)
    try:
        yield
    finally:
        # The module may have changed the path too, so its first place need not be ours any more.
        with contextlib.suppress(ValueError):
            sys.path.remove(place)


def _import(name: str, module: str) -> ModuleType:
    try:
        with _in_current_directory():
            importlib.invalidate_caches()
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(f"{error.name}.")):
            raise InputError(f"metric {name}", f"importing {module} failed: {error}", "Install what it needs.") from error
        raise InputError(
            f"metric {name}", f"there is no module {error.name!r}", "Run this from the directory that it is in, or install it."
        ) from error
    except (Exception, SystemExit) as error:
        # It is the user's own code: it may raise anything, and call sys.exit().
        raise InputError(f"metric {name}", f"importing {module} failed: {_tell(error)}", "Correct it.") from error


def _call(name: str, function: Callable[[Answers, Truths], Any], answers: Answers, truths: Truths) -> float:
    try:
        value = float(function(answers, truths))
    except (Exception, SystemExit) as error:
        raise InputError(f"metric {name}", f"calling it failed: {_tell(error)}", _SIGNATURE) from error
    if not math.isfinite(value):
        raise InputError(f"metric {name}", f"it returned {value}", "Let it return a finite number.")
    return value


def _tell(error: BaseException) -> str:
    """The last line of what Python would say of *error*, and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return traceback.format_exception_only(type(error), error)[-1].strip() + place

"""One-operator TFLite files, for models that come as TFLite: taken out of what onnx2tf and the LiteRT quantizer write.

Their answers are those of LiteRT's built-in kernels, without a delegate.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit.environments import ensure_environment
from edgekit.operator_support import Form
from edgekit_converters.environments import ONNX2TF
from edgekit_converters.probing.bench import make_child, write_trial
from edgekit_converters.probing.cases import Case
from edgekit_converters.probing.child import Child
from edgekit_converters.probing.reading import list_uses
from edgekit_converters.probing.trials import Trial

#: The most models of one form of ONNX that are taken apart, and the most files of one form of TFLite.
MOST_MODELS = 2
MOST_CASES = 4
#: Integers may come out a step off: XNNPACK rounds in another place than the built-in kernels.
_INTEGER_ATOL = 2.0


@dataclass(frozen=True, kw_only=True)
class TFLiteCase(Trial):
    """A trial of a TFLite operator: the *data* of a file that has it alone."""

    data: bytes

    suffix = ".tflite"

    def encode(self) -> bytes:
        """The file."""
        return self.data


def collect_tflite_cases(cases: Iterable[Case]) -> list[TFLiteCase]:
    """The forms of TFLite operators in the files that *cases* become; those between Q and DQ are quantised as TFLite is."""
    found: Counter[Form] = Counter()
    chosen = []
    with _Workshop() as workshop:
        for case in _choose(cases):
            for part in workshop.take_apart(case):
                found[part.form] += 1
                if found[part.form] <= MOST_CASES:
                    chosen.append(part)
    return chosen


def _choose(cases: Iterable[Case]) -> Iterator[Case]:
    """A few of *cases* of each form. Versions of ONNX make no difference to TFLite: of each operator the newest is enough."""
    chosen: Counter[Form] = Counter()
    for case in cases:
        chosen[case.form] += 1
        if chosen[case.form] <= MOST_MODELS and not (case.floating or case).is_restated and case.form.constants != "first":
            yield case


class _Workshop:
    """The child processes that convert, quantise and take apart, while the context lasts."""

    def __init__(self) -> None:
        self._open = contextlib.ExitStack()

    def __enter__(self) -> _Workshop:
        self._scratch = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="edgekit-")))
        self._converter = self._enter(ensure_environment(ONNX2TF), "onnx2tf")
        self._quantizer = self._enter(sys.executable, "quantizer")
        self._taker = self._enter(sys.executable, "parts")
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _enter(self, python: Path | str, probe: str) -> Child:
        return self._open.enter_context(make_child(python, probe))

    def take_apart(self, case: Case) -> Iterator[TFLiteCase]:
        """The operators of the file that *case* becomes; none where it cannot be made or run, which probing ONNX tells of."""
        job = write_trial(case.floating or case, self._scratch / "case")
        made = self._converter.ask(job | {"outputs": str(self._scratch / "case" / "converted")})
        if case.form.is_quantised and "tflite" in made:
            made = self._quantizer.ask(job | {"model": made["tflite"]})
        if "tflite" in made:
            apart = self._taker.ask(job | {"model": made["tflite"], "outputs": str(self._scratch / "case" / "part")})
            for index, part in enumerate(apart.get("parts", ())):
                yield _read_part(part, f"{case.name}-{case.form.dtype}-{case.form.constants}-{index}")


def _read_part(part: dict[str, str], name: str) -> TFLiteCase:
    use = list_uses(Path(part["model"]), "tflite")[0]
    with np.load(part["inputs"]) as inputs, np.load(part["outputs"]) as outputs:
        given, expected = dict(inputs), dict(outputs)
    whole = any(array.dtype.kind in "iu" for array in expected.values()) and use.form.is_quantised
    return TFLiteCase(
        name=name, form=use.form, inputs=given, expected=expected, atol=_INTEGER_ATOL if whole else 1e-5, data=Path(part["model"]).read_bytes()
    )

"""Probing LiteRT, or its older sibling, with TFLite files as they come: which operators XNNPACK takes."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from edgekit.operator_support import Judgement
from edgekit_converters.probing.bench import judge, list_kinds, make_child, run_job, write_trial
from edgekit_converters.probing.interpreters import find_version_in
from edgekit_converters.probing.litert_prober import PACKAGES
from edgekit_converters.probing.tflite_cases import TFLiteCase


class TFLiteProber:
    """Probes the *runtime* (``litert``, ``tflite-runtime``) that *python*, by default this one, has."""

    dialect = "tflite"

    def __init__(self, python: Path | str = sys.executable, runtime: str = "litert") -> None:
        self.runtime = runtime
        self._python = python
        self._open = contextlib.ExitStack()

    def find_version(self) -> str:
        """The version of the runtime's package there."""
        return find_version_in(self._python, PACKAGES[self.runtime])

    def list_tools(self) -> dict[str, str]:
        """The LiteRT whose built-in kernels gave the answers, and the quantizer that made the files of int8."""
        return {"ai-edge-litert": version("ai-edge-litert"), "ai-edge-quantizer": version("ai-edge-quantizer")}

    def __enter__(self) -> TFLiteProber:
        self._scratch = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="edgekit-")))
        self._child = self._open.enter_context(make_child(self._python, self.runtime))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def probe(self, trial: TFLiteCase) -> Judgement | None:
        """Native where XNNPACK takes the operator; fallback where a built-in kernel runs it."""
        observation = run_job(self._child, write_trial(trial, self._scratch / "case"), trial)
        outside = observation.list_steps()
        ran = Judgement(state="fallback", reason=f"outside of XNNPACK: {list_kinds(outside)}") if outside else Judgement(state="native")
        return judge(trial, observation, ran)

"""Probing LiteRT, or its older sibling, with TFLite files as they come: which operators XNNPACK takes."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

from edgekit.operator_support import Judgement
from edgekit_converters.probing.bench import judge, list_kinds, run_job, write_trial
from edgekit_converters.probing.child_prober import ChildProber
from edgekit_converters.probing.interpreters import find_version_in
from edgekit_converters.probing.litert_prober import PACKAGES
from edgekit_converters.probing.tflite_cases import TFLiteCase


class TFLiteProber(ChildProber):
    """Probes the *runtime* (``litert``, ``tflite-runtime``) that *python*, by default this one, has."""

    dialect = "tflite"

    def __init__(self, python: Path | str = sys.executable, runtime: str = "litert") -> None:
        super().__init__(python)
        self.runtime = runtime

    def find_version(self) -> str:
        """The version of the runtime's package there."""
        return find_version_in(self._python, PACKAGES[self.runtime])

    def list_tools(self) -> dict[str, str]:
        """The LiteRT whose built-in kernels gave the answers, and the quantizer that made the files of int8."""
        return {"ai-edge-litert": version("ai-edge-litert"), "ai-edge-quantizer": version("ai-edge-quantizer")}

    def probe(self, trial: TFLiteCase) -> Judgement | None:
        """Native where XNNPACK takes the operator; fallback where a built-in kernel runs it."""
        observation = run_job(self._child, write_trial(trial, self._scratch / "case"), trial)
        outside = observation.list_steps()
        ran = Judgement(state="fallback", reason=f"outside of XNNPACK: {list_kinds(outside)}") if outside else Judgement(state="native")
        return judge(trial, observation, ran)

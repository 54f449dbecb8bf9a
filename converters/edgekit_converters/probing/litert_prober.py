"""Probing LiteRT through onnx2tf: what the converter can express, and which of its operators XNNPACK takes."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgekit.environments import ensure_environment
from edgekit.operator_support import Judgement
from edgekit_converters.environments import ONNX2TF
from edgekit_converters.probing.bench import Observation, judge, list_kinds, make_child, run_job, shorten, write_trial
from edgekit_converters.probing.cases import Case
from edgekit_converters.probing.child_prober import ChildProber
from edgekit_converters.probing.interpreters import find_version_in

#: The package of each runtime that reads TFLite.
PACKAGES = {"litert": "ai-edge-litert", "tflite-runtime": "tflite-runtime"}
_BORDER = ("QUANTIZE", "DEQUANTIZE")


class LiteRTProber(ChildProber):
    """Probes the *runtime* (``litert``, ``tflite-runtime``) that *python*, by default this one, has, with files that onnx2tf makes."""

    dialect = "onnx"

    def __init__(self, python: Path | str = sys.executable, runtime: str = "litert") -> None:
        super().__init__(python)
        self.runtime = runtime

    def find_version(self) -> str:
        """The version of the runtime's package there."""
        return find_version_in(self._python, PACKAGES[self.runtime])

    def list_tools(self) -> dict[str, str]:
        """The onnx whose models are converted, the converter, and the quantizer."""
        converter = find_version_in(ensure_environment(ONNX2TF), "onnx2tf")
        return {"onnx": version("onnx"), "onnx2tf": converter, "ai-edge-quantizer": version("ai-edge-quantizer")}

    def __enter__(self) -> LiteRTProber:
        super().__enter__()
        self._converter = self._open.enter_context(make_child(ensure_environment(ONNX2TF), "onnx2tf"))
        self._quantizer = self._open.enter_context(make_child(sys.executable, "quantizer"))
        return self

    def probe(self, case: Case) -> Judgement | None:
        """Native where XNNPACK takes all that onnx2tf makes of it; fallback where built-in kernels do some; refused else."""
        floating = case.floating or case
        job = write_trial(floating, self._scratch / "case")
        made = self._make(job, is_quantised=case.form.is_quantised)
        if "error" in made:
            return Judgement(state="refused", reason=made["error"])
        # onnx2tf puts channels last and makes scalars tensors of one; the TFLite target's bindings turn them back.
        observation = run_job(self._child, job | {"model": made["tflite"]}, case, any_layout=True)
        return judge(case, observation, _judge_int8(observation) if case.form.is_quantised else _judge_plain(observation))

    def _make(self, job: dict[str, Any], *, is_quantised: bool) -> dict[str, Any]:
        """The TFLite file of *job*'s model as ``tflite``, or why there is none as ``error``, with the tool's name."""
        made = self._converter.ask(job | {"outputs": str(self._scratch / "case" / "converted")})
        if "error" in made:
            return {"error": f"onnx2tf: {shorten(made['error'])}"}
        if is_quantised:
            made = self._quantizer.ask(job | {"model": made["tflite"]})
        return {"error": f"ai-edge-quantizer: {shorten(made['error'])}"} if "error" in made else made


def _judge_plain(observation: Observation) -> Judgement:
    outside = observation.list_steps()
    if outside:
        return Judgement(state="fallback", reason=f"outside of XNNPACK: {list_kinds(outside)}")
    return Judgement(state="native")


def _judge_int8(observation: Observation) -> Judgement:
    """Native where every operator takes int8 and XNNPACK has it."""
    outside = [step for step in observation.list_steps() if step[0] not in _BORDER]
    inside = [step for step in observation.list_steps("delegated") if step[0] not in _BORDER]
    floats = [step for step in (*outside, *inside) if "int8" not in step[1].partition(",")[0]]
    if floats:
        return Judgement(state="fallback", reason=f"the LiteRT quantizer leaves it in float32, as {list_kinds(floats)}")
    if outside:
        return Judgement(state="fallback", reason=f"outside of XNNPACK: {list_kinds(outside)}")
    return Judgement(state="native")

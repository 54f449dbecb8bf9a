"""Probing OpenVINO's CPU plug-in: the compiled model says by which layers and primitives it runs."""

from __future__ import annotations

from importlib.metadata import version

from edgekit.operator_support import Judgement
from edgekit_converters.probing.bench import judge, list_kinds, run_job, write_trial
from edgekit_converters.probing.cases import Case
from edgekit_converters.probing.child_prober import ChildProber
from edgekit_converters.probing.interpreters import find_version_in

_BORDER = ("Input", "Output", "Const", "Reorder", "Convert")
#: Layers that only hold, move or convert data, and the element-wise work that is compiled into one pass over them.
_LIGHT = (*_BORDER, "Reshape", "Transpose", "Split", "Concatenation", "Subgraph", "Eltwise")
_INTEGERS = ("i8", "u8")


class OpenVINOProber(ChildProber):
    """Probes the OpenVINO that *python*, by default this one, has."""

    runtime = "openvino"
    dialect = "onnx"

    def find_version(self) -> str:
        """The version of openvino there."""
        return find_version_in(self._python, "openvino").partition("-")[0]

    def list_tools(self) -> dict[str, str]:
        """The onnx whose models are run."""
        return {"onnx": version("onnx")}

    def probe(self, case: Case) -> Judgement | None:
        """Native where one layer of the plug-in does the work; fallback where several do, or OpenVINO's reference implementation."""
        observation = run_job(self._child, write_trial(case, self._scratch / "case"), case)
        layers = observation.list_steps()
        return judge(case, observation, _judge_int8(layers) if case.form.is_quantised else _judge_plain(layers))


def _judge_plain(layers: list[tuple[str, ...]]) -> Judgement:
    heavy = [layer for layer in layers if layer[0] not in _LIGHT]
    if any(layer[0] == "Reference" for layer in heavy):
        return Judgement(state="fallback", reason="the plug-in has no layer of its own for it and runs OpenVINO's reference implementation")
    if len(heavy) > 1:
        return Judgement(state="fallback", reason=f"it is made of {len(heavy)} layers: {list_kinds(heavy)}")
    return Judgement(state="native")


def _judge_int8(layers: list[tuple[str, ...]]) -> Judgement:
    """Native where the layer that does the work computes in integers; an operator that has none is only moved or fused."""
    plain = _judge_plain(layers)
    work = [layer for layer in layers if layer[0] not in _BORDER]
    floats = [layer for layer in work if layer[0] not in _LIGHT and layer[2] not in _INTEGERS]
    if floats or not any(layer[2] in _INTEGERS for layer in layers):
        return Judgement(state="fallback", reason=f"it runs in float32 between Q and DQ, as {list_kinds(floats or work)}")
    return plain

"""Probing ONNX Runtime on the CPU: its profile names every kernel that ran."""

from __future__ import annotations

from importlib.metadata import version

from edgekit.operator_support import Judgement
from edgekit_converters.probing.bench import Observation, judge, list_kinds, run_job, write_trial
from edgekit_converters.probing.cases import Case
from edgekit_converters.probing.child_prober import ChildProber
from edgekit_converters.probing.interpreters import find_version_in

_BORDER = ("QuantizeLinear", "DequantizeLinear")


class OnnxRuntimeProber(ChildProber):
    """Probes the ONNX Runtime that *python*, by default this one, has."""

    runtime = "onnxruntime"
    dialect = "onnx"

    def find_version(self) -> str:
        """The version of onnxruntime there."""
        return find_version_in(self._python, "onnxruntime")

    def list_tools(self) -> dict[str, str]:
        """The onnx whose models are run."""
        return {"onnx": version("onnx")}

    def probe(self, case: Case) -> Judgement | None:
        """Native where the operator's own kernel ran, or none was needed; fallback where something else did its work."""
        observation = run_job(self._child, write_trial(case, self._scratch / "case"), case)
        return judge(case, observation, _judge_int8(observation) if case.form.is_quantised else _judge_plain(case, observation))


def _judge_plain(case: Case, observation: Observation) -> Judgement:
    steps = observation.list_steps()
    own = case.model.graph.node[0].op_type
    if steps and all(step[0] != own for step in steps):
        return Judgement(state="fallback", reason=f"it has no kernel of its own and runs as {list_kinds(steps)}")
    if own != "Cast" and any(step[0] == "Cast" for step in steps) and not _has_graph(case):
        return Judgement(state="fallback", reason=f"it has no kernel for {case.form.dtype} and runs in another type between casts")
    return Judgement(state="native")


def _judge_int8(observation: Observation) -> Judgement:
    """Native where what ran between Q and DQ took integers."""
    floats = [step for step in observation.list_steps() if step[0] not in _BORDER and "'float'" in step[1].partition(",")[0]]
    if floats:
        return Judgement(state="fallback", reason=f"it runs in float32 between Q and DQ, as {list_kinds(floats)}")
    return Judgement(state="native")


def _has_graph(case: Case) -> bool:
    return any(attribute.HasField("g") for attribute in case.model.graph.node[0].attribute)

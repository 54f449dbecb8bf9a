"""The tables that are kept: of the versions that are pinned, and what probing them finds today."""

import re
import sys
from pathlib import Path

import pytest
import tomllib

from edgekit_converters.probing.cases import collect_cases
from edgekit_converters.probing.knowledge import ProbedOperators
from edgekit_converters.probing.litert_prober import PACKAGES
from edgekit_converters.probing.onnx_runtime_prober import OnnxRuntimeProber
from edgekit_converters.probing.openvino_prober import OpenVINOProber
from edgekit_converters.probing.quantised_cases import quantise_cases
from edgekit_converters.probing.running import probe_trials

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def tables():
    return {(table.runtime, table.dialect, table.version): table for table in ProbedOperators().list_tables()}


def test_the_pinned_versions_were_probed(tables) -> None:
    """Whoever raises a pin of the extra convert probes again."""
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["convert"]
    pins = dict(re.split("==", line) for line in extra if "==" in line)
    assert ("onnxruntime", "onnx", pins["onnxruntime"]) in tables
    assert ("openvino", "onnx", pins["openvino"]) in tables
    assert {("litert", dialect, pins[PACKAGES["litert"]]) for dialect in ("onnx", "tflite")} <= set(tables)
    assert {table.tools["onnx"] for key, table in tables.items() if key[2] in (pins["onnxruntime"], pins["openvino"])} == {pins["onnx"]}


def test_every_table_has_a_native_a_fallback_and_a_refused_operator(tables) -> None:
    """A table in which nothing falls back or is refused was not probed, but wished for."""
    for (runtime, dialect, _), table in tables.items():
        states = {finding.state for findings in table.operators.values() for finding in findings}
        assert {"native", "fallback"} <= states, runtime
        assert "refused" in states or dialect == "tflite", runtime


@pytest.mark.parametrize("make_prober", [OnnxRuntimeProber, OpenVINOProber])
def test_probing_finds_what_is_kept(tables, tmp_path, make_prober) -> None:
    """A few operators, asked again, are as the file has them."""
    floats = collect_cases(["Mish", "Det", "LogSoftmax", "Relu"])
    prober = make_prober(sys.executable)
    found = probe_trials(prober, [*floats, *quantise_cases(floats)], tmp_path, lambda *_: None)
    kept = tables[prober.runtime, "onnx", prober.find_version()]
    assert found.operators == {name: kept.operators[name] for name in found.operators}


def test_the_files_are_small(tables) -> None:
    """They travel with the package."""
    assert len(tables) >= 4
    folder = ROOT / "converters" / "edgekit_converters" / "operator_support"
    assert max(path.stat().st_size for path in folder.glob("*.json")) < 256 << 10

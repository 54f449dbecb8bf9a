import json
from pathlib import Path

import pytest

from edgekit.cli.benchmark import benchmark, list_rows
from edgekit.cli.convert import convert
from edgekit.cli.main import run_command

DIGITS = Path(__file__).parents[3] / "examples" / "digits" / "digits.onnx"


def run(command, *argv):
    with pytest.raises(SystemExit) as stop:
        run_command(command, [str(word) for word in argv], program="edgekit")
    return stop.value.code


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A bundle of one real variant."""
    root = tmp_path_factory.mktemp("benchmark") / "digits"
    assert run(convert, DIGITS, "-o", root, "--to", "onnx", "--precision", "fp32") == 0
    return root


@pytest.mark.workstation
def test_a_bundle_is_measured(digits, capsys):
    """The table has the variant's latency, spread, memory and size, and its ratio to itself."""
    capsys.readouterr()
    assert run(benchmark, digits, "--rounds", 1) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(" onnx-fp32"))
    assert row.count("1.00\N{MULTIPLICATION SIGN}") == 2
    assert "onnxruntime" in row


@pytest.mark.workstation
def test_json_has_the_measurements(digits, capsys):
    """--json prints each variant with its measurement, and the rounds and threads asked for are in it."""
    capsys.readouterr()
    assert run(benchmark, digits, "--rounds", 2, "--threads", 2, "--variant", "onnx-fp32", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    (variant,) = record["variants"]
    assert variant["id"] == "onnx-fp32"
    assert variant["measured"]["threads"] == 2
    assert variant["measured"]["latency_ms"]["rounds"] == 2
    assert variant["measured"]["latency_ms"]["p50"] > 0


@pytest.mark.workstation
def test_an_unknown_variant_is_named_with_the_known_ones(digits, capsys):
    """A variant that is not in the bundle ends with code 2 and the ids that are."""
    assert run(benchmark, digits, "--variant", "onnx-int4") == 2
    assert "Known here: onnx-fp32" in capsys.readouterr().err


def test_nothing_measurable_is_an_error(small_bundle, capsys):
    """Where no variant can be loaded, each reason is in the table and the code is 2."""
    assert run(benchmark, small_bundle.root, "--rounds", 1) == 2
    captured = capsys.readouterr()
    assert "onnx-fp32" in captured.out
    assert "edgekit doctor" in captured.err


def test_rows_stand_from_the_fastest_to_the_slowest(make_manifest):
    """Ratios say how many times as long a variant takes as the fastest, and as the source's own format."""
    manifest = make_manifest(("onnx-fp32", "tflite-int8"))
    rows = list_rows(tuple((variant, variant.measured[0]) for variant in manifest.variants))
    assert [row[0] for row in rows] == ["tflite-int8", "onnx-fp32"]
    assert [[cell.rstrip("\N{MULTIPLICATION SIGN}") for cell in row[6:8]] for row in rows] == [["1.00", "0.50"], ["2.00", "1.00"]]

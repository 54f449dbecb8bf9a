import json
from pathlib import Path

import pytest

from edgekit.bundles import open_bundle
from edgekit.cli.convert import convert
from edgekit.cli.main import run_command

pytestmark = pytest.mark.workstation

DIGITS = Path(__file__).parents[3] / "examples" / "digits"
# One variant in one format, so that the whole way is gone in a second or two.
QUICK = ("--to", "onnx", "--precision", "fp32")


def run(*argv):
    with pytest.raises(SystemExit) as stop:
        run_command(convert, [str(word) for word in argv], program="edgekit convert")
    return stop.value.code


def test_a_model_becomes_a_bundle_with_a_table_and_a_report(tmp_path, capsys):
    """The table has each variant's figures, then the default here and why, and where the bundle and its report are."""
    bundle = tmp_path / "bundle"
    assert run(DIGITS / "digits.onnx", "-o", bundle, *QUICK, "--evaluation", DIGITS / "evaluation.npz") == 0
    captured = capsys.readouterr()
    row = next(line.split() for line in captured.out.splitlines() if line.startswith(" onnx-fp32"))
    assert row[0] == "onnx-fp32"
    assert row[-1] == "yes"
    for expected in ("top1", "Default on ", f"Bundle: {bundle}", f"Report: {bundle / 'report.html'}"):
        assert expected in captured.out
    assert "making onnx-fp32" in captured.err
    assert open_bundle(bundle).manifest.name == "digits"
    assert (bundle / "report.html").is_file()


def test_json_is_the_manifest_with_the_default(tmp_path, capsys):
    """--json prints the manifest's record alone on stdout, with the default of this machine marked, and progress on stderr."""
    assert run(DIGITS / "digits.onnx", "-o", tmp_path / "bundle", *QUICK, "--name", "numbers", "--json") == 0
    captured = capsys.readouterr()
    record = json.loads(captured.out)
    assert record["name"] == "numbers"
    (variant,) = record["variants"]
    assert variant["default"] is True
    assert variant["metric"] is None
    assert {"id", "format", "precision", "files", "parity", "tolerance", "measured"} <= set(variant)
    assert {"machine", "target", "runtime", "threads", "latency_ms", "rss_mb"} <= set(variant["measured"][0])
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    assert record | {"variants": [variant | {"default": True}]} == record
    assert {key: record[key] for key in manifest if key != "variants"} == {key: manifest[key] for key in manifest if key != "variants"}


def test_lists_may_have_commas_and_be_repeated(tmp_path, capsys):
    """Formats and precisions are taken from comma lists and from repeated options alike, each once."""
    argv = ("--to", "onnx,", "--to", " onnx", "--precision", "fp32", "--precision", "fp32")
    assert run(DIGITS / "digits.onnx", "-o", tmp_path / "bundle", *argv, "--json") == 0
    assert [variant["id"] for variant in json.loads(capsys.readouterr().out)["variants"]] == ["onnx-fp32"]


def test_a_bound_that_nothing_meets_is_refused(tmp_path, capsys):
    """Where no variant keeps the bound the code is 3, the best variant is named, and nothing is written."""
    argv = (*QUICK, "--evaluation", DIGITS / "evaluation.npz", "--max-drop", "-0.5")
    assert run(DIGITS / "digits.onnx", "-o", tmp_path / "bundle", *argv) == 3
    assert "The best is onnx-fp32" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "argv",
    [
        ("missing.onnx", "-o", "out"),
        (DIGITS / "evaluation.npz", "-o", "out"),
        (DIGITS / "digits.onnx", "-o", "out", "--to", "coreml"),
        (DIGITS / "digits.onnx", "-o", "out", "--to", "onnx", "--precision", "int8"),
        (DIGITS / "digits.onnx", "-o", "out", "--calibration", DIGITS / "digits.onnx"),
        (DIGITS / "digits.onnx", "-o", "out", "--metric", "top1"),
        (DIGITS / "digits.onnx", "-o", "out", "--max-drop", "nan"),
        (DIGITS / "digits.onnx", "-o", "out", "--threads", "0"),
        (DIGITS / "digits.onnx", "-o", "out", "--name", "two words"),
        (DIGITS / "digits.onnx",),
    ],
)
def test_bad_input_is_one_paragraph_and_nothing_written(argv, tmp_path, monkeypatch, capsys):
    """What cannot be used ends with code 2 and one line that begins with error, and leaves no file behind."""
    monkeypatch.chdir(tmp_path)
    assert run(*argv) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert list(tmp_path.iterdir()) == []


def test_offline_forbids_environments(tmp_path, monkeypatch, capsys):
    """With --offline a format whose environment is not here is not made, and asked for by --to it is an error."""
    monkeypatch.setenv("EDGEKIT_ENVIRONMENTS", str(tmp_path / "none"))
    monkeypatch.setenv("EDGEKIT_OFFLINE", "")
    assert run(DIGITS / "digits.onnx", "-o", tmp_path / "bundle", "--to", "tflite", "--precision", "fp32", "--offline") == 2
    assert "offline" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()

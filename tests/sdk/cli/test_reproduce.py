"""`edgekit reproduce` says whether a bundle comes out the same, and its exit code says it too."""

import json
from pathlib import Path

import pytest

from edgekit.build import build_bundle
from edgekit.build_request import BuildRequest
from edgekit.bundles import open_bundle
from edgekit.changes import Change
from edgekit.cli.main import run_command
from edgekit.cli.reproduce import reproduce
from edgekit.reproducing import Reproduction, VariantResult

DIGITS = Path(__file__).parents[3] / "examples" / "digits"
DIGEST = "sha256:" + "a" * 64


def run(*argv):
    with pytest.raises(SystemExit) as stop:
        run_command(reproduce, [str(word) for word in argv], program="edgekit reproduce")
    return stop.value.code


@pytest.fixture
def found(monkeypatch):
    """Lets the reproduction end in what a test says."""

    def end(*variants, differences=()):
        made = Reproduction(name="digits", digest=DIGEST, differences=differences, golden=True, variants=variants)
        monkeypatch.setattr("edgekit.reproducing.reproduce_bundle", lambda *_: made)

    return end


@pytest.mark.workstation
def test_a_bundle_is_made_again(tmp_path, capsys, monkeypatch):
    """Without options the files are found where the recipe says; the table says what came out, and -o keeps it."""
    request = BuildRequest(source=DIGITS / "digits.onnx", destination=tmp_path / "bundle", formats=("onnx",), precisions=("fp32",))
    build_bundle(request, lambda *_: None)
    monkeypatch.chdir(DIGITS)
    assert run(tmp_path / "bundle", "-o", tmp_path / "again") == 0
    captured = capsys.readouterr()
    assert "Source, data, versions of tools and machine are as they were." in captured.out
    assert "onnx-fp32   same bytes   1 of 1" in captured.out
    assert "making onnx-fp32" in captured.err
    assert open_bundle(tmp_path / "again").manifest.files == open_bundle(tmp_path / "bundle").manifest.files
    assert run(tmp_path / "bundle", "-o", tmp_path / "bundle") == 2
    assert "it is the bundle itself" in capsys.readouterr().err


def test_what_differs_ends_with_a_refusal(small_bundle, found, capsys):
    """Where a variant differs the code is 3, what was not as it was stands first, and JSON alone is on stdout all the same."""
    differences = (Change(what="onnx", before="1.22", after="1.23"),)
    found(VariantResult(id="onnx-fp32", verdict="differs", files={"m": False}, note="logits deviates by 2"), differences=differences)
    assert run(small_bundle.root) == 3
    captured = capsys.readouterr()
    assert captured.out.index("not as it was") < captured.out.index("onnx-fp32: logits deviates by 2.")
    assert "made again it is not the same: onnx-fp32" in captured.err
    assert run(small_bundle.root, "--json") == 3
    record = json.loads(capsys.readouterr().out)
    assert (record["agrees"], record["variants"][0]["verdict"]) == (False, "differs")


def test_what_agrees_is_no_refusal(small_bundle, found, capsys):
    """Other bytes with the same tensors, or within parity, and a new variant are told, and the code is 0."""
    found(
        VariantResult(id="onnx-fp32", verdict="same tensors", files={"m": False}, note="one of onnx is not deterministic"),
        VariantResult(id="onnx-int8", verdict="within parity", files={"m": False}, note="1 of 9 constants differ"),
        VariantResult(id="tflite-fp32", verdict="new", note="it was not in the bundle"),
    )
    assert run(small_bundle.root) == 0
    printed = capsys.readouterr().out
    for told in ("same tensors", "0 of 1", "one of onnx is not deterministic", "it was not in the bundle"):
        assert told in printed


@pytest.mark.parametrize("argv", [("none",), (".",)])
def test_what_is_no_bundle_is_refused(tmp_path, monkeypatch, capsys, argv):
    """A folder that is none, or without a manifest, ends with code 2 and one error."""
    monkeypatch.chdir(tmp_path)
    assert run(*argv) == 2
    assert capsys.readouterr().err.count("error: ") == 1


def test_a_bundle_without_a_recipe_says_so(small_bundle, capsys):
    """A bundle of before recipes cannot be made again by command, which is said with what is known."""
    assert run(small_bundle.root) == 2
    assert "before recipes were kept" in capsys.readouterr().err

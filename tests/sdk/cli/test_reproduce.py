"""`edgekit reproduce` says whether a bundle comes out the same, and its exit code says it too."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as replace_fields

from edgekit.build import build_bundle
from edgekit.build_request import BuildRequest
from edgekit.bundles import MANIFEST, open_bundle
from edgekit.cli.main import run_command
from edgekit.cli.reproduce import reproduce
from edgekit.files import digest_bytes, digest_file

DIGITS = Path(__file__).parents[3] / "examples" / "digits"


def run(*argv):
    with pytest.raises(SystemExit) as stop:
        run_command(reproduce, [str(word) for word in argv], program="edgekit reproduce")
    return stop.value.code


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One variant of the digits, without data."""
    destination = tmp_path_factory.mktemp("made") / "bundle"
    build_bundle(BuildRequest(source=DIGITS / "digits.onnx", destination=destination, formats=("onnx",), precisions=("fp32",)), lambda *_: None)
    return destination


@pytest.fixture
def altered(made, tmp_path):
    """A copy of it whose model has another remark in it."""
    import onnx

    shutil.copytree(made, tmp_path / "altered")
    bundle = open_bundle(tmp_path / "altered")
    (variant,) = bundle.manifest.variants
    path = bundle.path_of(variant)
    model = onnx.load(path)
    model.producer_name = "another"
    onnx.save(model, path)
    entry = replace_fields(variant.files[0], digest=digest_file(path), length=path.stat().st_size)
    (bundle.root / MANIFEST).write_bytes(replace_fields(bundle.manifest, variants=(replace_fields(variant, files=(entry,)),)).encode())
    return bundle.root


@pytest.mark.workstation
def test_a_bundle_is_made_again(made, tmp_path, capsys, monkeypatch):
    """Without options the files are found where the recipe says; the table says what came out, and -o keeps it."""
    monkeypatch.chdir(DIGITS)
    assert run(made, "-o", tmp_path / "again") == 0
    captured = capsys.readouterr()
    assert "Source, data, versions of tools and machine are as they were." in captured.out
    assert "onnx-fp32   same bytes   1 of 1" in captured.out
    assert "making onnx-fp32" in captured.err
    assert open_bundle(tmp_path / "again").manifest.files == open_bundle(made).manifest.files
    assert run(made, "-o", made) == 2
    assert "it is the bundle itself" in capsys.readouterr().err


@pytest.mark.workstation
def test_other_bytes_with_the_same_tensors_are_no_refusal(altered, capsys):
    """Where only bytes differ the code is 0, and the tools that may not be deterministic are named."""
    assert run(altered, "--source", DIGITS / "digits.onnx") == 0
    printed = capsys.readouterr().out
    assert "onnx-fp32   same tensors   0 of 1" in printed
    assert "one of onnx, onnxruntime, onnxslim, onnx-ir is not deterministic" in printed


@pytest.mark.workstation
def test_what_differs_ends_with_a_refusal(altered, tmp_path, capsys):
    """Where a variant gives other answers than the bundle recorded the code is 3; what was not as it was is told, and JSON stays alone."""
    bundle = open_bundle(altered)
    golden = bundle.read_golden()
    recorded = replace(golden, outputs={name: array * 1.5 for name, array in golden.outputs.items()}).encode()
    (altered / "golden.npz").write_bytes(recorded)
    entry = replace_fields(bundle.manifest.golden, digest=digest_bytes(recorded), length=len(recorded))
    lineage = replace_fields(bundle.manifest.lineage, tools=bundle.manifest.lineage.tools | {"onnx": "1.0"})
    (altered / MANIFEST).write_bytes(replace_fields(bundle.manifest, golden=entry, lineage=lineage).encode())
    assert run(altered, "--source", DIGITS / "digits.onnx", "--json") == 3
    captured = capsys.readouterr()
    record = json.loads(captured.out)
    assert (record["agrees"], record["shared"], record["variants"][0]["verdict"]) == (False, {"golden.npz": False}, "differs")
    assert [one["what"] for one in record["differences"]] == ["onnx"]
    assert "made again it is not the same: onnx-fp32" in captured.err


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

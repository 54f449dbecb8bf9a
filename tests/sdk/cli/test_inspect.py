import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from edgekit.artifacts import EngineRecipe
from edgekit.cli.inspect import inspect
from edgekit.cli.main import run_command

ROOT = Path(__file__).parents[3]
DIGITS = ROOT / "examples" / "digits" / "digits.onnx"
SCHEMA = ROOT / "docs" / "reference" / "manifest.schema.json"


def run(*argv):
    with pytest.raises(SystemExit) as stop:
        run_command(inspect, [str(word) for word in argv], program="edgekit inspect")
    return stop.value.code


def test_a_model_is_described(capsys):
    """The table of a model file has its format, tensors, operators and digest."""
    pytest.importorskip("onnx")
    assert run(DIGITS) == 0
    printed = capsys.readouterr().out
    for expected in ("onnx", "image: float32[batch, 1, 8, 8]", "logits: float32[batch, 10]", "3 Conv", "sha256:"):
        assert expected in printed


def test_a_models_json_is_its_description(capsys):
    """--json prints the description and nothing else on stdout."""
    pytest.importorskip("onnx")
    assert run(DIGITS, "--json") == 0
    description = json.loads(capsys.readouterr().out)
    assert description["size"] == DIGITS.stat().st_size
    assert description["operators"]["Conv"] == 3


def test_a_bundle_is_verified_and_told(small_bundle, capsys):
    """The table of a bundle has its digest, variants, tolerances and lineage."""
    assert run(small_bundle.root) == 0
    printed = capsys.readouterr().out
    for expected in (small_bundle.digest, "onnx-fp32", "openvino-int8", "digits.onnx", "32, synthetic", "No default for"):
        assert expected in printed


def test_a_bundles_json_is_its_manifest(small_bundle, capsys):
    """--json prints the manifest's fields at the top, its digest, and in each variant whether it is the default here."""
    assert run(small_bundle.root / "manifest.json", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["digest"] == small_bundle.digest
    assert {"name", "variants", "skipped", "lineage", "defaults"} <= set(record)
    assert [variant["default"] for variant in record["variants"]] == [False, False]


def test_one_flipped_byte_is_refused(small_bundle, capsys):
    """A bundle of which one byte changed ends with code 4 and shows nothing of it."""
    path = small_bundle.root / "variants" / "openvino-int8" / "model.bin"
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    assert run(small_bundle.root) == 4
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "model.bin" in captured.err


@pytest.mark.parametrize("name", ["missing.onnx", "README.md", "sdk"])
def test_what_is_no_model_is_refused(name, capsys):
    """A path with nothing, text or another directory ends with code 2 and names the path."""
    assert run(ROOT / name) == 2
    assert name in capsys.readouterr().err


@pytest.mark.parametrize(("name", "said"), [("saved_model.pb", "a TensorFlow SavedModel"), ("config.json", "a Hugging Face model directory")])
def test_a_directory_that_is_a_model_is_called_so(tmp_path, capsys, name, said):
    """Whoever inspects the directory of a model is told which kind it is, and not that a manifest is missing."""
    (tmp_path / name).write_bytes(b"{}")
    assert run(tmp_path) == 2
    assert f"it is {said}. edgekit inspects bundles" in capsys.readouterr().err


def test_no_path_is_wrong_use(capsys):
    """Without a path the command says what it needs."""
    assert run() == 2
    assert "PATH" in capsys.readouterr().err


def test_the_schema_in_the_documentation_is_up_to_date(capsys):
    """docs/reference/manifest.schema.json is what edgekit inspect --schema prints."""
    assert run("--schema") == 0
    assert SCHEMA.read_text(encoding="utf-8") == capsys.readouterr().out


def test_the_schema_describes_manifests(make_manifest):
    """A manifest's JSON is valid under the schema in the documentation, and one without its variants is not."""
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    record = json.loads(make_manifest().encode())
    assert list(validator.iter_errors(record)) == []
    assert list(validator.iter_errors(record | {"variants": []}))


def test_how_a_device_builds_its_engine_is_told(small_bundle, capsys):
    """A variant for an accelerator is shown with what builds its engine on the device, in which versions and for which shapes."""
    shapes = {"x": ((1, 3), (8, 3), (64, 3))}
    engine = EngineRecipe(builder="tensorrt", minimum_version="10.0", profiles=shapes)
    first, second = small_bundle.manifest.variants
    for_nvidia = replace(first, scheme="static", precision="int8", accelerator="nvidia", engine=engine)
    (small_bundle.root / "manifest.json").write_bytes(replace(small_bundle.manifest, variants=(for_nvidia, second)).encode())
    assert run(small_bundle.root) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "int8 static, for nvidia, tensorrt 10.0 or later" in printed
    assert "onnx-fp32 tensorrt 10.0 or later by the file x: 1x3, 8x3, 64x3" in printed
    assert run(small_bundle.root, "--json") == 0
    (record, _) = json.loads(capsys.readouterr().out)["variants"]
    assert (record["scheme"], record["accelerator"], record["engine"]["builder"]) == ("static", "nvidia", "tensorrt")


def test_a_contract_stands_in_a_line(make_contract_bundle, small_bundle, capsys):
    """A bundle that takes pictures says so with how they are answered and what proves it; one without a contract says what it takes."""
    for root in (make_contract_bundle("image"), small_bundle.root):
        assert run(root) == 0
    printed = capsys.readouterr().out
    assert "classify: photo, a picture, in 5 steps; answers: classes of output logits" in printed
    assert "golden raw items" in printed
    assert "none: callers give the model's own tensors" in printed

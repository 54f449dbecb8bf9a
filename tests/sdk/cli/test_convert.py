import json
import re
from pathlib import Path

import pytest

from edgekit.bundles import open_bundle
from edgekit.cli.convert import HELP, convert
from edgekit.cli.main import run_command
from edgekit.conversion import SourceOptions
from edgekit.errors import GateRefused
from edgekit.precisions import order_precisions
from edgekit.target_profiles import find_profile
from edgekit.tensors import TensorSpec

pytestmark = pytest.mark.workstation

ROOT = Path(__file__).parents[3]
DIGITS = ROOT / "examples" / "digits"
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


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--shape", "sequence", "expected a name, an equals sign and sizes"),
        ("--shape", "sequence=long", "'long' is a name"),
        ("--input", "image=0x3", "'0' is no size"),
        ("--input", "ids=batchxsequence", "Put commas between sizes"),
        ("--dtype", "image=float", "'float' is no dtype"),
        ("--layout", "image=NCHW:NHWX", "NCHW:NHWC"),
        ("--target", "raspberry-pi-6", "Known here: aarch64"),
        ("--precision", "int3", "Known here: bf16, fp16"),
        ("--to", "coreml", "Known here: "),
    ],
)
def test_an_option_that_cannot_be_meant_is_named(option, value, told, tmp_path, capsys):
    """The refusal names the option or what it chooses among, and says what was expected."""
    assert run(DIGITS / "digits.onnx", "-o", tmp_path / "bundle", option, value) == 2
    error = capsys.readouterr().err
    assert told in error
    assert option in error or option.removeprefix("--") in error or "format" in error


def test_one_name_twice_is_refused(tmp_path, capsys):
    """An option that is repeated for the same tensor is refused: only one could be meant."""
    assert run(DIGITS / "digits.onnx", "-o", tmp_path / "bundle", "--shape", "batch=1", "--shape", "batch=2") == 2
    assert "'--shape': 'batch' is given more than once" in capsys.readouterr().err


def test_options_reach_the_source(tmp_path, monkeypatch):
    """What is said of shapes, inputs, dtypes, layouts, an example and code comes to the build as it was meant."""
    asked = []

    def refuse(request, _progress):
        asked.append(request)
        raise GateRefused("nothing", "this test makes none")

    monkeypatch.setattr("edgekit.build.build_bundle", refuse)
    argv = ("--shape", "ids=?x128", "--input", "ids=batch,sequence:int64", "--example", "x.npz", "--unsafe-allow-code")
    border = ("--dtype", "image=uint8", "--layout", "image=NCHW:NHWC", "--target", "raspberry-pi-5")
    assert run("shop.models:make", "-o", tmp_path / "bundle", *argv, *border) == 3
    (request,) = asked
    spec = TensorSpec(name="ids", dtype="int64", shape=("batch", "sequence"))
    assert request.options == SourceOptions(
        shapes={"ids": (None, 128)},
        example=Path("x.npz"),
        inputs=(spec,),
        dtypes={"image": "uint8"},
        layouts={"image": ("NCHW", "NHWC")},
        allow_code=True,
    )
    assert (request.target, str(request.source)) == ("raspberry-pi-5", "shop.models:make")


def test_a_bundle_for_another_target_says_what_its_devices_take(tmp_path, capsys):
    """With --target of another class the default stays this machine's, and the devices' own choice is told with what to know of them."""
    assert run(DIGITS / "digits.onnx", "-o", tmp_path / "bundle", *QUICK, "--target", "raspberry-pi-zero-2w") == 0
    printed = capsys.readouterr().out
    assert "No default for raspberry-pi-zero-2w: unmeasured there" in printed
    assert "A device of that class takes onnx-fp32" in printed
    assert "raspberry-pi-zero-2w: OpenVINO is left out" in printed
    manifest = open_bundle(tmp_path / "bundle").manifest
    assert "raspberry-pi-zero-2w" not in manifest.defaults
    assert manifest.lineage.options["target"] == "raspberry-pi-zero-2w"


def find_examples():
    """Each command that the help and the guide give as an example."""
    texts = (HELP, (ROOT / "docs" / "guides" / "converting.md").read_text(), (ROOT / "docs" / "getting-started" / "first-model.md").read_text())
    return [line.strip() for text in texts for line in text.splitlines() if re.match(r"\s*edgekit convert (?!SRC)\S", line)]


@pytest.mark.parametrize("command", find_examples())
def test_examples_are_commands_that_are_read(command, tmp_path, monkeypatch):
    """What the help and the guides show is taken as it stands, and names targets, formats and precisions that there are."""
    monkeypatch.chdir(tmp_path)
    Path("digits.toml").write_text('source = "digits.onnx"\n')
    with convert.make_context("convert", command.split()[2:]) as context:
        asked = context.params
    order_precisions(asked["precisions"] or ())
    assert set(asked["formats"] or ()) <= {"onnx", "tflite", "openvino", "nvidia"}
    assert asked["target"] is None or find_profile(asked["target"])


def test_the_contract_is_said_and_warnings_are_told(colours, tmp_path, capsys):
    """What callers may give and what is read is one line on stdout; what is to be known of it is on stderr, a line each."""
    wrong = colours.change_contract(tmp_path / "wrong.toml", "height = 9 }", 'height = 9 }, { step = "color", order = "BGR" }')
    data = [word for role, path in colours.data.items() for word in (f"--{role}", path)]
    argv = (*QUICK, "--processing", wrong, "--samples", "50", "--golden-raw", *data)
    assert run(colours.model, "-o", tmp_path / "bundle", *argv) == 0
    captured = capsys.readouterr()
    assert "Processing: wrong.toml: a picture, which becomes the model's input x; answers: classes of output scores" in captured.out
    warnings = [line for line in captured.err.splitlines() if line.startswith("warning: ")]
    assert any(line.startswith("warning: the contract looks like RGB: 100 % of answers are right instead of ") for line in warnings)
    assert any("golden raw items are of the calibration data, and travel to every device." in line for line in warnings)


def test_without_a_contract_it_is_said_how_to_give_one(tmp_path, capsys):
    """A bundle that takes tensors alone says so, and names the options that change it."""
    assert run(DIGITS / "digits.onnx", "-o", tmp_path / "bundle", *QUICK) == 0
    assert "Processing: none, so callers give the model's own tensors. --task and --processing make" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("--task", "cook"), "Known here: anomaly, audio, classify"),
        (("--task", "text"), "the tokeniser is missing"),
        (("--task", "classify", "--processing", "x.toml"), "--processing names a contract already"),
        (("--processing", "x.txt"), "neither in .toml nor in .json"),
        (("--golden-raw",), "there is no contract"),
        (("--samples", "0"), "--samples"),
        (("--calibration", "/dev/null"), "/dev/null"),
        (("--evaluation", ROOT / "examples"), "no set of data that is known"),
    ],
)
def test_a_contract_or_data_that_cannot_be_used_are_named(argv, told, tmp_path, capsys):
    """Each ends with code 2, one line that says what is wrong, and nothing written."""
    assert run(DIGITS / "digits.onnx", "-o", tmp_path / "bundle", *QUICK, *argv) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()


def test_a_dry_run_names_the_contract(colours, tmp_path, capsys):
    """The plan says where the contract is from and how many samples would be taken of how they lie there."""
    argv = ("--processing", colours.contract, "--calibration", colours.root / "train", "--samples", "30", "--dry-run", "--json")
    assert run(colours.model, "-o", tmp_path / "bundle", *QUICK, *argv) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["contract"] == str(colours.contract)
    assert [(one["role"], one["samples"]) for one in plan["data"]] == [("calibration", 30)]

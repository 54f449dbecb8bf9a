"""Recipes on the command line: their fields are defaults, what was asked is kept, and nothing is made in a dry run."""

import json
from pathlib import Path

import pytest

from edgekit.bundles import open_bundle
from edgekit.cli.convert import convert
from edgekit.cli.main import run_command
from edgekit.cli.recipe_options import to_words
from edgekit.errors import GateRefused
from edgekit.recipe import convert_recipe, read_recipe

pytestmark = pytest.mark.workstation

DIGITS = Path(__file__).parents[3] / "examples" / "digits"
FIELDS = {
    "source": "model.onnx",
    "output": "made/bundle",
    "target": "raspberry-pi-5",
    "formats": ["onnx", "tflite"],
    "precisions": ["fp32"],
    "calibration": "data/calibration.npz",
    "max_drop": 0.5,
    "threads": 3,
    "seed": 11,
    "shapes": {"ids": ["?", 128]},
    "dtypes": {"image": "uint8"},
    "layouts": {"image": ["NCHW", "NHWC"]},
    "inputs": [{"name": "ids", "shape": ["batch", "max", 4], "dtype": "int64"}, {"name": "x", "shape": ["max"]}],
}


def run(*argv):
    with pytest.raises(SystemExit) as stop:
        run_command(convert, [str(word) for word in argv], program="edgekit convert")
    return stop.value.code


@pytest.fixture
def asked(monkeypatch):
    """The requests that came to the build, which makes nothing of them."""
    requests = []

    def refuse(request, _progress):
        requests.append(request)
        raise GateRefused("nothing", "this test makes none")

    monkeypatch.setattr("edgekit.build.build_bundle", refuse)
    return requests


@pytest.fixture
def recipe(tmp_path):
    """A recipe with most of its fields, in a folder of its own."""
    import tomli_w

    path = tmp_path / "recipes" / "model.toml"
    path.parent.mkdir()
    path.write_text(tomli_w.dumps(FIELDS))
    return path


def test_a_recipe_is_the_request_that_it_says(recipe, asked):
    """All that a recipe says comes to the build as if it had been written on the command line, with paths from its own folder."""
    assert run("--recipe", recipe) == 3
    (request,) = asked
    assert request == read_recipe(recipe).to_request(recipe.parent / "made" / "bundle", recipe.parent)
    assert request.calibration == recipe.parent / "data" / "calibration.npz"


def test_the_command_line_goes_before_the_recipe(recipe, asked):
    """An option that is given takes the place of the recipe's whole field, and the others stay."""
    assert run("other.onnx", "--recipe", recipe, "-o", "here", "--threads", "1", "--shape", "batch=2", "--to", "openvino") == 3
    (request,) = asked
    assert (str(request.source), str(request.destination), request.threads, request.formats) == ("other.onnx", "here", 1, ("openvino",))
    assert request.options.shapes == {"batch": (2,)}
    assert (request.seed, request.target) == (11, "raspberry-pi-5")


def test_digests_hold_for_what_the_recipe_names(recipe, asked):
    """A digest is that of the file which the recipe names; another file, or other samples, may have any."""
    digest = "sha256:" + "a" * 64
    recipe.write_text(recipe.read_text() + f'[digests]\nsource = "{digest}"\ncalibration = "{digest}"\n')
    assert run("other.onnx", "--recipe", recipe) == 3
    assert asked[0].digests == {"calibration": digest}
    assert run("--recipe", recipe, "--samples", "50") == 3
    assert asked[1].digests == {"source": digest}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('source = "shop.models:make"', ("shop.models:make",)),
        ('source = "model.keras"\nallow_code = true', ("--unsafe-allow-code",)),
        ('source = "model.onnx"\nevaluation = "e.npz"\nmetric = "shop:profit"', ("--metric", "shop:profit")),
    ],
)
def test_a_recipe_alone_runs_no_code(tmp_path, asked, capsys, line, said):
    """What would run somebody's code must be said on the command line too: the refusal says how, and so it is taken."""
    path = tmp_path / "recipe.toml"
    path.write_text(line + "\n")
    assert run("--recipe", path, "-o", tmp_path / "bundle") == 2
    assert " ".join(said) in capsys.readouterr().err
    assert asked == []
    assert run(*said, "--recipe", path, "-o", tmp_path / "bundle") == 3
    assert len(asked) == 1


def test_fields_become_the_words_of_options():
    """Names of sizes that have an x in them, and single sizes, are written so that they are read back."""
    words = to_words(convert_recipe(FIELDS, Path("r.toml")), Path("folder"))
    assert words["inputs"] == ["ids=batch,max,4,:int64", "x=max,:float32"]
    assert words["shapes"] == ["ids=?x128"]
    assert words["source"] == "folder/model.onnx"


def test_a_saved_recipe_makes_the_same_bundle(tmp_path, capsys):
    """--save-recipe keeps what was asked with the digests of what was read, and --recipe makes the same files of it."""
    argv = (DIGITS / "digits.onnx", "--to", "onnx", "--precision", "fp32", "--evaluation", DIGITS / "evaluation.npz")
    argv += ("--parent", "digits@0.9.0")
    assert run(*argv, "-o", tmp_path / "first", "--save-recipe", tmp_path / "digits.toml") == 0
    assert f"Recipe: {tmp_path / 'digits.toml'}" in capsys.readouterr().err
    assert read_recipe(tmp_path / "digits.toml").digests.given.keys() == {"source", "evaluation"}
    assert run("--recipe", tmp_path / "digits.toml", "-o", tmp_path / "second") == 0
    first, second = (open_bundle(tmp_path / name).manifest for name in ("first", "second"))
    assert first.files == second.files
    assert second.lineage.recipe["formats"] == ["onnx"]
    assert second.lineage.parent == "digits@0.9.0"


def test_a_dry_run_makes_nothing(tmp_path, capsys):
    """--dry-run prints what would be made, as a table and as JSON, and writes no bundle; a recipe is kept where that was asked for."""
    argv = (DIGITS / "digits.onnx", "-o", tmp_path / "bundle", "--to", "onnx", "--calibration", DIGITS / "calibration.npz", "--dry-run")
    assert run(*argv) == 0
    printed = capsys.readouterr().out
    for told in ("nothing was made: a dry run", "onnx-int8", "about 120 KiB", "200 samples", "There is no --evaluation"):
        assert told in printed
    assert run(*argv, "--json", "--save-recipe", tmp_path / "kept.toml") == 0
    assert [one["id"] for one in json.loads(capsys.readouterr().out)["variants"]] == ["onnx-fp32", "onnx-int8"]
    assert [path.name for path in tmp_path.iterdir()] == ["kept.toml"]


@pytest.mark.parametrize("argv", [("--recipe", "none.toml", "-o", "bundle"), ("--recipe", "broken.toml", "-o", "bundle"), ("--recipe", "empty.toml")])
def test_a_recipe_that_cannot_be_used_is_bad_input(tmp_path, monkeypatch, capsys, argv):
    """A recipe that is missing, is no TOML or says too little ends with code 2 and one error."""
    monkeypatch.chdir(tmp_path)
    Path("broken.toml").write_text("source = ")
    Path("empty.toml").write_text('source = "model.onnx"')
    assert run(*argv) == 2
    assert capsys.readouterr().err.count("error: ") == 1

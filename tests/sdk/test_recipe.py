"""A recipe says all that a conversion was asked, and nothing that is not understood."""

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from edgekit.build_request import BuildRequest
from edgekit.conversion import SourceOptions
from edgekit.errors import InputError
from edgekit.recipe import Digests, Recipe, check_digests, convert_recipe, describe_request, format_recipe, read_recipe, write_recipe
from edgekit.tensors import TensorSpec

DIGEST, OTHER = ("sha256:" + letter * 64 for letter in "ab")
OPTIONS = SourceOptions(
    shapes={"ids": (None, 128), "serving_default_x:0": (1, 64)},
    example=Path("data/example.npz"),
    inputs=(TensorSpec(name="ids", dtype="int64", shape=("batch", 128)),),
    dtypes={"image": "uint8"},
    layouts={"image": ("NCHW", "NHWC")},
    allow_code=True,
)
#: A request in which every option is given.
REQUEST = BuildRequest(
    source=Path("models/digits.onnx"),
    destination=Path("bundle"),
    name="digits",
    options=OPTIONS,
    target="raspberry-pi-5",
    formats=("onnx", "tflite"),
    precisions=("fp32", "int8"),
    calibration=Path("data/calibration.npz"),
    evaluation=Path("data/evaluation.npz"),
    metric="top5",
    max_drop=0.02,
    processing=Path("digits-contract.toml"),
    task="classify",
    samples=300,
    golden_raw=True,
    parent="digits@1.0.0",
    threads=2,
    seed=7,
    digests={"source": DIGEST},
)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_request_survives_its_recipe(tmp_path: Path) -> None:
    """What was asked with every option comes back from the file as it was, with paths as seen from the file's folder."""
    path = tmp_path / "digits.toml"
    write_recipe(describe_request(REQUEST, Path()), path)
    assert read_recipe(path).to_request(Path("bundle")) == REQUEST
    assert read_recipe(path).to_request(Path("bundle"), tmp_path).calibration == tmp_path / "data" / "calibration.npz"


def test_no_option_is_forgotten() -> None:
    """Every field of a request but its destination is one of a recipe, so that a new option cannot be left out of lineages."""
    asked = {field.name for field in (*fields(BuildRequest), *fields(SourceOptions))} - {"destination", "options"}
    assert asked <= set(Recipe.__struct_fields__)


def test_relative_paths_are_those_of_the_recipes_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is written as seen from the folder in which the recipe will lie; an absolute one stays."""
    monkeypatch.chdir(tmp_path)
    request = BuildRequest(source=Path("models/digits.onnx"), destination=Path("bundle"), calibration=tmp_path / "calibration.npz")
    recipe = describe_request(request, Path("recipes"))
    assert (recipe.source, recipe.calibration) == ("../models/digits.onnx", str(tmp_path / "calibration.npz"))


def test_what_travels_says_nothing_of_this_disk() -> None:
    """Without a folder, as in a lineage, of an absolute path only the last part is kept."""
    request = BuildRequest(source=Path("/home/anna/digits.onnx"), destination=Path("bundle"), evaluation=Path("data/evaluation.npz"))
    recipe = describe_request(request)
    assert (recipe.source, recipe.evaluation) == ("digits.onnx", "data/evaluation.npz")


def test_a_factory_is_no_path(tmp_path: Path) -> None:
    """A function that makes the model is kept as it is, wherever the recipe lies; a file of such a name is written as a path."""
    request = BuildRequest(source=Path("shop.models:make"), destination=Path("bundle"))
    recipe = describe_request(request, tmp_path)
    assert recipe.source == "shop.models:make"
    assert recipe.to_request(Path("bundle"), tmp_path).source == Path("shop.models:make")
    named = tmp_path / "odd:name"
    named.touch()
    recipe = describe_request(replace(request, source=named), None)
    assert recipe.source == "./odd:name"
    assert recipe.code == ()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, ()),
        ({"source": "shop.models:make"}, ("source",)),
        ({"metric": "shop.metrics:profit"}, ("metric",)),
        ({"allow_code": True}, ("allow_code",)),
    ],
)
def test_what_runs_code_is_known(fields: dict[str, object], code: tuple[str, ...]) -> None:
    """Fields that would have somebody's code run here are told apart from those that only name data."""
    assert convert_recipe({"source": "digits.onnx"} | fields, Path("r.toml")).code == code


def test_a_file_says_what_its_parts_are() -> None:
    """Above each part stands a remark, and what was not said is not there."""
    text = format_recipe(Recipe(source="digits.onnx", digests=Digests(source=DIGEST)))
    assert text.startswith("# What edgekit convert was asked.")
    assert "Others are refused" in text
    for absent in ("calibration", "allow_code", "shapes", "name ="):
        assert absent not in text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "missing required field `source`"),
        ('source = "a.onnx"\nthreds = 2', "unknown field `threds`"),
        ('source = "a.onnx"\nthreads = "two"', "threads: Expected `int`, got `str`"),
        ('source = "a.onnx"\nthreads = 0', "threads: Expected `int` >= 1"),
        ('source = "a.onnx"\nmax_drop = nan', "max_drop is not a finite number"),
        ('source = "a.onnx"\nformats = ["coreml"]', "formats: format 'coreml': there is no such format. Known here:"),
        ('source = "a.onnx"\nprecisions = ["int3"]', "precisions: precision 'int3': there is no such precision"),
        ('source = "a.onnx"\ntarget = "toaster"', "target: target 'toaster': there is no such target"),
        ('source = "a\\u0000b"', "source: Expected `str` matching regex"),
        ('source = "a.onnx"\noutput = "../elsewhere"', "output: Expected `str` matching regex"),
        ('source = "a.onnx"\nname = 2026-01-01', "name: Expected `str | null`, got `date`"),
        ('source = "a.onnx"\n[shapes]\nimage = [0]', "shapes[...][0]"),
        ('source = "a.onnx"\n[shapes]\nimage = ["n"]', "shapes[...][0]: Invalid enum value 'n'"),
        ('source = "a.onnx"\n[[inputs]]\nname = "x"\nshape = [1]\nkind = "image"', "inputs[0]: Object contains unknown field `kind`"),
        ('source = "a.onnx"\n[digests]\nsource = "md5:1"', "digests.source"),
        ("source = ", "it is not TOML"),
        ("x = " + "[" * 5000, "it is not TOML"),
        ("#" * (1 << 20) + "\n", "a recipe is a page of text"),
    ],
)
def test_what_is_not_understood_is_named(tmp_path: Path, text: str, told: str) -> None:
    """A field that nobody knows, or that is not what it should be, is named with the file and what was expected."""
    path = write(tmp_path / "digits.toml", text)
    with pytest.raises(InputError) as refused:
        read_recipe(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert told in str(refused.value)


def test_a_recipe_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A missing file, a folder and bytes that are no text end in one error with the path."""
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    for name in ("none.toml", "", "bytes.toml"):
        with pytest.raises(InputError, match=str(tmp_path)):
            read_recipe(tmp_path / name)


def test_other_files_than_it_was_written_for_are_refused() -> None:
    """A source or data with another digest is refused by its name; what a recipe leaves open may be anything."""
    request = replace(REQUEST, digests={"source": DIGEST})
    check_digests(request, Digests(source=DIGEST, calibration=OTHER))
    with pytest.raises(InputError, match=r"models/digits\.onnx: its digest is sha256:b+, and the recipe was written for sha256:a+\. Give that one"):
        check_digests(request, Digests(source=OTHER))
    with pytest.raises(InputError, match="none was given"):
        check_digests(BuildRequest(source=Path("a"), destination=Path("b"), digests={"evaluation": DIGEST}), Digests())


def test_the_guide_has_every_field(tmp_path: Path) -> None:
    """The recipe in the guide is read as it stands, and the guide's table names every field that there is."""
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "reproducing.md").read_text()
    (example,) = re.findall(r"^```toml\n(.*?)^```", guide, re.DOTALL | re.MULTILINE)
    assert read_recipe(write(tmp_path / "digits.toml", example)).name == "digits"
    (rows,) = re.findall(r"^\| field \| means \|\n(.*?)\n\n", guide, re.DOTALL | re.MULTILINE)
    named = {name for row in rows.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == set(Recipe.__struct_fields__)

"""``edgekit inspect --processing``: a contract in words, on a sample, and as a picture."""

import io
import json

import numpy as np
import pytest
from msgspec.structs import replace

from edgekit.artifacts import bind_identically
from edgekit.bundles import MANIFEST
from edgekit.cli.inspect import inspect
from edgekit.cli.main import run_command
from edgekit.contract import Classify, Color, Feature, Layout, Normalize, Processing, Resize, Scale
from edgekit.tensors import TensorSpec

Image = pytest.importorskip("PIL.Image")

X = TensorSpec(name="x", dtype="float32", shape=("n", 3, 24, 32))
Y = TensorSpec(name="y", dtype="float32", shape=("n", 2))
NORMALIZE = Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
STEPS = (Resize(width=32, height=24), Color(order="BGR"), Scale(factor=1 / 255), NORMALIZE, Layout(axes="CHW"))
PHOTO = Feature(name="photo", kind="image", feeds="x", steps=STEPS)
CONTRACT = Processing(task="classify", inputs=(PHOTO,), answer=Classify(output="y"), labels=("cat", "dog"))


def run(*argv):
    with pytest.raises(SystemExit) as stop:
        run_command(inspect, [str(word) for word in argv], program="edgekit inspect")
    return stop.value.code


@pytest.fixture
def bundle(small_bundle):
    """A bundle whose model takes pictures by CONTRACT; gives its directory."""
    variants = tuple(replace(one, inputs=bind_identically((X,)), outputs=bind_identically((Y,))) for one in small_bundle.manifest.variants)
    manifest = replace(small_bundle.manifest, inputs=(X,), outputs=(Y,), variants=variants, processing=CONTRACT)
    (small_bundle.root / MANIFEST).write_bytes(manifest.encode())
    return small_bundle.root


@pytest.fixture
def photo(tmp_path):
    """A PNG of 64 x 48 pixels, orange at the left and blue at the right."""
    image = Image.new("RGB", (64, 48), (240, 120, 10))
    image.paste((20, 30, 200), (32, 0, 64, 48))
    image.save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_a_contract_is_shown_step_by_step(bundle, capsys):
    """Each step stands in its own row with what it does, and below what the answer is."""
    assert run(bundle, "--processing") == 0
    printed = capsys.readouterr().out
    for words in (
        "input photo: a picture, which becomes the model's input x",
        "stretched to 32 x 24, bilinear with antialiasing (Pillow)",
        "channels in the order BGR",
        "less the mean 0.485 0.456 0.406",
        "axes in the order CHW",
        "Answer: classes of output y",
        "cat, dog",
    ):
        assert words in printed


def test_the_contract_as_json(bundle, capsys):
    """--json prints the record itself, and nothing of a sample where none was given."""
    assert run(bundle / MANIFEST, "--processing", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["processing"]["inputs"][0]["steps"][0]["step"] == "resize"
    assert (record["sample"], record["picture"]) == ([], None)


def test_a_sample_is_followed_through_the_steps(bundle, photo, capsys):
    """Shape, dtype, range and mean of what was given and after each step are those of the arrays."""
    assert run(bundle, "--processing", "--sample", photo, "--json") == 0
    rows = json.loads(capsys.readouterr().out)["sample"]
    assert [row["step"] for row in rows] == ["given", "resize", "color", "scale", "normalize", "layout"]
    assert (rows[0]["shape"], rows[0]["dtype"], rows[0]["lowest"], rows[0]["highest"]) == ([1, 48, 64, 3], "uint8", 10.0, 240.0)
    assert rows[3]["highest"] == pytest.approx(240 / 255)
    assert rows[-1]["shape"] == [1, 3, 24, 32]
    assert rows[-1]["mean"] == pytest.approx(rows[-2]["mean"])
    assert run(bundle, "--processing", "--sample", f"photo={photo}") == 0
    assert "1x3x24x32" in capsys.readouterr().out


def test_what_the_model_is_fed_is_written_as_a_picture(bundle, photo, tmp_path, capsys):
    """The PNG shows the resized picture in its true colours, and stderr says how it was made."""
    out = tmp_path / "fed.png"
    assert run(bundle, "--processing", "--sample", photo, "--picture", out) == 0
    assert "are undone, from the last to the first" in capsys.readouterr().err
    pixels = np.asarray(Image.open(io.BytesIO(out.read_bytes())))
    assert pixels.shape == (24, 32, 3)
    assert pixels[12, 4].tolist() == [240, 120, 10]
    assert pixels[12, 28].tolist() == [20, 30, 200]


@pytest.mark.parametrize("options", [("--picture", "fed.png"), ("--sample", "photo.png")])
def test_a_sample_goes_with_the_contract(bundle, options, capsys):
    """--sample and --picture without --processing are wrong use."""
    assert run(bundle, *options) == 2
    assert "--processing" in capsys.readouterr().err


def test_a_picture_needs_a_sample(bundle, tmp_path, capsys):
    """--picture alone is wrong use."""
    assert run(bundle, "--processing", "--picture", tmp_path / "fed.png") == 2
    assert "--sample" in capsys.readouterr().err


@pytest.mark.parametrize("data", [None, b"no picture"])
def test_a_sample_that_cannot_be_used_is_refused(data, bundle, tmp_path, capsys):
    """A missing file and one that is no picture end with code 2 and write nothing."""
    path, out = tmp_path / "sample.png", tmp_path / "fed.png"
    if data is not None:
        path.write_bytes(data)
    assert run(bundle, "--processing", "--sample", path, "--picture", out) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert ("sample.png" if data is None else "input 'photo'") in captured.err
    assert not out.exists()


def test_a_bundle_without_a_contract_says_so(small_bundle, capsys):
    """A bundle that takes tensors has no contract to show."""
    assert run(small_bundle.root, "--processing") == 2
    assert "it has no processing contract" in capsys.readouterr().err

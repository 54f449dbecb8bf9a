"""``edgekit data check``."""

import json
from pathlib import Path

import numpy as np
import pytest

from edgekit.cli.data import data
from edgekit.cli.main import run_command

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("imagehash")


def run(*argv):
    with pytest.raises(SystemExit) as stop:
        run_command(data, ["check", *(str(word) for word in argv)], program="edgekit data")
    return stop.value.code


def draw(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    patches = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(patches).resize((64, 48)).save(path)


@pytest.fixture
def photos(tmp_path):
    """Forty pictures in two classes."""
    for place in range(40):
        draw(tmp_path / "photos" / ("cat", "dog")[place % 2] / f"{place:02}.png", place)
    return tmp_path / "photos"


def test_a_table_says_what_is_there(photos, capsys):
    """Kind, counts, sizes and classes are printed, and nothing is warned of where nothing speaks against the data."""
    assert run(photos) == 0
    printed = capsys.readouterr()
    for expected in ("class-folders", "40, all looked at", "PNG 40", "RGB 40", "cat", "dog", "20"):
        assert expected in printed.out
    assert "warning" not in printed.err


def test_json_alone_goes_to_stdout(photos, capsys):
    """--json prints the whole record, and progress goes to stderr."""
    assert run(photos, "--json", "--samples", 10, "--seed", 3) == 0
    printed = capsys.readouterr()
    record = json.loads(printed.out)
    assert (record["available"], record["read"]) == (40, 10)
    assert [one["count"] for one in record["classes"]] == [5, 5]
    assert "looking at photos" in printed.err


def test_damaged_pictures_are_named_and_too_many_are_an_error(photos, capsys):
    """Two of forty may be damaged; with a third the exit code is 2, and the table is printed all the same."""
    for name in ("cat/00.png", "dog/01.png"):
        (photos / name).write_bytes(b"no picture")
    assert run(photos) == 0
    printed = capsys.readouterr()
    assert "cat/00.png" in printed.out
    assert "warning: 2 samples cannot be used." in printed.err
    (photos / "cat/02.png").write_bytes(b"")
    assert run(photos) == 2
    printed = capsys.readouterr()
    assert "cat/02.png" in printed.out
    assert "error:" in printed.err
    assert "3 of 40 samples cannot be used" in printed.err


def test_what_two_sets_share_is_named(photos, tmp_path, capsys):
    """--against names the samples that both have."""
    (tmp_path / "test" / "cat").mkdir(parents=True)
    (tmp_path / "test" / "cat" / "again.png").write_bytes((photos / "cat" / "00.png").read_bytes())
    for place in range(3):
        draw(tmp_path / "test" / "dog" / f"{place}.png", 100 + place)
    assert run(tmp_path / "test", "--against", photos) == 0
    printed = capsys.readouterr()
    assert f"also in {photos}" in printed.out
    assert "cat/again.png" in printed.out
    assert "no proof for the other" in printed.err


def test_a_sheet_is_written(photos, tmp_path, capsys):
    """--sheet writes a PNG of some samples by class."""
    assert run(photos, "--sheet", tmp_path / "sheet.png") == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size[0] > sheet.size[1]
    assert "sheet.png shows some of them" in capsys.readouterr().err


def test_a_contract_numbers_the_classes(photos, tmp_path, capsys):
    """With --processing, classes are those of the contract."""
    contract = tmp_path / "contract.toml"
    contract.write_text('labels = ["dog", "bird", "cat"]\n[[inputs]]\nname = "photo"\nkind = "image"\nfeeds = "x"\n')
    assert run(photos, "--processing", contract, "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["count"]) for one in record["classes"]] == [("dog", 20), ("bird", 0), ("cat", 20)]
    assert any("1 classes have no samples: bird" in warning for warning in record["warnings"])


def test_a_bundle_says_what_its_model_would_be_fed(small_bundle, tmp_path, capsys):
    """With --bundle, the ranges of the model's inputs are told, and what speaks against calibrating by them."""
    np.savez(tmp_path / "a.npz", x=np.arange(150, dtype=np.float32).reshape(50, 3), labels=np.zeros(50, np.int64))
    assert run(tmp_path / "a.npz", "--bundle", small_bundle.root) == 0
    printed = capsys.readouterr()
    assert "the model is fed" in printed.out
    assert "149" in printed.out
    assert "all samples are of one class" in printed.err
    np.savez(tmp_path / "b.npz", x=np.zeros((50, 4), np.float32))
    assert run(tmp_path / "b.npz", "--bundle", small_bundle.root) == 2
    assert "field 'x' is float32[50, 4], and float32[n, 3] is expected" in capsys.readouterr().err


def test_names_cannot_command_a_terminal(tmp_path, capsys):
    """What is not printable in the name of a class is shown as such, and much is not shown at all."""
    rows = [f'{place},"a\x1b[2J{place // 2}"' for place in range(100)]
    (tmp_path / "a.csv").write_text("\n".join(["x,label", *rows]))
    assert run(tmp_path / "a.csv") == 0
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    assert "a\N{REPLACEMENT CHARACTER}[2J0" in printed.out
    assert "10 more rows of 'class' are in what --json prints" in printed.err


def test_figures_beyond_all_bounds_are_unknown(small_bundle, tmp_path, capsys):
    """Values whose mean or deviation no figure holds are told without it."""
    np.savez(tmp_path / "a.npz", x=np.full((40, 300), 1.7e308), y=np.arange(40.0))
    assert run(tmp_path / "a.npz", "--json") == 0
    figures = json.loads(capsys.readouterr().out)["figures"]
    assert "x: mean value" not in figures
    assert figures["x: highest value"]["high"] == 1.7e308


def test_wrong_use_is_told(photos, small_bundle, tmp_path, capsys):
    """Two contracts, a kind that there is not, and a path that leads nowhere end with code 2."""
    assert run(photos, "--processing", "x.toml", "--bundle", small_bundle.root) == 2
    assert run(photos, "--kind", "pictures") == 2
    assert run(tmp_path / "absent") == 2
    assert "no such file or folder" in capsys.readouterr().err


def test_help_has_an_example(capsys):
    """--help shows how the command is used."""
    assert run("--help") == 0
    assert "Example: edgekit data check" in capsys.readouterr().out

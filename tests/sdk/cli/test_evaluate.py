"""``edgekit evaluate`` as users call it."""

import json
from pathlib import Path

import pytest

from edgekit.cli.evaluate import evaluate
from edgekit.cli.main import run_command

COLOURS = ("red", "green", "blue")


def run(*argv: object) -> int:
    with pytest.raises(SystemExit) as stop:
        run_command(evaluate, [str(word) for word in argv], program="edgekit evaluate")
    return stop.value.code


@pytest.fixture
def pictures(kits, tmp_path) -> Path:
    """Six pictures in three folders by their colour."""
    for place, data in enumerate(kits("image").items):
        folder = tmp_path / "pictures" / COLOURS[place % 3]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{place}.png").write_bytes(data)
    return tmp_path / "pictures"


def test_the_table_has_figure_interval_and_cost(make_contract_bundle, pictures, capsys) -> None:
    """One row for each variant and metric on stdout; how it was found is said beside it, and progress too."""
    (pictures / "red" / "broken.png").write_bytes(b"no picture")
    assert run(make_contract_bundle("image"), "--data", pictures) == 0
    told = capsys.readouterr()
    row = next(line for line in told.out.splitlines() if "onnx-fp32" in line)
    assert "1.0000" in row
    assert "0.6097 to 1.0000" in row
    assert row.split()[-1] == "onnxruntime"
    assert "red/broken.png" in told.out
    assert "Wilson" in told.err


def test_json_alone_goes_to_stdout(make_contract_bundle, pictures, capsys) -> None:
    """A program reads the whole record: data, figures with their intervals, costs."""
    assert run(make_contract_bundle("image"), "--data", pictures, "--json", "--samples", 3, "--seed", 2) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["data"]["samples"], found["data"]["available"], found["data"]["seed"]) == (3, 6, 2)
    assert found["variants"][0]["metrics"][0]["value"] == 1.0
    assert found["variants"][0]["cost"]["latency_ms"]["p50"] > 0


def test_a_comparison_is_told_in_words_with_its_samples(make_contract_bundle, pictures, tmp_path, capsys) -> None:
    """What a wrong contract costs: the verdict, each sample with both answers, and copies of them."""
    right, wrong = make_contract_bundle("image"), make_contract_bundle("image", "confused", confused=True)
    assert run(right, "--data", pictures, "--compare", wrong, "--flips", tmp_path / "flips") == 0
    told = capsys.readouterr()
    assert "4 of 6 flipped: 4 lost, 0 won; the difference of -66.7 percentage points in top1 is within chance (p = 0.12)." in told.out
    row = next(line for line in told.out.splitlines() if "red/0.png" in line)
    assert row.split() == ["red/0.png", "red", "red", "blue", "lost", "-1.00"]
    assert sorted(path.name for path in (tmp_path / "flips" / "lost").rglob("*.png")) == ["0.png", "2.png", "3.png", "5.png"]
    assert "shows what changed: 4 of 6" in told.err


def test_a_comparison_is_json_too(make_contract_bundle, pictures, capsys) -> None:
    """All flips are in the record, and so are the verdict and its numbers."""
    root = make_contract_bundle("image")
    assert run(root, "--data", pictures, "--compare", root, "--variant2", "onnx-fp32", "--json", "--metric", "top1", "--metric", "f1") == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["metric"] for one in found["metrics"]] == ["top1", "f1"]
    assert found["metrics"][0]["difference"]["p"] == 1.0
    assert found["metrics"][0]["flips"] == []


def test_nothing_is_written_where_nothing_flipped(make_contract_bundle, pictures, tmp_path, capsys) -> None:
    """Equal answers leave no empty sheet behind."""
    root = make_contract_bundle("image")
    assert run(root, "--data", pictures, "--compare", root, "--flips", tmp_path / "flips.png") == 0
    assert "No sample changed" in capsys.readouterr().err
    assert not (tmp_path / "flips.png").exists()


def test_own_code_is_said_to_run(make_contract_bundle, pictures, tmp_path, monkeypatch, capsys) -> None:
    """Who names a function is told that its code runs here."""
    (tmp_path / "own_half.py").write_text("def measure(answers, truths):\n    return 0.5\n")
    monkeypatch.chdir(tmp_path)
    assert run(make_contract_bundle("image"), "--data", pictures, "--metric", "own_half:measure") == 0
    told = capsys.readouterr()
    assert "own_half:measure is code of yours, and runs here." in told.err
    assert "0.5000" in told.out


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (("--variant", "onnx-int4"), "Known here: onnx-fp32"),
        (("--metric", "top9"), "Known here: auc, cosine"),
        (("--metric", "nowhere_at_all:f"), "there is no module"),
        (("--flips", "x.png"), "need --compare"),
        (("--kind", "tape"), "class-folders"),
        (("--samples", "0"), "x>=1"),
    ],
)
def test_wrong_use_is_named(make_contract_bundle, pictures, capsys, argv: tuple[str, ...], problem: str) -> None:
    """Each mistake ends with code 2 and what would be right."""
    assert run(make_contract_bundle("image"), "--data", pictures, *argv) == 2
    assert problem in capsys.readouterr().err


def test_a_folder_for_flips_that_is_there_is_refused_first(make_contract_bundle, pictures, capsys) -> None:
    """Nothing is measured for nothing."""
    root = make_contract_bundle("image")
    assert run(root, "--data", pictures, "--compare", root, "--flips", pictures) == 2
    told = capsys.readouterr()
    assert "it is there already" in told.err
    assert "reading" not in told.err


@pytest.mark.parametrize("path", ["nowhere", "."])
def test_data_that_are_none_are_named(make_contract_bundle, tmp_path, monkeypatch, capsys, path: str) -> None:
    """A path that is not there, and a folder without data, end with code 2 and not with a traceback."""
    root = make_contract_bundle("image")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert run(root, "--data", path) == 2
    assert "fault of edgekit" not in capsys.readouterr().err

"""``edgekit infer``: files in, answers out, as a table or as JSON."""

import io
import json

import numpy as np
import pytest
from msgspec.structs import replace

from edgekit.bundles import MANIFEST
from edgekit.cli.infer import infer
from edgekit.cli.main import run_command
from edgekit.manifest import decode_manifest


def run(*argv):
    with pytest.raises(SystemExit) as stop:
        run_command(infer, [str(word) for word in argv], program="edgekit infer")
    return stop.value.code


@pytest.fixture
def write(kits, tmp_path):
    """Writes the items of a kit as files; gives their paths."""

    def write(kind):
        paths = []
        for index, item in enumerate(kits(kind).items):
            paths.append(tmp_path / f"{kind}{index}")
            paths[-1].write_bytes(item.encode() if isinstance(item, str) else item)
        return paths

    return write


@pytest.mark.parametrize(
    ("kind", "cells"),
    [
        ("image", ("label", "score", "red", "green")),
        ("boxes", ("left", "bottom", "warm", "5.0", "20.0")),
        ("mask", ("class", "share", "red", "100.0%")),
        ("audio", ("quiet", "loud")),
        ("text", ("kind", "unkind")),
        ("series", ("still", "moving")),
    ],
)
def test_each_file_is_answered_in_a_table(make_contract_bundle, write, capsys, kind, cells):
    """Every kind of item has rows with its file's name and what was found in it, and stderr says how long it took."""
    paths = write(kind)
    assert run(make_contract_bundle(kind), *paths) == 0
    captured = capsys.readouterr()
    for cell in (*cells, paths[0].name, paths[-1].name, f"{kind}, variant onnx-fp32"):
        assert cell in captured.out
    assert "median of 6" in captured.err


def test_answers_as_json(make_contract_bundle, write, capsys):
    """--json has each item with its answer and its time, and nothing else is on stdout."""
    paths = write("image")
    assert run(make_contract_bundle("image"), *paths[:2], "--json", "--variant", "onnx-fp32", "--threads", 2) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["model"], told["variant"], [one["item"] for one in told["answers"]]) == ("image", "onnx-fp32", [str(path) for path in paths[:2]])
    assert told["answers"][0]["answer"]["labels"] == ["red", "green"]
    assert told["answers"][0]["answer"]["classes"] == [0, 1]
    assert sum(told["answers"][1]["answer"]["scores"]) <= 1.001
    assert told["answers"][0]["ms"] > 0


def test_a_mask_is_told_by_its_shares(make_contract_bundle, write, capsys):
    """JSON has a mask's size and the share of each class, not its pixels."""
    assert run(make_contract_bundle("mask"), write("mask")[0], "--json") == 0
    answer = json.loads(capsys.readouterr().out)["answers"][0]["answer"]
    assert answer["size"] == [30, 40]
    assert sum(answer["shares"].values()) == pytest.approx(1)


def test_texts_may_stand_in_the_command(make_contract_bundle, capsys):
    """--text asks about texts that are in no file."""
    assert run(make_contract_bundle("text"), "--text", "a good day", "--text", "awful", "--json") == 0
    told = json.loads(capsys.readouterr().out)["answers"]
    assert [(one["item"], one["answer"]["labels"][0]) for one in told] == [("text 1", "kind"), ("text 2", "unkind")]


@pytest.mark.parametrize(("kind", "changed"), [("boxes", 200), ("mask", 900)])
def test_what_was_found_is_drawn(make_contract_bundle, write, tmp_path, kind, changed):
    """--picture writes the picture that was given with its boxes or its mask in it."""
    from PIL import Image

    path, out = write(kind)[0], tmp_path / "found.png"
    assert run(make_contract_bundle(kind), path, "--picture", out) == 0
    before, after = (np.asarray(Image.open(io.BytesIO(one.read_bytes()))) for one in (path, out))
    assert before.shape == after.shape
    assert (before != after).any(axis=2).sum() > changed


def test_several_inputs_are_given_by_name(make_contract_bundle, write, capsys):
    """A contract of two inputs takes NAME=FILE for each, which together are one item; anything else is wrong use."""
    root, (red, green, *_) = make_contract_bundle("pair"), write("image")
    assert run(root, f"photo={red}", f"other={green}", "--json") == 0
    assert run(root, f"other={red}", f"photo={green}", "--json") == 0
    first, second = (json.loads(text) for text in capsys.readouterr().out.replace("}\n{", "}\0{").split("\0"))
    assert [one["answers"][0]["answer"]["labels"][0] for one in (first, second)] == ["yes", "no"]
    for words in ([red], [f"photo={red}"], [f"photo={red}", f"photo={green}"], [f"photo={red}", "other="]):
        assert run(root, *words) == 2
        assert "give photo=FILE other=FILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--text", "good"), "--text goes with"),
        ((), "at least one FILE"),
        (("{0}", "{1}", "--picture", "{out}"), "--picture goes with one FILE"),
        (("{0}", "--picture", "{out}"), "no boxes and no mask"),
        (("{0}", "none.png"), "none.png: it cannot be read"),
        (("{0}", "{bad}"), "bad: input 'photo': it is no picture"),
        (("{0}", "--variant", "onnx-int8"), "onnx-int8"),
    ],
)
def test_what_cannot_be_asked_is_refused(make_contract_bundle, write, tmp_path, capsys, words, problem):
    """Wrong use and files that cannot be read end with code 2, name what it is about, and print nothing to stdout."""
    (tmp_path / "bad").write_bytes(b"no picture")
    paths = write("image")
    assert run(make_contract_bundle("image"), *(word.format(*paths, bad=tmp_path / "bad", out=tmp_path / "out.png") for word in words)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert problem in captured.err
    assert not (tmp_path / "out.png").exists()


def test_a_bundle_without_a_contract_says_so(make_contract_bundle, capsys):
    """A model that takes tensors alone has no files to be asked with."""
    root = make_contract_bundle("image")
    manifest = decode_manifest((root / MANIFEST).read_bytes())
    (root / MANIFEST).write_bytes(replace(manifest, processing=None, golden_raw=None).encode())
    assert run(root, "some.png") == 2
    assert "--task TASK" in capsys.readouterr().err

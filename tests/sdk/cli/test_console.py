import json
import os
import pty
import subprocess
import sys

from edgekit.cli.console import print_json, print_table, progress, say
from edgekit.tensors import TensorSpec


def test_json_is_the_records(capsys):
    """A record is printed as its own JSON, to stdout alone."""
    print_json({"spec": TensorSpec(name="x", dtype="float32", shape=("batch", 3)), "none": None})
    captured = capsys.readouterr()
    assert json.loads(captured.out)["spec"]["shape"] == ["batch", 3]
    assert json.loads(captured.out)["none"] is None
    assert captured.err == ""


def test_a_table_keeps_each_row_on_a_line(capsys):
    """Where stdout is no terminal a row is one line, however long."""
    print_table(("variant", "reason"), [("onnx-fp32", "long " * 200), ("b", "")])
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 4
    assert lines[2].count("long") == 200


def test_cells_are_text_and_not_markup(capsys):
    """What looks like rich's markup or an emoji is printed as it is."""
    print_table(("name",), [("[red]x[/red] :boom:",)], title="[b]T[/b]")
    printed = capsys.readouterr().out
    assert "[red]x[/red] :boom:" in printed
    assert "[b]T[/b]" in printed


def test_numbers_stand_to_the_right(capsys):
    """A column of figures, unknown ones among them, is aligned to the right; text to the left."""
    print_table(("name", "p50", "why"), [("a", "1.00 ms", "4 x as fast"), ("b", "unknown", "so"), ("c", "900 µs", "yes")])
    lines = capsys.readouterr().out.splitlines()
    ends = {line.index(text) + len(text) for line, text in zip(lines[2:5], ("1.00 ms", "unknown", "900 µs"), strict=True)}
    assert len(ends) == 1
    assert len({line.index(text) for line, text in zip(lines[2:5], ("4 x", "so", "yes"), strict=True)}) == 1


def test_progress_off_a_terminal_is_a_line_for_each_activity(capsys):
    """Without a terminal each new activity is one line on stderr, and nothing goes to stdout."""
    with progress() as show:
        for done in range(3):
            show("making onnx", done, 6)
        show("timing", 3, 6)
    captured = capsys.readouterr()
    assert captured.err == "making onnx\ntiming\n"
    assert captured.out == ""


def test_progress_on_a_terminal_is_a_bar_that_vanishes():
    """On a terminal the activity is drawn on stderr and cleared at the end; what looks like markup is shown as it is."""
    code = "from edgekit.cli.console import progress\nwith progress() as show:\n    show('making [b]onnx[/b]', 1, 2)\nprint('done')"
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm"}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=theirs, env=environment)
    os.close(theirs)
    drawn = b""
    try:
        while chunk := os.read(ours, 4096):
            drawn += chunk
    except OSError:
        pass  # Linux says EIO where the last writer has closed a pseudo-terminal
    finally:
        os.close(ours)
    output, _ = process.communicate(timeout=60)
    assert output == b"done\n"
    assert b"making [b]onnx[/b]" in drawn
    assert drawn.rstrip().endswith(b"\x1b[2K")


def test_nothing_commands_the_terminal(capsys):
    """Names of classes and files may come from anybody: what would colour, clear or turn round a line is shown as a sign."""
    print_table(("name",), [("\x1b[2Jcat\u202e\nñµ",)])
    say("dog\x07\x9b31m")
    captured = capsys.readouterr()
    assert "\N{REPLACEMENT CHARACTER}[2Jcat\N{REPLACEMENT CHARACTER}" in captured.out
    assert "ñµ" in captured.out
    assert captured.err == "dog\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}31m\n"

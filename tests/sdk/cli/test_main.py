import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from edgekit.cli.main import PluginGroup, edgekit, run_command
from edgekit.errors import (
    ConversionError,
    DeviceError,
    DigestMismatch,
    EdgekitError,
    GateRefused,
    InputError,
    ParityError,
    SchemaTooNew,
    TransferError,
    UnknownName,
    WireError,
)

HEAVY = {"numpy", "msgspec", "rich", "onnx", "onnxruntime", "openvino", "torch", "ai_edge_litert", "importlib.metadata"}


def run(command, *argv):
    """The exit code with which *command* ends the program."""
    with pytest.raises(SystemExit) as stop:
        run_command(command, argv, program="edgekit")
    return stop.value.code


def raising(error):
    @click.command()
    def command():
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (WireError("broker", "it answered 0xff"), 1),
        (EdgekitError("edgekit", "an error of no class"), 1),
        (InputError("model.onnx", "it is text"), 2),
        (SchemaTooNew("manifest.json", 2, 1), 2),
        (UnknownName("format", "coreml", ["onnx"]), 2),
        (ConversionError("tflite-fp32", "no such operator"), 2),
        (DeviceError("127.0.0.1:8080", "the port is in use"), 2),
        (GateRefused("--max-drop 0.01", "no variant meets it"), 3),
        (ParityError("onnx-int8", ["y deviates by 3"]), 3),
        (DigestMismatch("golden.npz", "sha256:00", "sha256:11"), 4),
        (TransferError("https://example.org", "it cannot be reached"), 5),
        (OSError(errno.ENOSPC, "No space left on device", "bundle"), 2),
        (OSError(errno.EACCES, "Permission denied", "bundle"), 2),
        (OSError(errno.ENAMETOOLONG, "File name too long", "bundle"), 2),
        (click.UsageError("no"), 2),
        (click.FileError("file"), 2),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("division by zero"), 1),
    ],
)
def test_each_refusal_is_one_paragraph_and_its_code(error, code, capsys):
    """Whatever ends a command becomes the exit code of who must act, and one line on stderr without a traceback."""
    assert run(raising(error)) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert "Traceback" not in captured.err


def test_a_refusal_names_the_thing_the_problem_and_the_remedy(capsys):
    """The paragraph is the error's own: its subject, what is wrong, and what to do next."""
    run(raising(InputError("model.onnx", "it is text", "Give a model.")))
    assert capsys.readouterr().err == "error: model.onnx: it is text. Give a model.\n"


def test_a_fault_of_ours_says_so_and_how_to_see_more(capsys):
    """An unexpected exception is called a fault of edgekit, with its type, its message and the way to the traceback."""
    run(raising(ZeroDivisionError("division by zero")))
    message = capsys.readouterr().err
    assert "fault of edgekit" in message
    assert "ZeroDivisionError: division by zero" in message
    assert "EDGEKIT_TRACEBACK=1" in message


def test_the_traceback_is_shown_on_demand(capsys, monkeypatch):
    """With EDGEKIT_TRACEBACK=1 the traceback comes before the paragraph, and the exit code stays."""
    monkeypatch.setenv("EDGEKIT_TRACEBACK", "1")
    assert run(raising(InputError("model.onnx", "it is text"))) == 2
    message = capsys.readouterr().err
    assert message.startswith("Traceback")
    assert message.endswith("error: model.onnx: it is text.\n")


def test_control_characters_do_not_reach_the_terminal(capsys):
    """A hostile file's name cannot move the cursor or forge further lines."""
    run(raising(InputError("evil\x1b[2J\nerror: all is well", "it is text")))
    message = capsys.readouterr().err
    assert "\x1b" not in message
    assert message.count("\n") == 1


def test_exit_codes_of_click_are_kept():
    """A command that asks click for an exit code gets it, and one that returns a value ends with 0."""

    @click.command()
    @click.pass_context
    def stopping(context):
        context.exit(7)

    @click.command()
    def returning():
        return 5

    assert run(stopping) == 7
    assert run(returning) == 0


@pytest.mark.parametrize("argv", [["inspct"], ["inspect", "--jsn"], ["--colour"]])
def test_a_mistyped_word_is_wrong_use(argv, capsys):
    """An unknown command or option ends with 2, the word itself, and where to find help."""
    assert run(edgekit, *argv) == 2
    message = capsys.readouterr().err
    assert argv[-1] in message
    assert message.endswith("--help'.\n")


def test_an_unknown_command_suggests_the_nearest(capsys):
    """A mistyped command is answered with the one that was probably meant."""
    run(edgekit, "inspct")
    assert "Did you mean 'inspect'?" in capsys.readouterr().err


def test_version_is_the_packages(capsys):
    """--version prints the program's name and a version."""
    assert run(edgekit, "--version") == 0
    name, version = capsys.readouterr().out.split()
    assert name == "edgekit"
    assert version[0].isdigit()


def test_help_lists_every_command_with_what_it_does(capsys):
    """Every command that is registered stands in --help with a summary."""
    assert run(edgekit, "--help") == 0
    listed = capsys.readouterr().out.partition("Commands:\n")[2]
    names = PluginGroup().list_commands(click.Context(edgekit))
    assert {"agent", "convert", "inspect", "release"} <= set(names)
    for name in names:
        row = next(line for line in listed.splitlines() if line.split()[:1] == [name])
        assert len(row.split()) > 2
    assert "not installed" not in listed


def test_help_imports_no_command_and_nothing_heavy():
    """--help loads neither the commands' modules nor any package that is slow to import."""
    code = f"""
import json, sys
from edgekit.cli.main import edgekit, run_command
try:
    run_command(edgekit, ["--help"], program="edgekit")
except SystemExit:
    loaded = {{"edgekit.cli.convert", "edgekit_agent.commands", *{sorted(HEAVY)!r}}} & set(sys.modules)
    print(json.dumps(sorted(loaded)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert json.loads(done.stderr) == []


def test_help_of_each_command_loads_no_framework():
    """No command imports a model framework before it has work to do."""
    code = f"""
import json, sys
import click
from edgekit.cli.main import edgekit
context = click.Context(edgekit)
for name in edgekit.list_commands(context):
    edgekit.get_command(context, name).get_help(context)
print(json.dumps(sorted(set({sorted(HEAVY - {"importlib.metadata"})!r}) & set(sys.modules))))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert json.loads(done.stdout) == []


def test_a_command_that_cannot_be_imported_says_what_is_missing(tmp_path, capsys, monkeypatch):
    """A registered command whose package is gone is listed as such, and asking for it is refused with the module's name."""
    (tmp_path / "ghost-1.0.dist-info").mkdir()
    (tmp_path / "ghost-1.0.dist-info" / "entry_points.txt").write_text("[edgekit.commands]\nghost = no_such_package.commands:ghost\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert run(edgekit, "--help") == 0
    assert "(not installed here)" in capsys.readouterr().out
    assert run(edgekit, "ghost") == 2
    assert "no_such_package" in capsys.readouterr().err


def start(*argv, stdout):
    program = Path(sys.executable).with_name("edgekit")
    return subprocess.run([str(program), *argv], stdout=stdout, stderr=subprocess.PIPE, timeout=60, check=False)


def test_a_reader_that_left_is_not_complained_of():
    """Where nobody reads stdout any more, the program ends quietly as the signal SIGPIPE would have ended it."""
    reading, writing = os.pipe()
    os.close(reading)
    done = start("inspect", "--schema", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_sigterm_ends_the_program_as_an_interrupt_does():
    """A command that SIGTERM ends unwinds first, so that what it has begun to make goes away with it, and ends with 143."""
    left = []

    @click.command()
    def command():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            left.append("tidied")

    before = signal.getsignal(signal.SIGTERM)
    assert (run(command), left) == (143, ["tidied"])
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.workstation
def test_a_build_that_is_terminated_leaves_nothing(tmp_path):
    """A build that is told to end in the middle leaves neither a bundle nor a half-made one."""
    program, model = Path(sys.executable).with_name("edgekit"), Path(__file__).parents[3] / "examples" / "digits" / "digits.onnx"
    command = [program, "convert", model, "-o", tmp_path / "bundle", "--to", "onnx"]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as build:
        assert build.stderr.readline() == b"reading the source model\n"
        build.terminate()
        assert build.wait(60) == 143
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_behind_stdout_is_told():
    """Output that has no room is an error with code 2, not a silent loss."""
    with open("/dev/full", "wb") as full:
        done = start("inspect", "--schema", stdout=full)
    assert done.returncode == 2
    assert done.stderr == b"error: output: the disk is full. Free some room and run the same command again.\n"

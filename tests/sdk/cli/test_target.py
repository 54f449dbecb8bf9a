import json

import pytest

from edgekit.cli.main import run_command
from edgekit.cli.target import target
from edgekit.target_profiles import PROFILES, TargetProfile


def run(*argv):
    with pytest.raises(SystemExit) as stop:
        run_command(target, list(argv), program="edgekit target")
    return stop.value.code


def test_all_targets_are_listed(capsys):
    """The list has a row for each class of devices, says which are unverified, and what this machine is on stderr."""
    assert run("list") == 0
    captured = capsys.readouterr()
    rows = {line.split()[0]: line for line in captured.out.splitlines() if line.split()[:1] and line.split()[0] in PROFILES}
    assert list(rows) == list(PROFILES)
    assert "unverified" in rows["hailo-8"]
    assert "unverified" not in rows["raspberry-pi-4"]
    assert captured.err.startswith("This machine is of ")


def test_json_of_the_list_is_the_profiles(capsys):
    """--json prints the records, and nothing else on stdout."""
    assert run("list", "--json") == 0
    assert [record["name"] for record in json.loads(capsys.readouterr().out)] == list(PROFILES)


def test_one_target_is_shown_whole(capsys):
    """All that is known of a class is shown: arch, features, memory, precisions, runtimes, ONNX versions, and what to do next."""
    assert run("show", "raspberry-pi-zero-2w") == 0
    printed = " ".join(capsys.readouterr().out.split())
    for expected in ("aarch64", "asimd", "512 MiB", "tflite int8", "tflite-runtime 2.14", "opset 20, IR version 9", "verified yes"):
        assert expected in printed
    assert run("show", "coral-edgetpu") == 0
    printed = " ".join(capsys.readouterr().out.split())
    for expected in ("all fixed, the batch too", "borders int8", "unverified", "edgetpu_compiler"):
        assert expected in printed


def test_json_of_one_target_is_its_record(capsys):
    """What --json prints is read back as the same profile."""
    assert run("show", "jetson-thor", "--json") == 0
    assert TargetProfile.decode(capsys.readouterr().out.encode()) == PROFILES["jetson-thor"]


def test_an_unknown_target_is_refused(capsys):
    """A name that is none ends with code 2 and the names that are."""
    assert run("show", "raspberry-pi-6") == 2
    assert "Known here: aarch64," in capsys.readouterr().err

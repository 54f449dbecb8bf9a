"""``edgekit device`` as a person types it, against a whole server."""

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from edgekit.cli.device import device
from edgekit.errors import InputError


@pytest.fixture
def run(fleet_server: str) -> Callable[..., Result]:
    return lambda *argv: CliRunner().invoke(device, [*argv, "--server", fleet_server])


def test_devices_are_listed_and_selected(run: Callable[..., Result], add_device: Callable[..., None]) -> None:
    """Each device has a line with its class, what it serves and its labels; a selection leaves the others out."""
    add_device("roof-1", labels={"site": "roof"})
    add_device("cellar-1")
    done = run("list")
    assert done.exit_code == 0, done.output
    (line,) = [line for line in done.stdout.splitlines() if "roof-1" in line]
    assert "raspberry-pi-4" in line
    assert "digits@1.0.0 onnx-int8" in line
    assert "site=roof" in line
    selected = json.loads(run("list", "--select", "site=roof", "--json").stdout)
    assert [one["device"]["id"] for one in selected] == ["roof-1"]
    assert "No device is selected" in run("list", "--select", "site=moon").stdout


def test_a_device_is_shown(run: Callable[..., Result], add_device: Callable[..., None]) -> None:
    """What it is made of and what it serves, as tables and as JSON."""
    add_device("shown-1")
    done = run("show", "shown-1")
    assert done.exit_code == 0, done.output
    assert "512 MiB" in done.stdout
    assert "onnx-int8" in done.stdout
    assert json.loads(run("show", "shown-1", "--json").stdout)["inventory"]["hardware"]["memory_mb"] == 512


def test_labels_are_set_and_taken_away(run: Callable[..., Result], add_device: Callable[..., None]) -> None:
    """NAME=VALUE sets a label, NAME= takes it away, and the labels as they are now are printed."""
    add_device("label-1")
    assert run("label", "label-1", "site=roof", "floor=3").stdout == "label-1: floor=3, site=roof\n"
    assert run("label", "label-1", "floor=").stdout == "label-1: site=roof\n"
    assert run("label", "label-1", "site=").stdout == "label-1: -\n"


def test_a_label_with_html_stays_what_it_is(run: Callable[..., Result], add_device: Callable[..., None]) -> None:
    """Markup in a label is text: it is printed as it was given."""
    add_device("label-2")
    assert run("label", "label-2", "note=<b>[red]x[/red]</b>").stdout == "label-2: note=<b>[red]x[/red]</b>\n"
    assert "<b>[red]x[/red]</b>" in run("list", "--select", "device=label-2").stdout


@pytest.mark.parametrize("argv", [("show", "nobody"), ("show", "a/b"), ("label", "nobody", "a=b"), ("list", "--select", "site")])
def test_what_does_not_exist_is_the_callers_to_mend(run: Callable[..., Result], argv: tuple[str, ...]) -> None:
    """An unknown device, an id with a slash and a selection that is none are each an InputError that names them."""
    done = run(*argv)
    assert isinstance(done.exception, InputError)
    assert argv[1].lstrip("-").replace("select", "site") in str(done.exception)


@pytest.mark.parametrize("text", ["site", "=roof", ""])
def test_what_is_no_label_is_wrong_usage(run: Callable[..., Result], text: str) -> None:
    """A label without a name or without an equals sign never reaches the server."""
    assert run("label", "label-1", text).exit_code == 2


@pytest.mark.parametrize("command", ["list", "show", "label"])
def test_each_command_shows_an_example(command: str) -> None:
    """--help of each command has one line that can be typed."""
    assert f"Example: edgekit device {command}" in CliRunner().invoke(device, [command, "--help"]).output

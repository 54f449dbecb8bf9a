"""``edgekit keys``."""

import json

import pytest
from click.testing import CliRunner

from edgekit.cli.keys import keys
from edgekit.errors import InputError
from edgekit.signing import ROLES


def run(*arguments):
    return CliRunner().invoke(keys, arguments, catch_exceptions=False)


def test_new_keys_are_made_where_they_are_looked_for(tmp_path, monkeypatch):
    """Without a directory, keys go where the other commands look for them."""
    monkeypatch.setenv("EDGEKIT_KEYS", str(tmp_path / "keys"))
    made = json.loads(run("new", "--json").stdout)
    assert made["directory"] == str(tmp_path / "keys")
    assert made["private"] == list(ROLES)
    assert json.loads(run("show", "--json").stdout) == made


def test_a_named_directory_is_used(tmp_path, monkeypatch):
    """A directory on the command line comes before the environment's."""
    monkeypatch.setenv("EDGEKIT_KEYS", "/nonexistent")
    result = run("new", str(tmp_path / "mine"))
    assert f"--keys {tmp_path / 'mine'}" in result.stderr
    assert (tmp_path / "mine" / "root.pem").exists()


def test_a_table_says_which_private_keys_are_here(tmp_path):
    """A private key that was carried away is shown as being elsewhere, and no private bytes are shown."""
    run("new", str(tmp_path / "keys"))
    (tmp_path / "keys" / "root.pem").unlink()
    shown = run("show", str(tmp_path / "keys")).stdout
    assert [line.split()[:3] for line in shown.splitlines() if line.split()[:1] in (["root"], ["targets"])] == [
        ["root", "offline", "elsewhere"],
        ["targets", "offline", "here"],
    ]
    assert "PRIVATE" not in shown


def test_keys_are_not_overwritten(tmp_path):
    """A second keys new in the same place is refused."""
    run("new", str(tmp_path / "keys"))
    with pytest.raises(InputError, match="never overwritten"):
        run("new", str(tmp_path / "keys"))

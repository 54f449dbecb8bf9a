"""``edgekit release``: from a bundle to a release that can be listed and shown."""

import json
from datetime import datetime, timedelta, timezone

import pytest
from click.testing import CliRunner

from edgekit.cli.release import release
from edgekit.errors import InputError, TrustError
from edgekit.releases.publishing import publish_release
from edgekit.signing import new_keys


def run(*arguments):
    return CliRunner().invoke(release, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def repository(tmp_path):
    return tmp_path / "repository"


@pytest.fixture
def publish(small_bundle, repository, keys):
    return lambda version="1.0.0", *more: run("publish", small_bundle.root, "--version", version, "--to", repository, "--keys", keys, *more)


def test_a_bundle_becomes_a_release(publish, small_bundle, repository):
    """Publishing says what was published, until when it is good, and what to do next."""
    result = publish()
    assert result.exit_code == 0
    assert result.stdout.startswith(f"digits@1.0.0 is published in {repository}.")
    assert small_bundle.digest in result.stdout
    assert "edgekit-agent install" in result.stderr


def test_publishing_twice_is_said(publish):
    """The same bytes again are no error, and the answer says that nothing was to do."""
    publish()
    assert "nothing to do" in publish().stdout


def test_publishing_in_json(publish, small_bundle):
    """With --json, stdout has one record and nothing else."""
    record = json.loads(publish("1.0.0", "--json").stdout)
    assert (record["release"], record["digest"], record["new"]) == ("digits@1.0.0", small_bundle.digest, True)
    assert set(record["expires"]) == {"root", "targets", "snapshot", "timestamp"}


def test_keys_are_found_without_a_flag(small_bundle, repository, tmp_path, monkeypatch):
    """Keys in their default place need no flag."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("EDGEKIT_KEYS", raising=False)
    with pytest.raises(InputError, match="edgekit keys new"):
        run("publish", small_bundle.root, "--version", "1.0.0", "--to", repository)
    new_keys(tmp_path / "config" / "edgekit" / "keys")
    assert run("publish", small_bundle.root, "--version", "1.0.0", "--to", repository).exit_code == 0


def test_releases_are_listed(publish, repository, serve, small_bundle):
    """A list has each release, from a directory or a server, and says on stderr whose root was believed."""
    publish()
    publish("1.1.0")
    for location in (repository, serve(repository)):
        result = run("list", location)
        assert [line.split() for line in result.stdout.splitlines() if "@" in line] == [
            ["digits@1.0.0", small_bundle.digest],
            ["digits@1.1.0", small_bundle.digest],
        ]
        assert "Believing" in result.stderr
    record = json.loads(run("list", repository, "--json").stdout)
    assert [one["release"] for one in record["releases"]] == ["digits@1.0.0", "digits@1.1.0"]


def test_a_release_is_shown(publish, repository, small_bundle):
    """Showing a release lists its variants, and with --json its manifest."""
    publish()
    assert "openvino-int8" in run("show", repository, "digits@1.0.0").stdout
    record = json.loads(run("show", repository, "digits@1.0.0", "--json").stdout)
    assert record["digest"] == small_bundle.digest
    assert [variant["id"] for variant in record["manifest"]["variants"]] == ["onnx-fp32", "openvino-int8"]


def test_a_given_root_is_held_to(publish, repository, small_bundle, tmp_path):
    """With --trust-root, a repository of somebody else is refused, and the right one needs no remark."""
    publish()
    new_keys(tmp_path / "strange")
    run("publish", small_bundle.root, "--version", "1.0.0", "--to", tmp_path / "other", "--keys", tmp_path / "strange")
    root = repository / "metadata" / "1.root.json"
    assert run("list", repository, "--trust-root", root).stderr == ""
    with pytest.raises(TrustError):
        run("list", tmp_path / "other", "--trust-root", root)


def test_a_repository_is_refreshed(small_bundle, repository, keys):
    """A refresh shows each role with its new date, and that an expired repository can be read again."""
    publish_release(small_bundle, "1.0.0", repository, keys, datetime.now(timezone.utc) - timedelta(days=40))
    with pytest.raises(TrustError, match="edgekit release refresh"):
        run("list", repository)
    shown = run("refresh", repository, "--keys", keys).stdout
    assert [line.split()[0] for line in shown.splitlines() if line.endswith("yes")] == ["snapshot", "timestamp"]
    assert run("list", repository).exit_code == 0
    assert json.loads(run("refresh", repository, "--keys", keys, "--json").stdout)["renewed"] == []


def test_a_refresh_names_the_keys_that_are_elsewhere(small_bundle, repository, keys):
    """Where a person is needed with an offline key, that is said on stderr."""
    publish_release(small_bundle, "1.0.0", repository, keys, datetime.now(timezone.utc) - timedelta(days=200))
    (keys / "targets.pem").unlink()
    assert "metadata of targets nears its expiry" in run("refresh", repository, "--keys", keys).stderr


@pytest.mark.parametrize("command", ["publish", "list", "show", "refresh"])
def test_help_has_an_example(command):
    """Each command's help shows it in use."""
    assert f"Example: edgekit release {command}" in " ".join(run(command, "--help").stdout.split())

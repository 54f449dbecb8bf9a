import json
from datetime import datetime, timezone

import pytest

from edgekit.cli.diff import diff
from edgekit.cli.main import run_command
from edgekit.releases.publishing import publish_release


def run(*argv):
    with pytest.raises(SystemExit) as stop:
        run_command(diff, [str(word) for word in argv], program="edgekit diff")
    return stop.value.code


def test_a_bundle_and_itself(small_bundle, capsys):
    """One and the same bundle is said not to differ, with its name and digest."""
    assert run(small_bundle.root, small_bundle.root) == 0
    printed = capsys.readouterr().out
    assert "Nothing differs." in printed
    assert printed.count(small_bundle.digest) == 2


def test_two_bundles_on_one_page(make_small_bundle, capsys):
    """Each variant has a line that says what became of its bytes, and what could not be compared is said."""
    assert run(make_small_bundle(b"a").root, make_small_bundle(b"b").root) == 0
    printed = capsys.readouterr().out
    assert "onnx-fp32       the same bytes" in printed
    assert "openvino-int8   other bytes" in printed
    assert "openvino-int8: unknown: graph and weights" in printed


def test_json_has_all_of_it(make_small_bundle, capsys):
    """--json prints the record alone, with an empty list for each part in which nothing differs."""
    assert run(make_small_bundle(b"a").root, make_small_bundle(b"b").root, "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert [(one["id"], one["state"]) for one in record["variants"]] == [("onnx-fp32", "same"), ("openvino-int8", "changed")]
    assert record["tensors"] == record["processing"] == record["tools"] == []


def test_releases_are_compared_by_their_names(make_small_bundle, keys, tmp_path, capsys):
    """A release in a repository on this machine is fetched and verified, and then compared as a bundle is."""
    for version, content in (("1.0.0", b"a"), ("1.1.0", b"b")):
        publish_release(make_small_bundle(content), version, tmp_path / "releases", keys, datetime.now(timezone.utc))
    assert run(tmp_path / "releases" / "digits@1.0.0", tmp_path / "releases" / "digits@1.1.0", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["variants"][1]["state"] == "changed"
    assert record["before"]["path"] == str(tmp_path / "releases" / "digits@1.0.0"), "and not where it was fetched to"
    assert run(tmp_path / "releases" / "digits@1.0.0", tmp_path / "releases" / "digits@2.0.0") == 2
    assert "Known here: digits@1.0.0, digits@1.1.0" in capsys.readouterr().err


def test_what_a_device_holds_is_compared(small_bundle, make_small_bundle, capsys):
    """A bundle of which only one variant is there, as on a device, is no error; what is not there is said."""
    device = make_small_bundle(b"other")
    for entry in device.manifest.variants[1].files:
        (device.root / entry.path).unlink()
    assert run(small_bundle.root, device.root) == 0
    assert f"its files are not in {device.root}" in capsys.readouterr().out


def test_what_is_no_bundle_is_refused(small_bundle, tmp_path, capsys):
    """A folder without a manifest ends with code 2, and a bundle that was tampered with ends with code 4."""
    assert run(small_bundle.root, tmp_path) == 2
    (small_bundle.root / "variants" / "onnx-fp32" / "model.onnx").write_bytes(b"fp32 MODEL " * 20_000)
    assert run(small_bundle.root, small_bundle.root) == 4
    assert capsys.readouterr().err.count("error: ") == 2

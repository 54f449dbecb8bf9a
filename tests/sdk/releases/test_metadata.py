"""TUF metadata, step by step, with a time that is given."""

from datetime import datetime, timedelta, timezone

import pytest
from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import Targets, Timestamp

from edgekit.releases.metadata import (
    LIFETIMES,
    add_release,
    decode_root,
    decode_signed,
    first_root,
    is_due,
    list_targets,
    next_snapshot,
    next_timestamp,
    renew,
    sign,
)
from edgekit.releases.versions import Release
from edgekit.signing import ROLES, load_signer, new_keys, read_keys

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)


def release(version):
    return Release(name="digits", version=version, digest="sha256:" + "0" * 64, length=5)


def test_the_first_root_trusts_one_key_for_each_role(keys):
    """Each role has its own key and needs one signature."""
    known = read_keys(keys)
    root = first_root(known, NOW)
    assert {role: root.roles[role].keyids for role in ROLES} == {role: [known.find_key(role).keyid] for role in ROLES}
    assert root.consistent_snapshot
    assert root.expires == NOW + LIFETIMES["root"]


def test_a_step_leaves_what_was_before_it():
    """Adding a release gives new targets, one version on, and the old ones stay as they were."""
    old = add_release(None, release("1.0.0"), NOW)
    new = add_release(old, release("1.1.0"), NOW + timedelta(days=1))
    assert [one.version for one in list_targets(old)] == ["1.0.0"]
    assert [one.version for one in list_targets(new)] == ["1.0.0", "1.1.0"]
    assert (old.version, new.version) == (1, 2)
    assert new.expires - old.expires == timedelta(days=1)


def test_snapshot_and_timestamp_vouch_for_bytes():
    """Each names the version, the length and the digest of the one below, so that no mixture fits together."""
    snapshot = next_snapshot(None, 7, b"targets", NOW)
    timestamp = next_timestamp(None, snapshot.version, b"snapshot", NOW)
    assert (snapshot.meta["targets.json"].version, snapshot.meta["targets.json"].length) == (7, 7)
    snapshot.meta["targets.json"].verify_length_and_hashes(b"targets")
    timestamp.snapshot_meta.verify_length_and_hashes(b"snapshot")
    assert next_snapshot(snapshot, 8, b"more", NOW).version == 2
    assert next_timestamp(timestamp, 2, b"more", NOW).version == 2


@pytest.mark.parametrize("role", ["targets", "snapshot", "timestamp", "root"])
def test_half_a_lifetime_before_the_end_is_due(keys, role):
    """Metadata is renewed when less than half of its time is left, and is then good for a whole lifetime."""
    made = {
        "root": first_root(read_keys(keys), NOW),
        "targets": add_release(None, release("1.0.0"), NOW),
        "snapshot": next_snapshot(None, 1, b"", NOW),
        "timestamp": next_timestamp(None, 1, b"", NOW),
    }[role]
    half = NOW + LIFETIMES[role] / 2
    assert not is_due(made, half)
    assert is_due(made, half + timedelta(seconds=1))
    assert not is_due(renew(made, half), half)


def test_only_the_roles_own_key_speaks_for_it(keys, tmp_path):
    """What the key of a role signed is read, and what any other key signed is not."""
    root = decode_root(sign(first_root(read_keys(keys), NOW), load_signer(keys, "root")))
    targets = add_release(None, release("1.0.0"), NOW)
    assert decode_signed(Targets, sign(targets, load_signer(keys, "targets")), root) == targets
    new_keys(tmp_path / "strange")
    for signer in (load_signer(keys, "timestamp"), load_signer(tmp_path / "strange", "targets")):
        with pytest.raises(UnsignedMetadataError):
            decode_signed(Targets, sign(targets, signer), root)


def test_metadata_of_another_role_is_refused(keys):
    """Signed metadata does not pass for that of another role."""
    root = first_root(read_keys(keys), NOW)
    data = sign(add_release(None, release("1.0.0"), NOW), load_signer(keys, "targets"))
    with pytest.raises(RepositoryError, match="targets"):
        decode_signed(Timestamp, data, root)


def test_a_root_signs_itself(keys, tmp_path):
    """A root that its own root key did not sign is no root."""
    new_keys(tmp_path / "strange")
    with pytest.raises(UnsignedMetadataError):
        decode_root(sign(first_root(read_keys(keys), NOW), load_signer(tmp_path / "strange", "root")))

"""Keys: one for each role, private, and never overwritten."""

import shutil
from pathlib import Path

import pytest
from securesystemslib.exceptions import UnverifiedSignatureError

from edgekit.errors import InputError, TrustError
from edgekit.signing import ROLES, KeySet, find_default_keys, has_signer, load_signer, new_keys, read_keys


def test_keys_are_private(tmp_path):
    """Nobody but their owner can read the private keys or list their directory."""
    new_keys(tmp_path / "keys")
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert {(tmp_path / "keys" / f"{role}.pem").stat().st_mode & 0o777 for role in ROLES} == {0o600}


def test_each_role_has_its_own_key(tmp_path):
    """No two roles share a key, so that one that leaks speaks for one role."""
    keys = new_keys(tmp_path / "keys")
    assert len({keys.find_key(role).keyid for role in ROLES}) == len(ROLES)


def test_what_is_read_is_what_was_made(keys):
    """keys.json gives back the public parts, and holds nothing private."""
    text = (keys / "keys.json").read_text()
    assert KeySet.decode(text.encode()) == read_keys(keys)
    assert "PRIVATE" not in text


@pytest.mark.parametrize("role", ROLES)
def test_a_signer_signs_for_its_role(keys, role):
    """What load_signer signs is verified by the public key of that role, and not by another's."""
    signature = load_signer(keys, role).sign(b"bytes")
    read_keys(keys).find_key(role).verify_signature(signature, b"bytes")
    other = ROLES[ROLES.index(role) - 1]
    with pytest.raises(UnverifiedSignatureError):
        read_keys(keys).find_key(other).verify_signature(signature, b"bytes")


def test_keys_are_never_overwritten(keys):
    """new_keys refuses a directory with anything in it, and leaves that as it was."""
    before = {path.name: path.read_bytes() for path in keys.iterdir()}
    with pytest.raises(InputError, match="never overwritten"):
        new_keys(keys)
    assert {path.name: path.read_bytes() for path in keys.iterdir()} == before


def test_half_made_keys_are_not_taken_for_keys(tmp_path):
    """A directory without keys.json, as a power cut leaves it, holds no keys."""
    new_keys(tmp_path / "keys")
    (tmp_path / "keys" / "keys.json").unlink()
    with pytest.raises(InputError, match="edgekit keys new"):
        load_signer(tmp_path / "keys", "root")


def test_a_missing_private_key_is_named(keys):
    """A role whose private part is elsewhere says which file is missing."""
    (keys / "root.pem").unlink()
    assert not has_signer(keys, "root")
    with pytest.raises(InputError, match=r"root\.pem"):
        load_signer(keys, "root")


@pytest.mark.parametrize("content", [b"", b"not a key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused(keys, content):
    """A private file that holds no PEM key is bad input, not a crash."""
    (keys / "targets.pem").write_bytes(content)
    with pytest.raises(InputError, match=r"targets\.pem"):
        load_signer(keys, "targets")


def test_a_key_of_another_set_is_not_trusted(keys, tmp_path):
    """A private key that does not belong to keys.json signs nothing."""
    new_keys(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "targets.pem", keys / "targets.pem")
    with pytest.raises(TrustError, match=r"targets\.pem"):
        load_signer(keys, "targets")


def test_the_environment_names_the_keys(monkeypatch, tmp_path):
    """EDGEKIT_KEYS comes before the directory in the user's configuration."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("EDGEKIT_KEYS", raising=False)
    assert find_default_keys() == tmp_path / "edgekit" / "keys"
    monkeypatch.setenv("EDGEKIT_KEYS", "/elsewhere")
    assert find_default_keys() == Path("/elsewhere")

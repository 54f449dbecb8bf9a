"""Where trust begins."""

import pytest

from edgekit.errors import TrustError
from edgekit.files import digest_bytes
from edgekit.releases.metadata import first_root, sign
from edgekit.releases.trust import TrustStore
from edgekit.signing import load_signer, new_keys, read_keys


@pytest.fixture
def root(keys, now):
    return sign(first_root(read_keys(keys), now), load_signer(keys, "root"))


@pytest.fixture
def store(tmp_path):
    return TrustStore(tmp_path / "trust")


def test_nobody_is_trusted_at_first(store):
    """Without a root, the refusal says how to give one."""
    assert not store.is_pinned
    with pytest.raises(TrustError, match="--trust-root"):
        store.read_root()


def test_a_root_is_trusted_once_it_is_given(store, root):
    """What was pinned is read back, its digest is said, and pinning it again changes nothing."""
    assert store.pin(root, "root") == store.pin(root, "root") == digest_bytes(root)
    assert store.is_pinned
    assert store.read_root() == root


def test_another_root_is_refused(store, root, tmp_path, now):
    """A machine that trusts one publisher does not change to another without a person."""
    new_keys(tmp_path / "strange")
    other = sign(first_root(read_keys(tmp_path / "strange"), now), load_signer(tmp_path / "strange", "root"))
    store.pin(root, "root")
    with pytest.raises(TrustError, match="remove this directory"):
        store.pin(other, "root")
    assert store.read_root() == root


@pytest.mark.parametrize("data", [b"", b"{}", b"<html>", b"[" * 100_000])
def test_what_is_no_root_is_never_trusted(store, data):
    """Bytes that are no root leave the store as it was."""
    with pytest.raises(TrustError, match=r"1\.root\.json"):
        store.pin(data, "root")
    assert not store.is_pinned


def test_a_root_that_does_not_sign_itself_is_never_trusted(store, keys, now):
    """A root signed by another of its keys than the root key is refused."""
    with pytest.raises(TrustError, match="signs itself"):
        store.pin(sign(first_root(read_keys(keys), now), load_signer(keys, "targets")), "root")
    assert not store.is_pinned

"""What a publisher finds in a directory."""

import shutil
from datetime import timedelta

import pytest

from edgekit.errors import TrustError
from edgekit.releases.publishing import refresh_repository
from edgekit.releases.repository import LOCK, is_fresh, is_repository, read_state


def test_a_fresh_directory_may_become_a_repository(tmp_path):
    """What is absent, empty, or what a publisher left who broke off before the first file, is free to use."""
    assert is_fresh(tmp_path / "absent")
    assert is_fresh(tmp_path)
    (tmp_path / LOCK).touch()
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / ".1.root.json.x7").touch()
    assert is_fresh(tmp_path)
    assert not is_repository(tmp_path)


def test_a_used_directory_is_not_fresh(tmp_path, publish, small_bundle, repository):
    """Anything else makes it somebody's, and a repository is known by its first root."""
    (tmp_path / "notes").touch()
    assert not is_fresh(tmp_path)
    publish(small_bundle)
    assert not is_fresh(repository)
    assert is_repository(repository)


def test_the_state_is_read_through_all_roots(publish, small_bundle, repository, keys, now):
    """After the root was renewed, the newest one counts, and each is signed by the one before."""
    publish(small_bundle, at=now - timedelta(days=400))
    refresh_repository(repository, keys, now)
    state = read_state(repository)
    assert (state.root.version, list(state.signed)) == (2, ["root", "targets", "snapshot", "timestamp"])


def test_a_root_under_another_number_is_refused(publish, small_bundle, repository):
    """A copy of an old root under a new number neither counts nor loops."""
    publish(small_bundle)
    shutil.copy(repository / "metadata" / "1.root.json", repository / "metadata" / "2.root.json")
    with pytest.raises(TrustError, match="version 1"):
        read_state(repository)

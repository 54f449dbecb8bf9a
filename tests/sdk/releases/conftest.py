"""A repository with releases in it, and clients of it."""

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest

from edgekit.bundles import VerifiedBundle
from edgekit.releases.client import ReleaseClient
from edgekit.releases.publishing import Publication, publish_release


@pytest.fixture
def now() -> datetime:
    """The time: python-tuf's client looks at the clock of the machine, so the tests' publishers do too."""
    return datetime.now(timezone.utc)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "repository"


@pytest.fixture
def publish(repository: Path, keys: Path, now: datetime) -> Callable[..., Publication]:
    """Publishes a bundle into the repository."""

    def publish(bundle: VerifiedBundle, version: str = "1.0.0", at: datetime = now) -> Publication:
        return publish_release(bundle, version, repository, keys, at)

    return publish


@pytest.fixture
def make_client(repository: Path, tmp_path: Path) -> Callable[..., ReleaseClient]:
    """Makes a client with a trust of its own that trusts the repository's first root."""

    def make(location: str | Path = repository, trust: str = "trust", **options: object) -> ReleaseClient:
        client = ReleaseClient(location, tmp_path / trust, **options)
        client.trust_root((repository / "metadata" / "1.root.json").read_bytes())
        return client

    return make

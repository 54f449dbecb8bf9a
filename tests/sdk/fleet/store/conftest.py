"""A real database in a file of its own, and short ways to run functions in it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgekit.fleet.store.database import Store, open_store
from edgekit.fleet.store.leases import Lease, acquire_lease


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An open store."""
    with open_store(tmp_path / "store.db") as opened:
        yield opened


@pytest.fixture
def write(store: Store) -> Callable[..., Any]:
    """Runs a function of a connection in a transaction that writes, and gives what it returns."""
    return lambda work, *args, **kwargs: store.submit_write(work, *args, **kwargs).result()


@pytest.fixture
def read(store: Store) -> Callable[..., Any]:
    """Runs a function of a connection in a transaction that reads, and gives what it returns."""
    return lambda work, *args, **kwargs: store.submit_read(work, *args, **kwargs).result()


@pytest.fixture
def lease(write: Callable[..., Any]) -> Lease:
    """A lease that is held for an hour from time zero."""
    held: Lease = write(acquire_lease, "ingest-0", "worker", 0, 3_600_000)
    return held

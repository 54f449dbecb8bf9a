"""The server's own view of its release repository: verified as a device would, one reader at a time, off the event loop."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from edgekit.manifest import Manifest
from edgekit.releases.client import ReleaseClient
from edgekit.releases.versions import Release, ReleaseReference

T = TypeVar("T")


class ReleaseReader:
    """Reads the repository in the directory *repository*; what was seen of it is kept in *trust*."""

    def __init__(self, repository: Path, trust: Path) -> None:
        self.repository = repository
        self._client = ReleaseClient(repository, trust)
        self._lock = asyncio.Lock()

    async def pin(self) -> str:
        """Trust the repository's first root, since it lies on this machine; its digest. Raises as ReleaseClient does."""
        return await self._run(self._client.pin_first_root)

    async def list_releases(self) -> tuple[Release, ...]:
        """All releases as of now."""
        return await self._run(self._client.list_releases)

    async def find_release(self, reference: ReleaseReference) -> tuple[Release, Manifest]:
        """The release of that name and version and its manifest; UnknownName, with those that exist, where there is none."""
        return await self._run(lambda: (self._client.find_release(reference), self._client.read_manifest(reference)))

    async def _run(self, work: Callable[[], T]) -> T:
        # Two clients must not use one trust directory at the same time.
        async with self._lock:
            return await asyncio.to_thread(work)

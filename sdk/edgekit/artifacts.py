"""A model's files in one format, and how the source's tensors are found in them."""

from typing import Annotated

from msgspec import Meta

from edgekit.records import Digest, Length, Name, Record, RelativePath
from edgekit.tensors import Binding, TensorSpec


class FileEntry(Record, frozen=True, kw_only=True):
    """One file of a bundle: where it lies, the digest of its bytes, and their number."""

    path: RelativePath
    digest: Digest
    length: Length


class Artifact(Record, frozen=True, kw_only=True):
    """A model in one format. The first of *files* is the one that a runtime opens."""

    format: Name
    files: Annotated[tuple[FileEntry, ...], Meta(min_length=1, max_length=64)]
    inputs: tuple[Binding, ...]
    outputs: tuple[Binding, ...]

    @property
    def size(self) -> int:
        """All files together, in bytes."""
        return sum(entry.length for entry in self.files)


def bind_identically(specs: tuple[TensorSpec, ...]) -> tuple[Binding, ...]:
    """Bindings of an artifact whose tensors are the source's own."""
    return tuple(Binding(name=spec.name, native=spec) for spec in specs)

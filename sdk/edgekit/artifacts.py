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


class EngineRecipe(Record, frozen=True, kw_only=True):
    """How a device builds its own engine of an artifact: engines fit one accelerator, driver and version, and are never shipped.

    *minimum_version* and *maximum_version*, without a bound where None, are of *builder* (``tensorrt``). A *strongly_typed*
    network keeps the types of the file, so no flag of the builder chooses a precision. *profiles* has for each input the
    smallest, the usual and the largest shape.
    """

    builder: Name
    minimum_version: str
    maximum_version: str | None = None
    strongly_typed: bool = True
    profiles: dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = {}

    def __str__(self) -> str:
        bound = "or later" if self.maximum_version is None else f"to {self.maximum_version}"
        return f"{self.builder} {self.minimum_version} {bound}"


class Artifact(Record, frozen=True, kw_only=True):
    """A model in one format. The first of *files* is the one that a runtime opens.

    *accelerator* is the kind that it was made for; None where any runtime of the format is fit to serve it. Where the
    accelerator runs an engine of its own, *engine* says how it is built.
    """

    format: Name
    files: Annotated[tuple[FileEntry, ...], Meta(min_length=1, max_length=64)]
    inputs: tuple[Binding, ...]
    outputs: tuple[Binding, ...]
    accelerator: Name | None = None
    engine: EngineRecipe | None = None

    @property
    def size(self) -> int:
        """All files together, in bytes."""
        return sum(entry.length for entry in self.files)


def bind_identically(specs: tuple[TensorSpec, ...]) -> tuple[Binding, ...]:
    """Bindings of an artifact whose tensors are the source's own."""
    return tuple(Binding(name=spec.name, native=spec) for spec in specs)

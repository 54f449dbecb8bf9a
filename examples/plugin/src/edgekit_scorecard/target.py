"""The hub as a variant, as it is: what edgekit's own ONNX target gains by slimming is seen beside it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

from edgekit.artifacts import Artifact, FileEntry, bind_identically
from edgekit.conversion import HUB, Order, SourceModel
from edgekit.files import digest_file

if TYPE_CHECKING:
    from pathlib import Path

_FILE = "model.onnx"


class PlainTarget:
    """Makes ONNX in the source's own numbers, without any optimisation."""

    format = "onnx"
    precisions: tuple[str, ...] = ("fp32",)
    refusals: Mapping[str, str] = {}

    def find_obstacle(self) -> str | None:
        """None: it needs nothing but this package."""
        return None

    def list_tools(self) -> dict[str, str]:
        """This package's version."""
        return {"edgekit-scorecard": version("edgekit-scorecard")}

    def suggest_precisions(self, source: SourceModel) -> tuple[str, ...]:
        """The one precision, where the source has it."""
        return self.precisions if source.precision in self.precisions else ()

    def convert(self, source: SourceModel, order: Order, directory: Path) -> Artifact:  # noqa: ARG002 - there is one precision
        """Copy the hub to *directory*; ConversionError where the source has none."""
        target = directory / _FILE
        shutil.copyfile(source.find_form(HUB), target)
        entry = FileEntry(path=_FILE, digest=digest_file(target), length=target.stat().st_size)
        return Artifact(format=self.format, files=(entry,), inputs=bind_identically(source.inputs), outputs=bind_identically(source.outputs))

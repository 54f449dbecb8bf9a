"""PyTorch as a source: an exported program (``.pt2``), or ``package.module:factory``."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from edgekit.conversion import SourceModel, SourceOptions
from edgekit.errors import InputError
from edgekit_converters.pt2_archives import is_exported_program, write_clean_archive
from edgekit_converters.torch_exporting import export_source, make_request, require_packages

_FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_PACKAGES = ("torch", "onnxscript")
#: What a factory's weights take is not known before it is called: as much as a large model for a device.
_FACTORY_BYTES = 256 << 20


class TorchSource:
    """Reads exported programs without unpickling anything, and calls factories, which are the user's own code."""

    format = "torch"

    def accepts(self, path: Path) -> bool:
        """Whether *path* is an exported program, or no path but the name of a factory."""
        if not path.exists():
            return _FACTORY.fullmatch(str(path)) is not None
        return path.is_file() and (path.suffix.lower() == ".pt2" or is_exported_program(path))

    def load(self, path: Path, workspace: Path, options: SourceOptions) -> SourceModel:
        """Export the program at *path*, or what the factory makes; raises as SourceLoader.load says.

        Raises:
            InputError: it holds what would have to be unpickled or run, the factory failed, it is not said what it is
                called with, or torch cannot export it.
        """
        if not path.exists():
            require_packages(str(path), *_PACKAGES)
            return export_source(self.format, make_request("factory", path, path, workspace, options), _FACTORY_BYTES, workspace, options)
        if options.inputs:
            raise InputError(path, "an exported program knows its inputs, and --input describes others", "Leave --input out; --shape fixes sizes.")
        clean = workspace / "clean.pt2"
        write_clean_archive(path, clean)
        require_packages(str(path), *_PACKAGES)
        request = make_request("program", path, clean.absolute(), workspace, options)
        model = export_source(self.format, request, path.stat().st_size, workspace, options)
        clean.unlink()
        return replace(model, files=(path,))

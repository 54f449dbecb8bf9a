"""Keras models as sources: ``.keras`` archives, and the older ``.h5`` files."""

from __future__ import annotations

import zipfile
from pathlib import Path

from edgekit.conversion import SourceModel, SourceOptions
from edgekit.errors import InputError
from edgekit_converters.keras_files import MAX_WEIGHTS, check_config, read_config
from edgekit_converters.tensorflow_asking import ask_tensorflow, blaming
from edgekit_converters.tensorflow_export import UNREADABLE, Program, export_program

_HDF5 = b"\x89HDF\r\n\x1a\n"
_SUFFIXES = (".keras", ".h5", ".hdf5")
_AGAIN = "Save it again: model.save('model.keras')."


class KerasSource:
    """Reads Keras models by Keras 3, and those that it cannot read by tf_keras, in the environment of TensorFlow."""

    format = "keras"

    def accepts(self, path: Path) -> bool:
        """Whether *path* is a file with a suffix of Keras's, or one that begins or is put together as Keras's files are."""
        if not path.is_file():
            return False
        return path.suffix.lower() in _SUFFIXES or _is_hdf5(path) or _is_archive(path)

    def load(self, path: Path, workspace: Path, options: SourceOptions) -> SourceModel:
        """Check the model at *path*, and export it into *workspace*.

        Raises:
            InputError: it is damaged, no Keras model, or would run code or reach files, and *options* do not allow that.
            ConversionError: it can be exported to no form.
            DeviceError, TransferError: the environment of TensorFlow is not here and cannot be made.
        """
        options.check_untraced(path)
        config = None if _is_hdf5(path) else read_config(path)
        if config is not None:
            # Known to be sound before anything that takes seconds, or an environment, is started.
            check_config(config, path, allow_code=options.allow_code)
        with blaming(path, UNREADABLE, _AGAIN):
            reply = ask_tensorflow("inspect", path, largest=MAX_WEIGHTS)
        if config is None:
            check_config(reply["config"], path, allow_code=options.allow_code)
        details = {"kind": self.format, "allow_code": options.allow_code}
        return export_program(Program(self.format, path, (path,), details), workspace, options, _AGAIN)


def _is_hdf5(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_HDF5)) == _HDF5
    except OSError as error:
        raise InputError(path, f"it cannot be read: {error.strerror}", "Check the path.") from error


def _is_archive(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return {"config.json", "model.weights.h5"} <= set(archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        return False  # a damaged archive is nobody's; whoever reads it says so

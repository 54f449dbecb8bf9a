"""TensorFlow's SavedModels as sources."""

from __future__ import annotations

from pathlib import Path

from edgekit.conversion import SourceModel, SourceOptions
from edgekit_converters.saved_model_files import FILE, check_saved_model, list_files
from edgekit_converters.tensorflow_export import Program, export_program
from edgekit_converters.tensorflow_operators import CHANGING, FORBIDDEN

_AGAIN = "Save it again with the signature 'serving_default': tf.saved_model.save(model, directory, signatures=function)."


class SavedModelSource:
    """Reads the signature ``serving_default`` of a SavedModel, or its only one, in the environment of TensorFlow."""

    format = "saved-model"

    def accepts(self, path: Path) -> bool:
        """Whether *path* is a directory with ``saved_model.pb`` in it, or that file."""
        return (path.name == FILE and path.is_file()) or (path / FILE).is_file()

    def load(self, path: Path, workspace: Path, options: SourceOptions) -> SourceModel:
        """Check the SavedModel at *path*, and export it into *workspace*.

        Raises:
            InputError: it is damaged, has no such signature, or does more than arithmetic; the message names the node.
            ConversionError: it can be exported to no form.
            DeviceError, TransferError: the environment of TensorFlow is not here and cannot be made.
        """
        options.check_untraced(path)
        directory = path.parent if path.is_file() else path
        check_saved_model(directory)
        files = list_files(directory)
        details = {"kind": self.format, "forbidden": f"{FORBIDDEN}|{CHANGING}"}
        return export_program(Program(self.format, directory, files, details), workspace, options, _AGAIN)

"""Questions to TensorFlow: who is blamed where it fails, and what bounds it."""

from pathlib import Path

import pytest

from edgekit.errors import ConversionError, InputError
from edgekit_converters.tensorflow_asking import ask_tensorflow, blaming, list_tensorflow_tools


def test_the_user_s_file_is_blamed() -> None:
    """What the tool says is told of the file, with a remedy where the tool had none."""
    with (
        pytest.raises(InputError, match=r"model\.h5: it is broken: no such layer\. Save it again\."),
        blaming(Path("model.h5"), "it is broken", "Save it again."),
    ):
        raise ConversionError("tensorflow", "no such layer")


def test_versions_are_those_of_the_lock() -> None:
    """The packages that take part are told with their versions alone."""
    tools = list_tensorflow_tools()
    assert set(tools) == {"tensorflow", "tf2onnx"}
    assert all(version.replace(".", "").isdigit() for version in tools.values())


@pytest.mark.heavy
def test_bombs_of_hdf5_are_refused(tensorflow, tmp_path) -> None:
    """A file of a few kilobytes that declares a terabyte of weights, and one whose weights lie elsewhere, are refused."""
    import subprocess

    program = """
import h5py, sys
with h5py.File(sys.argv[1] + "/large.h5", "w") as file:
    file.create_dataset("weights", (1 << 40,), "f4", chunks=(1 << 20,), compression="gzip")
with h5py.File(sys.argv[1] + "/outside.h5", "w") as file:
    file["weights"] = h5py.ExternalLink("/etc/passwd", "/weights")
with h5py.File(sys.argv[1] + "/raw.h5", "w") as file:
    file.create_dataset("weights", (4,), "u1", external=[("/etc/passwd", 0, 4)])
"""
    subprocess.run([tensorflow, "-I", "-c", program, tmp_path], check=True, timeout=60)
    for name, told in (("large", "need more than"), ("outside", "in another file"), ("raw", "in another file")):
        with pytest.raises(ConversionError, match=told):
            ask_tensorflow("inspect", tmp_path / f"{name}.h5", largest=1 << 30)

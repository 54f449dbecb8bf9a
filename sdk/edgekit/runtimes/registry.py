"""Which runtimes are installed on this machine."""

from edgekit.errors import DeviceError
from edgekit.plugins import RUNTIMES, find_plugins, load_plugin
from edgekit.runtimes.base import Runtime

#: The extra that installs a runtime for a format.
EXTRAS = {"onnx": "onnx", "tflite": "litert", "openvino": "openvino"}


def find_runtimes() -> dict[str, Runtime]:
    """Every runtime that is installed here, by name."""
    known = {name: load_plugin(RUNTIMES, name)() for name in find_plugins(RUNTIMES)}
    return {name: runtime for name, runtime in known.items() if runtime.find_version() is not None}


def find_runtime(format: str, name: str | None = None) -> Runtime:
    """An installed runtime for *format*: the one called *name*, else the first by name.

    Raises:
        DeviceError: none is installed, with the command that installs one.
    """
    fitting = [runtime for runtime in find_runtimes().values() if format in runtime.formats and name in (None, runtime.name)]
    if not fitting:
        wanted = f"the runtime {name!r}" if name else f"a runtime for {format} models"
        raise DeviceError(wanted, "it is not installed here", f"Install it: pip install 'edgekit[{EXTRAS.get(format, format)}]'.")
    return fitting[0]

"""Which packages are installed, and how a runtime's refusals are told."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edgekit.errors import DeviceError, InputError

_LONGEST = 300


def find_package_version(package: str) -> str | None:
    """The installed version of *package*; None where it is not installed. Reads metadata, imports nothing."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def lacks_runtime(name: str, extra: str, error: ImportError) -> DeviceError:
    """The refusal for a runtime that cannot be imported here."""
    return DeviceError(f"runtime {name!r}", f"it cannot be imported: {error}", f"Install it: pip install 'edgekit[{extra}]'.")


def refuse_model(path: Path, runtime: str, error: Exception) -> InputError:
    """The refusal for a file that *runtime* cannot load."""
    remedy = "Check that the file is whole and has this format, or make the model again."
    return InputError(path, f"{runtime} cannot load it: {summarize(error)}", remedy)


def refuse_run(path: Path, runtime: str, error: Exception) -> InputError:
    """The refusal for inputs on which *runtime* failed."""
    return InputError(path, f"{runtime} cannot run it on these inputs: {summarize(error)}", "Check the inputs' shapes and dtypes.")


def refuse_closed(path: Path) -> DeviceError:
    """The refusal to run a session that was closed."""
    return DeviceError(path, "its session was closed", "Open the model again.")


def summarize(error: Exception) -> str:
    """The line of a runtime's message that says something, shortened to 300 characters.

    OpenVINO puts the places in its own source before it, and sometimes empty lines behind it.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from ", "Check '", "FrontEnd API failed"))] or lines
    text = telling[0] if telling else type(error).__name__
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"

"""What reading a model file may take, by its size."""

from edgekit_converters.confining import Limits

#: Python with onnx takes 130 MiB of address space and half a second, whatever the file.
_MEMORY, _SECONDS = 1 << 30, 30.0
#: What each byte of a file adds: it is held in a dozen forms, and goes through the passes at 5 MB/s at least.
_COPIES, _RATE = 12, 5e6


def limit_reading(size: int) -> Limits:
    """The limits for a model of *size* bytes, weights in other files included."""
    return Limits(_MEMORY + _COPIES * size, _SECONDS + size / _RATE)

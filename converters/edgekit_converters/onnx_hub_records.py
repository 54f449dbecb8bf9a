"""What is asked of the process that reads an ONNX file, and what it answers."""

from edgekit.measuring_frames import Refused
from edgekit.records import Record
from edgekit.tensors import DType, TensorSpec


class HubRequest(Record, frozen=True, kw_only=True):
    """Make the hub at *hub* of the ONNX file *path*; *subject* is what errors call it, and the rest is SourceOptions'."""

    path: str
    hub: str
    subject: str
    shapes: dict[str, tuple[int | None, ...]] = {}
    dtypes: dict[str, DType] = {}
    layouts: dict[str, tuple[str, str]] = {}


class HubReport(Record, frozen=True, kw_only=True, tag=True):
    """What a hub takes and gives, the passes that changed something, and the number format that it came in."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    passes: tuple[str, ...] = ()
    precision: str = "fp32"


HubReply = HubReport | Refused

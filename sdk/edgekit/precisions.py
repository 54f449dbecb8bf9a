"""In which numbers a variant computes and stores its weights: the names that users write, and what each stands for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edgekit.errors import UnknownName

Scheme = Literal["static", "dynamic", "weights"]


@dataclass(frozen=True)
class Precision:
    """A number format, and for integers how activations get it.

    *name* is what users write and what ends a variant's id. *scheme* is ``static`` where activations have fixed ranges,
    which want calibration, ``dynamic`` where each inference finds them, and ``weights`` where only weights are integers.
    """

    name: str
    number: str
    scheme: Scheme | None = None

    @property
    def needs_calibration(self) -> bool:
        """Whether representative inputs decide the result."""
        return self.scheme == "static"


# fmt: off
PRECISIONS: dict[str, Precision] = {one.name: one for one in (
    Precision("fp32",         "fp32"),
    Precision("fp16",         "fp16"),
    Precision("bf16",         "bf16"),
    Precision("int8",         "int8", "static"),
    Precision("int8-dynamic", "int8", "dynamic"),
    Precision("int8-weights", "int8", "weights"),
    Precision("int4-weights", "int4", "weights"),
)}
# fmt: on


def find_precision(name: str) -> Precision:
    """The precision that *name* stands for, or UnknownName."""
    if name not in PRECISIONS:
        raise UnknownName("precision", name, PRECISIONS)
    return PRECISIONS[name]


def order_precisions(names: Sequence[str]) -> tuple[Precision, ...]:
    """The precisions of *names*, each once, in the order in which they stand in the table."""
    wanted = {find_precision(name).name for name in names}
    return tuple(precision for precision in PRECISIONS.values() if precision.name in wanted)

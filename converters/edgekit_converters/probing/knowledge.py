"""What probing knows, as ``edgekit preflight`` asks for it."""

from pathlib import Path

from edgekit.operator_support import OperatorUse, SupportTable
from edgekit_converters.probing.reading import list_uses
from edgekit_converters.probing.tables import read_tables


class ProbedOperators:
    """The tables that this package brings, and how the operators of a model are found in them."""

    def list_tables(self) -> tuple[SupportTable, ...]:
        """The table of every runtime and version that was probed."""
        return read_tables()

    def list_uses(self, path: Path, dialect: str) -> tuple[OperatorUse, ...]:
        """The operators of the model at *path*, written in *dialect*."""
        return list_uses(path, dialect)

"""Whatever record the packages have, today or later, it is the same after it was encoded and decoded."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import inspect

import edgekit
import edgekit_agent
from edgekit.errors import InputError
from edgekit.records import Record


def find_records() -> list[type[Record]]:
    """Every record of the sdk and the agent, found by importing all their modules."""
    for package in (edgekit, edgekit_agent):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            # A program's entry runs, and a migration is Alembic's to load: neither holds a record.
            if not module.name.endswith("__main__") and ".migrations." not in module.name:
                importlib.import_module(module.name)
    return sorted(set(descend(Record)), key=lambda record: record.__name__)


def descend(record: type) -> Iterator[type[Record]]:
    for child in record.__subclasses__():
        yield child
        yield from descend(child)


def draw_records(record: type[Record]) -> st.SearchStrategy[Record]:
    """Records of that class; what its own checks refuse is not drawn."""
    return st.builds(lambda fields: make(record, fields), draw_fields(record)).filter(lambda made: made is not None)


def make(record: type[Record], fields: dict[str, Any]) -> Record | None:
    try:
        return record(**fields)
    except (ValueError, InputError):
        return None


def draw_fields(record: type[Record]) -> st.SearchStrategy[dict[str, Any]]:
    info = inspect.type_info(record)
    assert isinstance(info, inspect.StructType)
    return st.fixed_dictionaries({field.name: draw(field.type) for field in info.fields})


def draw(kind: inspect.Type) -> st.SearchStrategy[Any]:  # noqa: C901, PLR0911, PLR0912 - one row for each kind of type
    """Values of the type that msgspec describes as *kind*, with its bounds."""
    match kind:
        case inspect.Metadata():
            return draw(kind.type)
        case inspect.IntType():
            least = bound(kind.ge, -(1 << 53)) if kind.gt is None else kind.gt + 1
            return st.integers(least, bound(kind.le, 1 << 53) if kind.lt is None else kind.lt - 1)
        case inspect.FloatType():
            least, most = (kind.ge if kind.gt is None else kind.gt), (kind.le if kind.lt is None else kind.lt)
            figures = st.floats(least, most, allow_nan=False, allow_infinity=False)
            return figures.filter(lambda figure: figure not in (kind.gt, kind.lt))
        case inspect.AnyType():
            return st.none() | st.booleans() | st.integers(-100, 100) | st.text(max_size=5) | st.lists(st.text(max_size=5), max_size=2)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.StrType(pattern=str() as pattern):
            return st.from_regex(pattern).filter(lambda text: (kind.min_length or 0) <= len(text) <= bound(kind.max_length, 200))
        case inspect.StrType():
            return st.text(min_size=kind.min_length or 0, max_size=min(bound(kind.max_length, 20), 20))
        case inspect.LiteralType():
            return st.sampled_from(kind.values)
        case inspect.EnumType():
            return st.sampled_from(list(kind.cls))
        case inspect.UnionType():
            return st.one_of(*map(draw, kind.types))
        case inspect.VarTupleType() | inspect.ListType():
            return st.lists(draw(kind.item_type), min_size=kind.min_length or 0, max_size=2).map(
                tuple if isinstance(kind, inspect.VarTupleType) else list
            )
        case inspect.TupleType():
            return st.tuples(*map(draw, kind.item_types))
        case inspect.DictType():
            return st.dictionaries(draw(kind.key_type), draw(kind.value_type), max_size=2)
        case inspect.BytesType():
            return st.binary(max_size=20)
        case inspect.StructType():
            return draw_records(kind.cls)
    raise TypeError(kind)


def bound(given: int | None, otherwise: int) -> int:
    return otherwise if given is None else given


# A manifest's parts must agree with each other, which random ones never do: test_records.py draws whole ones. Frames of
# the measuring worker hold bare buffers and are never JSON: test_measuring_frames.py has them.
ELSEWHERE = ("edgekit.manifest.Manifest", "edgekit.measuring_frames.")
JSON_RECORDS = [one for one in find_records() if not f"{one.__module__}.{one.__name__}".startswith(ELSEWHERE)]


@pytest.mark.parametrize("record", JSON_RECORDS, ids=lambda record: record.__name__)
def test_round_trip(record: type[Record]) -> None:
    """Each record that can be made is equal to itself after a round trip through JSON."""

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(draw_records(record))
    def holds(made: Record) -> None:
        assert record.decode(made.encode()) == made

    holds()


def test_manifest_is_among_them() -> None:
    """The search finds the records that matter most."""
    assert {"Manifest", "TensorSpec", "Inventory", "ModelSlots"} <= {record.__name__ for record in find_records()}
    assert all(issubclass(record, msgspec.Struct) for record in find_records())

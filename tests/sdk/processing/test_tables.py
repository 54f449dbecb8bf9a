"""Tables: rows of figures from CSV and arrays, each wrong cell named."""

import time

import numpy as np
import pytest

from edgekit.contract import Feature
from edgekit.errors import InputError
from edgekit.processing.tables import MAX_BYTES, MAX_HEADER_BYTES, prepare_table, read_table


def test_columns_come_in_the_contracts_order():
    """Columns are found by their names, whatever their order, and others are left alone."""
    data = b"time,z,x,y\n0,3,1,2\n1,6.5,4,-5e1\n"
    assert read_table(data, ("x", "y", "z"), "rows").tolist() == [[1, 2, 3], [4, -50, 6.5]]
    assert read_table(data, ("x", "y", "z"), "rows").dtype == np.float32


def test_all_columns_are_taken_where_none_is_named():
    """A contract that names no columns takes those that there are."""
    assert read_table(b"a,b\n1,2\n", (), "rows").tolist() == [[1, 2]]
    assert read_table(np.ones((3, 7)), (), "rows").shape == (3, 7)


@pytest.mark.parametrize(
    "data",
    ["\ufeffx,y\r\n1,2\r\n".encode(), b'"x", "y"\n"1",2\n', b"x,y\n\n1,2\n\n", "x,y\n1,2", memoryview(b"x,y\n1,2")],
    ids=["as Excel writes it", "quoted", "empty lines", "text", "buffer"],
)
def test_csv_of_several_hands_is_the_same(data):
    """A byte order mark, the line ends of Windows, quotes, spaces around names and empty lines change nothing."""
    assert read_table(data, ("x", "y"), "rows").tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "it is empty"),
        (b"x,y\n", "it holds no rows"),
        (b"a,b\n1,2\n", "column 'x' is not among those that its first line names: a, b"),
        (b"x,y,x\n1,2,3\n", "column 'x' is more than once"),
        (b"x,y\n1,2\n3,four\n", "row 2, column 'y' is 'four', which is no finite number"),
        (b"x,y\n1,nan\n", "row 1, column 'y' is 'nan'"),
        (b"x,y\n1,inf\n", "row 1, column 'y' is 'inf'"),
        (b"x,y\n1,\n", "row 1, column 'y' is ''"),
        (b"x,y\n1\n", "row 1, column 'y' is ''"),
        (b"x,y\n1,1e39\n", r"row 1, column 2 is 1e\+39, which is no finite float32"),
        (b"x,y\n1,\xff\n", "no CSV that can be read"),
        ("x,y\n1,\ud800\n", "no CSV that can be read"),
        (b'x,y\n1,"' + b"2" * 200_000 + b'"\n', "no CSV that can be read: field larger"),
        (np.zeros((2, 3)), r"it is float64\[2, 3\], and figures \[rows, 2\] are expected"),
        (np.zeros(3), "figures"),
        (np.array([["a", "b"]]), "figures"),
        (np.array([[1.0, np.nan]]), "row 1, column 2 is nan"),
        (np.zeros((0, 2)), "it holds no rows"),
    ],
)
def test_wrong_cells_are_named(data, told):
    """What cannot be used is refused with its row and column, and what was found there."""
    with pytest.raises(InputError, match=f"rows: .*{told}"):
        read_table(data, ("x", "y"), "rows")


def test_a_million_columns_are_read_or_refused_at_once():
    """As many columns as the longest first line can name take no longer for it, and a longer line is refused."""
    names = ",".join(f"{number:x}" for number in range(150_000)).encode()
    assert len(names) < MAX_HEADER_BYTES
    start = time.monotonic()
    with pytest.raises(InputError, match="column 'x' is not among"):
        read_table(names + b"\n1\n", ("x",), "rows")
    with pytest.raises(InputError, match="its first line has more than"):
        read_table(b"a," * 600_000, ("a",), "rows")
    assert time.monotonic() - start < 5


def test_large_tables_are_refused():
    """More bytes or figures than are taken are refused with their number."""
    with pytest.raises(InputError, match="it has 64 MiB"):
        read_table(bytes(MAX_BYTES + 1), ("x",), "rows")
    with pytest.raises(InputError, match="figures, and at most"):
        read_table(np.broadcast_to(np.float32(0), (1 << 24, 2)), ("x", "y"), "rows")


def test_a_prepared_table_is_one_sample():
    """What a feature reads has an axis for samples in front, and its messages name the feature."""
    read = prepare_table(Feature(name="motion", kind="series", feeds="x", columns=("b", "a")))
    assert read(b"a,b\n1,2\n").tolist() == [[[2, 1]]]
    with pytest.raises(InputError, match="input 'motion': "):
        read(b"c\n1\n")
    with pytest.raises(InputError, match="each is to be named once"):
        prepare_table(Feature(name="motion", kind="series", feeds="x", columns=("a", "a")))

"""CSV files of any length."""

import tracemalloc
from pathlib import Path

import pytest

from edgekit.datasets.csv_file import MAX_COLUMNS, MAX_LINE, index_csv, read_columns
from edgekit.errors import InputError


def test_rows(tmp_path: Path) -> None:
    """Rows are read by their numbers, though cells have line feeds, commas and quotes, and lines are empty."""
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffname,label\r\n"a, b",1\r\n\r\n"line\none",2\r\n"say ""no""",ü\u2028x\r\n'.encode())
    file, cells = index_csv(path, ("label", "absent"))
    assert file.columns == ("name", "label") == read_columns(path)
    assert cells == {"label": ["1", "2", "ü\u2028x"]}
    assert [file.read_rows(row, row + 1)[0][0] for row in range(file.n)] == ["a, b", "line\none", 'say "no"']
    assert len(file.read_rows(0, 3)) == 3


def test_delimiters(tmp_path: Path) -> None:
    """Semicolons and tabs separate cells where the line of names has them."""
    for mark in (";", "\t"):
        (tmp_path / "a.csv").write_text(f"x{mark}y\n1{mark}2,5\n")
        assert index_csv(tmp_path / "a.csv")[0].read_rows(0, 1) == [["1", "2,5"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not name each column"),
        (b"a,,c\n", "does not name each column"),
        (b"a,b,a\n", "more than once"),
        (b"a,b\n1,2\n1,2,3\n", "row 2 has 3 cells, and there are 2 columns"),
        (b"a,b\n\xff\xfe,1\n", "cannot be read as a CSV"),
        (b'a,b\n"1,2\n', "cannot be read as a CSV"),
        (b"a,b\n" + b"x" * 200_000 + b",1\n", "cannot be read as a CSV"),
    ],
)
def test_damaged(tmp_path: Path, content: bytes, message: str) -> None:
    """What is no CSV is refused with the row that is wrong."""
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        index_csv(tmp_path / "a.csv")


def test_million_columns(tmp_path: Path) -> None:
    """A million columns are refused by the first line, and a line without end after a mebibyte, without the memory for them."""
    (tmp_path / "wide.csv").write_text(",".join(map(str, range(100_000))))
    (tmp_path / "endless.csv").write_text("x," * (20 * MAX_LINE))
    tracemalloc.start()
    with pytest.raises(InputError, match=f"100000 columns, and the limit is {MAX_COLUMNS}"):
        index_csv(tmp_path / "wide.csv")
    with pytest.raises(InputError, match="a line of more than"):
        index_csv(tmp_path / "endless.csv")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * MAX_LINE


def test_absent(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(InputError, match=r"absent.csv: it cannot be read as a CSV: No such file"):
        index_csv(tmp_path / "absent.csv")

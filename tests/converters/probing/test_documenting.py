"""The reference page of all tables."""

from pathlib import Path

from edgekit.operator_support import Finding, SupportTable
from edgekit_converters.probing.documenting import describe_tables
from edgekit_converters.probing.tables import read_tables

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "operators.md"


def finding(state: str, **more: object) -> Finding:
    told = {"since": (1,), "dtypes": ("float32",), "constants": ("none",), "agreeing": 1, "cases": 1}
    return Finding(state=state, **(told | more))


def test_the_page_is_that_of_the_tables() -> None:
    """It was written after the last probing: python -m edgekit_converters.probing --document docs/reference/operators.md."""
    assert PAGE.read_text(encoding="utf-8") == describe_tables(read_tables())


def test_a_cell_tells_float_and_int8() -> None:
    """An operator that was not probed in one runtime is unknown there, and what is refused has its reason below."""
    relu = (finding("native"), finding("fallback", dtypes=("int8",), is_quantised=True))
    det = (finding("refused", reason="no kernel"),)
    one = SupportTable(runtime="a", version="1", dialect="onnx", tools={"onnx": "1"}, machine="x86_64", operators={"Relu": relu, "Det": det})
    other = SupportTable(runtime="b", version="2", dialect="onnx", tools={"onnx": "1"}, machine="x86_64", operators={"Relu": relu[:1]})
    page = describe_tables([one, other])
    assert "| Relu | native / fallback | native |" in page
    assert "| Det | refused | unknown |" in page
    assert "- Det: no kernel" in page

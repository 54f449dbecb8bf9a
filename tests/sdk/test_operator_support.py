"""Judging operators by what probing found: plain values in, plain values out."""

import pytest

from edgekit.operator_support import UNPROBED, Finding, Form, Judgement, OperatorUse, SupportTable, find_table, judge_operator, worst


def make_table(version: str = "1.32.0", runtime: str = "onnxruntime", dialect: str = "onnx", **operators: tuple[Finding, ...]) -> SupportTable:
    return SupportTable(runtime=runtime, version=version, dialect=dialect, tools={"onnx": "1"}, machine="x86_64", operators=operators)


def finding(state: str = "native", **more: object) -> Finding:
    told = {"since": (11,), "dtypes": ("float32",), "constants": ("none",), "agreeing": 2, "cases": 2}
    return Finding(state=state, **(told | more))


def use(operator: str = "Conv", versions: tuple[int, ...] = (11, 22), **form: object) -> OperatorUse:
    return OperatorUse(form=Form(**({"operator": operator, "since": 11, "dtype": "float32"} | form)), versions=versions)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("1.32.0", "1.32.0"),
        ("1.33.1", "1.32.0"),
        ("1.24.9", "1.17.3"),
        ("1.17", "1.17.3"),
        ("1.16.3", None),
        (None, "1.32.0"),
        ("1.32.0+cpu", "1.32.0"),
    ],
)
def test_the_table_is_that_of_the_nearest_version_below(asked, found) -> None:
    """A newer runtime has at least what an older one had; of an older one nothing is known."""
    tables = [make_table("1.32.0"), make_table("1.17.3"), make_table("9.9", runtime="litert"), make_table("9.9", dialect="tflite")]
    table = find_table(tables, "onnxruntime", "onnx", asked)
    assert (None if table is None else table.version) == found


def test_an_operator_is_judged_in_its_own_form() -> None:
    """The version, the element type and int8 each have a finding of their own."""
    table = make_table(Conv=(finding(), finding("fallback", dtypes=("float16",), reason="casts"), finding("refused", since=(22,), reason="too new")))
    assert judge_operator(use(), table) == Judgement(state="native")
    assert judge_operator(use(dtype="float16"), table) == Judgement(state="fallback", reason="casts")
    assert judge_operator(use(since=22), table) == Judgement(state="refused", reason="too new")


def test_what_was_not_probed_is_unknown() -> None:
    """A runtime, an operator, a version and an element type that nobody has tried are never guessed."""
    table = make_table(Conv=(finding(),))
    assert judge_operator(use(), None) == Judgement(state="unknown", reason=UNPROBED)
    assert judge_operator(use("Gelu"), table).reason == "it was not probed"
    for form in ({"since": 22}, {"dtype": "bfloat16"}, {"dtype": "int8", "is_quantised": True}):
        assert judge_operator(use(**form), table).state == "unknown"


def test_what_needs_no_constants_does_as_well_with_some() -> None:
    """And what was probed with constants alone is not promised without."""
    free, bound = make_table(Conv=(finding(),)), make_table(Conv=(finding(constants=("rest",)),))
    assert judge_operator(use(constants="rest"), free).state == "native"
    assert judge_operator(use(constants="none"), bound).state == "unknown"


def test_a_share_of_the_probed_models_is_told() -> None:
    """Most attributes run and one does not: the reason says which."""
    table = make_table(Conv=(finding(agreeing=5, cases=6, reason="no kernel for cubic"),))
    judgement = judge_operator(use(), table)
    assert judgement == Judgement(state="native", reason="5 of 6 probed models are native; of the others: no kernel for cubic")


def test_the_newest_opset_of_a_device_decides_on_the_version() -> None:
    """A file for opset 17 has the convolution of opset 11; what came after it cannot be said there."""
    table = make_table(Conv=(finding(),), Gelu=(finding(since=(20,)),))
    assert judge_operator(use(since=22), table, opset=17).state == "native"
    assert judge_operator(use("Gelu", (20,), since=20), table, opset=17).reason == "it came with opset 20, and opset 17 is the newest there"
    assert judge_operator(use("ai.onnx.ml.Scaler", (1,), since=20), table, opset=17).state == "unknown"


def test_what_is_refused_is_worst() -> None:
    """An unknown operator may run yet; a refused one may not."""
    states = [Judgement(state=state) for state in ("native", "unknown", "refused", "fallback")]
    assert worst(states) == "refused"
    assert worst(states[:2]) == "unknown"
    assert worst([]) == "native"

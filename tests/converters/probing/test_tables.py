"""Tables: verdicts made into findings, and files of them."""

from edgekit.operator_support import Finding, Form, Judgement, SupportTable
from edgekit_converters.probing.tables import Verdict, make_findings, read_tables, write_table

NATIVE = Judgement(state="native")
REFUSED = Judgement(state="refused", reason="no kernel")


def form(since: int = 11, dtype: str = "float32", constants: str = "none") -> Form:
    return Form(operator="Conv", since=since, dtype=dtype, constants=constants)


def test_forms_of_which_the_same_is_true_are_joined() -> None:
    """Versions, types and constants that fare alike make one finding, with all its cases counted."""
    verdicts = [Verdict(form(since, dtype), NATIVE) for since in (11, 22) for dtype in ("float32", "float16")]
    (finding,) = make_findings(verdicts)["Conv"]
    assert (finding.since, finding.dtypes, finding.agreeing, finding.cases) == ((11, 22), ("float16", "float32"), 4, 4)


def test_forms_of_which_different_things_are_true_are_kept_apart() -> None:
    """A refusal of one element type says nothing of another."""
    findings = make_findings([Verdict(form(), NATIVE), Verdict(form(dtype="int64"), REFUSED)])["Conv"]
    assert {finding.dtypes: finding.state for finding in findings} == {("float32",): "native", ("int64",): "refused"}


def test_most_models_decide_and_the_worst_one_is_told() -> None:
    """Two of three run natively, and the reason is that of the third."""
    (finding,) = make_findings([Verdict(form(), NATIVE), Verdict(form(), REFUSED), Verdict(form(), NATIVE)])["Conv"]
    assert (finding.state, finding.agreeing, finding.cases, finding.reason) == ("native", 2, 3, "no kernel")


def test_as_many_of_each_is_the_worse_of_the_two() -> None:
    """What runs in one model of two is not to be counted on."""
    (finding,) = make_findings([Verdict(form(), NATIVE), Verdict(form(), REFUSED)])["Conv"]
    assert finding.state == "refused"


def test_a_restated_model_is_no_proof_against_one_that_runs() -> None:
    """An older version refuses words that came later, and runs in its own; where none runs, it is refused."""
    mixed = [Verdict(form(), REFUSED, is_restated=True), Verdict(form(), NATIVE, is_restated=True)]
    assert make_findings(mixed)["Conv"][0].state == "native"
    assert make_findings(mixed[:1])["Conv"][0].state == "refused"


def test_a_table_is_read_as_it_was_written(tmp_path) -> None:
    """An operator a line, in a file that is named by runtime and version."""
    findings = {"Add": (Finding(since=(14,), dtypes=("float32",), constants=("none",), state="native", agreeing=1, cases=1),)}
    table = SupportTable(runtime="litert", version="2.3.0", dialect="onnx", tools={"onnx": "1"}, machine="x86_64", operators=findings | {"Conv": ()})
    path = write_table(table, tmp_path)
    assert path.name == "litert-2.3.0.json"
    assert [line.split(":")[0].strip() for line in path.read_text().splitlines()[1:3]] == ['"Add"', '"Conv"']
    assert read_tables(tmp_path) == (table,)

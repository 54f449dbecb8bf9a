"""Running: every trial once, and one that was interrupted goes on where it was."""

import pytest

from edgekit.errors import DeviceError
from edgekit.locks import holding_lock
from edgekit_converters.probing.cases import collect_cases
from edgekit_converters.probing.onnx_runtime_prober import OnnxRuntimeProber
from edgekit_converters.probing.running import probe_trials


@pytest.fixture(scope="module")
def trials():
    return [case for operator in ("Relu", "Mish") for case in collect_cases([operator]) if case.form.dtype == "float32"]


def test_an_interrupted_probing_goes_on_where_it_was(tmp_path, trials) -> None:
    """What was found is not asked again, a half-written line is, and the table is that of a probing in one go."""

    def interrupt(done: int, _total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        probe_trials(OnnxRuntimeProber(), trials, tmp_path, interrupt)
    (journal,) = tmp_path.glob("*.jsonl")
    assert journal.read_bytes().count(b"\n") == 3
    # A power cut in the middle of a line; and one that was found is changed, to see that it is taken from here.
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[-1] = lines[-1].replace(b'"state":"native","reason":""', b'"state":"fallback","reason":"from the journal"')
    journal.write_bytes(b"".join(lines) + b'{"id":"cut')
    resumed = probe_trials(OnnxRuntimeProber(), trials, tmp_path, lambda *_: None)
    whole = probe_trials(OnnxRuntimeProber(), trials, tmp_path, lambda *_: None)
    assert {one.reason for one in whole.operators["Relu"]} == {""}
    assert {one.reason for one in resumed.operators["Relu"]} == {"", "from the journal"}
    assert resumed.operators["Mish"] == whole.operators["Mish"]
    assert list(tmp_path.glob("*.jsonl")) == []


def test_a_table_says_what_it_is_of(tmp_path, trials) -> None:
    """The runtime with its version, and onnx, whose models were run."""
    steps: list[tuple[int, int]] = []
    table = probe_trials(OnnxRuntimeProber(), trials[:2], tmp_path, lambda done, total: steps.append((done, total)))
    assert (table.runtime, table.version, table.dialect) == ("onnxruntime", OnnxRuntimeProber().find_version(), "onnx")
    assert set(table.tools) == {"onnx"}
    assert steps == [(0, 2), (1, 2)]


def test_two_at_the_same_probing_do_not_meet(tmp_path, trials) -> None:
    """The second is told that another is at work."""

    def try_again(done: int, _total: int) -> None:
        if done == 0:
            with pytest.raises(DeviceError, match="at work"), holding_lock(next(tmp_path.glob("*.lock"))):
                pass

    probe_trials(OnnxRuntimeProber(), trials[:1], tmp_path, try_again)

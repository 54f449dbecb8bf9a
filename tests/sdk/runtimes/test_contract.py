"""What every runtime must do, the twin in memory included."""

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from edgekit.errors import DeviceError, InputError

ROWS = np.array([[1, 1, 1], [0, -1, 2], [3, 0, 0], [0.5, 0.25, 0.125], [-4, 2, 1]], np.float32)


@pytest.fixture
def session(case):
    session = case.runtime.open(case.path, 1)
    yield session
    session.close()


def test_session_shows_the_file_s_own_tensors(session):
    """A session names the tensors as the file does, with their dtypes, and a name for each size that may vary."""
    assert [(spec.name, spec.dtype, spec.shape[1:]) for spec in session.inputs] == [("x", "float32", (3,))]
    assert [(spec.name, spec.dtype, spec.shape[1:]) for spec in session.outputs] == [("y", "float32", (2,))]
    assert session.inputs[0].has_dynamic_batch and session.outputs[0].has_dynamic_batch


def test_answers_are_the_model_s(case, session):
    """The answers are right at any batch, also when the batch changes between calls."""
    for count in (1, 5, 2, 1):
        np.testing.assert_allclose(session.run([ROWS[:count]])[0], case.answer(ROWS[:count]), rtol=1e-6)


def test_answers_belong_to_the_caller(case, session):
    """An answer is not overwritten by the next run, and may be written to without changing it."""
    first = session.run([ROWS[:1]])[0]
    session.run([ROWS[1:2]])
    np.testing.assert_allclose(first, case.answer(ROWS[:1]), rtol=1e-6)
    first[:] = 99
    np.testing.assert_allclose(session.run([ROWS[1:2]])[0], case.answer(ROWS[1:2]), rtol=1e-6)


def test_inputs_may_be_read_only(case, session):
    """An input that may not be written to is taken as it is."""
    given = ROWS[:2].copy()
    given.flags.writeable = False
    np.testing.assert_allclose(session.run([given])[0], case.answer(ROWS[:2]), rtol=1e-6)


def test_two_sessions_of_one_file_live_side_by_side(case, session):
    """A second session answers for itself, and the first goes on when it is closed."""
    second = case.runtime.open(case.path, 1)
    mine, theirs = session.run([ROWS[:1]])[0], second.run([ROWS[1:3]])[0]
    second.close()
    np.testing.assert_allclose(mine, case.answer(ROWS[:1]), rtol=1e-6)
    np.testing.assert_allclose(theirs, case.answer(ROWS[1:3]), rtol=1e-6)
    np.testing.assert_allclose(session.run([ROWS])[0], case.answer(ROWS), rtol=1e-6)


def test_threads_may_share_a_session(case, session):
    """Several threads at once get the answers to their own inputs."""
    inputs = [np.full((1 + index % 3, 3), index, np.float32) for index in range(60)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda given: session.run([given])[0], inputs))
    for given, answer in zip(inputs, answers, strict=True):
        np.testing.assert_allclose(answer, case.answer(given), rtol=1e-6)


def test_a_wrong_shape_is_refused_and_harms_nothing(case, session):
    """An input that the model cannot take is an InputError that names the file, and the session goes on."""
    with pytest.raises(InputError, match=case.path.name):
        session.run([np.zeros((1, 7), np.float32)])
    np.testing.assert_allclose(session.run([ROWS[:2]])[0], case.answer(ROWS[:2]), rtol=1e-6)


@pytest.mark.parametrize("content", [b"", b"\n", b"hello, I am no model", b"\x00\x01\x02\x03TFL3" + bytes(range(256)), b'<?xml version="1.0"?><net>'])
def test_a_file_that_is_no_model_is_refused(case, tmp_path, content):
    """Bytes that are no model are an InputError that names the file, in one line and without a crash."""
    path = tmp_path / f"bad{case.path.suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=path.name) as refusal:
        case.runtime.open(path, 1)
    assert "\n" not in str(refusal.value)


def test_a_truncated_file_is_refused(file_case):
    """Wherever a model file is cut off, it is refused."""
    whole = file_case.path.read_bytes()
    for length in range(0, len(whole) - 1, max(1, len(whole) // 25)):
        file_case.path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=file_case.path.name):
            file_case.runtime.open(file_case.path, 1)


def test_a_missing_file_is_refused(case, tmp_path):
    """A path with nothing at it is an InputError that names it."""
    with pytest.raises(InputError, match="absent"):
        case.runtime.open(tmp_path / f"absent{case.path.suffix}", 1)


def test_a_closed_session_refuses(case):
    """After close a run is refused, and closing again is no harm."""
    session = case.runtime.open(case.path, 1)
    session.close()
    session.close()
    with pytest.raises(DeviceError, match="closed"):
        session.run([ROWS[:1]])


def test_closing_gives_the_engine_back(file_case):
    """After close the runtime's own object, which holds the memory, is gone."""
    session = file_case.runtime.open(file_case.path, 1)
    engine = weakref.ref(getattr(session, file_case.engine))
    session.close()
    gc.collect()
    assert engine() is None


def test_nothing_is_said_on_stdout(case, capfd):
    """Stdout is for JSON alone, so a runtime that loads and runs a model writes nothing there."""
    session = case.runtime.open(case.path, 1)
    session.run([ROWS[:1]])
    session.close()
    assert capfd.readouterr().out == ""


def test_a_version_is_known(case):
    """A runtime that is installed tells its version."""
    assert case.runtime.find_version()

"""A release on trial answers, and the one behind it answers what it fails."""

import threading

import numpy as np
import pytest

from edgekit.deployment import Evidence
from edgekit.errors import DeviceError, InputError
from edgekit.tensors import TensorSpec
from edgekit_agent.observing import Outcome
from edgekit_agent.serving import Serving, UnknownModel

ONE = {"x": np.ones(1, np.float32)}
NAN = {"x": np.full(1, np.nan, np.float32)}


class Recorder:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard = []

    def on_request(self, info, latency_ms, outcome, inputs, outputs) -> None:
        assert latency_ms >= 0
        self.heard.append((info.version, outcome, inputs is not None, outputs is not None))


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def serving(recorder, make_live):
    with Serving(observer=recorder) as serving:
        serving.swap(make_live(1))
        yield serving


def ask(serving, inputs=ONE, wanted=(), version=None):
    """The version that answered, and its answer."""
    with serving.leasing("adder", version) as lease:
        answer = lease.infer(inputs, wanted)
        return answer.info.version, float(answer.outputs["y"][0])


def crash(_inputs):
    raise RuntimeError("out of luck")


def refuse(_inputs):
    raise ValueError("the runtime refuses these inputs")


def answer_nan(inputs):
    return [inputs[0] * np.float32("nan")]


def test_the_release_on_trial_answers(serving, make_live, recorder):
    """While nothing goes wrong, every answer is the new release's, and the one behind it is not run."""
    serving.begin_trial(make_live(10, version="2.0.0"))
    assert ask(serving) == ("2.0.0", 11.0)
    evidence = serving.find_evidence("adder")
    assert (evidence.requests, evidence.failed, evidence.rescued) == (1, 0, 0)
    assert evidence.p95_ms > 0
    assert evidence.previous_p95_ms is None
    assert recorder.heard == [("2.0.0", Outcome.ANSWERED, True, True)]


@pytest.mark.parametrize(("function", "has_own"), [(crash, False), (refuse, False), (answer_nan, True)])
def test_what_it_fails_is_rescued(serving, make_live, recorder, function, has_own):
    """An error, a runtime's refusal of tensors that fit, or NaN: the caller gets the previous release's answer, and is told whose it is."""
    serving.begin_trial(make_live(version="2.0.0", function=function))
    assert ask(serving) == ("1.0.0", 2.0)
    evidence = serving.find_evidence("adder")
    assert (evidence.requests, evidence.failed, evidence.rescued) == (1, 1, 1)
    assert recorder.heard == [("2.0.0", Outcome.RESCUED, True, has_own)]


def test_a_callers_mistake_is_no_failure(serving, make_live, recorder):
    """A wrong dtype, an unknown output, or a request that cannot be read: refused, and no evidence against the release."""
    serving.begin_trial(make_live(version="2.0.0"))
    with pytest.raises(InputError, match="dtype"):
        ask(serving, {"x": np.ones(1, np.int8)})
    with pytest.raises(InputError, match="no such output"):
        ask(serving, wanted=["z"])
    with pytest.raises(InputError, match="no JSON"), serving.leasing("adder"):
        raise InputError("request", "no JSON")
    assert serving.find_evidence("adder") == Evidence()
    assert [outcome for _, outcome, _, _ in recorder.heard] == [Outcome.REFUSED] * 3
    assert [has_inputs for _, _, has_inputs, _ in recorder.heard] == [True, True, False]


def test_inputs_that_neither_bears_are_the_callers(serving, make_live):
    """Where both releases' runtimes refuse, the inputs are at fault; where both answer NaN, the answer stands."""
    serving.swap(make_live(function=refuse))
    serving.begin_trial(make_live(version="2.0.0", function=refuse))
    with pytest.raises(InputError, match="refuses these inputs"):
        ask(serving)
    serving.drop_trial("adder")
    serving.swap(make_live(1))
    serving.begin_trial(make_live(2, version="2.0.0"))
    assert ask(serving, NAN)[0] == "2.0.0"
    evidence = serving.find_evidence("adder")
    assert (evidence.requests, evidence.failed) == (1, 0)


def test_what_both_fail_is_a_failure(serving, make_live, recorder):
    """With no answer from either, the caller gets the error of the release that was asked."""
    serving.swap(make_live(function=crash))
    serving.begin_trial(make_live(version="2.0.0", function=crash))
    with pytest.raises(RuntimeError):
        ask(serving)
    assert serving.find_evidence("adder").failed == 1
    assert recorder.heard == [("2.0.0", Outcome.FAILED, True, False)]


@pytest.mark.parametrize(("inputs", "failed"), [(ONE, 1), (NAN, 0)])
def test_a_first_release_is_judged_alone(recorder, make_live, inputs, failed):
    """With nothing behind it, NaN is told as it is, and held against the release unless the inputs were not finite either."""
    with Serving(observer=recorder) as serving:
        serving.begin_trial(make_live(version="1.0.0", function=answer_nan))
        assert np.isnan(ask(serving, inputs)[1])
        evidence = serving.find_evidence("adder")
        assert (evidence.requests, evidence.failed, evidence.rescued) == (1, failed, 0)


def test_an_output_that_need_not_be_finite_may_be_infinite(make_live, serving):
    """Only where its tensor spec says finite is an infinite answer a failure."""
    live = make_live(version="2.0.0", function=lambda inputs: [inputs[0] / 0])
    live.info = live.info.__class__(**{field: getattr(live.info, field) for field in live.info.__struct_fields__} | {"outputs": OPEN})
    serving.begin_trial(live)
    with np.errstate(divide="ignore"):
        assert ask(serving) == ("2.0.0", np.inf)


OPEN = (TensorSpec(name="y", dtype="float32", shape=("n",), finite=False),)


def test_a_commit_lets_the_previous_release_go(serving, make_live):
    """Afterwards the new release answers alone, and its failures are its own."""
    behind = make_live(3)
    serving.swap(behind)
    serving.begin_trial(make_live(version="2.0.0", function=crash))
    serving.commit_trial("adder")
    assert serving.find_evidence("adder") is None
    with pytest.raises(RuntimeError):
        ask(serving)
    with pytest.raises(DeviceError, match="closed"):
        behind.infer(ONE)


def test_a_dropped_trial_leaves_the_previous_release(serving, make_live):
    """Afterwards the previous release answers as before, and the new one's memory is given back."""
    candidate = make_live(10, version="2.0.0")
    serving.begin_trial(candidate)
    serving.drop_trial("adder")
    assert ask(serving) == ("1.0.0", 2.0)
    with pytest.raises(DeviceError, match="closed"):
        candidate.infer(ONE)


def test_a_dropped_first_trial_leaves_nothing(make_live):
    """Where nothing was behind it, nothing is served any more; ending a trial that is not there changes nothing."""
    with Serving() as serving:
        serving.begin_trial(make_live())
        serving.drop_trial("adder")
        assert serving.list_models() == []
        serving.drop_trial("adder")
        serving.commit_trial("adder")
        with pytest.raises(UnknownModel):
            ask(serving)


def test_both_versions_can_be_asked_for(serving, make_live):
    """During a trial a caller that names the previous version gets it, and adds nothing to the evidence."""
    serving.begin_trial(make_live(10, version="2.0.0"))
    assert ask(serving, version="1.0.0") == ("1.0.0", 2.0)
    assert ask(serving, version="2.0.0") == ("2.0.0", 11.0)
    assert serving.find_evidence("adder").requests == 1
    with pytest.raises(UnknownModel, match=r"2\.0\.0"):
        ask(serving, version="3.0.0")


def test_no_request_fails_while_trials_come_and_go(serving, make_live):
    """With four threads asking, forty bad releases on trial, dropped and committed in turn, cost no request its answer."""
    stop, failures, answers = threading.Event(), [], set()

    def hammer() -> None:
        while not stop.is_set():
            try:
                answers.add(ask(serving)[1])
            except Exception as error:  # noqa: BLE001 - whichever it is, there should be none
                failures.append(error)

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for thread in threads:
        thread.start()
    for index in range(40):
        serving.begin_trial(make_live(10, version="2.0.0", function=(crash, answer_nan, None)[index % 3]))
        if index % 3 == 2:
            serving.commit_trial("adder")
            serving.swap(make_live(1))
        else:
            serving.drop_trial("adder")
    stop.set()
    for thread in threads:
        thread.join(10)
    assert failures == []
    assert answers <= {2.0, 11.0}
    assert 2.0 in answers


def test_the_p95_is_of_the_latest_inferences(make_live):
    """Before the first there is none; afterwards it is a time, and an inference that runs on is seen."""
    began, let_go = threading.Event(), threading.Event()

    def wait(inputs):
        began.set()
        assert let_go.wait(10)
        return [inputs[0]]

    live = make_live(function=wait)
    assert (live.find_p95(), live.find_running_s()) == (None, 0.0)
    thread = threading.Thread(target=live.infer, args=(ONE,))
    thread.start()
    assert began.wait(10)
    assert live.find_running_s() > 0
    let_go.set()
    thread.join(10)
    assert live.find_running_s() == 0.0
    assert live.find_p95() > 0

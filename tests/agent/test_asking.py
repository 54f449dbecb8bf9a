"""Raw items are asked like tensors: admitted, counted, rescued; what cannot be fed is the caller's fault, and what cannot be read is not."""

import threading
import time
from functools import partial

import numpy as np
import pytest
from msgspec.structs import replace

from edgekit.bundles import open_bundle
from edgekit.errors import InputError
from edgekit_agent.asking import Unreadable
from edgekit_agent.observing import Outcome
from edgekit_agent.raw_access import OpenContract, RawUnavailable
from edgekit_agent.serving import FEEDERS, LiveModel, Serving, load_model

X = {"x": np.zeros((1, 3, 12, 16), np.float32)}


class Heard:
    """Keeps what an observer hears of requests."""

    def __init__(self) -> None:
        self.requests = []

    def on_request(self, info, latency_ms, outcome, inputs, outputs) -> None:
        self.requests.append((info.version, outcome, inputs and {name: array.shape for name, array in inputs.items()}, outputs and set(outputs)))


@pytest.fixture
def load(make_contract_bundle, machine):
    """Loads a kit as a live model of *version*, after *before* was called."""

    def load(kind: str = "image", version: str = "1.0.0", before=lambda: None) -> LiveModel:
        opened = open_bundle(make_contract_bundle(kind, version, name="model"))
        before()
        return load_model(opened, opened.variants[0], machine, release=f"model@{version}")

    return load


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def serving(heard):
    with Serving(observer=heard) as serving:
        yield serving


@pytest.fixture
def ask(serving):
    """Asks with one raw item, or with named inputs; the answer."""

    def ask(item, wanted=(), version=None):
        with serving.leasing("model", version) as lease:
            return lease.infer(item, wanted) if isinstance(item, dict) else lease.infer_item(item, wanted)

    return ask


def bytes_tensor(*items: bytes) -> np.ndarray:
    array = np.empty(len(items), object)
    array[:] = items
    return array


@pytest.mark.parametrize("kind", ["image", "boxes", "mask", "audio", "text", "series"])
def test_an_item_is_answered_in_the_contracts_words(serving, load, ask, kits, kind):
    """What load_model serves answers each item as the pipeline reads it, without a name and as a BYTES tensor with one."""
    live, kit = load(kind), kits(kind)
    serving.swap(live)
    pipeline, name = live.contract.pipeline, kit.contract.inputs[0].name
    for item in kit.items:
        raw = item.encode() if isinstance(item, str) else item
        fed = pipeline.feed({name: raw})
        expected = pipeline.read(live.infer(fed.inputs), fed)
        for answer in (ask(raw), ask({name: bytes_tensor(raw)})):
            assert [spec.name for spec in answer.specs] == list(expected)
            assert all((answer.outputs[part] == expected[part]).all() for part in expected)


def test_telemetry_is_of_the_tensors(serving, load, ask, heard, kits):
    """A raw request counts with what the model was fed and answered, so that its figures are those of plain requests."""
    serving.swap(load())
    ask(kits("image").items[0])
    ask(X)
    assert heard.requests == [("1.0.0", Outcome.ANSWERED, {"x": (1, 3, 12, 16)}, {"logits"})] * 2


def test_windows_are_inferred_together(serving, load, ask, heard, kits):
    """A sound that gives several samples has one answer, of a model that takes any batch."""
    serving.swap(load("audio"))
    assert ask(kits("audio").items[1]).outputs["labels"][0] == b"loud"
    assert heard.requests[0][2] == {"wave": (5, 400)}


def test_a_model_of_several_inputs_takes_them_by_name(serving, load, ask, kits):
    """Two pictures are given together as BYTES tensors; one without a name is refused with what to do."""
    serving.swap(load("pair"))
    first, second = (bytes_tensor(item) for item in kits("image").items[:2])
    assert ask({"photo": first, "other": second}).outputs["labels"][0] == b"yes"
    with pytest.raises(InputError, match=r"2 raw items together: other, photo.*BYTES"):
        ask(kits("image").items[0])
    with pytest.raises(InputError, match=r"input 'other': it is missing"):
        ask({"photo": first})


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (b"no picture", r"input 'photo': it is no picture that can be read"),
        (b"", r"input 'photo'"),
        ({"photo": bytes_tensor(b"a", b"b")}, r"input 'photo': it has 2 raw items.*request of its own"),
        ({"photo": bytes_tensor()}, r"input 'photo': it has 0 raw items"),
        ({"photo": bytes_tensor(b"a"), **X}, r"input 'x': it is a tensor, and stands beside raw items"),
        ({"photo": bytes_tensor(b"a"), "other": bytes_tensor(b"a")}, r"input 'other': there is no such input"),
        ({"other": bytes_tensor(b"a")}, r"input 'other': the model has no such input"),
        ({"x": bytes_tensor(b"a")}, r"input 'x': its dtype is object, and float32"),
    ],
)
def test_what_cannot_be_fed_is_the_callers_fault(serving, load, ask, heard, given, problem):
    """A broken picture, none, several, or raw items beside tensors: refused by name, and counted as refused."""
    serving.swap(load())
    with pytest.raises(InputError, match=problem):
        ask(given)
    assert [outcome for _, outcome, _, _ in heard.requests] == [Outcome.REFUSED]
    assert ask(X).outputs["logits"].shape == (1, 3)


def test_only_what_the_contract_reads_can_be_asked_for(serving, load, ask, kits):
    """Of a raw request's answer some parts may be asked for; the model's own outputs go with tensors."""
    serving.swap(load())
    assert ask(kits("image").items[0], ["labels"]).outputs["labels"].tolist() == [b"red", b"green"]
    with pytest.raises(InputError, match=r"output 'logits'.*It gives labels, classes, scores"):
        ask(kits("image").items[0], ["logits"])
    assert ask(X, ["logits"]).specs[0].name == "logits"


def test_a_model_without_a_contract_takes_no_raw_items(serving, ask, make_live):
    """The refusal says what to send, and how a contract is made."""
    live = make_live(name="model")
    serving.swap(live)
    with pytest.raises(InputError, match=r"no contract by which a raw item would become tensors.*--task TASK"):
        ask(b"item")


def test_a_missing_library_is_named(serving, load, ask, heard, lack_libraries):
    """A device that cannot carry out the contract serves tensors, and refuses raw items with the extra to install."""
    live = load(before=lambda: lack_libraries("PIL"))
    assert "library 'PIL.Image'" in live.info.raw.unavailable
    serving.swap(live)
    with pytest.raises(RawUnavailable, match=r"edgekit\[images\]"):
        ask(b"a picture")
    assert ask(X).outputs["logits"].shape == (1, 3)
    assert [outcome for _, outcome, _, _ in heard.requests] == [Outcome.REFUSED, Outcome.ANSWERED]


class Broken:
    """A pipeline that feeds as another does, and fails in one place."""

    def __init__(self, pipeline, error: Exception, *, feeds: bool) -> None:
        self._pipeline, self._error, self._feeds = pipeline, error, feeds

    def feed(self, raws):
        if not self._feeds:
            raise self._error
        return self._pipeline.feed(raws)

    def read(self, outputs, fed):
        raise self._error


def spoil(live: LiveModel, error: Exception, *, feeds: bool = True) -> LiveModel:
    live.contract = OpenContract(Broken(live.contract.pipeline, error, feeds=feeds))
    return live


def test_an_answer_that_cannot_be_read_is_the_models_fault(serving, load, ask, heard, kits):
    """Outputs of another shape than declared are no bad input: the caller is told so, and it counts as failed."""
    serving.swap(spoil(load(), InputError("output 'logits'", "it is of shape [1, 2]")))
    with pytest.raises(Unreadable, match=r"its answer cannot be read: output 'logits'"):
        ask(kits("image").items[0])
    assert heard.requests == [("1.0.0", Outcome.FAILED, {"x": (1, 3, 12, 16)}, {"logits"})]


def test_a_fault_while_feeding_is_counted_as_failed(serving, load, ask, heard, kits):
    """What a library raises that is no refusal ends the request, and is not put down to the caller."""
    serving.swap(spoil(load(), MemoryError("no room"), feeds=False))
    with pytest.raises(MemoryError):
        ask(kits("image").items[0])
    assert heard.requests == [("1.0.0", Outcome.FAILED, None, None)]


@pytest.fixture(params=["unreadable", "crashing", "another kind", "no contract"])
def worse(request, load, make_live) -> LiveModel:
    """A release that does not answer pictures, for one of several reasons."""
    make = {
        "unreadable": lambda: spoil(load(version="2.0.0"), InputError("output", "not as declared")),
        "crashing": lambda: spoil(load(version="2.0.0"), MemoryError("no room"), feeds=False),
        "another kind": lambda: load("audio", "2.0.0"),
        "no contract": lambda: make_live(name="model", version="2.0.0"),
    }
    return make[request.param]()


def test_what_a_release_on_trial_fails_is_rescued(serving, load, ask, heard, kits, worse):
    """Whatever is wrong with a new release's contract, the one behind it answers pictures, and that speaks against the new one."""
    serving.swap(load())
    serving.begin_trial(worse)
    photo = kits("image").items[0]
    for given in (photo, {"photo": bytes_tensor(photo)}):
        answer = ask(given)
        assert (answer.info.version, answer.outputs["labels"][0]) == ("1.0.0", b"red")
    assert [outcome for _, outcome, _, _ in heard.requests] == [Outcome.RESCUED] * 2
    evidence = serving.find_evidence("model")
    assert (evidence.requests, evidence.failed, evidence.rescued) == (2, 2, 2)


def test_what_neither_release_can_feed_is_the_callers_fault(serving, load, ask, heard):
    """A broken picture during a trial is no evidence."""
    serving.swap(load())
    serving.begin_trial(load(version="2.0.0"))
    with pytest.raises(InputError, match="no picture"):
        ask(b"no picture")
    evidence = serving.find_evidence("model")
    assert (evidence.requests, evidence.failed) == (0, 0)
    assert [outcome for _, outcome, _, _ in heard.requests] == [Outcome.REFUSED]


def test_a_release_on_trial_answers_items(serving, load, ask, kits):
    """While nothing goes wrong, raw requests are the new release's evidence."""
    serving.swap(load())
    serving.begin_trial(load(version="2.0.0"))
    assert ask(kits("image").items[2]).info.version == "2.0.0"
    assert serving.find_evidence("model").requests == 1
    assert ask(kits("image").items[2], version="1.0.0").info.version == "1.0.0"


def test_an_answer_that_is_not_finite_is_judged_by_the_models_outputs(serving, load, ask, kits):
    """NaN that a reading leaves out is seen all the same: the release behind it answers."""
    serving.swap(load())
    candidate = load(version="2.0.0")
    infer = candidate.infer
    candidate.infer = lambda inputs: {name: array * np.float32("nan") for name, array in infer(inputs).items()}
    serving.begin_trial(candidate)
    assert ask(kits("image").items[0]).info.version == "1.0.0"
    assert serving.find_evidence("model").rescued == 1


class Slow:
    """A pipeline that feeds nothing until it is let go, and counts who is in it."""

    def __init__(self, pipeline) -> None:
        self._pipeline = pipeline
        self.entered, self.let_go = threading.Semaphore(0), threading.Event()

    def feed(self, raws):
        self.entered.release()
        assert self.let_go.wait(20)
        return self._pipeline.feed(raws)

    def read(self, outputs, fed):
        return self._pipeline.read(outputs, fed)


def test_decoding_waits_for_no_inference(serving, load, ask, kits):
    """Two clients decode at once and not more, while a third is answered with tensors; all get their answers."""
    live = load()
    slow = Slow(live.contract.pipeline)
    live.contract = OpenContract(slow)
    serving.swap(live)
    found = []
    threads = [threading.Thread(target=lambda: found.append(ask(kits("image").items[0]))) for _ in range(FEEDERS + 1)]
    for thread in threads:
        thread.start()
    for _ in range(FEEDERS):
        assert slow.entered.acquire(timeout=20)
    assert not slow.entered.acquire(timeout=0.1)
    assert ask(X).outputs["logits"].shape == (1, 3)
    slow.let_go.set()
    for thread in threads:
        thread.join(20)
    assert [answer.outputs["labels"][0] for answer in found] == [b"red"] * (FEEDERS + 1)


def test_a_swap_waits_for_what_is_being_decoded(serving, load, ask, kits):
    """A model is closed when the last item that was taken for it is answered, and not while it is still decoded."""
    live = load()
    slow = Slow(live.contract.pipeline)
    live.contract = OpenContract(slow)
    serving.swap(live)
    found = []
    asking = threading.Thread(target=lambda: found.append(ask(kits("image").items[0]).info.version))
    asking.start()
    assert slow.entered.acquire(timeout=20)
    swapping = threading.Thread(target=partial(serving.swap, load(version="2.0.0")))
    swapping.start()
    deadline = time.monotonic() + 20
    while serving.find_model("model").version != "2.0.0":
        assert time.monotonic() < deadline
    assert ask(kits("image").items[0]).info.version == "2.0.0"
    assert swapping.is_alive()
    slow.let_go.set()
    asking.join(20)
    swapping.join(20)
    assert found == ["1.0.0"]


def test_a_string_model_keeps_its_strings(serving, load, ask):
    """Where the model itself takes strings under the name of a raw input, they are its tensors, as they were before."""
    live = load()
    strings = replace(live.info.inputs[0], name="photo", dtype="bytes", shape=("n",))
    live.info = replace(live.info, inputs=(strings,))
    serving.swap(live)
    with pytest.raises(InputError, match="input 'photo': the model has no such input"):
        ask({"photo": bytes_tensor(b"a", b"b")})

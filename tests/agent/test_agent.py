"""The agent as a whole: bundles and releases are served, swapped in, refused, and mended."""

import json
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import DeviceError, GateRefused, InputError, TrustError
from edgekit_agent.agent import Agent, BundleServer
from edgekit_agent.config import AgentConfig, ApiSettings, ModelSettings, ReleaseSettings
from edgekit_agent.installing import Installer, Order, Source
from edgekit_agent.slots import Installed, SlotStore

ANY_PORT = ApiSettings(http="127.0.0.1:0")


def ask(address: str, path: str, body: dict | None = None) -> dict:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"http://{address}{path}", data), timeout=10) as answer:
        return json.load(answer)


def infer(address: str, samples: np.ndarray) -> tuple[str, np.ndarray]:
    """The version that answered, and its answers."""
    tensor = {"name": "image", "shape": list(samples.shape), "datatype": "FP32", "data": samples.ravel().tolist()}
    answer = ask(address, "/v2/models/digits/infer", {"inputs": [tensor]})
    output = answer["outputs"][0]
    return answer["model_version"], np.array(output["data"], np.float32).reshape(output["shape"])


class Device:
    """A device's state, and the publisher whose releases it installs."""

    def __init__(self, state: Path, machine, publisher, make_bundle) -> None:
        self.store = SlotStore(state)
        self.publisher = publisher
        self._machine = machine
        self._make_bundle = make_bundle

    def publish(self, version: str, *, betrayed: bool = False) -> None:
        self.publisher.publish(self._make_bundle(version, seed=int(version[0]), betrayed=betrayed), version)

    def install(self, release: str) -> Installed:
        return Installer(self.store, self._machine, Source(str(self.publisher.repository))).install(Order(release)).installed

    def make_agent(self, *releases: str, location: Path | None = None) -> Agent:
        models = tuple(ModelSettings(release=release) for release in releases)
        source = ReleaseSettings(location=str(location or self.publisher.repository), poll_s=1)
        return Agent(AgentConfig(api=ANY_PORT, releases=source, models=models), self.store, self._machine)


@pytest.fixture
def device(tmp_path, machine, publisher, make_bundle) -> Device:
    return Device(tmp_path / "state", machine, publisher, make_bundle)


def is_ready(address: str) -> bool:
    try:
        return ask(address, "/v2/health/ready")["ready"]
    except urllib.error.HTTPError as error:
        error.close()
        assert error.code == 503
        return False


def wait_until(is_so) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_bundle_is_served_with_the_source_models_answers(running, machine, make_bundle, samples, answers):
    """A bundle is verified, proven and served with no releases at all; any batch gives the source's answers."""
    with running(BundleServer([make_bundle()], ANY_PORT, machine)) as (address, models):
        assert [(info.name, info.variant, info.release) for info in models] == [("digits", "onnx-fp32", None)]
        for batch in (samples[:1], samples):
            version, got = infer(address, batch)
            assert np.allclose(got, answers[: len(batch)], atol=1e-5)
        assert models[0].digest == f"sha256:{models[0].digest[7:]}"
        assert version == models[0].digest[7:19]


def test_two_bundles_are_served_side_by_side(running, machine, make_bundle):
    """Each bundle is one model of the same server."""
    with running(BundleServer([make_bundle(), make_bundle("other", name="other")], ANY_PORT, machine)) as (address, models):
        assert [info.name for info in models] == ["digits", "other"]
        assert ask(address, "/v2/health/ready")["ready"]


def run_refused(server: BundleServer) -> None:
    def announce(*_told):
        pytest.fail("it was announced")

    stop = threading.Event()
    stop.set()
    server.run(stop, announce)


def test_bad_bundles_are_not_served(machine, make_bundle, tmp_path):
    """A missing, changed or betrayed bundle, two of one name, or an unknown variant: refused before anything is said."""
    good = make_bundle()
    with pytest.raises(InputError, match="not a bundle"):
        run_refused(BundleServer([tmp_path / "none"], ANY_PORT, machine))
    with pytest.raises(InputError, match="has a model 'digits' too"):
        run_refused(BundleServer([good, make_bundle("twin")], ANY_PORT, machine))
    with pytest.raises(InputError, match="onnx-int4"):
        run_refused(BundleServer([good], ANY_PORT, machine, "onnx-int4"))
    with pytest.raises(GateRefused):
        run_refused(BundleServer([make_bundle("betrayed", betrayed=True)], ANY_PORT, machine))
    model = good / "variants" / "onnx-fp32" / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"\xff")
    with pytest.raises(TrustError):
        run_refused(BundleServer([good], ANY_PORT, machine))


def test_a_port_in_use_ends_it(running, machine, make_bundle):
    """Two servers cannot have one port."""
    bundle = make_bundle()
    with running(BundleServer([bundle], ANY_PORT, machine)) as (address, _), pytest.raises(DeviceError, match="in use"):
        run_refused(BundleServer([bundle], ApiSettings(http=address), machine))


def test_what_is_installed_is_served_at_once(running, device, samples, answers):
    """An agent that starts with a release in its slot needs no source to serve it."""
    device.publish("1.0.0")
    device.install("digits@1.0.0")
    with running(device.make_agent(location=Path("/nowhere"))) as (address, models):
        assert [info.release for info in models] == ["digits@1.0.0"]
        version, got = infer(address, samples)
        assert (version, np.allclose(got, answers, atol=1e-5)) == ("1.0.0", True)


def test_a_named_release_is_installed_and_swapped_in(running, device, samples):
    """An empty device is alive and not ready, fetches what its configuration names, and serves it."""
    device.publish("1.0.0")
    with running(device.make_agent("digits@1.0.0")) as (address, models):
        assert models == []
        assert ask(address, "/v2/health/live")["live"]
        wait_until(lambda: is_ready(address))
        assert infer(address, samples[:1])[0] == "1.0.0"


def test_a_bad_release_leaves_the_old_one_serving(running, device, samples, caplog):
    """While a betrayed release is refused, the old one answers."""
    device.publish("1.0.0")
    device.install("digits@1.0.0")
    device.publish("2.0.0", betrayed=True)
    with running(device.make_agent("digits@2.0.0")) as (address, _):
        wait_until(lambda: infer(address, samples[:1])[0] == "1.0.0" and "digits@2.0.0 was not installed" in caplog.text)
        assert infer(address, samples[:1])[0] == "1.0.0"
    assert device.store.read_slots("digits").active.release == "digits@1.0.0"


def test_another_process_installs_and_the_agent_follows(running, device, samples):
    """An installation and a rollback beside a running agent are swapped in without a failed request."""
    device.publish("1.0.0")
    device.publish("2.0.0")
    device.install("digits@1.0.0")
    with running(device.make_agent()) as (address, _):
        assert infer(address, samples[:1])[0] == "1.0.0"
        device.install("digits@2.0.0")
        wait_until(lambda: infer(address, samples[:1])[0] == "2.0.0")
        with device.store.locking():
            device.store.roll_back("digits")
        wait_until(lambda: infer(address, samples[:1])[0] == "1.0.0")


def test_a_source_that_comes_back_is_tried_again(running, device, samples, tmp_path):
    """A repository that appears later is found by the next attempt; until then the model is busy."""
    device.publish("1.0.0")
    with running(device.make_agent("digits@1.0.0", location=tmp_path / "later")) as (address, _):
        with pytest.raises(urllib.error.HTTPError) as refusal:
            infer(address, samples[:1])
        refusal.value.close()
        assert refusal.value.code == 503
        device.publisher.repository.rename(tmp_path / "later")
        wait_until(lambda: is_ready(address))


def test_a_release_that_rotted_is_installed_again(running, device, samples):
    """A changed byte in the active release is not served; with a source at hand the release is fetched again."""
    device.publish("1.0.0")
    bundle = device.store.open_release(device.install("digits@1.0.0"))
    path = bundle.path_of(bundle.variants[0])
    path.write_bytes(b"\0" + path.read_bytes()[1:])
    with running(device.make_agent("digits@1.0.0")) as (address, models):
        assert models == []
        wait_until(lambda: is_ready(address))
        assert infer(address, samples[:1])[0] == "1.0.0"


def test_a_damaged_slot_does_not_stop_the_others(running, device, samples, caplog):
    """One model whose slots cannot be read is told, and the rest of the device serves."""
    device.publish("1.0.0")
    device.install("digits@1.0.0")
    broken = device.store.root / "models" / "broken" / "slots.json"
    broken.parent.mkdir()
    broken.write_text("{")
    with running(device.make_agent()) as (address, models):
        assert [info.release for info in models] == ["digits@1.0.0"]
        assert not is_ready(address)
    assert "slots.json" in caplog.text

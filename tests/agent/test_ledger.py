"""What was written down is read again, and what is damaged counts as never written."""

import pytest
from securesystemslib.signer import CryptoSigner

from edgekit.deployment import Deployment, State
from edgekit.errors import DeviceError
from edgekit.files import digest_bytes
from edgekit_agent import ledger as ledger_module
from edgekit_agent.ledger import Ledger

FIRST = Deployment(id="d1", model="digits", release="digits@1.0.0", digest=digest_bytes(b""), counter=7, state=State.TRIAL, crashes=2)


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(tmp_path)


def test_an_empty_ledger_knows_nothing(ledger):
    """Before anything was written there is no message, no key and no deployment, and every counter is acceptable."""
    assert (ledger.read_message(), ledger.read_counter(), ledger.read_keys(), ledger.list_deployments()) == (None, 0, [], [])


def test_what_was_written_is_read_again(ledger):
    """Message, counter, keys and the newest deployment of each model survive the process."""
    key = CryptoSigner.generate_ed25519().public_key
    ledger.write_message(b"signed", 7)
    ledger.write_keys([key])
    other = Deployment(id="d1", model="cats", counter=7)
    for deployment in (FIRST, other):
        ledger.write_deployment(deployment)
    assert (ledger.read_message(), ledger.read_counter()) == (b"signed", 7)
    assert [one.keyid for one in ledger.read_keys()] == [key.keyid]
    assert ledger.list_deployments() == [other, FIRST]


def test_the_counter_is_kept_before_its_message(ledger, monkeypatch):
    """Where writing breaks off between the two, no older message can be taken for new."""
    ledger.write_message(b"old", 1)
    written = ledger_module.write_file

    def write_first(path, data):
        if path.name == "desired.json":
            raise DeviceError(path, "the disk is full")
        written(path, data)

    monkeypatch.setattr(ledger_module, "write_file", write_first)
    with pytest.raises(DeviceError):
        ledger.write_message(b"new", 2)
    assert (ledger.read_message(), ledger.read_counter()) == (b"old", 2)


def test_what_is_damaged_is_named_and_not_believed(ledger, tmp_path, caplog):
    """A file that holds no record is logged by its name, and the rest is read."""
    ledger.write_deployment(FIRST)
    for name in ("counter", "director.json", "models/cats/deployment.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"{")
    assert (ledger.read_counter(), ledger.read_keys(), ledger.list_deployments()) == (0, [], [FIRST])
    for name in ("counter", "director.json", "cats/deployment.json"):
        assert name in caplog.text


def test_what_cannot_be_read_is_an_error(ledger, tmp_path):
    """A file that is there and cannot be read is no empty ledger."""
    (tmp_path / "desired.json").mkdir()
    with pytest.raises(DeviceError, match=r"desired\.json.*cannot be read"):
        ledger.read_message()


def test_a_crash_is_told_from_a_stop_and_from_a_boot(ledger, tmp_path):
    """Only an agent that was running in this boot and was not asked to end has crashed."""
    assert not ledger.begin_run()
    assert ledger.begin_run()
    ledger.end_run()
    assert not ledger.begin_run()
    (tmp_path / "running").write_bytes(b"another boot")
    assert not ledger.begin_run()

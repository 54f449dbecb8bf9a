"""A message is believed by its signature alone, kept, and known again."""

import pytest
from securesystemslib.signer import CryptoSigner

from edgekit.desired import DesiredState, UnknownDirector, sign_desired
from edgekit.errors import TransferError, TrustError
from edgekit_agent.clock import Clock
from edgekit_agent.ledger import Ledger
from edgekit_agent.orders import KEYS_S, Orders


class Repository:
    """Names the director's keys, and counts how often it was asked; or is away."""

    def __init__(self, *signers: CryptoSigner) -> None:
        self.signers = signers
        self.asked = 0
        self.is_away = False

    def find_keys(self):
        self.asked += 1
        if self.is_away:
            raise TransferError("repository", "it is away")
        return [signer.public_key for signer in self.signers]


@pytest.fixture
def director() -> CryptoSigner:
    return CryptoSigner.generate_ed25519()


@pytest.fixture
def repository(director) -> Repository:
    return Repository(director)


@pytest.fixture
def now():
    return {"monotonic": 0.0}


@pytest.fixture
def orders(tmp_path, repository, now) -> Orders:
    return make_orders(tmp_path, repository, now)


def make_orders(root, repository, now) -> Orders:
    return Orders("roof-1", Ledger(root), repository.find_keys, Clock(lambda: 1000.0, lambda: now["monotonic"]))


def sign(signer: CryptoSigner, counter: int, device: str = "roof-1") -> bytes:
    return sign_desired(DesiredState(device=device, counter=counter, issued_ms=0, expires_ms=2_000_000), signer)


def test_the_keys_are_asked_for_once(orders, repository, director):
    """The first message makes the device ask; those that follow are verified by what it has learned."""
    assert orders.accept(sign(director, 1), may_ask=True).counter == 1
    assert orders.accept(sign(director, 2), may_ask=False).counter == 2
    assert repository.asked == 1


def test_a_message_waits_where_nobody_may_be_asked(orders, repository, director):
    """In the middle of a download the repository is not asked, and the message is not believed."""
    with pytest.raises(UnknownDirector):
        orders.accept(sign(director, 1), may_ask=False)
    assert (repository.asked, orders.newest, orders.counter) == (0, None, 0)


def test_strangers_cannot_make_it_ask_without_end(orders, repository, director, now):
    """However many messages of unknown signers come, the repository is asked once in a while."""
    orders.accept(sign(director, 1), may_ask=True)
    stranger = CryptoSigner.generate_ed25519()
    now["monotonic"] += KEYS_S
    for _ in range(20):
        with pytest.raises(UnknownDirector):
            orders.accept(sign(stranger, 9), may_ask=True)
    assert repository.asked == 2


def test_a_repository_that_is_away_is_told(orders, repository, director, now):
    """Nothing is believed until the keys are known; later the same message is."""
    repository.is_away = True
    with pytest.raises(TransferError):
        orders.accept(sign(director, 1), may_ask=True)
    repository.is_away = False
    now["monotonic"] += KEYS_S
    assert orders.accept(sign(director, 1), may_ask=True).counter == 1


def test_what_was_accepted_is_recalled(tmp_path, orders, repository, director, now):
    """After a restart the newest message is known again without the network, and older ones stay refused."""
    orders.accept(sign(director, 5), may_ask=True)
    repository.is_away = True
    again = make_orders(tmp_path, repository, now)
    again.recall()
    assert (again.newest, again.counter) == (orders.newest, 5)
    with pytest.raises(TrustError, match="replay"):
        again.accept(sign(director, 4), may_ask=True)
    assert again.accept(sign(director, 5), may_ask=True).counter == 5


def test_a_revoked_directors_word_is_forgotten(tmp_path, orders, repository, director, now, caplog):
    """Once another director was learned, what the old one had signed no longer counts after a restart; its counter does."""
    orders.accept(sign(director, 5), may_ask=True)
    Ledger(tmp_path).write_keys([CryptoSigner.generate_ed25519().public_key])
    again = make_orders(tmp_path, repository, now)
    again.recall()
    assert (again.newest, again.counter, again.list_models()) == (None, 5, ())
    assert "is forgotten" in caplog.text

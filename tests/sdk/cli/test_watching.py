"""Claims about watching a rollout: what is shown, and when it ends."""

import json

import pytest
from msgspec.structs import replace

from edgekit.cli import watching
from edgekit.cli.watching import watch_rollout
from edgekit.deployment import State
from edgekit.errors import TransferError
from edgekit.fleet.views import RolloutView
from edgekit.rollout import Rollout, RolloutState, Standing, parse_phases

ROLLOUT = Rollout(
    id="digits-1-1-0-3f9a2c", model="digits", release="digits@1.1.0", digest="sha256:" + "0" * 64, phases=parse_phases("1,100%"), reason="phase 1"
)
FINISHED = replace(ROLLOUT, state=RolloutState.FINISHED, reason="1 committed it")


def make_view(rollout: Rollout, state: State | None = None, reason: str = "") -> RolloutView:
    return RolloutView(rollout=rollout, standings=(Standing(device="roof-1", device_class="x86-64", seen_ms=0, state=state, reason=reason),))


class Script:
    """A server that answers with *answers*, one after the other."""

    def __init__(self, *answers: RolloutView | Exception) -> None:
        self.answers = list(answers)

    def find_rollout(self, _: str) -> RolloutView:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_PAUSE_S", 0.0)


COURSE = (
    make_view(ROLLOUT),
    make_view(ROLLOUT),
    make_view(ROLLOUT, State.TRIAL, "3 of 100 requests"),
    make_view(ROLLOUT, State.TRIAL, "9 of 100 requests"),
    make_view(ROLLOUT, State.COMMITTED),
    make_view(FINISHED, State.COMMITTED),
)


def test_each_new_state_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Where stdout is no terminal: a line when a device or the rollout has moved, and none in between."""
    assert watch_rollout(Script(*COURSE), "any", as_json=False) == FINISHED
    assert capsys.readouterr().out.splitlines() == [
        "digits-1-1-0-3f9a2c (digits@1.1.0): running, phase 1",
        "roof-1: trial (3 of 100 requests)",
        "roof-1: committed",
        "digits-1-1-0-3f9a2c (digits@1.1.0): finished, 1 committed it",
    ]


def test_json_is_a_line_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    """Programs get the whole view whenever anything in it is new."""
    watch_rollout(Script(*COURSE), "any", as_json=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == len(COURSE) - 1
    assert lines[-1]["rollout"]["state"] == "finished"


@pytest.mark.parametrize("state", [one for one in RolloutState if one not in (RolloutState.RUNNING, RolloutState.PAUSED)])
def test_watching_ends_with_the_rollout(state: RolloutState) -> None:
    """Whichever way it ended; a pause is no end."""
    ended = replace(ROLLOUT, state=state)
    assert watch_rollout(Script(make_view(replace(ROLLOUT, state=RolloutState.PAUSED)), make_view(ended)), "any", as_json=False) == ended


def test_a_server_that_is_away_for_a_moment_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    """It may be started anew while somebody watches; that is said on stderr."""
    away = TransferError("http://127.0.0.1:8420", "the fleet's server cannot be reached")
    assert watch_rollout(Script(away, away, make_view(FINISHED)), "any", as_json=False) == FINISHED
    assert capsys.readouterr().err.count("Trying again.") == 2


def test_a_server_that_stays_away_ends_the_watching(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a minute the error is passed on."""
    monkeypatch.setattr(watching, "_PATIENCE_S", -1.0)
    with pytest.raises(TransferError):
        watch_rollout(Script(TransferError("server", "away")), "any", as_json=False)

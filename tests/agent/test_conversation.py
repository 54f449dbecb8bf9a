"""Messages that cannot be used are told to the fleet without filling its records (what is said and heard is in test_uplink)."""

from edgekit.errors import WireError
from edgekit_agent.conversation import COMPLAIN_S, Complaints


class Notes:
    """A journal that is a list."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []

    def on_event(self, kind: str, model: str, text: str) -> None:
        self.events.append((kind, model, text))


def test_the_first_complaint_is_told_at_once(caplog):
    """With what was wrong, in the log and to the fleet."""
    notes = Notes()
    Complaints(notes).add(WireError("stored", "it is not JSON"), now_s=0.0)
    assert notes.events == [("wire", "", "stored: it is not JSON.")]
    assert "stored: it is not JSON" in caplog.text


def test_a_flood_is_told_once_a_minute(caplog):
    """However many come, and with how many they were."""
    notes = Notes()
    complaints = Complaints(notes)
    for number in range(601):
        complaints.add(WireError("stored", f"number {number}"), now_s=number * COMPLAIN_S / 300)
    assert [text for _, _, text in notes.events] == ["stored: number 0.", "stored: number 300.", "stored: number 600."]
    assert "300 messages" in caplog.text

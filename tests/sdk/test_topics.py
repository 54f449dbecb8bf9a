"""Topics: every device has one shard, and what it sends is read back as it was named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import WireError
from edgekit.topics import SHARDS, UpTopic, filter_down, filter_shard, find_shard, name_down, name_ingest, name_up, parse_up

DEVICES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", fullmatch=True)


@given(DEVICES, st.sampled_from(["telemetry", "status", "inventory"]), st.integers(1, 64))
def test_a_topic_is_read_back_as_it_was_named(device: str, kind: str, shards: int) -> None:
    """The shard, the device and the kind come out as they went in."""
    assert parse_up(name_up(device, kind, shards), shards) == UpTopic(find_shard(device, shards), device, kind)  # type: ignore[arg-type]


@given(DEVICES)
def test_filters_cover_what_they_are_for(device: str) -> None:
    """The shard's filter has the device's up topics, and the device's own filter what is sent to it."""
    assert name_up(device, "status").startswith(filter_shard(find_shard(device)).split("+")[0])
    assert name_down(device, "stored").startswith(filter_down(device).rstrip("+"))


def test_shards_are_the_same_everywhere_and_for_ever() -> None:
    """Devices and servers of any version agree on the shard, which is written down here once."""
    assert [find_shard(device) for device in ("roof-1", "roof-2", "cellar")] == [2, 12, 10]
    assert {name_ingest(shard) for shard in range(3)} == {"ingest-0", "ingest-1", "ingest-2"}


def test_devices_spread_over_all_shards() -> None:
    """Of 2,000 devices no shard has fewer than half or more than twice its part."""
    counts = [0] * SHARDS
    for number in range(2_000):
        counts[find_shard(f"device-{number}")] += 1
    assert 2_000 / SHARDS / 2 < min(counts) <= max(counts) < 2_000 / SHARDS * 2


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "edgekit/v1/0/a/b/up/telemetry",
        "edgekit/v1/0/../up/telemetry",
        "edgekit/v1/0/a/up/other",
        "edgekit/v1/0/a/up/telemetry\n",
        "edgekit/v1/0/a.b/up/telemetry",
        "edgekit/v1/0/" + "a" * 65 + "/up/telemetry",
        "edgekit/v2/0/a/up/telemetry",
        "edgekit/v1/x/a/up/telemetry",
        "edgekit/v1/0/a/down/stored",
    ],
)
def test_no_other_topic_is_a_devices(topic: str) -> None:
    """Ids with slashes or dots, strange kinds and versions, and line ends are refused."""
    with pytest.raises(WireError):
        parse_up(topic)


def test_a_device_in_a_strange_shard_is_refused() -> None:
    """The message names the shard where the device belongs."""
    wrong = (find_shard("roof-1") + 1) % SHARDS
    with pytest.raises(WireError, match=f"belongs to shard {find_shard('roof-1')}"):
        parse_up(f"edgekit/v1/{wrong}/roof-1/up/status")

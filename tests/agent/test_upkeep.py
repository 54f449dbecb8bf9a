"""What goes on beside serving: when to try again, and what needs no installing."""

import threading

import pytest

from edgekit.errors import DeviceError, GateRefused, InputError, TransferError, TrustError
from edgekit.files import digest_bytes
from edgekit_agent.config import ModelSettings
from edgekit_agent.serving import ModelInfo
from edgekit_agent.upkeep import Stopped, find_retry_delay, is_served, stopping


def delays(error, share: float, count: int = 9):
    return [find_retry_delay(error, attempts, 60.0, share) for attempts in range(count)]


@pytest.mark.parametrize("error", [TransferError("server", "down"), DeviceError("disk", "full")])
def test_what_time_may_mend_is_tried_soon_then_less_often(error):
    """The wait doubles from a second up to the poll's, and devices spread over half of it."""
    assert delays(error, 1.0) == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert delays(error, 0.0) == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert find_retry_delay(error, 1 << 20, 60.0, 1.0) == 60


@pytest.mark.parametrize("error", [TrustError("release", "unsigned"), InputError("release", "unknown")])
def test_what_the_publisher_must_mend_is_tried_at_each_poll(error):
    """A bad signature is not asked for again and again."""
    assert delays(error, 0.5, 3) == [60, 60, 60]


def test_a_betrayed_release_is_not_tried_again():
    """A release never changes, so its golden samples would betray it again."""
    assert find_retry_delay(GateRefused("release", "betrayed"), 0, 60.0, 0.5) is None


def test_a_served_release_needs_no_installing():
    """Release and, where one is asked for, variant must be what is live."""
    info = ModelInfo(
        name="digits",
        version="1.0.0",
        release="digits@1.0.0",
        digest=digest_bytes(b""),
        variant="onnx-int8",
        format="onnx",
        precision="int8",
        runtime="onnxruntime",
        runtime_version="1",
        inputs=(),
        outputs=(),
    )
    assert is_served(ModelSettings(release="digits@1.0.0"), [info])
    assert is_served(ModelSettings(release="digits@1.0.0", variant="onnx-int8"), [info])
    assert not is_served(ModelSettings(release="digits@1.0.0", variant="onnx-fp32"), [info])
    assert not is_served(ModelSettings(release="digits@1.0.1"), [info])


def test_fetching_breaks_off_when_the_agent_is_stopped():
    """Between two files a stopped agent goes no further."""
    stop = threading.Event()
    check = stopping(stop)
    check("file", 0, 2)
    stop.set()
    with pytest.raises(Stopped):
        check("file", 1, 2)

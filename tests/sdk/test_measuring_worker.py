"""The worker, spoken to over plain streams."""

import io

from edgekit.errors import WireError
from edgekit.measuring_frames import Infer, Refused, decode_reply, encode_frame, read_frame
from edgekit.measuring_worker import read_peak_mb, serve


def test_a_model_must_be_opened_first():
    """Asked to run before anything was opened, the worker refuses and goes on listening."""
    requests = io.BytesIO(encode_frame(Infer(inputs={})) * 2)
    replies = io.BytesIO()
    serve(requests, replies)
    replies.seek(0)
    for _ in range(2):
        reply = decode_reply(read_frame(replies) or b"")
        assert isinstance(reply, Refused)
        assert isinstance(reply.to_error(), WireError)
    assert read_frame(replies) is None


def test_the_peak_is_read_from_the_kernel_s_status(tmp_path):
    """The peak is VmHWM in MiB, and unknown where the kernel does not tell it."""
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmPeak:\t  999999 kB\nVmHWM:\t   51200 kB\nVmRSS:\t   40000 kB\n")
    assert read_peak_mb(status) == 50.0
    status.write_text("Name:\tpython\n")
    assert read_peak_mb(status) is None
    assert read_peak_mb(tmp_path / "absent") is None

"""Muting: what libraries print is caught, however they print it."""

import ctypes
import logging
import os
import subprocess
import sys

import pytest

from edgekit_converters.muting import muted


def _chatter() -> None:
    sys.stdout.write("from python\n")
    sys.stderr.write("to stderr\n")
    os.write(1, b"from native code\n")
    ctypes.CDLL(None).puts(b"from C, which keeps it for later")
    subprocess.run(["/bin/sh", "-c", "echo from a child >&2"], check=True)


def test_nothing_reaches_the_terminal(capfd) -> None:
    """Neither Python's streams nor the process's descriptors let anything through, and both work again afterwards."""
    with muted():
        _chatter()
    sys.stdout.write("after\n")
    assert capfd.readouterr() == ("after\n", "")


def test_what_was_printed_is_logged(caplog) -> None:
    """What was caught can be read in the log at DEBUG."""
    with caplog.at_level(logging.DEBUG, "edgekit_converters.muting"), muted():
        _chatter()
    wanted = ["from C, which keeps it for later", "from a child", "from native code", "from python", "to stderr"]
    assert sorted(record.message for record in caplog.records) == wanted


def test_streams_come_back_after_an_error(capfd) -> None:
    """An error inside passes through, and the streams are as before."""
    with pytest.raises(ValueError, match="broken"), muted():
        raise ValueError("broken")
    os.write(2, b"heard\n")
    assert capfd.readouterr().err == "heard\n"


def test_the_root_loggers_level_is_put_back() -> None:
    """A library that quietens all logging quietens nobody else's."""
    before = logging.getLogger().level
    with muted():
        logging.getLogger().setLevel(logging.CRITICAL)
    assert logging.getLogger().level == before


def test_the_root_loggers_handlers_are_put_back() -> None:
    """A handler that a library adds, which would write to what is closed by then, is gone afterwards."""
    before = list(logging.getLogger().handlers)
    with muted():
        logging.getLogger().addHandler(logging.StreamHandler())
    assert logging.getLogger().handlers == before

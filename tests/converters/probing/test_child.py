"""Children: whatever becomes of the process, the parent gets an answer."""

import sys

from edgekit_converters.probing.child import Child

_SCRIPT = """
import json, os, sys, time
for line in sys.stdin:
    job = json.loads(line)
    if job["do"] == "die":
        os.abort()
    if job["do"] == "leave":
        sys.exit(3)
    if job["do"] == "hang":
        time.sleep(600)
    print(json.dumps({"pid": os.getpid()}), flush=True)
"""


def make_child(deadline_s: float = 30.0) -> Child:
    return Child([sys.executable, "-I", "-c", _SCRIPT], deadline_s)


def test_one_process_answers_many_jobs() -> None:
    """It is started once, and kept."""
    with make_child() as child:
        assert child.ask({"do": "work"}) == child.ask({"do": "work"})


def test_a_crash_is_an_answer() -> None:
    """The signal that killed it is told, and the next job gets a new process."""
    with make_child() as child:
        before = child.ask({"do": "work"})
        assert child.ask({"do": "die"}) == {"error": "the process died: SIGABRT"}
        assert child.ask({"do": "work"})["pid"] != before["pid"]


def test_an_end_without_an_answer_is_one() -> None:
    """A process that leaves by itself is told with its exit code."""
    with make_child() as child:
        assert child.ask({"do": "leave"}) == {"error": "the process died: exit code 3"}


def test_what_takes_too_long_is_killed() -> None:
    """After the deadline the process is gone, and the next job gets a new one."""
    with make_child(deadline_s=0.5) as child:
        assert child.ask({"do": "hang"}) == {"error": "it took longer than 0.5 s"}
    with make_child() as child:
        assert "pid" in child.ask({"do": "work"})

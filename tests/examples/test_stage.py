import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
#: A child that says that it is up, and sleeps; its name is that of one of ours, as the kernel tells it.
CHILD = "import time; print('{}', flush=True); time.sleep(60)  # edgekit"
DEADLINE_S = 30


def play(story: str, place: Path) -> subprocess.Popen[str]:
    """A script that plays *story* on a stage in *place*, with one child."""
    script = f"""
        import sys
        sys.path.insert(0, {str(DIGITS)!r})
        from pathlib import Path
        from stage import Stage, refuse_kept, run, wait_until
        with Stage(Path({str(place)!r})) as stage:
            child = stage.start("sleeper", "python", "-c", {CHILD!r})
            print(child.process.pid, flush=True)
    """
    body = textwrap.indent(textwrap.dedent(story), "    ")
    # A shell may have told this process to ignore SIGINT, which its children inherit.
    heed = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # noqa: E731
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script) + body],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed,  # noqa: PLW1509 - nothing here has threads
    )


def read_child(process: subprocess.Popen[str]) -> int:
    """The pid of the child, once it is up; what the script prints behind it may be read ahead here, and is lost to ``communicate``."""
    lines = iter(process.stdout.readline, "")
    return int(next(line for line in lines if line.strip().isdigit()))


def is_alive(pid: int) -> bool:
    """Whether it runs; a zombie, which nobody has waited for yet, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_children_too(tmp_path, number):
    """Ctrl-C, SIGTERM and a closed terminal end what was started, and say so in one line."""
    with play("import time; time.sleep(60)", tmp_path) as process:
        child = read_child(process)
        assert is_alive(child)
        process.send_signal(number)
        _, said = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert said.strip() == f"the demo stops here: signal {number.name} came"
    assert not is_alive(child)


@pytest.mark.parametrize(
    "story", ["raise ValueError('a bug')", "run('python', '-c', 'raise SystemExit(3)')", "wait_until(lambda: False, 0.1, 'never')"]
)
def test_a_failure_ends_the_children_too(tmp_path, story):
    """A bug in the story, a command with another exit code than expected, and a wait in vain end what was started."""
    with play(story, tmp_path) as process:
        child = read_child(process)
        process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert not is_alive(child)


def test_a_wait_in_vain_tells_how_things_are_by_then_and_shows_the_logs(tmp_path):
    """What is missing is told as it is when the wait is over, not when it began, beside the last that each process said."""
    story = """
    import time
    began = time.monotonic()
    wait_until(lambda: (Path(stage.place) / 'sleeper.log').write_text('out of paper') and False, 0.3, lambda: f'{time.monotonic() - began > 0.3}')
    """
    with play(story, tmp_path) as process:
        _, said = process.communicate(timeout=DEADLINE_S)
    assert "the demo stops here: True" in said
    assert "sleeper.log\nout of paper\n" in said


def test_what_a_command_says_is_shown_as_it_comes(tmp_path):
    """Its line is there while it still runs: a rollout is watched live, and a refusal comes after what led to it."""
    story = "run('python', '-c', 'import time; print(5 * 5, flush=True); time.sleep(60)')"
    with play(story, tmp_path) as process:
        read_child(process)
        assert [process.stdout.readline()[:8], process.stdout.readline()] == ["$ python", "25\n"]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=DEADLINE_S)


def test_the_end_of_the_story_ends_the_children(tmp_path):
    """Without being told to keep them, the stage leaves no process behind."""
    with play("pass", tmp_path) as process:
        child = read_child(process)
        process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    assert not is_alive(child)


def test_kept_children_go_on_and_are_not_trodden_on(tmp_path):
    """What is kept outlives the story, the next demo refuses to begin and says how to end it, and then it begins."""
    with play("print(stage.keep(), file=sys.stderr)", tmp_path) as process:
        child = read_child(process)
        _, said = process.communicate(timeout=DEADLINE_S)
    assert said.strip() == f"kill {child}"
    try:
        assert is_alive(child)
        again = subprocess.run(
            [
                sys.executable,
                "-c",
                f"import sys; sys.path.insert(0, {str(DIGITS)!r}); import stage, pathlib; stage.refuse_kept(pathlib.Path({str(tmp_path)!r}))",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert again.returncode == 1
        assert f"kill {child}" in again.stderr
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_child_that_does_not_come_up_is_told_with_its_log(tmp_path):
    """Where a process ends instead of coming up, its exit code and the end of its log are shown."""
    with play("stage.start('broken', 'python', '-c', \"raise SystemExit('no such port')\")", tmp_path) as process:
        _, said = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert "broken ended with exit code 1" in said
    assert "no such port" in said

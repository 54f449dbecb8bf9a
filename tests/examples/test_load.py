import json
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

COUNT, PATIENCE_S = 30, 30


@pytest.fixture
def load_script(load_example):
    return load_example("load")


@pytest.fixture
def agent(digits_bundle):
    """The address of a real agent that serves the digits."""
    command = [sys.executable, "-m", "edgekit_agent", "serve", str(digits_bundle), "--http", "127.0.0.1:0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        host, port = re.findall(r"(127\.0\.0\.1):(\d+)", process.stdout.readline())[0]
        yield host, int(port)
        process.terminate()


@contextmanager
def answering(status: int, data: list[float]):
    """The address of a server that gives the same answer to everybody."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"outputs": [{"data": data}]}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_real_agent_answers_and_is_right(load_script, agent):
    """Every digit is answered, and at least 95 % with their label."""
    with load_script.loading({"a": agent}, rate=500) as load:
        assert load.wait_for(300, PATIENCE_S)
    tally = load.tallies["a"]
    assert tally.failed == 0, tally.first_failure
    assert tally.right / tally.answered > 0.95
    assert "0 failed" in load_script.describe(tally)


def test_an_answer_with_the_wrong_label_is_no_right_one(load_script):
    """A server that calls every digit a three answers, and is right about a tenth of the time."""
    scores = [float(digit == 3) for digit in range(10)]
    with answering(200, scores) as address, load_script.loading({"a": address}, rate=500) as load:
        assert load.wait_for(200, PATIENCE_S)
    tally = load.tallies["a"]
    assert 0.02 < tally.right / tally.answered < 0.3


@pytest.mark.parametrize(("status", "data"), [(500, [0.0] * 10), (503, []), (200, [float("nan")] * 10), (200, [])])
def test_what_is_no_answer_has_failed(load_script, status, data):
    """A status other than 200, a NaN and an answer without scores count as failed, and the first is told."""
    with answering(status, data) as address, load_script.loading({"a": address}, rate=500) as load:
        assert not load.wait_for(1, timeout_s=0.3)
    tally = load.tallies["a"]
    assert (tally.answered, tally.sent) == (0, tally.failed)
    assert tally.failed > 0
    assert tally.first_failure in load_script.describe(tally)


def test_an_agent_that_is_not_there_fails_alone(load_script, agent):
    """Requests to a closed port fail, and those to another agent go on."""
    with answering(200, []) as gone:
        pass
    with load_script.loading({"gone": gone, "a": agent}, rate=200) as load:
        assert not load.wait_for(COUNT, timeout_s=0.5)
    assert load.tallies["gone"].answered == 0
    assert load.tallies["gone"].failed > 0
    assert load.tallies["a"].failed == 0

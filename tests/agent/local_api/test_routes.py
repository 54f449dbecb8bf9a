"""Every path of the protocol over a real socket, with the statuses of its refusals."""

import json
import struct

import pytest

from edgekit.errors import WireError
from edgekit_agent.local_api.routes import Routes

INFER = "/v2/models/adder/infer"


def request(*values: float, **fields):
    return {"inputs": [{"name": "x", "shape": [len(values)], "datatype": "FP32", "data": list(values)}], **fields}


def test_the_server_describes_itself(client):
    """Name, version and the extensions that it speaks."""
    status, headers, body = client.ask("GET", "/v2")
    told = json.loads(body)
    assert (status, headers["content-type"], told["name"], told["extensions"]) == (200, "application/json", "edgekit-agent", ["binary_tensor_data"])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"live": True, "ready": True}),
        ("/v2/models/adder/ready", {"name": "adder", "ready": True}),
        ("/v2/models/adder/versions/1.0.0/ready", {"name": "adder", "ready": True}),
        ("http://localhost/v2/models/%61dder/ready?x=1", {"name": "adder", "ready": True}),
    ],
)
def test_health_is_told(client, path, expected):
    """What is alive and ready answers 200 and says so."""
    status, _, body = client.ask("GET", path)
    assert (status, json.loads(body)) == (200, expected)


@pytest.mark.parametrize("path", ["/v2/models/adder", "/v2/models/adder/versions/1.0.0"])
def test_a_model_is_described(client, path):
    """Metadata shows the source's tensors, varying sizes as -1, and the variant that serves."""
    status, _, body = client.ask("GET", path)
    told = json.loads(body)
    assert status == 200
    assert (told["name"], told["versions"], told["platform"]) == ("adder", ["1.0.0"], "memory_memory")
    assert told["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1]}]
    assert told["parameters"]["variant"] == "memory-fp32"


def test_a_device_that_is_not_ready_says_so(client, serving):
    """While an expected model is missing: alive, not ready, and busy for requests."""
    serving.expected = frozenset({"adder", "other"})
    assert client.ask("GET", "/v2/health/live")[0] == 200
    status, _, body = client.ask("GET", "/v2/health/ready")
    assert (status, json.loads(body)["ready"]) == (503, False)
    status, _, body = client.ask("GET", "/v2/models/other/ready")
    assert (status, json.loads(body)) == (503, {"name": "other", "ready": False})
    status, headers, _ = client.ask("POST", "/v2/models/other/infer", request(1))
    assert (status, headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize("path", [INFER, "/v2/models/adder/versions/1.0.0/infer"])
def test_an_inference_in_json(client, path):
    """Numbers in, numbers out, with the id that was sent."""
    status, headers, body = client.ask("POST", path, request(1, 2.5, id="7"))
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body) == {
        "model_name": "adder",
        "model_version": "1.0.0",
        "id": "7",
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [2], "data": [2.0, 3.5]}],
    }


def test_an_inference_in_binary(client):
    """The header alone says where the JSON object ends, whatever the content type, in both directions."""
    head = json.dumps(
        {
            "inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}],
            "outputs": [{"name": "y", "parameters": {"binary_data": True}}],
        }
    ).encode()
    status, headers, body = client.ask("POST", INFER, head + struct.pack("<2f", 1, 2), Inference_Header_Content_Length=str(len(head)))
    assert (status, headers["content-type"]) == (200, "application/octet-stream")
    split = int(headers["inference-header-content-length"])
    assert json.loads(body[:split])["outputs"][0]["parameters"] == {"binary_data_size": 8}
    assert struct.unpack("<2f", body[split:]) == (2, 3)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "problem"),
    [
        ("POST", INFER, {}, 400, "inputs"),
        ("POST", INFER, b"{", 400, "not an inference request"),
        ("POST", INFER, {"inputs": []}, 400, "input 'x': it is missing"),
        ("POST", INFER, {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1]}]}, 400, "float64, and float32 is expected"),
        ("POST", INFER, {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [1]}]}, 400, "its shape is [1, 1]"),
        ("POST", INFER, {**request(1), "outputs": [{"name": "z"}]}, 400, "output 'z'"),
        ("POST", "/v2/models/other/infer", request(1), 404, "there is no such model"),
        ("POST", "/v2/models/adder/versions/2/infer", request(1), 404, "version of adder '2'"),
        ("GET", "/v2/models/other", None, 404, "Known here: adder"),
        ("GET", "/v2/models/adder/nothing", None, 404, "nothing at"),
        ("GET", "/v2/", None, 404, "nothing at"),
        ("GET", "/", None, 404, "nothing at"),
        ("GET", "http://[/v2", None, 400, ""),
        ("GET", INFER, None, 405, "only POST"),
        ("DELETE", "/v2", None, 405, "only GET, HEAD"),
        ("OPTIONS", "/v2/models/adder", None, 405, "only GET, HEAD"),
    ],
)
def test_refusals_have_the_protocols_form(client, method, path, body, status, problem):
    """Each refusal is the error object with its status; 405 says what is allowed."""
    found, headers, answer = client.ask(method, path, body)
    assert (found, headers["content-type"]) == (status, "application/json")
    assert problem in json.loads(answer)["error"]
    assert ("allow" in headers) is (status == 405)


@pytest.mark.parametrize("value", ["-1", "x", "9" * 30, "1000000"])
def test_a_bad_header_length_is_refused(client, value):
    """Inference-Header-Content-Length must be a count within the body."""
    status, _, body = client.ask("POST", INFER, request(1), Inference_Header_Content_Length=value)
    assert status == 400
    assert "Inference-Header-Content-Length" in json.loads(body)["error"]


def test_an_answer_that_json_cannot_say_is_the_servers_fault(client):
    """Infinity is refused in JSON with the way out, and sent in binary."""
    huge = 3.4e38
    body = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": 4}}]}
    for asked, expected in (({}, 500), ({"parameters": {"binary_data_output": True}}, 200)):
        head = json.dumps(body | asked).encode()
        infinite = head + struct.pack("<f", float("inf"))
        status, _, answer = client.ask("POST", INFER, infinite, Inference_Header_Content_Length=str(len(head)))
        assert status == expected
    assert client.ask("POST", INFER, request(huge))[0] == 200
    assert answer.endswith(struct.pack("<f", float("inf")))


def test_head_is_get_without_the_body(client):
    """HEAD has the headers of GET, and the connection goes on."""
    status, headers, body = client.ask("HEAD", "/v2/health/live")
    assert (status, headers["content-length"], body) == (200, "13", b"")
    assert client.ask("GET", "/v2/health/live")[2] == b'{"live":true}'


def test_a_failing_runtime_is_answered_with_500_and_logged(client, serving, make_live, caplog):
    """What a model's code raises ends neither the connection nor the server."""

    def fail(_inputs):
        raise ZeroDivisionError("in the model")

    serving.swap(make_live(function=fail))
    status, _, body = client.ask("POST", INFER, request(1))
    assert (status, json.loads(body)["error"]) == (500, "the server failed to answer; its log says why")
    assert "in the model" in caplog.text
    serving.swap(make_live())
    assert client.ask("POST", INFER, request(1))[0] == 200


def test_other_refusals_are_the_servers_fault(serving, monkeypatch):
    """An edgekit error of no known status is answered with 500 and its own words."""
    from edgekit_agent.local_api.messages import HeadParser, Request

    parser = HeadParser(10)
    parser.feed(memoryview(b"GET /v2/health/ready HTTP/1.1\r\nHost: a\r\n\r\n"))

    def broken(_self):
        raise WireError("model", "it broke")

    monkeypatch.setattr(type(serving), "is_ready", property(broken))
    response = Routes(serving).answer(Request(parser.head, memoryview(b"")))
    assert (response.status, response.pieces) == (500, (b'{"error":"model: it broke."}',))


def test_an_answer_says_which_release_gave_it(client, serving, make_live):
    """During a trial the version is the new release's, or the previous one's where that had to answer; either can be asked for."""
    flaky = iter([True, False])

    def answer(inputs):
        if next(flaky):
            return [inputs[0] + 10]
        raise RuntimeError("out of luck")

    serving.begin_trial(make_live(version="2.0.0", function=answer))
    told = [json.loads(client.ask("POST", path, request(1.0))[2]) for path in (INFER, INFER, "/v2/models/adder/versions/1.0.0/infer")]
    assert [(one["model_version"], one["outputs"][0]["data"]) for one in told] == [("2.0.0", [11.0]), ("1.0.0", [2.0]), ("1.0.0", [2.0])]
    evidence = serving.find_evidence("adder")
    assert (evidence.requests, evidence.rescued) == (2, 1)

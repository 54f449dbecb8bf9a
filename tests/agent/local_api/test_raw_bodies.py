"""Pictures, sounds, texts and tables over a real socket: as the body itself, or by name in the protocol's own request."""

import io
import json
import struct

import numpy as np
import pytest

from edgekit.bundles import open_bundle
from edgekit_agent.local_api.messages import HeadParser, Request
from edgekit_agent.local_api.raw_bodies import ask_in_binary, is_raw_body
from edgekit_agent.raw_access import RawAccess
from edgekit_agent.serving import load_model

MEDIA = {"image": "image/png", "boxes": "application/octet-stream", "audio": "audio/wav", "text": "text/plain", "series": "text/csv"}


@pytest.fixture
def load(serving, make_contract_bundle, machine):
    """Loads a kit, and serves it under its name; gives the live model."""

    def load(kind: str, before=lambda: None):
        bundle = open_bundle(make_contract_bundle(kind, kind))
        before()
        live = load_model(bundle, bundle.variants[0], machine)
        serving.swap(live)
        return live

    return load


def to_bytes(item) -> bytes:
    return item.encode() if isinstance(item, str) else item


def ask(client, model: str, body: bytes | dict, **headers: str):
    """The status, and the answer's JSON with its outputs by name."""
    status, _, data = client.ask("POST", f"/v2/models/{model}/infer", body, **headers)
    told = json.loads(data)
    return status, told | {"outputs": {one["name"]: one for one in told.get("outputs", ())}}


def pack(*items: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(item)) + item for item in items)


@pytest.mark.parametrize("kind", list(MEDIA))
def test_the_body_is_the_item(client, load, kits, kind):
    """A file or a text, sent as what it is, is answered as the contract reads it, in the form of the protocol."""
    live, kit = load(kind), kits(kind)
    pipeline, name = live.contract.pipeline, kit.contract.inputs[0].name
    for item in kit.items[:3]:
        status, told = ask(client, kind, to_bytes(item), Content_Type=MEDIA[kind])
        fed = pipeline.feed({name: to_bytes(item)})
        expected = pipeline.read(live.infer(fed.inputs), fed)
        assert (status, told["model_name"], list(told["outputs"])) == (200, kind, list(expected))
        assert told["outputs"]["labels"]["data"] == [label.decode() for label in expected["labels"]]
        assert told["outputs"]["labels"]["datatype"] == "BYTES"
        assert np.allclose(told["outputs"]["scores"]["data"], expected["scores"])
        assert told["outputs"]["scores"]["shape"] == list(expected["scores"].shape)


def test_an_item_is_a_bytes_tensor(client, load, kits):
    """In the protocol's own request an item is a BYTES tensor of one element, named by the contract's input; parts may be asked for."""
    load("image")
    item = pack(kits("image").items[2])
    tensor = {"name": "photo", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(item)}}
    head = json.dumps({"id": "7", "inputs": [tensor], "outputs": [{"name": "labels"}]}).encode()
    length = {"Inference_Header_Content_Length": str(len(head))}
    status, told = ask(client, "image", head + item, **length)
    assert (status, told["id"], told["outputs"]["labels"]["data"], len(told["outputs"])) == (200, "7", ["blue", "green"], 1)
    # The header says what the body is, whatever its content type claims.
    assert ask(client, "image", head + item, Content_Type="image/png", **length)[0] == 200


def test_a_text_may_stand_in_json(client, load):
    """A text is a BYTES tensor whose data is a string."""
    load("text")
    request = {"inputs": [{"name": "review", "shape": [1], "datatype": "BYTES", "data": ["a good day"]}]}
    status, told = ask(client, "text", request)
    assert (status, told["outputs"]["labels"]["data"][0]) == (200, "kind")


def test_plain_tensors_go_on_as_ever(client, load):
    """A model with a contract takes its own tensors in JSON and in binary, whatever their content type is called."""
    load("image")
    tensor = {"name": "x", "shape": [1, 3, 12, 16], "datatype": "FP32"}
    as_json = json.dumps({"inputs": [tensor | {"data": [0.5] * 576}]}).encode()
    for media in ("application/json", "application/octet-stream", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded"):
        status, told = ask(client, "image", as_json, Content_Type=media)
        assert (status, told["outputs"]["logits"]["shape"]) == (200, [1, 3])
    head = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": 2304}}]}).encode()
    binary = head + np.full(576, 0.5, "<f4").tobytes()
    status, again = ask(client, "image", binary, Content_Type="application/octet-stream", Inference_Header_Content_Length=str(len(head)))
    assert (status, again["outputs"]) == (200, told["outputs"])


def test_an_answer_may_be_binary(client, load, kits):
    """With Accept the answer to a raw body has its parts in binary, a mask of each pixel among them."""
    live = load("mask")
    headers = {"Content_Type": "image/png", "Accept": "text/html, Application/Octet-Stream;q=0.9"}
    status, answered, body = client.ask("POST", "/v2/models/mask/infer", kits("mask").items[0], **headers)
    split = int(answered["inference-header-content-length"])
    (described,) = json.loads(body[:split])["outputs"]
    pipeline = live.contract.pipeline
    fed = pipeline.feed({"photo": kits("mask").items[0]})
    expected = pipeline.read(live.infer(fed.inputs), fed)["mask"]
    assert (status, described["datatype"], described["shape"]) == (200, "INT32", [30, 40])
    assert (np.frombuffer(body[split:], "<i4").reshape(30, 40) == expected).all()


def test_a_mask_that_is_too_long_for_json_is_refused(client, load, kits, monkeypatch):
    """More elements than any program wants as JSON are given in binary alone."""
    monkeypatch.setattr("edgekit_agent.local_api.raw_bodies.MAX_JSON_ELEMENTS", 1000)
    load("mask")
    status, told = ask(client, "mask", kits("mask").items[0], Content_Type="image/png")
    assert status == 400
    assert "output 'mask': it has 1200 elements" in told["error"]
    assert client.ask("POST", "/v2/models/mask/infer", kits("mask").items[0], Content_Type="image/png", Accept="application/octet-stream")[0] == 200


def test_metadata_shows_what_may_be_given(client, load):
    """The raw inputs and what is read stand under the parameters; the model's own tensors stay where they were."""
    load("boxes")
    told = json.loads(client.ask("GET", "/v2/models/boxes")[2])
    assert [one["name"] for one in told["inputs"] + told["outputs"]] == ["x", "boxes", "scores"]
    raw = told["parameters"]["raw"]
    assert raw["inputs"] == [{"name": "photo", "datatype": "BYTES", "shape": [1], "kind": "image"}]
    assert [(one["name"], one["datatype"], one["shape"]) for one in raw["outputs"]] == [
        ("labels", "BYTES", [-1]),
        ("classes", "INT64", [-1]),
        ("scores", "FP32", [-1]),
        ("boxes", "FP32", [-1, 4]),
    ]
    assert raw["proof"].startswith("6 golden raw items")
    assert "unavailable" not in raw
    assert "raw" not in json.loads(client.ask("GET", "/v2/models/adder")[2])["parameters"]


@pytest.mark.parametrize(
    ("kind", "sent", "problem"),
    [
        ("image", ("image/png", b"no picture"), "input 'photo': it is no picture"),
        ("image", ("image/png", b""), "input 'photo'"),
        ("image", ("application/octet-stream", b"\x89PNG\r\n\x1a\n"), "input 'photo': it is no picture"),
        ("image", ("audio/wav", b"RIFF"), "input 'photo': it is no picture"),
        ("audio", ("audio/wav", b"RIFF\xff\xff\xff\xffWAVEdata\xff\xff\xff\xff"), "input 'sound': its header speaks of"),
        ("text", ("text/plain; charset=latin-1", b"gut"), "charset is 'latin-1'"),
        ("text", ("text/plain", b"\xff\xfe"), "input 'review': it is no text in UTF-8"),
        ("series", ("text/csv", b"up\n1"), "column 'down' is not among"),
        ("series", ("text/csv", b"up,down\n1,2\n3,nan"), "row 2, column 'down'"),
        ("series", ("text/csv", b"up,down\n1,2"), "input 'window'"),
    ],
)
def test_a_broken_item_is_400_and_the_next_is_answered(client, load, kits, kind, sent, problem):
    """What cannot be read is the caller's fault and is named; the connection and the model go on."""
    load(kind)
    status, told = ask(client, kind, sent[1], Content_Type=sent[0])
    assert (status, problem in told["error"]) == (400, True), told
    assert ask(client, kind, to_bytes(kits(kind).items[0]), Content_Type=MEDIA[kind])[0] == 200


def test_a_bomb_is_refused_by_its_header(client, load):
    """A picture that says it has 200 megapixels is refused before a pixel is unpacked."""
    from PIL import Image

    load("image")
    buffer = io.BytesIO()
    Image.new("1", (20_000, 10_000)).save(buffer, "PNG")
    status, told = ask(client, "image", buffer.getvalue(), Content_Type="image/png")
    assert (status, "input 'photo': it has too many pixels" in told["error"]) == (400, True)


def test_a_model_without_a_contract_says_so(client):
    """A picture for a model that takes tensors is refused with what to do; bytes that are JSON are read as ever."""
    for media in ("image/png", "audio/wav", "application/octet-stream"):
        status, told = ask(client, "adder", b"\x89PNG", Content_Type=media)
        assert (status, "no contract by which a raw item" in told["error"]) == (400, True)
    plain = json.dumps({"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}).encode()
    for media in ("application/octet-stream", "text/plain"):
        assert ask(client, "adder", b" \n" + plain, Content_Type=media)[1]["outputs"]["y"]["data"] == [2.0]


def test_a_device_without_the_libraries_says_what_to_install(client, load, lack_libraries):
    """Raw items are answered with 501 and the extra's name, the metadata says why, and tensors go on."""
    load("image", before=lambda: lack_libraries("PIL"))
    status, told = ask(client, "image", b"a picture", Content_Type="image/png")
    assert (status, "pip install 'edgekit[images]'" in told["error"]) == (501, True)
    raw = json.loads(client.ask("GET", "/v2/models/image")[2])["parameters"]["raw"]
    assert "library 'PIL.Image'" in raw["unavailable"]
    assert raw["proof"].startswith("unproven raw: ")
    tensor = {"name": "x", "shape": [1, 3, 12, 16], "datatype": "FP32", "data": [0.5] * 576}
    assert ask(client, "image", {"inputs": [tensor]})[0] == 200


def test_two_raw_inputs_are_given_by_name(client, load, kits):
    """A model that takes two pictures gets both in one request, their bytes behind one another."""
    load("pair")
    items = [pack(one) for one in kits("image").items[:2]]
    tensors = [
        {"name": name, "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(item)}}
        for name, item in zip(("photo", "other"), items, strict=True)
    ]
    head = json.dumps({"inputs": tensors}).encode()
    status, told = ask(client, "pair", head + b"".join(items), Inference_Header_Content_Length=str(len(head)))
    assert (status, told["outputs"]["labels"]["data"]) == (200, ["yes", "no"])
    status, told = ask(client, "pair", kits("image").items[0], Content_Type="image/png")
    assert (status, "2 raw items together" in told["error"]) == (400, True)


def make_request(body: bytes = b"", **headers: str) -> Request:
    lines = ["POST /v2/models/m/infer HTTP/1.1", "Host: a", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    parser = HeadParser(1 << 20)
    parser.feed(memoryview("\r\n".join([*lines, "", ""]).encode()))
    return Request(parser.head, memoryview(body))


@pytest.mark.parametrize(
    ("media", "body", "kinds", "expected"),
    [
        ("image/jpeg", b"{", (), True),
        ("AUDIO/x-wav", b"", ("image",), True),
        ("text/csv; charset=utf-8", b"a", (), True),
        ("text/plain", b"{", ("text",), True),
        ("text/plain", b"a", ("image",), False),
        ("text/plain", b"a,b", ("series",), True),
        ("application/octet-stream", b' \r\n{"inputs"', ("image",), False),
        ("application/octet-stream", b"{}", ("text", "image"), True),
        ("application/octet-stream", b"GIF89a", ("image",), True),
        ("application/json", b"", ("image",), False),
        ("", b"GIF89a", ("image",), False),
        (";", b"", ("image",), False),
    ],
)
def test_the_content_type_says_what_a_body_is(media, body, kinds, expected):
    """What is a picture, a sound or a table by its type is one; bytes and texts are what the contract takes, unless they begin as JSON does."""
    raw = RawAccess(inputs=(), kinds=dict(zip("abc", kinds, strict=False)), answers=())
    assert is_raw_body(make_request(body, Content_Type=media), raw) is expected


def test_binary_is_asked_for_by_accept():
    """Only the type itself asks for it, and not a range that would also take JSON."""
    assert ask_in_binary(make_request(Accept="application/octet-stream"))
    assert not ask_in_binary(make_request(Accept="*/*"))
    assert not ask_in_binary(make_request())

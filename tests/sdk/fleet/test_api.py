"""The fleet's HTTP API, over a real socket, from a whole server."""

import http.client
import json
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import urllib3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgekit.bundles import VerifiedBundle
from edgekit.fetching.http_fetcher import HttpFetcher
from edgekit.fleet.api import MAX_BODY_BYTES
from edgekit.fleet.client import FleetClient
from edgekit.histogram import record_values
from edgekit.releases.client import ReleaseClient
from edgekit.releases.publishing import publish_release
from edgekit.releases.versions import parse_reference
from edgekit.telemetry import Batch, Event, Interval

FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def pool() -> urllib3.PoolManager:
    return urllib3.PoolManager(timeout=20, retries=False)


@pytest.fixture
def ask(served: Any, pool: urllib3.PoolManager) -> Callable[..., tuple[int, Any]]:
    """Asks the API: the status, and the JSON that came with it."""

    def ask(method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        answer = pool.request(
            method, f"{served.running.http}{path}", body=data, headers={name.replace("_", "-"): text for name, text in headers.items()}
        )
        return answer.status, json.loads(answer.data)

    return ask


@pytest.fixture
def release(served: Any, make_small_bundle: Callable[..., VerifiedBundle]) -> str:
    """A release that the server's repository offers."""
    publish_release(make_small_bundle(), "1.0.0", served.repository, served.keys, datetime.now(timezone.utc))
    return "digits@1.0.0"


def make_batch(now_ms: int) -> Batch:
    interval = Interval(1, now_ms, 1000, "digits", "digits@1.0.0", "onnx-fp32", "onnxruntime", 20, latency_ms=record_values([1.0] * 19 + [10.0]))
    return Batch("0" * 15 + "1", 1, 3, (interval, Event(2, now_ms, "started", "digits", "it began")))


def test_devices_are_listed_selected_and_shown(served: Any, ask: Callable[..., Any]) -> None:
    """A device that reported is in the list and in the selections that name it, and shows its inventory and status."""
    served.add_device("roof-1", "raspberry-pi-4")
    served.add_device("cellar-1")
    assert {one["device"]["id"] for one in ask("GET", "/api/v1/devices")[1]} >= {"roof-1", "cellar-1"}
    assert [one["device"]["id"] for one in ask("GET", "/api/v1/devices?select=class%3Draspberry-pi-4")[1]] == ["roof-1"]
    status, shown = ask("GET", "/api/v1/devices/roof-1")
    assert status == 200
    assert shown["inventory"]["target"] == "raspberry-pi-4"
    assert shown["status"]["models"][0]["release"] == "digits@1.0.0"


def test_labels_are_set_taken_away_and_kept_literally(served: Any, ask: Callable[..., Any]) -> None:
    """A label is data: HTML in it comes back as it was written, an empty value takes it away, and the log has both."""
    served.add_device("labelled")
    hostile = "<b onclick>&amp;\"'</b>"
    status, device = ask("PATCH", "/api/v1/devices/labelled/labels", {"labels": {"site": "roof", "note": hostile}})
    assert status == 200
    assert device["labels"] == {"site": "roof", "note": hostile}
    assert ask("PATCH", "/api/v1/devices/labelled/labels", {"labels": {"site": ""}})[1]["labels"] == {"note": hostile}
    events = ask("GET", "/api/v1/events?subject=labelled&kind=labels")[1]
    assert [event["text"] for event in events] == ["site taken away", f"site=roof, note={hostile}"]


@pytest.mark.parametrize("labels", [{"class": "x"}, {"a b": "x"}, {"site": "a,b"}, {"site": "x" * 300}, {"": "x"}, {"site": 7}])
def test_labels_that_no_selection_could_name_are_refused(served: Any, ask: Callable[..., Any], labels: dict[str, Any]) -> None:
    """A label's name and value must be usable in a selection, and what a device is is no label."""
    served.add_device("labelled")
    status, refusal = ask("PATCH", "/api/v1/devices/labelled/labels", {"labels": labels})
    assert status == 400
    assert refusal["error"]


@pytest.mark.parametrize(
    "path", ["/api/v1/devices/nobody", "/api/v1/devices/a%2Fb", "/api/v1/devices/a/b", "/api/v1/audit?device=nobody", "/api/v1/nothing"]
)
def test_what_is_not_there_is_said_so(ask: Callable[..., Any], path: str) -> None:
    """A device that nobody knows, an id with slashes and a path that leads nowhere are each a 404 with a sentence."""
    status, refusal = ask("GET", path)
    assert status == 404
    assert refusal["error"]


def test_telemetry_is_summed_and_the_books_are_shown(served: Any, ask: Callable[..., Any]) -> None:
    """Percentiles are of the merged histograms, and what is made and not yet stored is missing in the audit."""
    now_ms = time.time_ns() // 1_000_000
    served.add_device("measured", batch=make_batch(now_ms))
    (step,) = ask("GET", f"/api/v1/telemetry?device=measured&since={now_ms - 1000}&until={now_ms + 1000}&step=2000")[1]
    assert (step["requests"], step["variants"]) == (20, {"onnx-fp32": 20})
    assert step["p50_ms"] == pytest.approx(1, rel=0.05)
    assert step["p99_ms"] == pytest.approx(10, rel=0.05)
    (line,) = [line for line in ask("GET", "/api/v1/audit?device=measured")[1] if line["made"]]
    assert (line["made"], line["stored"], line["lost"], line["missing"]) == (3, 2, 0, 1)
    assert ask("GET", "/api/v1/events?subject=measured&kind=started")[1][0]["text"] == "digits: it began"


def test_releases_are_those_of_the_repository(release: str, ask: Callable[..., Any]) -> None:
    """What was published a moment ago is offered, with the root that vouches for it."""
    status, found = ask("GET", "/api/v1/releases")
    assert status == 200
    assert [f"{one['name']}@{one['version']}" for one in found["releases"]] == [release]
    assert found["root"].startswith("sha256:")


def test_a_rollout_is_planned_started_and_controlled(served: Any, release: str, ask: Callable[..., Any]) -> None:
    """One order after another does what it says, and a second rollout to the same devices is told of the first."""
    for name in ("lab-1", "lab-2"):
        served.add_device(name)
        ask("PATCH", f"/api/v1/devices/{name}/labels", {"labels": {"site": "lab"}})
    request = {"release": release, "select": "site=lab", "phases": [{"devices": 1}, {"share": 1.0}]}
    status, plan = ask("POST", "/api/v1/rollouts/plan", request)
    assert status == 200
    assert sum(len(phase["devices"]) for phase in plan["phases"]) == 2
    status, begun = ask("POST", "/api/v1/rollouts", request)
    assert status == 201
    begun_id = begun["rollout"]["id"]
    status, refusal = ask("POST", "/api/v1/rollouts", request)
    assert status == 409
    assert begun_id in refusal["error"]
    assert ask("POST", f"/api/v1/rollouts/{begun_id}/pause")[1]["rollout"]["state"] == "paused"
    assert ask("POST", f"/api/v1/rollouts/{begun_id}/resume")[1]["rollout"]["state"] == "running"
    assert ask("GET", f"/api/v1/rollouts/{begun_id}")[1]["rollout"]["release"] == release
    assert ask("POST", f"/api/v1/rollouts/{begun_id}/abort")[1]["rollout"]["state"] == "aborted"
    status, refusal = ask("POST", f"/api/v1/rollouts/{begun_id}/pause")
    assert status == 409
    assert "aborted" in refusal["error"]
    assert ask("GET", "/api/v1/devices/lab-1/explain")[1]["sentences"]
    assert begun_id in [one["id"] for one in ask("GET", "/api/v1/rollouts")[1]]


def test_a_rollout_to_nobody_is_refused(release: str, ask: Callable[..., Any]) -> None:
    """A selection without a device is the caller's mistake, and so is a selection that cannot be read."""
    for select in ("site=moon", "site"):
        status, refusal = ask("POST", "/api/v1/rollouts", {"release": release, "select": select})
        assert status == 400
        assert select in refusal["error"]


def test_health_counts_and_tells_the_addresses(served: Any, ask: Callable[..., Any]) -> None:
    """The server says where devices reach it, and that its broker answers."""
    served.add_device("healthy")
    status, health = ask("GET", "/api/v1/health")
    assert status == 200
    assert health["broker_up"] is True
    assert health["mqtt"] == served.running.mqtt
    assert health["devices"] >= 1


def test_the_description_names_every_route(ask: Callable[..., Any]) -> None:
    """OpenAPI lists what the API has, with the records that it takes."""
    status, description = ask("GET", "/api/v1/openapi.json")
    assert status == 200
    assert {"/api/v1/health", "/api/v1/rollouts/plan", "/api/v1/rollouts/{rollout}/{act}", "/api/v1/devices/{device}/labels"} <= set(
        description["paths"]
    )
    assert "RolloutRequest" in description["components"]["schemas"]


# --- who may ask -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8420", "127.0.0.1.evil.example", "", "[::1", "169.254.169.254"])
def test_another_name_in_host_does_not_reach_the_api(ask: Callable[..., Any], host: str) -> None:
    """A page whose name was pointed at this machine (DNS rebinding) reads nothing."""
    status, refusal = ask("GET", "/api/v1/devices", Host=host)
    assert status == 421
    assert "127.0.0.1" in refusal["error"]


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_a_page_of_another_origin_changes_nothing(served: Any, ask: Callable[..., Any], origin: str) -> None:
    """A form of another page cannot label a device, whatever type it says that its body has."""
    served.add_device("guarded")
    status, _ = ask("PATCH", "/api/v1/devices/guarded/labels", {"labels": {"site": "evil"}}, Origin=origin, Content_Type="text/plain")
    assert status == 403
    assert ask("GET", "/api/v1/devices/guarded")[1]["device"]["labels"] == {}


def test_the_fleets_own_page_may_change_things(served: Any, ask: Callable[..., Any]) -> None:
    """A request that says that it comes from this server is let through."""
    served.add_device("own")
    assert ask("PATCH", "/api/v1/devices/own/labels", {"labels": {"site": "x"}}, Origin=served.running.http)[0] == 200


def test_no_answer_lets_other_origins_read(served: Any, pool: urllib3.PoolManager) -> None:
    """There is no CORS header, whatever origin asks."""
    answer = pool.request("GET", f"{served.running.http}/api/v1/health", headers={"Origin": "http://evil.example"})
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


# --- what it is given --------------------------------------------------------------------------------------------------


def test_a_body_that_is_too_large_is_refused(ask: Callable[..., Any]) -> None:
    """More than the API has use for is not read to its end."""
    status, refusal = ask("POST", "/api/v1/rollouts/plan", b'{"release": "' + b"x" * MAX_BODY_BYTES + b'"}')
    assert status == 413
    assert refusal["error"]


GARBAGE = st.binary(max_size=60) | st.sampled_from([b"[" * 100_000, b"{}", b"null", b'{"labels":{"a":null}}', b'{"release":1e999}', b'"\\ud800"'])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
FIELDS = st.dictionaries(
    st.sampled_from(["release", "select", "phases", "error_threshold", "trial", "labels", "x"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20), lambda some: st.lists(some, max_size=3), max_leaves=4
    ),
)


@given(
    route=st.sampled_from(["POST rollouts", "POST rollouts/plan", "POST rollouts/x/pause", "PATCH devices/x/labels"]),
    body=GARBAGE | FIELDS.map(lambda fields: json.dumps(fields).encode()),
)
@FUZZ
def test_no_body_brings_the_server_down(ask: Callable[..., Any], route: str, body: bytes) -> None:
    """Whatever is sent where a record is expected, the answer is a refusal in JSON, and never a fault of the server."""
    method, _, path = route.partition(" ")
    status, refusal = ask(method, f"/api/v1/{path}", body)
    assert 400 <= status < 500
    assert refusal["error"]


@given(
    route=st.sampled_from(["devices", "telemetry", "events", "audit", "rollouts", "health", "releases"]),
    query=st.dictionaries(
        st.sampled_from(["select", "device", "model", "since", "until", "step", "limit", "before", "subject", "kind", "x"]),
        st.text(max_size=20)
        | st.integers().map(str)
        | st.sampled_from(["0", "1", "-1", str(1 << 53), str(1 << 63), "1e5", "%00", "class=x", "a!=b"]),
        max_size=4,
    ),
)
@FUZZ
def test_no_query_brings_the_server_down(ask: Callable[..., Any], pool: urllib3.PoolManager, route: str, query: dict[str, str]) -> None:
    """Whatever stands behind the question mark, the answer is what was asked for or a refusal in JSON."""
    status, _ = ask("GET", f"/api/v1/{route}?{urlencode(query, errors='replace')}")
    assert status == 200 or 400 <= status < 500


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
@FUZZ
def test_no_path_brings_the_server_down(ask: Callable[..., Any], name: str) -> None:
    """Whatever stands where an id is expected, the answer is JSON and no fault."""
    for path in ("devices/{}", "devices/{}/explain", "rollouts/{}"):
        status, _ = ask("GET", "/api/v1/" + path.format(quote(name, safe="")))
        assert status in (200, 400, 404, 405)


# --- the release repository --------------------------------------------------------------------------------------------


def test_devices_install_from_the_server(served: Any, release: str, tmp_path: Path) -> None:
    """python-tuf's workflow and our fetcher get a whole release over HTTP, and the director's keys with it."""
    client = ReleaseClient(served.running.releases, tmp_path / "trust")
    client.trust_root((served.repository / "metadata" / "1.root.json").read_bytes())
    bundle = client.fetch_release(parse_reference(release), tmp_path / "bundle", lambda manifest: [one.id for one in manifest.variants])
    assert len(bundle.variants) == 2
    assert len(client.read_director_keys()) == 1


def test_a_transfer_goes_on_where_it_broke_off(served: Any, pool: urllib3.PoolManager) -> None:
    """A range is answered with just its bytes, and what comes with it says which they are."""
    whole = (served.repository / "metadata" / "1.root.json").read_bytes()
    url = f"{served.running.releases}metadata/1.root.json"
    with HttpFetcher().fetch(url, 100, len(whole)) as pieces:
        assert b"".join(pieces) == whole[100:]
    answer = pool.request("GET", url, headers={"Range": "bytes=10-19"})
    assert (answer.status, answer.data, answer.headers["content-range"]) == (206, whole[10:20], f"bytes 10-19/{len(whole)}")
    assert pool.request("GET", url, headers={"Range": f"bytes={len(whole)}-"}).status == 416
    changed = pool.request("GET", url, headers={"Range": "bytes=10-19", "If-Range": '"another"'})
    assert (changed.status, changed.data) == (200, whole)
    same = pool.request("GET", url, headers={"If-None-Match": answer.headers["etag"]})
    assert (same.status, same.data) == (304, b"")
    head = pool.request("HEAD", url)
    assert (head.status, head.data, head.headers["content-length"], head.headers["content-type"]) == (200, b"", str(len(whole)), "application/json")


@pytest.mark.parametrize("path", ["../fleet/director.pem", "%2e%2e/fleet/director.pem", "..%2ffleet%2fdirector.pem", ".lock", "", "metadata"])
def test_nothing_outside_the_repository_is_served(served: Any, path: str) -> None:
    """However the path is written, the director's key beside the repository stays where it is."""
    connection = http.client.HTTPConnection(served.running.http.removeprefix("http://"), timeout=10)
    connection.putrequest("GET", f"/releases/{path}", skip_accept_encoding=True)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status in (400, 404)
    assert b"PRIVATE" not in body


def test_the_repository_is_only_read(served: Any, pool: urllib3.PoolManager) -> None:
    """Nothing is written or removed over HTTP."""
    for method in ("PUT", "DELETE", "POST"):
        assert pool.request(method, f"{served.running.releases}metadata/timestamp.json").status == 405


def test_the_client_sees_what_the_api_says(served: Any, release: str) -> None:
    """Each method of the client brings the record that its route gives."""
    served.add_device("seen", batch=make_batch(time.time_ns() // 1_000_000))
    with FleetClient(served.running.http) as client:
        assert client.read_health().mqtt == served.running.mqtt
        assert [one.device.id for one in client.list_devices("device=seen")] == ["seen"]
        assert client.find_device("seen").inventory.device == "seen"
        assert client.set_labels("seen", {"site": "lab-2"}).labels == {"site": "lab-2"}
        assert client.explain_device("seen").device == "seen"
        assert [str(one.reference) for one in client.list_releases().releases] == [release]
        assert sum(line.missing for line in client.audit("seen")) == 1
        assert client.list_events(subject="seen", limit=1)[0].subject == "seen"
        assert sum(step.requests for step in client.list_telemetry(device="seen")) == 20

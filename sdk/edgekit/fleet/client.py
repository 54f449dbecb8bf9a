"""The fleet's server, as a program or a person reaches it: ``edgekit.FleetClient("http://127.0.0.1:8420")``."""

from collections.abc import Mapping
from types import TracebackType
from typing import TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from edgekit.errors import (
    DeviceError,
    EdgekitError,
    GateRefused,
    InputError,
    TransferError,
    TrustError,
    WireError,
)
from edgekit.fleet.views import (
    Act,
    AuditView,
    DeviceDetail,
    DeviceSummary,
    DeviceView,
    EventView,
    Explanation,
    FleetActivity,
    Health,
    LabelChange,
    Refusal,
    ReleaseList,
    RolloutPlan,
    RolloutRequest,
    RolloutView,
    TelemetryStep,
)
from edgekit.records import Name
from edgekit.rollout import Rollout

#: The environment's word for the server's address, and where it is when nobody says otherwise.
SERVER_VARIABLE = "EDGEKIT_FLEET"
DEFAULT_SERVER = "http://127.0.0.1:8420"

T = TypeVar("T")
_KINDS: Mapping[str, type[EdgekitError]] = {
    kind.__name__: kind for kind in (InputError, GateRefused, TrustError, TransferError, DeviceError, WireError)
}


class FleetClient:
    """Speaks to the fleet's server at *url*. As a context manager it gives its connections back at the end.

    Each method raises TransferError where the server cannot be reached, WireError where what answers is no fleet's server, and
    otherwise what the server refuses with, its message unchanged: InputError for what the caller gave.
    """

    def __init__(self, url: str = DEFAULT_SERVER, timeout_s: float = 30.0) -> None:
        self.url = _check_url(url)
        self._pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=5.0, read=timeout_s), retries=False)

    def __enter__(self) -> "FleetClient":
        """The client itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Give the connections back."""
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._pool.clear()

    def read_health(self) -> Health:
        """How the server is."""
        return self._get("health", Health)

    def list_devices(self, select: str = "") -> list[DeviceSummary]:
        """The devices that *select* names (``class=raspberry-pi-4,site=roof``), or all, each with its status."""
        return self._get("devices", list[DeviceSummary], select=select)

    def find_device(self, device: str) -> DeviceDetail:
        """Everything about one device; InputError where there is none of that id."""
        return self._get(f"devices/{_check_name('device', device)}", DeviceDetail)

    def set_labels(self, device: str, labels: Mapping[str, str]) -> DeviceView:
        """Set *labels* of *device*, and take away those with an empty value."""
        body = LabelChange(labels=dict(labels))
        return self._send("PATCH", f"devices/{_check_name('device', device)}/labels", DeviceView, body)

    def explain_device(self, device: str) -> Explanation:
        """Why *device* is where it is: one sentence for each model."""
        return self._get(f"devices/{_check_name('device', device)}/explain", Explanation)

    def list_rollouts(self, model: str = "", limit: int = 100) -> list[Rollout]:
        """The newest *limit* rollouts first, of all models or of one."""
        return self._get("rollouts", list[Rollout], model=model, limit=limit)

    def find_rollout(self, rollout: str) -> RolloutView:
        """One rollout and how its devices stand with it; InputError where there is none of that id."""
        return self._get(f"rollouts/{_check_name('rollout', rollout)}", RolloutView)

    def plan_rollout(self, request: RolloutRequest) -> RolloutPlan:
        """What *request* would do now; nothing is changed."""
        return self._send("POST", "rollouts/plan", RolloutPlan, request)

    def start_rollout(self, request: RolloutRequest) -> RolloutView:
        """Begin a rollout; InputError where it selects nobody, or another is on its way to one of its devices."""
        return self._send("POST", "rollouts", RolloutView, request)

    def control_rollout(self, rollout: str, act: Act) -> RolloutView:
        """Pause, resume or abort a rollout, or take it back; InputError where it cannot be done any more."""
        return self._send("POST", f"rollouts/{_check_name('rollout', rollout)}/{act}", RolloutView)

    def list_telemetry(
        self, *, device: str = "", model: str = "", since: int | None = None, until: int | None = None, step: int = 60_000
    ) -> list[TelemetryStep]:
        """What was measured from *since* to *until* (unix milliseconds; the last hour by default), in steps of *step* milliseconds."""
        return self._get("telemetry", list[TelemetryStep], device=device, model=model, since=since, until=until, step=step)

    def read_activity(self, since: int | None = None) -> FleetActivity:
        """What every device and model has been doing just now, where its newest interval began at *since* (ten minutes ago by default)."""
        return self._get("activity", FleetActivity, since=since)

    def list_releases(self) -> ReleaseList:
        """The releases that the server's repository offers."""
        return self._get("releases", ReleaseList)

    def audit(self, device: str = "") -> list[AuditView]:
        """The books of every stream of records, or of those of *device*."""
        return self._get("audit", list[AuditView], device=device)

    def list_events(self, *, subject: str = "", kind: str = "", before: int | None = None, limit: int = 100) -> list[EventView]:
        """What happened, newest first; *before* is the id of the last event of the page before."""
        return self._get("events", list[EventView], subject=subject, kind=kind, before=before, limit=limit)

    def _get(self, path: str, kind: type[T], /, **query: object) -> T:
        given = {name: value for name, value in query.items() if value not in ("", None)}
        return self._request("GET", f"{path}?{urlencode(given)}" if given else path, kind)

    def _send(self, method: str, path: str, kind: type[T], body: msgspec.Struct | None = None) -> T:
        return self._request(method, path, kind, b"" if body is None else msgspec.json.encode(body))

    def _request(self, method: str, path: str, kind: type[T], body: bytes | None = None) -> T:
        headers = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if body else {})
        try:
            response = self._pool.request(method, f"{self.url}/api/v1/{path}", body=body, headers=headers, redirect=False)
        except HTTPError as error:
            problem = f"the fleet's server cannot be reached: {_describe(error)}"
            raise TransferError(self.url, problem, "Start it with edgekit fleet up, or name another with --server.") from error
        if response.status >= 400:
            raise self._read_refusal(response.status, response.data)
        try:
            return msgspec.json.decode(response.data, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise WireError(self.url, f"what answers there is no fleet's server, or a newer one: {error}") from error

    def _read_refusal(self, status: int, data: bytes) -> EdgekitError:
        try:
            refusal = msgspec.json.decode(data, type=Refusal)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return WireError(self.url, f"it answers {status} in a way that no fleet's server does")
        if (status >= 500 and refusal.kind not in _KINDS) or status == 500:
            return WireError(refusal.subject or self.url, refusal.problem or refusal.error, refusal.remedy)
        return _KINDS.get(refusal.kind, InputError)(refusal.subject or self.url, refusal.problem or refusal.error, refusal.remedy)


def _check_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and not parts.query and not parts.fragment and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise InputError(f"server {url[:200]!r}", "it is no address of a fleet's server", f"Write it as {DEFAULT_SERVER}.")
    return url.rstrip("/")


def _check_name(kind: str, name: str) -> str:
    """*name* as a part of a path: what could be no id is not asked for."""
    try:
        msgspec.convert(name, Name)
    except msgspec.ValidationError as error:
        problem = "an id has 1 to 64 letters, digits, '-' and '_', and begins with a letter or digit"
        raise InputError(f"{kind} {name[:80]!r}", problem, f"See edgekit {kind} list.") from error
    return quote(name, safe="")


def _describe(error: HTTPError) -> str:
    cause = error.__cause__ or error.__context__
    return (cause.strerror if isinstance(cause, OSError) else None) or str(error)

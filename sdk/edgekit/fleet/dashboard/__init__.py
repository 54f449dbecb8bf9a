"""The fleet's page for people: it asks the API what any client may ask, changes nothing, and needs nothing but this server."""

from importlib.util import find_spec
from pathlib import Path

from litestar import MediaType, Response, asgi, get
from litestar.types import ControllerRouterHandler

from edgekit.errors import DeviceError
from edgekit.fleet.static_files import serve_files

ASSETS = Path(__file__).parent / "assets"
#: Scripts, requests and pictures from this server alone, and no script within the page. Plotly writes styles of its own.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "connect-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def list_pages() -> tuple[ControllerRouterHandler, ...]:
    """The page at ``/``, and what it is made of; DeviceError where plotly, which draws its charts, is not installed."""
    assets = asgi("/dashboard", is_mount=True, copy_scope=True)(serve_files(ASSETS))
    charts = asgi("/plotly", is_mount=True, copy_scope=True)(serve_files(find_plotly()))
    return (show_page, assets, charts)


@get("/", media_type=MediaType.HTML, include_in_schema=False, sync_to_thread=True)
def show_page() -> Response[bytes]:
    """The page itself, with the policy that its browser is to hold it to."""
    return Response((ASSETS / "index.html").read_bytes(), media_type=MediaType.HTML, headers=_HEADERS)


def find_plotly() -> Path:
    """The directory with ``plotly.min.js``, out of plotly's wheel; plotly itself, which is slow to import, is only looked up."""
    spec = find_spec("plotly")
    if spec is None or spec.origin is None:
        raise DeviceError("dashboard", "plotly, which draws its charts, is not installed", "Install it: pip install 'edgekit[fleet]'.")
    return Path(spec.origin).parent / "package_data"

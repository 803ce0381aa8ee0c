"""Prefect's server, which answers to its own names and its own pages alone.

`python -m vexpress.flows.server.app --host 127.0.0.1 --port 4200`

A page of somebody else's, open in a browser on this machine, must reach nothing here: requests
under another name are refused (DNS rebinding), Prefect's own settings keep other origins out
(PREFECT_SERVER_CORS_ALLOWED_ORIGINS) and ask for a password (PREFECT_SERVER_API_AUTH_STRING).
"""

import argparse
import os

import uvicorn
from prefect.server.api.server import create_app
from starlette.middleware.trustedhost import TrustedHostMiddleware

NAMES = "VEXPRESS_SERVER_NAMES"
"""Further names, with commas between, under which the server is asked: of a service, a proxy."""
LOOPBACK = ("127.0.0.1", "localhost")


def guarded(names: list[str]) -> TrustedHostMiddleware:
    """Return Prefect's server as an ASGI app that answers only under `names`."""
    return TrustedHostMiddleware(create_app(final=True), allowed_hosts=names, www_redirect=False)


def main() -> None:
    """Serve until it is stopped."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=4200, help="port to listen on")
    asked = parser.parse_args()
    more = [name.strip() for name in os.environ.get(NAMES, "").split(",") if name.strip()]
    if not os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
        parser.error("expected a password in PREFECT_SERVER_API_AUTH_STRING, such as user:secret")
    app = guarded(sorted({*LOOPBACK, asked.host, *more} - {"0.0.0.0"}))
    uvicorn.run(app, host=asked.host, port=asked.port, timeout_keep_alive=5)


if __name__ == "__main__":
    main()

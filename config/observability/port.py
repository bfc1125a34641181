"""METRICS_PORT: where a worker or beat answers /metrics, /livez and /readyz, from its main process."""

import json
import logging
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from django.conf import settings
from django.db import connection

from config import health
from config.observability.exposition import CONTENT_TYPE, exposition, is_right_token

logger = logging.getLogger(__name__)

READ_S = 5.0
# Whoever says nothing for so long is hung up on.


class Watched(Protocol):
    """The node that the port speaks for."""

    kind: str

    @property
    def idle_s(self) -> float: ...


def serve(node: Watched) -> ThreadingHTTPServer | None:
    """Answer until the process ends; None where METRICS_PORT is not set, or is taken."""
    if not settings.METRICS_PORT:
        return None
    handler = type("Handler", (Handler,), {"node": node})
    try:
        server = Server((settings.METRICS_HOST, settings.METRICS_PORT), handler)
    except OSError as error:
        # Deliveries go on without being watched.
        logger.error("METRICS_PORT %d cannot be listened on: %s", settings.METRICS_PORT, error.strerror)
        return None
    # A pool process that is forked later must not hold the port when this one is gone.
    os.register_at_fork(after_in_child=server.socket.close)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the library's signature
        """The library's own prints to standard error."""
        logger.warning("a request to METRICS_PORT failed: %s", type(sys.exc_info()[1]).__name__)


class Handler(BaseHTTPRequestHandler):
    """One connection, one request."""

    node: Watched
    timeout = READ_S
    server_version, sys_version = "Signet", ""

    def do_GET(self) -> None:
        try:
            status, content_type, body = self._answer()
        finally:
            connection.close()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def _answer(self) -> tuple[int, str, bytes]:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            if settings.METRICS_TOKEN and not is_right_token(self.headers.get("Authorization", "")):
                return 401, "text/plain", b"The metrics need METRICS_TOKEN.\n"
            return 200, CONTENT_TYPE, exposition(with_platform=False)
        if path in ("/livez", "/readyz"):
            report = health.of_worker(self.node, is_whole=path == "/readyz")
            return report.status, "application/json", json.dumps(report.body).encode()
        return 404, "text/plain", b"There are /metrics, /livez and /readyz.\n"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's signature
        """Probes come every few seconds."""

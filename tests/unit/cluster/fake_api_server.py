"""A stand-in for the API server on the wire, for answers that a real one gives only in bad times."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from kubernetes import client


@dataclass(frozen=True)
class Request:
    """What was asked."""

    method: str
    path: str
    headers: dict[str, str]
    body: str


@dataclass(frozen=True)
class Answer:
    """What is answered."""

    status: int
    body: str
    after_seconds: float = 0.0


HANG_UP = Answer(status=0, body="")
"""Close the connection without an answer."""


@dataclass
class FakeApiServer:
    """Answers each request with what `decide` says, and remembers it."""

    decide: Callable[[Request], Answer]
    requests: list[Request] = field(default_factory=list)
    url: str = ""

    def client(self) -> client.ApiClient:
        """Return a client of the official library for this server."""
        configuration = client.Configuration()
        configuration.host = self.url
        configuration.api_key["authorization"] = "Bearer secret-token"
        return client.ApiClient(configuration)


def status(code: int, message: str = "", **more: Any) -> Answer:
    """Build the answer by which Kubernetes refuses."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "code": code,
        **more,
    }
    return Answer(code, json.dumps(body))


def secret_list(*items: dict[str, Any]) -> Answer:
    """Build the answer to a list call."""
    return Answer(200, json.dumps({"metadata": {"resourceVersion": "9"}, "items": list(items) or None}))


@contextlib.contextmanager
def fake_api_server(decide: Callable[[Request], Answer]) -> Iterator[FakeApiServer]:
    """Run a server on a free port of 127.0.0.1."""
    fake = FakeApiServer(decide)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length).decode()
            request = Request(self.command, self.path, dict(self.headers), body)
            fake.requests.append(request)
            answer = fake.decide(request)
            if answer is HANG_UP:
                self.close_connection = True
                return
            time.sleep(answer.after_seconds)
            content = answer.body.encode()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        do_GET = do_PATCH = do_DELETE = _answer  # noqa: N815 - the names that http.server looks for

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

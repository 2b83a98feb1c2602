"""A receiver of webhooks that is a program of its own: it knows nothing of triphase.

It tells, as a line of JSON each: `{"port": …}` when it listens, and `{"request": …}` for every
request that has come whole, before it is answered.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class Manners:
    """How a receiver answers. Requests are counted from 1, in the order in which they come."""

    status: int = 204
    """What it answers to those that do not fail."""

    fail_first: int = 0
    """So many fail."""

    fail_every: int = 0
    """Of the others, each whose number this divides fails; 0 is none."""

    fail_status: int = 503
    """What those are answered."""

    hang_first: int = 0
    """So many are not answered at all, as long as the receiver lives."""

    delay: float = 0.0
    """Seconds before an answer."""

    exit_after: int = 0
    """After so many answers it is gone; 0 is never."""

    port: int = 0
    """Where it listens; 0 is any port that is free."""

    def answer(self, number: int) -> int | None:
        """Return the status that a request is answered; None if it is not."""
        if number <= self.hang_first:
            return None
        fails = number <= self.fail_first or (self.fail_every and number % self.fail_every == 0)
        return self.fail_status if fails else self.status

    def arguments(self) -> list[str]:
        """Return the command line that asks a program for these."""
        given: dict[str, Any] = attrs.asdict(self)
        return [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]


class Counted(ThreadingHTTPServer):
    """A server that counts the requests and the answers of all its threads."""

    def __init__(self, manners: Manners) -> None:
        super().__init__(("127.0.0.1", manners.port), Handler)
        self.manners = manners
        self.requests = self.answers = 0
        self.lock = threading.Lock()

    def receive(self, request: dict[str, Any]) -> int | None:
        """Count a request and tell it; return what it is answered."""
        with self.lock:
            self.requests += 1
            status = self.manners.answer(self.requests)
            tell({"request": {**request, "answered": status}})
            return status

    def answered(self) -> None:
        """Count an answer; the last of them is the end."""
        with self.lock:
            self.answers += 1
            if self.answers == self.manners.exit_after:
                os._exit(0)


class Handler(BaseHTTPRequestHandler):
    """Answers POST."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Read a request whole, tell it and answer it."""
        assert isinstance(self.server, Counted)
        body = self.rfile.read(int(self.headers["content-length"]))
        status = self.server.receive(
            {
                "path": self.path,
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "body": base64.b64encode(body).decode(),
            }
        )
        if status is None:
            # Until the client has had enough, and hangs up.
            self.rfile.read(1)
            self.close_connection = True
            return
        threading.Event().wait(self.server.manners.delay)
        self.send_response(status)
        if status != 204:
            self.send_header("content-length", "0")
        self.end_headers()
        self.wfile.flush()
        self.server.answered()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing to the console."""


def tell(value: dict[str, Any]) -> None:
    """Tell something to whoever has started the program."""
    print(json.dumps(value), flush=True)


def main() -> None:
    """Receive until the process is killed, or has answered enough."""
    parser = argparse.ArgumentParser(description=__doc__)
    for field in attrs.fields(Manners):
        of = float if field.name == "delay" else int
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=of, default=field.default)
    server = Counted(Manners(**vars(parser.parse_args())))
    tell({"port": server.server_port})
    server.serve_forever()


if __name__ == "__main__":
    main()

"""`triphase serve` as a process, and commands in others that speak with it over a port."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import pty
import queue
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Generator
from io import FileIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import pytest

from triphase.hooks import verify_webhook

from .conftest import Cli, Spawn
from .ran import Ran

pytestmark = pytest.mark.slow

JOBS = """
import pathlib

import trio
import triphase


@triphase.job()
class Held:
    name: str = "go"

    @triphase.phase()
    async def hold(self, ctx: triphase.Context) -> str:
        while not pathlib.Path(self.name).exists():
            await trio.sleep(0.01)
        return "held"


@triphase.job()
class Deaf:
    @triphase.phase()
    async def hold(self, ctx: triphase.Context) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()


@triphase.job(approval=True)
class Gated:
    @triphase.phase()
    async def go(self, ctx: triphase.Context) -> str:
        return "went"
"""


@attrs.frozen(eq=False)
class Server:
    """A `triphase serve` that serves."""

    process: subprocess.Popen[str]
    url: str
    cli: Cli

    @property
    def address(self) -> str:
        """Where it listens."""
        return urlsplit(self.url).netloc

    def submit(self, *arguments: str) -> str:
        """Submit a job, and return its id."""
        return self.cli("submit", *arguments, "--url", self.url).out.strip()

    def told(self, *words: str) -> str:
        """Return its next line on stderr, which has these words."""
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        assert all(word in line for word in words), line
        return line

    def started(self, id: str, spawn: Spawn) -> None:
        """Return when a job has started."""
        events = spawn("tail", "--after", "0", "--job", id, "--url", self.url)
        assert events.stdout is not None
        assert next(line for line in events.stdout if "phase.started" in line)
        events.kill()

    def waiting(self, id: str, spawn: Spawn) -> subprocess.Popen[str]:
        """Return a process that waits for a job, and is connected."""
        over = self.submit("Held", '{"name":"held.py"}')
        process = spawn("wait", over, id, "--url", self.url)
        assert line_of(process, "completed").startswith(over)
        return process


Serve = Callable[..., Server]


@pytest.fixture
def serve(folder: Path, spawn: Spawn, cli: Cli) -> Serve:
    """Start a server of the jobs in this file, on a free port unless told otherwise."""
    (folder / "held.py").write_text(JOBS, "utf-8")

    def start(*arguments: str, listen: str = "127.0.0.1:0") -> Server:
        process = spawn("serve", "held", "--listen", listen, *arguments)
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        server = Server(process, url, cli)
        if url:
            server.told("runs 3 job types with the store jobs.db")
        return server

    return start


def go(folder: Path) -> None:
    """Let the jobs that are held end."""
    (folder / "go").touch()


def line_of(process: subprocess.Popen[str], word: str) -> str:
    """Return a process's next line of output with this word."""
    assert process.stdout is not None
    return next(line for line in process.stdout if word in line)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_drains_while_clients_stay_connected(
    serve: Serve, spawn: Spawn, folder: Path, number: signal.Signals
) -> None:
    server = serve("--drain", "60")
    id = server.submit("Held")
    server.started(id, spawn)
    waits = server.waiting(id, spawn)
    tail = spawn("tail", "--after", "0", "--url", server.url)
    line_of(tail, f"{id}\tphase.started")
    server.process.send_signal(number)
    server.told(number.name, "waits 1 m at the most for 1 job")
    assert server.cli("ls", "--state", "running", "--url", server.url).cells[0][0] == id
    late = server.submit("Held")
    assert server.cli("explain", late, "--url", server.url).cells[0][0] == "draining"
    go(folder)
    line_of(tail, f"{id}\tjob.completed")
    out, _ = waits.communicate()
    assert (waits.returncode, out.split("\t")[:2]) == (0, [id, "completed"])
    assert server.process.wait() == 0
    server.told("nothing runs any more")
    assert tail.stderr is not None
    assert "was lost: the server ends" in tail.stderr.readline()


def test_what_has_no_time_to_end_goes_on_at_the_next_start(
    serve: Serve, spawn: Spawn, folder: Path
) -> None:
    server = serve("--drain", "0.1")
    id = server.submit("Held")
    server.started(id, spawn)
    server.process.terminate()
    assert server.process.wait() == 124
    server.told("SIGTERM")
    server.told("1 job had no time to end")
    assert server.cli("ls").cells[0][:3] == [id, "Held", "queued"]
    go(folder)
    again = serve()
    assert again.cli("wait", id, "--url", again.url).cells[0][:2] == [id, "completed"]


def test_a_second_signal_does_not_wait(serve: Serve, spawn: Spawn) -> None:
    server = serve("--drain", "3600")
    id = server.submit("Held")
    server.started(id, spawn)
    server.process.send_signal(signal.SIGINT)
    server.told("SIGINT", "for 1 job")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait() == 143
    server.told("SIGTERM: stops what runs")
    assert server.cli("ls").cells[0][:3] == [id, "Held", "queued"]


def test_a_third_signal_ends_what_does_not_stop(serve: Serve, spawn: Spawn) -> None:
    server = serve("--drain", "3600")
    server.started(server.submit("Deaf"), spawn)
    for words in ("starts no more jobs", "stops what runs"):
        server.process.terminate()
        server.told("SIGTERM", words)
    server.process.terminate()
    assert server.process.wait() == -signal.SIGTERM


def test_json_is_an_object_with_the_urls(serve: Serve) -> None:
    server = serve("--json")
    said = json.loads(server.url)
    (url,) = said["urls"]
    assert said == {"urls": [url], "store": "jobs.db"}
    assert server.cli("queue", "ls", "--url", url).code == 0


def test_followers_go_on_when_it_was_killed_and_is_back(
    serve: Serve, spawn: Spawn, folder: Path
) -> None:
    server = serve()
    id = server.submit("Held")
    server.started(id, spawn)
    tail = spawn("tail", "--after", "0", "--json", "--url", server.url)
    wait = server.waiting(id, spawn)
    watch = spawn("watch", id, "--json", "--url", server.url)
    line_of(tail, f'"{id}"')
    line_of(watch, "phase.started")
    server.process.kill()
    server.process.wait()
    for each in (tail, watch, wait):
        assert each.stderr is not None
        told = f"the connection to {server.url} was lost: it broke off; it goes on"
        assert told in each.stderr.readline()
    go(folder)
    again = serve(listen=server.address)
    assert again.url == server.url
    out, err = wait.communicate()
    assert (wait.returncode, out.split("\t")[:2], err) == (0, [id, "completed"], "")
    out, err = watch.communicate()
    assert (watch.returncode, err) == (0, "")
    assert json.loads(out.splitlines()[-1])["type"] == "job.completed"
    last = json.loads(out.splitlines()[-1])["seq"]
    assert json.loads(line_of(tail, f'"seq":{last},'))["job"] == id
    tail.terminate()
    _, err = tail.communicate()
    assert err == ""


def test_no_event_is_missed_or_told_twice_by_many_deaths(
    serve: Serve, spawn: Spawn, folder: Path
) -> None:
    go(folder)
    server = serve()
    long = server.submit("Held", '{"name":"late"}')
    server.started(long, spawn)
    tail = spawn("tail", "--after", "0", "--json", "--url", server.url)
    watch = spawn("watch", long, "--json", "--url", server.url)
    wait = server.waiting(long, spawn)
    line_of(watch, "phase.started")
    assert tail.stdout is not None
    seen: list[int] = []

    def see(id: str) -> None:
        """Read the events until a job has completed."""
        assert tail.stdout is not None
        for line in tail.stdout:
            event = json.loads(line)
            seen.append(event["seq"])
            if (event["job"], event["type"]) == (id, "job.completed"):
                break

    for _ in range(3):
        see(server.submit("Held"))
        server.process.kill()
        server.process.wait()
        server = serve(listen=server.address)
    (folder / "late").touch()
    see(long)
    out, _ = wait.communicate()
    assert (wait.returncode, out.split("\t")[:2]) == (0, [long, "completed"])
    out, _ = watch.communicate()
    events = [json.loads(line) for line in out.splitlines()]
    # Four were read above.
    assert [event["version"] for event in events] == list(range(5, len(events) + 5))
    assert (watch.returncode, events[-1]["type"]) == (0, "job.completed")
    head = server.cli("tail", "--no-follow", "--json").objects[-1]["seq"]
    assert seen == list(range(1, head + 1))


def test_every_verb_is_asked_of_a_server(serve: Serve, spawn: Spawn, folder: Path) -> None:
    server = serve("--queue", "default=1")

    def ask(*arguments: str) -> Ran:
        return server.cli(*arguments, "--url", server.url)

    made = ask("submit", "Held", "--key", "k", "--json").objects[0]
    again = ask("submit", "Held", "--key", "k", "--json")
    assert (made["created"], again.objects[0]["created"]) == (True, False)
    assert "key 'k' was used before" in again.err
    id = made["id"]
    server.started(id, spawn)
    waits = server.submit("Held")
    assert ask("explain", waits).cells[0][0] == "queue_full"
    assert ask("queue", "ls").cells == [["default", "1", "open", "1", "1"]]
    assert ask("queue", "pause", "default").cells[0][2] == "paused"
    assert ask("cancel", id, "--reason", "enough").cells[0][0] == id
    assert ask("wait", id).cells[0][1::3] == ["cancelled", "enough"]
    assert ask("queue", "limit", "default", "3").cells[0][1] == "3"
    assert ask("explain", waits).cells[0][0] == "queue_paused"
    assert ask("queue", "resume", "default").cells[0][2] == "open"
    go(folder)
    assert ask("retry", id).cells[0][:2] == [id, "queued"]
    assert ask("wait", id, waits).code == 0
    gated = server.submit("Gated")
    assert ask("explain", gated).cells[0][0] == "not_approved"
    assert ask("approve", gated).cells[0][:2] == [gated, "approved"]
    assert ask("wait", gated).code == 0
    assert {cells[0] for cells in ask("ls").cells} == {id, waits, gated}
    assert ["result", '"went"'] in ask("show", gated).cells


def test_a_terminal_gets_bars_also_while_nobody_is_there(
    serve: Serve, spawn: Spawn, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    server = serve()
    id = server.submit("Held")
    server.started(id, spawn)
    ours, theirs = pty.openpty()
    watch = spawn("watch", id, "--url", server.url, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    with open(ours, "rb", buffering=0) as screen:
        read_until(screen, "━")
        server.process.kill()
        server.process.wait()
        read_until(screen, "was lost")
        go(folder)
        serve(listen=server.address)
        read_until(screen, "completed")
        assert watch.wait() == 0


def read_until(screen: FileIO, word: str) -> None:
    """Read a terminal until it has shown a word."""
    shown = b""
    while word.encode() not in shown:
        shown += screen.read(4096)


# Webhooks


@contextlib.contextmanager
def receiving(*statuses: int) -> Generator[tuple[str, queue.Queue[tuple[dict[str, str], bytes]]]]:
    """Have a receiver of webhooks that answers so, in turn; gives its URL, and what comes."""
    posted: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()
    left = iter(statuses)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(next(left))
            self.send_header("Content-Length", "0")
            # By itself it would not come again while the test runs.
            self.send_header("Retry-After", "3600")
            self.end_headers()
            posted.put((dict(self.headers.items()), body))

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as receiver:
        thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{receiver.server_port}/in/here", posted
        finally:
            receiver.shutdown()
            thread.join()


def test_the_end_of_every_job_is_delivered_and_signed(
    serve: Serve, spawn: Spawn, folder: Path
) -> None:
    secret = "whsec_" + "c2VjcmV0IG9mIHRoaXJ0eSBieXRlcyBvciBzbw=="
    (folder / "secrets.json").write_text(json.dumps({"main": secret}), "utf-8")
    (folder / "secrets.json").chmod(0o600)
    go(folder)
    with receiving(503, 200) as (url, posted):
        server = serve(
            *("--webhook", url, "--webhook-secret", "main"),
            *("--webhook-secrets", "secrets.json", "--webhook-allow", "127.0.0.1"),
        )
        events = spawn("tail", "--after", "0", "--url", server.url)
        id = server.submit("Held")
        line_of(events, "hook.failed")
        (cells,) = server.cli("hooks", "ls", "--state", "pending", "--url", server.url).cells
        hook, job = cells[:2]
        assert (job, cells[7:]) == (id, ["503", "HTTP 503"])
        ran = server.cli("hooks", "redeliver", hook, "--url", server.url)
        assert [cells[0] for cells in ran.cells] == [hook]
        line_of(events, "hook.delivered")
        for _ in range(2):
            headers, body = posted.get(timeout=60)
            received = verify_webhook(headers, body, secret, now=time.time())
            assert received.id == hook
            payload: Any = received.payload
            assert payload["data"]["job"]["id"] == id
    assert server.cli("hooks", "show", hook).cells[-1][0] == "body"


# Who may


def test_tokens_are_asked_for(serve: Serve, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    secret = "a secret of sixteen"
    digest = hashlib.sha256(secret.encode()).hexdigest()
    (folder / "tokens.toml").write_text(
        f'[tokens.ann]\nsha256 = "{digest}"\nscopes = ["read"]\n', "utf-8"
    )
    (folder / "tokens.toml").chmod(0o600)
    server = serve("--tokens", "tokens.toml", listen="0.0.0.0:0")
    url = server.url.replace("0.0.0.0", "127.0.0.1")
    for token in ((), ("--token", "another")):
        ran = server.cli("ls", "--url", url, *token)
        assert (ran.code, ran.out) == (4, "")
    assert server.cli("ls", "--url", url, "--token", secret).code == 0
    monkeypatch.setenv("TRIPHASE_TOKEN", secret)
    monkeypatch.setenv("TRIPHASE_URL", url)
    assert server.cli("ls").code == 0
    ran = server.cli("submit", "Held")
    assert (ran.code, ran.out) == (4, "")
    assert "scope submit" in ran.err


def test_the_environment_has_a_token_for_everything(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPHASE_TOKEN", "a secret of sixteen")
    server = serve()
    assert server.submit("Held")
    monkeypatch.delenv("TRIPHASE_TOKEN")
    assert server.cli("ls", "--url", server.url).code == 4


# What it refuses


def test_a_port_that_is_taken_starts_no_job(serve: Serve, spawn: Spawn, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = serve(listen=f"127.0.0.1:{port}")
        assert server.process.wait() == 5
        server.told(f"triphase: --listen 127.0.0.1:{port}: ", "in use")
    assert not (folder / "jobs.db").exists()


def test_a_store_that_another_has_is_a_conflict(serve: Serve) -> None:
    server = serve()
    other = serve()
    assert other.process.wait() == 4
    other.told(f"owned by process {server.process.pid}")


def test_it_serves_over_tls(serve: Serve, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem "
        "-out cert.pem -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    made = subprocess.run(command.split(), capture_output=True, check=False)
    if made.returncode:
        pytest.skip("there is no openssl to make a certificate")
    server = serve("--tls-cert", "cert.pem", "--tls-key", "key.pem")
    assert server.url.startswith("wss://127.0.0.1:")
    monkeypatch.setenv("SSL_CERT_FILE", "cert.pem")
    assert server.cli("queue", "ls", "--url", server.url).cells[0][:3] == ["default", "10", "open"]

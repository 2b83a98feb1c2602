"""What `triphase serve` is told: where to listen, for whom, and how many jobs may run."""

from __future__ import annotations

from pathlib import Path

import pytest

from triphase.cli.exits import UsageError
from triphase.cli.listening import Address, queues_from, tls_from
from triphase_protocol import DefinitionError, Queue


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:7117", "127.0.0.1", 7117),
        ("localhost:0", "localhost", 0),
        ("[::1]:65535", "::1", 65535),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, host: str, port: int) -> None:
    assert Address.of(text) == Address(host, port)


@pytest.mark.parametrize(
    "text", ["", "7117", ":7117", "a", "a:", "a:b", "a:-1", "a:65536", "::1:7", "[]:7", "a:²"]
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="must be HOST:PORT"):
        Address.of(text)


def test_queues_are_names_and_limits() -> None:
    assert queues_from(["media=3", "a=b=1"]) == {"media": Queue(3), "a=b": Queue(1)}
    assert queues_from(None) == {}
    for wrong in ("media", "media=", "=3", "media=x", "media=-1"):
        with pytest.raises(UsageError, match="must be NAME=LIMIT"):
            queues_from([wrong])
    with pytest.raises(UsageError, match="media has a limit already"):
        queues_from(["media=1", "media=2"])
    with pytest.raises(DefinitionError, match="limit=0"):
        queues_from(["media=0"])


def test_a_certificate_that_is_none_is_refused(tmp_path: Path) -> None:
    assert tls_from(None, None) is None
    (tmp_path / "cert.pem").write_text("no certificate", "ascii")
    with pytest.raises(UsageError, match=r"--tls-cert .*cert\.pem"):
        tls_from(tmp_path / "cert.pem", None)
    with pytest.raises(UsageError, match=r"missing\.pem.*No such file"):
        tls_from(tmp_path / "missing.pem", None)
    with pytest.raises(UsageError, match="needs a --tls-cert"):
        tls_from(None, tmp_path / "key.pem")

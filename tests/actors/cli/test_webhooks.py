"""What the command line is told about webhooks: where events go, and what they are signed with."""

from __future__ import annotations

from pathlib import Path

import pytest

from triphase.cli.exits import UsageError
from triphase.cli.webhooks import NOBODY, UNTOLD, Served, Told, secrets_from
from triphase_protocol import DefinitionError, Webhook

NEW, OLD = (f"whsec_{letter * 32}" for letter in "AB")


def test_a_webhook_is_a_url_and_the_name_of_a_secret() -> None:
    told = Told(webhook=["https://one.example/", "https://two.example/"], webhook_secret="main")
    assert told.webhooks() == (
        Webhook(url="https://one.example/", secret="main"),
        Webhook(url="https://two.example/", secret="main"),
    )
    assert NOBODY.webhooks() == UNTOLD.webhooks() == ()
    assert UNTOLD.secrets(pytest.fail) == {}


@pytest.mark.parametrize(
    ("told", "error", "words"),
    [
        (Told(webhook=["ftp://x/"]), DefinitionError, "must begin with http"),
        (Told(webhook=["https://x/"] * 21), DefinitionError, "--webhook: 21 webhooks"),
        (Told(webhook=["https://x/"], webhook_secret=""), DefinitionError, "its secret"),
        (Told(webhook_secret="main"), UsageError, "--webhook-secret: needs a --webhook"),
    ],
)
def test_what_is_none_is_refused(told: Told, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        told.webhooks()


def test_where_they_may_go_is_checked() -> None:
    sending = Served(webhook_allow=["127.0.0.1", "10.0.0.0/8", "hooks.internal"]).sending()
    assert sending.allow != UNTOLD.sending().allow
    with pytest.raises(DefinitionError):
        Served(webhook_allow=["10.0.0.0/99"]).sending()


# The file of secrets


def written(folder: Path, text: str | bytes, mode: int = 0o600) -> Path:
    """Write a file of secrets."""
    path = folder / "secrets.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return path


def test_secrets_stand_in_a_file_by_their_names(tmp_path: Path) -> None:
    path = written(tmp_path, f'{{"main": "{NEW}", "audit": ["{NEW}", "{OLD}"]}}')
    assert secrets_from(path, pytest.fail) == {"main": NEW, "audit": [NEW, OLD]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Expecting value"),
        (f"main = {NEW}", "Expecting value"),
        (b"\xff" + NEW.encode(), "decode"),
        (f'"{NEW}"', "must be an object"),
        (f'["{NEW}"]', "must be an object"),
        (f'{{"main": {{"secret": "{NEW}"}}}}', "'main': must be a secret, or a list"),
        (f'{{"main": ["{NEW}", null]}}', "'main': must be a secret, or a list"),
        ('{"main": 3}', "'main': must be a secret, or a list"),
        (f'{{"main": "{NEW}", "main": "{OLD}"}}', "a name is there more than once"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_a_file_that_is_none_is_refused_without_a_word_of_what_is_in_it(
    tmp_path: Path, text: str | bytes, words: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError, match=words) as caught:
        secrets_from(path, pytest.fail)
    assert str(caught.value).startswith(f"--webhook-secrets {path}: ")
    assert "AAAA" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"secrets\.json.*No such file"):
        secrets_from(tmp_path / "secrets.json", pytest.fail)


def test_who_else_may_read_the_file_is_told_and_who_may_write_it_is_refused(
    tmp_path: Path,
) -> None:
    notes: list[str] = []
    path = written(tmp_path, f'{{"main": "{NEW}"}}', 0o644)
    assert secrets_from(path, notes.append) == {"main": NEW}
    assert notes == [f"{path}: everybody may read it; better: chmod o-r"]
    with pytest.raises(UsageError, match="everybody may write it"):
        secrets_from(written(tmp_path, f'{{"main": "{NEW}"}}', 0o666), notes.append)

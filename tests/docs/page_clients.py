"""The clients that the page about the wire protocol shows, run as a reader would.

They run five times as fast: only their pauses are shorter for it. What they hear, and how long
they would pause, they tell.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import attrs
import pytest
import trio
from tests.actors.gateway.sites import Told, process

from .page_server import serve_page

PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "wire.md"

RATE: Final = 5

VARIABLE: Final = "TRIPHASE_BROWSER"
"""The environment variable that names the browser: with it, nothing is skipped."""

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
NODE_LEAST: Final = 22
"""The first version of Node that has `WebSocket`."""

FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
)

PYTHON: Final = f"""
import json
import sys

import trio
import trio.testing
from follow import follow

sleep = trio.sleep


def tell(**told):
    print(json.dumps(told), flush=True)


async def told_sleep(seconds):
    tell(pause=seconds)
    await sleep(seconds)


async def main(url):
    trio.sleep = told_sleep
    try:
        await follow(
            url, "jobs", lambda event: tell(event=event), on_reset=lambda reset: tell(reset=reset)
        )
    except Exception as exc:
        tell(end=str(exc))


trio.run(main, sys.argv[1], clock=trio.testing.MockClock(rate={RATE}))
"""

TIMERS: Final = f"""
export const told = {{ tell: null }};

export function setTimeout(work, ms) {{
  told.tell({{ pause: ms / 1000 }});
  return globalThis.setTimeout(work, ms / {RATE});
}}
"""

JAVASCRIPT: Final = """
import { follow } from "./follow.mjs";
import { told } from "./timers.mjs";

export function drive(url, tell) {
  told.tell = tell;
  follow(url, "jobs", (event) => tell({ event }), {
    onReset: (reset) => tell({ reset }),
    onEnd: (error) => tell({ end: error.message }),
  });
}
"""

IN_NODE: Final = """
import { drive } from "./drive.mjs";
drive(process.argv[2], (told) => console.log(JSON.stringify(told)));
"""

IN_BROWSER: Final = """<!doctype html>
<title>follow</title>
<script type="module">
import { drive } from "./drive.mjs";
const told = [];
let telling = false;
const send = async () => {
  telling = true;
  while (told.length) {
    await fetch("/told", { method: "POST", body: JSON.stringify(told.splice(0)) });
  }
  telling = false;
};
drive(new URLSearchParams(location.search).get("url"), (what) => {
  told.push(what);
  if (!telling) send();
});
</script>
"""


@attrs.frozen
class Ready:
    """A client that can be started."""

    follow: Callable[[str], AbstractAsyncContextManager[Told]]
    """Follows everything at a URL."""

    origins: tuple[str, ...] = ()
    """Where it is from, if it is a web page."""


Prepare: TypeAlias = Callable[[Path], AbstractAsyncContextManager[Ready]]


def block(language: str) -> str:
    """Return the text of the page's first block of a language."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None, f"{PAGE.name} has no block of {language}"
    return found.group(1)


@asynccontextmanager
async def python_client(folder: Path) -> AsyncGenerator[Ready]:
    """Prepare the client in Python."""
    await trio.lowlevel.checkpoint()
    (folder / "follow.py").write_text(block("python"), "utf-8")
    script = folder / "main.py"
    script.write_text(PYTHON, "utf-8")
    yield Ready(partial(process, sys.executable, script))


@asynccontextmanager
async def javascript_client(folder: Path) -> AsyncGenerator[Ready]:
    """Prepare the client in JavaScript, in a browser if there is one, else in Node."""
    # Only its own timers: what it runs in has others.
    own = f'import {{ setTimeout }} from "./timers.mjs";\n{block("js")}'
    (folder / "follow.mjs").write_text(own, "utf-8")
    (folder / "timers.mjs").write_text(TIMERS, "utf-8")
    (folder / "drive.mjs").write_text(JAVASCRIPT, "utf-8")
    browser = _browser()
    if browser is None:
        (folder / "main.mjs").write_text(IN_NODE, "utf-8")
        yield Ready(partial(process, _node(), folder / "main.mjs"))
        return
    (folder / "index.html").write_text(IN_BROWSER, "utf-8")
    profile = folder / "profile"
    command = [browser, *FLAGS, f"--user-data-dir={profile}"]
    home = {**os.environ, "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}
    async with serve_page(folder) as (origin, told):

        @asynccontextmanager
        async def follow(url: str) -> AsyncGenerator[Told]:
            page = f"{origin}/index.html?url={url}"
            async with process(*command, page, env=home, stderr=subprocess.DEVNULL):
                yield told

        yield Ready(follow, (origin,))


def _browser() -> str | None:
    named = os.environ.get(VARIABLE)
    if named:
        found = shutil.which(named)
        assert found is not None, f"{VARIABLE}={named} is no program"
        return found
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def _node() -> str:
    node = shutil.which("node")
    if node is not None:
        said = subprocess.run([node, "--version"], capture_output=True, check=True, text=True)
        if int(said.stdout.removeprefix("v").partition(".")[0]) >= NODE_LEAST:
            return node
    pytest.skip(
        f"there is no browser to run JavaScript in: apt-get install chromium, or name one "
        f"in {VARIABLE}, or install Node {NODE_LEAST}"
    )

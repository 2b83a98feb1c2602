"""The lanes of other machines, in words: client programs, and receivers of webhooks.

What became of their connections, what they heard, and what they were sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .history import Entry

MARKED: Final = {"cut": "cut", "vanished": "vanish", "unreached": "cut"}
"""What is marked at the edge of a timeline, and as what."""

_WORDS: Final = {
    "dialled": "connects",
    "unreached": "connects in vain: {why}",
    "lost": "lost: {why}",
    "hung up": "{by} hangs up",
    "cut": "cut: {arrived} of {sent} bytes{of_sender} arrive",
    "vanished": "all vanishes from now on{of_sender}",
    "follows": "follows {name} after {after}",
    "unfollowed": "follows nothing more: {error}",
    "received": "received {seq}{lags}",
    "reset": "begins anew: {reason}",
    "looked": "looked: {name} {found}",
    "deaf": "takes nothing for {seconds:g} s",
    "client ended": "ends: {error}",
    "picture": "has a picture of {count} jobs",
    "misdrawn": "cannot draw {seq}",
    "posted": "{post}: {does}",
    "told": "{post}: told {status}",
}


def lane_of(site: str) -> str:
    """Return whose lane tells of what happens to a connection: the client's."""
    sender, _, receiver = site.partition(">")
    return receiver if sender == "node" else sender


def words_of(entry: Entry, names: Mapping[str, str]) -> str | None:
    """Return an entry of another machine in words; None if it is of none.

    Args:
      entry: which.
      names: the names of jobs and deliveries by their ids.
    """
    words, data = _WORDS.get(entry.what), entry.data
    if words is None:
        return None
    job, lagged = data.get("job"), data.get("lagged")
    sender = str(data.get("site", "")).partition(">")[0]
    more = {
        "name": "all" if job is None else names.get(str(job), str(job)),
        "lags": f" (lagged {lagged})" if lagged else "",
        "found": "gone" if data.get("gone") else f"{data.get('state')} v{data.get('version')}",
        "of_sender": "" if sender == entry.lane.partition("#")[0] else f" of {sender}",
        "count": len(data.get("jobs", ())),
        "post": names.get(str(data.get("hook")), data.get("hook")),
        "status": data.get("status") or "nothing",
    }
    return words.format_map({**data, **more})

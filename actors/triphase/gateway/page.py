"""The page at `/`: what is here, for somebody who opens it in a browser."""

from __future__ import annotations

from typing import Final

from .exchanges import Response

HEADERS: Final = (
    ("content-type", "text/html; charset=utf-8"),
    ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'"),
    ("x-content-type-options", "nosniff"),
)

PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>triphase</title>
<style>
body { font-family: system-ui, sans-serif; line-height: 1.5; max-width: 44rem; margin: 2rem auto; \
padding: 0 1rem }
td { padding-right: 1.5rem; vertical-align: top }
</style>
</head>
<body>
<h1>triphase</h1>
<p>This is the gateway of a runtime of durable, multi-phase jobs.</p>
<table>
<tr><td><a href="/api/jobs">/api/jobs</a></td><td>its jobs: find them, submit one</td></tr>
<tr><td>/api/jobs/<i>ID</i></td><td>one job; below it <code>events</code>, <code>wait</code>, \
<code>explain</code>, and by POST <code>cancel</code>, <code>retry</code>, <code>approve</code>, \
<code>reject</code></td></tr>
<tr><td><a href="/api/queues">/api/queues</a></td><td>its queues; by POST below \
<code>/api/queues/<i>NAME</i></code>: <code>pause</code>, <code>resume</code>, \
<code>limit</code></td></tr>
<tr><td><a href="/api/hooks">/api/hooks</a></td><td>the deliveries of its webhooks; one of them at \
<code>/api/hooks/<i>ID</i></code>, and below that by POST <code>redeliver</code></td></tr>
<tr><td><a href="/api/events">/api/events</a></td><td>what happens, as a stream of \
events</td></tr>
<tr><td><a href="/api/statistics">/api/statistics</a></td><td>what it does now</td></tr>
<tr><td><a href="/metrics">/metrics</a></td><td>the same, for Prometheus</td></tr>
<tr><td><a href="/healthz">/healthz</a>, <a href="/readyz">/readyz</a></td><td>whether it lives, \
and whether it takes jobs</td></tr>
<tr><td>/ws</td><td>all of it over a WebSocket that speaks triphase.v1</td></tr>
</table>
</body>
</html>
"""


def page() -> Response:
    """Return the page."""
    return Response(status=200, headers=HEADERS, body=PAGE.encode("utf-8"))

"""The picture of a failure as one page of HTML, which needs nothing from anywhere else."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from typing import Final

from .exploring import Failure
from .plan import lines
from .telling import beside, commands, headline, regression_test, shrunk_words, workload
from .timeline import MARKS, packed, picture

STYLE: Final = """
:root { color-scheme: light dark;
  --page: #f7f7f5; --card: #ffffff; --ink: #1d2024; --soft: #646b74; --rule: #e2e3e0;
  --code: #f1f2ef; --bad: #b3261e; --bad-soft: #fdecea; --bar: #2f6fb3; --bar-soft: #e8f0f9;
  --warn: #8a5a00; }
@media (prefers-color-scheme: dark) { :root {
  --page: #15171a; --card: #1d2024; --ink: #e6e7e9; --soft: #9aa2ac; --rule: #31353b;
  --code: #25292e; --bad: #ff8a80; --bad-soft: #3a2220; --bar: #78b0ee; --bar-soft: #1f2d3d;
  --warn: #e6b450; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.55 system-ui, sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { margin: 0 0 .75rem; font-size: 1.45rem; line-height: 1.3; overflow-wrap: anywhere; }
h2 { margin: 0 0 .6rem; font-size: .95rem; font-weight: 600; color: var(--soft); }
code, pre, td, th { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
header p { margin: 0 0 .3rem; color: var(--soft); }
header .oracle { color: var(--bad); font-weight: 600; }
section { margin-top: 1.25rem; padding: 1rem 1.25rem; background: var(--card);
  border: 1px solid var(--rule); border-radius: 8px; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr));
  gap: 0 1.25rem; }
ul { margin: 0; padding-left: 1.1rem; } li { overflow-wrap: anywhere; }
pre { margin: 0; padding: .75rem .9rem; overflow-x: auto; background: var(--code);
  border-radius: 6px; font-size: .82rem; line-height: 1.5; }
summary { cursor: pointer; color: var(--soft); font-size: .95rem; font-weight: 600; }
details[open] > summary { margin-bottom: .6rem; }
a { color: var(--bar); }
.scroll { overflow: auto; max-height: 80vh; border: 1px solid var(--rule); border-radius: 6px; }
table { border-collapse: separate; border-spacing: 0; width: 100%; font-size: .8rem; }
th { position: sticky; top: 0; z-index: 1; background: var(--card); text-align: left;
  font-weight: 600; border-bottom: 1px solid var(--rule); }
th, td { padding: .22rem .7rem; vertical-align: top; white-space: nowrap; }
td + td, th + th { border-left: 1px solid var(--rule); }
td.time { text-align: right; color: var(--soft); font-variant-numeric: tabular-nums; }
td.mark { text-align: center; font-weight: 700; color: var(--warn); width: 1.6rem;
  padding: .22rem .3rem; }
tr.instant td { border-top: 1px solid var(--rule); }
td.busy { background: var(--bar-soft); box-shadow: inset 3px 0 0 var(--bar); }
td.many { box-shadow: inset 3px 0 0 var(--bar), inset 5px 0 0 var(--card),
  inset 8px 0 0 var(--bar); }
tr.crash td.mark, tr.bad td.mark { color: var(--bad); }
tr.bad td { background: var(--bad-soft); }
tr.bad td.said { color: var(--bad); font-weight: 600; }
.legend { margin: .6rem 0 0; color: var(--soft); font-size: .8rem; }
"""

PAGE: Final = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
<header>
<p class="oracle">$headline</p>
<h1>$message</h1>
<p>Seed $seed of $suite. Shrunk: $shrunk.</p>
</header>
$sections
</main>
</body>
</html>
""")

LEGEND: Final = {
    "crash": "crash",
    "stall": "stall",
    "refuse": "refusal",
    "step": "clock step",
    "cut": "cut",
    "vanish": "vanished",
    "violation": "violation",
}


def page(failure: Failure, saved: Path | None = None) -> str:
    """Return a failure as a page.

    Args:
      failure: which.
      saved: the file that it was saved to.
    """
    disturbed = lines(failure.perturbations) or ["none: it fails undisturbed"]
    others = beside(failure)
    sections = [
        _section("To see it again", _code(commands(failure, saved))),
        f'<div class="pair">{_section("Workload", _list(workload(failure.scenario)))}'
        f"{_section('Perturbations', _list(disturbed))}</div>",
        _section("Timeline", _timeline(failure)),
        _section("Other violations of this run", _list(others)) if others else "",
        _folded("As a regression test", _code([regression_test(failure)])),
        _folded("Details", _code([failure.details])) if failure.details else "",
    ]
    message = failure.violation.message
    return PAGE.substitute(
        title=html.escape(f"{failure.violation.oracle}: {message}"),
        style=STYLE,
        headline=html.escape(headline(failure)),
        message=html.escape(message),
        seed=failure.seed,
        suite=html.escape(failure.suite),
        shrunk=html.escape(shrunk_words(failure)),
        sections="\n".join(section for section in sections if section),
    )


def _section(title: str, body: str) -> str:
    return f"<section>\n<h2>{html.escape(title)}</h2>\n{body}\n</section>"


def _folded(title: str, body: str) -> str:
    summary = f"<summary>{html.escape(title)}</summary>"
    return f"<section>\n<details>{summary}\n{body}\n</details>\n</section>"


def _list(items: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{html.escape(item)}</li>" for item in items) + "</ul>"


def _code(text: Sequence[str]) -> str:
    return f"<pre>{html.escape(chr(10).join(text))}</pre>"


def _timeline(failure: Failure) -> str:
    """Return every line of the timeline as a table; the violation can be jumped to."""
    whole = picture(failure)
    head = "".join(f"<th>{html.escape(lane)}</th>" for lane in whole.lanes)
    body: list[str] = []
    last: float | None = None
    for line in packed(whole):
        names = [line.mark] if line.mark else []
        names += ["instant"] if line.time != last else []
        names += ["bad"] if line.bad else []
        cells = "".join(
            f'<td class="{_cell_class(place in line.cells, line.running.get(place, 0))}">'
            f"{html.escape(line.cells.get(place, ''))}</td>"
            for place in range(len(whole.lanes))
        )
        time = f"{line.time:.3f}" if line.time != last else ""
        last = line.time
        here = ' id="here"' if line.bad else ""
        body.append(
            f'<tr class="{" ".join(names)}"{here}><td class="mark">{_mark(line.mark)}</td>'
            f'<td class="time">{time}</td>{cells}</tr>'
        )
    legend = " · ".join(f"{html.escape(MARKS[mark])} {words}" for mark, words in LEGEND.items())
    return (
        '<div class="scroll"><table>\n'
        f"<thead><tr><th></th><th>t (s)</th>{head}</tr></thead>\n<tbody>\n"
        + "\n".join(body)
        + "\n</tbody></table></div>\n"
        f'<p class="legend">{legend} · a coloured edge: a handler runs, a double one: several · '
        '<a href="#here">to the violation</a></p>'
    )


def _cell_class(said: bool, running: int) -> str:
    names = {"said": said, "busy": running > 0, "many": running > 1}
    return " ".join(name for name, holds in names.items() if holds)


def _mark(mark: str) -> str:
    return html.escape(MARKS.get(mark, ""))

"""The pages that the demo writes: self-contained HTML, light or dark as the reader's system is."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Final

from .demo_results import Collected, Compressed, Longest, Parsed
from .demo_rows import Row, Totals
from .humane import counted, duration, size

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1d2733; --dim: #66758a; --paper: #f7f8fa;
  --card: #ffffff; --line: #e3e7ed; --accent: #0b7285;
  --collect: #4dabf7; --parse: #f59f00; --compress: #51cf66; --report: #cc5de8; }
@media (prefers-color-scheme: dark) { :root { --ink: #dfe6ee; --dim: #8b9bb0; --paper: #12161c;
  --card: #1a2029; --line: #2a323e; --accent: #3bc9db; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 2.5rem 1.25rem 4rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; letter-spacing: -.01em; }
p { color: var(--dim); margin: 0 0 1.5rem; }
a { color: var(--accent); text-decoration: none; } a:hover { text-decoration: underline; }
code { font: .92em ui-monospace, monospace; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(7.5rem, 1fr)); gap: .75rem;
  margin: 0 0 1.5rem; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: .7rem .9rem; }
.tile b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
.tile span { color: var(--dim); font-size: .85rem; }
.table { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .42rem .8rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; } tbody tr:hover { background: var(--paper); }
th { color: var(--dim); font-weight: 600; font-size: .8rem; }
th[data-sort] { cursor: pointer; } th[data-sort]:hover { color: var(--ink); }
th:first-child, td:first-child, .left { text-align: left; }
.bar { display: flex; width: 11rem; height: .6rem; border-radius: .3rem; overflow: hidden;
  background: var(--line); }
.bar i, .key i { display: inline-block; } .bar i { height: 100%; }
.key i { width: .7rem; height: .7rem; border-radius: .2rem; margin: 0 .35rem 0 .9rem; }
.collect { background: var(--collect); } .parse { background: var(--parse); }
.compress { background: var(--compress); } .report { background: var(--report); }
.again { color: var(--parse); font-weight: 600; }
.wrap { white-space: normal; overflow-wrap: anywhere; }
"""

_SORT: Final = """
for (const head of document.querySelectorAll("th[data-sort]")) head.onclick = () => {
  const body = head.closest("table").tBodies[0], column = head.cellIndex;
  const turn = head.dataset.turn = head.dataset.turn === "1" ? "-1" : "1";
  const key = (row) => row.cells[column].dataset.n ?? row.cells[column].textContent;
  const rows = [...body.rows].sort((a, b) => turn *
    (head.dataset.sort === "n" ? key(b) - key(a) : key(a).localeCompare(key(b))));
  body.append(...rows);
};
"""

PHASES: Final = ("collect", "parse", "compress", "report")


def index_page(rows: Sequence[Row], totals: Totals, python: str) -> str:
    """Return the page with the table of all packages.

    Args:
      rows: the packages; a name becomes a link if its page is there.
      totals: their sums.
      python: the version of Python whose library it is.
    """
    slowest = max((sum(row.seconds.values()) for row in rows), default=0.0)
    body = "".join(_index_row(row, slowest) for row in rows)
    key = "".join(f'<i class="{phase}"></i>{phase}' for phase in PHASES)
    return _page(
        f"The standard library of Python {python}",
        f"{counted(totals.packages, 'package')}, each measured by one durable job of four phases: "
        f'<span class="key">{key}</span>',
        f"""{_tiles(totals)}
<p>{_remark(totals.longest, totals.unparsable)}</p>
<div class="table"><table>
<thead><tr><th data-sort="t">package</th>{_heads()}<th class="left">seconds per phase</th>
<th data-sort="n">total</th><th data-sort="n">tries</th></tr></thead>
<tbody>
{body}</tbody></table></div>
<script>{_SORT}</script>""",
    )


def package_page(
    name: str, folder: str, collected: Collected, parsed: Parsed, compressed: Compressed
) -> str:
    """Return the page of one package."""
    files = "".join(
        f'<tr><td class="wrap">{_text(file.path)}</td>{_cell(file.bytes, size(file.bytes))}'
        f'<td class="left"><code>{file.sha256[:16]}…</code></td></tr>\n'
        for file in collected.files
    )
    tiles = _tile_row(
        [
            (f"{len(collected.files):,}", "files"),
            (f"{parsed.lines:,}", "lines"),
            (f"{parsed.classes:,}", "classes"),
            (f"{parsed.functions:,}", "functions"),
            (size(compressed.source_bytes), "source"),
            (f"{compressed.ratio:.0%}", "compressed to"),
        ]
    )
    return _page(
        name,
        f'<code>{_text(folder)}</code> · <a href="index.html">all packages</a>',
        f"""{tiles}
<p>{_remark(parsed.longest, parsed.unparsable)}</p>
<div class="table"><table>
<thead><tr><th>file</th><th>size</th><th class="left">sha256</th></tr></thead>
<tbody>
{files}</tbody></table></div>""",
    )


def _remark(longest: Longest | None, unparsable: Sequence[str]) -> str:
    remark = "No functions."
    if longest is not None:
        place = f"{longest.file}:{longest.line}"
        remark = (
            f"Longest function: <code>{_text(longest.name)}</code> in "
            f"<code>{_text(place)}</code>, {counted(longest.lines, 'line')}."
        )
    if unparsable:
        remark += f" No Python of this version: {_text(', '.join(unparsable))}."
    return remark


def _heads() -> str:
    names = ("files", "lines", "classes", "functions", "size", "compressed")
    return "".join(f'<th data-sort="n">{name}</th>' for name in names)


def _index_row(row: Row, slowest: float) -> str:
    name = _text(row.name)
    if row.page.is_file():
        name = f'<a href="{name}.html">{name}</a>'
    collected, parsed, packed = row.collected, row.parsed, row.compressed
    total = sum(row.seconds.values())
    again = ' class="again"' if row.attempts > len(row.job.phases) else ""
    cells = [
        _cell(len(collected.files)) if collected else _cell(0, "-"),
        _cell(parsed.lines) if parsed else _cell(0, "-"),
        _cell(parsed.classes) if parsed else _cell(0, "-"),
        _cell(parsed.functions) if parsed else _cell(0, "-"),
        _cell(collected.bytes, size(collected.bytes)) if collected else _cell(0, "-"),
        _cell(packed.ratio, f"{packed.ratio:.0%}") if packed else _cell(0, "-"),
        f'<td><span class="bar">{_bar(row, slowest)}</span></td>',
        _cell(total, f"{total:.2f}"),
        f'<td data-n="{row.attempts}"{again}>{row.attempts}</td>',
    ]
    return f"<tr><td>{name}</td>{''.join(cells)}</tr>\n"


def _bar(row: Row, slowest: float) -> str:
    return "".join(
        f'<i class="{phase}" style="width:{100 * seconds / slowest:.2f}%" '
        f'title="{phase}: {duration(seconds)}"></i>'
        for phase, seconds in row.seconds.items()
        if slowest > 0
    )


def _tiles(totals: Totals) -> str:
    ratio = totals.packed_bytes / totals.bytes if totals.bytes else 1.0
    tiles = [
        (f"{totals.packages:,}", "packages"),
        (f"{totals.files:,}", "files"),
        (f"{totals.lines:,}", "lines"),
        (f"{totals.classes:,}", "classes"),
        (f"{totals.functions:,}", "functions"),
        (size(totals.bytes), "source"),
        (f"{ratio:.0%}", "compressed to"),
    ]
    return _tile_row(tiles)


def _tile_row(tiles: Iterable[tuple[str, str]]) -> str:
    boxes = "".join(
        f'<div class="tile"><b>{value}</b><span>{what}</span></div>' for value, what in tiles
    )
    return f'<div class="tiles">{boxes}</div>'


def _cell(number: float, shown: str | None = None) -> str:
    return f'<td data-n="{number}">{f"{number:,}" if shown is None else shown}</td>'


def _page(title: str, subtitle: str, body: str) -> str:
    """Return a whole page; *subtitle* and *body* are HTML, *title* is not."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{_text(title)}</h1>
<p>{subtitle}</p>
{body}
</body>
</html>
"""


def _text(text: str) -> str:
    return html.escape(text)

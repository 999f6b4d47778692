"""An evaluation as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from hashdb.evaluation import figures
from hashdb.evaluation.curves import STYLE, drawing, lines, sample
from hashdb.evaluation.evaluations import Evaluation

_STYLE = """
:root { color-scheme: light dark; --ink: #222; --paper: #fff; --rule: #ddd; --soft: #f4f4f4;
  --high: #d5f0dc; --fair: #eef3cf; --low: #fbe3d0; --none: #f6cfcf; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e4e4; --paper: #161616; --rule: #3a3a3a; --soft: #222;
  --high: #12401f; --fair: #3a3f13; --low: #4a2d12; --none: #4d1a1a; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  padding: 1rem; max-width: 1200px; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.wide { overflow-x: auto; } .curves { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(340px, 100%), 1fr)); }
.curves svg { width: 100%; height: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .5rem; border-bottom: 1px solid var(--rule); text-align: left; vertical-align: bottom; }
th { background: var(--soft); } .number { text-align: right; }
td:first-child, th:first-child { position: sticky; left: 0; background: var(--paper); }
th:first-child { background: var(--soft); }
.high { background: var(--high); } .fair { background: var(--fair); }
.low { background: var(--low); } .none { background: var(--none); }
ul { padding-left: 1.2rem; overflow-wrap: anywhere; } .legend { list-style: none; padding: 0; columns: 16rem; }
"""


def page(evaluation: Evaluation) -> str:
    """The page: no script, no network, for a narrow screen and a wide one, in light and dark."""
    families = [
        drawing(str(family), lines(evaluation, places), evaluation.rate) for family, places in evaluation.families()
    ]
    body = [
        "<h1>What altered pictures are recognised</h1>",
        *_introduction(evaluation),
        "<h2>Recall against false matches</h2>",
        "<p>False matches by the cautious estimate; the dotted upright line is the rate asked for. "
        "Mean of the alterations of a kind.</p>",
        *_without_curves(evaluation),
        _legend(evaluation),
        f'<div class="curves">{everything(evaluation)}{"".join(families)}</div>',
        "<h2>The choices, at the radius that the rate allows</h2>",
        _table(figures.choices(evaluation)),
        "<h2>The choices, at the radii in force</h2>",
        _table(figures.in_force(evaluation)),
        "<h2>Percent recognised of each alteration</h2>",
        "<p>In force, at the rate: by any algorithm at the radius of the one or the other table, with transforms.</p>",
        _table(figures.recall(evaluation), shaded=True),
        "<h2>The fits, checked on the other half of the pictures</h2>",
        _list(figures.checks(evaluation)),
        "<h2>Nearest pairs of different pictures</h2>",
        _list(figures.nearest(evaluation, 5)),
        "<h2>Pairs that are taken to be of the same thing, and are not counted</h2>",
        _list(figures.same(evaluation)),
        "<h2>Pictures that were not measured</h2>",
        _list(f"{path}: {reason}" for path, reason in evaluation.unfit.items()),
    ]
    return "\n".join(
        [
            '<!doctype html><html lang="en"><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>hashdb: evaluation</title><style>{_STYLE}{STYLE}</style>",
            *body,
            "</html>",
            "",
        ]
    )


def everything(evaluation: Evaluation, *, alone: bool = False) -> str:
    """The curve of the mean of all alterations; `alone`, a file of its own."""
    places = range(len(evaluation.scheme.alterations))
    return drawing("all alterations", lines(evaluation, places), evaluation.rate, alone=alone)


def _introduction(evaluation: Evaluation) -> list[str]:
    scheme = evaluation.scheme
    count = len(evaluation.names)
    return [
        f"<p>{count:,} pictures, {len(scheme.alterations)} alterations of each, seed {scheme.seed}. "
        f"Radii are chosen so that all algorithms together make at most {figures.rare(evaluation.rate)} false matches "
        f"per pair of different pictures, of the upper end of the cautious estimate. "
        f"Costs are of an index of {evaluation.items:,} items.</p>"
    ]


def _without_curves(evaluation: Evaluation) -> list[str]:
    """Why there are no lines, where the pictures were too few for any."""
    if any(outcome.tail is not None for outcome in evaluation.outcomes):
        return []
    return [
        "<p>These pictures are too few for an estimate, so there are hardly any lines to draw: take some hundreds.</p>"
    ]


def _legend(evaluation: Evaluation) -> str:
    entries = (f"<li>{sample(line.classes)} {escape(line.name)}</li>" for line in lines(evaluation, [0]))
    return f'<ul class="legend">{"".join(entries)}</ul>'


def _list(sentences: Iterable[str]) -> str:
    entries = [f"<li>{escape(sentence)}</li>" for sentence in sentences]
    return f"<ul>{''.join(entries)}</ul>" if entries else "<p>None.</p>"


def _table(table: figures.Table, *, shaded: bool = False) -> str:
    numbers = [column.startswith(">") for column in table.columns]
    heads = (_cell("th", column.lstrip(">"), number, "") for column, number in zip(table.columns, numbers, strict=True))
    rows = (
        "".join(
            _cell("td", cell, number, _shade(cell) if shaded and number else "")
            for cell, number in zip(row, numbers, strict=True)
        )
        for row in table.rows
    )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{"".join(heads)}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(tag: str, text: str, number: bool, shade: str) -> str:
    classes = " ".join(["number"] * number + [shade] * bool(shade))
    return f"<{tag}{f' class={chr(34)}{classes}{chr(34)}' if classes else ''}>{escape(text)}</{tag}>"


def _shade(percent: str) -> str:
    share = float(percent)
    return "high" if share >= 99 else "fair" if share >= 95 else "low" if share >= 80 else "none"

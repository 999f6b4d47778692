"""A report as one HTML page that needs nothing else, and prints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from html import escape

from hashdb.domain.reports import Asked, Durations, OfDay, Report, Share
from hashdb.web.charts import STYLE, bars, columns

_STYLE = """
:root { color-scheme: light dark; --ink: #222; --paper: #fff; --rule: #ccc; --soft: #f3f3f3; --bar: #2f6fb3; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #161616; --rule: #444; --soft: #232323;
  --bar: #6ba8e5; } }
@media print { :root { --ink: #000; --paper: #fff; --rule: #bbb; --soft: #f3f3f3; --bar: #2f6fb3; }
  section { break-inside: avoid; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  padding: 1rem; max-width: 1120px; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } h3 { font-size: 1rem; }
.charts, .tiles { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(320px, 100%), 1fr)); }
.tiles { gap: .6rem; grid-template-columns: repeat(auto-fill, minmax(124px, 1fr)); padding: 0; list-style: none; }
.tiles li { background: var(--soft); border-radius: 6px; padding: .6rem .8rem; }
.tiles b { display: block; font-size: 1.4rem; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; margin-bottom: 1rem; }
th, td { padding: .25rem .45rem .25rem 0; border-bottom: 1px solid var(--rule); text-align: right; }
th:first-child, td:first-child { text-align: left; }
th + th, td + td { padding-left: .45rem; } .note { opacity: .8; }
"""
_COLUMNS = 62
"""Of a chart over time; where there are more days than that, it is drawn by months or years."""
_GROUPS = {"member": "member", "kind": "kind of member", "label": "label", "algorithm": "algorithm", "basis": "basis"}
_WHO = {"all": "all", "trusted_flagger": "trusted flaggers", "others": "other members"}
_HOW_LONG = ("median", "90 % within", "within 1 h", "within 24 h")

Row = Sequence[str]


def page(report: Report) -> str:
    """The page: no script, no network, for a narrow screen and a wide one, in light and dark."""
    whose = "" if report.member is None else f", {_member(report, str(report.member))}"
    return "\n".join(
        [
            '<!doctype html><html lang="en"><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Transparency report, {_days(report)}</title><style>{_STYLE}{STYLE}</style>",
            f"<h1>Transparency report{escape(whose)}</h1>",
            body(report),
            "</html>",
            "",
        ]
    )


def body(report: Report) -> str:
    """What is in the page under its heading, without a style of its own."""
    parts = [
        *_introduction(report),
        *_contributions(report),
        *_times(report),
        *_matches(report),
        *_reviews(report),
        *_refusals(report),
        '<p class="note">How each figure is defined, and how to compute it again from the log: '
        "<code>docs/reports.md</code> of hashdb.</p>",
    ]
    return "\n".join(parts)


def _introduction(report: Report) -> list[str]:
    asked = report.asked.get("any", Asked(0, 0, 0, 0))
    withdrawn = sum(report.contributions.withdrawn.values())
    tiles = {
        "contributions": report.contributions.added,
        "active at the end": report.contributions.active,
        "withdrawn": withdrawn,
        "queries": asked.hit + asked.none,
        "matches on others' contributions": asked.others,
        "first caught by another member": report.caught.contributions,
        "disputes": sum(report.reviews.disputes.values()),
        "refused contributions": _refused(report.refused),
    }
    final = "final" if report.final else "not final: a day in it is not over, or its counts are not sealed yet"
    return [
        f'<p class="note">{_days(report)} (UTC, both days included) · {final} · up to event {report.size:,} of the log'
        "</p>",
        f'<ul class="tiles">{"".join(f"<li><b>{number:,}</b> {escape(name)}</li>" for name, number in tiles.items())}'
        "</ul>",
        '<div class="charts">',
        columns("Contributions over time", _over_time(report, lambda day: day.added)),
        columns("Matches over time", _over_time(report, lambda day: day.hits)),
        "</div>",
    ]


def _contributions(report: Report) -> list[str]:
    found = report.contributions
    tables = [
        f"<section><h3>By {title}</h3>{_table(['', 'added', 'withdrawn', 'active'], rows)}</section>"
        for name, title in _GROUPS.items()
        if (
            rows := [
                _share(_member(report, key) if name == "member" else key, one) for key, one in _most(found.by[name])
            ]
        )
    ]
    labels = [(key, one.added) for key, one in _most(found.by["label"])]
    return [
        "<h2>Contributions</h2>",
        '<p class="note">Added and withdrawn in these days; active when they end.</p>',
        '<div class="charts">',
        bars("Added, by label", labels),
        bars("Withdrawn, by reason", _sorted(found.withdrawn)),
        bars("What else happened to them", _sorted(found.told)),
        "</div>",
        f'<div class="charts">{"".join(tables)}</div>',
    ]


def _times(report: Report) -> list[str]:
    heads = ["", "measured", *_HOW_LONG]
    return [
        "<h2>Time to remove, and to share</h2>",
        "<section><h3>From being told of it to the removal</h3>",
        _table(heads, [_durations(_WHO[who], one) for who, one in report.to_remove.items()]),
        "</section><section><h3>From the removal to the contribution</h3>",
        _table(heads, [_durations(_WHO[who], one) for who, one in report.to_share.items()]),
        "</section>",
    ]


def _matches(report: Report) -> list[str]:
    heads = ["", "queries with a match", "without", "matches on own", "on others'"]
    rows = [_asked("all together" if name == "any" else name, one) for name, one in report.asked.items()]
    by_member = [_asked(_member(report, str(member)), one) for member, one in report.asked_by.items()]
    caught = [_durations("until another member first had it", report.caught.first_catch)]
    return [
        "<h2>Reappearances</h2>",
        f"<section>{_table(['', 'contributions', *_HOW_LONG], caught)}</section>",
        f"<section><h3>By algorithm</h3>{_table(heads, rows)}</section>",
        f"<section><h3>By member that asked</h3>{_table(heads, by_member)}</section>",
    ]


def _reviews(report: Report) -> list[str]:
    found = report.reviews
    decided = [_durations("until a decision", found.to_decide)]
    precision = [
        (_member(report, str(member)), f"{one.confirmed:,}", f"{one.disputed:,}", _percent(one.share))
        for member, one in report.precision.items()
    ]
    opinions = [("confirms", found.confirms), *_sorted({f"disputes: {key}": n for key, n in found.disputes.items()})]
    cases = [("opened", found.opened), ("open at the end", found.open), *_sorted(found.decided)]
    return [
        "<h2>Opinions, cases, decisions</h2>",
        f'<div class="charts">{bars("Opinions", opinions)}{bars("Cases", cases)}</div>',
        f"<section>{_table(['', 'decided', *_HOW_LONG], decided)}</section>",
        "<section><h3>Precision, by contributing member</h3>",
        _table(["", "hold", "disputed and not upheld", "precision"], precision),
        "</section>",
    ]


def _refusals(report: Report) -> list[str]:
    return [
        "<h2>Refusals</h2>",
        '<div class="charts">',
        bars("Requests to contribute, by reason", _sorted(report.refused)),
        bars("Requests turned away, by reason", _sorted(report.turned_away)),
        "</div>",
    ]


def _over_time(report: Report, of: Callable[[OfDay], int]) -> list[tuple[str, int]]:
    """A number a day from the first to the last that has any, or a month or a year where those are many."""
    if not report.days:
        return []
    first, last = min(report.days), max(report.days)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    for letters in (10, 7, 4):
        numbers = dict.fromkeys((day.isoformat()[:letters] for day in days), 0)
        if len(numbers) <= _COLUMNS:
            break
    for day, one in report.days.items():
        numbers[day.isoformat()[:letters]] += of(one)
    return list(numbers.items())


def _most(shares: Mapping[str, Share]) -> list[tuple[str, Share]]:
    return sorted(shares.items(), key=lambda pair: (-pair[1].added, pair[0]))


def _sorted(numbers: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(numbers.items(), key=lambda pair: (-pair[1], pair[0]))


def _refused(numbers: Mapping[str, int]) -> int:
    """How many requests; those by field count the same ones again."""
    return sum(number for name, number in numbers.items() if "." not in name)


def _member(report: Report, member: str) -> str:
    """The name that a member has now."""
    return report.members.get(int(member), f"member {member}")


def _days(report: Report) -> str:
    return f"{report.period.first} to {report.period.last}"


def _share(name: str, one: Share) -> Row:
    return name, f"{one.added:,}", f"{one.withdrawn:,}", f"{one.active:,}"


def _asked(name: str, one: Asked) -> Row:
    return name, f"{one.hit:,}", f"{one.none:,}", f"{one.own:,}", f"{one.others:,}"


def _durations(name: str, one: Durations) -> Row:
    return (
        name,
        f"{one.count:,}",
        _spelled(one.median),
        _spelled(one.p90),
        _percent(one.within_1h),
        _percent(one.within_24h),
    )


def _spelled(seconds: int | None) -> str:
    """Seconds as people say them."""
    if seconds is None:
        return "–"
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds} s"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _table(heads: Row, rows: Iterable[Row]) -> str:
    told = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    if not told:
        return "<p>None.</p>"
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{told}</tbody></table>"
    return f'<div class="wide" tabindex="0" role="region" aria-label="Figures">{table}</div>'

"""A report as one self-contained, printable HTML page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import cache, partial
from types import MappingProxyType
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hashdb.domain.review.cases import Decision
from hashdb.domain.stats.reports import DayReport, DecisionsBy, Durations, GroupCounts, Precision, QueryFigures, Report

_COLUMNS = 62
"""The most columns of a chart over time: a longer period is drawn by month or by year."""
# The groupings of contributions that have a table, and the groups of members with durations, with their titles.
_GROUPS = {"member": "member", "kind": "kind of member", "label": "label", "algorithm": "algorithm", "basis": "basis"}
_MEMBER_GROUPS = {"all": "all", "trusted_flagger": "trusted flaggers", "others": "other members"}

Row = Sequence[object]
"""The cells of a row; `body.html` has the names of the columns."""


def page(report: Report) -> str:
    """The HTML page: without script or network, for narrow and wide screens, in light and dark."""
    return templates().get_template("page.html").render(_figures(report))


def body(report: Report, names: Mapping[str, str]) -> str:
    """The HTML below the heading of the page, without its style.

    `names` maps the keys and users in `report.deciders` (such as `user:3`) to their names.
    """
    return templates().get_template("body.html").render(_figures(report, names))


@cache
def templates() -> Environment:
    """The Jinja environment of the page, its parts and its charts."""
    environment = Environment(
        loader=PackageLoader("hashdb.web", "templates/report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"count": group_digits, "ranked": _ranked}
    return environment


def group_digits(number: object) -> object:
    """A whole number of five or more digits as HTML in groups of three, which a style sheet sets apart.

    A copy of it has only the digits. Any other value is returned as it is.

    >>> print(group_digits(9999), group_digits(1234567))
    9999 1<span class="digits">234</span><span class="digits">567</span>
    """
    if not isinstance(number, int) or number < 10_000:
        return number
    first, *others = f"{number:,}".split(",")
    return Markup(first) + Markup("").join(Markup('<span class="digits">{}</span>').format(part) for part in others)


def _figures(report: Report, names: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """The values of the templates: numbers for the charts, and the rows of the tables as texts."""
    reviews, name = report.reviews, partial(_name, report)
    return {
        "report": report,
        "name": name,
        "tiles": _tiles(report),
        "added": _over_time(report, lambda day: day.added),
        "hits": _over_time(report, lambda day: day.hits),
        "labels": [(key, share.added) for key, share in _by_size(report.contributions.by["label"])],
        "groups": [(title, _share_rows(report, group)) for group, title in _GROUPS.items()],
        "to_remove": [_duration_row(_MEMBER_GROUPS[group], durations) for group, durations in report.to_remove.items()],
        "to_share": [_duration_row(_MEMBER_GROUPS[group], durations) for group, durations in report.to_share.items()],
        "caught": [_duration_row("until another member first matched it", report.caught.first_catch)],
        "by_algorithm": [
            _query_row("all algorithms" if key == "any" else key, queries) for key, queries in report.queries.items()
        ],
        "by_member": [_query_row(name(member), queries) for member, queries in report.queries_by_member.items()],
        "opinions": [
            ("confirms", reviews.confirms),
            *_ranked({f"disputes: {key}": number for key, number in reviews.disputes.items()}),
        ],
        "cases": [("opened", reviews.opened), ("open at the end", reviews.open), *_ranked(reviews.decided)],
        "decided": [_duration_row("until a decision", reviews.to_decide)],
        "deciders": [_decider_row(_decider(actor, names), by) for actor, by in report.deciders.items()],
        "precision": [_precision_row(name(member), precision) for member, precision in report.precision.items()],
    }


def _tiles(report: Report) -> dict[str, int]:
    queries = report.queries.get("any", QueryFigures())
    return {
        "contributions": report.contributions.added,
        "active at the end": report.contributions.active,
        "withdrawn": sum(report.contributions.withdrawn.values()),
        "queries": queries.hit + queries.none,
        "matches on others' contributions": queries.others,
        "first caught by another member": report.caught.contributions,
        "disputes": sum(report.reviews.disputes.values()),
        "refused contributions": _refused(report.refused),
    }


def _over_time(report: Report, figure_of: Callable[[DayReport], int]) -> list[tuple[str, int]]:
    """(day, number) from the first to the last day with figures; summed by month or year for a long period."""
    if not report.days:
        return []
    first, last = min(report.days), max(report.days)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    # The first 10 letters of YYYY-MM-DD are the day, the first 7 the month, and the first 4 the year.
    for letters in (10, 7, 4):
        numbers = dict.fromkeys((day.isoformat()[:letters] for day in days), 0)
        if len(numbers) <= _COLUMNS:
            break
    for day, report_day in report.days.items():
        numbers[day.isoformat()[:letters]] += figure_of(report_day)
    return list(numbers.items())


def _by_size(shares: Mapping[str, GroupCounts]) -> list[tuple[str, GroupCounts]]:
    return sorted(shares.items(), key=lambda pair: (-pair[1].added, pair[0]))


def _ranked(numbers: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(numbers.items(), key=lambda pair: (-pair[1], pair[0]))


def _refused(numbers: Mapping[str, int]) -> int:
    """The number of rejected requests. Counts by field (`error.field`) are left out: they repeat these requests."""
    return sum(number for name, number in numbers.items() if "." not in name)


def _name(report: Report, member: str | int) -> str:
    """The current name of a member."""
    return report.members.get(int(member), f"member {member}")


def _share_rows(report: Report, group: str) -> list[Row]:
    return [
        (_name(report, key) if group == "member" else key, share.added, share.withdrawn, share.active)
        for key, share in _by_size(report.contributions.by[group])
    ]


def _query_row(name: str, figures: QueryFigures) -> Row:
    return name, figures.hit, figures.none, figures.own, figures.others


def _decider(actor: str, names: Mapping[str, str]) -> str:
    """The name of a user, or the name of a key's member with the number of the key; without a name, kind and number."""
    kind, _, number = actor.partition(":")
    if actor not in names:
        return f"{kind} {number}"
    return f"{names[actor]} (key {number})" if kind == "key" else names[actor]


def _decider_row(name: str, by: DecisionsBy) -> Row:
    return (
        name,
        *(by.decided.get(decision, 0) for decision in Decision),
        _format_seconds(by.to_decide.median),
        by.again,
        by.reversed,
        f"{_format_percent(by.stood)} of {by.count}",
    )


def _precision_row(name: str, precision: Precision) -> Row:
    return (
        name,
        precision.confirmed,
        precision.disputed,
        precision.count,
        _format_percent(precision.share),
        "–" if precision.interval is None else " to ".join(map(_format_percent, precision.interval)),
    )


def _duration_row(name: str, durations: Durations) -> Row:
    return (
        name,
        durations.count,
        _format_seconds(durations.median),
        _format_seconds(durations.p90),
        _format_percent(durations.within_1h),
        _format_percent(durations.within_24h),
    )


def _format_seconds(seconds: int | None) -> str:
    """Seconds in a unit that is easy to read."""
    if seconds is None:
        return "–"
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds} s"


def _format_percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"

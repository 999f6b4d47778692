"""A report as one HTML page that needs nothing else, and prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import cache, partial
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from hashdb.domain.stats.reports import DayReport, Durations, QueryFigures, Report, Share

_COLUMNS = 62
"""Of a chart over time; where there are more days than that, it is drawn by months or years."""
_GROUPS = {"member": "member", "kind": "kind of member", "label": "label", "algorithm": "algorithm", "basis": "basis"}
_WHO = {"all": "all", "trusted_flagger": "trusted flaggers", "others": "other members"}

Row = Sequence[str]


def page(report: Report) -> str:
    """The page: no script, no network, for a narrow screen and a wide one, in light and dark."""
    return templates().get_template("page.html").render(_figures(report))


def body(report: Report) -> str:
    """What is in the page under its heading, without a style of its own."""
    return templates().get_template("body.html").render(_figures(report))


@cache
def templates() -> Environment:
    """The templates of the page, of its parts and of its charts."""
    found = Environment(
        loader=PackageLoader("hashdb.web", "templates/report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    found.filters |= {"count": "{:,}".format, "ranked": _ranked}
    return found


def _figures(report: Report) -> dict[str, Any]:
    """What the templates show: numbers for the charts, and the rows of the tables as texts."""
    found, reviews, name = report.contributions, report.reviews, partial(_name, report)
    return {
        "report": report,
        "name": name,
        "tiles": _tiles(report),
        "added": _over_time(report, lambda day: day.added),
        "hits": _over_time(report, lambda day: day.hits),
        "labels": [(key, one.added) for key, one in _most(found.by["label"])],
        "groups": [
            (title, [_share(name(key) if group == "member" else key, one) for key, one in _most(found.by[group])])
            for group, title in _GROUPS.items()
        ],
        "to_remove": [_durations(_WHO[who], one) for who, one in report.to_remove.items()],
        "to_share": [_durations(_WHO[who], one) for who, one in report.to_share.items()],
        "caught": [_durations("until another member first had it", report.caught.first_catch)],
        "by_algorithm": [_asked("all together" if key == "any" else key, one) for key, one in report.asked.items()],
        "by_member": [_asked(name(member), one) for member, one in report.asked_by.items()],
        "opinions": [
            ("confirms", reviews.confirms),
            *_ranked({f"disputes: {key}": number for key, number in reviews.disputes.items()}),
        ],
        "cases": [("opened", reviews.opened), ("open at the end", reviews.open), *_ranked(reviews.decided)],
        "decided": [_durations("until a decision", reviews.to_decide)],
        "precision": [
            (name(member), f"{one.confirmed:,}", f"{one.disputed:,}", _percent(one.share))
            for member, one in report.precision.items()
        ],
    }


def _tiles(report: Report) -> dict[str, int]:
    asked = report.asked.get("any", QueryFigures(0, 0, 0, 0))
    return {
        "contributions": report.contributions.added,
        "active at the end": report.contributions.active,
        "withdrawn": sum(report.contributions.withdrawn.values()),
        "queries": asked.hit + asked.none,
        "matches on others' contributions": asked.others,
        "first caught by another member": report.caught.contributions,
        "disputes": sum(report.reviews.disputes.values()),
        "refused contributions": _refused(report.refused),
    }


def _over_time(report: Report, of: Callable[[DayReport], int]) -> list[tuple[str, int]]:
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


def _ranked(numbers: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(numbers.items(), key=lambda pair: (-pair[1], pair[0]))


def _refused(numbers: Mapping[str, int]) -> int:
    """How many requests; those by field count the same ones again."""
    return sum(number for name, number in numbers.items() if "." not in name)


def _name(report: Report, member: str | int) -> str:
    """The name that a member has now."""
    return report.members.get(int(member), f"member {member}")


def _share(name: str, one: Share) -> Row:
    return name, f"{one.added:,}", f"{one.withdrawn:,}", f"{one.active:,}"


def _asked(name: str, one: QueryFigures) -> Row:
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

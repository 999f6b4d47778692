"""Statements by law: what a platform states of a removal (DSA), and once a year (Regulation (EU) 2021/784)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hashdb.domain.contributions import Media
from hashdb.domain.stats.counts import ANY_ALGORITHM
from hashdb.domain.stats.reports import QueryFigures, Report

_CONTENT = {
    Media.IMAGE: "CONTENT_TYPE_IMAGE",
    Media.VIDEO: "CONTENT_TYPE_VIDEO",
    Media.VIDEO_FRAME: "CONTENT_TYPE_VIDEO",
    Media.AUDIO: "CONTENT_TYPE_AUDIO",
    Media.DOCUMENT: "CONTENT_TYPE_TEXT",
    Media.TEXT: "CONTENT_TYPE_TEXT",
}
_PLATFORM_FIELDS = (
    "decision_visibility",
    "decision_ground",
    "illegal_content_legal_ground",
    "illegal_content_explanation",
    "incompatible_content_ground",
    "incompatible_content_explanation",
    "content_date",
    "application_date",
    "territorial_scope",
    "puid",
)
_FIGURES = ("count", "median", "p90", "within_1h")
"""The figures of `Durations` that the report has."""


def statement_of_reasons(media: Media, context: Collection[str], labels: Collection[str]) -> Mapping[str, object]:
    """The fields of a statement of reasons to the DSA Transparency Database that a match provides.

    The platform fills the fields with None. Fields and values follow
    https://transparency.dsa.ec.europa.eu/page/api-documentation (since July 2025). Automated means found the content.
    Since a match is advice to review, a person decided with their help.
    """
    synthetic = ["CONTENT_TYPE_SYNTHETIC_MEDIA"] if "synthetic" in context else []
    facts = (
        "The content was found to be the same as, or close to, content that a member of a shared database of hashes "
        f"removed as terrorist content ({', '.join(sorted(labels))}), by comparing perceptual hashes. "
        "A person reviewed the match and decided."
    )
    return {
        "content_type": [_CONTENT[media], *synthetic],
        "category": "STATEMENT_CATEGORY_RISK_FOR_PUBLIC_SECURITY",
        "category_specification": ["KEYWORD_TERRORIST_CONTENT"],
        "source_type": "SOURCE_VOLUNTARY",
        "automated_detection": "Yes",
        "automated_decision": "AUTOMATED_DECISION_PARTIALLY",
        "decision_facts": facts,
    } | dict.fromkeys(_PLATFORM_FIELDS)


def tco_report(report: Report) -> Mapping[str, object]:
    """The points of Regulation (EU) 2021/784, Article 7(3), as far as known; the platform fills those with None."""
    return {
        "regulation": "Regulation (EU) 2021/784",
        "article": "7(3)",
        "from": report.period.first.isoformat(),
        "to": report.period.last.isoformat(),
        "member": report.member,
        "final": report.final,
        "points": {**_measures(report), **_outcomes(report)},
    }


def _measures(report: Report) -> Mapping[str, object]:
    """Points a and b: the measures of the platform."""
    queries = report.queries.get(ANY_ALGORITHM, QueryFigures())
    return {
        "a": {
            "information": "measures in relation to the identification and removal of or disabling of access to "
            "terrorist content",
            "items_compared_before_or_after_publication": queries.hit + queries.none,
            "items_found_close_to_known_terrorist_content": queries.hit,
            "items_removed_and_shared": report.contributions.added,
            "seconds_from_notification_to_removal": {name: getattr(report.to_remove["all"], name) for name in _FIGURES},
        },
        "b": {
            "information": "measures to address the reappearance online of material which has previously been removed, "
            "in particular where automated tools have been used",
            "automated_tools": "comparison of perceptual hashes; a match is advice to review, nothing is removed by it",
            "matches_on_own_removed_items": queries.own,
            "matches_on_items_removed_by_others": queries.others,
            "own_items_that_reappeared_elsewhere": report.caught.contributions,
        },
    }


def _outcomes(report: Report) -> Mapping[str, object]:
    """Points c to g: removals, complaints and proceedings."""
    basis = report.contributions.by["basis"]
    removed = {name: share.added for name, share in basis.items() if share.added}
    orders = removed.get("removal_order", 0)
    return {
        "c": {
            "information": "number of items removed following removal orders or specific measures, and number of "
            "removal orders where content was not removed, with the grounds",
            "items_removed_following_removal_orders": orders,
            "items_removed_otherwise": report.contributions.added - orders,
            "items_removed_by_basis": removed,
            "removal_orders_not_executed": None,
        },
        "d": {
            "information": "number and outcome of complaints handled in accordance with Article 10",
            "complaints": None,
            "disputes_by_other_members": sum(report.reviews.disputes.values()),
            "outcomes_of_disputes": dict(report.reviews.disputes_decided),
        },
        "e": {
            "information": "number and outcome of administrative or judicial review proceedings brought by the "
            "hosting service provider",
            "proceedings": None,
        },
        "f": {
            "information": "number of cases in which content was to be reinstated as a result of such proceedings",
            "reinstated_following_proceedings": None,
        },
        "g": {
            "information": "number of cases in which content was reinstated following a complaint by the content "
            "provider",
            "reinstated_following_complaints": None,
            "items_withdrawn_because_removal_was_reversed": report.contributions.withdrawn.get("removal_reversed", 0),
        },
    }

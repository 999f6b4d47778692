"""Blocks for what the law asks a platform to report: of a match, and of a period."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hashdb.domain.contributions import Media
from hashdb.domain.reports import Asked, Durations, Report

_CONTENT = {
    Media.IMAGE: "CONTENT_TYPE_IMAGE",
    Media.VIDEO: "CONTENT_TYPE_VIDEO",
    Media.VIDEO_FRAME: "CONTENT_TYPE_VIDEO",
    Media.AUDIO: "CONTENT_TYPE_AUDIO",
    Media.DOCUMENT: "CONTENT_TYPE_TEXT",
}
_SYNTHETIC = "synthetic"
_YOURS = (
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


def statement(media: Media, context: Collection[str], labels: Collection[str]) -> Mapping[str, object]:
    """What a match tells for a statement of reasons to the DSA Transparency Database; None is the platform's to fill.

    Fields and values are those of https://transparency.dsa.ec.europa.eu/page/api-documentation (since July 2025). The
    content was found by automated means, and since a match is advice to review, decided by a person with their help.
    """
    synthetic = ["CONTENT_TYPE_SYNTHETIC_MEDIA"] if _SYNTHETIC in context else []
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
    } | dict.fromkeys(_YOURS)


def terrorist_content(report: Report) -> Mapping[str, object]:
    """What is known here of the points of Regulation (EU) 2021/784, Article 7(3); None is the platform's to fill."""
    period = {"from": report.period.first.isoformat(), "to": report.period.last.isoformat()}
    regulation = {"regulation": "Regulation (EU) 2021/784", "article": "7(3)"}
    points = {**_measures(report), **_outcomes(report)}
    return {**regulation, **period, "member": report.member, "final": report.final, "points": points}


def _measures(report: Report) -> Mapping[str, object]:
    asked = report.asked.get("any", Asked(0, 0, 0, 0))
    return {
        "a": {
            "information": "measures in relation to the identification and removal of or disabling of access to "
            "terrorist content",
            "items_compared_before_or_after_publication": asked.hit + asked.none,
            "items_found_close_to_known_terrorist_content": asked.hit,
            "items_removed_and_shared": report.contributions.added,
            "seconds_from_notification_to_removal": _told(report.to_remove["all"]),
        },
        "b": {
            "information": "measures to address the reappearance online of material which has previously been removed, "
            "in particular where automated tools have been used",
            "automated_tools": "comparison of perceptual hashes; a match is advice to review, nothing is removed by it",
            "matches_on_own_removed_items": asked.own,
            "matches_on_items_removed_by_others": asked.others,
            "own_items_that_reappeared_elsewhere": report.caught.contributions,
        },
    }


def _outcomes(report: Report) -> Mapping[str, object]:
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


def _told(one: Durations) -> Mapping[str, object]:
    return {"count": one.count, "median": one.median, "p90": one.p90, "within_1h": one.within_1h}

"""Statements of reasons: they use codes of the API of the DSA database, and leave open what only a platform knows."""

from __future__ import annotations

from hashdb.domain.contributions import Media
from hashdb.domain.stats.statements import statement_of_reasons

REQUIRED = {
    "decision_facts",
    "decision_ground",
    "content_type",
    "category",
    "territorial_scope",
    "content_date",
    "application_date",
    "source_type",
    "automated_detection",
    "automated_decision",
    "puid",
}
"""From the documentation of the API. `decision_visibility` is required if there is no other decision."""


def test_a_statement_has_every_required_field_and_invents_no_value() -> None:
    statement = statement_of_reasons(Media.IMAGE, (), ("glorification", "manifesto"))
    assert set(statement) >= REQUIRED | {"decision_visibility"}
    assert statement["category"] == "STATEMENT_CATEGORY_RISK_FOR_PUBLIC_SECURITY"
    assert statement["category_specification"] == ["KEYWORD_TERRORIST_CONTENT"]
    assert (statement["automated_detection"], statement["automated_decision"]) == (
        "Yes",
        "AUTOMATED_DECISION_PARTIALLY",
    )
    assert statement["puid"] is statement["decision_ground"] is statement["decision_visibility"] is None
    assert len(str(statement["decision_facts"])) <= 5000


def test_the_content_type_follows_from_the_media_and_the_synthetic_label() -> None:
    kinds = {media: statement_of_reasons(media, (), ("manifesto",))["content_type"] for media in Media}
    assert kinds[Media.VIDEO] == kinds[Media.VIDEO_FRAME] == ["CONTENT_TYPE_VIDEO"]
    assert kinds[Media.DOCUMENT] == kinds[Media.TEXT] == ["CONTENT_TYPE_TEXT"]
    statement = statement_of_reasons(Media.IMAGE, ("synthetic",), ("manifesto",))
    assert statement["content_type"] == ["CONTENT_TYPE_IMAGE", "CONTENT_TYPE_SYNTHETIC_MEDIA"]

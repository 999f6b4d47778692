"""Blocks for what the law asks: closed words of the database's API, and nothing made up that only a platform knows."""

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
"""Of the documentation of the API; `decision_visibility` where no other decision is told."""


def test_a_statement_has_every_field_that_is_required() -> None:
    said = statement_of_reasons(Media.IMAGE, (), ("glorification", "manifesto"))
    assert set(said) >= REQUIRED | {"decision_visibility"}
    assert said["category"] == "STATEMENT_CATEGORY_RISK_FOR_PUBLIC_SECURITY"
    assert said["category_specification"] == ["KEYWORD_TERRORIST_CONTENT"]
    assert (said["automated_detection"], said["automated_decision"]) == ("Yes", "AUTOMATED_DECISION_PARTIALLY")
    assert said["puid"] is said["decision_ground"] is said["decision_visibility"] is None
    assert len(str(said["decision_facts"])) <= 5000


def test_the_content_is_named_by_its_media_and_that_it_is_synthetic() -> None:
    kinds = {media: statement_of_reasons(media, (), ("manifesto",))["content_type"] for media in Media}
    assert kinds[Media.VIDEO] == kinds[Media.VIDEO_FRAME] == ["CONTENT_TYPE_VIDEO"]
    assert kinds[Media.DOCUMENT] == kinds[Media.TEXT] == ["CONTENT_TYPE_TEXT"]
    said = statement_of_reasons(Media.IMAGE, ("synthetic",), ("manifesto",))
    assert said["content_type"] == ["CONTENT_TYPE_IMAGE", "CONTENT_TYPE_SYNTHETIC_MEDIA"]

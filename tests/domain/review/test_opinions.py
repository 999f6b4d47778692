"""The table of standings, row by row, as far as opinions go; and what counts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.contributions import Standing
from hashdb.domain.review.cases import Opinion, OpinionDraft, Stance, opinion_counts, standing
from tests.builders import NOON

CONFIRMS = Opinion(1, 17, 3, "Member", Stance.CONFIRMS, None, "a note", NOON, None, counts=True)
DISPUTES = replace(CONFIRMS, id=2, stance=Stance.DISPUTES, reason="edsa_context")
SILENT = replace(CONFIRMS, counts=False), replace(DISPUTES, counts=False)

opinions = st.lists(st.sampled_from([CONFIRMS, DISPUTES, *SILENT]), max_size=6)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ((), Standing.UNREVIEWED),
        (SILENT, Standing.UNREVIEWED),
        ((CONFIRMS,), Standing.CONFIRMED),
        ((CONFIRMS, *SILENT), Standing.CONFIRMED),
        ((DISPUTES,), Standing.DISPUTED),
        ((CONFIRMS, DISPUTES, CONFIRMS), Standing.DISPUTED),
    ],
)
def test_a_dispute_goes_before_confirmations_and_these_before_nothing(
    said: tuple[Opinion, ...], expected: Standing
) -> None:
    assert standing(said, None) is expected


@given(opinions, st.sampled_from([Standing.QUARANTINED, Standing.RETIRED]))
def test_what_was_ruled_goes_before_all_opinions(said: list[Opinion], ruled: Standing) -> None:
    assert standing(said, ruled) is ruled


@given(opinions, st.randoms())
def test_neither_order_nor_what_does_not_count_changes_a_standing(said: list[Opinion], order: object) -> None:
    turned = sorted(said, key=lambda one: (order.random(), one.id))  # type: ignore[attr-defined]
    assert standing(said, None) is standing([one for one in turned if one.counts], None)


@pytest.mark.parametrize(
    ("stance", "replaced", "suspended", "answered", "expected"),
    [
        (Stance.CONFIRMS, False, False, False, True),
        (Stance.CONFIRMS, True, False, False, False),
        (Stance.CONFIRMS, False, True, False, False),
        (Stance.CONFIRMS, False, False, True, True),
        (Stance.DISPUTES, False, False, False, True),
        (Stance.DISPUTES, True, False, False, False),
        (Stance.DISPUTES, False, True, False, False),
        (Stance.DISPUTES, False, False, True, False),
    ],
)
def test_what_counts(stance: Stance, replaced: bool, suspended: bool, answered: bool, expected: bool) -> None:
    assert opinion_counts(stance, replaced=replaced, suspended=suspended, answered=answered) is expected


def test_a_dispute_needs_a_reason_and_a_confirmation_takes_none() -> None:
    assert OpinionDraft(Stance.DISPUTES, "other").fault() is None
    assert OpinionDraft(Stance.CONFIRMS, None).fault() is None
    assert (
        OpinionDraft(Stance.DISPUTES, None).fault()
        == "is required for a dispute: `hashdb opinion --help` and the API document list the reasons"
    )
    assert OpinionDraft(Stance.CONFIRMS, "other").fault() == "is for disputes only: leave it out to confirm"


def test_an_opinion_is_known_by_all_that_was_said() -> None:
    assert DISPUTES.equals(OpinionDraft(Stance.DISPUTES, "edsa_context", "a note"))
    for other in (("other", "a note"), ("edsa_context", None)):
        assert not DISPUTES.equals(OpinionDraft(Stance.DISPUTES, *other))


def test_a_note_that_is_not_shown_is_named_as_hidden() -> None:
    assert DISPUTES.shown(note=True) == DISPUTES
    assert DISPUTES.shown(note=False) == replace(DISPUTES, note=None, hidden=frozenset({"note"}))

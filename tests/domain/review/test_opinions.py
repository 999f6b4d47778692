"""The table of standings, row by row, for opinions; and which opinions count."""

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
NOT_COUNTED = replace(CONFIRMS, counts=False), replace(DISPUTES, counts=False)

opinions = st.lists(st.sampled_from([CONFIRMS, DISPUTES, *NOT_COUNTED]), max_size=6)


@pytest.mark.parametrize(
    ("member_opinions", "expected"),
    [
        ((), Standing.UNREVIEWED),
        (NOT_COUNTED, Standing.UNREVIEWED),
        ((CONFIRMS,), Standing.CONFIRMED),
        ((CONFIRMS, *NOT_COUNTED), Standing.CONFIRMED),
        ((DISPUTES,), Standing.DISPUTED),
        ((CONFIRMS, DISPUTES, CONFIRMS), Standing.DISPUTED),
    ],
)
def test_disputes_outweigh_confirmations_and_uncounted_opinions_are_ignored(
    member_opinions: tuple[Opinion, ...], expected: Standing
) -> None:
    assert standing(member_opinions, None) is expected


@given(opinions, st.sampled_from([Standing.QUARANTINED, Standing.RETIRED]))
def test_a_decision_outweighs_all_opinions(member_opinions: list[Opinion], ruled: Standing) -> None:
    assert standing(member_opinions, ruled) is ruled


@given(opinions, st.randoms())
def test_order_and_uncounted_opinions_do_not_change_the_standing(member_opinions: list[Opinion], order: object) -> None:
    shuffled = sorted(member_opinions, key=lambda opinion: (order.random(), opinion.id))  # type: ignore[attr-defined]
    assert standing(member_opinions, None) is standing([opinion for opinion in shuffled if opinion.counts], None)


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
def test_an_opinion_counts_unless_replaced_suspended_or_an_answered_dispute(
    stance: Stance, replaced: bool, suspended: bool, answered: bool, expected: bool
) -> None:
    assert opinion_counts(stance, replaced=replaced, suspended=suspended, answered=answered) is expected


def test_a_dispute_needs_a_reason_and_a_confirmation_must_have_none() -> None:
    assert OpinionDraft(Stance.DISPUTES, "other").fault() is None
    assert OpinionDraft(Stance.CONFIRMS, None).fault() is None
    assert (
        OpinionDraft(Stance.DISPUTES, None).fault()
        == "is required for a dispute: `hashdb opinion --help` and the API document list the reasons"
    )
    assert OpinionDraft(Stance.CONFIRMS, "other").fault() == "is for disputes only: leave it out to confirm"


def test_an_opinion_equals_a_draft_only_with_the_same_reason_and_note() -> None:
    assert DISPUTES.equals(OpinionDraft(Stance.DISPUTES, "edsa_context", "a note"))
    for other in (("other", "a note"), ("edsa_context", None)):
        assert not DISPUTES.equals(OpinionDraft(Stance.DISPUTES, *other))


def test_a_note_that_is_not_shown_is_listed_as_hidden() -> None:
    assert DISPUTES.shown(note=True) == DISPUTES
    assert DISPUTES.shown(note=False) == replace(DISPUTES, note=None, hidden=frozenset({"note"}))

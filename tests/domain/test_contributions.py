"""Drafts and contributions as values."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hashdb.domain.contributions import UNSET, Amendment, Contribution, Standing, Status
from hashdb.domain.signals import Algorithm
from tests.builders import NOON, draft, signal


def contribution() -> Contribution:
    sent = draft(1, 2, reference="our-id-1")
    return Contribution(
        id=17,
        member=3,
        member_name="Example",
        status=Status.ACTIVE,
        standing=Standing.UNREVIEWED,
        received_at=NOON,
        signals=sent.signals,
        labels=sent.labels,
        removed_at=sent.removed_at,
        quality=sent.quality,
        media=sent.media,
        reference=sent.reference,
    )


def test_the_fingerprint_depends_only_on_the_set_of_signals() -> None:
    fingerprint = draft(1, 2).fingerprint()
    assert len(fingerprint) == 32
    assert draft(2, 1).fingerprint() == fingerprint
    assert draft(1, 2, 1).fingerprint() == fingerprint
    assert draft(1, 2, labels=("manifesto",), removed_at=NOON + timedelta(days=1)).fingerprint() == fingerprint


def test_different_sets_of_signals_have_different_fingerprints() -> None:
    sets = [(), (1,), (2,), (1, 2), (signal(1, Algorithm.PHASH256),), (signal(1, Algorithm.PHASH),)]
    assert len({draft(*signals).fingerprint() for signals in sets}) == len(sets)


@pytest.mark.parametrize("signals", [True, False])
@pytest.mark.parametrize("reference", [True, False])
def test_a_hidden_field_is_empty_and_listed_as_hidden(signals: bool, reference: bool) -> None:
    complete = contribution()
    shown = complete.shown(signals=signals, reference=reference)
    assert shown.signals == (complete.signals if signals else ())
    assert shown.reference == ("our-id-1" if reference else None)
    assert shown.hidden == {name for name, may in (("signals", signals), ("reference", reference)) if not may}
    assert shown.labels == complete.labels


def test_quarantined_and_retired_contributions_do_not_match() -> None:
    assert [standing for standing in Standing if not standing.matches] == [Standing.QUARANTINED, Standing.RETIRED]


def test_an_empty_amendment_leaves_every_field_as_it_is() -> None:
    empty = Amendment()
    assert {getattr(empty, name) for name in Amendment.__slots__} == {UNSET}

"""Contributions on the wire, as a reader may see them."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given

from hashdb.domain.contributions import Contribution, Receipt
from hashdb.domain.frames import Frame, Unit
from hashdb.domain.matching.testing import contribution_of_test_item
from hashdb.domain.sharing.feed import Change
from hashdb.domain.signals import Algorithm, Signal
from hashdb.wire.contributions import ContributionOut, ReceiptOut, visible_fields
from hashdb.wire.sharing.feed import change_line
from tests.wire.strategies import contributions, receipts


@given(contributions())
def test_a_contribution_comes_back_with_what_is_hidden(answered: Contribution) -> None:
    text = ContributionOut.from_domain(answered).json_text()
    back = ContributionOut.model_validate_json(text).to_domain()
    assert (back, back.changed_at) == (answered, answered.changed_at)


@given(receipts)
def test_a_receipt_comes_back(answered: Receipt) -> None:
    assert ReceiptOut.model_validate_json(ReceiptOut.from_domain(answered).json_text()).to_domain() == answered


def test_the_pages_and_words_of_a_document_are_shown_until_it_is_erased() -> None:
    shown = replace(contribution_of_test_item([]), pages=3, words=700, frame_count=8)
    fields = visible_fields(shown)
    assert (fields["pages"], fields["words"], fields["frame_count"]) == (3, 700, 8)
    assert visible_fields(replace(shown, erased=True)).keys().isdisjoint({"pages", "words"})


def test_pages_and_windows_of_words_of_a_contribution_come_back() -> None:
    frames = (
        Frame(1, (Signal(Algorithm.PDQ, 7),), 88, unit=Unit.PAGES),
        Frame(100, (Signal(Algorithm.SIMHASH256, 7),), unit=Unit.WORDS, length=200),
    )
    sent = replace(contribution_of_test_item([]), pages=1, words=300, frame_count=2, frames=frames)
    text = ContributionOut.from_domain(sent).json_text()
    assert ContributionOut.model_validate_json(text).to_domain() == sent
    assert json.loads(change_line(Change(7, sent)))["contribution"] == json.loads(text)

"""Wire models of contributions, with the fields that a reader can see."""

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
def test_a_contribution_round_trips_with_its_hidden_fields(contribution: Contribution) -> None:
    text = ContributionOut.from_domain(contribution).json_text()
    read = ContributionOut.model_validate_json(text).to_domain()
    assert (read, read.changed_at) == (contribution, contribution.changed_at)


@given(receipts)
def test_a_receipt_round_trips_unchanged(receipt: Receipt) -> None:
    assert ReceiptOut.model_validate_json(ReceiptOut.from_domain(receipt).json_text()).to_domain() == receipt


def test_the_counts_of_pages_and_words_are_returned_until_erasure() -> None:
    document = replace(contribution_of_test_item([]), pages=3, words=700, frame_count=8)
    fields = visible_fields(document)
    assert (fields["pages"], fields["words"], fields["frame_count"]) == (3, 700, 8)
    assert visible_fields(replace(document, erased=True)).keys().isdisjoint({"pages", "words"})


def test_a_contribution_with_pages_and_words_round_trips_unchanged() -> None:
    frames = (
        Frame(1, (Signal(Algorithm.PDQ, 7),), 88, unit=Unit.PAGES),
        Frame(100, (Signal(Algorithm.SIMHASH256, 7),), unit=Unit.WORDS, length=200),
    )
    sent = replace(contribution_of_test_item([]), pages=1, words=300, frame_count=2, frames=frames)
    text = ContributionOut.from_domain(sent).json_text()
    assert ContributionOut.model_validate_json(text).to_domain() == sent
    assert json.loads(change_line(Change(7, sent)))["contribution"] == json.loads(text)

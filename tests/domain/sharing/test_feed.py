"""The feed: its pages as values, and how a local copy checks the commitment of an item."""

from __future__ import annotations

from hashdb.domain.frames import Frame, Unit
from hashdb.domain.ledger.commitments import seal
from hashdb.domain.sharing.feed import Change, Changes, Gone
from hashdb.domain.signals import Algorithm, Signal
from tests.builders import copied, signal, signature


def test_equal_pages_of_the_feed_compare_equal() -> None:
    page = Changes((Change(4, Gone(17, "withdrawn")),), checkpoint=4, more=False, epoch="9f3c")
    assert page == Changes((Change(4, Gone(17, "withdrawn")),), checkpoint=4, more=False, epoch="9f3c")
    assert hash(page.changes[0]) == hash(Change(4, Gone(17, "withdrawn")))


def test_only_an_unaltered_item_fits_its_commitment() -> None:
    frames = [
        Frame(0.0, (signal(1),), 90),
        Frame(1.0, (signal(1),), 90),
        Frame(2.0, (signal(2),), 10),
        Frame(4.25, (signal(3), signal(4, Algorithm.PHASH)), 90),
        Frame(3, (signal(5),), 90, unit=Unit.PAGES),
        Frame(50, (Signal(Algorithm.SIMHASH256, 6),), unit=Unit.WORDS, length=150),
    ]
    item = copied(7, [signal(1), signal(7, Algorithm.MD5)], frames, [signature(1)])
    assert item.fits_commitment
    first, *others = item.shots
    for altered in (
        item._replace(signals=item.signals[:1]),
        item._replace(signals=(*item.signals, (Algorithm.PDQ, signal(9).to_bytes()))),
        item._replace(signatures=()),
        item._replace(shots=tuple(others)),
        item._replace(shots=(first._replace(end=2.0), *others)),
        item._replace(salt=bytes(16)),
        item._replace(salt=None),
        item._replace(undisclosed=(seal(bytes(16), "pdq:"),)),
    ):
        assert not altered.fits_commitment
    assert item._replace(salt=None, commitment=None).fits_commitment


def test_an_item_with_a_seal_for_a_suppressed_signal_fits_its_commitment() -> None:
    whole = copied(7, [signal(1), signal(2)])
    partial = whole._replace(signals=whole.signals[:1])
    assert not partial.fits_commitment
    assert partial._replace(undisclosed=(seal(whole.salt or b"", str(signal(2))),)).fits_commitment

"""Changes as values: what a member's own copy makes of them."""

from __future__ import annotations

from hashdb.domain.frames import Frame, Unit
from hashdb.domain.ledger.commitments import seal
from hashdb.domain.sharing.feed import Change, Changes, Gone
from hashdb.domain.signals import Algorithm, Signal
from tests.builders import copied, signal, signature


def test_a_page_of_the_feed_is_a_value() -> None:
    page = Changes((Change(4, Gone(17, "withdrawn")),), checkpoint=4, more=False, epoch="9f3c")
    assert page == Changes((Change(4, Gone(17, "withdrawn")),), checkpoint=4, more=False, epoch="9f3c")
    assert hash(page.changes[0]) == hash(Change(4, Gone(17, "withdrawn")))


def test_what_a_copy_reads_fits_the_commitment_to_the_item_and_nothing_else_does() -> None:
    frames = [
        Frame(0.0, (signal(1),), 90),
        Frame(1.0, (signal(1),), 90),
        Frame(2.0, (signal(2),), 10),
        Frame(4.25, (signal(3), signal(4, Algorithm.PHASH)), 90),
        Frame(3, (signal(5),), 90, unit=Unit.PAGES),
        Frame(50, (Signal(Algorithm.SIMHASH256, 6),), unit=Unit.WORDS, length=150),
    ]
    right = copied(7, [signal(1), signal(7, Algorithm.MD5)], frames, [signature(1)])
    assert right.fits_commitment
    first, *others = right.shots
    for wrong in (
        right._replace(signals=right.signals[:1]),
        right._replace(signals=(*right.signals, (Algorithm.PDQ, signal(9).to_bytes()))),
        right._replace(signatures=()),
        right._replace(shots=tuple(others)),
        right._replace(shots=(first._replace(end=2.0), *others)),
        right._replace(salt=bytes(16)),
        right._replace(salt=None),
        right._replace(undisclosed=(seal(bytes(16), "pdq:"),)),
    ):
        assert not wrong.fits_commitment
    assert right._replace(salt=None, commitment=None).fits_commitment


def test_a_seal_stands_for_a_suppressed_signal() -> None:
    whole = copied(7, [signal(1), signal(2)])
    told = whole._replace(signals=whole.signals[:1])
    assert not told.fits_commitment
    assert told._replace(undisclosed=(seal(whole.salt or b"", str(signal(2))),)).fits_commitment

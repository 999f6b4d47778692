"""The fields that an upload must have to be remembered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from hashdb.domain.frames import FRAMES_AN_ITEM, Frame
from hashdb.domain.matching.lookback import Upload, uploads_faults
from hashdb.domain.matching.matches import Query
from hashdb.domain.signals import Algorithm, Signal

_NOW = datetime(2026, 5, 1, tzinfo=UTC)
_QUERY = Query((Signal(Algorithm.PDQ, 1),))


def _faults(*uploads: Upload) -> list[str]:
    return [fault.at for fault in uploads_faults(uploads, _NOW)]


def test_an_upload_with_an_id_a_time_and_a_signal_has_no_fault() -> None:
    by_transform = Query((), transforms={"mirror": _QUERY.signals})
    assert _faults(Upload("a/b.jpg", _NOW, _QUERY), Upload("ü" * 256, _NOW - timedelta(days=9), by_transform)) == []


@pytest.mark.parametrize("id", ["", "x" * 257, "a\n", "\udc80"])
def test_the_id_of_an_upload_has_1_to_256_printable_characters(id: str) -> None:
    assert _faults(Upload("1", _NOW, _QUERY), Upload(id, _NOW, _QUERY)) == ["uploads[1].id"]


def test_the_time_of_an_upload_has_a_zone_and_is_not_in_the_future() -> None:
    late, bare = Upload("1", _NOW + timedelta(days=1), _QUERY), Upload("2", _NOW.replace(tzinfo=None), _QUERY)
    east = Upload("3", datetime.min.replace(tzinfo=timezone(timedelta(hours=9))), _QUERY)
    assert _faults(late, bare, east) == ["uploads[0].at", "uploads[1].at", "uploads[2].at"]


def test_an_upload_without_a_searchable_signal_is_rejected() -> None:
    frames = (Frame(0.0, _QUERY.signals),)
    flat = (Frame(0.0, _QUERY.signals, quality=49),)
    many = frames * (FRAMES_AN_ITEM + 1)
    queries = [Query(()), Query((), frames=frames), Query((), frames=flat), Query((), frames=many)]
    assert _faults(*(Upload("1", _NOW, query) for query in queries)) == [
        "uploads[0].signals",
        "uploads[2].signals",
        "uploads[3].frames",
    ]

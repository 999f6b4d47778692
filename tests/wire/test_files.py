"""Wire models of the hashes of files."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.signals import Signal
from hashdb.wire.files import PictureOut, PicturesOut
from tests.wire.strategies import signals


@given(st.lists(signals), st.none() | st.integers(0, 100))
def test_the_hashes_of_a_picture_round_trip_unchanged(hashes: list[Signal], quality: int | None) -> None:
    picture = PictureOut.model_construct(signals=hashes, quality=quality)
    text = PicturesOut.model_construct(pictures=[picture]).json_text()
    assert json.loads(text) == {"pictures": [{"signals": [str(signal) for signal in hashes], "quality": quality}]}
    assert PicturesOut.model_validate_json(text).pictures == [picture]

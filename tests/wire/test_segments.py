"""Wire models of segments and of matching frames."""

from __future__ import annotations

import json

from hashdb.domain.frames import Unit
from hashdb.domain.matching.matches import FrameMatch
from hashdb.domain.matching.segments import Segment
from hashdb.domain.signals import Algorithm
from hashdb.wire.segments import FrameMatchOut, SegmentOut


def test_a_segment_of_words_has_a_unit_and_integers_and_round_trips() -> None:
    words = Segment((3000.0, 3300.0), (150.0, 450.0), 1.0, 5, 5, 12, unit=Unit.WORDS)
    text = SegmentOut.from_domain(words).json_text()
    assert text.startswith('{"unit":"words","query":[3000,3300],"listed":[150,450],"speed":1.0,')
    assert SegmentOut.model_validate_json(text).to_domain() == words
    seconds = Segment((3.0, 4.0), (1.5, 2.5), 1.0, 5, 5, None, "mirror")
    text = SegmentOut.from_domain(seconds).json_text()
    assert text.startswith('{"query":[3.0,4.0],"listed":[1.5,2.5],')
    assert SegmentOut.model_validate_json(text).to_domain() == seconds


def test_a_matching_page_has_its_number_and_a_matching_frame_its_time() -> None:
    page = FrameMatch(3.0, {Algorithm.PDQ: 4}, Unit.PAGES)
    text = FrameMatchOut.from_domain(page).json_text()
    assert json.loads(text) == {"page": 3, "distance": {"pdq": 4}}
    assert FrameMatchOut.model_validate_json(text).to_domain() == page
    frame = FrameMatch(0.0, {Algorithm.PDQ: 4})
    text = FrameMatchOut.from_domain(frame).json_text()
    assert json.loads(text) == {"at": 0.0, "distance": {"pdq": 4}}
    assert FrameMatchOut.model_validate_json(text).to_domain() == frame

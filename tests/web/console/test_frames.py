"""Videos on the pages of contributions and cases."""

from __future__ import annotations

import re

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.matching.benign import BenignDraft
from hashdb.service.matching import benign
from tests.builders import signal
from tests.web.api.test_videos import video
from tests.web.callers import Service, item
from tests.web.console.visitors import Visitor, faults

LIST = "/console/contributions"


def test_the_page_of_a_video_shows_its_time_line_and_shots(service: Service, otto: Visitor) -> None:
    card = BenignDraft((signal(12),), note="A title card")
    benign.add(service.db, COMMAND_LINE, card)
    draft = video(*range(10, 20), signals=[f"sha256:{7:064x}"])
    draft["frames"][5]["quality"] = 30
    service.caller(name="Alpha").contribute(draft)
    page = otto.get(f"{LIST}/1").text
    assert "Time line of 0:10: 10 shots, 8 can match, 1 suppressed, 1 below quality 50" in page
    assert (f"{7:064x}" in page, f"{signal(11).value:064x}" in page) == (True, False)
    assert re.findall(r"<dt>(Duration|Frames)</dt><dd>([^<]+)<", page) == [("Duration", "0:10"), ("Frames", "10")]
    shots = otto.get(f"{LIST}/1/shots?after=1&limit=2").text
    assert re.findall(r"<h2[^>]*>(Shots[^<]+)<", shots) == ["Shots 2 to 3 of 10"]
    assert (f"{signal(11).value:064x}" in shots, f"{signal(12).value:064x}" in shots) == (True, False)
    assert [(rel, after) for rel, after in re.findall(r'rel="(\w+)" href="[^"]+after=(\d+)&amp;limit=2"', shots)] == [
        ("prev", "0"),
        ("next", "3"),
    ]
    assert set(faults(otto.get(f"{LIST}/1/shots?after=x"))) == {"after"}


def test_a_video_without_frames_has_no_time_line(service: Service, ada: Visitor) -> None:
    alpha = service.caller(name="Alpha")
    alpha.contribute({**video(), "frames": [], "duration": 9.0, "signals": [f"sha256:{7:064x}"]}, video(1, 2, 3))
    ada.post(f"{LIST}/2/erasure", {"reason": "other", "number": "2"})
    for id in (1, 2):
        assert 'class="film"' not in ada.get(f"{LIST}/{id}").text
        assert "The contribution has no frames." in ada.get(f"{LIST}/{id}/shots").text


def test_the_list_shows_the_length_of_videos_and_filters_by_media(service: Service, otto: Visitor) -> None:
    service.caller(name="Alpha").contribute(video(1, 2, 3))
    assert "video 0:03, " in otto.get(f"{LIST}?media=video").text
    assert "No contribution matches the filter." in otto.get(f"{LIST}?media=image").text
    assert set(faults(otto.get(f"{LIST}?media=film"))) == {"media"}


def test_segments_of_two_videos_are_joined_on_contribution_and_case(service: Service, rosa: Visitor) -> None:
    alpha, beta = service.caller(name="Alpha"), service.caller(name="Beta")
    alpha.contribute(video(*range(100, 140)))
    beta.contribute(video(*range(700, 705), *range(120, 132)), item(103))
    assert (
        beta.post("/v1/contributions/1/opinions", {"opinion": "disputes", "reason": "edsa_context"}).status_code == 201
    )
    for address in (f"{LIST}/1/neighbors", "/console/cases/1"):
        page = rosa.get(address).text
        assert "Two time lines, of 0:40 and 0:17, joined by 1 segment" in page
        (row,) = re.findall(r'<tr><td class="number">1</td>(.*?)</tr>', page)
        cells = re.findall(r"<td[^>]*>(.*?)</td>", row)
        assert cells == ["0:20–0:32", "0:05–0:17", "12 of 12", "1.00×, 0 bits"]
        assert "The segments are 30 % of this one and 71 % of contribution 2." in page
        assert "at 0:03 of this one" in page
    assert "at 0:03 of the other" in rosa.get(f"{LIST}/3/neighbors").text


def test_a_video_is_retired_with_the_hashes_of_its_frames(service: Service, ada: Visitor) -> None:
    alpha, beta = service.caller(name="Alpha"), service.caller(name="Beta")
    alpha.contribute(video(1, 2, 3, signals=[f"sha256:{7:064x}"]))
    beta.post("/v1/contributions/1/opinions", {"opinion": "disputes", "reason": "edsa_context"})
    assert "pdq of all frames, the first of which is" in ada.get("/console/cases/1").text
    decision = {"decision": "retire", "note": "a broadcast", "boxes": "1", "signals": ["0", "64"]}
    assert ada.post("/console/cases/1", decision).status_code == 303
    assert "signal 0 (counted from 0) and those of the frames" in ada.get("/console/cases/1").text

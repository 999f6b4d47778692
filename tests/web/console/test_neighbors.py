"""The match debugger."""

from __future__ import annotations

import html
import io
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from hashdb.domain.signals import Algorithm
from hashdb.service.later import KEY_REQUESTS
from hashdb.web.console import signals
from tests import films
from tests.builders import near, signal, signature, sparse
from tests.web.api.test_videos import frames, video
from tests.web.callers import Service, body, item
from tests.web.console.visitors import Visitor, faults, form_secret
from tests.web.pictures import form, photo
from tests.web.test_deferring import open_files_in, videos_busy

PAGE = "/console/debugger"


def upload(content: bytes, name: str) -> dict[str, Any]:
    return {"file": (io.BytesIO(content), name), "signals": ""}


def signals_field(text: str) -> str:
    """Return the content of the field for signals."""
    return html.unescape(re.findall(r'<textarea[^>]*name="signals"[^>]*>([^<]*)<', text)[0])


def verdicts(text: str) -> list[str]:
    return re.findall(r"data-verdict>([^<]*)<", text)


def test_the_debugger_shows_which_neighbors_match_at_a_radius_and_why(service: Service, otto: Visitor) -> None:
    alpha = service.caller(name="Alpha")
    alpha.contribute(
        *(item(signals=[str(near(signal(1), bits, seed))]) for bits, seed in ((8, 0), (10, 2), (40, 0))),
    )
    alpha.post("/v1/contributions/2/withdrawal", {"reason": "other"})
    page = otto.post(PAGE, {"signals": str(signal(1))})
    assert verdicts(page.text) == ["yes, by pdq", "no, withdrawn", "no, too far"]
    assert ">1</span> would match, of 3" in page.text
    assert verdicts(otto.post(PAGE, {"signals": str(signal(1)), "radius.pdq": "40"}).text)[2] == "yes, by pdq"
    assert verdicts(otto.post(PAGE, {"signals": str(signal(1)), "radius.pdq": "7"}).text)[0] == "no, too far"
    assert "Nothing is within the widest radius." in otto.post(PAGE, {"signals": str(signal(9))}).text


def test_a_sparse_hash_has_a_smaller_radius_by_default(service: Service, otto: Visitor) -> None:
    service.caller(name="Alpha").contribute(item(signals=[str(near(sparse(1), 30)), str(signal(1))]))
    page = otto.post(PAGE, {"signals": str(sparse(1))})
    assert verdicts(page.text) == ["no, too far"]
    assert ">sparse</small>" in page.text
    assert verdicts(otto.post(PAGE, {"signals": str(sparse(1)), "radius.phash256": "45"}).text) == ["yes, by phash256"]


def test_the_transform_of_a_match_is_shown(service: Service, otto: Visitor) -> None:
    service.caller(name="Alpha").contribute(item(1))
    page = otto.post(PAGE, {"signals": f"{signal(2)}\nmirror {signal(1)}"})
    assert "<small>mirror</small>" in page.text


def test_the_evidence_of_a_match_is_shown_and_the_query_stays(service: Service, otto: Visitor) -> None:
    alpha = service.caller(name="Alpha")
    alpha.contribute(item(1, signatures=[str(signature(1))]), item(signals=[str(near(signal(1), 40))]))
    text = f"{near(signal(1), 4)}\nmirror {signal(2)}\nwhole {signature(1)}"
    page = otto.post(PAGE, {"signals": text})
    assert verdicts(page.text) == ["yes, by pdq", "no, too far"]
    shown = re.sub(r"<[^>]+>", " ", page.text)
    assert re.search(r"score\s+\d+\.\d\s+agrees as whole\s+detail differs by 0 %", shown)
    assert "A score of 6 means" in shown
    assert html.unescape(page.text).count(text) == 1
    neighbors = otto.get("/console/contributions/1/neighbors").text
    assert "A score of 6 means" not in neighbors
    alpha.contribute(item(signals=[str(near(signal(1), 6))], signatures=[str(signature(1))]))
    assert "detail differs by 0 %" in otto.get("/console/contributions/1/neighbors").text


def test_a_picture_is_hashed_and_not_stored(service: Service, otto: Visitor) -> None:
    before = service.rows()
    fields = {"file": (io.BytesIO(photo()), "a.png"), "transforms": "1", "signals": ""}
    page = otto.post(PAGE, fields, content_type="multipart/form-data")
    assert page.status_code == 200
    assert re.search(r"pdq:[0-9a-f]{64}", page.text)
    assert "mirror pdq:" in page.text
    assert service.rows() == before


def test_a_pasted_video_is_matched_by_its_frames(service: Service, otto: Visitor) -> None:
    alpha = service.caller(name="Alpha")
    alpha.contribute(video(*range(100, 140)), video(*range(120, 126)), item(122), video(123, 600, 601))
    alpha.post("/v1/contributions/2/withdrawal", {"reason": "other"})
    before = service.rows()
    query = {"frames": [*frames(*range(300, 310), *range(120, 130), away=4)], "duration": 20.0}
    page = otto.post(PAGE, {"signals": json.dumps(query)})
    assert "2 would match, of 4 that are near the video" in page.text
    assert "Time line of 0:20: 20 shots, 20 can match" in page.text
    assert re.findall(r'<tr class="(?:is-far)?">\s*<td>([^<]*)</td>', page.text) == [
        "yes, by 1 segment",
        "yes, by 1 frame",
        "no, withdrawn",
        "no, too few consecutive frames match",
    ]
    assert "Two time lines, of 0:20 and 0:40, joined by 1 segment" in page.text
    assert '<td class="when">0:10–0:20</td><td class="when">0:20–0:30</td><td class="number">10 of 10</td>' in page.text
    assert '<td class="number">0:10</td><td class="when">0:20</td><td>pdq 4</td><td>none</td><td>1</td>' in page.text
    assert json.loads(signals_field(page.text)) == query
    assert service.rows() == before


def test_an_uploaded_video_is_hashed_and_not_stored(service: Service, otto: Visitor) -> None:
    alpha, clip = service.caller(name="Alpha"), films.film(seconds=4.0)
    hashed = body(alpha.post("/v1/signals", **form(clip)))["pictures"][0]
    fields = {name: hashed[name] for name in ("signals", "frames", "duration")}
    (contribution,) = alpha.contribute({**video(), **fields})
    before = service.rows()
    page = otto.post(PAGE, upload(clip, "a.mp4"), content_type="multipart/form-data")
    assert "yes, the same file by sha256</td>" in page.text
    assert f'href="/console/contributions/{contribution["id"]}"' in page.text
    assert "Two time lines, of 0:04 and 0:04, joined by 1 segment" in page.text
    second_page = otto.post(PAGE, {"signals": signals_field(page.text)})
    assert "joined by 1 segment" in second_page.text
    assert service.rows() == before


def test_a_damaged_or_slow_video_is_reported_at_its_field(
    service: Service, otto: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"content_type": "multipart/form-data"}
    damaged = films.film(seconds=4.0)[:600]
    assert set(faults(otto.post(PAGE, upload(damaged, "a.mp4"), **options))) == {"file"}
    monkeypatch.setattr(signals, "WAIT_SECONDS", 0.0)
    timeout = faults(otto.post(PAGE, upload(films.film(seconds=4.0), "a.mp4"), **options))
    assert "hash it on your machine" in timeout["file"]


def test_a_user_has_few_waiting_videos_and_their_files_are_deleted(
    service: Service, otto: Visitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In a folder without the database.
    folder = tmp_path / "videos"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setattr(signals, "WAIT_SECONDS", 0.0)
    options = {"content_type": "multipart/form-data"}
    with videos_busy(service):
        for _ in range(KEY_REQUESTS):
            assert otto.post(PAGE, upload(films.film(seconds=4.0), "a.mp4"), **options).status_code == 422
        assert otto.post(PAGE, upload(films.film(seconds=4.0), "a.mp4"), **options).status_code == 429
    deadline = time.monotonic() + 30
    while open_files_in(folder):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_large_upload_without_session_is_rejected(service: Service) -> None:
    visitor = Visitor(service)
    secret = form_secret(visitor.get("/console/sign-in"))
    assert visitor.client.post(PAGE, **form(csrf=secret, signals="x" * 600_000)).status_code == 413


def test_a_picture_can_be_pasted_as_json(service: Service, otto: Visitor) -> None:
    service.caller(name="Alpha").contribute(item(1))
    page = otto.post(PAGE, {"signals": json.dumps([{"path": "a.png", "signals": [str(signal(1))], "quality": 90}])})
    assert verdicts(page.text) == ["yes, by pdq"]


def test_the_hashes_of_a_long_video_are_accepted(otto: Visitor) -> None:
    text = json.dumps({"frames": frames(*[1] * 7_200), "duration": 7_200.0})
    assert len(text) > 500_000
    secret = form_secret(otto.get(PAGE))
    assert otto.client.post(PAGE, **form(csrf=secret, signals=text), buffered=True).status_code == 200


@pytest.mark.parametrize(
    ("fields", "invalid"),
    [
        ({}, {"signals"}),
        ({"signals": "pdq:12\nx"}, {"signals"}),
        ({"signals": "[1, 2"}, {"signals"}),
        ({"signals": str(signal(1, Algorithm.AHASH))}, {"signals"}),
        ({"signals": str(signal(1)), "radius.pdq": "63"}, {"radius.pdq"}),
        ({"signals": str(signal(1)), "radius.pdq": "wide"}, {"radius.pdq"}),
    ],
)
def test_each_invalid_field_is_reported(otto: Visitor, fields: dict[str, str], invalid: set[str]) -> None:
    assert set(faults(otto.post(PAGE, fields))) == invalid


def test_an_invalid_picture_is_reported_at_its_field(otto: Visitor) -> None:
    fields = {"file": (io.BytesIO(b"not a picture"), "a.png")}
    page = otto.post(PAGE, fields, content_type="multipart/form-data")
    assert set(faults(page)) == {"file"} and "file[" not in page.text


def test_a_get_request_searches_nothing(otto: Visitor) -> None:
    page = otto.get(f"{PAGE}?signals={signal(1)}")
    assert (page.status_code, verdicts(page.text)) == (200, [])
    assert ">pdq:" not in page.text

"""Pictures over HTTP: contributed, matched, hashed; the same signals whichever way."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from hashlib import md5, sha256
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageOps

from hashdb.domain.accounts.members import Scope
from hashdb.hashing.decoding import NO_EXTRA
from tests.films import encoded, film, pictures
from tests.hashing.samples import draw_picture
from tests.web.callers import Caller, Service, body, faults, problem, service_at
from tests.web.pictures import METADATA, form, multipart, photo

URL = "/v1/contributions/media"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One for all, for the processes that hash take their time to start."""
    with service_at(f"sqlite:///{tmp_path_factory.mktemp('media')}/hashdb.sqlite") as made:
        yield made


@pytest.fixture
def caller(service: Service) -> Caller:
    """A key of all scopes, of a member of its own."""
    return service.caller()


def _hashed(caller: Caller, octets: bytes) -> Any:
    (picture,) = body(caller.post("/v1/signals", **form(octets)))["pictures"]
    return picture


def test_pictures_are_hashed_in_order(service: Service) -> None:
    for scope in (Scope.CONTRIBUTE, Scope.MATCH):
        answer = body(service.caller(scope).post("/v1/signals", **form(photo(1), photo(2))))
        assert set(answer) == {"pictures"}
        first, second = answer["pictures"]
        assert set(first) == {"signals", "quality"}
        assert [signal.partition(":")[0] for signal in first["signals"]] == ["pdq", "phash256", "phash"]
        assert first["quality"] >= 50
        assert first["signals"] != second["signals"]
    problem(service.caller(Scope.FEED).post("/v1/signals", **form(photo())), 403, "scope-missing")


def test_each_picture_is_a_contribution_with_what_is_said_of_all(caller: Caller) -> None:
    pictures = [photo(seed) for seed in (11, 12, 13)]
    response = caller.post(URL, **form(*pictures, metadata={**METADATA, "severity": 3, "reference": "batch"}))
    assert response.status_code == 201
    answered = body(response)["contributions"]
    hashed = [_hashed(caller, picture) for picture in pictures]
    own = [{"signals": one["signals"][:3], "quality": one["quality"]} for one in answered]
    assert own == hashed
    assert [(one["severity"], one["reference"], one["known"]) for one in answered] == [(3, "batch", False)] * 3


def test_each_picture_has_what_is_said_of_it(caller: Caller) -> None:
    said = [{**METADATA, "severity": severity} for severity in (0, 4)]
    answered = body(caller.post(URL, **form(photo(21), photo(22), metadata=said)))["contributions"]
    assert [one["severity"] for one in answered] == [0, 4]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_what_is_said_must_be_for_as_many(caller: Caller, count: int) -> None:
    assert list(faults(caller.post(URL, **form(photo(1), photo(2), metadata=[METADATA] * count)))) == ["metadata"]


def test_faults_of_what_is_said_are_all_told(caller: Caller) -> None:
    said = [
        {**METADATA, "labels": ["no"], "signals": []},
        {**METADATA, "severity": 7, "removed_at": "2030-01-01T00:00:00Z"},
    ]
    told = faults(caller.post(URL, **form(photo(1), photo(2), metadata=said)))
    assert set(told) == {
        "metadata[0].labels[0]",
        "metadata[0].signals",
        "metadata[1].severity",
        "metadata[1].removed_at",
    }


def test_what_is_said_is_json_in_utf_8_once(caller: Caller) -> None:
    picture = ('name="file"; filename="a.png"', photo())
    bad = json.dumps({**METADATA, "reference": "?"}).encode().replace(b"?", b"\xff")
    for text in (b"", b"{", bad, b"NaN", b"\xef\xbb\xbf{}"):
        problem(caller.post(URL, **multipart("b", picture, ('name="metadata"', text))), 400, "malformed-request")
    twice = [('name="metadata"', json.dumps(METADATA).encode())] * 2
    assert faults(caller.post(URL, **multipart("b", picture, *twice))) == {"metadata": "is given twice"}
    assert list(faults(caller.post(URL, **form(photo())))) == ["metadata"]


def test_what_is_said_may_come_as_a_file(caller: Caller) -> None:
    text = json.dumps({**METADATA, "reference": "caf\u00e9"}, ensure_ascii=False).encode()
    sent = {"data": {"file": (io.BytesIO(photo(999)), "a.png"), "metadata": (io.BytesIO(text), "said.json")}}
    assert body(caller.post(URL, **sent))["contributions"][0]["reference"] == "caf\u00e9"


def test_a_picture_that_was_contributed_is_matched_with_its_plain_signals(service: Service, caller: Caller) -> None:
    (mine,) = body(caller.post(URL, **form(photo(41), metadata=METADATA)))["contributions"]
    other = service.caller(Scope.MATCH)
    answer = body(other.post("/v1/matches/media", **form(photo(42), photo(41))))
    nothing, found = answer["results"]
    assert (nothing["matches"], nothing["action"], found["action"]) == ([], "none", "review")
    assert found["matches"][0]["contribution"] == mine["id"]
    assert found["matches"][0]["distance"] == {"pdq": 0, "phash256": 0, "phash": 0}
    assert found["signals"] == mine["signals"][:3]
    assert len(nothing["signals"]) == 3
    assert found["id"] is None
    assert set(answer) == {"results", "checkpoint"}


def test_more_is_stored_of_what_is_worse(caller: Caller) -> None:
    said = [{**METADATA, "severity": severity} for severity in (2, 3)]
    answered = body(caller.post(URL, **form(photo(45), photo(46), metadata=said)))["contributions"]
    balanced, thorough = (len(one["signals"]) for one in answered)
    assert 3 < balanced < thorough <= 64


@pytest.mark.parametrize("profile", ["plain", "balanced", "thorough"])
def test_the_profile_may_be_named(caller: Caller, profile: str) -> None:
    (one,) = body(caller.post(f"{URL}?profile={profile}", **form(photo(47), metadata=METADATA)))["contributions"]
    assert {"plain": 3, "balanced": 26, "thorough": 60}[profile] - 3 <= len(one["signals"]) <= 64
    assert all(signal.startswith("phash256:") for signal in one["signals"][3:])


def test_another_profile_is_another_request(caller: Caller) -> None:
    headers = {"Idempotency-Key": "profile"}
    first = body(caller.post(f"{URL}?profile=plain", headers=headers, **form(photo(48), metadata=METADATA)))
    assert body(caller.post(f"{URL}?profile=plain", headers=headers, **form(photo(48), metadata=METADATA))) == first
    problem(caller.post(URL, headers=headers, **form(photo(48), metadata=METADATA)), 409, "idempotency-key-reused")


def test_an_unknown_profile_is_refused(caller: Caller) -> None:
    assert list(faults(caller.post(f"{URL}?profile=best", **form(photo(1), metadata=METADATA)))) == ["profile"]
    assert list(faults(caller.post("/v1/matches/media?transforms=2", **form(photo(1))))) == ["transforms"]


def _mirrored(octets: bytes) -> bytes:
    out = io.BytesIO()
    ImageOps.mirror(Image.open(io.BytesIO(octets)).convert("RGB")).save(out, "PNG")
    return out.getvalue()


def _captioned(octets: bytes) -> bytes:
    picture, out = Image.open(io.BytesIO(octets)).convert("RGB"), io.BytesIO()
    wider = ImageOps.expand(picture, (0, picture.height // 4, 0, 0), "white")
    ImageDraw.Draw(wider).text((10, 10), "what somebody wrote above it", fill="black")
    wider.save(out, "JPEG", quality=60)
    return out.getvalue()


def test_a_copy_under_a_caption_is_told_with_a_score_and_what_speaks_for_it(service: Service, caller: Caller) -> None:
    (mine,) = body(caller.post(URL, **form(photo(60), metadata=METADATA)))["contributions"]
    assert [text.partition(":")[0] for text in mine["signatures"]] == ["detail", "colour"]
    assert body(caller.get(f"/v1/contributions/{mine['id']}"))["signatures"] == mine["signatures"]
    other = service.caller(Scope.MATCH)
    (result,) = body(other.post("/v1/matches/media?transforms=1", **form(_captioned(photo(60)))))["results"]
    assert "signatures" not in body(other.get(f"/v1/contributions/{mine['id']}"))
    (match,) = result["matches"]
    assert "caption" in match["evidence"]["views"]
    assert match["evidence"]["detail"] < 0.1
    assert match["evidence"]["colour"] < 10
    assert match["score"] > 5


def test_the_hashes_of_a_query_may_be_asked_for(service: Service, caller: Caller) -> None:
    (mine,) = body(caller.post(URL, **form(photo(61), metadata=METADATA)))["contributions"]
    (hashed,) = body(caller.post("/v1/signals?transforms=1", **form(_mirrored(photo(61)))))["pictures"]
    assert {"whole", "mirror"} <= set(hashed["signatures"]) <= {"whole", *hashed["transforms"]}
    asked = {name: hashed[name] for name in ("signals", "transforms", "signatures")}
    (result,) = body(service.caller(Scope.MATCH).post("/v1/matches", {"queries": [asked]}))["results"]
    (match,) = result["matches"]
    assert (match["contribution"], match["transform"]) == (mine["id"], "mirror")
    assert "mirror" in match["evidence"]["views"]
    assert match["evidence"]["detail"] < 0.1


def test_a_mirrored_copy_is_found_through_a_transform_that_is_named(service: Service, caller: Caller) -> None:
    (mine,) = body(caller.post(URL, **form(photo(43), metadata=METADATA)))["contributions"]
    other = service.caller(Scope.MATCH)
    copy = _mirrored(photo(43))
    assert body(other.post("/v1/matches/media", **form(copy)))["results"][0]["matches"] == []
    (result,) = body(other.post("/v1/matches/media?transforms=1", **form(copy)))["results"]
    (match,) = result["matches"]
    assert (match["contribution"], match["transform"]) == (mine["id"], "mirror")
    assert match["distance"]["phash256"] == 0
    assert len(result["signals"]) == 3
    assert result["signals"] != mine["signals"][:3]


def test_what_is_close_as_it_is_names_no_transform(service: Service, caller: Caller) -> None:
    caller.post(URL, **form(photo(44), metadata=METADATA))
    answer = body(service.caller(Scope.MATCH).post("/v1/matches/media?transforms=1", **form(photo(44))))
    (match,) = answer["results"][0]["matches"]
    assert "transform" not in match


def test_the_same_pictures_are_the_same_request_whatever_the_boundary(service: Service, caller: Caller) -> None:
    parts = [('name="file"; filename="a.png"', photo(51)), ('name="metadata"', json.dumps(METADATA).encode())]
    headers = {"Idempotency-Key": "k"}
    first = body(caller.post(URL, headers=headers, **multipart("one", *parts)))
    rows = service.rows()
    assert body(caller.post(URL, headers=headers, **multipart("another", *parts))) == first
    other = [('name="file"; filename="a.png"', photo(52)), parts[1]]
    problem(caller.post(URL, headers=headers, **multipart("one", *other)), 409, "idempotency-key-reused")
    said = [parts[0], ('name="metadata"', json.dumps({**METADATA, "severity": 1}).encode())]
    problem(caller.post(URL, headers=headers, **multipart("one", *said)), 409, "idempotency-key-reused")
    hashes = {"contributions": [{**METADATA, "signals": ["phash:d1c4b2a09f8e7d6c"]}]}
    problem(caller.post("/v1/contributions", hashes, headers=headers), 409, "idempotency-key-reused")
    assert service.rows() == rows


def test_only_the_algorithms_in_force_are_computed() -> None:
    with service_at(None, algorithms="dhash") as service:
        picture = _hashed(service.caller(), photo())
    assert [signal.partition(":")[0] for signal in picture["signals"]] == ["dhash"]
    assert picture["quality"] is None


def test_a_request_mixes_pictures_and_videos_in_order(caller: Caller) -> None:
    answer = body(caller.post("/v1/signals", **form(photo(1), film(), photo(2))))
    first, video, second = answer["pictures"]
    assert [first, second] == [_hashed(caller, photo(1)), _hashed(caller, photo(2))]
    assert set(video) == {"signals", "quality", "duration", "frames"}
    assert video["signals"] == [f"sha256:{sha256(film()).hexdigest()}", f"md5:{md5(film()).hexdigest()}"]
    assert (video["quality"], video["duration"]) == (None, pytest.approx(6.0, abs=0.2))
    times = [frame["at"] for frame in video["frames"]]
    assert times == sorted(times) and len(times) >= 6
    assert all(frame["signals"][0].startswith("pdq:") for frame in video["frames"])


def test_a_video_is_contributed_and_a_clip_of_it_is_found_with_its_seconds(service: Service, caller: Caller) -> None:
    response = caller.post(URL, **form(film(5, 12.0), photo(999), metadata=METADATA))
    assert response.status_code == 201
    video, picture = body(response)["contributions"]
    assert (video["media"], video["quality"], video["duration"]) == ("video", None, pytest.approx(12.0, abs=0.2))
    assert [signal.partition(":")[0] for signal in video["signals"]] == ["sha256", "md5"]
    assert video["frame_count"] == len(body(caller.get(f"/v1/contributions/{video['id']}/frames"))["frames"]) >= 12
    assert (picture["media"], "frame_count" in picture) == ("image", False)
    clip = encoded(pictures(5, 12.0)[30:90])
    results = body(service.caller().post("/v1/matches/media", **form(photo(999), clip)))["results"]
    found = [[match["contribution"] for match in result["matches"]] for result in results]
    assert picture["id"] in found[0] and found[1][0] == video["id"]
    assert results[1]["signals"] == [f"sha256:{sha256(clip).hexdigest()}", f"md5:{md5(clip).hexdigest()}"]
    (segment, *_) = results[1]["matches"][0]["segments"]
    assert segment["listed"] == pytest.approx([3.0, 9.0], abs=1.0)
    assert segment["query"] == pytest.approx([0.0, 6.0], abs=1.0)


def test_the_same_video_is_known_and_found_by_its_digest(service: Service, caller: Caller) -> None:
    for known in (False, True):
        (made,) = body(caller.post(URL, **form(film(6), metadata=METADATA)))["contributions"]
        assert made["known"] is known
    (result,) = body(service.caller().post("/v1/matches/media", **form(film(6))))["results"]
    assert result["matches"][0]["digest"] == "sha256"


def test_what_is_said_of_the_medium_is_kept_unless_it_is_the_default(caller: Caller) -> None:
    (made,) = body(caller.post(URL, **form(film(7), metadata={**METADATA, "media": "document"})))["contributions"]
    assert made["media"] == "document"


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_several_frames_are_a_video_and_one_is_a_picture(caller: Caller, format: str) -> None:
    shown = [draw_picture(seed=seed) for seed in (1, 2, 3)]
    still, moving = io.BytesIO(), io.BytesIO()
    shown[0].save(still, format)
    shown[0].save(moving, format, save_all=True, append_images=shown[1:], duration=1_000)
    picture, video = body(caller.post("/v1/signals", **form(still.getvalue(), moving.getvalue())))["pictures"]
    assert "frames" not in picture and picture["quality"] >= 50
    assert (len(video["frames"]), video["duration"]) == (3, 3.0)


def test_a_damaged_video_is_taken_as_far_as_it_is_read_and_says_so(caller: Caller) -> None:
    shown, file = [draw_picture(seed=seed) for seed in range(4)], io.BytesIO()
    shown[0].save(file, "GIF", save_all=True, append_images=shown[1:], duration=1_000)
    cut = file.getvalue()[: len(file.getvalue()) * 5 // 8]
    (video,) = body(caller.post("/v1/signals", **form(cut)))["pictures"]
    assert 2 <= len(video["frames"]) < 4
    assert video["incomplete"].startswith("the video is damaged: only the first")
    (made,) = body(caller.post(URL, **form(cut, metadata=METADATA)))["contributions"]
    (result,) = body(caller.post("/v1/matches/media", **form(cut)))["results"]
    assert made["incomplete"] == result["incomplete"] == video["incomplete"]
    assert "incomplete" not in body(caller.get(f"/v1/contributions/{made['id']}"))


@pytest.mark.parametrize("url", ["/v1/signals", "/v1/matches/media", URL])
def test_without_the_extra_a_video_is_refused_with_what_to_install(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "av.py").write_text("raise ImportError('not installed')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(Service, "hashers", None)
    with service_at(f"sqlite:///{tmp_path}/hashdb.sqlite") as service:
        answer = service.caller().post(url, **form(film(), metadata=METADATA if url == URL else None))
        assert NO_EXTRA in problem(answer, 415, "unreadable-picture")["detail"]


def test_a_video_that_was_sent_before_with_the_same_idempotency_key_is_answered_the_same(caller: Caller) -> None:
    headers = {"Idempotency-Key": "one"}
    first, again = (caller.post(URL, **form(film(9), metadata=METADATA), headers=headers) for _ in range(2))
    assert body(first) == body(again)
    problem(caller.post(URL, **form(film(10), metadata=METADATA), headers=headers), 409, "idempotency-key-reused")

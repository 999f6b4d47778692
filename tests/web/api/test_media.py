"""Pictures and videos over HTTP: hashed, contributed and matched, with the same signals on every route."""

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
    """One service for all tests: hashing processes are slow to start."""
    with service_at(f"sqlite:///{tmp_path_factory.mktemp('media')}/hashdb.sqlite") as service:
        yield service


@pytest.fixture
def caller(service: Service) -> Caller:
    """A caller with all scopes, of a new member."""
    return service.caller()


def _hashed(caller: Caller, octets: bytes) -> Any:
    """The hashes of a file, as the service returns them."""
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


def test_metadata_of_a_form_applies_to_all_its_pictures(caller: Caller) -> None:
    pictures = [photo(seed) for seed in (11, 12, 13)]
    response = caller.post(URL, **form(*pictures, metadata={**METADATA, "severity": 3, "reference": "batch"}))
    assert response.status_code == 201
    contributions = body(response)["contributions"]
    hashed = [_hashed(caller, picture) for picture in pictures]
    plain = [{"signals": each["signals"][:3], "quality": each["quality"]} for each in contributions]
    assert plain == hashed
    assert [(each["severity"], each["reference"], each["known"]) for each in contributions] == [(3, "batch", False)] * 3


def test_a_list_of_metadata_applies_to_each_picture_in_order(caller: Caller) -> None:
    metadata = [{**METADATA, "severity": severity} for severity in (0, 4)]
    contributions = body(caller.post(URL, **form(photo(21), photo(22), metadata=metadata)))["contributions"]
    assert [each["severity"] for each in contributions] == [0, 4]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_list_of_metadata_must_have_an_entry_for_each_file(caller: Caller, count: int) -> None:
    assert list(faults(caller.post(URL, **form(photo(1), photo(2), metadata=[METADATA] * count)))) == ["metadata"]


def test_all_faults_of_metadata_are_reported(caller: Caller) -> None:
    metadata = [
        {**METADATA, "labels": ["no"], "signals": []},
        {**METADATA, "severity": 7, "removed_at": "2030-01-01T00:00:00Z"},
    ]
    rejected = faults(caller.post(URL, **form(photo(1), photo(2), metadata=metadata)))
    assert set(rejected) == {
        "metadata[0].labels[0]",
        "metadata[0].signals",
        "metadata[1].severity",
        "metadata[1].removed_at",
    }


def test_metadata_must_be_one_json_field_in_utf_8(caller: Caller) -> None:
    picture = ('name="file"; filename="a.png"', photo())
    bad = json.dumps({**METADATA, "reference": "?"}).encode().replace(b"?", b"\xff")
    for text in (b"", b"{", bad, b"NaN", b"\xef\xbb\xbf{}"):
        problem(caller.post(URL, **multipart("b", picture, ('name="metadata"', text))), 400, "malformed-request")
    twice = [('name="metadata"', json.dumps(METADATA).encode())] * 2
    assert faults(caller.post(URL, **multipart("b", picture, *twice))) == {"metadata": "appears more than once"}
    assert list(faults(caller.post(URL, **form(photo())))) == ["metadata"]


def test_metadata_can_be_sent_as_a_file(caller: Caller) -> None:
    text = json.dumps({**METADATA, "reference": "caf\u00e9"}, ensure_ascii=False).encode()
    arguments = {"data": {"file": (io.BytesIO(photo(999)), "a.png"), "metadata": (io.BytesIO(text), "metadata.json")}}
    assert body(caller.post(URL, **arguments))["contributions"][0]["reference"] == "caf\u00e9"


def test_a_contributed_picture_is_matched_with_its_plain_signals(service: Service, caller: Caller) -> None:
    (contribution,) = body(caller.post(URL, **form(photo(41), metadata=METADATA)))["contributions"]
    other = service.caller(Scope.MATCH)
    answer = body(other.post("/v1/matches/media", **form(photo(42), photo(41))))
    unmatched, matched = answer["results"]
    assert (unmatched["matches"], unmatched["action"], matched["action"]) == ([], "none", "review")
    assert matched["matches"][0]["contribution"] == contribution["id"]
    assert matched["matches"][0]["distance"] == {"pdq": 0, "phash256": 0, "phash": 0}
    assert matched["signals"] == contribution["signals"][:3]
    assert len(unmatched["signals"]) == 3
    assert matched["id"] is None
    assert set(answer) == {"results", "checkpoint"}


def test_a_higher_severity_stores_more_variants(caller: Caller) -> None:
    metadata = [{**METADATA, "severity": severity} for severity in (2, 3)]
    contributions = body(caller.post(URL, **form(photo(45), photo(46), metadata=metadata)))["contributions"]
    balanced, thorough = (len(each["signals"]) for each in contributions)
    assert 3 < balanced < thorough <= 64


@pytest.mark.parametrize("profile", ["plain", "balanced", "thorough"])
def test_a_request_can_choose_the_profile(caller: Caller, profile: str) -> None:
    (contribution,) = body(caller.post(f"{URL}?profile={profile}", **form(photo(47), metadata=METADATA)))[
        "contributions"
    ]
    assert {"plain": 3, "balanced": 26, "thorough": 60}[profile] - 3 <= len(contribution["signals"]) <= 64
    assert all(signal.startswith("phash256:") for signal in contribution["signals"][3:])


def test_an_idempotency_key_cannot_be_reused_with_another_profile(caller: Caller) -> None:
    headers = {"Idempotency-Key": "profile"}
    first = body(caller.post(f"{URL}?profile=plain", headers=headers, **form(photo(48), metadata=METADATA)))
    assert body(caller.post(f"{URL}?profile=plain", headers=headers, **form(photo(48), metadata=METADATA))) == first
    problem(caller.post(URL, headers=headers, **form(photo(48), metadata=METADATA)), 409, "idempotency-key-reused")


def test_invalid_parameters_of_picture_routes_are_rejected(caller: Caller) -> None:
    assert list(faults(caller.post(f"{URL}?profile=best", **form(photo(1), metadata=METADATA)))) == ["profile"]
    assert list(faults(caller.post("/v1/matches/media?transforms=2", **form(photo(1))))) == ["transforms"]


def _mirrored(octets: bytes) -> bytes:
    out = io.BytesIO()
    ImageOps.mirror(Image.open(io.BytesIO(octets)).convert("RGB")).save(out, "PNG")
    return out.getvalue()


def _captioned(octets: bytes) -> bytes:
    picture, out = Image.open(io.BytesIO(octets)).convert("RGB"), io.BytesIO()
    wider = ImageOps.expand(picture, (0, picture.height // 4, 0, 0), "white")
    ImageDraw.Draw(wider).text((10, 10), "a caption above the picture", fill="black")
    wider.save(out, "JPEG", quality=60)
    return out.getvalue()


def test_a_copy_under_a_caption_matches_with_score_and_evidence(service: Service, caller: Caller) -> None:
    (contribution,) = body(caller.post(URL, **form(photo(60), metadata=METADATA)))["contributions"]
    assert [text.partition(":")[0] for text in contribution["signatures"]] == ["detail", "colour"]
    assert body(caller.get(f"/v1/contributions/{contribution['id']}"))["signatures"] == contribution["signatures"]
    other = service.caller(Scope.MATCH)
    (result,) = body(other.post("/v1/matches/media?transforms=1", **form(_captioned(photo(60)))))["results"]
    assert "signatures" not in body(other.get(f"/v1/contributions/{contribution['id']}"))
    (match,) = result["matches"]
    assert "caption" in match["evidence"]["views"]
    assert match["evidence"]["detail"] < 0.1
    assert match["evidence"]["colour"] < 10
    assert match["score"] > 5


def test_the_hashes_of_a_picture_can_be_matched_later(service: Service, caller: Caller) -> None:
    (contribution,) = body(caller.post(URL, **form(photo(61), metadata=METADATA)))["contributions"]
    (hashed,) = body(caller.post("/v1/signals?transforms=1", **form(_mirrored(photo(61)))))["pictures"]
    assert {"whole", "mirror"} <= set(hashed["signatures"]) <= {"whole", *hashed["transforms"]}
    query = {name: hashed[name] for name in ("signals", "transforms", "signatures")}
    (result,) = body(service.caller(Scope.MATCH).post("/v1/matches", {"queries": [query]}))["results"]
    (match,) = result["matches"]
    assert (match["contribution"], match["transform"]) == (contribution["id"], "mirror")
    assert "mirror" in match["evidence"]["views"]
    assert match["evidence"]["detail"] < 0.1


def test_a_mirrored_copy_is_found_by_a_transform(service: Service, caller: Caller) -> None:
    (contribution,) = body(caller.post(URL, **form(photo(43), metadata=METADATA)))["contributions"]
    other = service.caller(Scope.MATCH)
    copy = _mirrored(photo(43))
    assert body(other.post("/v1/matches/media", **form(copy)))["results"][0]["matches"] == []
    (result,) = body(other.post("/v1/matches/media?transforms=1", **form(copy)))["results"]
    (match,) = result["matches"]
    assert (match["contribution"], match["transform"]) == (contribution["id"], "mirror")
    assert match["distance"]["phash256"] == 0
    assert len(result["signals"]) == 3
    assert result["signals"] != contribution["signals"][:3]


def test_a_match_of_the_picture_itself_names_no_transform(service: Service, caller: Caller) -> None:
    caller.post(URL, **form(photo(44), metadata=METADATA))
    answer = body(service.caller(Scope.MATCH).post("/v1/matches/media?transforms=1", **form(photo(44))))
    (match,) = answer["results"][0]["matches"]
    assert "transform" not in match


def test_a_repeated_form_with_another_boundary_gets_the_same_answer(service: Service, caller: Caller) -> None:
    parts = [('name="file"; filename="a.png"', photo(51)), ('name="metadata"', json.dumps(METADATA).encode())]
    headers = {"Idempotency-Key": "k"}
    first = body(caller.post(URL, headers=headers, **multipart("one", *parts)))
    rows = service.rows()
    assert body(caller.post(URL, headers=headers, **multipart("another", *parts))) == first
    other = [('name="file"; filename="a.png"', photo(52)), parts[1]]
    problem(caller.post(URL, headers=headers, **multipart("one", *other)), 409, "idempotency-key-reused")
    changed = [parts[0], ('name="metadata"', json.dumps({**METADATA, "severity": 1}).encode())]
    problem(caller.post(URL, headers=headers, **multipart("one", *changed)), 409, "idempotency-key-reused")
    hashes = {"contributions": [{**METADATA, "signals": ["phash:d1c4b2a09f8e7d6c"]}]}
    problem(caller.post("/v1/contributions", hashes, headers=headers), 409, "idempotency-key-reused")
    assert service.rows() == rows


def test_only_the_configured_algorithms_are_computed() -> None:
    with service_at(None, algorithms="dhash") as service:
        picture = _hashed(service.caller(), photo())
    assert [signal.partition(":")[0] for signal in picture["signals"]] == ["dhash"]
    assert picture["quality"] is None


def test_pictures_and_videos_of_a_form_are_hashed_in_order(caller: Caller) -> None:
    answer = body(caller.post("/v1/signals", **form(photo(1), film(), photo(2))))
    first, video, second = answer["pictures"]
    assert [first, second] == [_hashed(caller, photo(1)), _hashed(caller, photo(2))]
    assert set(video) == {"signals", "quality", "duration", "frames"}
    assert video["signals"] == [f"sha256:{sha256(film()).hexdigest()}", f"md5:{md5(film()).hexdigest()}"]
    assert (video["quality"], video["duration"]) == (None, pytest.approx(6.0, abs=0.2))
    times = [frame["at"] for frame in video["frames"]]
    assert times == sorted(times) and len(times) >= 6
    assert all(frame["signals"][0].startswith("pdq:") for frame in video["frames"])


def test_a_clip_of_a_contributed_video_is_found_with_its_seconds(service: Service, caller: Caller) -> None:
    response = caller.post(URL, **form(film(5, 12.0), photo(999), metadata=METADATA))
    assert response.status_code == 201
    video, picture = body(response)["contributions"]
    assert (video["media"], video["quality"], video["duration"]) == ("video", None, pytest.approx(12.0, abs=0.2))
    assert [signal.partition(":")[0] for signal in video["signals"]] == ["sha256", "md5"]
    assert video["frame_count"] == len(body(caller.get(f"/v1/contributions/{video['id']}/frames"))["frames"]) >= 12
    assert (picture["media"], "frame_count" in picture) == ("image", False)
    clip = encoded(pictures(5, 12.0)[30:90])
    results = body(service.caller().post("/v1/matches/media", **form(photo(999), clip)))["results"]
    matches = [[match["contribution"] for match in result["matches"]] for result in results]
    assert picture["id"] in matches[0] and matches[1][0] == video["id"]
    assert results[1]["signals"] == [f"sha256:{sha256(clip).hexdigest()}", f"md5:{md5(clip).hexdigest()}"]
    (segment, *_) = results[1]["matches"][0]["segments"]
    assert segment["listed"] == pytest.approx([3.0, 9.0], abs=1.0)
    assert segment["query"] == pytest.approx([0.0, 6.0], abs=1.0)


def test_the_same_video_is_known_and_found_by_its_digest(service: Service, caller: Caller) -> None:
    for known in (False, True):
        (contribution,) = body(caller.post(URL, **form(film(6), metadata=METADATA)))["contributions"]
        assert contribution["known"] is known
    (result,) = body(service.caller().post("/v1/matches/media", **form(film(6))))["results"]
    assert result["matches"][0]["digest"] == "sha256"


def test_the_media_type_in_the_metadata_is_kept(caller: Caller) -> None:
    (contribution,) = body(caller.post(URL, **form(film(7), metadata={**METADATA, "media": "document"})))[
        "contributions"
    ]
    assert contribution["media"] == "document"


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_an_animation_is_hashed_as_a_video_and_a_still_as_a_picture(caller: Caller, format: str) -> None:
    frames = [draw_picture(seed=seed) for seed in (1, 2, 3)]
    still, moving = io.BytesIO(), io.BytesIO()
    frames[0].save(still, format)
    frames[0].save(moving, format, save_all=True, append_images=frames[1:], duration=1_000)
    picture, video = body(caller.post("/v1/signals", **form(still.getvalue(), moving.getvalue())))["pictures"]
    assert "frames" not in picture and picture["quality"] >= 50
    assert (len(video["frames"]), video["duration"]) == (3, 3.0)


def test_a_damaged_video_is_hashed_in_part_and_marked_incomplete(caller: Caller) -> None:
    frames, file = [draw_picture(seed=seed) for seed in range(4)], io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=1_000)
    truncated = file.getvalue()[: len(file.getvalue()) * 5 // 8]
    (video,) = body(caller.post("/v1/signals", **form(truncated)))["pictures"]
    assert 2 <= len(video["frames"]) < 4
    assert video["incomplete"].startswith("the video is damaged: only the first")
    (contribution,) = body(caller.post(URL, **form(truncated, metadata=METADATA)))["contributions"]
    (result,) = body(caller.post("/v1/matches/media", **form(truncated)))["results"]
    assert contribution["incomplete"] == result["incomplete"] == video["incomplete"]
    assert "incomplete" not in body(caller.get(f"/v1/contributions/{contribution['id']}"))


@pytest.mark.parametrize("url", ["/v1/signals", "/v1/matches/media", URL])
def test_without_the_extra_a_video_is_rejected_with_what_to_install(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "av.py").write_text("raise ImportError('not installed')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(Service, "hashers", None)
    with service_at(f"sqlite:///{tmp_path}/hashdb.sqlite") as service:
        answer = service.caller().post(url, **form(film(), metadata=METADATA if url == URL else None))
        assert NO_EXTRA in problem(answer, 415, "unreadable-picture")["detail"]


def test_a_repeated_video_request_gets_the_same_answer(caller: Caller) -> None:
    headers = {"Idempotency-Key": "one"}
    first, repeated = (caller.post(URL, **form(film(9), metadata=METADATA), headers=headers) for _ in range(2))
    assert body(first) == body(repeated)
    problem(caller.post(URL, **form(film(10), metadata=METADATA), headers=headers), 409, "idempotency-key-reused")

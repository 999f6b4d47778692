"""Videos and digests: frames in drafts and queries, segments in answers."""

from __future__ import annotations

from typing import Any

import pytest

from hashdb.domain.accounts.members import Scope
from tests.builders import near, signal
from tests.web.callers import Caller, Service, body, faults, item, pdq

URL = "/v1/matches"
DIGEST = f"sha256:{7:064x}"


def frames(*seeds: int, start: float = 0.0, step: float = 1.0, away: int = 0) -> list[dict[str, Any]]:
    """A frame for each seed, `step` seconds apart, with a signal `away` bits from that of the seed."""
    return [
        {"at": start + place * step, "signals": [str(near(signal(seed), away))], "quality": 90}
        for place, seed in enumerate(seeds)
    ]


def video(*seeds: int, **fields: Any) -> dict[str, Any]:
    """A draft of a video with a frame for each seed, a second apart."""
    shown = frames(*seeds)
    return {**item(signals=[]), "media": "video", "frames": shown, "duration": float(len(shown)), **fields}


def test_a_clip_inside_an_upload_is_found_with_its_seconds(platform: Caller, other: Caller) -> None:
    (contribution,) = platform.contribute(video(*range(100, 160)))
    upload = frames(*range(500, 520), *range(130, 140), *range(600, 620), away=4)
    (result,) = body(other.post(URL, {"queries": [{"signals": [], "frames": upload, "duration": 50.0}]}))["results"]
    (match,) = result["matches"]
    assert match["contribution"] == contribution["id"]
    (segment,) = match["segments"]
    assert segment["query"] == [20.0, 30.0]
    assert segment["listed"] == pytest.approx([30.0, 40.0], abs=0.05)
    assert segment["speed"] == 1.0
    assert (segment["frames"], segment["possible"], segment["distance"]) == (10, 10, 4)
    assert match["covered"] == pytest.approx({"query": 0.2, "listed": 1 / 6}, abs=0.01)
    assert match["agree"] == ["pdq"] and match["distance"] == {"pdq": 4}
    assert (result["members"], result["action"]) == (1, "review")


def test_a_key_that_hides_distances_gets_seconds_without_distance(
    service: Service, platform: Caller, other: Caller
) -> None:
    film, picture = platform.contribute(video(*range(100, 160)), item(131))
    hidden = service.key(other.member, Scope.MATCH, hides_distances=True)
    query = {"signals": [], "frames": frames(*range(130, 140), away=4), "duration": 10.0}
    (result,) = body(hidden.post(URL, {"queries": [query]}))["results"]
    matches = {match["contribution"]: match for match in result["matches"]}
    assert [segment["distance"] for segment in matches[film["id"]]["segments"]] == [None]
    assert matches[picture["id"]]["frames"] == [{"at": 1.0, "distance": {"pdq": None}}]
    assert [match["distance"] for match in matches.values()] == [{"pdq": None}] * 2


def test_a_picture_is_found_at_its_time_in_a_listed_video(platform: Caller, other: Caller) -> None:
    (contribution,) = platform.contribute(video(*range(100, 160)))
    (result,) = body(other.post(URL, {"queries": [{"signals": [pdq(149)]}]}))["results"]
    (match,) = result["matches"]
    assert (match["contribution"], match["at"]) == (contribution["id"], [49.0])
    assert "segments" not in match


def test_a_video_is_found_by_a_frame_that_matches_a_listed_picture(platform: Caller, other: Caller) -> None:
    (contribution,) = platform.contribute(item(131))
    upload = frames(*range(100, 160))
    (result,) = body(other.post(URL, {"queries": [{"signals": [], "frames": upload, "duration": 60.0}]}))["results"]
    (match,) = result["matches"]
    assert match["contribution"] == contribution["id"]
    assert match["frames"] == [{"at": 31.0, "distance": {"pdq": 0}}]
    assert "segments" not in match


def test_a_digest_alone_matches_and_the_strongest_one_is_named(platform: Caller, other: Caller) -> None:
    digests = [f"md5:{5:032x}", DIGEST]
    (contribution,) = platform.contribute({**item(signals=digests), "media": "video"})
    (result,) = body(other.post(URL, {"queries": [{"signals": digests}]}))["results"]
    (match,) = result["matches"]
    assert (match["contribution"], match["digest"], match["distance"], match["agree"]) == (
        contribution["id"],
        "sha256",
        {},
        [],
    )
    near_digest = f"sha256:{6:064x}"
    assert other.matched(near_digest) == []


def test_the_faults_of_frames_are_named(platform: Caller) -> None:
    draft = video(1, 2, 3)
    draft["frames"][1]["at"] = 0.0
    draft["frames"][2]["at"] = 9.0
    rejected = platform.post("/v1/contributions", {"contributions": [draft]})
    assert set(faults(rejected)) == {"contributions[0].frames[1].at", "contributions[0].frames[2].at"}


def test_frames_below_quality_50_are_stored_but_not_matched(platform: Caller, other: Caller) -> None:
    draft = video(1, 2, 3, 4)
    for frame in draft["frames"][:3]:
        frame["quality"] = 20
    (contribution,) = platform.contribute(draft)
    assert contribution["frame_count"] == 4
    assert other.matched(pdq(1)) == []
    assert other.matched(pdq(4)) == [contribution["id"]]


def test_frames_are_listed_page_by_page(platform: Caller, other: Caller) -> None:
    (contribution,) = platform.contribute(video(1, 2, 3))
    url = f"/v1/contributions/{contribution['id']}/frames"
    first = body(platform.get(f"{url}?limit=2"))
    assert first == {
        "frames": [{"at": float(i), "quality": 90, "signals": [str(signal(i + 1))]} for i in range(2)],
        "next": 2,
    }
    assert body(platform.get(f"{url}?limit=2&after=2"))["next"] is None
    assert contribution["duration"] == 3.0 and "frames" not in contribution


def test_near_duplicate_frames_are_one_shot_and_all_are_stored(platform: Caller, other: Caller) -> None:
    close = [str(near(signal(1), bits, bits)) for bits in (0, 2, 4)]
    still = [{"at": float(i), "signals": [text], "quality": 90} for i, text in enumerate(close)]
    (contribution,) = platform.contribute({**video(1, 2, 3), "frames": still})
    listed = body(platform.get(f"/v1/contributions/{contribution['id']}/frames"))["frames"]
    assert [frame["signals"] for frame in listed] == [[text] for text in close]
    (result,) = body(other.post(URL, {"queries": [{"signals": [close[2]]}]}))["results"]
    assert result["matches"][0]["at"] == [0.0]


def test_the_feed_has_the_frames_of_a_video(platform: Caller) -> None:
    (contribution,) = platform.contribute(video(1, 2, 3))
    (change,) = body(platform.get("/v1/changes"))["changes"]
    assert [frame["at"] for frame in change["contribution"]["frames"]] == [0.0, 1.0, 2.0]
    assert change["contribution"]["id"] == contribution["id"]


def test_an_erased_video_has_no_frames(platform: Caller, admin: Caller) -> None:
    (contribution,) = platform.contribute(video(1, 2, 3))
    assert admin.delete(f"/v1/contributions/{contribution['id']}/content?now=1").status_code == 204
    assert body(platform.get(f"/v1/contributions/{contribution['id']}/frames"))["frames"] == []

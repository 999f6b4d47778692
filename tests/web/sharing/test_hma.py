"""The REST API of HMA, as its clients call it."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Any

import pytest
from PIL import Image
from werkzeug.test import TestResponse

from hashdb.domain.accounts.members import Scope
from hashdb.domain.matching.testing import TEST_SIGNALS
from hashdb.domain.signals import Algorithm
from hashdb.hashing import hash_picture
from hashdb.service.stats import counts
from hashdb.web import deferring
from tests.builders import near, signal
from tests.films import encoded, film, pictures
from tests.hashing.processes import worker_processes
from tests.web.api.test_videos import frames
from tests.web.callers import Caller, Service, body, item, pdq, service_at
from tests.web.pictures import NOT_A_PICTURE, flat, multipart, photo
from tests.web.sharing.served import digits
from tests.web.test_hostile import HOSTILE, REJECTION_STATUSES
from tests.web.test_logs import log_output

__all__ = ["log_output"]

PDQ = {"signal_type": "pdq"}


def message(response: TestResponse, status: int) -> str:
    """Check the status of an error in HMA's form, and return its message."""
    assert response.status_code == status, response.text
    assert response.mimetype == "application/json"
    return str(json.loads(response.data)["message"])


def upload(octets: bytes, name: str = "photo", **fields: str) -> dict[str, Any]:
    parts = [(f'name="{name}"; filename="a.png"', octets)]
    return multipart("5d0a", *parts, *((f'name="{field}"', text.encode()) for field, text in fields.items()))


def look_up(caller: Caller, value: str, **parameters: Any) -> Any:
    return body(caller.get("/hma/m/lookup", query_string={"signal": digits(value), **PDQ, **parameters}))


def test_a_lookup_returns_matches_by_bank_with_distances_as_strings(platform: Caller, other: Caller) -> None:
    (own,), (others,) = platform.contribute(item(1)), other.contribute(item(1, signals=[str(near(signal(1), 4))]))
    expected = {
        "PLATFORM": [{"bank_content_id": own["id"], "distance": "0"}],
        "OTHER": [{"bank_content_id": others["id"], "distance": "4"}],
    }
    assert look_up(platform, pdq(1)) == expected
    assert look_up(platform, pdq(1).upper().replace("PDQ", "pdq"), seed="x", bypass_coinflip="true") == expected
    assert look_up(platform, pdq(1), banks="OTHER,NONE") == {"OTHER": expected["OTHER"]}
    assert look_up(platform, pdq(99)) == {}


def test_a_raw_lookup_returns_ids_or_objects_with_distances(platform: Caller) -> None:
    near_signal = str(near(signal(1), 6))
    first, second = platform.contribute(item(1), item(2, signals=[near_signal]))
    query: dict[str, Any] = {"signal": digits(pdq(1)), **PDQ}
    address = "/hma/m/raw_lookup"
    assert body(platform.get(address, query_string=query)) == {"matches": [first["id"], second["id"]]}
    assert body(platform.get(address, query_string={**query, "include_distance": "true"})) == {
        "matches": [
            {"bank_content_id": first["id"], "distance": "0"},
            {"bank_content_id": second["id"], "distance": "6"},
        ]
    }
    assert body(platform.get(address, query_string={**query, "banks": "OTHER"})) == {"matches": []}
    platform.post(f"/v1/contributions/{first['id']}/withdrawal", {"reason": "other"})
    assert body(platform.get(address, query_string=query)) == {"matches": [second["id"]]}


def test_a_client_compares_two_signals(platform: Caller) -> None:
    pair = [digits(pdq(1)), digits(str(near(signal(1), 9)))]
    far = [digits(pdq(1)), digits(pdq(2))]
    assert body(platform.post("/hma/m/compare", {"pdq": pair})) == {"pdq": [True, {"distance": 9}]}
    assert body(platform.post("/hma/m/compare", {"pdq": far}))["pdq"][0] is False
    digest, other = "1" * 31 + "2", "1" * 31 + "3"
    assert body(platform.post("/hma/m/compare", {"video_md5": [digest, digest]})) == {"video_md5": [True, {}]}
    assert body(platform.post("/hma/m/compare", {"video_md5": [digest, other]})) == {"video_md5": [False, {}]}
    assert message(platform.post("/hma/m/compare", {"video_tmk": ["1"] * 2}), 400).startswith("No such SignalType")
    assert "look the video up" in message(platform.post("/hma/m/compare", {"vpdq": ["[]", "[]"]}), 400)
    assert platform.post("/hma/m/compare", {"pdq": pair[:1]}).status_code == 422
    assert message(platform.post("/hma/m/compare", {"pdq": ["0", "1"]}), 400).startswith("invalid signal")


def test_a_picture_is_hashed_and_looked_up(platform: Caller) -> None:
    hashed = body(platform.post("/hma/h/hash?types=pdq", **upload(photo())))
    api_answer = body(platform.post("/v1/signals", **multipart("b", ('name="file"; filename="a"', photo()))))
    assert hashed == {"pdq": digits(api_answer["pictures"][0]["signals"][0])}
    assert set(body(platform.post("/hma/h/hash", **upload(photo())))) == {"pdq", "phash256", "phash"}
    assert body(platform.post("/hma/m/lookup?types=pdq", **upload(photo()))) == {"pdq": {}}
    (contribution,) = platform.contribute(item(1, signals=[f"pdq:{hashed['pdq']}"]))
    hit = {"PLATFORM": [{"bank_content_id": contribution["id"], "distance": "0"}]}
    assert body(platform.post("/hma/m/lookup", **upload(photo()))) == {"pdq": hit, "phash256": {}, "phash": {}}
    assert body(platform.post("/hma/m/lookup?signal_type=pdq", **upload(photo()))) == hit


def test_phash_alone_is_no_match_if_a_longer_hash_disagrees(platform: Caller) -> None:
    phash = str(hash_picture(photo(), [Algorithm.PHASH]).signals[0])
    platform.contribute(item(signals=[pdq(1), phash]))
    (phash_only,) = platform.contribute(item(signals=[phash]))
    matches = body(platform.post("/hma/m/lookup", **upload(photo())))
    assert matches["pdq"] == matches["phash256"] == {}
    assert [match["bank_content_id"] for bank in matches["phash"].values() for match in bank] == [phash_only["id"]]


def test_a_flat_picture_has_an_empty_hash_and_matches_nothing(platform: Caller) -> None:
    assert body(platform.post("/hma/h/hash?types=pdq", **upload(flat()))) == {"pdq": ""}
    assert body(platform.post("/hma/m/lookup?types=pdq", **upload(flat()))) == {"pdq": {}}


def test_banks_are_members_and_cannot_be_created_or_changed(platform: Caller, other: Caller) -> None:
    banks = body(platform.get("/hma/c/banks"))
    assert {"name": "PLATFORM", "matching_enabled_ratio": 1.0} in banks
    assert body(platform.get("/hma/c/bank/OTHER")) == {"name": "OTHER", "matching_enabled_ratio": 1.0}
    message(platform.get("/hma/c/bank/NONE"), 404)
    for answer in (
        platform.post("/hma/c/banks", {"name": "PLATFORM"}),
        platform.request("PUT", "/hma/c/bank/PLATFORM", json={"name": "X"}),
        platform.delete("/hma/c/bank/PLATFORM"),
    ):
        assert "operator" in message(answer, 403)
    assert platform.post("/hma/c/banks", {}).status_code == 422


def test_a_key_with_only_match_sees_no_bank_of_another_member(service: Service, platform: Caller) -> None:
    (contribution,) = platform.contribute(item(1))
    matcher = service.caller(Scope.MATCH, name="Otto")
    assert [bank["name"] for bank in body(matcher.get("/hma/c/banks"))] == ["OTTO", "HASHDB_TEST", "HASHDB_SHARED"]
    matches = body(matcher.get(f"/hma/m/lookup?signal={digits(pdq(1))}&signal_type=pdq"))
    assert matches == {"HASHDB_SHARED": [{"bank_content_id": contribution["id"], "distance": "0"}]}
    shown = matcher.get(f"/hma/c/bank/HASHDB_SHARED/content/{contribution['id']}")
    assert body(shown)["id"] == contribution["id"]
    assert "platform" not in shown.text.lower()
    for address in ("/hma/c/bank/PLATFORM", f"/hma/c/bank/PLATFORM/content/{contribution['id']}"):
        message(matcher.get(address), 404)
    contributor = service.key(matcher.member, Scope.CONTRIBUTE)
    for bank, status in (("PLATFORM", 404), ("HASHDB_SHARED", 403)):
        message(contributor.post(f"/hma/c/bank/{bank}/signal", {"pdq": digits(pdq(2))}), status)


def test_a_member_adds_a_picture_to_its_bank_reads_and_deletes_it(platform: Caller, other: Caller) -> None:
    metadata = json.dumps({"content_id": "ours-1", "json": {"a": 1}})
    added = body(platform.post("/hma/c/bank/PLATFORM/content", **upload(photo(), metadata=metadata, note="a note")))
    assert set(added["signals"]) == {"pdq", "phash256", "phash"}
    address = f"/hma/c/bank/PLATFORM/content/{added['id']}"
    shown = body(platform.get(f"{address}?include_signals=true"))
    assert (shown["id"], shown["signals"], shown["disable_until_ts"]) == (added["id"], added["signals"], 1)
    assert shown["bank"] == {"name": "PLATFORM", "matching_enabled_ratio": 1.0}
    assert shown["metadata"]["content_id"] == "ours-1"
    assert shown["metadata"]["json"]["labels"] == ["glorification"]
    assert "signals" not in body(platform.get(address))
    assert body(other.get(address))["metadata"]["content_id"] is None
    message(platform.get(f"/hma/c/bank/OTHER/content/{added['id']}"), 404)
    assert body(platform.request("PUT", address, json={"disable_until_ts": 1}))["id"] == added["id"]
    message(platform.request("PUT", address, json={"disable_until_ts": 0}), 400)
    message(other.delete(address), 403)
    assert body(platform.delete(address)) == {"deleted": 1}
    assert body(platform.delete(address)) == {"deleted": 0}
    assert body(platform.get(address))["disable_until_ts"] == 0
    message(platform.delete("/hma/c/bank/NONE/content/1"), 404)


def test_a_member_adds_signals_to_its_bank_as_one_content(service: Service, platform: Caller, other: Caller) -> None:
    phash = str(signal(1, Algorithm.PHASH))
    signals = {"pdq": digits(pdq(1)), "phash": digits(phash), "note": "n"}
    added = body(platform.post("/hma/c/bank/PLATFORM/signal", signals))
    assert added["signals"] == {"pdq": digits(pdq(1)), "phash": digits(phash)}
    assert platform.matched(pdq(1)) == [added["id"]]
    before = service.rows()
    message(other.post("/hma/c/bank/PLATFORM/signal", signals), 403)
    message(platform.post("/hma/c/bank/NONE/signal", signals), 404)
    message(platform.post("/hma/c/bank/PLATFORM/signal", {"note": "n"}), 400)
    message(platform.post("/hma/c/bank/PLATFORM/signal", {"pdq": "12"}), 400)
    message(platform.post("/hma/c/bank/PLATFORM/signal", {"video_md5": "1" * 31}), 400)
    message(platform.post("/hma/c/bank/PLATFORM/signal", {"vpdq": "[]"}), 400)
    message(platform.post("/hma/c/bank/PLATFORM/signal", {"video_tmk": "1" * 32}), 400)
    assert platform.post("/hma/c/bank/PLATFORM/signal", {"pdq": "0" * 64}).status_code == 422
    assert service.rows() == before


def vpdq(*seeds: int, away: int = 0) -> str:
    """Return a video with one frame per second in the JSON form of vPDQ."""
    return json.dumps([f"{digits(frame['signals'][0])},90,{frame['at']:.3}" for frame in frames(*seeds, away=away)])


def test_a_contributed_vpdq_matches_a_clip_inside_another_video(platform: Caller, other: Caller) -> None:
    signals = {"vpdq": vpdq(*range(100, 160)), "video_md5": "1" * 31 + "2"}
    added = body(platform.post("/hma/c/bank/PLATFORM/signal", signals))
    assert set(added["signals"]) == {"vpdq", "video_md5"}
    assert json.loads(added["signals"]["vpdq"])[1] == f"{digits(pdq(101))},90,1.000"
    shown = body(platform.get(f"/v1/contributions/{added['id']}"))
    assert (shown["media"], shown["frame_count"], shown["duration"]) == ("video", 60, 60.0)
    content = body(other.get(f"/hma/c/bank/PLATFORM/content/{added['id']}?include_signals=true"))
    assert content["signals"] == added["signals"]

    query = {"signal": vpdq(*range(500, 520), *range(130, 140), *range(600, 610), away=4), "signal_type": "vpdq"}
    hit = {"bank_content_id": added["id"], "distance": "25%[17%]"}
    assert body(other.get("/hma/m/lookup", query_string=query)) == {"PLATFORM": [hit]}
    raw_query = {**query, "signal_type": "video_vpdq", "include_distance": "true"}
    assert body(other.get("/hma/m/raw_lookup", query_string=raw_query)) == {"matches": [hit]}
    assert body(other.get("/hma/m/lookup", query_string={**query, "signal": vpdq(1, 2, 3)})) == {}
    lines = "\n".join(f"{30 * place},90,{digits(pdq(seed))},{place}.000" for place, seed in enumerate(range(110, 120)))
    matches = body(other.get("/hma/m/lookup", query_string={**query, "signal": lines}))
    assert matches == {"PLATFORM": [{**hit, "distance": "100%[17%]"}]}
    still = {"PLATFORM": [{"bank_content_id": added["id"], "distance": "4"}]}
    assert look_up(other, str(near(signal(149), 4))) == still


def test_a_vpdq_matches_a_listed_picture(platform: Caller, other: Caller) -> None:
    (contribution,) = platform.contribute(item(7))
    query = {"signal": vpdq(5, 6, 7, 8), "signal_type": "vpdq"}
    hit = {"bank_content_id": contribution["id"], "distance": "25%[100%]"}
    assert body(other.get("/hma/m/lookup", query_string=query)) == {"PLATFORM": [hit]}


def test_digests_of_videos_match(platform: Caller, other: Caller) -> None:
    digests = {"video_md5": "1" * 31 + "2", "video_sha256": "A" * 63 + "3"}
    added = body(platform.post("/hma/c/bank/PLATFORM/signal", digests))
    assert added["signals"] == {"video_md5": "1" * 31 + "2", "video_sha256": "a" * 63 + "3"}
    for name, value in digests.items():
        matches = body(other.get("/hma/m/lookup", query_string={"signal": value, "signal_type": name}))
        assert matches == {"PLATFORM": [{"bank_content_id": added["id"], "distance": "-"}]}
        assert body(other.get("/hma/m/raw_lookup", query_string={"signal": value, "signal_type": name}))["matches"]
        other_query = {"signal": f"{value[:-1]}0", "signal_type": name}
        assert body(other.get("/hma/m/lookup", query_string=other_query)) == {}


def test_a_video_is_hashed_looked_up_and_contributed(platform: Caller, other: Caller) -> None:
    hashed = body(platform.post("/hma/h/hash", **upload(film(), name="video")))
    assert hashed["video_md5"] == hashlib.md5(film(), usedforsecurity=False).hexdigest()
    assert hashed["video_sha256"] == hashlib.sha256(film()).hexdigest()
    assert len(json.loads(hashed["vpdq"])) == 6
    vpdq_only = body(platform.post("/hma/h/hash?types=video_vpdq", **upload(film(), name="video")))
    assert vpdq_only == {"vpdq": hashed["vpdq"]}
    assert body(other.post("/hma/m/lookup", **upload(film(), name="video"))) == {name: {} for name in hashed}
    form = upload(film(), name="video", metadata='{"content_id": "7"}')
    added = body(platform.post("/hma/c/bank/PLATFORM/content", **form))
    assert added["signals"] == hashed
    shown = body(platform.get(f"/v1/contributions/{added['id']}"))
    assert (shown["media"], shown["frame_count"], shown["reference"]) == ("video", 6, "7")
    matches = body(other.post("/hma/m/lookup", **upload(film(), name="video")))
    hits = {name: bank["PLATFORM"][0] for name, bank in matches.items()}
    assert hits["video_md5"] == hits["video_sha256"] == {"bank_content_id": added["id"], "distance": "-"}
    assert hits["vpdq"]["bank_content_id"] == added["id"]
    copy = encoded(pictures(1), options={"crf": "40"})
    matches = body(other.post("/hma/m/lookup?signal_type=vpdq", **upload(copy, name="video")))
    assert [hit["bank_content_id"] for hit in matches["PLATFORM"]] == [added["id"]]
    assert "must be named photo" in message(platform.post("/hma/h/hash", **upload(photo(), name="video")), 400)


def test_a_video_without_usable_frames_matches_by_its_digests(platform: Caller, other: Caller) -> None:
    flat_film = encoded([Image.new("RGB", (160, 90), "grey")] * 10)
    added = body(platform.post("/hma/c/bank/PLATFORM/content", **upload(flat_film, name="video")))
    matches = body(other.post("/hma/m/lookup", **upload(flat_film, name="video")))
    assert matches["video_sha256"] == {"PLATFORM": [{"bank_content_id": added["id"], "distance": "-"}]}
    assert matches["vpdq"] == {}


def test_a_vpdq_too_long_for_a_url_is_looked_up_by_post(platform: Caller, other: Caller) -> None:
    added = body(platform.post("/hma/c/bank/PLATFORM/signal", {"vpdq": vpdq(*range(200))}))
    # `threatexchange` writes times with three digits.
    query = {"signal": vpdq(*range(1000, 1900), *range(50, 150)), "signal_type": "vpdq"}
    matches = body(other.post("/hma/m/lookup", data=query))
    assert [hit["bank_content_id"] for hit in matches["PLATFORM"]] == [added["id"]]


@pytest.mark.parametrize("value", ["", "[]", "{", "[1]", '["zz,90,0.0"]', "0,1,2", "[" * 5000])
def test_an_invalid_vpdq_is_rejected(service: Service, platform: Caller, value: str) -> None:
    before = service.rows()
    query = {"signal": value, "signal_type": "vpdq"}
    answers = [platform.get(f"/hma/m/{route}", query_string=query) for route in ("lookup", "raw_lookup")]
    answers.append(platform.post("/hma/c/bank/PLATFORM/signal", {"vpdq": value}))
    assert {answer.status_code for answer in answers} <= {400, 422}
    assert service.rows() == before


def test_the_index_is_reported_as_present_and_up_to_date(platform: Caller) -> None:
    platform.contribute(item(1), item(2))
    status = body(platform.get("/hma/m/index/status"))
    assert (status["pdq"]["size"], status["pdq"]["present"]) == (2, True)
    assert status["pdq"]["built_to"] > 1_700_000_000
    assert set(body(platform.get("/hma/m/index/status?signal_type=pdq"))) == {"pdq"}
    assert body(platform.get("/hma/c/signal_type/index"))["pdq"]["index_out_of_date"] is False
    types = [type["name"] for type in body(platform.get("/hma/c/signal_type"))]
    assert types[:6] == ["pdq", "phash256", "phash", "video_md5", "video_sha256", "vpdq"]
    assert types[6:] == ["md5", "sha256", "url", "simhash256", "raw_text"]
    assert body(platform.get("/hma/m/index/status?signal_type=vpdq"))["vpdq"]["size"] == 2
    assert "no index" in message(platform.get("/hma/m/index/status?signal_type=video_md5"), 400)
    kinds = ("photo", "video", "text", "url", "file", "pdf")
    assert body(platform.get("/hma/c/content_type")) == [{"name": name, "enabled": True} for name in kinds]
    assert body(platform.get("/hma/c/exchanges")) == []


def test_health_needs_no_key(service: Service) -> None:
    for address in ("/hma/status", "/hma/status/live"):
        answer = service.anonymous.get(address)
        assert (answer.status_code, answer.text) == (200, "I-AM-ALIVE")


def test_the_test_item_is_in_its_own_bank(platform: Caller) -> None:
    assert look_up(platform, str(TEST_SIGNALS[0])) == {"HASHDB_TEST": [{"bank_content_id": 0, "distance": "0"}]}
    assert body(platform.get("/hma/c/bank/HASHDB_TEST/content/0"))["metadata"]["json"]["labels"] == ["test"]


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/hma/m/lookup", 400),
        ("/hma/m/lookup?signal=12&signal_type=pdq", 400),
        ("/hma/m/lookup?signal=12&signal_type=md5", 400),
        ("/hma/m/raw_lookup?signal_type=pdq", 400),
        ("/hma/m/index/status?signal_type=x", 400),
        ("/hma/h/hash?url=http://127.0.0.1/x", 403),
        ("/hma/m/lookup?url=https://cdn.example/x", 403),
        ("/hma/c/bank/PLATFORM/content/99", 404),
        ("/hma/h/hash", 415),
    ],
)
def test_an_invalid_request_gets_an_error_message(platform: Caller, address: str, status: int) -> None:
    assert message(platform.get(address), status)


def test_invalid_uploads_are_rejected(platform: Caller) -> None:
    address = "/hma/h/hash"
    message(platform.post(address, **upload(NOT_A_PICTURE)), 415)
    message(platform.post(address, **upload(photo(), name="video")), 400)
    assert "named video" in message(platform.post(address, **upload(film())), 400)
    message(platform.post(f"{address}?types=video_tmk", **upload(photo())), 400)
    two = [(f'name="photo"; filename="{n}"', photo()) for n in "ab"]
    message(platform.post(address, **multipart("b", *two)), 400)
    message(platform.post(address, **multipart("b", ('name="metadata"', b"{}"))), 400)
    message(platform.post("/hma/c/bank/PLATFORM/content", **upload(photo(), metadata="{")), 400)
    invalid = platform.post("/hma/c/bank/PLATFORM/content", **upload(photo(), metadata='{"content_id": 1}'))
    assert [fault["loc"] for fault in json.loads(invalid.data)] == [["content_id"]]


@pytest.mark.parametrize("reference", ["a\x00b", "a\nb", "x" * 201])
def test_a_reference_that_cannot_be_stored_is_rejected(platform: Caller, reference: str) -> None:
    form = upload(photo(), metadata=json.dumps({"content_id": reference}))
    invalid = platform.post("/hma/c/bank/PLATFORM/content", **form)
    assert [fault["loc"] for fault in json.loads(invalid.data)] == [["content_id"]]
    assert body(platform.get("/v1/contributions"))["contributions"] == []


def test_a_request_without_the_scope_is_counted_as_one_of_the_api(service: Service) -> None:
    feeder, auditor = service.caller(Scope.FEED), service.caller(Scope.AUDIT)
    message(feeder.get("/hma/c/banks"), 403)
    counts.flush(service.db)
    day = service.db.now().date()
    assert body(auditor.get(f"/v1/counts?day={day}"))["lines"] == [f"access {feeder.member} any scope-missing 1"]


def test_every_request_needs_a_key_with_the_right_scope(service: Service, platform: Caller) -> None:
    for address in ("/hma/m/lookup?signal=0&signal_type=pdq", "/hma/c/banks", "/hma/m/index/status", "/hma/h/hash"):
        message(service.anonymous.get(address), 401)
    matcher, feeder = service.caller(Scope.MATCH, name="Matcher"), service.caller(Scope.FEED)
    message(feeder.get(f"/hma/m/lookup?signal={digits(pdq(1))}&signal_type=pdq"), 403)
    message(matcher.post("/hma/c/bank/MATCHER/signal", {"pdq": digits(pdq(1))}), 403)


@pytest.fixture
def lending_service(tmp_path: Path) -> Iterator[Service]:
    """A service that lends a key to clients without one, and lists a host on this machine."""
    url = f"sqlite:///{tmp_path}/hashdb.sqlite"
    with service_at(url) as first:
        secret = first.caller(Scope.MATCH, name="Proxy").secret
    with service_at(url, hma_key=secret, fetch_hosts={"127.0.0.1:9"}) as service:
        yield service


def test_an_operator_can_lend_a_key_to_clients_without_one(lending_service: Service) -> None:
    assert body(lending_service.anonymous.get(f"/hma/m/lookup?signal={digits(pdq(1))}&signal_type=pdq")) == {}
    message(lending_service.anonymous.get("/hma/c/banks", headers={"Authorization": "Bearer hdb_wrong"}), 401)
    assert lending_service.anonymous.get("/v1/me").status_code == 401
    message(lending_service.anonymous.get("/hma/h/hash?url=http://127.0.0.1:9/x"), 403)
    assert "vpdq" in body(lending_service.anonymous.post("/hma/h/hash", **upload(film(), name="video")))


def test_a_client_without_a_key_gets_no_job_and_waits_for_its_video(
    lending_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deferring, "SECONDS_TO_JOB", 0.0)
    for headers in ({}, {"Prefer": "respond-async"}):
        answer = lending_service.anonymous.post("/hma/h/hash", **upload(film(), name="video"), headers=headers)
        assert "vpdq" in body(answer)
    monkeypatch.setattr(deferring, "MAX_WAIT", 0.0)
    hashing = worker_processes()
    try:
        for process in hashing:
            os.kill(process, SIGSTOP)
        assert "`hashdb hash`" in message(
            lending_service.anonymous.post("/hma/h/hash", **upload(film(), name="video")), 413
        )
    finally:
        for process in hashing:
            os.kill(process, SIGCONT)


def test_no_hash_address_or_key_is_logged(log_output: io.StringIO, platform: Caller) -> None:
    platform.contribute(item(1))
    look_up(platform, pdq(1))
    platform.get("/hma/h/hash?url=http://my-secret.example/x")
    platform.get("/hma/c/bank/MY_SECRET_BANK")
    text = log_output.getvalue()
    assert '"/hma/m/lookup"' in text
    for secret in (digits(pdq(1)), "my-secret", "MY_SECRET", str(platform.secret)):
        assert secret not in text


@pytest.mark.parametrize("address", ["/hma/m/compare", "/hma/c/banks", "/hma/c/bank/PLATFORM/signal"])
def test_a_hostile_body_is_rejected(service: Service, platform: Caller, address: str) -> None:
    before = service.rows()
    for value in HOSTILE:
        for sent in (value, {"pdq": value}, {"name": value}, {"pdq": [value, value]}, {"x" * 300: value}):
            answer = platform.post(address, data=json.dumps(sent), content_type="application/json")
            assert answer.status_code in REJECTION_STATUSES, (sent, answer.text)
    assert service.rows() == before


@pytest.mark.parametrize("name", ["url", "signal", "signal_type", "types", "banks", "include_distance", "content_type"])
def test_a_hostile_query_causes_no_server_error(platform: Caller, name: str) -> None:
    usual = {"signal": digits(pdq(1)), **PDQ}
    for value in [str(hostile)[:2000] for hostile in HOSTILE if isinstance(hostile, str | int) and hostile != "\ud800"]:
        for address in ("/hma/m/lookup", "/hma/m/raw_lookup", "/hma/h/hash"):
            answer = platform.get(address, query_string={**usual, name: value})
            assert answer.status_code in REJECTION_STATUSES | {200}, (address, value, answer.text)


def test_a_key_without_distances_gets_none_from_the_hma_api(service: Service, platform: Caller) -> None:
    (contribution,) = platform.contribute(item(1))
    hidden = service.key(platform.member, Scope.MATCH, hides_distances=True)
    assert look_up(hidden, pdq(1)) == {"PLATFORM": [{"bank_content_id": contribution["id"]}]}
    query = {"signal": digits(pdq(1)), **PDQ, "include_distance": "true"}
    matches = body(hidden.get("/hma/m/raw_lookup", query_string=query))
    assert matches == {"matches": [{"bank_content_id": contribution["id"]}]}


@pytest.mark.parametrize(
    ("method", "address", "status"),
    [
        ("GET", "/hma", 404),
        ("GET", "/hma/", 404),
        ("GET", "/hma/m/nothing", 404),
        ("GET", "/hma/c/bank/PLATFORM/content/abc", 404),
        ("GET", f"/hma/c/bank/PLATFORM/content/{10**17}", 404),
        ("GET", f"/hma/c/bank/PLATFORM/content/{10**15}", 404),
        ("DELETE", "/hma/m/lookup", 405),
        ("GET", "/hma/m/compare", 405),
    ],
)
def test_an_unknown_address_gets_an_error_message(platform: Caller, method: str, address: str, status: int) -> None:
    answer = platform.request(method, address)
    assert message(answer, status)
    assert ("Allow" in answer.headers) == (status == 405)
    assert platform.get("/v1/nothing").mimetype == platform.get("/hmac").mimetype == "application/problem+json"

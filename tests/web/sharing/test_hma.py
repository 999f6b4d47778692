"""HMA's REST API, as its clients call it."""

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
    """The message of a refusal, as HMA spells it."""
    assert response.status_code == status, response.text
    assert response.mimetype == "application/json"
    return str(json.loads(response.data)["message"])


def upload(octets: bytes, name: str = "photo", **fields: str) -> dict[str, Any]:
    parts = [(f'name="{name}"; filename="a.png"', octets)]
    return multipart("5d0a", *parts, *((f'name="{field}"', text.encode()) for field, text in fields.items()))


def looked_up(caller: Caller, value: str, **asked: Any) -> Any:
    return body(caller.get("/hma/m/lookup", query_string={"signal": digits(value), **PDQ, **asked}))


def test_a_lookup_is_by_bank_with_the_distance_as_a_string(platform: Caller, other: Caller) -> None:
    (one,), (two,) = platform.contribute(item(1)), other.contribute(item(1, signals=[str(near(signal(1), 4))]))
    expected = {
        "PLATFORM": [{"bank_content_id": one["id"], "distance": "0"}],
        "OTHER": [{"bank_content_id": two["id"], "distance": "4"}],
    }
    assert looked_up(platform, pdq(1)) == expected
    assert looked_up(platform, pdq(1).upper().replace("PDQ", "pdq"), seed="x", bypass_coinflip="true") == expected
    assert looked_up(platform, pdq(1), banks="OTHER,NONE") == {"OTHER": expected["OTHER"]}
    assert looked_up(platform, pdq(99)) == {}


def test_a_raw_lookup_has_ids_or_with_distance_objects(platform: Caller) -> None:
    near_one = str(near(signal(1), 6))
    one, two = platform.contribute(item(1), item(2, signals=[near_one]))
    asked: dict[str, Any] = {"signal": digits(pdq(1)), **PDQ}
    address = "/hma/m/raw_lookup"
    assert body(platform.get(address, query_string=asked)) == {"matches": [one["id"], two["id"]]}
    assert body(platform.get(address, query_string={**asked, "include_distance": "true"})) == {
        "matches": [
            {"bank_content_id": one["id"], "distance": "0"},
            {"bank_content_id": two["id"], "distance": "6"},
        ]
    }
    assert body(platform.get(address, query_string={**asked, "banks": "OTHER"})) == {"matches": []}
    platform.post(f"/v1/contributions/{one['id']}/withdrawal", {"reason": "other"})
    assert body(platform.get(address, query_string=asked)) == {"matches": [two["id"]]}


def test_signals_are_compared(platform: Caller) -> None:
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
    ours = body(platform.post("/v1/signals", **multipart("b", ('name="file"; filename="a"', photo()))))
    assert hashed == {"pdq": digits(ours["pictures"][0]["signals"][0])}
    assert set(body(platform.post("/hma/h/hash", **upload(photo())))) == {"pdq", "phash256", "phash"}
    assert body(platform.post("/hma/m/lookup?types=pdq", **upload(photo()))) == {"pdq": {}}
    (one,) = platform.contribute(item(1, signals=[f"pdq:{hashed['pdq']}"]))
    hit = {"PLATFORM": [{"bank_content_id": one["id"], "distance": "0"}]}
    assert body(platform.post("/hma/m/lookup", **upload(photo()))) == {"pdq": hit, "phash256": {}, "phash": {}}
    assert body(platform.post("/hma/m/lookup?signal_type=pdq", **upload(photo()))) == hit


def test_phash_alone_of_a_picture_is_no_hit_where_another_algorithm_could_have_agreed(platform: Caller) -> None:
    phash = str(hash_picture(photo(), [Algorithm.PHASH]).signals[0])
    platform.contribute(item(signals=[pdq(1), phash]))
    (lone,) = platform.contribute(item(signals=[phash]))
    found = body(platform.post("/hma/m/lookup", **upload(photo())))
    assert found["pdq"] == found["phash256"] == {}
    assert [one["bank_content_id"] for bank in found["phash"].values() for one in bank] == [lone["id"]]


def test_a_picture_that_is_not_fit_has_an_empty_hash_and_matches_nothing(platform: Caller) -> None:
    assert body(platform.post("/hma/h/hash?types=pdq", **upload(flat()))) == {"pdq": ""}
    assert body(platform.post("/hma/m/lookup?types=pdq", **upload(flat()))) == {"pdq": {}}


def test_banks_are_members_and_nobody_makes_one(platform: Caller, other: Caller) -> None:
    listed = body(platform.get("/hma/c/banks"))
    assert {"name": "PLATFORM", "matching_enabled_ratio": 1.0} in listed
    assert body(platform.get("/hma/c/bank/OTHER")) == {"name": "OTHER", "matching_enabled_ratio": 1.0}
    message(platform.get("/hma/c/bank/NONE"), 404)
    for answer in (
        platform.post("/hma/c/banks", {"name": "PLATFORM"}),
        platform.request("PUT", "/hma/c/bank/PLATFORM", json={"name": "X"}),
        platform.delete("/hma/c/bank/PLATFORM"),
    ):
        assert "operator" in message(answer, 403)
    assert platform.post("/hma/c/banks", {}).status_code == 422


def test_a_key_that_only_matches_is_told_no_other_members_bank(service: Service, platform: Caller) -> None:
    (one,) = platform.contribute(item(1))
    matcher = service.caller(Scope.MATCH, name="Otto")
    assert [bank["name"] for bank in body(matcher.get("/hma/c/banks"))] == ["OTTO", "HASHDB_TEST", "HASHDB_SHARED"]
    found = body(matcher.get(f"/hma/m/lookup?signal={digits(pdq(1))}&signal_type=pdq"))
    assert found == {"HASHDB_SHARED": [{"bank_content_id": one["id"], "distance": "0"}]}
    shown = matcher.get(f"/hma/c/bank/HASHDB_SHARED/content/{one['id']}")
    assert body(shown)["id"] == one["id"]
    assert "platform" not in shown.text.lower()
    for address in ("/hma/c/bank/PLATFORM", f"/hma/c/bank/PLATFORM/content/{one['id']}"):
        message(matcher.get(address), 404)
    contributor = service.key(matcher.member, Scope.CONTRIBUTE)
    for bank, status in (("PLATFORM", 404), ("HASHDB_SHARED", 403)):
        message(contributor.post(f"/hma/c/bank/{bank}/signal", {"pdq": digits(pdq(2))}), status)


def test_a_picture_is_put_into_ones_own_bank_and_shown_and_removed(platform: Caller, other: Caller) -> None:
    said = json.dumps({"content_id": "ours-1", "json": {"a": 1}})
    made = body(platform.post("/hma/c/bank/PLATFORM/content", **upload(photo(), metadata=said, note="a note")))
    assert set(made["signals"]) == {"pdq", "phash256", "phash"}
    address = f"/hma/c/bank/PLATFORM/content/{made['id']}"
    shown = body(platform.get(f"{address}?include_signals=true"))
    assert (shown["id"], shown["signals"], shown["disable_until_ts"]) == (made["id"], made["signals"], 1)
    assert shown["bank"] == {"name": "PLATFORM", "matching_enabled_ratio": 1.0}
    assert shown["metadata"]["content_id"] == "ours-1"
    assert shown["metadata"]["json"]["labels"] == ["glorification"]
    assert "signals" not in body(platform.get(address))
    assert body(other.get(address))["metadata"]["content_id"] is None
    message(platform.get(f"/hma/c/bank/OTHER/content/{made['id']}"), 404)
    assert body(platform.request("PUT", address, json={"disable_until_ts": 1}))["id"] == made["id"]
    message(platform.request("PUT", address, json={"disable_until_ts": 0}), 400)
    message(other.delete(address), 403)
    assert body(platform.delete(address)) == {"deleted": 1}
    assert body(platform.delete(address)) == {"deleted": 0}
    assert body(platform.get(address))["disable_until_ts"] == 0
    message(platform.delete("/hma/c/bank/NONE/content/1"), 404)


def test_signals_are_put_into_ones_own_bank_as_one_content(service: Service, platform: Caller, other: Caller) -> None:
    phash = str(signal(1, Algorithm.PHASH))
    sent = {"pdq": digits(pdq(1)), "phash": digits(phash), "note": "n"}
    made = body(platform.post("/hma/c/bank/PLATFORM/signal", sent))
    assert made["signals"] == {"pdq": digits(pdq(1)), "phash": digits(phash)}
    assert platform.matched(pdq(1)) == [made["id"]]
    before = service.rows()
    message(other.post("/hma/c/bank/PLATFORM/signal", sent), 403)
    message(platform.post("/hma/c/bank/NONE/signal", sent), 404)
    message(platform.post("/hma/c/bank/PLATFORM/signal", {"note": "n"}), 400)
    message(platform.post("/hma/c/bank/PLATFORM/signal", {"pdq": "12"}), 400)
    message(platform.post("/hma/c/bank/PLATFORM/signal", {"video_md5": "1" * 31}), 400)
    message(platform.post("/hma/c/bank/PLATFORM/signal", {"vpdq": "[]"}), 400)
    message(platform.post("/hma/c/bank/PLATFORM/signal", {"video_tmk": "1" * 32}), 400)
    assert platform.post("/hma/c/bank/PLATFORM/signal", {"pdq": "0" * 64}).status_code == 422
    assert service.rows() == before


def vpdq(*seeds: int, away: int = 0) -> str:
    """vPDQ's JSON of a video with a frame a second."""
    return json.dumps([f"{digits(one['signals'][0])},90,{one['at']:.3}" for one in frames(*seeds, away=away)])


def test_a_vpdq_is_contributed_and_a_clip_inside_another_video_is_looked_up(platform: Caller, other: Caller) -> None:
    sent = {"vpdq": vpdq(*range(100, 160)), "video_md5": "1" * 31 + "2"}
    made = body(platform.post("/hma/c/bank/PLATFORM/signal", sent))
    assert set(made["signals"]) == {"vpdq", "video_md5"}
    assert json.loads(made["signals"]["vpdq"])[1] == f"{digits(pdq(101))},90,1.000"
    shown = body(platform.get(f"/v1/contributions/{made['id']}"))
    assert (shown["media"], shown["frame_count"], shown["duration"]) == ("video", 60, 60.0)
    content = body(other.get(f"/hma/c/bank/PLATFORM/content/{made['id']}?include_signals=true"))
    assert content["signals"] == made["signals"]

    asked = {"signal": vpdq(*range(500, 520), *range(130, 140), *range(600, 610), away=4), "signal_type": "vpdq"}
    hit = {"bank_content_id": made["id"], "distance": "25%[17%]"}
    assert body(other.get("/hma/m/lookup", query_string=asked)) == {"PLATFORM": [hit]}
    again = {**asked, "signal_type": "video_vpdq", "include_distance": "true"}
    assert body(other.get("/hma/m/raw_lookup", query_string=again)) == {"matches": [hit]}
    assert body(other.get("/hma/m/lookup", query_string={**asked, "signal": vpdq(1, 2, 3)})) == {}
    lines = "\n".join(f"{30 * place},90,{digits(pdq(seed))},{place}.000" for place, seed in enumerate(range(110, 120)))
    found = body(other.get("/hma/m/lookup", query_string={**asked, "signal": lines}))
    assert found == {"PLATFORM": [{**hit, "distance": "100%[17%]"}]}
    still = {"PLATFORM": [{"bank_content_id": made["id"], "distance": "4"}]}
    assert looked_up(other, str(near(signal(149), 4))) == still


def test_a_listed_picture_is_found_in_a_vpdq(platform: Caller, other: Caller) -> None:
    (one,) = platform.contribute(item(7))
    asked = {"signal": vpdq(5, 6, 7, 8), "signal_type": "vpdq"}
    hit = {"bank_content_id": one["id"], "distance": "25%[100%]"}
    assert body(other.get("/hma/m/lookup", query_string=asked)) == {"PLATFORM": [hit]}


def test_digests_of_videos_are_looked_up(platform: Caller, other: Caller) -> None:
    sent = {"video_md5": "1" * 31 + "2", "video_sha256": "A" * 63 + "3"}
    made = body(platform.post("/hma/c/bank/PLATFORM/signal", sent))
    assert made["signals"] == {"video_md5": "1" * 31 + "2", "video_sha256": "a" * 63 + "3"}
    for name, value in sent.items():
        found = body(other.get("/hma/m/lookup", query_string={"signal": value, "signal_type": name}))
        assert found == {"PLATFORM": [{"bank_content_id": made["id"], "distance": "-"}]}
        assert body(other.get("/hma/m/raw_lookup", query_string={"signal": value, "signal_type": name}))["matches"]
        wrong = {"signal": f"{value[:-1]}0", "signal_type": name}
        assert body(other.get("/hma/m/lookup", query_string=wrong)) == {}


def test_a_video_is_hashed_looked_up_and_contributed(platform: Caller, other: Caller) -> None:
    hashed = body(platform.post("/hma/h/hash", **upload(film(), name="video")))
    assert hashed["video_md5"] == hashlib.md5(film(), usedforsecurity=False).hexdigest()
    assert hashed["video_sha256"] == hashlib.sha256(film()).hexdigest()
    assert len(json.loads(hashed["vpdq"])) == 6
    one = body(platform.post("/hma/h/hash?types=video_vpdq", **upload(film(), name="video")))
    assert one == {"vpdq": hashed["vpdq"]}
    assert body(other.post("/hma/m/lookup", **upload(film(), name="video"))) == {name: {} for name in hashed}
    sent = upload(film(), name="video", metadata='{"content_id": "7"}')
    made = body(platform.post("/hma/c/bank/PLATFORM/content", **sent))
    assert made["signals"] == hashed
    shown = body(platform.get(f"/v1/contributions/{made['id']}"))
    assert (shown["media"], shown["frame_count"], shown["reference"]) == ("video", 6, "7")
    found = body(other.post("/hma/m/lookup", **upload(film(), name="video")))
    hits = {name: bank["PLATFORM"][0] for name, bank in found.items()}
    assert hits["video_md5"] == hits["video_sha256"] == {"bank_content_id": made["id"], "distance": "-"}
    assert hits["vpdq"]["bank_content_id"] == made["id"]
    copy = encoded(pictures(1), options={"crf": "40"})
    found = body(other.post("/hma/m/lookup?signal_type=vpdq", **upload(copy, name="video")))
    assert [hit["bank_content_id"] for hit in found["PLATFORM"]] == [made["id"]]
    assert "must be named photo" in message(platform.post("/hma/h/hash", **upload(photo(), name="video")), 400)


def test_a_video_of_which_no_frame_can_be_searched_for_is_found_by_its_digests(platform: Caller, other: Caller) -> None:
    flat_film = encoded([Image.new("RGB", (160, 90), "grey")] * 10)
    made = body(platform.post("/hma/c/bank/PLATFORM/content", **upload(flat_film, name="video")))
    found = body(other.post("/hma/m/lookup", **upload(flat_film, name="video")))
    assert found["video_sha256"] == {"PLATFORM": [{"bank_content_id": made["id"], "distance": "-"}]}
    assert found["vpdq"] == {}


def test_a_vpdq_that_is_too_long_for_an_address_is_looked_up_by_a_form(platform: Caller, other: Caller) -> None:
    made = body(platform.post("/hma/c/bank/PLATFORM/signal", {"vpdq": vpdq(*range(200))}))
    # As `threatexchange` writes times, with three digits.
    asked = {"signal": vpdq(*range(1000, 1900), *range(50, 150)), "signal_type": "vpdq"}
    found = body(other.post("/hma/m/lookup", data=asked))
    assert [hit["bank_content_id"] for hit in found["PLATFORM"]] == [made["id"]]


@pytest.mark.parametrize("value", ["", "[]", "{", "[1]", '["zz,90,0.0"]', "0,1,2", "[" * 5000])
def test_what_is_no_vpdq_is_refused(service: Service, platform: Caller, value: str) -> None:
    before = service.rows()
    asked = {"signal": value, "signal_type": "vpdq"}
    answers = [platform.get(f"/hma/m/{route}", query_string=asked) for route in ("lookup", "raw_lookup")]
    answers.append(platform.post("/hma/c/bank/PLATFORM/signal", {"vpdq": value}))
    assert {answer.status_code for answer in answers} <= {400, 422}
    assert service.rows() == before


def test_the_index_is_told_of_and_never_behind(platform: Caller) -> None:
    platform.contribute(item(1), item(2))
    told = body(platform.get("/hma/m/index/status"))
    assert (told["pdq"]["size"], told["pdq"]["present"]) == (2, True)
    assert told["pdq"]["built_to"] > 1_700_000_000
    assert set(body(platform.get("/hma/m/index/status?signal_type=pdq"))) == {"pdq"}
    assert body(platform.get("/hma/c/signal_type/index"))["pdq"]["index_out_of_date"] is False
    types = [one["name"] for one in body(platform.get("/hma/c/signal_type"))]
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


def test_the_test_item_is_in_a_bank_of_its_own(platform: Caller) -> None:
    assert looked_up(platform, str(TEST_SIGNALS[0])) == {"HASHDB_TEST": [{"bank_content_id": 0, "distance": "0"}]}
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
def test_what_is_wrong_is_told_in_a_message(platform: Caller, address: str, status: int) -> None:
    assert message(platform.get(address), status)


def test_wrong_uploads_are_told(platform: Caller) -> None:
    address = "/hma/h/hash"
    message(platform.post(address, **upload(NOT_A_PICTURE)), 415)
    message(platform.post(address, **upload(photo(), name="video")), 400)
    assert "named video" in message(platform.post(address, **upload(film())), 400)
    message(platform.post(f"{address}?types=video_tmk", **upload(photo())), 400)
    two = [(f'name="photo"; filename="{n}"', photo()) for n in "ab"]
    message(platform.post(address, **multipart("b", *two)), 400)
    message(platform.post(address, **multipart("b", ('name="metadata"', b"{}"))), 400)
    message(platform.post("/hma/c/bank/PLATFORM/content", **upload(photo(), metadata="{")), 400)
    wrong = platform.post("/hma/c/bank/PLATFORM/content", **upload(photo(), metadata='{"content_id": 1}'))
    assert [fault["loc"] for fault in json.loads(wrong.data)] == [["content_id"]]


def test_a_key_is_needed(service: Service, platform: Caller) -> None:
    for address in ("/hma/m/lookup?signal=0&signal_type=pdq", "/hma/c/banks", "/hma/m/index/status", "/hma/h/hash"):
        message(service.anonymous.get(address), 401)
    matcher, feeder = service.caller(Scope.MATCH, name="Matcher"), service.caller(Scope.FEED)
    message(feeder.get(f"/hma/m/lookup?signal={digits(pdq(1))}&signal_type=pdq"), 403)
    message(matcher.post("/hma/c/bank/MATCHER/signal", {"pdq": digits(pdq(1))}), 403)


@pytest.fixture
def lending(tmp_path: Path) -> Iterator[Service]:
    """A service that lends a key to whoever has none, and lists a host on this machine."""
    url = f"sqlite:///{tmp_path}/hashdb.sqlite"
    with service_at(url) as first:
        secret = first.caller(Scope.MATCH, name="Proxy").secret
    with service_at(url, hma_key=secret, fetch_hosts={"127.0.0.1:9"}) as made:
        yield made


def test_an_operator_may_lend_a_key_to_clients_that_send_none(lending: Service) -> None:
    assert body(lending.anonymous.get(f"/hma/m/lookup?signal={digits(pdq(1))}&signal_type=pdq")) == {}
    message(lending.anonymous.get("/hma/c/banks", headers={"Authorization": "Bearer hdb_wrong"}), 401)
    assert lending.anonymous.get("/v1/me").status_code == 401
    message(lending.anonymous.get("/hma/h/hash?url=http://127.0.0.1:9/x"), 403)
    assert "vpdq" in body(lending.anonymous.post("/hma/h/hash", **upload(film(), name="video")))


def test_a_client_without_a_key_waits_for_its_video_because_it_could_ask_for_no_job(
    lending: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deferring, "PATIENCE", 0.0)
    for headers in ({}, {"Prefer": "respond-async"}):
        answer = lending.anonymous.post("/hma/h/hash", **upload(film(), name="video"), headers=headers)
        assert "vpdq" in body(answer)
    monkeypatch.setattr(deferring, "MAX_WAIT", 0.0)
    hashing = worker_processes()
    try:
        for process in hashing:
            os.kill(process, SIGSTOP)
        assert "`hashdb hash`" in message(lending.anonymous.post("/hma/h/hash", **upload(film(), name="video")), 413)
    finally:
        for process in hashing:
            os.kill(process, SIGCONT)


def test_neither_hash_nor_address_is_logged(log_output: io.StringIO, platform: Caller) -> None:
    platform.contribute(item(1))
    looked_up(platform, pdq(1))
    platform.get("/hma/h/hash?url=http://my-secret.example/x")
    platform.get("/hma/c/bank/MY_SECRET_BANK")
    text = log_output.getvalue()
    assert '"/hma/m/lookup"' in text
    for told in (digits(pdq(1)), "my-secret", "MY_SECRET", str(platform.secret)):
        assert told not in text


@pytest.mark.parametrize("address", ["/hma/m/compare", "/hma/c/banks", "/hma/c/bank/PLATFORM/signal"])
def test_a_hostile_body_is_refused(service: Service, platform: Caller, address: str) -> None:
    before = service.rows()
    for value in HOSTILE:
        for sent in (value, {"pdq": value}, {"name": value}, {"pdq": [value, value]}, {"x" * 300: value}):
            answer = platform.post(address, data=json.dumps(sent), content_type="application/json")
            assert answer.status_code in REJECTION_STATUSES, (sent, answer.text)
    assert service.rows() == before


@pytest.mark.parametrize("name", ["url", "signal", "signal_type", "types", "banks", "include_distance", "content_type"])
def test_a_hostile_query_is_no_fault_of_the_service(platform: Caller, name: str) -> None:
    usual = {"signal": digits(pdq(1)), **PDQ}
    for value in [str(one)[:2000] for one in HOSTILE if isinstance(one, str | int) and one != "\ud800"]:
        for address in ("/hma/m/lookup", "/hma/m/raw_lookup", "/hma/h/hash"):
            answer = platform.get(address, query_string={**usual, name: value})
            assert answer.status_code in REJECTION_STATUSES | {200}, (address, value, answer.text)


def test_a_key_that_is_told_no_distances_is_told_none_here(service: Service, platform: Caller) -> None:
    (one,) = platform.contribute(item(1))
    hidden = service.key(platform.member, Scope.MATCH, hides_distances=True)
    assert looked_up(hidden, pdq(1)) == {"PLATFORM": [{"bank_content_id": one["id"]}]}
    asked = {"signal": digits(pdq(1)), **PDQ, "include_distance": "true"}
    assert body(hidden.get("/hma/m/raw_lookup", query_string=asked)) == {"matches": [{"bank_content_id": one["id"]}]}


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
def test_an_address_that_is_none_is_told_in_a_message(platform: Caller, method: str, address: str, status: int) -> None:
    answer = platform.request(method, address)
    assert message(answer, status)
    assert ("Allow" in answer.headers) == (status == 405)
    assert platform.get("/v1/nothing").mimetype == platform.get("/hmac").mimetype == "application/problem+json"

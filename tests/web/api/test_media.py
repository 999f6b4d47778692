"""Pictures over HTTP: contributed, matched, hashed; the same signals whichever way."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image, ImageOps

from hashdb.domain.accounts.members import Scope
from tests.web.callers import Caller, Service, body, faults, problem, service_at
from tests.web.pictures import SAID, form, multipart, photo

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
    response = caller.post(URL, **form(*pictures, said={**SAID, "severity": 3, "reference": "batch"}))
    assert response.status_code == 201
    answered = body(response)["contributions"]
    hashed = [_hashed(caller, picture) for picture in pictures]
    own = [{"signals": one["signals"][:3], "quality": one["quality"]} for one in answered]
    assert own == hashed
    assert [(one["severity"], one["reference"], one["known"]) for one in answered] == [(3, "batch", False)] * 3


def test_each_picture_has_what_is_said_of_it(caller: Caller) -> None:
    said = [{**SAID, "severity": severity} for severity in (0, 4)]
    answered = body(caller.post(URL, **form(photo(21), photo(22), said=said)))["contributions"]
    assert [one["severity"] for one in answered] == [0, 4]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_what_is_said_must_be_for_as_many(caller: Caller, count: int) -> None:
    assert list(faults(caller.post(URL, **form(photo(1), photo(2), said=[SAID] * count)))) == ["metadata"]


def test_faults_of_what_is_said_are_all_told(caller: Caller) -> None:
    said = [{**SAID, "labels": ["no"], "signals": []}, {**SAID, "severity": 7, "removed_at": "2030-01-01T00:00:00Z"}]
    told = faults(caller.post(URL, **form(photo(1), photo(2), said=said)))
    assert set(told) == {
        "metadata[0].labels[0]",
        "metadata[0].signals",
        "metadata[1].severity",
        "metadata[1].removed_at",
    }


def test_what_is_said_is_json_in_utf_8_once(caller: Caller) -> None:
    picture = ('name="file"; filename="a.png"', photo())
    bad = json.dumps({**SAID, "reference": "?"}).encode().replace(b"?", b"\xff")
    for text in (b"", b"{", bad, b"NaN", b"\xef\xbb\xbf{}"):
        problem(caller.post(URL, **multipart("b", picture, ('name="metadata"', text))), 400, "malformed-request")
    twice = [('name="metadata"', json.dumps(SAID).encode())] * 2
    assert faults(caller.post(URL, **multipart("b", picture, *twice))) == {"metadata": "is given twice"}
    assert list(faults(caller.post(URL, **form(photo())))) == ["metadata"]


def test_what_is_said_may_come_as_a_file(caller: Caller) -> None:
    text = json.dumps({**SAID, "reference": "caf\u00e9"}, ensure_ascii=False).encode()
    sent = {"data": {"file": (io.BytesIO(photo(31)), "a.png"), "metadata": (io.BytesIO(text), "said.json")}}
    assert body(caller.post(URL, **sent))["contributions"][0]["reference"] == "caf\u00e9"


def test_a_picture_that_was_contributed_is_matched_with_its_plain_signals(service: Service, caller: Caller) -> None:
    (mine,) = body(caller.post(URL, **form(photo(41), said=SAID)))["contributions"]
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
    said = [{**SAID, "severity": severity} for severity in (2, 3)]
    answered = body(caller.post(URL, **form(photo(45), photo(46), said=said)))["contributions"]
    balanced, thorough = (len(one["signals"]) for one in answered)
    assert 3 < balanced < thorough <= 64


@pytest.mark.parametrize("profile", ["plain", "balanced", "thorough"])
def test_the_profile_may_be_named(caller: Caller, profile: str) -> None:
    (one,) = body(caller.post(f"{URL}?profile={profile}", **form(photo(47), said=SAID)))["contributions"]
    assert {"plain": 3, "balanced": 26, "thorough": 60}[profile] - 3 <= len(one["signals"]) <= 64
    assert all(signal.startswith("phash256:") for signal in one["signals"][3:])


def test_another_profile_is_another_request(caller: Caller) -> None:
    headers = {"Idempotency-Key": "profile"}
    first = body(caller.post(f"{URL}?profile=plain", headers=headers, **form(photo(48), said=SAID)))
    assert body(caller.post(f"{URL}?profile=plain", headers=headers, **form(photo(48), said=SAID))) == first
    problem(caller.post(URL, headers=headers, **form(photo(48), said=SAID)), 409, "idempotency-key-reused")


def test_an_unknown_profile_is_refused(caller: Caller) -> None:
    assert list(faults(caller.post(f"{URL}?profile=best", **form(photo(1), said=SAID)))) == ["profile"]
    assert list(faults(caller.post("/v1/matches/media?transforms=2", **form(photo(1))))) == ["transforms"]


def _mirrored(octets: bytes) -> bytes:
    out = io.BytesIO()
    ImageOps.mirror(Image.open(io.BytesIO(octets)).convert("RGB")).save(out, "PNG")
    return out.getvalue()


def test_a_mirrored_copy_is_found_through_a_transform_that_is_named(service: Service, caller: Caller) -> None:
    (mine,) = body(caller.post(URL, **form(photo(43), said=SAID)))["contributions"]
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
    caller.post(URL, **form(photo(44), said=SAID))
    answer = body(service.caller(Scope.MATCH).post("/v1/matches/media?transforms=1", **form(photo(44))))
    (match,) = answer["results"][0]["matches"]
    assert "transform" not in match


def test_the_same_pictures_are_the_same_request_whatever_the_boundary(service: Service, caller: Caller) -> None:
    parts = [('name="file"; filename="a.png"', photo(51)), ('name="metadata"', json.dumps(SAID).encode())]
    headers = {"Idempotency-Key": "k"}
    first = body(caller.post(URL, headers=headers, **multipart("one", *parts)))
    rows = service.rows()
    assert body(caller.post(URL, headers=headers, **multipart("another", *parts))) == first
    other = [('name="file"; filename="a.png"', photo(52)), parts[1]]
    problem(caller.post(URL, headers=headers, **multipart("one", *other)), 409, "idempotency-key-reused")
    said = [parts[0], ('name="metadata"', json.dumps({**SAID, "severity": 1}).encode())]
    problem(caller.post(URL, headers=headers, **multipart("one", *said)), 409, "idempotency-key-reused")
    hashes = {"contributions": [{**SAID, "signals": ["phash:d1c4b2a09f8e7d6c"]}]}
    problem(caller.post("/v1/contributions", hashes, headers=headers), 409, "idempotency-key-reused")
    assert service.rows() == rows


def test_only_the_algorithms_in_force_are_computed() -> None:
    with service_at(None, algorithms="dhash") as service:
        picture = _hashed(service.caller(), photo())
    assert [signal.partition(":")[0] for signal in picture["signals"]] == ["dhash"]
    assert picture["quality"] is None

"""HMA's look-ups: the sidecar answers as the service does, but for the names of other members' banks."""

from __future__ import annotations

import io
import json

import pytest

from hashdb.domain.matching.testing import TEST_SIGNALS
from tests.builders import near, signal
from tests.films import film
from tests.sidecar.conftest import Pair, same
from tests.web.callers import pdq
from tests.web.pictures import photo
from tests.web.sharing.served import digits

ONE = "/hma/as/MINE"
VALUE = digits(pdq(1))
NEAR = digits(str(near(signal(2), 4)))
GETS: list[tuple[str, dict[str, str]]] = [
    ("/m/lookup", {"signal": VALUE, "signal_type": "pdq"}),
    ("/m/lookup", {"signal": VALUE.upper(), "signal_type": "pdq", "banks": "MINE", "seed": "x"}),
    ("/m/lookup", {"signal": NEAR, "signal_type": "pdq", "banks": "OTHER"}),
    ("/m/lookup", {"signal": digits(pdq(4)), "signal_type": "pdq"}),
    ("/m/lookup", {"signal": digits(pdq(99)), "signal_type": "pdq"}),
    ("/m/lookup", {"signal": "", "signal_type": "pdq"}),
    ("/m/lookup", {"signal": "12", "signal_type": "pdq"}),
    ("/m/lookup", {"signal": VALUE, "signal_type": "tmk"}),
    ("/m/lookup", {"signal": "d" * 32, "signal_type": "video_md5"}),
    ("/m/lookup", {"signal": "[]", "signal_type": "vpdq"}),
    ("/m/raw_lookup", {"signal": NEAR, "signal_type": "pdq"}),
    ("/m/raw_lookup", {"signal": NEAR, "signal_type": "pdq", "include_distance": "true"}),
    ("/m/index/status", {"signal_type": "video_md5"}),
    ("/c/signal_type", {}),
    ("/c/content_type", {}),
    ("/c/exchanges", {}),
    ("/c/exchanges/apis", {}),
    ("/c/banks", {}),
    ("/c/bank/MINE", {}),
    ("/c/bank/NONE", {}),
    ("/h/hash", {"url": "http://127.0.0.1/x.png"}),
]


def test_what_a_sidecar_has_no_address_for_is_said_in_hmas_form(filled: Pair) -> None:
    _, local = filled.both("GET", ONE + "/nowhere")
    assert local.status_code == 404
    assert json.loads(local.data) == {
        "message": "this address of the sidecar, which only matches and remembers, does not exist"
    }


@pytest.mark.parametrize(("path", "asked"), GETS)
def test_a_request_is_answered_as_by_the_service(filled: Pair, path: str, asked: dict[str, str]) -> None:
    same(filled.both("GET", ONE + path, query_string=asked))


def test_banks_of_others_are_named_by_their_ids(filled: Pair) -> None:
    asked = {"signal": VALUE, "signal_type": "pdq"}
    found = json.loads(filled.ask("GET", "/hma/m/lookup", query_string=asked).data)
    assert found == {
        "ALPHA_VIDEO": [{"bank_content_id": 1, "distance": "0"}],
        f"MEMBER_{filled.other.member}": [{"bank_content_id": 5, "distance": "0"}],
    }
    asked["banks"] = f"MEMBER_{filled.other.member}"
    assert json.loads(filled.ask("GET", "/hma/m/lookup", query_string=asked).data).keys() == {asked["banks"]}
    test = {"signal": digits(str(TEST_SIGNALS[0])), "signal_type": "pdq"}
    assert list(same(filled.both("GET", "/hma/m/lookup", query_string=test))) == ["HASHDB_TEST"]
    assert [bank["name"] for bank in json.loads(filled.ask("GET", "/hma/c/banks").data)] == [
        "HASHDB_TEST",
        "ALPHA_VIDEO",
    ]


def test_posts_are_answered_as_by_the_service(filled: Pair) -> None:
    values = {"pdq": [VALUE, NEAR]}
    assert same(filled.both("POST", f"{ONE}/m/compare", json=values))["pdq"][0] is False
    same(filled.both("POST", f"{ONE}/m/compare", json={"pdq": [VALUE]}))
    same(filled.both("POST", f"{ONE}/c/banks", json={"name": "MINE"}))
    same(filled.both("POST", f"{ONE}/m/lookup", data={"signal": VALUE, "signal_type": "pdq"}))


def test_the_sizes_are_those_of_the_copy(filled: Pair) -> None:
    """The index of the service also has the value of a contribution that is withdrawn."""
    for path in ("/hma/m/index/status", "/hma/c/signal_type/index"):
        served, local = (json.loads(answer.data) for answer in filled.both("GET", path))
        assert local.keys() == served.keys() and local["pdq"].keys() == served["pdq"].keys()
        assert 4 in local["pdq"].values() and 5 in served["pdq"].values()


def test_files_are_hashed_and_looked_up_as_by_the_service(filled: Pair) -> None:
    for field, octets, path, asked in (
        ("photo", photo(), "/h/hash", {"types": "pdq,phash"}),
        ("photo", photo(), "/m/lookup", {"signal_type": "pdq"}),
        ("video", photo(), "/h/hash", {}),
        ("photo", b"\x89PNG no picture\xff", "/m/lookup", {}),
        ("video", film(seconds=2), "/m/lookup", {}),
        ("photo", film(seconds=2), "/m/lookup", {}),
    ):
        served, local = (
            ask("POST", ONE + path, data={field: (io.BytesIO(octets), "a.bin")}, query_string=asked)
            for ask in (filled.member.request, filled.ask)
        )
        same((served, local))

"""Lookups by the API of HMA. The sidecar answers like the service, except for the names of other members' banks."""

from __future__ import annotations

import io
import json

import pytest

from hashdb.domain.matching.testing import TEST_SIGNALS
from tests.builders import near, signal
from tests.films import film
from tests.sidecar.conftest import Pair, same_answer
from tests.web.callers import pdq
from tests.web.pictures import photo
from tests.web.sharing.served import digits

BANK = "/hma/as/MINE"
VALUE = digits(pdq(1))
NEAR_VALUE = digits(str(near(signal(2), 4)))
GETS: list[tuple[str, dict[str, str]]] = [
    ("/m/lookup", {"signal": VALUE, "signal_type": "pdq"}),
    ("/m/lookup", {"signal": VALUE.upper(), "signal_type": "pdq", "banks": "MINE", "seed": "x"}),
    ("/m/lookup", {"signal": NEAR_VALUE, "signal_type": "pdq", "banks": "OTHER"}),
    ("/m/lookup", {"signal": digits(pdq(4)), "signal_type": "pdq"}),
    ("/m/lookup", {"signal": digits(pdq(99)), "signal_type": "pdq"}),
    ("/m/lookup", {"signal": "", "signal_type": "pdq"}),
    ("/m/lookup", {"signal": "12", "signal_type": "pdq"}),
    ("/m/lookup", {"signal": VALUE, "signal_type": "tmk"}),
    ("/m/lookup", {"signal": "d" * 32, "signal_type": "video_md5"}),
    ("/m/lookup", {"signal": "[]", "signal_type": "vpdq"}),
    ("/m/raw_lookup", {"signal": NEAR_VALUE, "signal_type": "pdq"}),
    ("/m/raw_lookup", {"signal": NEAR_VALUE, "signal_type": "pdq", "include_distance": "true"}),
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


def test_an_unknown_address_gets_an_error_in_the_form_of_hma(filled: Pair) -> None:
    _, local = filled.ask_both("GET", BANK + "/nowhere")
    assert local.status_code == 404
    assert json.loads(local.data) == {
        "message": "this address (the sidecar only matches and remembers uploads) does not exist"
    }


@pytest.mark.parametrize(("path", "query"), GETS)
def test_the_sidecar_answers_get_requests_like_the_service(filled: Pair, path: str, query: dict[str, str]) -> None:
    same_answer(filled.ask_both("GET", BANK + path, query_string=query))


def test_banks_of_other_members_are_named_by_member_id(filled: Pair) -> None:
    query = {"signal": VALUE, "signal_type": "pdq"}
    matches = json.loads(filled.ask("GET", "/hma/m/lookup", query_string=query).data)
    assert matches == {
        "ALPHA_VIDEO": [{"bank_content_id": 1, "distance": "0"}],
        f"MEMBER_{filled.other.member}": [{"bank_content_id": 5, "distance": "0"}],
    }
    query["banks"] = f"MEMBER_{filled.other.member}"
    assert json.loads(filled.ask("GET", "/hma/m/lookup", query_string=query).data).keys() == {query["banks"]}
    test_item = {"signal": digits(str(TEST_SIGNALS[0])), "signal_type": "pdq"}
    assert list(same_answer(filled.ask_both("GET", "/hma/m/lookup", query_string=test_item))) == ["HASHDB_TEST"]
    assert [bank["name"] for bank in json.loads(filled.ask("GET", "/hma/c/banks").data)] == [
        "HASHDB_TEST",
        "ALPHA_VIDEO",
    ]


def test_the_sidecar_answers_post_requests_like_the_service(filled: Pair) -> None:
    values = {"pdq": [VALUE, NEAR_VALUE]}
    assert same_answer(filled.ask_both("POST", f"{BANK}/m/compare", json=values))["pdq"][0] is False
    same_answer(filled.ask_both("POST", f"{BANK}/m/compare", json={"pdq": [VALUE]}))
    same_answer(filled.ask_both("POST", f"{BANK}/c/banks", json={"name": "MINE"}))
    same_answer(filled.ask_both("POST", f"{BANK}/m/lookup", data={"signal": VALUE, "signal_type": "pdq"}))


def test_the_index_status_has_the_sizes_of_the_copy(filled: Pair) -> None:
    """The index of the service also has the value of a withdrawn contribution."""
    for path in ("/hma/m/index/status", "/hma/c/signal_type/index"):
        served, local = (json.loads(answer.data) for answer in filled.ask_both("GET", path))
        assert local.keys() == served.keys() and local["pdq"].keys() == served["pdq"].keys()
        assert 4 in local["pdq"].values() and 5 in served["pdq"].values()


def test_the_sidecar_hashes_and_looks_up_files_like_the_service(filled: Pair) -> None:
    for field, octets, path, query in (
        ("photo", photo(), "/h/hash", {"types": "pdq,phash"}),
        ("photo", photo(), "/m/lookup", {"signal_type": "pdq"}),
        ("video", photo(), "/h/hash", {}),
        ("photo", b"\x89PNG no picture\xff", "/m/lookup", {}),
        ("video", film(seconds=2), "/m/lookup", {}),
        ("photo", film(seconds=2), "/m/lookup", {}),
    ):
        served, local = (
            ask("POST", BANK + path, data={field: (io.BytesIO(octets), "a.bin")}, query_string=query)
            for ask in (filled.member.request, filled.ask)
        )
        same_answer((served, local))

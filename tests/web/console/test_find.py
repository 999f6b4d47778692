"""The search box: results for a text, a hash, a picture or an address."""

from __future__ import annotations

import html
import re
from urllib.parse import quote

import pytest

from hashdb.domain.accounts.users import Role
from hashdb.domain.signals import Algorithm
from hashdb.hashing.addresses import url_signals
from tests.builders import near, signal
from tests.web.callers import Service, item
from tests.web.console.test_neighbors import upload, verdicts
from tests.web.console.visitors import Visitor, add_user, faults, heading
from tests.web.pictures import form, photo

PAGE = "/console/find"
ADDRESS = "https://riverbank.org/a"


@pytest.fixture
def filled(service: Service) -> Service:
    """A service with contributions of two members, an incident and a case."""
    alpha, beta = service.caller(name="Alpha Video"), service.caller(name="Beta")
    service.caller(name="Alpha").post("/v1/incidents", {"label": "CI:riverside", "start": "2026-11-20T10:00:00Z"})
    alpha.contribute(*(item(seed, reference=f"post/{seed}") for seed in range(1, 13)))
    beta.contribute(item(20, reference="post/1"), item(21, reference="only here"))
    beta.post("/v1/contributions/1/opinions", {"opinion": "disputes", "reason": "other"})
    return service


def links(text: str) -> list[str]:
    """Return the links of a page of results."""
    return re.findall(r'list-group-item-action" href="([^"]+)"', html.unescape(text))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("contribution 2", "contributions/2"),
        (" Contributions:2", "contributions/2"),
        ("https://hashes.example/console/contributions/2?x=1", "contributions/2"),
        ("case #1", "cases/1"),
        ("event 3", "events/3"),
        ("key 1", "members/keys/1"),
        ("beta", "members/2"),
        ("ALPHA", "members/3"),
        ("otto", "users/1"),
        ("ci:riverside", "incidents/1"),
        ("only here", "contributions/14"),
        ("glorification", "contributions?label=glorification"),
        ("audit log", "events"),
    ],
)
def test_a_text_that_names_one_thing_opens_its_page(filled: Service, otto: Visitor, text: str, place: str) -> None:
    answer = otto.post(PAGE, {"text": text})
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/console/{place}")
    assert otto.get(f"/console/{place}").status_code in (200, 303)


def test_a_number_lists_everything_with_that_number(filled: Service, otto: Visitor) -> None:
    page = otto.post(PAGE, {"text": "#1"})
    places = ("contributions/1", "cases/1", "members/1", "members/keys/1", "users/1", "incidents/1", "events/1")
    assert links(page.text) == [f"/console/{place}" for place in places]
    assert "Alpha Video · glorification" in page.text


def test_names_that_contain_the_text_are_listed_best_first(filled: Service, otto: Visitor) -> None:
    add_user(filled, "alphonse", Role.AUDITOR)
    assert links(otto.post(PAGE, {"text": "alph"}).text) == [
        "/console/members/3",
        "/console/members/1",
        "/console/users/2",
    ]
    assert links(otto.post(PAGE, {"text": "video"}).text) == ["/console/members/1"]


def test_exact_references_are_listed_before_longer_ones(filled: Service, otto: Visitor) -> None:
    page = otto.post(PAGE, {"text": "post/1"})
    exact = ["/console/contributions/13", "/console/contributions/1"]
    assert links(page.text) == [*exact, *(f"/console/contributions/{id}" for id in (12, 11, 10))]
    assert "(5)" in page.text


def test_ten_results_of_a_kind_are_shown_unless_all_are_requested(filled: Service, otto: Visitor) -> None:
    page = otto.post(PAGE, {"text": "post/"})
    assert (len(links(page.text)), "(13)" in page.text) == (10, True)
    assert f'href="/console/contributions?reference={quote("post/")}"' in page.text
    for number in range(11):
        filled.caller(name=f"Gamma {number}")
    page = otto.post(PAGE, {"text": "gamma"})
    assert (len(links(page.text)), 'name="as" value="all"' in page.text) == (10, True)
    assert len(links(otto.post(PAGE, {"text": "gamma", "as": "all"}).text)) == 11


@pytest.mark.parametrize("text", [str(near(signal(1), 4)), f"0x{signal(1).value:064X}", f"x {signal(1)}\n{signal(2)}"])
def test_a_hash_opens_the_match_debugger_with_its_matches(filled: Service, otto: Visitor, text: str) -> None:
    page = otto.post(PAGE, {"text": text})
    assert heading(page) == "Match debugger"
    assert "yes, by pdq" in verdicts(page.text)
    assert 'action="/console/debugger"' in page.text


def test_a_digest_matches_the_item_that_has_it(service: Service, otto: Visitor) -> None:
    digest = signal(7, Algorithm.SHA256)
    service.caller(name="Alpha").contribute(item(signals=[str(digest), str(signal(7))]))
    for text in (str(digest), f"{digest.value:064x}"):
        assert verdicts(otto.post(PAGE, {"text": text}).text) == ["yes, by sha256"]


def test_a_hash_that_is_also_a_reference_lists_both_meanings(service: Service, otto: Visitor) -> None:
    service.caller(name="Alpha").contribute(item(1, reference=f"{signal(2).value:064x}"))
    page = otto.post(PAGE, {"text": f"{signal(2).value:064x}"})
    assert links(page.text) == ["/console/contributions/1"]
    assert 'name="as" value="hash"' in page.text
    assert heading(otto.post(PAGE, {"text": f"{signal(2).value:064x}", "as": "hash"})) == "Match debugger"


def test_a_picture_opens_the_match_debugger(service: Service, otto: Visitor) -> None:
    service.caller(name="Alpha").client.post("/v1/contributions/media", data=form(photo()))
    page = otto.post(PAGE, {"text": "", **upload(photo(), "a.jpg")})
    assert heading(page) == "Match debugger"


def test_a_hash_of_the_wrong_length_is_rejected(otto: Visitor) -> None:
    assert faults(otto.post(PAGE, {"text": "pdq:12"})) == {"signals": "line 1: pdq needs 64 hex digits, got 2"}


def test_an_empty_result_suggests_the_most_similar_name(filled: Service, otto: Visitor) -> None:
    page = otto.post(PAGE, {"text": "Alhpa Video"})
    assert "Nothing was found." in page.text
    assert "The most similar name is Alpha Video." in page.text
    assert "There is no case with this number." in otto.post(PAGE, {"text": "case 999"}).text
    assert "What you can search for" in otto.get(PAGE).text


@pytest.mark.parametrize("text", ["a\x00b", "two\nlines", "x" * 201, "\u202eevil", "a" * 100_000])
def test_a_text_that_cannot_be_a_name_is_rejected(otto: Visitor, text: str) -> None:
    assert "must be one line of at most 200 characters" in faults(otto.post(PAGE, {"text": text}))["text"]


@pytest.mark.parametrize(
    "text", ["'; DROP TABLE users --", "%", "_", "<script>alert(1)</script>", "9" * 16, "{{7*7}}", "é"]
)
def test_special_characters_find_nothing(filled: Service, otto: Visitor, text: str) -> None:
    page = otto.post(PAGE, {"text": text})
    assert (page.status_code, links(page.text)) == (200, [])
    assert "<script>alert" not in page.text


def test_a_search_stores_nothing(filled: Service, otto: Visitor) -> None:
    otto.get("/console/account")
    before = filled.rows()
    for text in ("post/1", str(signal(1)), "alpha video", "nothing like it"):
        otto.post(PAGE, {"text": text})
    assert filled.rows() == before


@pytest.fixture
def with_address(service: Service) -> Service:
    """A service with the hash of an address."""
    (address_signal,) = url_signals(ADDRESS, for_query=False)
    service.caller(name="Alpha").contribute(
        {**item(signals=[str(address_signal)]), "media": "document", "quality": None}
    )
    return service


@pytest.mark.parametrize("text", [ADDRESS, "hxxps://Riverbank[.]org/a?utm_source=x", f"{ADDRESS}?mail=2"])
def test_an_address_finds_its_hash_and_is_not_shown_stored_or_logged(
    with_address: Service, otto: Visitor, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    otto.get("/console/account")
    before = with_address.rows()
    caplog.set_level("DEBUG")
    for address, field in ((PAGE, "text"), ("/console/debugger", "address")):
        page = otto.post(address, {field: text})
        assert verdicts(page.text) == ["yes, by url"]
        assert heading(page) == "Match debugger"
        assert "iverbank" not in page.text
    assert "iverbank" not in caplog.text
    assert with_address.rows() == before


def test_an_address_that_is_also_a_reference_lists_both_meanings(with_address: Service, otto: Visitor) -> None:
    with_address.caller(name="Beta").contribute(*(item(seed, reference=f"{ADDRESS}#{seed}") for seed in range(11)))
    page = otto.post(PAGE, {"text": ADDRESS})
    assert len(links(page.text)) == 10
    assert "reference=http" not in page.text
    assert "Search it as an address" in page.text
    assert verdicts(otto.post(PAGE, {"text": ADDRESS, "as": "hash"}).text) == ["yes, by url"]


def test_an_invalid_address_is_rejected_without_being_repeated(otto: Visitor) -> None:
    reported = faults(otto.post(PAGE, {"text": "https://exa%mple/secret"}))
    assert set(reported) == {"address"}
    assert "secret" not in reported["address"]
    assert "No contribution has it" in otto.post(PAGE, {"text": ADDRESS}).text

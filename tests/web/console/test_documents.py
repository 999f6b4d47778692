"""Documents, texts and addresses in the console."""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.accounts.users import Role
from hashdb.domain.matching.benign import BenignDraft
from hashdb.hashing.texts import hash_text
from hashdb.service.matching import benign
from tests.web.callers import Service, item, service_at
from tests.web.console.documents import address, document, pages, window, windows
from tests.web.console.visitors import Visitor, faults, page_text, sign_in_new_user

LIST = "/console/contributions"
DEBUGGER = "/console/debugger"


def rows(page: str, label: str) -> list[list[str]]:
    """Return the cells of the table with that label."""
    (table,) = re.findall(rf'aria-label="{label}">(.*?)</table>', page, re.DOTALL)
    return [
        [
            html.unescape(re.sub(r"<[^>]*>", "", cell)).strip()
            for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)
        ]
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", table.partition("</thead>")[2], re.DOTALL)
    ]


def test_the_page_of_a_document_shows_its_parts_and_no_text(service: Service, otto: Visitor) -> None:
    benign.add(service.db, COMMAND_LINE, BenignDraft((window(32),), note="A licence"))
    document_pages = pages(1, 2, 3)
    document_pages[1]["quality"] = 30
    service.caller(name="Alpha").contribute(document(*document_pages, *windows(*range(30, 34)), reference="ticket-1"))
    page = otto.get(f"{LIST}/1")
    assert "Line of 3 pages: 3 pages, 2 can match, 1 below quality 50" in page.text
    assert "Line of 500 words: 4 windows, 3 can match, 1 suppressed" in page.text
    assert "Pages and windows of words" in page.text
    facts = dict(re.findall(r"<dt>([^<]+)</dt><dd>(.*?)</dd>", page.text))
    assert (facts["Pages"], facts["Words"]) == ("3", "500")
    assert facts["Text"] == "hashdb does not store the text. Find it at Alpha by its reference."
    assert "Frames" not in facts and "Duration" not in facts
    assert [row[1:] for row in rows(page.text, "Parts")] == [
        ["page 1", "90", "can match"],
        ["page 2", "30", "below quality 50"],
        ["page 3", "90", "can match"],
        ["words 0 to 200", "–", "can match"],
        ["words 100 to 300", "–", "can match"],
        ["words 200 to 400", "–", "suppressed"],
        ["words 300 to 500", "–", "can match"],
    ]
    shots = otto.get(f"{LIST}/1/shots?after=3&limit=2").text
    assert "<h1>Pages and windows of words of contribution 1</h1>" in shots
    assert "Parts 4 to 5 of 7" in shots
    assert (f"{window(31).value:064x}" in shots, f"{window(32).value:064x}" in shots) == (True, False)


def test_a_text_has_windows_only(service: Service, otto: Visitor) -> None:
    service.caller(name="Alpha").contribute(document(*windows(30, 31)))
    page = otto.get(f"{LIST}/1").text
    assert [row[1:] for row in rows(page, "Windows")] == [
        ["words 0 to 200", "can match"],
        ["words 100 to 300", "can match"],
    ]
    assert "below quality 50" not in page
    assert "by its reference, if it has one." in page
    assert "The windows of words have the hashes." in page


def test_the_list_shows_lengths_and_filters_documents_and_texts(service: Service, otto: Visitor) -> None:
    service.caller(name="Alpha").contribute(
        document(*pages(1, 2), *windows(30, 31)), document(*windows(40)), address("https://riverbank.org/a"), item(1)
    )
    document_cell, text_cell, address_cell = (
        "document, 2 pages, 300 words of pages and windows of words only",
        "text, 200 words of windows of words only",
        "document url",
    )
    for query, cells in {
        "media=document": [document_cell, address_cell],
        "media=text": [text_cell],
        "algorithm=simhash256": [document_cell, text_cell],
        "algorithm=url": [address_cell],
    }.items():
        page = page_text(otto.get(f"{LIST}?{query}&order=up")).replace(" ,", ",")
        found = [cell for cell in (document_cell, text_cell, address_cell) if cell in page]
        assert found == cells, query


def test_the_page_of_an_address_shows_only_its_hash(service: Service, otto: Visitor) -> None:
    service.caller(name="Alpha").contribute(address("https://riverbank.org/a", reference="link-1"))
    page = otto.get(f"{LIST}/1").text
    assert "The hash of an address" in page
    assert "hashdb stores only the hash of the address. Find the address at Alpha by its reference." in page
    assert "Quality" not in page and "iverbank" not in page


def test_the_shared_parts_of_two_documents_are_joined_on_both_lines(service: Service, rosa: Visitor) -> None:
    alpha, beta = service.caller(name="Alpha"), service.caller(name="Beta")
    alpha.contribute(document(*pages(*range(1, 9)), *windows(*range(100, 140))))
    beta.contribute(document(*pages(50, 3, 4, 5), *windows(*range(200, 208), *range(110, 120))), item(6))
    dispute = {"opinion": "disputes", "reason": "edsa_context"}
    assert beta.post("/v1/contributions/1/opinions", dispute).status_code == 201
    for path in (f"{LIST}/1/neighbors", "/console/cases/1"):
        page = rosa.get(path).text
        assert "Two lines, of 8 pages and 4 pages, joined by 1 segment" in page
        assert "Two lines, of 4100 words and 1900 words, joined by 1 segment" in page
        segments = [row[1:4] for row in rows(page, "Segments of contribution 2")]
        assert sorted(segments) == [
            ["pages 3 to 5", "pages 2 to 4", "3 of 3"],
            ["words 1000 to 2100", "words 800 to 1900", "10 of 10"],
        ]
        assert "on page 6 of this one" in page
    assert "on page 6 of the other" in rosa.get(f"{LIST}/3/neighbors").text


@pytest.fixture
def service_with_documents(service: Service) -> Service:
    """A service with a document, two texts that share windows with it, and a picture of a page."""
    alpha = service.caller(name="Alpha")
    alpha.contribute(
        document(*pages(*range(1, 9)), *windows(*range(100, 140))),
        document(*windows(*range(120, 126))),
        item(3),
        document(*windows(125, 600, 601)),
    )
    return service


def test_a_pasted_document_is_matched_by_its_pages_and_windows(service_with_documents: Service, otto: Visitor) -> None:
    before = service_with_documents.rows()
    query = {"frames": [*pages(70, 2, 3, away=4), *windows(*range(300, 310), *range(120, 130), away=9)]}
    # As `hashdb hash --json` prints it.
    printed: dict[str, Any] = {"path": "a.pdf", "signals": [], "pages": 3, "words": 2100, **query}
    for pasted in (query, [printed]):
        page = otto.post(DEBUGGER, {"signals": json.dumps(pasted)})
        assert page.status_code == 200, page_text(page)
        assert "The document" in page.text
        assert "3 pages and 20 windows" in page.text
        assert "3 would match, of 4 that are near the document" in page.text
        verdicts = [row[0] for row in rows(page.text, "Contributions near the document")]
        assert sorted(verdicts) == [
            "no, too few consecutive parts match",
            "yes, by 1 page",
            "yes, by 1 segment",
            "yes, by 2 segments",
        ]
        hits = rows(page.text, "Parts near contribution 1")
        assert ["page 2", "page 2", "pdq 4", "none", "2"] in hits
        assert ["words 1000 to 1200", "words 2000 to 2200", "simhash256 9", "none", "1"] in hits
    assert service_with_documents.rows() == before


def test_one_window_matches_the_texts_that_contain_it(service_with_documents: Service, otto: Visitor) -> None:
    page = otto.post(DEBUGGER, {"signals": str(window(121, 8))})
    assert "2</span> would match, of 2" in page.text
    assert "words 2100 to 2300" in page.text
    assert "words 100 to 300" in page.text


def prose(*seeds: int) -> str:
    """Return random words, a thousand for each seed."""
    generators = [Random(seed) for seed in seeds]
    return " ".join(f"w{generator.randrange(10**6)}" for generator in generators for _ in range(1_000))


@pytest.fixture
def accepting() -> Iterator[Service]:
    """A service that accepts texts and has one."""
    with service_at(None, accept_text=True) as service:
        frames = [
            {"words": [int(frame.at), int(frame.end)], "signals": list(map(str, frame.signals))}
            for frame in hash_text(prose(1))
        ]
        service.caller(name="Alpha").contribute(document(*frames))
        yield service


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (DEBUGGER, {"text": prose(2, 1)}),
        (DEBUGGER, {"file": prose(2, 1)}),
        ("/console/find", {"text": prose(2, 1)}),
        ("/console/find", {"text": "", "file": prose(2, 1)}),
    ],
)
def test_an_accepted_text_is_hashed_and_not_stored_shown_or_logged(
    accepting: Service, path: str, fields: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    otto = sign_in_new_user(accepting, "otto", Role.AUDITOR)
    otto.get("/console/account")
    before = accepting.rows()
    caplog.set_level("DEBUG")
    page = otto.post(path, form_fields(fields), content_type="multipart/form-data")
    assert "1 would match, of 1 that are near the text" in page.text, page_text(page)[-800:]
    assert "Two lines, of 2000 words and 1000 words, joined by 1 segment" in page.text
    word = prose(1).split()[500]
    assert word not in page.text and word not in caplog.text
    assert accepting.rows() == before


def form_fields(fields: dict[str, str]) -> dict[str, Any]:
    """Return the fields of a form; `file`, `first` and `second` become files."""
    files = ("file", "first", "second")
    return {name: (io.BytesIO(text.encode()), "a.txt") if name in files else text for name, text in fields.items()}


@pytest.mark.parametrize(
    ("path", "fields", "field"),
    [
        (DEBUGGER, {"text": prose(1)}, "text"),
        (DEBUGGER, {"file": prose(1)}, "file"),
        ("/console/find", {"text": prose(1)}, "text"),
        ("/console/find", {"text": "", "file": prose(1)}, "file"),
        ("/console/compare", {"first": prose(1), "second": prose(1)}, "first"),
        ("/console/benign/new", {"text": prose(1), "note": "x", "signals": ""}, "text"),
    ],
)
def test_a_service_without_texts_refers_to_the_command_line(
    service: Service, ada: Visitor, path: str, fields: dict[str, str], field: str
) -> None:
    reported = faults(ada.post(path, form_fields(fields), content_type="multipart/form-data"))
    assert "hash it on your machine" in reported[field]
    if path == DEBUGGER:
        assert "This service does not accept documents and texts" in ada.get(path).text


def test_two_texts_are_compared_by_their_words(accepting: Service) -> None:
    otto = sign_in_new_user(accepting, "otto", Role.AUDITOR)
    fields = {"first": prose(3, 1), "second": prose(1)}
    page = otto.post("/console/compare", form_fields(fields), content_type="multipart/form-data")
    assert "Would match: yes, by 1 segment" in page.text
    assert "Two lines, of 2000 words and 1000 words, joined by 1 segment" in page.text
    ((_, _, words, *_),) = rows(page.text, "Segments of the second")
    assert [int(word) for word in re.findall(r"\d+", words)] == pytest.approx([0, 1_000], abs=10)


def test_an_admin_adds_the_windows_of_a_text_to_the_benign_list(accepting: Service) -> None:
    ada = sign_in_new_user(accepting, "ada", Role.ADMIN)
    page = ada.post("/console/benign/new", {"text": prose(1), "note": "A licence", "signals": ""})
    assert "would be affected" in page.text, page_text(page)[-800:]
    pasted = html.unescape(re.findall(r'<textarea[^>]*name="signals"[^>]*>([^<]*)<', page.text)[0])
    assert pasted.startswith("simhash256:")
    (token,) = re.findall(r'name="seen" value="([^"]+)"', page.text)
    response = ada.post("/console/benign/new", {"signals": pasted, "note": "A licence", "seen": token})
    entry = ada.follow(response).text
    assert "simhash256" in entry
    assert "A licence" in ada.get("/console/benign?algorithm=simhash256").text
    contribution = ada.get(f"{LIST}/1").text
    assert "suppressed by the benign list" in contribution
    assert "18 windows, 18 suppressed" in contribution

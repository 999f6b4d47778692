"""The pages of the benign list."""

from __future__ import annotations

import re
from dataclasses import replace
from io import BytesIO

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.matching.benign import BenignDraft
from hashdb.service.matching import benign
from tests.builders import near, signal
from tests.films import film
from tests.web.callers import Service, item
from tests.web.console.visitors import Visitor, faults, heading
from tests.web.pictures import photo

NEW = "/console/benign/new"


def preview_token(page: str) -> str:
    """Return the token with which a form confirms the effect that a page shows."""
    (token,) = re.findall(r'name="seen" value="(\w+)"', page)
    return str(token)


def test_an_entry_is_added_only_after_its_effect_was_shown(service: Service, ada: Visitor) -> None:
    caller = service.caller(name="Alpha")
    unaffected = signal(9)
    caller.contribute(item(1), item(signals=[str(near(signal(1), 3)), str(unaffected)]), item(2))
    fields = {"signals": str(signal(1)), "note": "our splash screen", "radius.pdq": "10"}
    before = service.rows()
    preview = ada.post(NEW, fields)
    effect = re.sub(" +", " ", re.sub(r"<[^>]+>|\s+", " ", preview.text))
    assert "2 contributions of 1 member would be affected: 2 of their signals" in effect
    assert "1 of them has no other signal" in effect
    assert service.rows() == before
    assert (
        "would be suppressed" in ada.post(NEW, {**fields, "note": "another", "seen": preview_token(preview.text)}).text
    ), "the token is for another entry"
    assert service.rows() == before
    page = ada.follow(ada.post(NEW, {**fields, "seen": preview_token(preview.text)}))
    assert (heading(page), "suppresses 2 signals" in page.text) == ("Benign entry 1", True)
    assert caller.matched(str(signal(1))) == []
    assert caller.matched(str(unaffected)) == [2]
    assert "2 signals</b> of 2 contributions by 1 member, of which 1 has no other signal" in page.text


def test_a_picture_is_hashed_into_the_field_of_the_signals(service: Service, ada: Visitor) -> None:
    preview = ada.post(NEW, {"note": "a photograph", "file": (BytesIO(photo()), "a.png")})
    assert "<b>0 contributions</b> would be affected" in preview.text
    (signals,) = re.findall(r'<textarea[^>]*name="signals"[^>]*>([^<]*)', preview.text)
    assert signals.startswith("pdq:")
    page = ada.follow(ada.post(NEW, {"note": "a photograph", "signals": signals, "seen": preview_token(preview.text)}))
    assert "a photograph" in page.text


INVALID_FORMS: list[tuple[dict[str, object], str]] = [
    ({}, "signals"),
    ({"signals": "pdq:zz"}, "signals"),
    ({"signals": f"dhash:{'0f' * 8}"}, "signals"),
    ({"signals": str(signal(1)), "radius.pdq": "32"}, "radius"),
    ({"signals": str(signal(1)), "radius.pdq": "some"}, "radius.pdq"),
    ({"signals": str(signal(1)), "radius.phash": "3"}, "radius"),
    ({"signals": str(signal(1)), "note": "x" * 201}, "note"),
    ({"file": (BytesIO(b"no picture"), "a.png")}, "file"),
]


def test_a_video_is_rejected_with_the_reason(ada: Visitor) -> None:
    assert "is a video" in faults(ada.post(NEW, {"file": (BytesIO(film()), "a.mp4")}))["file"]


def test_each_invalid_field_is_reported(service: Service, ada: Visitor) -> None:
    before = service.rows()
    for fields, invalid in INVALID_FORMS:
        assert {field.partition(".")[0] for field in faults(ada.post(NEW, fields))} == {invalid.partition(".")[0]}, (
            fields
        )
    assert service.rows() == before


def test_the_list_can_be_filtered_and_sorted(service: Service, otto: Visitor) -> None:
    for number, note in enumerate(("a splash screen", "a test card"), 1):
        benign.add(service.db, COMMAND_LINE, BenignDraft((signal(number),), note=note))
    benign.add_built_in(service.db, [BenignDraft((signal(3),), built_in="gradients")])

    def entries(query: str) -> list[str]:
        page = otto.get(f"/console/benign?{query}").text
        return re.findall(r'href="/console/benign/(\d+)"', page)

    assert entries("") == ["3", "2", "1"]
    assert entries("text=SPLASH") == ["1"]
    assert entries("text=grad") == ["3"]
    assert entries("text=%25") == []
    assert (entries("whose=own&order=up"), entries("whose=built-in")) == (["1", "2"], ["3"])
    assert (entries("algorithm=pdq&limit=2&order=up"), entries("algorithm=phash")) == (["1", "2"], [])
    assert entries("algorithm=pdq&order=up&after=2.2") == ["3"]
    assert entries("order=up&limit=1&before=3.3&sort=added") == ["2"]
    assert entries("sort=suppresses&order=up&after=0.1") == ["2", "3"]
    assert set(faults(otto.get("/console/benign?whose=mine&after=x"))) == {"whose", "after"}


def test_a_deletion_shows_its_effect_first(service: Service, ada: Visitor) -> None:
    caller = service.caller(name="Alpha")
    caller.contribute(item(1))
    benign.add(service.db, COMMAND_LINE, BenignDraft((signal(1),), note="a mistake"))
    preview = ada.get("/console/benign/1/deletion")
    assert "<b>1 signal</b> of 1 contribution by 1 member" in preview.text
    assert "Entry 1 was deleted." in ada.follow(ada.post("/console/benign/1/deletion")).text
    assert caller.matched(str(signal(1))) == [1]
    assert ada.post("/console/benign/1/deletion").status_code == 404


def test_the_first_of_two_persons_only_proposes_an_entry(service: Service, ada: Visitor) -> None:
    service.db.rules = replace(service.db.rules, two_persons=True)
    fields = {"signals": str(signal(1)), "note": "x"}
    preview = ada.post(NEW, fields)
    assert "Propose this entry" in preview.text
    page = ada.follow(ada.post(NEW, {**fields, "seen": preview_token(preview.text)}))
    assert heading(page) == "Proposal 1: add a benign entry"
    assert service.rows()["benign"] == 0


def test_an_auditor_sees_no_form(otto: Visitor) -> None:
    page = otto.get(NEW)
    assert (page.status_code, "Only an admin can add entries." in page.text, 'name="signals"' in page.text) == (
        200,
        True,
        False,
    )

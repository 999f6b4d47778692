"""The match debugger."""

from __future__ import annotations

import io
import re

import pytest

from hashdb.domain.signals import Algorithm
from tests.builders import near, signal, sparse
from tests.web.callers import Service, item
from tests.web.console.visitors import Visitor, faults
from tests.web.pictures import photo

PAGE = "/console/debugger"


def verdicts(text: str) -> list[str]:
    return re.findall(r"data-verdict>([^<]*)<", text)


def test_it_tells_what_would_match_at_a_radius_and_why_not(service: Service, otto: Visitor) -> None:
    alpha = service.caller(name="Alpha")
    alpha.contribute(
        *(item(signals=[str(near(signal(1), bits, seed))]) for bits, seed in ((8, 0), (10, 2), (40, 0))),
    )
    alpha.post("/v1/contributions/2/withdrawal", {"reason": "other"})
    page = otto.post(PAGE, {"signals": str(signal(1))})
    assert verdicts(page.text) == ["yes, by pdq", "no, withdrawn", "no, too far"]
    assert ">1</span> would match, of 3" in page.text
    assert verdicts(otto.post(PAGE, {"signals": str(signal(1)), "radius.pdq": "40"}).text)[2] == "yes, by pdq"
    assert verdicts(otto.post(PAGE, {"signals": str(signal(1)), "radius.pdq": "7"}).text)[0] == "no, too far"
    assert "Nothing is within twice the default radius." in otto.post(PAGE, {"signals": str(signal(9))}).text


def test_of_a_small_thing_on_a_plain_ground_it_says_that_members_are_answered_less(
    service: Service, otto: Visitor
) -> None:
    service.caller(name="Alpha").contribute(item(signals=[str(near(sparse(1), 30)), str(signal(1))]))
    page = otto.post(PAGE, {"signals": str(sparse(1))})
    assert verdicts(page.text) == ["no, too far"]
    assert ">sparse</small>" in page.text
    assert verdicts(otto.post(PAGE, {"signals": str(sparse(1)), "radius.phash256": "45"}).text) == ["yes, by phash256"]


def test_a_transform_through_which_it_is_found_is_named(service: Service, otto: Visitor) -> None:
    service.caller(name="Alpha").contribute(item(1))
    page = otto.post(PAGE, {"signals": f"{signal(2)}\nmirror {signal(1)}"})
    assert "<small>mirror</small>" in page.text


def test_a_picture_is_hashed_and_not_kept(service: Service, otto: Visitor) -> None:
    before = service.rows()
    sent = {"file": (io.BytesIO(photo()), "a.png"), "transforms": "1", "signals": ""}
    page = otto.post(PAGE, sent, content_type="multipart/form-data")
    assert page.status_code == 200
    assert re.search(r"pdq:[0-9a-f]{64}", page.text)
    assert "mirror pdq:" in page.text
    assert service.rows() == before


@pytest.mark.parametrize(
    ("sent", "wrong"),
    [
        ({}, {"signals"}),
        ({"signals": "pdq:12\nx"}, {"signals"}),
        ({"signals": str(signal(1, Algorithm.AHASH))}, {"signals"}),
        ({"signals": str(signal(1)), "radius.pdq": "63"}, {"radius.pdq"}),
        ({"signals": str(signal(1)), "radius.pdq": "wide"}, {"radius.pdq"}),
    ],
)
def test_what_is_wrong_is_told_at_its_field(otto: Visitor, sent: dict[str, str], wrong: set[str]) -> None:
    assert set(faults(otto.post(PAGE, sent))) == wrong


def test_what_is_no_picture_is_told(otto: Visitor) -> None:
    sent = {"file": (io.BytesIO(b"not a picture"), "a.png")}
    assert set(faults(otto.post(PAGE, sent, content_type="multipart/form-data"))) == {"file"}


def test_only_what_is_posted_is_looked_for(otto: Visitor) -> None:
    page = otto.get(f"{PAGE}?signals={signal(1)}")
    assert (page.status_code, verdicts(page.text)) == (200, [])
    assert ">pdq:" not in page.text

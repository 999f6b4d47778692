"""The pages of incidents."""

from __future__ import annotations

import re

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.service.contributions import contributions
from tests.web.callers import Service, item
from tests.web.console.visitors import Visitor, faults, heading

LABEL = "CIP:example-2026"
FIELDS = {"label": LABEL, "start": "2026-11-20T08:00", "end": "2026-11-21T08:00", "expires": "yes"}


def preview_token(page: str) -> str:
    (token,) = re.findall(r'name="seen" value="(\w+)"', page)
    return str(token)


def expiry(service: Service, id: int) -> str:
    at = contributions.get(service.db, COMMAND_LINE, id).expires_at
    return "" if at is None else f"{at:%d %H:%M}"


def test_an_incident_without_contributions_is_opened_at_once(ada: Visitor) -> None:
    page = ada.follow(ada.post("/console/incidents", FIELDS))
    assert (heading(page), "ongoing" in page.text) == (LABEL, True)
    assert LABEL in ada.get("/console/incidents").text


def test_a_new_incident_shows_first_which_contributions_would_expire(service: Service, ada: Visitor) -> None:
    service.caller(name="Alpha").contribute(item(1, incident=LABEL), item(2, incident=LABEL), item(3))
    preview = ada.post("/console/incidents", FIELDS)
    assert "<b>2</b> of them would expire at <time" in preview.text
    assert service.rows()["incidents"] == 0
    other_preview = ada.post(
        "/console/incidents", {**FIELDS, "end": "2026-11-22T08:00", "seen": preview_token(preview.text)}
    )
    assert service.rows()["incidents"] == 0, "the token is for another end"
    ada.follow(ada.post("/console/incidents", {**FIELDS, "seen": preview_token(preview.text)}))
    assert [expiry(service, id) for id in (1, 2, 3)] == ["21 08:00", "21 08:00", ""]
    assert preview_token(other_preview.text) != preview_token(preview.text)


def test_a_change_shows_first_its_effect_on_contributions(service: Service, ada: Visitor) -> None:
    ada.post("/console/incidents", FIELDS)
    service.caller(name="Alpha").contribute(item(1, incident=LABEL))
    page = ada.get("/console/incidents/1").text
    assert 'value="2026-11-21T08:00"' in page
    change = {"start": "2026-11-20T08:00", "end": "", "expires": "yes"}
    preview = ada.post("/console/incidents/1", change)
    assert "None of them would expire with the incident any more." in preview.text
    assert expiry(service, 1) == "21 08:00"
    ada.follow(ada.post("/console/incidents/1", {**change, "seen": preview_token(preview.text)}))
    assert expiry(service, 1) == ""
    early = {**change, "end": "2026-11-20T09:00"}
    preview = ada.post("/console/incidents/1", early)
    assert "<b>1</b> of them would expire at once" in preview.text


def test_a_change_that_affects_no_contribution_is_made_at_once(ada: Visitor) -> None:
    ada.post("/console/incidents", {**FIELDS, "expires": ""})
    page = ada.follow(ada.post("/console/incidents/1", {"start": "2026-11-19T08:00", "end": "2026-11-20T09:00"}))
    assert ("was changed" in page.text, "ended" in page.text) == (True, True)


def test_each_invalid_field_is_reported(service: Service, ada: Visitor) -> None:
    before = service.rows()
    for fields, invalid in (
        ({}, {"label", "start"}),
        ({**FIELDS, "label": "CIP"}, {"label"}),
        ({**FIELDS, "start": "yesterday"}, {"start"}),
        ({**FIELDS, "end": "2026-11-20T08:00"}, {"end"}),
        ({**FIELDS, "end": "2026-13-20T08:00"}, {"end"}),
    ):
        assert set(faults(ada.post("/console/incidents", fields))) == invalid
    assert service.rows() == before


def test_an_invalid_change_is_reported_at_its_field(ada: Visitor) -> None:
    ada.post("/console/incidents", FIELDS)
    assert set(faults(ada.post("/console/incidents/1", {"start": "", "end": "x"}))) == {"end"}
    assert set(faults(ada.post("/console/incidents/1", {"start": "2026-11-21T08:00", "end": FIELDS["end"]}))) == {"end"}
    duplicate = ada.post("/console/incidents", FIELDS)
    assert (duplicate.status_code, "already exists" in duplicate.text) == (422, True)


def test_an_auditor_sees_incidents_without_a_form(ada: Visitor, otto: Visitor) -> None:
    ada.post("/console/incidents", FIELDS)
    for path in ("/console/incidents", "/console/incidents/1"):
        page = otto.get(path)
        assert (LABEL in page.text, "Begins, UTC</label>" in page.text) == (True, False)

"""The pages of members and keys."""

from __future__ import annotations

import re

import pytest

from hashdb.service.stats import counts
from tests.web.callers import Caller, Service, item, pdq
from tests.web.console.visitors import Visitor, faults, heading, page_text


@pytest.fixture
def alpha(service: Service, ada: Visitor) -> Caller:
    """A member with a key."""
    return service.caller(name="Alpha")


def test_a_member_is_added_and_gets_a_key_that_works(service: Service, ada: Visitor) -> None:
    fields = {"name": "Alpha", "kind": "platform", "contact": "a@example.org", "limits.contributions_per_day": "7"}
    page = ada.follow(ada.post("/console/members", fields))
    assert (heading(page), "at most 7" in page.text) == ("Alpha", True)
    issued = ada.post("/console/members/1/keys", {"scopes": ["match", "contribute"], "expires_at": "2027-01-01"})
    (secret,) = re.findall(r"hdb_[\w-]+", issued.text)
    me = Caller(service.app.test_client(), secret).get("/v1/me").get_json()
    assert (me["member"]["name"], me["key"]["scopes"]) == ("Alpha", ["contribute", "match"])
    assert secret not in ada.get("/console/members/1").text


@pytest.mark.parametrize(
    ("fields", "invalid"),
    [
        ({}, {"name", "kind"}),
        ({"name": " ", "kind": "club"}, {"name", "kind"}),
        ({"name": "A" * 101, "kind": "platform"}, {"name"}),
        ({"name": "12", "kind": "platform"}, {"name"}),
        ({"name": "A", "kind": "platform", "contact": "x" * 201}, {"contact"}),
        ({"name": "A", "kind": "platform", "limits.contributions_per_day": "-1"}, {"limits.contributions_per_day"}),
        ({"name": "A", "kind": "platform", "limits.contributions_per_day": "9" * 16}, {"limits.contributions_per_day"}),
        ({"name": "A", "kind": "platform", "limits.contributions_per_day": "many"}, {"limits.contributions_per_day"}),
    ],
)
def test_each_invalid_field_is_reported(
    service: Service, ada: Visitor, alpha: Caller, fields: dict[str, str], invalid: set[str]
) -> None:
    before = service.rows()
    for path in ("/console/members", "/console/members/1"):
        page = ada.post(path, fields)
        assert set(faults(page)) == invalid
        assert page.text.count('aria-invalid="true"') == len(invalid)
    assert service.rows() == before


def test_a_name_in_use_is_rejected(service: Service, ada: Visitor, alpha: Caller) -> None:
    page = ada.post("/console/members", {"name": "Alpha", "kind": "platform"})
    assert (page.status_code, "A member named Alpha already exists." in page.text) == (422, True)
    assert 'value="Alpha"' in page.text


@pytest.mark.parametrize(
    ("fields", "invalid"),
    [
        ({}, "scopes"),
        ({"scopes": ["everything"]}, "scopes[0]"),
        ({"scopes": ["match"], "expires_at": "tomorrow"}, "expires_at"),
        ({"scopes": ["match"], "expires_at": "2020-01-01"}, "expires_at"),
    ],
)
def test_an_invalid_key_is_rejected(ada: Visitor, alpha: Caller, fields: dict[str, str], invalid: str) -> None:
    assert set(faults(ada.post("/console/members/1/keys", fields))) == {invalid}


def test_a_suspension_shows_its_effect_first(service: Service, ada: Visitor, alpha: Caller) -> None:
    alpha.contribute(item())
    preview = ada.get("/console/members/1/status")
    assert re.findall(r"<b>(\d+ \w+)</b>", preview.text) == ["1 key", "1 contribution", "0 opinions"]
    page = ada.follow(ada.post("/console/members/1/status", {"status": "suspended"}))
    assert "Alpha is now suspended." in page.text
    assert alpha.get("/v1/me").status_code == 403
    ada.post("/console/members/1/status", {"status": "active"})
    assert alpha.get("/v1/me").status_code == 200


def test_a_key_is_revoked_once(service: Service, ada: Visitor, alpha: Caller) -> None:
    assert heading(ada.get("/console/members/1/keys/1/revocation")) == "Revoke key 1 of Alpha"
    assert ada.post("/console/members/1/keys/1/revocation").status_code == 303
    assert alpha.get("/v1/me").status_code == 401
    assert ada.post("/console/members/1/keys/1/revocation").status_code == 409
    assert "revoked" in ada.get("/console/members/1").text


def test_a_key_of_another_member_is_not_found(service: Service, ada: Visitor, alpha: Caller) -> None:
    service.caller(name="Beta")
    assert ada.get("/console/members/2/keys/1/revocation").status_code == 404
    assert ada.post("/console/members/2/keys/1/revocation").status_code == 404
    assert ada.get("/console/members/keys/2").headers["Location"] == "/console/members/2"


def test_a_member_page_shows_the_activity_of_the_last_30_days(service: Service, ada: Visitor, alpha: Caller) -> None:
    alpha.contribute(item())
    assert "1 contribution (0 % within one hour of the removal), 0 opinions" in ada.get("/console/members/1").text
    service.clock.advance(days=31)
    ada.sign_in()
    assert "0 contributions, 0 opinions" in ada.get("/console/members/1").text
    assert "2026-11-20 12:00:00" in ada.get("/console/members").text


def test_a_member_page_shows_volume_and_precision(service: Service, ada: Visitor, alpha: Caller) -> None:
    alpha.contribute(item(1), item(2))
    beta = service.caller(name="Beta")
    for id, opinion in ((1, {"opinion": "confirms"}), (2, {"opinion": "disputes", "reason": "other"})):
        assert beta.post(f"/v1/contributions/{id}/opinions", opinion).status_code == 201
    for _ in range(3):
        beta.matched(pdq(1))
    counts.flush(service.db)
    page = ada.get("/console/members/1").text
    assert ("50.0 %" in page, "of 2 judged, 95 % interval 9 to 91 %" in page) == (True, True)
    assert "interval-open" in page
    assert "3 queries, 3 hits" in ada.get("/console/members/2").text
    assert re.search(r'status=active">2</a>', ada.get("/console/members").text)


def test_the_list_of_members_has_pages(service: Service, ada: Visitor) -> None:
    for _ in range(3):
        service.caller()
    first = ada.get("/console/members?limit=2")
    (next_page,) = re.findall(r'rel="next" href="([^"]+)"', first.text)
    last = ada.get(next_page.replace("&amp;", "&")).text
    assert ("1–2 of 3" in first.text, ">3 of 3<" in last, "Member 3" in last) == (True, True, True)
    assert re.findall(r"Member \d", ada.get("/console/members?sort=name&order=down").text)[0] == "Member 3"
    assert ada.get("/console/members?sort=height").status_code == 422


def test_a_key_can_be_issued_without_distances(service: Service, ada: Visitor, alpha: Caller) -> None:
    fields = {"scopes": ["match"], "hides_distances": "hidden"}
    issued = ada.post("/console/members/1/keys", fields)
    (secret,) = re.findall(r"hdb_[\w-]+", issued.text)
    assert "<dd>hidden</dd>" in issued.text
    assert Caller(service.app.test_client(), secret).get("/v1/me").get_json()["key"]["hides_distances"] is True
    assert "match (no distances)" in page_text(ada.get("/console/members/1"))
    assert set(faults(ada.post("/console/members/1/keys", {**fields, "scopes": ["match", "feed"]}))) == {
        "hides_distances"
    }

"""/v1/incidents: added, changed, and the expiry of their contributions."""

from __future__ import annotations

from hashdb.domain.accounts.members import Scope
from tests.web.callers import Caller, Service, body, faults, item, pdq, problem, service_at

URL = "/v1/incidents"
START, END = "2026-11-19T00:00:00.000000Z", "2026-11-21T00:00:00.000000Z"


def test_an_incident_is_added_and_changed_and_contributions_expire_with_it(
    service: Service, admin: Caller, platform: Caller
) -> None:
    response = admin.post(URL, {"label": "CIP:example", "start": START, "end": END, "expires": True})
    assert response.status_code == 201
    added = body(response)
    assert added == {"id": added["id"], "label": "CIP:example", "start": START, "end": END, "expires": True}
    assert body(admin.get(URL)) == {"incidents": [added], "next": None}
    assert body(admin.get(f"{URL}/{added['id']}")) == added
    (contribution,) = platform.contribute(item(1, incident="CIP:example"))
    assert contribution["expires_at"] == END
    later = "2026-11-22T00:00:00.000000Z"
    assert body(admin.patch(f"{URL}/{added['id']}", {"end": later})) == {**added, "end": later}
    assert body(platform.get(f"/v1/contributions/{contribution['id']}"))["expires_at"] == later
    service.clock.advance(days=2)
    assert platform.matched(pdq(1)) == []
    rejected = platform.post("/v1/contributions", {"contributions": [item(2, incident="CIP:example")]})
    assert list(faults(rejected)) == ["contributions[0].incident"]
    assert body(admin.patch(f"{URL}/{added['id']}", {"end": None}))["end"] is None
    assert platform.matched(pdq(1)) == [contribution["id"]]


def test_an_invalid_incident_is_rejected(admin: Caller) -> None:
    admin.post(URL, {"label": "CI:x", "start": START})
    assert problem(admin.post(URL, {"label": "CI:x", "start": START}), 409, "incident-exists")["label"] == "CI:x"
    assert list(faults(admin.post(URL, {"label": "x", "start": END, "end": START}))) == ["label", "end"]
    assert list(faults(admin.patch(f"{URL}/1", {"end": START}))) == ["end"]
    assert list(faults(admin.patch(f"{URL}/1", {"label": "CI:y", "start": None}))) == ["start", "label"]
    problem(admin.get(f"{URL}/7"), 404)
    problem(admin.patch(f"{URL}/7", {}), 404)


def test_incidents_need_the_scope_admin(service: Service) -> None:
    for scope in set(Scope) - {Scope.ADMIN}:
        caller = service.caller(scope)
        for method, path in (("GET", URL), ("POST", URL), ("GET", f"{URL}/1"), ("PATCH", f"{URL}/1")):
            problem(caller.request(method, path), 403, "scope-missing")


def test_the_retention_of_a_label_sets_the_expiry() -> None:
    with service_at(None, retention="graphic_violence=365") as service:
        caller = service.caller()
        violent, other = caller.contribute(item(1, labels=["graphic_violence"]), item(2))
    assert (violent["expires_at"], other["expires_at"]) == ("2027-11-20T12:00:00.000000Z", None)

"""/v1/members: the members and their keys."""

from __future__ import annotations

import re

import pytest

from hashdb.domain.accounts.members import Scope
from tests.web.callers import Caller, Service, body, faults, problem

URL = "/v1/members"


def _add_member(admin: Caller, name: str = "New", **fields: object) -> int:
    """The id of a new member."""
    response = admin.post(URL, {"name": name, "kind": "platform", **fields})
    assert response.status_code == 201
    return int(body(response)["id"])


def test_a_member_is_added_and_shown(service: Service, admin: Caller) -> None:
    fields = {"name": "Caf\u00e9 \u00e0 2", "kind": "trusted_flagger", "contact": "abuse@example.org"}
    response = admin.post(URL, {**fields, "limits": {"contributions_per_day": 5}})
    assert response.status_code == 201
    added = body(response)
    assert added == {
        "id": added["id"],
        **fields,
        "status": "active",
        "limits": {"contributions_per_day": 5},
        "created_at": "2026-11-20T12:00:00.000000Z",
    }
    assert body(admin.get(f"{URL}/{added['id']}")) == added
    assert added in body(admin.get(URL))["members"]


def test_two_members_cannot_have_the_same_name(admin: Caller) -> None:
    first, second = _add_member(admin, "One"), _add_member(admin, "Two")
    assert problem(admin.post(URL, {"name": "One", "kind": "platform"}), 409, "name-taken")["name"] == "One"
    problem(admin.patch(f"{URL}/{second}", {"name": "One"}), 409, "name-taken")
    assert body(admin.patch(f"{URL}/{first}", {"name": "One"}))["name"] == "One"


def test_all_faults_of_a_member_are_reported(service: Service, admin: Caller) -> None:
    before = service.rows()
    fields = {"name": "", "kind": "bank", "contact": "x" * 201, "limits": {"contributions_per_day": -1}, "iban": "x"}
    rejected = faults(admin.post(URL, fields))
    assert set(rejected) == {"name", "kind", "contact", "limits.contributions_per_day", "iban"}
    assert service.rows() == before


def test_a_change_of_a_member_keeps_the_other_fields(admin: Caller) -> None:
    id = _add_member(admin, contact="a@b", limits={"contributions_per_day": 5})
    assert body(admin.patch(f"{URL}/{id}", {"kind": "authority"}))["contact"] == "a@b"
    assert body(admin.patch(f"{URL}/{id}", {"limits": {}}))["limits"] == {"contributions_per_day": 5}
    changed = body(admin.patch(f"{URL}/{id}", {"limits": {"contributions_per_day": None}, "contact": ""}))
    assert (changed["limits"], changed["contact"], changed["kind"]) == (
        {"contributions_per_day": None},
        "",
        "authority",
    )
    assert set(faults(admin.patch(f"{URL}/{id}", {"name": None, "status": "gone", "id": 3}))) == {
        "name",
        "status",
        "id",
    }


def test_a_suspended_member_is_rejected_until_it_is_reinstated(admin: Caller, platform: Caller) -> None:
    url = f"{URL}/{platform.member}"
    assert body(admin.patch(url, {"status": "suspended"}))["status"] == "suspended"
    for path in ("/v1/me", "/v1/changes", "/v1/contributions", "/v1/contributions/1"):
        problem(platform.get(path), 403, "member-suspended")
    problem(platform.post("/v1/matches", {}), 403, "member-suspended")
    problem(platform.post("/v1/contributions", data="x"), 403, "member-suspended")
    body(admin.patch(url, {"status": "active"}))
    assert platform.get("/v1/me").status_code == 200


def test_the_secret_of_a_key_is_shown_only_when_it_is_issued(service: Service, admin: Caller) -> None:
    id = _add_member(admin)
    scopes = ["match", "feed", "match"]
    response = admin.post(f"{URL}/{id}/keys", {"scopes": scopes, "expires_at": "2027-01-01T00:00:00Z"})
    assert response.status_code == 201
    issued = body(response)
    secret = issued.pop("secret")
    assert re.fullmatch(r"hdb_[A-Za-z0-9_-]+", secret)
    assert issued == {
        "id": issued["id"],
        "scopes": ["feed", "match"],
        "created_at": "2026-11-20T12:00:00.000000Z",
        "expires_at": "2027-01-01T00:00:00.000000Z",
        "revoked_at": None,
    }
    assert isinstance(issued["id"], str)
    listed = admin.get(f"{URL}/{id}/keys")
    assert body(listed) == {"keys": [issued], "next": None}
    assert secret not in listed.text
    assert secret.encode() not in b"".join(_files(service))
    assert Caller(service.app.test_client(), secret).get("/v1/me").status_code == 200


def _files(service: Service) -> list[bytes]:
    """The content of SQLite's file and of its write-ahead log."""
    path = service.url.removeprefix("sqlite:///")
    contents = []
    for suffix in ("", "-wal"):
        with open(path + suffix, "rb") as file:
            contents.append(file.read())
    return contents


@pytest.mark.parametrize(
    ("key", "places"),
    [
        ({}, ["scopes"]),
        ({"scopes": []}, ["scopes"]),
        ({"scopes": ["root", "match"]}, ["scopes[0]"]),
        ({"scopes": ["match"], "expires_at": "2026-11-20T12:00:00Z"}, ["expires_at"]),
        ({"scopes": ["match"], "secret": "hdb_mine"}, ["secret"]),
        ({"scopes": ["match", "feed"], "hides_distances": True}, ["hides_distances"]),
        ({"scopes": ["admin"], "hides_distances": True}, ["hides_distances"]),
        ({"scopes": ["match"], "hides_distances": "yes"}, ["hides_distances"]),
    ],
)
def test_the_invalid_fields_of_a_key_are_named(admin: Caller, key: object, places: list[str]) -> None:
    assert list(faults(admin.post(f"{URL}/{admin.member}/keys", key))) == places


def test_an_expired_key_is_rejected(service: Service, admin: Caller) -> None:
    key = {"scopes": ["match"], "expires_at": "2026-11-20T12:00:01Z"}
    caller = Caller(service.app.test_client(), body(admin.post(f"{URL}/{admin.member}/keys", key))["secret"])
    assert caller.get("/v1/me").status_code == 200
    service.clock.advance(seconds=1)
    problem(caller.get("/v1/me"), 401, "not-authenticated")


def test_a_revoked_key_is_rejected_from_the_next_request_on(admin: Caller, platform: Caller) -> None:
    url = f"{URL}/{platform.member}/keys/{platform.key}"
    assert platform.get("/v1/me").status_code == 200
    response = admin.delete(url)
    assert (response.status_code, response.data, "Content-Type" in response.headers) == (204, b"", False)
    problem(platform.get("/v1/me"), 401, "not-authenticated")
    problem(admin.delete(url), 409, "already-revoked")
    (key,) = body(admin.get(f"{URL}/{platform.member}/keys"))["keys"]
    assert key["revoked_at"] == "2026-11-20T12:00:00.000000Z"


def test_a_key_can_only_be_revoked_under_its_own_member(admin: Caller, platform: Caller, other: Caller) -> None:
    problem(admin.delete(f"{URL}/{other.member}/keys/{platform.key}"), 404, "not-found")
    problem(admin.delete(f"{URL}/{other.member}/keys/999"), 404, "not-found")
    assert platform.get("/v1/me").status_code == 200


def test_a_member_that_does_not_exist_is_not_found(admin: Caller) -> None:
    for id in ("0", "999", "9" * 20, "x"):
        problem(admin.get(f"{URL}/{id}"), 404, "not-found")
        problem(admin.patch(f"{URL}/{id}", {}), 404, "not-found")
        problem(admin.get(f"{URL}/{id}/keys"), 404, "not-found")
        problem(admin.post(f"{URL}/{id}/keys", {"scopes": ["match"]}), 404, "not-found")


def test_members_and_keys_need_the_scope_admin(service: Service) -> None:
    caller = service.caller(*(set(Scope) - {Scope.ADMIN}))
    url = f"{URL}/{caller.member}"
    for method, path in [
        ("GET", URL),
        ("POST", URL),
        ("GET", url),
        ("PATCH", url),
        ("GET", f"{url}/keys"),
        ("POST", f"{url}/keys"),
        ("DELETE", f"{url}/keys/{caller.key}"),
    ]:
        assert problem(caller.request(method, path), 403, "scope-missing")["scope"] == "admin"


def test_members_and_keys_are_listed_page_by_page(admin: Caller) -> None:
    ids = [admin.member, *(_add_member(admin, f"M{n}") for n in range(4))]
    listed, after = [], 0
    while after is not None:
        page = body(admin.get(f"{URL}?limit=2&after={after}"))
        listed += [member["id"] for member in page["members"]]
        after = page["next"]
    assert listed == ids
    for _ in range(2):
        admin.post(f"{URL}/{ids[1]}/keys", {"scopes": ["match"]})
    first = body(admin.get(f"{URL}/{ids[1]}/keys?limit=1"))
    last = body(admin.get(f"{URL}/{ids[1]}/keys?limit=1&after={first['next']}"))
    assert last["next"] is None
    assert first["keys"] != last["keys"]

"""Saved views: which users can see, change and remove them."""

from __future__ import annotations

import html
import re

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.accounts.users import UserChange, UserStatus
from hashdb.service.accounts import users
from tests.builders import signal
from tests.web.callers import Service, item
from tests.web.console.visitors import Visitor, faults

PAGE = "/console/views"
LIST = "/console/contributions"


def save(visitor: Visitor, name: str, query: str = "severity=4", page: str = "contributions", **more: str) -> int:
    """Save a view and return its id."""
    answer = visitor.post(PAGE, {"name": name, "query": query, "page": page, **more})
    assert answer.status_code == 303, answer.text
    return max(map(int, re.findall(r"/console/views/(\d+)/removal", visitor.get(PAGE).text)))


def view_addresses(visitor: Visitor, path: str = LIST) -> list[str]:
    """Return the addresses of the saved views above a list."""
    match = re.search(r'<nav aria-label="Saved views">(.*?)</nav>', visitor.get(path).text, re.DOTALL)
    return re.findall(r'href="(/console/(?!views)[^"]*)"', html.unescape(match[1])) if match else []


def test_a_user_saves_the_filter_of_a_list_as_a_view(service: Service, otto: Visitor) -> None:
    service.caller(name="Alpha").contribute(item(1))
    assert "Save this view" not in otto.get(LIST).text
    page = otto.get(f"{LIST}?label=glorification&sort=received&order=down&reference=")
    assert 'name="query" value="label=glorification&amp;sort=received&amp;order=down"' in page.text
    save(otto, "Glorification", "label=glorification&sort=received&order=down&after=17.3&newer=9&exact=1&reference=")
    (address,) = view_addresses(otto)
    assert address == f"{LIST}?label=glorification&sort=received&order=down"
    assert 'aria-current="page">Glorification' in otto.get(address).text
    assert "Save this view" not in otto.get(address).text
    assert view_addresses(otto, "/console/cases") == []


@pytest.mark.parametrize("page", ["benign", "cases", "contributions", "events", "incidents", "members"])
def test_each_list_shows_its_own_views(otto: Visitor, page: str) -> None:
    save(otto, "Mine", "limit=25", page)
    assert view_addresses(otto, f"/console/{page}") == [f"/console/{page}?limit=25"]


def test_other_users_see_only_shared_views(service: Service, otto: Visitor, rosa: Visitor) -> None:
    private, shared = save(otto, "Own", "severity=3"), save(otto, "Shared", "severity=4", shared="yes")
    assert view_addresses(rosa) == [f"{LIST}?severity=4"]
    assert "by otto" in rosa.get(LIST).text
    for id in (private, shared):
        assert rosa.post(f"{PAGE}/{id}", {"name": "Taken"}).status_code == 404
    assert rosa.post(f"{PAGE}/{private}/removal").status_code == 404
    assert rosa.post(f"{PAGE}/{shared}/removal").status_code == 403
    assert f"/console/views/{shared}" not in rosa.get(PAGE).text
    assert len(view_addresses(otto)) == 2


def test_the_owner_renames_shares_and_removes_a_view(otto: Visitor, rosa: Visitor) -> None:
    id = save(otto, "Crisis")
    assert otto.post(f"{PAGE}/{id}", {"name": "Crisis first", "shared": "yes"}).status_code == 303
    assert "Crisis first" in rosa.get(LIST).text
    assert otto.post(f"{PAGE}/{id}", {"name": "Crisis first"}).status_code == 303
    assert view_addresses(rosa) == []
    assert otto.post(f"{PAGE}/{id}/removal").status_code == 303
    assert otto.post(f"{PAGE}/{id}/removal").status_code == 404


def test_an_admin_removes_the_shared_view_of_a_disabled_user(
    service: Service, ada: Visitor, otto: Visitor, rosa: Visitor
) -> None:
    private, shared = save(otto, "Own", "severity=3"), save(otto, "Shared", shared="yes")
    owner = users.named(service.db, COMMAND_LINE, "otto")
    users.change(service.db, COMMAND_LINE, owner.id, UserChange(status=UserStatus.DISABLED))
    assert view_addresses(rosa) == view_addresses(ada) == [f"{LIST}?severity=4"]
    assert ada.post(f"{PAGE}/{private}/removal").status_code == 404
    assert ada.post(f"{PAGE}/{shared}/removal").status_code == 303
    assert view_addresses(rosa) == []


@pytest.mark.parametrize(
    ("fields", "invalid"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"page": "nowhere"}, "page"),
        ({"query": "after=7&reference="}, "query"),
        ({"query": f"reference={signal(1).value:064x}"}, "query"),
        ({"query": f"{signal(1).value:064x}=1"}, "query"),
        ({"query": "label=" + "x." * 600}, "query"),
        ({"query": "label=\x00"}, "query"),
    ],
)
def test_an_invalid_view_is_reported_at_its_field(
    service: Service, otto: Visitor, fields: dict[str, str], invalid: str
) -> None:
    answer = otto.post(PAGE, {"name": "A view", "page": "cases", "query": "order=severity", **fields})
    assert list(faults(answer)) == [invalid]
    assert service.rows()["saved_views"] == 0


def test_a_name_is_unique_for_each_user_and_list(otto: Visitor, rosa: Visitor) -> None:
    id = save(otto, "Mine")
    save(otto, "Mine", "order=severity", "cases")
    save(rosa, "Mine")
    other = save(otto, "Other")
    for path, fields in ((PAGE, {"page": "contributions", "query": "severity=1"}), (f"{PAGE}/{other}", {})):
        answer = otto.post(path, {"name": "Mine", **fields})
        assert (answer.status_code, "A view named Mine already exists." in answer.text) == (422, True)
    assert id != other


def test_a_user_can_save_only_a_limited_number_of_views(monkeypatch: pytest.MonkeyPatch, otto: Visitor) -> None:
    monkeypatch.setattr("hashdb.service.accounts.saved_views.MOST_VIEWS", 2)
    for name in ("One", "Two"):
        save(otto, name)
    answer = otto.post(PAGE, {"name": "Three", "page": "cases", "query": "order=severity"})
    assert faults(answer)["name"] == "cannot be saved: you already have 2 views; remove one first"


def test_a_name_is_escaped_on_pages(otto: Visitor) -> None:
    save(otto, "<b>x</b>", "label=%3Cscript%3E")
    for path in (LIST, PAGE):
        page = otto.get(path).text
        assert ("<b>x</b>" in page, "<script>" in page, "&lt;b&gt;x" in page) == (False, False, True)

"""Every link and every button of every page: for each role, the service accepts it, and does what it says."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, MemberChange, MemberStatus, Scope
from hashdb.domain.accounts.users import Role
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.review.cases import Decision
from hashdb.domain.review.incidents import IncidentDraft
from hashdb.service.accounts import members, users
from hashdb.service.contributions import contributions
from hashdb.service.matching import benign
from hashdb.service.review import cases, incidents
from tests.builders import signal
from tests.web.callers import Service, item
from tests.web.console.controls import Page, Press
from tests.web.console.visitors import Visitor, add_user, faults, page_text, sign_in_new_user

LAST = ("/console/account/second-factor", "/console/account/password", "/console/sign-in/out")
"""What changes how the user signs in is pressed last, and then what ends the session."""
MORE = {"/console/account/second-factor": {"code"}, "/console/compare": {"first", "second"}}
"""What takes a value that only another device knows, or a file: the fields at which it is refused."""
ALIKE, MANY = 2, 3
"""How many pages are opened that differ in a number, or in the query, only; the larger one is of `OFTEN`."""
OFTEN = ("/console/contributions/", "/console/cases/")


class Walk:
    """A person who opens every page and presses every button."""

    def __init__(self, service: Service, role: Role) -> None:
        self._service = service
        number = len(users.page(service.db, COMMAND_LINE, 0, 99)) + 1
        self.visitor: Visitor = sign_in_new_user(service, f"visitor {number}", role)
        self.wrong: list[str] = []
        self.done: dict[tuple[str, ...], int] = {}
        """The status of the answer to each button; 0 until it is pressed."""
        self._places: dict[tuple[str, ...], list[str]] = {}
        self._own = f"/console/users/{number}"
        self._seen: set[str] = set()
        self._shapes: Counter[str] = Counter()
        self._todo = ["/console", *(f"/console/contributions/{id}" for id in (1, 2, 3))]
        self._waiting: list[Press] = []

    def go(self) -> None:
        """Open every page, then press every button, and open what follows."""
        while self._todo or self._waiting:
            if self._todo:
                self._open(self._todo.pop(0))
                continue
            self._waiting.sort(key=lambda one: LAST.index(one.action) + 1 if one.action in LAST else 0)
            self._try(self._waiting.pop(0))

    def _open(self, address: str) -> None:
        if (page := self._get(address)) is not None:
            self._read(page, address)

    def _get(self, address: str, *, again: bool = False) -> Page | None:
        answer = self.visitor.get(address)
        if answer.status_code == 303:
            self._follow(answer.headers["Location"])
            return None
        if answer.status_code != 200 and not (again and answer.status_code == 404):
            self.wrong.append(f"{address} leads to {answer.status}: {_heading(answer.text)}")
        return Page(address, answer.text) if answer.mimetype == "text/html" else None

    def _read(self, page: Page, address: str) -> None:
        for link in page.links:
            if link.startswith("/console"):
                self._follow(link)
        # Who gives itself a new password sees no page any more.
        for press in page.presses(len(self.done)) if address != self._own else ():
            self._places.setdefault(press.kind, []).append(address)
            if not self.done.setdefault(press.kind, 0):
                self._waiting.append(press)

    def _follow(self, address: str) -> None:
        """Open a page later, once; of those that are alike, a few."""
        address = address.partition("#")[0]
        path, query, _ = address.partition("?")
        shape = re.sub(r"\d+", "N", path) + query
        if address not in self._seen and self._shapes[shape] < (
            MANY if path.startswith(OFTEN) and not query else ALIKE
        ):
            self._seen.add(address)
            self._shapes[shape] += 1
            self._todo.append(address)

    def _try(self, wanted: Press) -> None:
        """Press a button on the first page that has it now, if it was not pressed yet."""
        for address in self._places[wanted.kind] if not self.done[wanted.kind] else ():
            page = self._get(address, again=True)
            if page and (now := [press for press in page.presses(len(self.done)) if press.kind == wanted.kind]):
                self._press(address, now[0])
                break

    def _press(self, address: str, press: Press) -> None:
        before = self._service.rows()["proposals"]
        if press.method == "get":
            fields = [pair for pair in press.sent if pair[1]]
            answer = self.visitor.get(press.action.partition("?")[0], query_string=fields)
        else:
            answer = self.visitor.client.post(press.action, data=_grouped(press.sent), buffered=True)
        self.done[press.kind] = answer.status_code
        said = f"“{press.label}” of {address} ({' '.join(map('='.join, press.chosen))})"
        if press.action in MORE and set(faults(answer)) == MORE[press.action]:
            return
        if answer.status_code not in (200, 303):
            self.wrong.append(f"{said}: {answer.status}, {_heading(answer.text)} {_faults(answer.text)}")
            return
        proposed = self._service.rows()["proposals"] > before
        label = press.label.lower()
        if proposed != ("propose" in label) and "decide or propose" not in label:
            self.wrong.append(f"{said} {'only proposes' if proposed else 'does not propose'}")
        target = answer.headers.get("Location", "")
        if proposed and "Nothing changes until" not in self.visitor.get(target).text:
            self.wrong.append(f"{said} does not say what follows")
        if press.action == LAST[-1]:
            self._todo, self._waiting = [], []
        elif target:
            self._follow(target)
        elif answer.mimetype == "text/html":
            for next in Page(press.action, answer.text).presses(len(self.done)):
                # What is previewed is sent again to be done.
                if next.method == "post" and not self.done.get(next.kind) and next.action not in LAST:
                    self._press(press.action, next)


def _grouped(sent: tuple[tuple[str, str], ...]) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for name, value in sent:
        fields.setdefault(name, []).append(value)
    return fields


def _heading(text: str) -> str:
    found = re.search(r"<h1>(.*?)</h1>", text)
    return found[1] if found else text[:80]


def _faults(text: str) -> list[str]:
    return re.findall(r'role="alert"[^>]*>.*?<div>(.*?)</div>', text, re.S)


@pytest.fixture
def whole(service: Service) -> Service:
    """A service with what each page can show, in each state in which its buttons differ."""
    db = service.db
    alpha, beta = service.caller(name="Alpha"), service.caller(name="Beta")
    alpha.contribute(*(item(seed) for seed in range(1, 5)))
    alpha.post("/v1/contributions/1/withdrawal", {"reason": "wrong_label"})
    contributions.erase(db, COMMAND_LINE, 2, "other")
    assert beta.post("/v1/contributions/3/opinions", {"opinion": "disputes", "reason": "other"}).status_code == 201
    cases.decide(db, COMMAND_LINE, 1, Decision.QUARANTINE, "unclear")
    incidents.add(db, COMMAND_LINE, IncidentDraft("CI:example", service.clock() + timedelta(hours=1)))
    benign.add(db, COMMAND_LINE, BenignDraft((signal(90),)))
    hook = {"url": "https://example.org/hook", "topics": ["case.opened"]}
    assert alpha.post("/v1/webhooks", hook).status_code == 201
    gamma = service.caller(Scope.MATCH, name="Gamma").member
    members.change(db, COMMAND_LINE, gamma, MemberChange(status=MemberStatus.SUSPENDED))
    add_user(service, "other", Role.REVIEWER)
    db.rules = replace(db.rules, two_persons=True)
    members.change(db, COMMAND_LINE, alpha.member, MemberChange(status=MemberStatus.SUSPENDED))
    benign.add(db, COMMAND_LINE, BenignDraft((signal(91),)))
    return service


def open_cases(service: Service) -> None:
    """Seven open cases, of which another person proposed to retire three."""
    added = service.caller().contribute(*(item(1_000 + service.rows()["contributions"] + seed) for seed in range(7)))
    for number, one in enumerate(added):
        case = cases.open_case(service.db, COMMAND_LINE, one["id"], "other", holds=False)
        if number < 3:
            cases.decide(service.db, COMMAND_LINE, case.id, Decision.RETIRE, "a first look")


def test_what_can_be_pressed_is_accepted_and_says_whether_it_only_proposes(whole: Service) -> None:
    proposes = {}
    for role in (Role.AUDITOR, Role.REVIEWER, Role.ADMIN):
        open_cases(whole)
        walk = Walk(whole, role)
        walk.go()
        assert walk.wrong == [], role
        proposes[role] = {kind[2] for kind, status in walk.done.items() if status and "ropose" in kind[2]}
    assert proposes == {
        Role.AUDITOR: set(),
        Role.REVIEWER: {"decide or propose to retire and review next"},
        Role.ADMIN: {
            "decide or propose to retire and review next",
            "Propose to suspend Member N",
            "Propose this entry",
        },
    }


def test_nothing_says_that_it_proposes_where_one_person_is_enough(whole: Service, ada: Visitor) -> None:
    open_cases(whole)
    whole.db.rules = replace(whole.db.rules, two_persons=False)
    for path in ("members/2", "members/2/status", "benign", "benign/new", "cases", "cases/6", "contributions/4"):
        assert "propose" not in page_text(ada.get(f"/console/{path}")).partition("Sign out")[2].lower(), path

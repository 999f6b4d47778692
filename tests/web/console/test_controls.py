"""Every link and every button of every page: for each role, the service accepts it and does what its label says."""

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
"""The buttons that are pressed last: those that change how the user signs in, then the one that ends the session."""
NEEDS_OTHER_INPUT = {"/console/account/second-factor": {"code"}, "/console/compare": {"first", "second"}}
"""The forms that need a value from another device, or a file, and the fields at which they are rejected without it."""
SIMILAR_PAGES, MANY_SIMILAR_PAGES = 2, 3
"""How many pages are opened that differ only in a number; the larger one for `PAGES_WITH_MANY_STATES`."""
PAGES_WITH_MANY_STATES = ("/console/contributions/", "/console/cases/")


class Walk:
    """A user who opens every page and presses every button."""

    def __init__(self, service: Service, role: Role) -> None:
        self._service = service
        number = len(users.page(service.db, COMMAND_LINE, 0, 99)) + 1
        self.visitor: Visitor = sign_in_new_user(service, f"visitor {number}", role)
        self.errors: list[str] = []
        self.statuses: dict[tuple[str, ...], int] = {}
        """The status of the response to each button; 0 until it is pressed."""
        self._pages_of_button: dict[tuple[str, ...], list[str]] = {}
        self._own_page = f"/console/users/{number}"
        self._queued: set[str] = set()
        self._shapes: Counter[str] = Counter()
        self._pages = ["/console", *(f"/console/contributions/{id}" for id in (1, 2, 3))]
        self._buttons: list[Press] = []

    def go(self) -> None:
        """Open every page, then press every button, and open the pages that follow."""
        while self._pages or self._buttons:
            if self._pages:
                self._open(self._pages.pop(0))
                continue
            self._buttons.sort(key=lambda press: LAST.index(press.action) + 1 if press.action in LAST else 0)
            self._press_once(self._buttons.pop(0))

    def _open(self, address: str) -> None:
        if (page := self._get(address)) is not None:
            self._read(page, address)

    def _get(self, address: str, *, may_be_gone: bool = False) -> Page | None:
        answer = self.visitor.get(address)
        if answer.status_code == 303:
            self._follow(answer.headers["Location"])
            return None
        if answer.status_code != 200 and not (may_be_gone and answer.status_code == 404):
            self.errors.append(f"{address} leads to {answer.status}: {_heading(answer.text)}")
        return Page(address, answer.text) if answer.mimetype == "text/html" else None

    def _read(self, page: Page, address: str) -> None:
        for link in page.links:
            if link.startswith("/console"):
                self._follow(link)
        # After resetting its own password, an admin could not open any page.
        for press in page.presses(len(self.statuses)) if address != self._own_page else ():
            self._pages_of_button.setdefault(press.kind, []).append(address)
            if not self.statuses.setdefault(press.kind, 0):
                self._buttons.append(press)

    def _follow(self, address: str) -> None:
        """Open a page later, once. Of pages that are similar, only a few are opened."""
        address = address.partition("#")[0]
        path, query, _ = address.partition("?")
        shape = re.sub(r"\d+", "N", path) + query
        if address not in self._queued and self._shapes[shape] < (
            MANY_SIMILAR_PAGES if path.startswith(PAGES_WITH_MANY_STATES) and not query else SIMILAR_PAGES
        ):
            self._queued.add(address)
            self._shapes[shape] += 1
            self._pages.append(address)

    def _press_once(self, button: Press) -> None:
        """Press a button on the first page that still has it, unless it was pressed before."""
        for address in self._pages_of_button[button.kind] if not self.statuses[button.kind] else ():
            page = self._get(address, may_be_gone=True)
            if page and (presses := [press for press in page.presses(len(self.statuses)) if press.kind == button.kind]):
                self._press(address, presses[0])
                break

    def _press(self, address: str, press: Press) -> None:
        before = self._service.rows()["proposals"]
        if press.method == "get":
            fields = [pair for pair in press.fields if pair[1]]
            answer = self.visitor.get(press.action.partition("?")[0], query_string=fields)
        else:
            answer = self.visitor.client.post(press.action, data=_grouped(press.fields), buffered=True)
        self.statuses[press.kind] = answer.status_code
        description = f"“{press.label}” of {address} ({' '.join(map('='.join, press.chosen))})"
        if press.action in NEEDS_OTHER_INPUT and set(faults(answer)) == NEEDS_OTHER_INPUT[press.action]:
            return
        if answer.status_code not in (200, 303):
            self.errors.append(f"{description}: {answer.status}, {_heading(answer.text)} {_faults(answer.text)}")
            return
        proposed = self._service.rows()["proposals"] > before
        label = press.label.lower()
        if proposed != ("propose" in label) and "decide or propose" not in label:
            self.errors.append(f"{description} {'only proposes' if proposed else 'does not propose'}")
        target = answer.headers.get("Location", "")
        if proposed and "Nothing changes until" not in self.visitor.get(target).text:
            self.errors.append(f"{description} does not say what happens next")
        if press.action == LAST[-1]:
            self._pages, self._buttons = [], []
        elif target:
            self._follow(target)
        elif answer.mimetype == "text/html":
            for next in Page(press.action, answer.text).presses(len(self.statuses)):
                # A preview has a form that carries the change out.
                if next.method == "post" and not self.statuses.get(next.kind) and next.action not in LAST:
                    self._press(press.action, next)


def _grouped(pairs: tuple[tuple[str, str], ...]) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def _heading(text: str) -> str:
    match = re.search(r"<h1>(.*?)</h1>", text)
    return match[1] if match else text[:80]


def _faults(text: str) -> list[str]:
    return re.findall(r'role="alert"[^>]*>.*?<div>(.*?)</div>', text, re.S)


@pytest.fixture
def full_service(service: Service) -> Service:
    """A service with everything that pages show, in each state that changes the buttons."""
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
    """Open seven cases. Another person proposes to retire three of them."""
    contributions_added = service.caller().contribute(
        *(item(1_000 + service.rows()["contributions"] + seed) for seed in range(7))
    )
    for number, contribution in enumerate(contributions_added):
        case = cases.open_case(service.db, COMMAND_LINE, contribution["id"], "other", holds=False)
        if number < 3:
            cases.decide(service.db, COMMAND_LINE, case.id, Decision.RETIRE, "a first look")


def test_every_button_is_accepted_and_says_whether_it_only_proposes(full_service: Service) -> None:
    proposes = {}
    for role in (Role.AUDITOR, Role.REVIEWER, Role.ADMIN):
        open_cases(full_service)
        walk = Walk(full_service, role)
        walk.go()
        assert walk.errors == [], role
        proposes[role] = {kind[2] for kind, status in walk.statuses.items() if status and "ropose" in kind[2]}
    assert proposes == {
        Role.AUDITOR: set(),
        Role.REVIEWER: {"decide or propose to retire and review next"},
        Role.ADMIN: {
            "decide or propose to retire and review next",
            "Propose to suspend Member N",
            "Propose this entry",
        },
    }


def test_no_button_mentions_proposals_if_one_person_is_enough(full_service: Service, ada: Visitor) -> None:
    open_cases(full_service)
    full_service.db.rules = replace(full_service.db.rules, two_persons=False)
    for path in ("members/2", "members/2/status", "benign", "benign/new", "cases", "cases/6", "contributions/4"):
        assert "propose" not in page_text(ada.get(f"/console/{path}")).partition("Sign out")[2].lower(), path

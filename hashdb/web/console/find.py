"""/console/find: search by a number, a name, a reference, a hash, an address, a text or a file.

A search is a POST: no address of the console contains a hash, a reference or what was pasted. Nothing is stored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import starmap
from typing import Any, NamedTuple

from flask import Response, request, url_for

from hashdb.domain.accounts.members import Actor, Member
from hashdb.domain.accounts.users import User
from hashdb.domain.contributions import Contribution
from hashdb.domain.listings import Total
from hashdb.domain.review.incidents import Incident
from hashdb.domain.signals import Algorithm
from hashdb.domain.spelling import name_rank, read_id
from hashdb.errors import InvalidInput, NotFound, ScopeMissing, TextRefused
from hashdb.hashing.addresses import begins_as_address
from hashdb.http_server.uploads import Upload
from hashdb.service import HashDB, finding
from hashdb.service.accounts import members, users
from hashdb.service.contributions import contributions
from hashdb.service.ledger import events
from hashdb.service.matching import benign
from hashdb.service.review import bulk, cases, incidents, proposals
from hashdb.service.sharing import webhooks
from hashdb.service.stats import reports
from hashdb.web.console import neighbors, pages
from hashdb.web.console.pages import Form
from hashdb.web.context import actor, hashdb
from hashdb.wire import LARGEST_ID
from hashdb.wire.pasted import with_algorithms

blueprint = pages.blueprint_of("find")
_CONSOLE_PAGE = re.compile(r"https?://[^/?#]+/console/", re.IGNORECASE)
"""The beginning of the address of a page of a console, which is looked up by the number in it."""
_SHOWN = 10
"""How many results of a kind a page shows unless the user asks for all."""


class Result(NamedTuple):
    """A result: its name, the URL of its page and a description; `exact` if the text is its name."""

    name: str
    address: str
    about: str = ""
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """The results of one kind, the best first. If there are more, `total` counts them; the list at `listed` has all."""

    title: str
    results: tuple[Result, ...]
    total: Total | None = None
    listed: str | None = None

    @property
    def count(self) -> Total:
        """How many results there are."""
        return self.total or Total(len(self.results))

    @property
    def exact(self) -> tuple[Result, ...]:
        """The results whose name is the text."""
        return tuple(result for result in self.results if result.exact)


@blueprint.get("")
def ask() -> Response:
    """Show what can be searched."""
    return _page(Form())


@blueprint.post("")
def look_up() -> Response:
    """Redirect to what the text names, list what it may name, or show what is near it or the file.

    The field `as` is `hash` if the user asks for what is near the text, and `all` if the user asks for all results.
    """
    sent = Form.sent()
    text, file = sent.text("text"), request.files.get("file")
    # `hashes` is None unless the whole text is hashes; `address` is None unless it is an address.
    hashes = with_algorithms(text, _algorithms())
    address = text if hashes is None and begins_as_address(text) and not _CONSOLE_PAGE.match(text) else None
    if (file is not None and isinstance(file.stream, Upload) and file.stream.size) or sent.text("as") == "hash":
        return _show_near(sent, hashes=hashes, address=address)
    is_name = text.isprintable() and len(text) <= finding.LONGEST_TEXT
    groups, similar = _groups(text, is_address=address is not None) if text and is_name else ((), None)
    exact = [result for group in groups for result in group.exact]
    if len(exact) == 1 and hashes is None and address is None:
        return pages.redirect(exact[0].address)
    if not groups and (hashes is not None or address is not None):
        return _show_near(sent, hashes=hashes, address=address)
    if not is_name and pages.takes_text():
        # The service accepts texts, so it hashes this one.
        return _show_near(sent, text=text)
    if not is_name:
        reason = f"must be one line of at most {finding.LONGEST_TEXT} characters, or hashes, each on a line of its own"
        if len(text) > finding.LONGEST_TEXT:
            reason += f"; {TextRefused()}"
        return _page(sent.refused(InvalidInput.at_field("text", reason)))
    searched = "hash" if hashes is not None else "address" if address is not None else None
    return _page(sent, groups, similar, searched=searched)


def _show_near(sent: Form, hashes: str | None = None, address: str | None = None, text: str = "") -> Response:
    """The match debugger, with what is near the hashes, the address, the text, or the file of the form."""
    sent.values |= {"signals": hashes or "", "address": address or "", "text": text, "transforms": "1"}
    return neighbors.search(sent)


def _groups(text: str, *, is_address: bool) -> tuple[tuple[Group, ...], str | None]:
    """The groups of what the text may name, those with an exact result first; without any, the most similar name."""
    kind, id = read_id(text) or (None, 0)
    matches = finding.find(hashdb(), actor(), text)
    groups = (
        Group(f"Number {id}", tuple(_numbered(kind, id))),
        Group("Members", tuple(starmap(_member, matches.members))),
        Group("Users", tuple(starmap(_user, matches.users))),
        Group("Incidents", tuple(starmap(_incident, matches.incidents))),
        Group("Labels", tuple(starmap(_label, matches.labels))),
        Group(
            "Contributions whose reference begins with it",
            tuple(starmap(_contribution, matches.contributions)),
            total=matches.referring,
            # No URL of the console contains the address that somebody looks for.
            listed=None if is_address else url_for("console.contributions.browse", reference=text),
        ),
        Group("Pages", tuple(_pages(text))),
    )
    filled = tuple(group for group in groups if group.results)
    return tuple(sorted(filled, key=lambda group: not group.exact)), None if filled else matches.similar


def _numbered(kind: str | None, id: int) -> Iterable[Result]:
    """The things with this number: of one kind, or of any kind if `kind` is None."""
    for name, (get, view, argument) in _NUMBERED.items():
        if kind in (None, name) and 0 < id <= LARGEST_ID:
            with suppress(NotFound, ScopeMissing):
                subject = get(hashdb(), actor(), id)
                values: dict[str, Any] = {argument: id}
                about = _describe(subject) if isinstance(subject, Contribution) else str(getattr(subject, "name", ""))
                yield Result(f"{name.capitalize()} {id}", url_for(f"console.{view}", **values), about, exact=True)


def _describe(contribution: Contribution) -> str:
    parts = (contribution.member_name, ", ".join(contribution.labels), contribution.status, contribution.reference)
    return " · ".join(str(part) for part in parts if part)


def _contribution(contribution: Contribution, exact: bool) -> Result:
    address = url_for("console.contributions.show", contribution_id=contribution.id)
    return Result(f"Contribution {contribution.id}", address, _describe(contribution), exact)


def _member(member: Member, exact: bool) -> Result:
    address = url_for("console.members.show", member_id=member.id)
    return Result(member.name, address, f"{member.kind} · {member.status}", exact)


def _user(user: User, exact: bool) -> Result:
    return Result(user.name, url_for("console.users.show", user_id=user.id), f"{user.role} · {user.status}", exact)


def _incident(incident: Incident, exact: bool) -> Result:
    return Result(incident.label, url_for("console.incidents.show", incident_id=incident.id), "", exact)


def _label(label: str, exact: bool) -> Result:
    return Result(label, url_for("console.contributions.browse", label=label), "contributions with this label", exact)


def _pages(text: str) -> Iterable[Result]:
    """The pages of the menu that the text may name."""
    for entry in pages.MENU:
        rank = name_rank(text, entry.label) if actor().has(entry.scope) else None
        if rank is not None:
            yield Result(entry.label, url_for(entry.endpoint), "", exact=rank == 0)


def _algorithms() -> list[Algorithm]:
    """The algorithms whose hashes this service takes."""
    return [algorithm for algorithm in Algorithm if hashdb().rules.algorithm_fault(algorithm) is None]


def _page(
    form: Form, groups: tuple[Group, ...] = (), similar: str | None = None, *, searched: str | None = None
) -> Response:
    """The page with the results. `similar` is the most similar name, if there are none.

    `searched` is `hash` or `address` if the text is one: the page then offers to search for what is near it.
    """
    text = form.text("text")
    return pages.page(
        "find.html",
        form=form,
        searched_text=text,
        groups=groups,
        similar=similar,
        searched=searched,
        shown=None if form.text("as") == "all" else _SHOWN,
        kind=(read_id(text) or (None, 0))[0],
        algorithms=_algorithms(),
    )


_NUMBERED: dict[str, tuple[Callable[[HashDB, Actor, int], object], str, str]] = {
    "contribution": (contributions.get, "contributions.show", "contribution_id"),
    "case": (cases.get, "cases.show", "case_id"),
    "member": (members.get, "members.show", "member_id"),
    "key": (members.key, "members.find_key", "key_id"),
    "user": (users.get, "users.show", "user_id"),
    "incident": (incidents.get, "incidents.show", "incident_id"),
    "proposal": (proposals.get, "proposals.show", "proposal_id"),
    "entry": (benign.get, "benign.show", "benign_id"),
    "batch": (bulk.get, "batches.show", "batch_id"),
    "webhook": (webhooks.get, "webhooks.show", "webhook_id"),
    "report": (reports.get, "reports.show", "report_id"),
    "event": (events.get, "events.show", "seq"),
}
"""For each kind of thing: what returns it, the view of its page, and the argument of this view."""

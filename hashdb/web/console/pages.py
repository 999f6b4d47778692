"""The shared parts of console pages: blueprints, menu, forms, redirects and the context of templates."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, TypeVar

from flask import Blueprint, Response, current_app, g, render_template, request, url_for
from markupsafe import Markup
from pydantic import BaseModel, ValidationError

from hashdb import __version__
from hashdb.domain.accounts.members import Key, Member, Scope
from hashdb.domain.accounts.users import User
from hashdb.domain.meanings import EXAMPLES, MEANINGS
from hashdb.domain.review.bulk import Batch
from hashdb.domain.review.incidents import Incident
from hashdb.domain.review.proposals import Proposal
from hashdb.domain.sharing.webhooks import Webhook
from hashdb.errors import Conflict, Fault, HashDBError, IndexNotReady, InvalidInput, MalformedRequest, SignInRefused
from hashdb.service.accounts import members
from hashdb.service.stats import refusals
from hashdb.web.console import filters, guard
from hashdb.web.context import actor, app_state, hashdb, validation_context
from hashdb.wire import ValidationContext, read
from hashdb.wire.faults import error_from_validation


@dataclass(frozen=True, slots=True)
class MenuEntry:
    """A page in the menu, shown to users with the scope; `icon` is one of templates/console/icons.html.

    The keys `g` and then `key` open it. If `begins_group`, a line separates it from the entry before.
    """

    label: str
    icon: str
    endpoint: str
    key: str
    begins_group: bool = False
    scope: Scope = Scope.AUDIT


MENU = (
    MenuEntry("Overview", "home", "console.overviews.show", "o"),
    MenuEntry("Contributions", "folder", "console.contributions.browse", "c"),
    MenuEntry("Cases", "gavel", "console.cases.browse", "k"),
    MenuEntry("Match debugger", "search", "console.neighbors.ask", "d"),
    MenuEntry("Compare", "compare", "console.compare.ask", "e"),
    MenuEntry("Members and keys", "building", "console.members.browse", "m", begins_group=True),
    MenuEntry("Incidents", "alert", "console.incidents.browse", "i"),
    MenuEntry("Benign list", "shield", "console.benign.browse", "b"),
    MenuEntry("Proposals", "users", "console.proposals.browse", "p"),
    MenuEntry("Batches", "check", "console.batches.browse", "a"),
    MenuEntry("Webhooks", "push", "console.webhooks.browse", "w"),
    MenuEntry("Reports", "report", "console.reports.browse", "r", begins_group=True),
    MenuEntry("Audit log", "list", "console.events.browse", "l"),
    MenuEntry("Vocabulary", "tag", "console.vocabulary.show", "v", begins_group=True),
    MenuEntry("Settings", "settings", "console.settings.show", "t"),
    MenuEntry("Users", "users", "console.users.browse", "u"),
)


_Model = TypeVar("_Model", bound=BaseModel)
_Result = TypeVar("_Result")
_Row = TypeVar("_Row", bound=Member | Key | Webhook | Incident | User | Proposal | Batch)
# By the kind of an actor or a subject of the log: the view of its page, and the argument of the view for its id.
_PAGES = {
    "batch": ("console.batches.show", "batch_id"),
    "benign": ("console.benign.show", "benign_id"),
    "case": ("console.cases.show", "case_id"),
    "contribution": ("console.contributions.show", "contribution_id"),
    "incident": ("console.incidents.show", "incident_id"),
    "key": ("console.members.find_key", "key_id"),
    "member": ("console.members.show", "member_id"),
    "user": ("console.users.show", "user_id"),
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""What a page may load (CSP), unless its view says otherwise."""
_DETAILS = {
    "act": "act",
    "algorithms": "algorithm",
    "basis": "basis",
    "before": "standing",
    "decision": "decision",
    "kind": "member_kind",
    "labels": "behaviour",
    "media": "media",
    "opinion": "stance",
    "role": "role",
    "scopes": "scope",
    "severity": "severity",
    "topics": "topic",
}
"""By the name of a detail of an event: the kind of the codes that are its values."""
PROPOSED = "Proposed. Nothing changes until a second person confirms it within 72 hours."
REFUSALS = (InvalidInput, Conflict, MalformedRequest, SignInRefused)
"""Errors that are shown in the form that was sent. Other errors get a page of their own."""
ROWS_AT_ONCE = 1_000
"""How many rows `read_all` reads at once."""


class Form:
    """The values of a form and their faults. A fault is shown at the field that `Fault.at` names."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        """A form with these values and without faults."""
        self.values = dict(values or {})
        self.faults: dict[str, str] = {}
        self.error = ""

    @classmethod
    def sent(cls) -> Self:
        """The form of this request."""
        return cls(request.form.to_dict())

    def text(self, name: str) -> str:
        """The text of a field without surrounding whitespace; empty without the field."""
        return self.values.get(name, "").strip()

    def take(self, name: str) -> str:
        """Remove a field from the form, so that it is not shown again, and return its exact text."""
        return self.values.pop(name, "")

    def number(self, name: str) -> int | str | None:
        """The whole number in a field; None if it is empty. Other text is returned for the model to reject."""
        text = self.text(name)
        return parse_whole(text) if text else None

    def many(self, name: str) -> list[str]:
        """The values of the boxes that were ticked."""
        return request.form.getlist(name)

    @property
    def has_faults(self) -> bool:
        """Whether it was refused."""
        return bool(self.faults or self.error)

    def refused(self, error: HashDBError) -> Self:
        """This form with the faults of an error; `page` answers it with 422. Counts the rejection of a POST."""
        if request.method == "POST":
            refusals.note_form(hashdb(), error)
        faults: tuple[Fault, ...] = getattr(error, "faults", ())
        self.faults = {fault.at: fault.reason for fault in faults}
        self.error = "" if faults else str(error)
        return self


def parse_whole(text: str) -> int | str:
    """The whole number that a text is. Other text is returned for the model to reject."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 16 else text


def read_query(model: type[_Model], without: Collection[str] = ()) -> tuple[_Model | None, Form]:
    """The query string as a model and as a form. Empty fields, and the fields in `without`, are left out.

    If it is invalid, there is no model, and the form has the faults: `page` answers it with 422.
    """
    arguments = request.args.to_dict().items()
    form = Form({name: value for name, value in arguments if value.strip() and name not in without})
    try:
        return model.model_validate(form.values, context=validation_context()), form
    except ValidationError as error:
        return None, form.refused(error_from_validation(error))


def blueprint_of(noun: str, prefix: str | None = None) -> Blueprint:
    """A blueprint for the pages of a noun, under /console; at `/<noun>` by default."""
    return Blueprint(noun, __name__, url_prefix=prefix or f"/{noun}")


def page(template: str, *, status: int | None = None, **values: object) -> Response:
    """The page of a template in templates/console/. By default, its status is 422 if a form of it has faults."""
    has_faults = any(isinstance(value, Form) and value.has_faults for value in values.values())
    return Response(render_template(f"console/{template}", **values), status or (422 if has_faults else 200))


def if_index_ready(search: Callable[[], _Result]) -> _Result | None:
    """The result of a search of the index. None while the index is being built, so that the page still works."""
    with suppress(IndexNotReady):
        return search()
    return None


def read_all(read_page: Callable[[int, int], tuple[_Row, ...]]) -> list[_Row]:
    """Every row of a short list. `read_page(after, limit)` returns at most `limit` rows with ids above `after`."""
    rows: list[_Row] = []
    while page := read_page(rows[-1].id if rows else 0, ROWS_AT_ONCE):
        rows += page
    return rows


def member_choices() -> list[tuple[str, str]]:
    """(id, name) of every member, ordered by name, for a select field."""
    rows = read_all(partial(members.page, hashdb(), actor()))
    return [(str(member.id), member.name) for member in sorted(rows, key=lambda member: member.name.casefold())]


def redirect(address: str) -> Response:
    """Redirect to another page (303)."""
    return Response(status=303, headers={"Location": address})


def redirect_with_notice(notice: str, endpoint: str, **values: Any) -> Response:
    """Redirect to the page of a view, like `members.show`, which shows a notice unless it is empty."""
    response = redirect(url_for(f"console.{endpoint}", **values))
    if notice:
        guard.put_notice(response, notice)
    return response


def read_fields(model: type[_Model], fields: Mapping[str, object], context: ValidationContext | None = None) -> _Model:
    """The model of fields, without those that are None. Raises InvalidInput."""
    return read(model, json.dumps({name: value for name, value in fields.items() if value is not None}), context)


def digest_of(value: object) -> str:
    """A short digest of a request. It shows that the user confirms the request whose effect was displayed."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def local_address(address: str) -> str:
    """The address if it is within the console, else the console's first page."""
    plain = address.isascii() and address.isprintable() and "\\" not in address and len(address) < 1000
    here = address == "/console" or address.startswith(("/console/", "/console?"))
    return address if here and plain else url_for("console.landing")


def context() -> dict[str, Any]:
    """The variables of every template."""
    session = g.get("session")
    session = session if session is not None and session.complete else None
    return {
        "anchor_of": anchor_of,
        "asset": asset,
        "address_of": address_of,
        "csrf": lambda: Markup('<input type="hidden" name="csrf" value="{}">').format(guard.form_secret()),
        "may": lambda scope: session is not None and session.user.actor.has(Scope(scope)),
        "kind_of": kind_of,
        "me": "" if session is None else str(session.user.actor),
        "meaning_of": meaning_of,
        "menu": [entry for entry in MENU if session and session.user.actor.has(entry.scope)],
        "notice": guard.notice(),
        "now": hashdb().now(),
        "reason_kind": reason_kind,
        "session": session,
        "takes_media": app_state().settings.accept_media,
        "takes_text": takes_text(),
        "theme": guard.cookie(guard.THEME),
        "two_persons": hashdb().rules.two_persons,
        "version": __version__,
    }


def takes_text() -> bool:
    """Whether the pages take documents and texts."""
    settings = app_state().settings
    return settings.accept_media and settings.accept_text


def asset(name: str) -> str:
    """The URL of a static file. It changes with the version of hashdb, so that browsers reload the file."""
    return url_for("static", filename=name, v=__version__)


def meaning_of(kind: str, code: str) -> str | None:
    """What a code means, with an example; None if it is one of the operator's own."""
    meaning = MEANINGS.get(kind, {}).get(code)
    return None if meaning is None else f"{filters.sentence(meaning)} Example: {EXAMPLES[kind][code]}."


def reason_kind(reason: str) -> str:
    """Of which kind the reason of a case is: `cause`, or `reason` if it is that of a dispute."""
    return "cause" if reason in MEANINGS["cause"] else "reason"


def kind_of(key: str, value: object) -> str | None:
    """The kind of a code that is the detail `key` of an event; None if the value is no code, or an unknown one."""
    code = str(value)
    kind = reason_kind(code) if key == "reason" else _DETAILS.get(key)
    return kind if kind is not None and code in MEANINGS[kind] else None


def anchor_of(kind: str, code: str) -> str:
    """The anchor of a code on the page of the vocabulary."""
    return f"{kind}-{code}"


def address_of(name: str) -> str | None:
    """The URL of the page of an actor or subject of the log (`kind:id`); None if it has no page."""
    kind, _, id = name.partition(":")
    endpoint, argument = _PAGES.get(kind, ("", ""))
    if endpoint not in current_app.view_functions or not id.isdecimal() or id == "0":
        return None
    values: dict[str, Any] = {argument: int(id)}
    return url_for(endpoint, **values)

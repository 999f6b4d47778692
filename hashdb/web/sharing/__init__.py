"""The protocols of other systems: thin views over the same services, for existing clients of those systems."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from flask import Response, request

from hashdb.domain.accounts.members import Actor
from hashdb.domain.contributions import Contribution, Draft
from hashdb.domain.signals import Signal
from hashdb.errors import NoLabel
from hashdb.service.contributions import contributions
from hashdb.web.context import app_state, hashdb, raw_body, reading_body

MOUNTS = ("/stopncii/", "/graph/", "/tat/", "/hma/")
"""URL prefixes of the protocols. The OpenAPI document leaves them out: other projects define them."""


def json_response(content: object, status: int = 200) -> Response:
    """A JSON response."""
    return Response(json.dumps(content, ensure_ascii=False), status, mimetype="application/json")


def fields() -> dict[str, str]:
    """The fields of the query string, and of the form if the body is one. Raises MalformedRequest."""
    if request.mimetype != "application/x-www-form-urlencoded":
        return request.args.to_dict()
    raw_body(keep=True)
    with reading_body("the form does not match its headers"):
        return {**request.args.to_dict(), **request.form.to_dict()}


def this_second() -> int:
    """The current second since 1970: the events before it are complete."""
    return int(hashdb().now().timestamp())


def start_of_second(second: int) -> datetime:
    """The start of a second, counted since 1970."""
    return datetime.fromtimestamp(second, UTC)


def required_label() -> str:
    """The label of everything that these protocols contribute. Raises NoLabel if the operator set none."""
    label = app_state().settings.interop_label
    if label is None:
        raise NoLabel()
    return label


def contribute(caller: Actor, signals: Sequence[Signal]) -> tuple[Contribution, ...]:
    """Contribute items of one signal each, with the operator's label and no time. Raises NoLabel, InvalidInput."""
    label = required_label()
    drafts = [Draft((signal,), (label,), None) for signal in signals]
    receipt = contributions.contribute(hashdb(), caller, drafts)
    return tuple(recorded.contribution for recorded in receipt.recorded)

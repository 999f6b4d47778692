"""Other systems' protocols: thin views over the same services, for clients that know nothing of hashdb."""

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
from hashdb.web.context import app_state, hashdb, raw_body, sent_whole

MOUNTS = ("/stopncii/", "/graph/", "/tat/", "/hma/")
"""Where the protocols are; they stand in no OpenAPI document of ours, for they are not ours."""


def answered(said: object, status: int = 200) -> Response:
    """A JSON response."""
    return Response(json.dumps(said, ensure_ascii=False), status, mimetype="application/json")


def fields() -> dict[str, str]:
    """The fields of this request, of its query string and of its form, where it is one. Raises MalformedRequest."""
    if request.mimetype != "application/x-www-form-urlencoded":
        return request.args.to_dict()
    raw_body(keep=True)
    with sent_whole("the form is not sent as its headers say"):
        return {**request.args.to_dict(), **request.form.to_dict()}


def this_second() -> int:
    """The second of now: all events before it have been, none will be added."""
    return int(hashdb().now().timestamp())


def instant(second: int) -> datetime:
    """The beginning of a second since 1970."""
    return datetime.fromtimestamp(second, UTC)


def labelled() -> str:
    """The label of what comes by these protocols. Raises NoLabel."""
    label = app_state().settings.interop_label
    if label is None:
        raise NoLabel()
    return label


def contribute(who: Actor, signals: Sequence[Signal]) -> tuple[Contribution, ...]:
    """Contribute items of one signal each, of which neither label nor time is told. Raises NoLabel, InvalidInput."""
    label = labelled()
    drafts = [Draft((signal,), (label,), None) for signal in signals]
    receipt = contributions.contribute(hashdb(), who, drafts)
    return tuple(one.contribution for one in receipt.recorded)

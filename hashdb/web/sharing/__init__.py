"""The protocols of other systems: thin views over the same services, for existing clients of those systems."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from flask import Response, request

from hashdb.domain.accounts.members import Actor
from hashdb.domain.contributions import Recorded
from hashdb.errors import NoLabel
from hashdb.http_server.bodies import read_fields
from hashdb.service.contributions import contributions
from hashdb.web.context import app_state, hashdb, validation_context
from hashdb.wire.drafts import read_drafts

MOUNTS = ("/stopncii/", "/graph/", "/tat/", "/hma/")
"""URL prefixes of the protocols. The OpenAPI document leaves them out: other projects define them."""


def dumps(content: object) -> str:
    """The JSON text of a response."""
    return json.dumps(content, ensure_ascii=False)


def json_response(content: object, status: int = 200) -> Response:
    """A JSON response."""
    return Response(dumps(content), status, mimetype="application/json")


def fields() -> dict[str, str]:
    """The fields of the query string, and of the form if the body is one. Raises MalformedRequest."""
    return read_fields(request)


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


def contribute(caller: Actor, items: Sequence[Mapping[str, object]]) -> tuple[Recorded, ...]:
    """Contribute drafts with these fields, the operator's label and no time. Raises NoLabel, InvalidInput."""
    label, context = required_label(), replace(validation_context(), imported=True)
    text = json.dumps({"contributions": [{**fields, "labels": [label]} for fields in items]})
    return contributions.contribute(hashdb(), caller, read_drafts(text.encode(), context)).recorded

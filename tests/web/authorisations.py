"""The rights of each scope: a row for each route of the API and of the other systems' protocols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hashdb.domain.accounts.members import Scope
from tests.web.callers import REMOVED, item, pdq
from tests.web.pictures import METADATA, NOT_A_PICTURE, form, multipart

Scopes = frozenset[Scope]
ALL: Scopes = frozenset(Scope)
NOBODY: Scopes = frozenset()
CONTRIBUTE: Scopes = frozenset({Scope.CONTRIBUTE})
MATCH: Scopes = frozenset({Scope.MATCH})
FEED: Scopes = frozenset({Scope.FEED})
ADMIN: Scopes = frozenset({Scope.ADMIN})
AUDIT, REVIEW = ADMIN | {Scope.AUDIT}, ADMIN | {Scope.REVIEW}
"""`admin` includes both."""
SEEN = FEED | AUDIT
"""The scopes that show another member's active contribution to a key that never got it as a match."""


@dataclass(frozen=True, slots=True)
class Rights:
    """The scopes that may use a route, and on which objects. A key with another scope always gets 403."""

    scopes: Scopes
    allowed: int = 200
    """The status of the answer to a key that may do this."""
    body: Any = None
    """A JSON body, or a function that returns other arguments for Flask's test client."""
    query: str = ""
    """The query string."""
    subject: str | None = None
    """The kind of object that the first id of the address names. It is the member's own or another member's."""
    own: Scopes = ALL
    """The scopes among `scopes` that may do this on an object of the key's own member."""
    foreign: Scopes = ALL
    """The scopes among `scopes` that may do this on an object of another member."""
    denied: int = 404
    """The status of the answer to a key that may use the route, but not on this object."""
    denied_foreign: int | None = None
    """The same for another member's object, if it differs."""
    sees: Scopes = NOBODY
    """The scopes that may see the object and not do this: they get 403."""


def _picture_form() -> dict[str, Any]:
    return form(NOT_A_PICTURE)


def _contribution_form() -> dict[str, Any]:
    return form(NOT_A_PICTURE, metadata=METADATA)


def _hma_upload() -> dict[str, Any]:
    return multipart("b", ('name="photo"; filename="a.png"', NOT_A_PICTURE))


def _reaction() -> dict[str, Any]:
    return {"data": {"reactions": "HELPFUL"}}


def _descriptor() -> dict[str, Any]:
    return {"data": {"indicator": pdq(905)[4:], "type": "HASH_PDQ", "status": "MALICIOUS"}}


_NEW = {"contributions": [item(900)]}
_QUERY = {"queries": [{"signals": [pdq(901)]}]}
_BENIGN = {"signals": [pdq(902)], "note": "a test card"}
_HASHES = {"hashRecords": [{"signalType": "ImagePDQ", "hashValue": pdq(903)[4:]}]}
_FEEDBACK = {"hashFeedbacks": [{"hashValue": pdq(904)[4:], "feedbackValue": "Blocked"}]}
_SIGNAL = f"signal={pdq(901)[4:]}&signal_type=pdq"
_CHANGE = {"contact": "a@b.example"}
_WEBHOOK = {"url": "https://example.org/hook", "topics": ["case.opened"]}
_HASHERS = CONTRIBUTE | MATCH

OPEN = {
    "GET /",
    "GET /docs",
    "GET /healthz",
    "GET /hma/status",
    "GET /hma/status/live",
    "GET /openapi.json",
    "GET /readyz",
    "GET /static/<path:filename>",
    "GET /v1/checkpoint",
    "GET /v1/checkpoint/cosigned",
    "GET /v1/log",
}
"""The routes that need no key."""

RIGHTS = {
    "GET /metrics": Rights(ADMIN),
    "GET /v1/me": Rights(ALL),
    # Contributions
    "POST /v1/contributions": Rights(CONTRIBUTE, 201, _NEW),
    "POST /v1/contributions/media": Rights(CONTRIBUTE, 415, _contribution_form),
    "GET /v1/contributions": Rights(ALL),
    "GET /v1/contributions/<id>": Rights(ALL, subject="contribution", foreign=SEEN),
    "GET /v1/contributions/<id>/frames": Rights(ALL, subject="contribution", foreign=SEEN),
    "GET /v1/jobs/<id>": Rights(ALL, subject="job", own=NOBODY, foreign=NOBODY),
    "PATCH /v1/contributions/<id>": Rights(
        CONTRIBUTE, body={"severity": 2}, subject="contribution", foreign=NOBODY, denied=403
    ),
    "POST /v1/contributions/<id>/signals": Rights(
        CONTRIBUTE, 422, {"signals": [pdq(906)]}, subject="contribution", foreign=NOBODY, denied=403
    ),
    "POST /v1/contributions/signals": Rights(CONTRIBUTE, 422, {"contributions": [{"id": 1, "signals": [pdq(906)]}]}),
    "POST /v1/contributions/lookups": Rights(CONTRIBUTE, body={"signals": [pdq(906)]}),
    "POST /v1/contributions/<id>/withdrawal": Rights(
        CONTRIBUTE, body={"reason": "other"}, subject="contribution", foreign=NOBODY, denied=403
    ),
    "DELETE /v1/contributions/<id>/content": Rights(
        CONTRIBUTE | ADMIN, 204, subject="contribution", foreign=ADMIN, denied=403
    ),
    "POST /v1/signals": Rights(_HASHERS, 415, _picture_form),
    # Matches, opinions, cases
    "POST /v1/matches": Rights(MATCH, body=_QUERY),
    "POST /v1/matches/media": Rights(MATCH, 415, _picture_form),
    "GET /v1/reversals": Rights(MATCH),
    "POST /v1/contributions/<id>/opinions": Rights(
        MATCH, 201, {"opinion": "confirms"}, subject="matched", own=NOBODY, denied=403
    ),
    "GET /v1/contributions/<id>/opinions": Rights(ALL, subject="contribution", foreign=SEEN),
    "GET /v1/cases": Rights(ALL),
    "GET /v1/cases/<id>": Rights(ALL, subject="case", foreign=AUDIT | REVIEW),
    "POST /v1/cases/<id>/decision": Rights(REVIEW, body={"decision": "uphold"}, subject="case"),
    "GET /v1/proposals": Rights(REVIEW),
    # The proposal of the key's own member is about a member, the other one about a case: reviewers may drop the second.
    "DELETE /v1/proposals/<id>": Rights(REVIEW, 204, subject="proposal", own=ADMIN, foreign=REVIEW),
    "GET /v1/benign": Rights(ADMIN),
    "POST /v1/benign": Rights(ADMIN, 201, _BENIGN),
    "DELETE /v1/benign/<id>": Rights(ADMIN, 204, subject="benign"),
    "GET /v1/incidents": Rights(ADMIN),
    "POST /v1/incidents": Rights(ADMIN, 201, {"label": "CI:new", "start": REMOVED}),
    "GET /v1/incidents/<id>": Rights(ADMIN, subject="incident"),
    "PATCH /v1/incidents/<id>": Rights(ADMIN, body={"start": REMOVED}, subject="incident"),
    # Feed and audit
    "GET /v1/changes": Rights(FEED),
    "GET /v1/events": Rights(AUDIT),
    "GET /v1/counts": Rights(AUDIT, query="day=2026-11-20"),
    # Event 1 is neither on a contribution of the member nor on its opinions.
    "GET /v1/receipts": Rights(ALL, query="seq=1", own=AUDIT),
    "GET /v1/proofs/inclusion": Rights(AUDIT, query="seq=1&size=1"),
    "GET /v1/proofs/consistency": Rights(AUDIT, query="first=1&second=1"),
    "GET /v1/set": Rights(FEED | AUDIT),
    "GET /v1/set/blocks/<id>/<id>": Rights(FEED | AUDIT, subject="block"),
    "POST /v1/set/signatures": Rights(ALL, 422, lambda: {"data": "none", "content_type": "text/plain"}),
    "GET /v1/reports/transparency": Rights(AUDIT, query="from=2026-11-01&to=2026-11-20"),
    # Administration
    "GET /v1/members": Rights(ADMIN),
    "POST /v1/members": Rights(ADMIN, 201, {"name": "Newcomer", "kind": "platform"}),
    "GET /v1/members/<id>": Rights(ADMIN, subject="member"),
    "PATCH /v1/members/<id>": Rights(ADMIN, body=_CHANGE, subject="member"),
    "GET /v1/members/<id>/keys": Rights(ADMIN, subject="member"),
    "POST /v1/members/<id>/keys": Rights(ADMIN, 201, {"scopes": ["match"]}, subject="member"),
    "DELETE /v1/members/<id>/keys/<id>": Rights(ADMIN, 204, subject="key"),
    # Webhooks: they report cases, for which any scope is enough
    "GET /v1/webhooks": Rights(ALL),
    "POST /v1/webhooks": Rights(ALL, 201, _WEBHOOK),
    "GET /v1/webhooks/<id>": Rights(ALL, subject="webhook", foreign=AUDIT),
    "PATCH /v1/webhooks/<id>": Rights(ALL, body={"enabled": False}, subject="webhook", foreign=ADMIN, sees=AUDIT),
    "DELETE /v1/webhooks/<id>": Rights(ALL, 204, subject="webhook", foreign=ADMIN, sees=AUDIT),
    "POST /v1/webhooks/<id>/secret": Rights(ALL, 201, subject="webhook", foreign=NOBODY, sees=AUDIT),
    "POST /v1/webhooks/<id>/test": Rights(ALL, 202, subject="webhook", foreign=ADMIN, sees=AUDIT),
    "GET /v1/webhooks/<id>/deliveries": Rights(ALL, subject="webhook", foreign=AUDIT),
    "GET /v1/webhooks/<id>/deliveries/<id>": Rights(ALL, subject="delivery", foreign=AUDIT),
    "POST /v1/webhooks/<id>/deliveries/<id>/redelivery": Rights(
        ALL, 202, subject="delivery", foreign=ADMIN, sees=AUDIT
    ),
    # StopNCII
    "GET /stopncii/v1/FetchHashes": Rights(FEED),
    "POST /stopncii/v1/SubmitHashes": Rights(CONTRIBUTE, body=_HASHES),
    # The feedback is about a contribution that this key never got as a match.
    "POST /stopncii/v1/SubmitFeedback": Rights(MATCH, 422, _FEEDBACK),
    # ThreatExchange
    "GET /graph/<id>/threat_updates/": Rights(FEED),
    "GET /graph/<id>/": Rights(ALL),
    "GET /graph/<id>/threat_privacy_groups_member": Rights(ALL),
    "GET /graph/<id>/threat_privacy_groups_owner": Rights(ALL),
    "POST /graph/threat_descriptors/": Rights(CONTRIBUTE, body=_descriptor),
    "POST /graph/<id>/": Rights(MATCH, body=_reaction, subject="matched", own=NOBODY, denied=403),
    "DELETE /graph/<id>/": Rights(CONTRIBUTE, subject="contribution", foreign=NOBODY, denied=403),
    # Tech Against Terrorism
    "POST /tat/token-auth/tcap/": Rights(ALL),
    "GET /tat/api/hash-list/v2/all": Rights(FEED),
    # HMA
    "GET /hma/h/hash": Rights(_HASHERS, 403, query="url=http://127.0.0.1/x"),
    "POST /hma/h/hash": Rights(_HASHERS, 415, _hma_upload),
    "GET /hma/m/lookup": Rights(MATCH, query=_SIGNAL),
    "POST /hma/m/lookup": Rights(MATCH, 415, _hma_upload),
    "GET /hma/m/raw_lookup": Rights(MATCH, query=_SIGNAL),
    "POST /hma/m/compare": Rights(_HASHERS, body={"pdq": [pdq(1)[4:], pdq(2)[4:]]}),
    "GET /hma/m/index/status": Rights(_HASHERS),
    "GET /hma/c/signal_type/index": Rights(_HASHERS),
    "GET /hma/c/signal_type": Rights(_HASHERS),
    "GET /hma/c/content_type": Rights(_HASHERS),
    "GET /hma/c/exchanges": Rights(_HASHERS),
    "GET /hma/c/exchanges/apis": Rights(_HASHERS),
    "GET /hma/c/banks": Rights(_HASHERS),
    "POST /hma/c/banks": Rights(_HASHERS, 404, {"name": "NO_SUCH"}),
    # Banks have the names of members. Keys without feed, audit or review see the bank of their own member only.
    "GET /hma/c/bank/<name>": Rights(_HASHERS, subject="bank", foreign=NOBODY),
    "PUT /hma/c/bank/<name>": Rights(
        _HASHERS, subject="bank", own=NOBODY, foreign=NOBODY, denied=403, denied_foreign=404
    ),
    "DELETE /hma/c/bank/<name>": Rights(
        _HASHERS, subject="bank", own=NOBODY, foreign=NOBODY, denied=403, denied_foreign=404
    ),
    "POST /hma/c/bank/<name>/content": Rights(CONTRIBUTE, 415, _hma_upload, subject="bank", foreign=NOBODY),
    "POST /hma/c/bank/<name>/signal": Rights(CONTRIBUTE, body={"pdq": pdq(906)[4:]}, subject="bank", foreign=NOBODY),
    "GET /hma/c/bank/<name>/content/<id>": Rights(_HASHERS, subject="content", foreign=NOBODY),
    "PUT /hma/c/bank/<name>/content/<id>": Rights(
        _HASHERS, body={"disable_until_ts": 1}, subject="content", foreign=NOBODY
    ),
    "DELETE /hma/c/bank/<name>/content/<id>": Rights(CONTRIBUTE, subject="content", foreign=NOBODY),
}

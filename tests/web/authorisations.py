"""Who may do what: a line for each route of the API and of the other systems' protocols, as the contract has it."""

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
"""Who is shown another member's active contribution that it was not answered."""


@dataclass(frozen=True, slots=True)
class Rights:
    """Which scopes are let in, and to what; who is not gets 403, whatever the address names."""

    scopes: Scopes
    answers: int = 200
    """To who may."""
    sends: Any = None
    """A JSON body; or what else Flask's test client takes, made anew each time."""
    asks: str = ""
    """The query string."""
    of: str | None = None
    """What the first id of the address names; a member's own, and another's."""
    own: Scopes = ALL
    """Of those let in, who may where it is the member's own."""
    foreign: Scopes = ALL
    """And where it is another member's."""
    otherwise: int = 404
    """To who is let in, but not to this."""
    elsewhere: int | None = None
    """The same where it is another member's, if that is something else."""
    told: Scopes = NOBODY
    """Of those, who is told that there is such a thing, of which it may not do this."""


def _form() -> dict[str, Any]:
    return form(NOT_A_PICTURE)


def _forms() -> dict[str, Any]:
    return form(NOT_A_PICTURE, metadata=METADATA)


def _upload() -> dict[str, Any]:
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
"""What needs no key."""

RIGHTS = {
    "GET /metrics": Rights(ADMIN),
    "GET /v1/me": Rights(ALL),
    # Contributions
    "POST /v1/contributions": Rights(CONTRIBUTE, 201, _NEW),
    "POST /v1/contributions/media": Rights(CONTRIBUTE, 415, _forms),
    "GET /v1/contributions": Rights(ALL),
    "GET /v1/contributions/<id>": Rights(ALL, of="contribution", foreign=SEEN),
    "GET /v1/contributions/<id>/frames": Rights(ALL, of="contribution", foreign=SEEN),
    "GET /v1/jobs/<id>": Rights(ALL, of="job", own=NOBODY, foreign=NOBODY),
    "PATCH /v1/contributions/<id>": Rights(
        CONTRIBUTE, sends={"severity": 2}, of="contribution", foreign=NOBODY, otherwise=403
    ),
    "POST /v1/contributions/<id>/signals": Rights(
        CONTRIBUTE, 422, {"signals": [pdq(906)]}, of="contribution", foreign=NOBODY, otherwise=403
    ),
    "POST /v1/contributions/signals": Rights(CONTRIBUTE, 422, {"contributions": [{"id": 1, "signals": [pdq(906)]}]}),
    "POST /v1/contributions/lookups": Rights(CONTRIBUTE, sends={"signals": [pdq(906)]}),
    "POST /v1/contributions/<id>/withdrawal": Rights(
        CONTRIBUTE, sends={"reason": "other"}, of="contribution", foreign=NOBODY, otherwise=403
    ),
    "DELETE /v1/contributions/<id>/content": Rights(
        CONTRIBUTE | ADMIN, 204, of="contribution", foreign=ADMIN, otherwise=403
    ),
    "POST /v1/signals": Rights(_HASHERS, 415, _form),
    # Matches, opinions, cases
    "POST /v1/matches": Rights(MATCH, sends=_QUERY),
    "POST /v1/matches/media": Rights(MATCH, 415, _form),
    "GET /v1/reversals": Rights(MATCH),
    "POST /v1/contributions/<id>/opinions": Rights(
        MATCH, 201, {"opinion": "confirms"}, of="answered", own=NOBODY, otherwise=403
    ),
    "GET /v1/contributions/<id>/opinions": Rights(ALL, of="contribution", foreign=SEEN),
    "GET /v1/cases": Rights(ALL),
    "GET /v1/cases/<id>": Rights(ALL, of="case", foreign=AUDIT | REVIEW),
    "POST /v1/cases/<id>/decision": Rights(REVIEW, sends={"decision": "uphold"}, of="case"),
    "GET /v1/proposals": Rights(REVIEW),
    # Its own is on a member, the other's on a case, which is what reviewers may drop.
    "DELETE /v1/proposals/<id>": Rights(REVIEW, 204, of="proposal", own=ADMIN, foreign=REVIEW),
    "GET /v1/benign": Rights(ADMIN),
    "POST /v1/benign": Rights(ADMIN, 201, _BENIGN),
    "DELETE /v1/benign/<id>": Rights(ADMIN, 204, of="benign"),
    "GET /v1/incidents": Rights(ADMIN),
    "POST /v1/incidents": Rights(ADMIN, 201, {"label": "CI:new", "start": REMOVED}),
    "GET /v1/incidents/<id>": Rights(ADMIN, of="incident"),
    "PATCH /v1/incidents/<id>": Rights(ADMIN, sends={"start": REMOVED}, of="incident"),
    # Feed and audit
    "GET /v1/changes": Rights(FEED),
    "GET /v1/events": Rights(AUDIT),
    "GET /v1/counts": Rights(AUDIT, asks="day=2026-11-20"),
    # Event 1 is neither on a contribution of the member nor on its opinions.
    "GET /v1/receipts": Rights(ALL, asks="seq=1", own=AUDIT),
    "GET /v1/proofs/inclusion": Rights(AUDIT, asks="seq=1&size=1"),
    "GET /v1/proofs/consistency": Rights(AUDIT, asks="first=1&second=1"),
    "GET /v1/set": Rights(FEED | AUDIT),
    "GET /v1/set/blocks/<id>/<id>": Rights(FEED | AUDIT, of="block"),
    "POST /v1/set/signatures": Rights(ALL, 422, lambda: {"data": "none", "content_type": "text/plain"}),
    "GET /v1/reports/transparency": Rights(AUDIT, asks="from=2026-11-01&to=2026-11-20"),
    # Administration
    "GET /v1/members": Rights(ADMIN),
    "POST /v1/members": Rights(ADMIN, 201, {"name": "Newcomer", "kind": "platform"}),
    "GET /v1/members/<id>": Rights(ADMIN, of="member"),
    "PATCH /v1/members/<id>": Rights(ADMIN, sends=_CHANGE, of="member"),
    "GET /v1/members/<id>/keys": Rights(ADMIN, of="member"),
    "POST /v1/members/<id>/keys": Rights(ADMIN, 201, {"scopes": ["match"]}, of="member"),
    "DELETE /v1/members/<id>/keys/<id>": Rights(ADMIN, 204, of="key"),
    # Webhooks, which tell of cases: for that any scope will do
    "GET /v1/webhooks": Rights(ALL),
    "POST /v1/webhooks": Rights(ALL, 201, _WEBHOOK),
    "GET /v1/webhooks/<id>": Rights(ALL, of="webhook", foreign=AUDIT),
    "PATCH /v1/webhooks/<id>": Rights(ALL, sends={"enabled": False}, of="webhook", foreign=ADMIN, told=AUDIT),
    "DELETE /v1/webhooks/<id>": Rights(ALL, 204, of="webhook", foreign=ADMIN, told=AUDIT),
    "POST /v1/webhooks/<id>/secret": Rights(ALL, 201, of="webhook", foreign=NOBODY, told=AUDIT),
    "POST /v1/webhooks/<id>/test": Rights(ALL, 202, of="webhook", foreign=ADMIN, told=AUDIT),
    "GET /v1/webhooks/<id>/deliveries": Rights(ALL, of="webhook", foreign=AUDIT),
    "GET /v1/webhooks/<id>/deliveries/<id>": Rights(ALL, of="delivery", foreign=AUDIT),
    "POST /v1/webhooks/<id>/deliveries/<id>/redelivery": Rights(ALL, 202, of="delivery", foreign=ADMIN, told=AUDIT),
    # StopNCII
    "GET /stopncii/v1/FetchHashes": Rights(FEED),
    "POST /stopncii/v1/SubmitHashes": Rights(CONTRIBUTE, sends=_HASHES),
    # It was not answered what it speaks of.
    "POST /stopncii/v1/SubmitFeedback": Rights(MATCH, 422, _FEEDBACK),
    # ThreatExchange
    "GET /graph/<id>/threat_updates/": Rights(FEED),
    "GET /graph/<id>/": Rights(ALL),
    "GET /graph/<id>/threat_privacy_groups_member": Rights(ALL),
    "GET /graph/<id>/threat_privacy_groups_owner": Rights(ALL),
    "POST /graph/threat_descriptors/": Rights(CONTRIBUTE, sends=_descriptor),
    "POST /graph/<id>/": Rights(MATCH, sends=_reaction, of="answered", own=NOBODY, otherwise=403),
    "DELETE /graph/<id>/": Rights(CONTRIBUTE, of="contribution", foreign=NOBODY, otherwise=403),
    # Tech Against Terrorism
    "POST /tat/token-auth/tcap/": Rights(ALL),
    "GET /tat/api/hash-list/v2/all": Rights(FEED),
    # HMA
    "GET /hma/h/hash": Rights(_HASHERS, 403, asks="url=http://127.0.0.1/x"),
    "POST /hma/h/hash": Rights(_HASHERS, 415, _upload),
    "GET /hma/m/lookup": Rights(MATCH, asks=_SIGNAL),
    "POST /hma/m/lookup": Rights(MATCH, 415, _upload),
    "GET /hma/m/raw_lookup": Rights(MATCH, asks=_SIGNAL),
    "POST /hma/m/compare": Rights(_HASHERS, sends={"pdq": [pdq(1)[4:], pdq(2)[4:]]}),
    "GET /hma/m/index/status": Rights(_HASHERS),
    "GET /hma/c/signal_type/index": Rights(_HASHERS),
    "GET /hma/c/signal_type": Rights(_HASHERS),
    "GET /hma/c/content_type": Rights(_HASHERS),
    "GET /hma/c/exchanges": Rights(_HASHERS),
    "GET /hma/c/exchanges/apis": Rights(_HASHERS),
    "GET /hma/c/banks": Rights(_HASHERS),
    "POST /hma/c/banks": Rights(_HASHERS, 404, {"name": "NO_SUCH"}),
    # Banks have members' names, of which keys without feed, audit or review are told their own only.
    "GET /hma/c/bank/<name>": Rights(_HASHERS, of="bank", foreign=NOBODY),
    "PUT /hma/c/bank/<name>": Rights(_HASHERS, of="bank", own=NOBODY, foreign=NOBODY, otherwise=403, elsewhere=404),
    "DELETE /hma/c/bank/<name>": Rights(_HASHERS, of="bank", own=NOBODY, foreign=NOBODY, otherwise=403, elsewhere=404),
    "POST /hma/c/bank/<name>/content": Rights(CONTRIBUTE, 415, _upload, of="bank", foreign=NOBODY),
    "POST /hma/c/bank/<name>/signal": Rights(CONTRIBUTE, sends={"pdq": pdq(906)[4:]}, of="bank", foreign=NOBODY),
    "GET /hma/c/bank/<name>/content/<id>": Rights(_HASHERS, of="content", foreign=NOBODY),
    "PUT /hma/c/bank/<name>/content/<id>": Rights(
        _HASHERS, sends={"disable_until_ts": 1}, of="content", foreign=NOBODY
    ),
    "DELETE /hma/c/bank/<name>/content/<id>": Rights(CONTRIBUTE, of="content", foreign=NOBODY),
}

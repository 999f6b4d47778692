"""Record an example of each operation of the API for docs/api.md, with calls to a service in a temporary folder."""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from hashdb.domain.accounts.members import COMMAND_LINE, KeyDraft, MemberDraft, MemberKind, Scope
from hashdb.domain.ledger.cosignatures import Cosigner, Submission
from hashdb.domain.ledger.notes import split_note
from hashdb.domain.ledger.policies import Policy
from hashdb.domain.sharing.webhooks import Attempt
from hashdb.service import open_hashdb
from hashdb.service.accounts import members
from hashdb.service.ledger import active_set, checkpoints, witnesses
from hashdb.service.ledger.signing import Signing
from hashdb.service.sharing import deliveries
from hashdb.settings import Settings
from hashdb.web import create_app
from hashdb.web.context import AppState

PHOTO: Final = Path(__file__).parents[1] / "hashdb" / "photos" / "casa-mila.jpg"
_WIDTH = 110
_LINES = 36
_SHOWN = 3
"""The number of items of a long list that an example shows."""
_FOLDED = 12
"""The fewest lines of a response that the page folds."""
# Fields with random content, shown as `…`.
_CHANGING = {"epoch", "leaf", "secret", "digest", "vkey", "hashes", "message", "version", "salt", "commitment"}
_SIGNED = re.compile(r"(?<=\n)— .*|(?<=\.example )[A-Za-z0-9+/]{60,}=*|[A-Za-z0-9+/]{43}=")
"""Lines of signatures, and hashes."""
SECTIONS: Final[Mapping[str, Sequence[str]]] = {
    "contribute": ("/v1/contributions",),
    "match": ("/v1/matches", "/v1/reversals", "/v1/me"),
    "pictures": ("/v1/signals", "/v1/matches/media", "/v1/contributions/media", "/v1/jobs"),
    "opinions": ("/v1/contributions/{contribution_id}/opinions", "/v1/cases"),
    "feed": ("/v1/changes",),
    "log": ("/v1/events", "/v1/counts", "/v1/reports"),
    "proofs": ("/v1/log", "/v1/checkpoint", "/v1/proofs", "/v1/receipts", "/v1/set"),
    "benign": ("/v1/benign",),
    "incidents": ("/v1/incidents",),
    "webhooks": ("/v1/webhooks",),
    "members": ("/v1/members",),
    "proposals": ("/v1/proposals",),
    "health": ("/healthz", "/readyz", "/metrics"),
}
"""The sections of the page, and the prefixes of their addresses. The longest matching prefix counts."""


@dataclass(frozen=True, slots=True)
class Example:
    """A call: the request and the response."""

    request: str
    status: HTTPStatus
    response: str


class _Caller:
    """A client with a key. It records its calls by the address of their operation."""

    def __init__(self, client: FlaskClient, secret: str, recorded: dict[tuple[str, str], Example]) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {secret}"}
        self._recorded = recorded

    def call(
        self,
        operation: str,
        body: object = None,
        *,
        file: bool = False,
        form: object = None,
        text: str | None = None,
        **ids: int,
    ) -> Any:
        """Call an operation, like `GET /v1/cases/{case_id}?limit=2`, and record it; return the JSON or text.

        The first call of an operation is its example. A later call replaces a response with status 202.
        """
        method, _, template = operation.partition(" ")
        address = template.format(**ids)
        request = f"{method} {address}"
        if file:
            fields = {} if form is None else {"metadata": json.dumps(form)}
            with PHOTO.open("rb") as picture:
                response = self._open(method, address, data={"file": (picture, PHOTO.name), **fields})
            request += f"\nContent-Type: multipart/form-data\n\nfile: {PHOTO.name}"
            request += "" if form is None else f"\nmetadata: {_json_text(form)}"
        elif text is not None:
            response = self._open(method, address, data=text, content_type="text/plain")
            request += f"\nContent-Type: text/plain\n\n{_SIGNED.sub('…', text).rstrip()}"
        else:
            response = self._open(method, address, **({} if body is None else {"json": body}))
            request += "" if body is None else f"\n\n{_json_text(body)}"
        path = template.partition("?")[0]
        recorded = self._recorded.get((method, path))
        if recorded is None or (recorded.status == HTTPStatus.ACCEPTED != response.status_code):
            self._recorded.pop((method, path), None)
            self._recorded[method, path] = Example(request, HTTPStatus(response.status_code), _response_text(response))
        return response.get_json() if response.is_json else response.text

    def deferred(self, address: str) -> int:
        """Send a request with the photograph as a job, and wait for the job; return its id."""
        with PHOTO.open("rb") as picture:
            data, headers = {"file": (picture, PHOTO.name)}, {**self._headers, "Prefer": "respond-async"}
            job = self._client.open(address, method="POST", data=data, headers=headers, buffered=True).get_json()
        while self._open("GET", f"/v1/jobs/{job['id']}").get_json()["status"] != "done":
            time.sleep(0.05)
        return int(job["id"])

    def _open(self, method: str, address: str, **more: Any) -> TestResponse:
        response = self._client.open(address, method=method, headers=self._headers, buffered=True, **more)
        assert response.status_code < 400, f"{method} {address}: {response.text}"
        return response


class _Clock:
    """A clock that the script sets."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 20, 10, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        """Advance the clock by seconds, hours, …"""
        self.now += timedelta(**by)


class _Story:
    """A service with members, and calls of every operation."""

    def __init__(self, folder: Path) -> None:
        self.clock = _Clock()
        settings = Settings(home=folder, two_persons=True)
        signing = Signing(folder / "signing.key", folder / "checkpoints.txt", "hashes.example/log")
        self.db = open_hashdb(f"sqlite:///{folder}/db", settings.rules(), clock=self.clock, signing=signing)
        self.app: Flask = create_app(self.db, settings)
        self.recorded: dict[tuple[str, str], Example] = {}
        checkpoints.start(self.db)
        self.alpha = self._key("Alpha Video", MemberKind.PLATFORM, Scope.CONTRIBUTE, Scope.MATCH)
        self.beta = self._key("Beta Photos", MemberKind.PLATFORM, Scope.MATCH, Scope.FEED)
        self.admin = self._key("Operators", MemberKind.OPERATOR, Scope.ADMIN)
        self.second = self._key("More operators", MemberKind.OPERATOR, Scope.ADMIN)

    def _key(self, name: str, kind: MemberKind, *scopes: Scope) -> _Caller:
        member = members.add(self.db, COMMAND_LINE, MemberDraft(name, kind))
        issued = members.issue_key(self.db, COMMAND_LINE, member.id, KeyDraft(frozenset(scopes)))
        return _Caller(self.app.test_client(), issued.secret, self.recorded)

    def close(self) -> None:
        """Close the database, and end the hashing processes."""
        state = self.app.extensions["hashdb"]
        assert isinstance(state, AppState)
        if "pool" in vars(state.hashers):
            state.hashers.pool.close()
        self.db.close()

    def call_all(self) -> None:
        """Call every operation."""
        self._webhooks()
        self._contribute_and_match()
        self._review()
        self._pictures()
        self._administer()
        self._read()

    def _contribute_and_match(self) -> None:
        signals = [
            "phash256:3a71c58e965be01dd2468ba7f10c3596687e9d1a4bc2e5338d07b6f95a1e64cb",
            "phash:d1c4b2a09f8e7d6c",
        ]
        draft = {"signals": signals, "labels": ["glorification"], "removed_at": "2026-11-20T09:45:00Z", "severity": 2}
        others = [{**draft, "signals": [f"phash:{word}"]} for word in ("0f1e2d3c4b5a6978", "a5c3960ff0695a3c")]
        self.alpha.call(
            "POST /v1/contributions", {"contributions": [{**draft, "basis": "terms", "reference": "item-123"}]}
        )
        for other in others:
            self.alpha.call("POST /v1/contributions", {"contributions": [other]})
        self.alpha.call("GET /v1/contributions?label=glorification&limit=1")
        self.alpha.call("GET /v1/contributions/{contribution_id}", contribution_id=1)
        self.alpha.call("PATCH /v1/contributions/{contribution_id}", {"severity": 3}, contribution_id=1)
        added = "phash256:c4b2a09f8e7d6c5b1324a5b6879f8e7d0c1b2a3948576b7a8d9eafc0d1e2f304"
        more = {"signals": [signals[0], added]}
        self.alpha.call("POST /v1/contributions/{contribution_id}/signals", more, contribution_id=1)
        self.alpha.call("POST /v1/contributions/signals", {"contributions": [{"id": 1, **more}]})
        self.alpha.call("POST /v1/contributions/lookups", {"signals": [added]})
        query = {"id": "upload-991", "signals": signals, "radius": {"phash": 4}}
        self.beta.call("POST /v1/matches", {"queries": [query]})
        self.beta.call("GET /v1/me")
        for other in others:
            self.beta.call("POST /v1/matches", {"queries": [{"signals": other["signals"]}]})
        self.clock.advance(hours=1)
        self.alpha.call(
            "POST /v1/contributions/{contribution_id}/withdrawal", {"reason": "removal_reversed"}, contribution_id=2
        )
        self.alpha.call("DELETE /v1/contributions/{contribution_id}/content", contribution_id=2)
        self.clock.advance(seconds=4)
        self.beta.call("GET /v1/reversals?after=0")
        self.beta.call("GET /v1/changes?after=0&limit=1")

    def _review(self) -> None:
        dispute = {"opinion": "disputes", "reason": "edsa_context", "note": "a news report of the attack"}
        here = "/v1/contributions/{contribution_id}/opinions"
        self.beta.call(f"POST {here}", dispute, contribution_id=1)
        self.beta.call(f"GET {here}", contribution_id=1)
        self.admin.call("GET /v1/cases?state=open")
        self.clock.advance(hours=1)
        decision = {"decision": "quarantine", "note": "A news report, until the contributor answers."}
        self.admin.call("POST /v1/cases/{case_id}/decision", decision, case_id=1)
        self.beta.call("GET /v1/cases/{case_id}", case_id=1)

    def _pictures(self) -> None:
        self.alpha.call("POST /v1/signals", file=True)
        draft = {"labels": ["recruitment"], "removed_at": "2026-11-20T11:30:00Z"}
        self.alpha.call("POST /v1/contributions/media?profile=plain", file=True, form=draft)
        self.beta.call("POST /v1/matches/media", file=True)
        self.alpha.call("GET /v1/jobs/{job_id}", job_id=self.alpha.deferred("/v1/signals"))
        value = "b5c6907a1e34d2f80b5c6917a2e34d3f8c5a6907b1e43d2f08b5c6097a1e34df"
        frames = [{"at": at, "quality": 90, "signals": [f"pdq:{value[:: 1 - 2 * at]}"]} for at in (0, 1)]
        video = {**draft, "media": "video", "signals": [], "duration": 2.0, "frames": frames}
        (contribution,) = self.alpha.call("POST /v1/contributions", {"contributions": [video]})["contributions"]
        self.alpha.call("GET /v1/contributions/{contribution_id}/frames", contribution_id=contribution["id"])

    def _administer(self) -> None:
        screen = {"signals": ["phash:8f3c61e0d29b4a75"], "note": "the splash screen of our app"}
        self.admin.call("POST /v1/benign", screen)
        self.admin.call("GET /v1/proposals")
        added = self.second.call("POST /v1/benign", screen)
        self.admin.call("GET /v1/benign?limit=1")
        self.admin.call("DELETE /v1/benign/{benign_id}", benign_id=added["id"])
        incident = {"label": "CIP:example-2026", "start": "2026-11-20T08:00:00Z", "end": None, "expires": True}
        self.admin.call("POST /v1/incidents", incident)
        self.admin.call("GET /v1/incidents")
        self.admin.call("GET /v1/incidents/{incident_id}", incident_id=1)
        self.admin.call("PATCH /v1/incidents/{incident_id}", {"end": "2026-12-20T08:00:00Z"}, incident_id=1)
        member = {"name": "Gamma Forum", "kind": "platform", "contact": "trust@gamma.example"}
        here = self.admin.call("POST /v1/members", member)["id"]
        self.admin.call("GET /v1/members?limit=1")
        self.admin.call("GET /v1/members/{member_id}", member_id=here)
        limits = {"limits": {"contributions_per_day": 1000}}
        self.admin.call("PATCH /v1/members/{member_id}", limits, member_id=here)
        key = self.admin.call("POST /v1/members/{member_id}/keys", {"scopes": ["contribute", "match"]}, member_id=here)[
            "id"
        ]
        self.admin.call("GET /v1/members/{member_id}/keys", member_id=here)
        self.admin.call("DELETE /v1/members/{member_id}/keys/{key_id}", member_id=here, key_id=int(key))
        proposal = self.admin.call("PATCH /v1/members/{member_id}", {"status": "suspended"}, member_id=here)
        self.admin.call("DELETE /v1/proposals/{proposal_id}", proposal_id=proposal["proposal"])

    def _webhooks(self) -> None:
        draft = {
            "url": "https://alpha.example/hashdb",
            "topics": ["match.reversed", "case.opened"],
            "note": "production",
        }
        self.alpha.call("POST /v1/webhooks", draft)
        self.alpha.call("GET /v1/webhooks")
        here = "/v1/webhooks/{webhook_id}"
        self.alpha.call(f"GET {here}", webhook_id=1)
        self.alpha.call(f"PATCH {here}", {"topics": ["match.reversed", "case.decided"]}, webhook_id=1)
        delivery = self.alpha.call(f"POST {here}/test", webhook_id=1)["id"]
        for claimed in deliveries.claim(self.db, (), 8):
            deliveries.send(self.db, claimed, lambda *_: Attempt(200, 41))
        self.alpha.call(f"GET {here}/deliveries", webhook_id=1)
        self.alpha.call(f"GET {here}/deliveries/{{delivery_id}}", webhook_id=1, delivery_id=delivery)
        self.alpha.call(f"POST {here}/deliveries/{{delivery_id}}/redelivery", webhook_id=1, delivery_id=delivery)
        self.alpha.call(f"POST {here}/secret", webhook_id=1)
        self.alpha.call(f"DELETE {here}", webhook_id=1)

    def _read(self) -> None:
        self.admin.call("GET /v1/events?subject=contribution:2&limit=1")
        self.admin.call("GET /v1/counts?day=2026-11-20")
        self.admin.call("GET /v1/reports/transparency?from=2026-11-20&to=2026-11-20")
        self._cosign()
        self.admin.call("GET /v1/log")
        size = int(self.admin.call("GET /v1/checkpoint").splitlines()[1])
        self.admin.call("GET /v1/checkpoint/cosigned")
        self.admin.call("GET /v1/proofs/inclusion?seq=17&size={size}", size=size)
        self.admin.call("GET /v1/proofs/consistency?first=17&second={size}", size=size)
        self.admin.call("GET /v1/receipts?subject=contribution:2")
        self._sign_set()
        for address in ("/healthz", "/readyz", "/metrics"):
            self.admin.call(f"GET {address}")

    def _sign_set(self) -> None:
        signer = Cosigner.new("archive.example")
        self.db.rules = replace(
            self.db.rules, organisations=Policy.parse(f"witness archive {signer.key}\nquorum archive")
        )
        active_set.keep(self.db, at_once=True)
        note = self.beta.call("GET /v1/set")["note"]
        self.beta.call("GET /v1/set/blocks/{level}/{number}", level=4, number=0)
        body = note.partition("\n\n")[0] + "\n"
        self.beta.call("POST /v1/set/signatures", text=signer.cosign(body, int(self.clock().timestamp())))

    def _cosign(self) -> None:
        signer = Cosigner.new("witness.example")
        policy = Policy.parse(f"witness w {signer.key} https://witness.example\nquorum w\n")
        self.db.rules = replace(self.db.rules, witnesses=policy)
        checkpoints.keep(self.db, at_once=True)

        def cosign(submission: Submission) -> witnesses.Reply:
            return witnesses.Reply(200, signer.cosign(split_note(submission.note)[0], 1_763_632_800))

        witnesses.ask(self.db, lambda witness: nullcontext(cosign))


@cache
def record() -> tuple[Mapping[tuple[str, str], Example], Mapping[str, Any]]:
    """Call every operation; return the examples by method and address, and the `paths` of the OpenAPI document."""
    with tempfile.TemporaryDirectory() as folder:
        story = _Story(Path(folder))
        try:
            story.call_all()
            document = story.app.test_client().get("/openapi.json").get_json()
        finally:
            story.close()
    return story.recorded, document["paths"]


def section(name: str) -> str:
    """The operations of a section of the page, in Markdown."""
    examples, paths = record()
    shown = [_operation(*at, example, paths) for at, example in examples.items() if _section_of(at[1]) == name]
    return "\n".join(shown)


def _operation(method: str, path: str, example: Example, paths: Mapping[str, Any]) -> str:
    operation = paths[path][method.lower()]
    about, _, key = operation["description"].partition("\n\n")
    sentences = re.sub(r"(?<=\.) (?=[A-Z])", "\n", about)
    text = f"#### `{method} {path}`\n\n{operation['summary']}.\n{sentences}\n\n"
    text += f"{key}\nOperation `{operation['operationId']}`.\n\n"
    text += f"```http\n{example.request}\n```\n\n"
    status = f"{example.status.value} {example.status.phrase}"
    if not example.response:
        return f"{text}Answer: {status}, without a body.\n"
    kind = "json" if example.response.startswith("{") else "text"
    fence = f"```{kind}\n{example.response}\n```\n"
    if example.response.count("\n") < _FOLDED:
        return f"{text}Answer: {status}.\n\n{fence}"
    return f'{text}<details markdown="1"><summary>Answer: {status}</summary>\n\n{fence}\n</details>\n'


def _section_of(path: str) -> str:
    section_by_prefix = {prefix: name for name, prefixes in SECTIONS.items() for prefix in prefixes}
    return section_by_prefix[max((prefix for prefix in section_by_prefix if path.startswith(prefix)), key=len)]


def _response_text(response: TestResponse) -> str:
    if response.is_json:
        return _json_text(_stable(response.get_json()))
    text = re.sub(r"\b[0-9a-f]{40,}\b", "…", _SIGNED.sub("…", response.text))
    lines = text.rstrip("\n").splitlines()
    return "\n".join(lines if len(lines) <= 8 else [*lines[:2], "…"])


def _stable(value: Any, name: str = "") -> Any:
    """A value without the parts that change in each run; long lists are shortened."""
    if name in _CHANGING and value is not None and not isinstance(value, dict):
        return ["…"] if isinstance(value, list) else "…"
    if isinstance(value, dict):
        return {key: _stable(item, key) for key, item in value.items()}
    if isinstance(value, str):
        return _SIGNED.sub("…", value)
    if isinstance(value, list):
        shown = [_stable(item) for item in value[:_SHOWN]]
        return [*shown, "…"] if len(value) > _SHOWN else shown
    return value


def _json_text(value: Any) -> str:
    """A value as JSON, on one line if it is short. Long texts and hashes are shortened."""
    text = re.sub(r"\b([0-9a-f]{8})[0-9a-f]{32,}\b", r"\1…", _indented(value))
    text = re.sub(r"(hdb|whsec)_[\w+/=-]{20,}", r"\1_…", text)
    lines = text.splitlines()
    return text if len(lines) <= _LINES else "\n".join([*lines[: _LINES - 1], "  …"])


def _indented(value: Any, indent: int = 0) -> str:
    plain = json.dumps(value, ensure_ascii=False)
    if len(plain) + indent <= _WIDTH or not isinstance(value, dict | list) or not value:
        return plain
    room = " " * (indent + 2)
    if isinstance(value, dict):
        inner = [f"{room}{json.dumps(key)}: {_indented(item, indent + 2)}" for key, item in value.items()]
        return "{\n" + ",\n".join(inner) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(room + _indented(item, indent + 2) for item in value) + "\n" + " " * indent + "]"

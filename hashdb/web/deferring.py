"""Requests that are answered by 202 and a job: hashing their files takes long, or the client prefers it."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from functools import partial
from typing import cast

from cryptography.fernet import Fernet
from flask import Response, g, request, url_for

from hashdb.domain.accounts.members import Actor
from hashdb.domain.jobs import JobStatus
from hashdb.errors import VideoTooLarge
from hashdb.service.later import Work
from hashdb.web import problems
from hashdb.web.context import AppState, app_state, bearer
from hashdb.wire.jobs import JobOut

SECONDS_TO_JOB = 10.0
"""Seconds for which a request waits for its answer. After that, the service answers 202 with a job."""
MAX_WAIT = 110.0
"""Seconds for which a client that cannot ask for a job waits. The proxy of `deploy/` waits a little longer."""
JOB_RETRY_AFTER = "1"
"""Seconds after which a client should ask for its job (again)."""


def prefers_async() -> bool:
    """Whether the client asks for 202 at once, by `Prefer: respond-async` (RFC 7240)."""
    preferences = request.headers.get("Prefer", "").lower().split(",")
    return any(preference.partition(";")[0].strip() == "respond-async" for preference in preferences)


def key_secret() -> str:
    """The secret of the key by which this request was authenticated."""
    return str(g.secret)


def respond(work: Work, status: int) -> Response:
    """The answer of this request, which `work` makes in another thread. If that takes long: 202 with the id of a job.

    A client without `Authorization: Bearer` speaks the protocol of another system, and could not ask for the job. It
    waits for the answer, for at most `MAX_WAIT`.

    Raises what `work` raises, HashingBusy, TooManyAtOnce, StoreBusy, VideoTooLarge.
    """
    state, caller = app_state(), cast(Actor, g.actor)
    rule = "" if request.url_rule is None else request.url_rule.rule
    encrypt = partial(_encrypt, state, caller, key_secret(), rule)
    can_ask_for_job = bool(bearer(request.headers.get("Authorization", "")))
    # The text of the answer, or the id of a job.
    outcome: str | int
    with state.db.request_slots.hold(caller):
        try:
            if can_ask_for_job:
                outcome = state.later.answer(caller, work, encrypt, 0.0 if prefers_async() else SECONDS_TO_JOB)
            else:
                outcome = state.later.within(caller, work, MAX_WAIT)
        except TimeoutError:
            raise VideoTooLarge(f"the video is not hashed after {MAX_WAIT:.0f} seconds") from None
    if isinstance(outcome, str):
        return Response(outcome, status, mimetype="application/json")
    response = Response(JobOut.text(outcome, JobStatus.WAITING, 0), 202, mimetype="application/json")
    response.headers["Location"] = url_for("jobs.get_job", job_id=outcome)
    response.headers["Retry-After"] = JOB_RETRY_AFTER
    return response


def _encrypt(state: AppState, actor: Actor, secret: str, rule: str, outcome: str | Exception) -> str:
    """The outcome of a job, which may hold hashes, encrypted with the secret of the key that sent the request."""
    if isinstance(outcome, Exception):
        outcome = problems.refuse(state.db, actor, outcome, posted_to=rule).get_data(as_text=True)
    return cipher(secret).encrypt(outcome.encode()).decode()


def cipher(secret: str) -> Fernet:
    """The cipher that encrypts the outcomes of the jobs of the key with this secret."""
    # The service does not store the secret, only another digest of it: nobody can compute this digest from that one.
    return Fernet(urlsafe_b64encode(hashlib.sha256(b"hashdb job " + secret.encode()).digest()))

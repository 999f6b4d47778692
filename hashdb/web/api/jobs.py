"""/v1/jobs"""

from __future__ import annotations

from flask import Response

from hashdb.domain.jobs import AnswerJob, JobStatus
from hashdb.errors import JobLost
from hashdb.service import later
from hashdb.web import problems
from hashdb.web.context import actor, hashdb
from hashdb.web.deferring import JOB_RETRY_AFTER, cipher, key_secret
from hashdb.web.routes import ApiBlueprint, operation
from hashdb.wire.jobs import JobOut

jobs_api = ApiBlueprint("jobs", tag="Jobs", about="For members: follow requests that are answered later.")


@jobs_api.get("/<id:job_id>")
@operation({200: JobOut}, errors=[404])
def get_job(job_id: int) -> Response:
    """Get a job.

    A request with videos that takes more than ten seconds, or that has the header `Prefer: respond-async`, is answered
    by 202 with a job. Repeat this request after `Retry-After` seconds until `status` is `done` or `failed`: then
    `result` is the answer to that request, or `error` is its problem. The service keeps a job for an hour after that,
    and the newest 100 of a key. For jobs of other keys, the response is 404. A job whose process ends has failed.
    """
    job = later.get(hashdb(), actor(), job_id)
    response = Response(JobOut.text(job_id, job.status, job.percent, _outcome(job)), mimetype="application/json")
    if job.status in (JobStatus.WAITING, JobStatus.RUNNING):
        response.headers["Retry-After"] = JOB_RETRY_AFTER
    return response


def _outcome(job: AnswerJob) -> str:
    """The answer or the problem of a job, as JSON; empty while there is none."""
    if job.text is not None:
        return cipher(key_secret()).decrypt(job.text).decode()
    if job.status is JobStatus.FAILED:
        return problems.respond(JobLost(retry_after=1)).get_data(as_text=True)
    return ""

"""The model of a job: a request that is answered later."""

from __future__ import annotations

import json
from typing import Annotated, TypeVar

from pydantic import Field, ValidationError

from hashdb.domain.jobs import JobStatus
from hashdb.errors import ServiceError
from hashdb.wire import ResponseModel
from hashdb.wire.contributions import ReceiptOut
from hashdb.wire.conversions import OMIT_DEFAULT
from hashdb.wire.files import PicturesOut
from hashdb.wire.matching import AnswerOut
from hashdb.wire.problems import NOT_HASHDB, Problem, error_from_problem

_Body = TypeVar("_Body", bound=ResponseModel)


class JobOut(ResponseModel):
    """A request that is answered later."""

    id: int = Field(description="The id of the job.")
    status: JobStatus = Field(description="Whether the answer is there.")
    progress: float = Field(description="The share that is done, 0 to 1.")
    result: Annotated[ReceiptOut | AnswerOut | PicturesOut | None, OMIT_DEFAULT] = Field(
        None, description="What the request would have been answered, once it is `done`."
    )
    error: Annotated[Problem | None, OMIT_DEFAULT] = Field(
        None, description="The problem with which the request would have been refused, if it `failed`."
    )

    @staticmethod
    def text(id: int, status: JobStatus, percent: int, outcome: str = "") -> str:
        """The JSON text of a job; `outcome` is that of its answer, or of its problem, if there is one."""
        name = "error" if status is JobStatus.FAILED else "result"
        outcome_field = f',"{name}":{outcome}' if outcome else ""
        return f'{{"id":{id},"status":"{status}","progress":{percent / 100:g}{outcome_field}}}'


def read_job(text: bytes, model: type[_Body]) -> _Body | None:
    """The answer in the JSON text of a job, of which `model` is the model; None while there is none.

    Raises the error of the job's problem, and ServiceError (not an answer of hashdb) if the text is no job with such
    an answer.
    """
    try:
        job = JobOut.model_validate_json(text)
    except ValidationError:
        raise ServiceError(200, NOT_HASHDB) from None
    if job.error is not None:
        raise error_from_problem(job.error.status, json.dumps(json.loads(text)["error"]).encode())
    if job.result is None and job.status in (JobStatus.WAITING, JobStatus.RUNNING):
        return None
    if not isinstance(job.result, model):
        raise ServiceError(200, NOT_HASHDB)
    return job.result

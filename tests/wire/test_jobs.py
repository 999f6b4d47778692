"""The JSON of a job: it includes the answer, which is read as the model of the request."""

from __future__ import annotations

import json

import pytest

from hashdb.domain.jobs import JobStatus
from hashdb.errors import Fault, ServiceError, UnreadablePicture
from hashdb.wire.contributions import ReceiptOut
from hashdb.wire.files import PicturesOut
from hashdb.wire.jobs import JobOut, read_job
from hashdb.wire.matching import AnswerOut
from hashdb.wire.problems import problem


def test_a_running_job_reports_its_progress() -> None:
    text = JobOut.text(7, JobStatus.RUNNING, 25)
    assert json.loads(text) == {"id": 7, "status": "running", "progress": 0.25}
    assert JobOut.model_validate_json(text).result is None


@pytest.mark.parametrize(
    ("answer", "model"),
    [
        ('{"contributions":[],"checkpoint":4}', ReceiptOut),
        ('{"results":[],"checkpoint":4}', AnswerOut),
        ('{"pictures":[]}', PicturesOut),
    ],
)
def test_the_answer_of_a_job_is_read_as_the_model_of_its_request(answer: str, model: type) -> None:
    job = JobOut.model_validate_json(JobOut.text(1, JobStatus.DONE, 100, answer))
    assert (job.progress, type(job.result)) == (1.0, model)


def test_a_client_rejects_a_job_with_an_answer_of_another_request() -> None:
    finished = JobOut.text(1, JobStatus.DONE, 100, '{"pictures":[]}').encode()
    assert read_job(finished, PicturesOut) == PicturesOut(pictures=[])
    with pytest.raises(ServiceError):
        read_job(finished, AnswerOut)
    assert read_job(JobOut.text(1, JobStatus.WAITING, 0).encode(), AnswerOut) is None
    for text in (
        '{"id":1}',
        "",
        JobOut.text(1, JobStatus.DONE, 100, '{"other":[]}'),
        JobOut.text(1, JobStatus.DONE, 100),
    ):
        with pytest.raises(ServiceError):
            read_job(text.encode(), AnswerOut)


def test_the_error_of_a_failed_job_is_raised_with_its_faults() -> None:
    error = UnreadablePicture("file[1]: no", (Fault("file[1]", "no"),))
    failed = JobOut.text(1, JobStatus.FAILED, 30, json.dumps(problem(error, 415)))
    with pytest.raises(UnreadablePicture) as raised:
        read_job(failed.encode(), AnswerOut)
    assert raised.value.faults == error.faults

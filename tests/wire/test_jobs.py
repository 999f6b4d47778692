"""A job as JSON: the text of its answer is put into it, and read back as the answer's model."""

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


def test_a_job_that_goes_on_says_how_far_it_is() -> None:
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
def test_an_answer_is_read_as_the_model_of_its_request(answer: str, model: type) -> None:
    job = JobOut.model_validate_json(JobOut.text(1, JobStatus.DONE, 100, answer))
    assert (job.progress, type(job.result)) == (1.0, model)


def test_a_client_reads_the_answer_of_its_request_and_no_other() -> None:
    done = JobOut.text(1, JobStatus.DONE, 100, '{"pictures":[]}').encode()
    assert read_job(done, PicturesOut) == PicturesOut(pictures=[])
    with pytest.raises(ServiceError):
        read_job(done, AnswerOut)
    assert read_job(JobOut.text(1, JobStatus.WAITING, 0).encode(), AnswerOut) is None
    for text in (
        '{"id":1}',
        "",
        JobOut.text(1, JobStatus.DONE, 100, '{"other":[]}'),
        JobOut.text(1, JobStatus.DONE, 100),
    ):
        with pytest.raises(ServiceError):
            read_job(text.encode(), AnswerOut)


def test_the_problem_of_a_job_is_raised_whole() -> None:
    told = UnreadablePicture("file[1]: no", (Fault("file[1]", "no"),))
    failed = JobOut.text(1, JobStatus.FAILED, 30, json.dumps(problem(told, 415)))
    with pytest.raises(UnreadablePicture) as refused:
        read_job(failed.encode(), AnswerOut)
    assert refused.value.faults == told.faults

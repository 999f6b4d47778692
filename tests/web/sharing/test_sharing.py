"""Rules for every protocol: no secret and no hash is logged, and hostile input causes no server error."""

from __future__ import annotations

import io
import json
from itertools import product

import pytest

from tests.web.callers import Caller, Service, item, pdq
from tests.web.sharing.served import digits
from tests.web.test_hostile import HOSTILE, REJECTION_STATUSES
from tests.web.test_logs import log_output

__all__ = ["log_output"]

READS = (
    ("/stopncii/v1/FetchHashes", ("startTimestamp", "pageSize", "nextPageToken")),
    ("/graph/1/threat_updates/", ("start_time", "stop_time", "limit", "types", "after")),
    ("/graph/7/threat_privacy_groups_member", ("fields",)),
    ("/tat/api/hash-list/v2/all", ("after", "page", "limit", "order")),
)
WRITES = (
    ("/stopncii/v1/SubmitHashes", {"hashRecords": [{"signalType": "ImagePDQ", "hashValue": "0" * 64}]}),
    ("/stopncii/v1/SubmitFeedback", {"hashFeedbacks": [{"hashValue": "0" * 64, "feedbackValue": "Blocked"}]}),
)


def credentials_of(caller: Caller) -> tuple[dict[str, str], dict[str, str]]:
    """Return the headers and the query field in which the protocols send the key."""
    return (
        {"x-functions-key": str(caller.secret), "Authorization": f"Bearer {caller.secret}"},
        {"access_token": f"{caller.member:08}|{caller.secret}"},
    )


def test_no_key_and_no_hash_is_logged(log_output: io.StringIO, service: Service, platform: Caller) -> None:
    platform.contribute(item(1))
    service.clock.advance(seconds=1)
    headers, field = credentials_of(platform)
    for address, _ in READS:
        assert service.anonymous.get(address, headers=headers, query_string=field).status_code == 200
    query = {**field, "indicator": digits(pdq(2)), "type": "HASH_PDQ", "status": "MALICIOUS"}
    assert service.anonymous.request("POST", "/graph/threat_descriptors/", query_string=query).status_code == 200
    form = {"username": "Platform", "password": platform.secret}
    assert service.anonymous.post("/tat/token-auth/tcap/", data=form).status_code == 200
    text = log_output.getvalue()
    routes = {json.loads(line)["route"] for line in text.splitlines()}
    assert {"/graph/<id:group>/threat_updates/", "/graph/threat_descriptors/"} <= routes
    assert {json.loads(line)["actor"] for line in text.splitlines()} == {f"key:{platform.key}"}
    for secret in (str(platform.secret), digits(pdq(1)), digits(pdq(2))):
        assert secret not in text


@pytest.mark.parametrize(
    ("address", "names"), READS, ids=lambda parameter: parameter if isinstance(parameter, str) else ""
)
def test_a_hostile_query_causes_no_server_error(
    service: Service, platform: Caller, address: str, names: tuple[str, ...]
) -> None:
    headers, field = credentials_of(platform)
    for name, value in product(names, [text for text in HOSTILE if isinstance(text, str | int) and text != "\ud800"]):
        answer = service.anonymous.get(address, headers=headers, query_string={**field, name: str(value)[:2000]})
        assert answer.status_code in REJECTION_STATUSES | {200}, (name, value, answer.text)


@pytest.mark.parametrize(
    ("address", "sent"), WRITES, ids=lambda parameter: parameter if isinstance(parameter, str) else ""
)
def test_a_hostile_body_is_rejected_and_stores_nothing(
    service: Service, platform: Caller, address: str, sent: dict[str, list[dict[str, object]]]
) -> None:
    headers, _ = credentials_of(platform)
    ((name, (record,)),) = sent.items()
    before = service.rows()
    for value in HOSTILE:
        variants = [{name: value}, {name: [value]}, *({name: [{**record, field: value}]} for field in record)]
        for body in (value, *variants):
            text = json.dumps(body)
            answer = service.anonymous.post(address, data=text, headers={**headers, "Content-Type": "application/json"})
            assert answer.status_code in REJECTION_STATUSES, (body, answer.text)
    assert service.rows() == before


def test_an_invalid_form_is_rejected(service: Service, platform: Caller) -> None:
    _, field = credentials_of(platform)
    for octets in (b"\xff\xfe%zz", b"=&&=", b"reactions=" + b"x" * 100_000):
        answer = service.anonymous.post(
            "/graph/1/", data=octets, query_string=field, headers={"Content-Type": "application/x-www-form-urlencoded"}
        )
        assert answer.status_code in REJECTION_STATUSES

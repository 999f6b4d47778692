"""The checks of every request: the key, the scope, the body, the query string, the idempotency key."""

from __future__ import annotations

import gzip
import io
import json
import threading
from typing import IO, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.formparser import FormDataParser

from hashdb.domain.accounts.members import Scope
from hashdb.http_server.forms import _CutAtBoundaries, _FormParser
from tests.web.callers import CHUNKED, Caller, Service, body, faults, item, pdq, problem, service_at

URL = "/v1/contributions"
JSON = "application/json"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        " ",
        "Bearer",
        "Bearer ",
        "Bearer hdb_",
        "Bearer hdb_wrong",
        "Bearer nonsense",
        "Bearer caf\u00e9",
        "Bearer hdb_caf\u00e9",
        "Basic aGRiXzpo",
        "Basic {}",
        "{}",
        "Token {}",
        "Bearer {}x",
        "Bearer {}, Bearer {}",
        "Bearer hdb_ {}",
        "Bearer hdb_" + "x" * 100_000,
    ],
)
def test_a_request_without_a_valid_key_is_rejected(service: Service, platform: Caller, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.replace("{}", str(platform.secret))}
    response = service.anonymous.get("/v1/me", headers=headers)
    problem(response, 401, "not-authenticated")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", ["Bearer {}", "bearer {}", "BEARER {}", "Bearer   {}", "Bearer {} "])
def test_the_scheme_is_case_insensitive_and_extra_spaces_are_allowed(
    service: Service, platform: Caller, header: str
) -> None:
    headers = {"Authorization": header.format(platform.secret)}
    assert service.anonymous.get("/v1/me", headers=headers).status_code == 200


WRITES = [
    ("POST", "/v1/contributions", Scope.CONTRIBUTE),
    ("POST", "/v1/contributions/media", Scope.CONTRIBUTE),
    ("PATCH", "/v1/contributions/1", Scope.CONTRIBUTE),
    ("POST", "/v1/contributions/1/withdrawal", Scope.CONTRIBUTE),
    ("POST", "/v1/matches", Scope.MATCH),
    ("POST", "/v1/matches/media", Scope.MATCH),
    ("POST", "/v1/signals", Scope.MATCH),
    ("POST", "/v1/members", Scope.ADMIN),
    ("PATCH", "/v1/members/1", Scope.ADMIN),
    ("POST", "/v1/members/1/keys", Scope.ADMIN),
]


@pytest.mark.parametrize(("method", "path", "scope"), WRITES)
def test_the_key_is_checked_before_the_scope_and_the_scope_before_the_body(
    service: Service, method: str, path: str, scope: Scope
) -> None:
    bodies: list[dict[str, Any]] = [
        {},
        {"data": b"\xff", "content_type": "text/plain"},
        {"data": b"{", "content_type": JSON},
        {"data": b"{}", "content_type": JSON},
        {"data": b"{}", "content_type": JSON, "query_string": "nonsense=1"},
        {"data": b"x" * 20_000_000, "content_type": JSON},
    ]
    anonymous, auditor = service.anonymous, service.caller(Scope.AUDIT)
    for arguments in bodies:
        problem(anonymous.request(method, path, **arguments), 401)
        problem(auditor.request(method, path, **arguments), 403, "scope-missing")


@pytest.mark.parametrize(("method", "path", "scope"), WRITES)
@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "a/b/c", "json"])
def test_an_unsupported_content_type_is_rejected(
    service: Service, method: str, path: str, scope: Scope, content_type: str | None
) -> None:
    response = service.caller(scope).request(method, path, data=b"{}", content_type=content_type)
    problem(response, 415, "wrong-content-type")


def test_json_may_name_its_charset_but_not_be_compressed(platform: Caller) -> None:
    text = json.dumps({"contributions": [item()]}).encode()
    assert platform.post(URL, data=text, content_type="application/json; charset=utf-8").status_code == 201
    for encoding in ("gzip", "br", "deflate", "identity, gzip"):
        packed = gzip.compress(text)
        response = platform.post(URL, data=packed, content_type=JSON, headers={"Content-Encoding": encoding})
        problem(response, 415, "wrong-content-type")
    problem(platform.post(URL, data=gzip.compress(text), content_type=JSON), 400, "malformed-request")


@pytest.mark.parametrize("data", [b"", b"{", b"\xef\xbb\xbf{}", b'{"contributions": NaN}', b"\x00", b"[" * 9999])
def test_a_body_that_is_not_json_is_malformed(service: Service, data: bytes) -> None:
    caller = service.caller()
    for method, path, _ in WRITES:
        if not path.endswith(("media", "signals")):
            problem(caller.request(method, path, data=data, content_type=JSON), 400, "malformed-request")


@pytest.mark.parametrize("data", [b"3", b"null", b'"x"', b"[]", b"[{}]", b"true", b"-0.0"])
def test_json_that_is_not_an_object_is_rejected(service: Service, data: bytes) -> None:
    caller = service.caller()
    for method, path, _ in WRITES:
        if not path.endswith(("media", "signals")):
            assert list(faults(caller.request(method, path, data=data, content_type=JSON))) == [""]


def test_a_body_over_the_size_limit_is_rejected(service: Service, platform: Caller) -> None:
    before = service.rows()
    padding = b" " * (16 * 1024 * 1024)
    response = platform.post(URL, data=b"{}" + padding, content_type=JSON)
    assert problem(response, 413, "too-large")["limit"] == 16 * 1024 * 1024
    whole = json.dumps({"contributions": [item()]}).encode()
    response = platform.post(URL, input_stream=io.BytesIO(whole + padding), content_type=JSON, **CHUNKED)
    assert problem(response, 413, "too-large")["limit"] == 16 * 1024 * 1024
    assert service.rows() == before


def test_a_chunked_body_below_the_size_limit_is_accepted(platform: Caller) -> None:
    stream = io.BytesIO(json.dumps({"contributions": [item()]}).encode())
    response = platform.post(URL, input_stream=stream, content_type=JSON, **CHUNKED)
    assert response.status_code == 201


@pytest.mark.parametrize(("size", "status"), [(1024, 201), (1025, 413)])
def test_a_body_may_have_as_many_bytes_as_the_limit_in_chunks_too(size: int, status: int) -> None:
    texts = [json.dumps({"contributions": [item(seed)]}).encode().ljust(size) for seed in (1, 2)]
    with service_at(None, max_body=1024, video_max_body=1024) as service:
        caller = service.caller()
        assert caller.post(URL, data=texts[0], content_type=JSON).status_code == status
        assert caller.post(URL, input_stream=io.BytesIO(texts[1]), content_type=JSON, **CHUNKED).status_code == status


def test_an_operator_can_set_the_size_limit() -> None:
    with service_at(None, max_body=1024) as service:
        caller = service.caller()
        assert problem(caller.post(URL, {"contributions": [item()] * 9}), 413)["limit"] == 1024
        assert caller.post(URL, {"contributions": [item()]}).status_code == 201


def test_a_route_without_parameters_rejects_them(service: Service) -> None:
    caller = service.caller()
    assert list(faults(caller.get("/v1/me?x=1"))) == ["x"]
    assert list(faults(caller.post(f"{URL}?dry_run=1", {"contributions": [item()]}))) == ["dry_run"]
    signal = pdq()
    assert signal[4:] not in str(faults(caller.get(f"/v1/me?{signal}={signal}&{signal}=2")))
    assert service.rows()["contributions"] == 0


def test_a_repeated_request_with_the_same_idempotency_key_gets_the_same_answer(
    service: Service, platform: Caller
) -> None:
    text = json.dumps({"contributions": [item(1), item(2)]}).encode()

    def send(data: bytes = text, key: str = "k-1", caller: Caller = platform) -> Any:
        return caller.post(URL, data=data, content_type=JSON, headers={"Idempotency-Key": key})

    first = body(send())
    rows = service.rows()
    assert body(send()) == first
    problem(send(data=text + b" "), 409, "idempotency-key-reused")
    assert service.rows() == rows
    assert [answer["known"] for answer in body(send(key="k-2"))["contributions"]] == [True, True]
    platform.post(f"{URL}/{first['contributions'][0]['id']}/withdrawal", {"reason": "other"})
    repeated = body(send())
    assert [answer["id"] for answer in repeated["contributions"]] == [answer["id"] for answer in first["contributions"]]
    assert repeated["contributions"][0]["status"] == "withdrawn"
    service.clock.advance(hours=24)
    assert body(send())["contributions"][0]["id"] > first["contributions"][1]["id"]


def test_two_members_can_use_the_same_idempotency_key(platform: Caller, other: Caller) -> None:
    headers = {"Idempotency-Key": "shared"}
    platform.contribute(item(1), headers=headers)
    assert other.contribute(item(2), headers=headers)[0]["known"] is False


def test_concurrent_retries_with_one_idempotency_key_are_stored_once(service: Service, platform: Caller) -> None:
    answers: list[Any] = []
    lock = threading.Lock()

    def send() -> None:
        caller = Caller(service.app.test_client(), platform.secret)
        answer = body(caller.post(URL, {"contributions": [item()]}, headers={"Idempotency-Key": "k"}))
        with lock:
            answers.append(answer)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert all(answer == answers[0] for answer in answers)
    assert service.rows()["contributions"] == 1


@pytest.mark.parametrize("key", ["", "x" * 201, "a\x7fb", "a\tb"])
def test_an_idempotency_key_must_be_1_to_200_printable_characters(platform: Caller, key: str) -> None:
    response = platform.post(URL, {"contributions": [item()]}, headers={"Idempotency-Key": key})
    assert list(faults(response)) == ["Idempotency-Key"]


def test_a_match_ignores_the_idempotency_key(platform: Caller) -> None:
    headers = {"Idempotency-Key": ""}
    for seed in (1, 2):
        assert platform.post("/v1/matches", {"queries": [{"signals": [pdq(seed)]}]}, headers=headers).status_code == 200


def test_a_rejected_request_does_not_use_up_its_idempotency_key(platform: Caller) -> None:
    headers = {"Idempotency-Key": "k"}
    faults(platform.post(URL, {"contributions": [item(labels=[])]}, headers=headers))
    assert platform.contribute(item(), headers=headers)[0]["known"] is False


_PARTS = [
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n',
    b'--b\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n',
    *(b"--b\r\n", b"--b--\r\n", b"--b", b"\r\n", b"\n", b"\r", b"--", b"", b"x" * 1020, b"\r\n\0" * 700, bytes(70_000)),
]
_forms = st.lists(st.sampled_from(_PARTS) | st.binary(max_size=40), max_size=12).map(b"".join)


def _parsed(kind: type[FormDataParser], form: bytes) -> object:
    parser = kind(stream_factory=lambda *_, **__: io.BytesIO(), silent=False)
    try:
        _, fields, files = parser.parse(io.BytesIO(form), "multipart/form-data", len(form), {"boundary": "b"})
    except ValueError as error:
        return str(error)
    return list(fields.items(multi=True)), [(name, file.stream.read()) for name, file in files.items(multi=True)]


@given(_forms | _forms.map(lambda form: _PARTS[0] + form + b"\r\n--b--\r\n"))
def test_forms_are_parsed_as_werkzeug_parses_them(form: bytes) -> None:
    assert _parsed(_FormParser, form) == _parsed(FormDataParser, form)


def test_forms_are_read_in_pieces_that_end_before_a_boundary() -> None:
    picture, end = _PARTS[0] + bytes(5_000) + b"\r\n", b"--b--\r\n"
    stream = _CutAtBoundaries(cast(IO[bytes], io.BytesIO(picture * 2 + end)), "b")
    assert list(iter(lambda: stream.read(65_536), b"")) == [picture, picture, end]


def test_consecutive_boundaries_do_not_make_many_pieces() -> None:
    stream = _CutAtBoundaries(cast(IO[bytes], io.BytesIO(b"--b" * 20_000)), "b")
    assert len(list(iter(lambda: stream.read(65_536), b""))) <= 60_000 // 1024 + 1

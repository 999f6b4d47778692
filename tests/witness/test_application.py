"""The witness over HTTP: the statuses, content types and bodies of the specification, and clear errors."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from hashdb.domain.ledger.cosignatures import cosigners
from hashdb.witness.application import LARGEST_BODY, WitnessServer
from hashdb.witness.witnessing import origin_hash
from tests.web.callers import problem
from tests.witness.conftest import ORIGIN, GrowingLog, Scene

ADDRESS = f"/{origin_hash(ORIGIN)}/checkpoint"


@pytest.fixture
def client(scene: Scene) -> Client:
    """A client of the witness."""
    return Client(WitnessServer(scene.witness))


def add(client: Client, text: str | bytes) -> TestResponse:
    return client.post("/add-checkpoint", data=text)


def test_a_checkpoint_is_cosigned_and_served_to_monitors(scene: Scene, client: Client) -> None:
    assert problem(client.get(ADDRESS), 404, "not-found")
    scene.log.grow(5)
    response = add(client, scene.log.submission(0))
    assert (response.status_code, response.content_type) == (200, "text/plain; charset=utf-8")
    assert all(line.startswith("\u2014 w.example/1 ") for line in response.text.splitlines())
    served = client.get(ADDRESS)
    assert (served.status_code, served.content_type) == (200, "text/plain; charset=utf-8")
    assert len(cosigners(served.text, [cosigner.key for cosigner in scene.cosigners])) == 2
    assert client.head(ADDRESS).content_length == len(served.data)


def test_a_wrong_old_size_is_answered_with_the_last_size(scene: Scene, client: Client) -> None:
    scene.log.grow(5)
    add(client, scene.log.submission(0))
    scene.log.grow(5)
    response = add(client, scene.log.submission(0))
    assert (response.status_code, response.content_type, response.data) == (409, "text/x.tlog.size", b"5\n")
    assert add(client, scene.log.submission(5)).status_code == 200


def test_each_error_has_the_status_of_the_specification(scene: Scene, client: Client) -> None:
    scene.log.grow(5)
    add(client, scene.log.submission(0))
    other = GrowingLog(5, fork=2)
    other.signer = scene.log.signer
    for text, status, kind in (
        ("", 400, "malformed-request"),
        (b"\xff", 400, "malformed-request"),
        (scene.log.submission(5, 4), 400, "malformed-request"),
        (GrowingLog(5).submission(5), 403, "checkpoint-not-signed"),
        (GrowingLog(5, "other.example").submission(0), 404, "not-found"),
        (other.submission(5), 422, "inconsistent-log"),
        (b"x" * (LARGEST_BODY + 1), 413, "too-large"),
    ):
        problem(add(client, text), status, kind)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/add-checkpoint", 405),
        ("POST", ADDRESS, 405),
        ("GET", "/", 404),
        ("GET", "/" + "A" * 64 + "/checkpoint", 404),
        ("POST", "/sign-subtree", 404),
        ("GET", f"{ADDRESS}/", 404),
    ],
)
def test_unknown_paths_and_methods_are_rejected(client: Client, method: str, path: str, status: int) -> None:
    response = client.open(path, method=method)
    assert problem(response, status)
    assert (response.headers.get("Allow") is not None) == (status == 405)


def test_the_witness_reports_that_it_is_alive_and_logs_no_content(
    scene: Scene, client: Client, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from hashdb.http_server.log_lines import write_json_lines

    write_json_lines()
    scene.log.grow(3)
    assert client.get("/healthz").text == "alive\n"
    add(client, scene.log.submission(0))
    client.get("/secret-address")
    client.open(ADDRESS, method="SECRET")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["method"], line["route"], line["status"]) for line in lines] == [
        ("GET", "/healthz", 200),
        ("POST", "/add-checkpoint", 200),
        ("(any)", "(none)", 404),
        ("(any)", "/{origin}/checkpoint", 405),
    ]


def test_a_failing_database_gives_an_error_answer(
    scene: Scene, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise sqlite3.OperationalError("disk full")

    monkeypatch.setattr(scene.state, "cosigned", fail)
    scene.log.grow(3)
    response = add(client, scene.log.submission(0))
    assert problem(response, 503, "store-busy")
    assert response.headers["Retry-After"] == "5"
    monkeypatch.undo()
    monkeypatch.setattr(scene.witness, "add_checkpoint", fail)
    assert problem(add(client, scene.log.submission(0)), 500, "internal")

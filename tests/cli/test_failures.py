"""hashdb contribute and match when requests fail: finished files are reported, and nothing is stored twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from hashdb.errors import LimitReached, StoreBusy
from tests.cli.conftest import PHOTOS, Commands
from tests.cli.proxies import LOSE_ANSWER, faulty_proxy

METADATA = ("--label", "glorification", "--removed-at", "2026-11-20T10:00:00Z")
LIMIT_ERROR = "the limit of contributions a day is reached"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """202 files, which need three requests. One file of the second request is not a picture."""
    folder = tmp_path_factory.mktemp("many")
    with Image.open(PHOTOS[5]) as photo:
        photo.resize((96, 64)).save(folder / "0.png")
    for number in range(1, 202):
        (folder / f"{number:03}.png").write_bytes((folder / "0.png").read_bytes())
    (folder / "150.png").write_bytes(bytes(range(256)))
    return folder


def fail_second_request(number: int) -> LimitReached | None:
    return LimitReached("contributions a day", 60) if number == 2 else None


@pytest.mark.parametrize(("words", "result_key"), [(("contribute", *METADATA), "id"), (("match",), "matches")])
def test_a_failed_request_is_the_error_of_its_paths_and_all_later_paths(
    member: Commands, service_url: str, folder: Path, words: tuple[str, ...], result_key: str
) -> None:
    with faulty_proxy(service_url, fail_second_request) as proxy:
        results = member.json(*words, folder, status=1, HASHDB_URL=proxy.url)
    assert [result["path"] for result in results] == [str(path) for path in sorted(folder.iterdir())]
    assert all(result_key in result for result in results[:100])
    assert {result["error"] for result in results[100:] if Path(result["path"]).name != "150.png"} == {LIMIT_ERROR}
    assert [result["error"][:13] for result in results if Path(result["path"]).name == "150.png"] == ["not a picture"]
    assert len(proxy.idempotency_keys) == 2


def test_the_text_output_names_each_path_that_was_not_sent(member: Commands, service_url: str, folder: Path) -> None:
    with faulty_proxy(service_url, fail_second_request) as proxy:
        process = member("match", folder, HASHDB_URL=proxy.url)
    assert process.returncode == 1
    assert f"hashdb: {folder}/201.png: {LIMIT_ERROR}" in process.stderr.splitlines()
    assert len(process.stderr.splitlines()) == 102


def test_a_request_whose_answer_is_lost_is_retried_and_stored_once(member: Commands, service_url: str) -> None:
    with faulty_proxy(service_url, lambda number: LOSE_ANSWER if number == 1 else None) as proxy:
        results = member.json("contribute", PHOTOS[6], *METADATA, HASHDB_URL=proxy.url)
    # If the first request had been stored as well, the retry would report the picture as known.
    assert [result["known"] for result in results] == [False]
    assert len(proxy.idempotency_keys) == 2
    assert len(set(proxy.idempotency_keys)) == 1


def test_a_request_to_a_busy_service_is_retried_three_times(member: Commands, service_url: str) -> None:
    with faulty_proxy(service_url, lambda number: StoreBusy(0)) as proxy:
        results = member.json("contribute", PHOTOS[6], *METADATA, status=1, HASHDB_URL=proxy.url)
    assert [result["error"] for result in results] == ["the database is busy or unreachable: try again"]
    assert len(proxy.idempotency_keys) == 4
    assert len(set(proxy.idempotency_keys)) == 1


def test_a_match_is_retried_if_the_service_is_busy(member: Commands, service_url: str) -> None:
    with faulty_proxy(service_url, lambda number: StoreBusy(1) if number == 1 else None) as proxy:
        (results,) = member.json("match", PHOTOS[6], HASHDB_URL=proxy.url)
    assert "action" in results
    assert len(proxy.idempotency_keys) == 2

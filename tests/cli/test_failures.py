"""hashdb contribute and match, when requests fail: what was done before is told, and nothing is stored twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from hashdb.errors import LimitReached, StoreBusy
from tests.cli.between import LOST, between
from tests.cli.conftest import PHOTOS, Commands

SAID = ("--label", "glorification", "--removed-at", "2026-11-20T10:00:00Z")
REACHED = "the limit of contributions a day is reached"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """202 files, in three requests; one of the second is no picture."""
    folder = tmp_path_factory.mktemp("many")
    with Image.open(PHOTOS[5]) as photo:
        photo.resize((96, 64)).save(folder / "0.png")
    for number in range(1, 202):
        (folder / f"{number:03}.png").write_bytes((folder / "0.png").read_bytes())
    (folder / "150.png").write_bytes(bytes(range(256)))
    return folder


def reached(number: int) -> LimitReached | None:
    return LimitReached("contributions a day", 60) if number == 2 else None


@pytest.mark.parametrize(("words", "found"), [(("contribute", *SAID), "id"), (("match",), "matches")])
def test_a_request_that_fails_is_the_error_of_its_paths_and_of_those_after_it(
    member: Commands, served: str, folder: Path, words: tuple[str, ...], found: str
) -> None:
    with between(served, reached) as proxy:
        said = member.json(*words, folder, status=1, HASHDB_URL=proxy.url)
    assert [one["path"] for one in said] == [str(path) for path in sorted(folder.iterdir())]
    assert all(found in one for one in said[:100])
    assert {one["error"] for one in said[100:] if Path(one["path"]).name != "150.png"} == {REACHED}
    assert [one["error"][:13] for one in said if Path(one["path"]).name == "150.png"] == ["not a picture"]
    assert len(proxy.keys) == 2


def test_for_people_each_path_that_was_not_sent_is_named(member: Commands, served: str, folder: Path) -> None:
    with between(served, reached) as proxy:
        done = member("match", folder, HASHDB_URL=proxy.url)
    assert done.returncode == 1
    assert f"hashdb: {folder}/201.png: {REACHED}" in done.stderr.splitlines()
    assert len(done.stderr.splitlines()) == 102


def test_an_answer_that_is_lost_is_asked_for_again_and_stored_once(member: Commands, served: str) -> None:
    with between(served, lambda number: LOST if number == 1 else None) as proxy:
        said = member.json("contribute", PHOTOS[6], *SAID, HASHDB_URL=proxy.url)
    # Stored twice, it would be known the second time.
    assert [one["known"] for one in said] == [False]
    assert len(proxy.keys) == 2
    assert len(set(proxy.keys)) == 1


def test_a_busy_service_is_asked_three_times_more(member: Commands, served: str) -> None:
    with between(served, lambda number: StoreBusy(0)) as proxy:
        said = member.json("contribute", PHOTOS[6], *SAID, status=1, HASHDB_URL=proxy.url)
    assert [one["error"] for one in said] == ["the database is busy or unreachable: try again"]
    assert len(proxy.keys) == 4
    assert len(set(proxy.keys)) == 1


def test_a_match_that_finds_the_service_busy_is_asked_again(member: Commands, served: str) -> None:
    with between(served, lambda number: StoreBusy(1) if number == 1 else None) as proxy:
        (said,) = member.json("match", PHOTOS[6], HASHDB_URL=proxy.url)
    assert "action" in said
    assert len(proxy.keys) == 2

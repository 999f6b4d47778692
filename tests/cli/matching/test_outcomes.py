"""Outcomes of files: the command sends them in batches and prints each answer as it arrives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hashdb.cli.matching.outcomes import Outcome, print_answers, send_in_batches
from hashdb.cli.matching.state import StateFile
from hashdb.hashing import Hashed
from hashdb.hashing.videos import HashedFrame


def _outcome(number: int, frames: int) -> Outcome:
    frame = HashedFrame(0, 0.0, True, Hashed(()))
    return Outcome(Path(f"{number}"), Hashed(()), None, (frame,) * frames)


def test_a_film_is_sent_before_the_next_one_is_hashed() -> None:
    outcomes = [_outcome(number, 600 if number < 3 else 0) for number in range(153)]
    hashed, sizes = list[Outcome](), list[tuple[int, int]]()

    def hash_next() -> Iterator[Outcome]:
        for outcome in outcomes:
            hashed.append(outcome)
            yield outcome

    def send(batch: list[Outcome]) -> list[None]:
        sizes.append((len(batch), len(hashed)))
        return [None] * len(batch)

    assert [each for each, _ in send_in_batches([], hash_next(), send)] == outcomes
    assert sizes == [(1, 1), (1, 2), (1, 3), (100, 103), (50, 153)]


@pytest.mark.parametrize("as_json", [False, True])
def test_answers_are_printed_and_recorded_and_failed_outcomes_are_returned(
    as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = [Outcome(Path("a\nb")), Outcome(Path("c"), error="no"), Outcome(Path("line 3"), line=3)]
    recorded: list[tuple[Path, int | None]] = []
    state_file = StateFile(None)
    state_file.record = lambda path, id=None: recorded.append((path, id))  # type: ignore[method-assign]
    failed = print_answers(
        zip(outcomes, (1, None, 2), strict=True),
        str,
        lambda answer: {"id": answer},
        what="testing",
        as_json=as_json,
        state_file=state_file,
        to_id=lambda answer: answer,
    )

    printed = capsys.readouterr().out
    assert failed == [outcomes[1]]
    assert recorded == [(Path("a\nb"), 1), (Path("line 3"), 2)]
    if as_json:
        assert json.loads(printed) == [{"path": "a\nb", "id": 1}, {"path": "c", "error": "no"}, {"line": 3, "id": 2}]
    else:
        assert printed == "a\\nb  1\nline 3  2\n"

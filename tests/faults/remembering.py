"""A member that remembers a picture and texts, syncs, looks back and reads its reports, and is killed at any step.

Its consumer keeps what it was told in a file of its own, and acknowledges it afterwards.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL

from hashdb.client import Client
from hashdb.domain.contributions import Draft
from hashdb.domain.matching.lookback import Upload
from hashdb.domain.matching.matches import Query
from hashdb.local import LocalIndex
from hashdb.local.lookback import LookBack
from hashdb.local.remembered import REMEMBERED_FOLDER
from hashdb.local.reports import Reports
from tests.builders import draft, excerpt, near, signal, text, words
from tests.faults.steps import die_at
from tests.processes import exit_code


def told(folder: Path) -> list[tuple[int, str, str, int]]:
    """What the consumer was told: number, kind, upload, contribution."""
    file = folder / "told"
    return [tuple(json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []


def take(reports: Reports, folder: Path) -> None:
    """Take every report that is not acknowledged; what is in the file already is not taken twice."""
    while found := reports.after(limit=2):
        before = told(folder)
        new = [(one.number, one.kind, one.upload, one.match.contribution) for one in found]
        lines = [*before, *(one for one in new if one[0] > len(before))]
        (folder / "next").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        os.replace(folder / "next", folder / "told")
        reports.acknowledge(found[-1].number)


def live(url: str, key: str, folder: Path, seed: int, step: int) -> None:
    """Remember the uploads, sync, look back, and take the reports; killed at a step."""
    manifesto, picture = excerpt(words(seed + 1, 200), words(seed, 300)), Query((signal(seed + 1),))
    die_at(step)
    with LocalIndex(folder / "local") as index, Client(url, key) as client:
        index.remember(
            [Upload(f"u-{n}", datetime.now(UTC), one) for n, one in enumerate((manifesto, picture, manifesto))]
        )
        index.sync(client)
        reports = Reports(folder / "local" / REMEMBERED_FOLDER)
        LookBack(index, reports).catch_up()
        take(reports, folder)


def kills(url: str, key: str, folder: Path, steps: tuple[int, int, int]) -> int:
    """How often a member was killed that is killed at these steps of its three rounds; it must be told the same.

    Uploads 0 and 2 have a part of one text, upload 1 is of a picture.
    """
    seed, count, left = 1_000_000 + 10 * steps[0], 0, iter(steps)

    def go_on() -> None:
        nonlocal count
        if code := exit_code(live, url, key, folder, seed, next(left)):
            assert code == -SIGKILL
            count += 1
            assert exit_code(live, url, key, folder, seed, 0) == 0

    folder.mkdir()
    with Client(url, key) as client:

        def contribute(*drafts: Draft) -> list[int]:
            return [one.contribution.id for one in client.contribute(drafts).recorded]

        go_on()
        assert told(folder) == []
        one, other = contribute(text(words(seed, 400)), draft(near(signal(seed + 1), 5)))
        go_on()
        matched = [("matched", "u-0", one), ("matched", "u-2", one), ("matched", "u-1", other)]
        assert sorted(what[1:] for what in told(folder)) == sorted(matched)
        client.withdraw(one, "false_match")
        [third] = contribute(draft(near(signal(seed + 1), 7)))
        go_on()
    back = [("taken-back", "u-0", one), ("taken-back", "u-2", one), ("matched", "u-1", third)]
    events = told(folder)
    assert sorted(what[1:] for what in events) == sorted([*matched, *back]), events
    assert [number for number, *_ in events] == list(range(1, 7))
    return count

"""A member that remembers uploads, syncs, looks back and reads its reports, and is killed at a step of that.

Its consumer saves the reports in a file, and then acknowledges them.
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
from tests.looking_back import look_back_to_end
from tests.processes import exit_code


def received_reports(folder: Path) -> list[tuple[int, str, str, int]]:
    """The reports that the consumer received: number, kind, upload, contribution."""
    file = folder / "received"
    return [tuple(json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []


def receive(reports: Reports, folder: Path) -> None:
    """Receive every report that is not acknowledged. A report that is already in the file is not added again."""
    while page := reports.after(limit=2):
        before = received_reports(folder)
        rows = [(report.number, report.kind, report.upload, report.match.contribution) for report in page]
        lines = [*before, *(row for row in rows if row[0] > len(before))]
        (folder / "next").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        os.replace(folder / "next", folder / "received")
        reports.acknowledge(page[-1].number)


def run_member(url: str, key: str, folder: Path, seed: int, step: int) -> None:
    """Remember the uploads, sync, look back, and receive the reports. The process is killed at this step."""
    manifesto, picture = excerpt(words(seed + 1, 200), words(seed, 300)), Query((signal(seed + 1),))
    die_at(step)
    with LocalIndex(folder / "local") as index, Client(url, key) as client:
        index.remember(
            [Upload(f"u-{n}", datetime.now(UTC), query) for n, query in enumerate((manifesto, picture, manifesto))]
        )
        index.sync(client)
        reports = Reports(folder / "local" / REMEMBERED_FOLDER)
        look_back_to_end(LookBack(index, reports))
        receive(reports, folder)


def count_kills(url: str, key: str, folder: Path, steps: tuple[int, int, int]) -> int:
    """Run a member in three rounds, and kill it at these steps; return the number of kills.

    The member must receive the same reports as without a kill. Uploads 0 and 2 have a part of one text, upload 1 is a
    picture.
    """
    seed, count, remaining = 1_000_000 + 10 * steps[0], 0, iter(steps)

    def run_round() -> None:
        nonlocal count
        if code := exit_code(run_member, url, key, folder, seed, next(remaining)):
            assert code == -SIGKILL
            count += 1
            assert exit_code(run_member, url, key, folder, seed, 0) == 0

    folder.mkdir()
    with Client(url, key) as client:

        def contribute(*drafts: Draft) -> list[int]:
            return [recorded.contribution.id for recorded in client.contribute(drafts).recorded]

        run_round()
        assert received_reports(folder) == []
        first, second = contribute(text(words(seed, 400)), draft(near(signal(seed + 1), 5)))
        run_round()
        matched = [("matched", "u-0", first), ("matched", "u-2", first), ("matched", "u-1", second)]
        assert sorted(report[1:] for report in received_reports(folder)) == sorted(matched)
        client.withdraw(first, "false_match")
        [third] = contribute(draft(near(signal(seed + 1), 7)))
        run_round()
    last = [("taken-back", "u-0", first), ("taken-back", "u-2", first), ("matched", "u-1", third)]
    reports = received_reports(folder)
    assert sorted(report[1:] for report in reports) == sorted([*matched, *last]), reports
    assert [number for number, *_ in reports] == list(range(1, 7))
    return count

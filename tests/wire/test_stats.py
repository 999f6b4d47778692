"""Counts of a day and reports on the wire."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import replace
from datetime import date

from hashdb.domain.stats.counts import Cell, Count
from hashdb.domain.stats.reports import (
    Caught,
    Contributed,
    DayReport,
    DecisionsBy,
    Durations,
    Precision,
    QueryFigures,
    Report,
    Reviewed,
    Share,
)
from hashdb.domain.times import Period
from hashdb.wire.stats import CountsOut, ReportOut, csv_text

DAY = date(2026, 11, 20)
COUNTS = (Count(Cell("query", 3, "pdq", "hit"), 2), Count(Cell("hit", 3, "any", "own"), 2))


def test_the_digest_is_of_the_very_lines() -> None:
    said = json.loads(CountsOut.from_domain(DAY, COUNTS, (9, "ab")).json_text())
    text = "".join(f"{line}\n" for line in [said["day"], *said["lines"]])
    assert said["digest"] == hashlib.sha256(text.encode()).hexdigest()
    assert (said["day"], said["sealed"]) == ("2026-11-20", {"seq": 9, "digest": "ab"})


def test_a_day_that_is_not_sealed_says_so() -> None:
    assert json.loads(CountsOut.from_domain(DAY, (), None).json_text())["sealed"] is None


TOOK, NOTHING = Durations.from_seconds([60, 7200]), Durations.from_seconds([])
BY = {"member": {"3": Share(2, 1, 1)}, "kind": {}, "label": {}, "algorithm": {}, "basis": {}, "media": {}}
REPORT = Report(
    period=Period(DAY, DAY),
    member=None,
    size=40,
    final=True,
    members={3: "=cmd()"},
    contributions=Contributed(2, 1, {"other": 1}, {"erased": 1}, BY),
    to_remove={"all": NOTHING},
    to_share={"all": TOOK},
    queries={"any": QueryFigures(2, 1, 1, 2), "pdq": QueryFigures(2, 1, 1, 2)},
    queries_by_member={3: QueryFigures(2, 1, 1, 2)},
    caught=Caught(1, TOOK),
    reviews=Reviewed(1, {"edsa_context": 2}, 2, {"uphold": 2}, {"uphold": 1}, 1, TOOK),
    deciders={"user:3": DecisionsBy({"uphold": 2}, TOOK, 1, 1)},
    precision={3: Precision(2, 1)},
    refused={"invalid-input": 1},
    turned_away={"no-key": 4},
    days={DAY: DayReport(2, 1, 3, 3)},
)


def test_the_json_is_what_its_model_reads() -> None:
    text = ReportOut.from_domain(REPORT).json_text()
    said = json.loads(text)
    assert ReportOut.model_validate_json(text).json_text() == text
    assert ReportOut.model_validate_json(text).to_domain() == REPORT
    assert (said["from"], said["to"], said["members"]) == ("2026-11-20", "2026-11-20", {"3": "=cmd()"})
    interval = {"low": 0.2077, "high": 0.9385}
    assert said["precision"] == {
        "3": {"confirmed": 2, "disputed": 1, "precision": 0.6667, "judged": 3, "interval": interval}
    }
    assert said["deciders"]["user:3"] | {"time_to_decide": None} == {
        "decided": {"uphold": 2},
        "time_to_decide": None,
        "again": 1,
        "reversed": 1,
        "stood": 0.5,
    }
    assert said["reappearances"] | {"time_to_first_catch": None} == {
        "own": 1,
        "others": 2,
        "caught": 1,
        "time_to_first_catch": None,
    }


def test_a_report_that_an_earlier_version_made_can_be_read() -> None:
    said = json.loads(ReportOut.from_domain(REPORT).json_text())
    for added in ("judged", "interval"):
        del said["precision"]["3"][added]
    del said["deciders"]
    assert ReportOut.model_validate_json(json.dumps(said)).to_domain() == replace(REPORT, deciders={})


def test_the_csv_has_every_figure_a_line_and_no_name_that_somebody_chose() -> None:
    heads, *rows = csv.reader(io.StringIO(csv_text(REPORT)))
    assert heads == ["figure", "value"]
    found = {row[0]: row[1] for row in rows}
    assert len(found) == len(rows)
    assert found["contributions.by.member.3.added"] == "2"
    assert found["time_to_remove.all.median"] == found["member"] == ""
    assert found["final"] == "true"
    assert "=cmd()" not in csv_text(REPORT)

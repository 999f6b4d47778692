"""Wire models of the counts of a day and of reports."""

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
    GroupCounts,
    Precision,
    QueryFigures,
    Report,
    Reviewed,
)
from hashdb.domain.times import Period
from hashdb.wire.stats import CountsOut, ReportOut, csv_text

DAY = date(2026, 11, 20)
COUNTS = (Count(Cell("query", 3, "pdq", "hit"), 2), Count(Cell("hit", 3, "any", "own"), 2))


def test_the_digest_is_computed_from_the_returned_lines() -> None:
    body = json.loads(CountsOut.from_domain(DAY, COUNTS, (9, "ab")).json_text())
    text = "".join(f"{line}\n" for line in [body["day"], *body["lines"]])
    assert body["digest"] == hashlib.sha256(text.encode()).hexdigest()
    assert (body["day"], body["sealed"]) == ("2026-11-20", {"seq": 9, "digest": "ab"})


def test_an_unsealed_day_has_no_seal_in_the_json() -> None:
    assert json.loads(CountsOut.from_domain(DAY, (), None).json_text())["sealed"] is None


DURATIONS, NO_DURATIONS = Durations.from_seconds([60, 7200]), Durations.from_seconds([])
BREAKDOWN = {"member": {"3": GroupCounts(2, 1, 1)}, "kind": {}, "label": {}, "algorithm": {}, "basis": {}, "media": {}}
REPORT = Report(
    period=Period(DAY, DAY),
    member=None,
    size=40,
    final=True,
    members={3: "=cmd()"},
    contributions=Contributed(2, 1, {"other": 1}, {"erased": 1}, BREAKDOWN),
    to_remove={"all": NO_DURATIONS},
    to_share={"all": DURATIONS},
    queries={"any": QueryFigures(2, 1, 1, 2), "pdq": QueryFigures(2, 1, 1, 2)},
    queries_by_member={3: QueryFigures(2, 1, 1, 2)},
    caught=Caught(1, DURATIONS),
    reviews=Reviewed(1, {"edsa_context": 2}, 2, {"uphold": 2}, {"uphold": 1}, 1, DURATIONS),
    deciders={"user:3": DecisionsBy({"uphold": 2}, DURATIONS, 1, 1)},
    precision={3: Precision(2, 1)},
    refused={"invalid-input": 1},
    turned_away={"no-key": 4},
    days={DAY: DayReport(2, 1, 3, 3)},
)


def test_a_report_round_trips_and_has_the_documented_fields() -> None:
    text = ReportOut.from_domain(REPORT).json_text()
    body = json.loads(text)
    assert ReportOut.model_validate_json(text).json_text() == text
    assert ReportOut.model_validate_json(text).to_domain() == REPORT
    assert (body["from"], body["to"], body["members"]) == ("2026-11-20", "2026-11-20", {"3": "=cmd()"})
    interval = {"low": 0.2077, "high": 0.9385}
    assert body["precision"] == {
        "3": {"confirmed": 2, "disputed": 1, "precision": 0.6667, "judged": 3, "interval": interval}
    }
    assert body["deciders"]["user:3"] | {"time_to_decide": None} == {
        "decided": {"uphold": 2},
        "time_to_decide": None,
        "again": 1,
        "reversed": 1,
        "stood": 0.5,
    }
    assert body["reappearances"] | {"time_to_first_catch": None} == {
        "own": 1,
        "others": 2,
        "caught": 1,
        "time_to_first_catch": None,
    }


def test_a_report_of_an_earlier_version_can_be_read() -> None:
    body = json.loads(ReportOut.from_domain(REPORT).json_text())
    for new_field in ("judged", "interval"):
        del body["precision"]["3"][new_field]
    del body["deciders"]
    assert ReportOut.model_validate_json(json.dumps(body)).to_domain() == replace(REPORT, deciders={})


def test_the_csv_has_one_line_a_figure_and_no_names_of_members() -> None:
    header, *rows = csv.reader(io.StringIO(csv_text(REPORT)))
    assert header == ["figure", "value"]
    figures = {row[0]: row[1] for row in rows}
    assert len(figures) == len(rows)
    assert figures["contributions.by.member.3.added"] == "2"
    assert figures["time_to_remove.all.median"] == figures["member"] == ""
    assert figures["final"] == "true"
    assert "=cmd()" not in csv_text(REPORT)

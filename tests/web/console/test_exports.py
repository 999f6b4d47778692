"""What is exported of contributions."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

from hashdb.web.console.contributions import lines
from hashdb.wire.contributions import ContributionOut
from tests.builders import signal
from tests.domain.matching.test_neighbors import ONE


def test_csv_has_a_column_a_field_and_no_formula() -> None:
    one = replace(ONE, signals=(signal(1), signal(2)), labels=("manifesto",), reference='=1+1,"x"\n')
    head, row = list(csv.reader("".join(lines([one], "csv")).splitlines(keepends=True)))
    told = dict(zip(head, row, strict=True))
    assert told["signals"] == f"{signal(1)} {signal(2)}"
    assert (told["reference"], told["severity"], told["erased"]) == ('\'=1+1,"x"\n', "", "False")
    assert told["received_at"] == "2026-11-20T12:00:00.000000Z"


def test_each_line_of_json_is_a_contribution_of_the_wire() -> None:
    text = "".join(lines([ONE, replace(ONE, id=2)], "jsonl"))
    assert [ContributionOut.model_validate_json(line).id for line in text.splitlines()] == [1, 2]
    assert json.loads(text.splitlines()[0])["member"] == {"id": 1, "name": "Example"}

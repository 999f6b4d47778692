"""Exports of contributions as CSV and JSON."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

from hashdb.web.console.contributions import lines
from hashdb.wire.contributions import ContributionOut
from tests.builders import signal
from tests.domain.matching.test_neighbors import CONTRIBUTION


def test_csv_has_a_column_for_each_field_and_no_formula() -> None:
    contribution = replace(CONTRIBUTION, signals=(signal(1), signal(2)), labels=("manifesto",), reference='=1+1,"x"\n')
    head, row = list(csv.reader("".join(lines([contribution], "csv")).splitlines(keepends=True)))
    values = dict(zip(head, row, strict=True))
    assert values["signals"] == f"{signal(1)} {signal(2)}"
    assert (values["reference"], values["severity"], values["erased"]) == ('\'=1+1,"x"\n', "", "False")
    assert values["received_at"] == "2026-11-20T12:00:00.000000Z"


def test_csv_has_the_salt_the_commitment_and_the_seals_in_hex_as_in_json() -> None:
    contribution = replace(CONTRIBUTION, salt=b"\x5b" * 16, commitment=b"\xc3" * 32, undisclosed=(b"\x01" * 32,) * 2)
    head, row = list(csv.reader("".join(lines([contribution], "csv")).splitlines(keepends=True)))
    values = dict(zip(head, row, strict=True))
    (line,) = lines([contribution], "jsonl")
    assert (values["salt"], values["commitment"]) == (json.loads(line)["salt"], json.loads(line)["commitment"])
    assert values["undisclosed"].split() == json.loads(line)["undisclosed"]


def test_each_line_of_json_is_a_contribution_as_in_the_api() -> None:
    text = "".join(lines([CONTRIBUTION, replace(CONTRIBUTION, id=2)], "jsonl"))
    assert [ContributionOut.model_validate_json(line).id for line in text.splitlines()] == [1, 2]
    assert json.loads(text.splitlines()[0])["member"] == {"id": 1, "name": "Example"}

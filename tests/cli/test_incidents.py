"""hashdb incident."""

from __future__ import annotations

from tests.cli.conftest import Commands

START, END = "2026-11-19T00:00:00Z", "2999-01-01T00:00:00Z"


def test_an_incident_is_opened_listed_and_changed(run: Commands) -> None:
    added = run.json("incident", "add", "CIP:example", "--start", START, "--expires")
    assert added == {
        "id": 1,
        "label": "CIP:example",
        "start": "2026-11-19T00:00:00.000000Z",
        "end": None,
        "expires": True,
    }
    changed = run.json("incident", "change", "1", "--end", END)
    assert changed == {**added, "end": "2999-01-01T00:00:00.000000Z"}
    assert run.json("incident", "list") == {"incidents": [changed], "next": None}
    assert "CIP:example" in run("incident", "list").stdout
    assert run("incident", "change", "1", "--no-end", "--lasts").stdout == (
        "incident 1: CIP:example since 2026-11-19 00:00 UTC; its contributions stay\n"
    )


def test_an_invalid_incident_is_rejected_in_one_sentence(run: Commands) -> None:
    assert run("incident", "add", "example", "--start", START).stderr == (
        "hashdb: label: must be PCI:, CIP: or CI: and a slug, like PCI:example-2026\n"
    )
    run("incident", "add", "CI:x", "--start", START)
    assert run("incident", "add", "CI:x", "--start", START).stderr == (
        "hashdb: an incident labelled CI:x already exists\n"
    )
    assert run("incident", "change", "1", "--end", START).stderr == "hashdb: end: must be after the start\n"
    assert run("incident", "change", "1", "--end", END, "--no-end").returncode == 2

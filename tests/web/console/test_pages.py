"""The helpers of the pages: forms and choices."""

from __future__ import annotations

from functools import partial

import pytest
from flask import Flask, g

from hashdb.domain.accounts.members import COMMAND_LINE, MemberDraft, MemberKind
from hashdb.errors import Fault, InvalidInput, NameTaken
from hashdb.service.accounts import members
from hashdb.web.console import pages
from hashdb.web.console.pages import Form
from tests.web.callers import Service


def test_a_form_reports_faults_at_fields_and_other_errors_above() -> None:
    form = Form({"name": " A ", "limit": "7", "wrong": "7.5"})
    assert (form.text("name"), form.text("none")) == ("A", "")
    assert (form.number("limit"), form.number("none"), form.number("wrong")) == (7, None, "7.5")
    with Flask(__name__).test_request_context():
        assert form.refused(InvalidInput((Fault("name", "is short"),))).faults == {"name": "is short"}
        assert form.refused(NameTaken("A")).error == "a member named A already exists"


def test_reading_a_secret_removes_it_from_the_form() -> None:
    form = Form({"password": " sesame "})
    assert form.take("password") == " sesame "
    assert form.values == {}


def test_the_choices_of_members_are_all_members_sorted_by_name(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["beta", "Alpha", "delta", "Gamma"]
    new_ids = [members.add(service.db, COMMAND_LINE, MemberDraft(name, MemberKind.PLATFORM)).id for name in names]
    with service.app.test_request_context():
        g.actor = COMMAND_LINE
        choices = pages.member_choices()
        rows = []
        for size in (1, 2, 5):
            monkeypatch.setattr(pages, "ROWS_AT_ONCE", size)
            rows.append(pages.read_all(partial(members.page, service.db, COMMAND_LINE)))
    ids = dict(zip(names, map(str, new_ids), strict=True))
    assert choices == [(ids[name], name) for name in ("Alpha", "beta", "delta", "Gamma")]
    assert [[member.name for member in read] for read in rows] == [names] * 3

"""Every verb of the service that changes something writes an event: none is forgotten, whoever adds one."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

import hashdb.service
from hashdb.domain.cases import Decision
from hashdb.domain.contributions import Amendment
from hashdb.domain.members import (
    COMMAND_LINE,
    Actor,
    KeyDraft,
    MemberChange,
    MemberDraft,
    MemberKind,
    MemberStatus,
    Scope,
)
from hashdb.domain.opinions import OpinionDraft, Stance
from hashdb.service import HashDB, cases, changes, checkpoints, contributions, erasures, members, opinions
from tests.builders import NOON, contributed, draft, member_with

Verb = Callable[[HashDB, Actor, int], object]


def disputed(db: HashDB, id: int) -> int:
    """The case that another member opened on a contribution."""
    case = opinions.give(db, member_with(db), id, OpinionDraft(Stance.DISPUTES, "other")).case
    assert case is not None
    return case


CHANGES: dict[str, Verb] = {
    "cases.decide": lambda db, actor, id: cases.decide(db, COMMAND_LINE, disputed(db, id), Decision.UPHOLD),
    "changes.read": lambda db, actor, id: changes.read(db, actor, 0, 10),
    "changes.note": lambda db, actor, id: changes.note(db, actor),
    "checkpoints.rotate": lambda db, actor, id: checkpoints.rotate(db, COMMAND_LINE),
    "checkpoints.start": lambda db, actor, id: checkpoints.start(db),
    "contributions.amend": lambda db, actor, id: contributions.amend(db, actor, id, Amendment(severity=4)),
    "contributions.announce": lambda db, actor, id: contributions.announce(db),
    "contributions.contribute": lambda db, actor, id: contributions.contribute(db, actor, [draft(99)]),
    "erasures.erase": lambda db, actor, id: erasures.erase(db, actor, id),
    "erasures.purge": lambda db, actor, id: erasures.purge(db),
    "contributions.withdraw": lambda db, actor, id: contributions.withdraw(db, actor, id, "other"),
    "opinions.give": lambda db, actor, id: disputed(db, id),
    "opinions.recount": lambda db, actor, id: opinions.recount(db),
    "members.add": lambda db, actor, id: members.add(db, COMMAND_LINE, MemberDraft("New", MemberKind.OPERATOR)),
    "members.change": lambda db, actor, id: members.change(db, COMMAND_LINE, 1, MemberChange(name="Other")),
    "members.issue_key": lambda db, actor, id: members.issue_key(
        db, COMMAND_LINE, 1, KeyDraft(frozenset({Scope.MATCH}))
    ),
    "members.revoke_key": lambda db, actor, id: members.revoke_key(db, COMMAND_LINE, 1),
}
"""Every verb that writes, and one use of it that changes something."""

WITHOUT = {"checkpoints.keep": "what it writes is over the events, and signed"}
"""Verbs that write and add no event, and why."""


def _verbs() -> Iterator[tuple[str, bool]]:
    """The verbs of the service, and whether each may write: by itself, or by what it calls of its module."""
    for module in pkgutil.iter_modules(hashdb.service.__path__):
        source = inspect.getsource(importlib.import_module(f"hashdb.service.{module.name}"))
        functions = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
        for name, function in functions.items():
            takes_service = [argument.arg for argument in function.args.args[:1]] == ["db"]
            if takes_service and not name.startswith("_"):
                yield f"{module.name}.{name}", _writes(function, functions, set())


def _writes(function: ast.FunctionDef, others: dict[str, ast.FunctionDef], seen: set[str]) -> bool:
    seen.add(function.name)
    nodes = list(ast.walk(function))
    if any(isinstance(node, ast.Attribute) and node.attr == "begin" for node in nodes):
        return True
    called = {node.id for node in nodes if isinstance(node, ast.Name)} & others.keys() - seen
    return any(_writes(others[name], others, seen) for name in called)


def test_every_verb_that_writes_is_tried_here() -> None:
    verbs = dict(_verbs())
    assert len(verbs) > len(CHANGES)
    assert {name for name, writes in verbs.items() if writes} == CHANGES.keys() | WITHOUT.keys()


@pytest.mark.parametrize("verb", CHANGES)
def test_a_verb_that_changes_something_writes_an_event(db: HashDB, actor: Actor, verb: str) -> None:
    (one,) = contributed(db, actor, draft(1, severity=2, expires_at=NOON + timedelta(minutes=1)))
    if verb == "contributions.announce":
        db.now = lambda: NOON + timedelta(minutes=2)
    if verb == "erasures.purge":
        erasures.erase(db, actor, one.id)
        db.now = lambda: NOON + timedelta(days=90)
    if verb == "opinions.recount":
        disputed(db, one.id)
        members.change(db, COMMAND_LINE, 2, MemberChange(status=MemberStatus.SUSPENDED))
    before = db.store.head().seq
    CHANGES[verb](db, actor, one.id)
    assert db.store.head().seq > before

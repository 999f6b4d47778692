"""Meanings: every code has one, with an example."""

from __future__ import annotations

import re

from hashdb.domain.accounts.members import MemberKind, MemberStatus, Scope
from hashdb.domain.accounts.users import Role
from hashdb.domain.contributions import Media, Standing, Status
from hashdb.domain.ledger.events import Action
from hashdb.domain.meanings import EXAMPLES, MEANINGS, TITLES
from hashdb.domain.review.cases import CaseState, Cause, Decision, Stance
from hashdb.domain.review.proposals import TwoPersonAction
from hashdb.domain.sharing.webhooks import DeliveryOutcome, Topic, Trouble
from hashdb.domain.signals import Algorithm, Profile
from hashdb.domain.stats.counts import AccessRefusal
from hashdb.domain.tiers import IncidentLevel, Tier
from hashdb.domain.vocabulary import Vocabulary
from hashdb.settings import Settings

ENUMS = {
    "tier": Tier,
    "incident_level": IncidentLevel,
    "status": Status,
    "standing": Standing,
    "media": Media,
    "algorithm": Algorithm,
    "profile": Profile,
    "stance": Stance,
    "cause": Cause,
    "case_state": CaseState,
    "decision": Decision,
    "act": TwoPersonAction,
    "member_kind": MemberKind,
    "member_status": MemberStatus,
    "scope": Scope,
    "role": Role,
    "topic": Topic,
    "outcome": DeliveryOutcome,
    "trouble": Trouble,
    "refusal": AccessRefusal,
    "action": Action,
}


def test_every_code_has_a_meaning_in_the_order_of_its_definition() -> None:
    vocabulary = Settings().vocabulary()
    codes = {kind: getattr(vocabulary, kind) for kind in Vocabulary.kinds()}
    codes |= {"severity": tuple("01234")} | {kind: tuple(enum) for kind, enum in ENUMS.items()}
    assert {kind: tuple(meanings) for kind, meanings in MEANINGS.items()} == codes
    assert tuple(TITLES) == tuple(MEANINGS)
    assert tuple(MEANINGS)[:6] == Vocabulary.kinds()


def test_meanings_and_examples_can_be_joined_to_one_sentence() -> None:
    texts = [text for both in (MEANINGS, EXAMPLES) for codes in both.values() for text in codes.values()]
    assert [text for text in texts if not text or re.search(r"[.`]$|`|for example|\s$|^\s", text)] == []

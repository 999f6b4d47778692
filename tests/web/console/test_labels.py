"""The page of the vocabulary."""

from __future__ import annotations

from hashdb.domain.accounts.users import Role
from hashdb.domain.contributions import Standing, Status
from hashdb.domain.review.cases import Decision
from hashdb.domain.rules import Vocabulary
from hashdb.domain.signals import Algorithm
from tests.web.callers import Service, service_at
from tests.web.console.visitors import Visitor, signed_in


def test_every_word_in_force_is_shown(service: Service, otto: Visitor) -> None:
    page = otto.get("/console/vocabulary").text
    vocabulary = service.db.rules.vocabulary
    codes = [code for kind in Vocabulary.kinds() for code in getattr(vocabulary, kind)]
    for word in (*Status, *Standing, *Decision, *Algorithm, *codes):
        assert f">{word}<" in page, word


def test_the_widest_radius_is_told() -> None:
    with service_at(None, max_radius="pdq=60") as service:
        page = signed_in(service, "otto", Role.AUDITOR).get("/console/vocabulary").text
    assert '<td class="number">256</td><td class="number">31</td><td class="number">60</td>' in page


def test_a_label_leads_to_what_has_it(otto: Visitor) -> None:
    assert 'href="/console/contributions?label=manifesto"' in otto.get("/console/vocabulary").text

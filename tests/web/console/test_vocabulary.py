"""The page of the vocabulary, and the meaning of codes on other pages."""

from __future__ import annotations

import html
import re
from pathlib import Path

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.accounts.users import Role
from hashdb.domain.meanings import EXAMPLES, MEANINGS
from hashdb.service.review import cases
from tests.web.callers import Service, item, service_at
from tests.web.console.visitors import Visitor, sign_in_new_user


def test_every_code_is_shown_with_its_meaning_and_an_example(otto: Visitor) -> None:
    page = otto.get("/console/vocabulary").text
    for kind, codes in MEANINGS.items():
        for code, meaning in codes.items():
            row = re.search(rf'<div id="{kind}-{re.escape(code)}"><dt>(.*?)</dt><dd>(.*?)</dd>', page)
            assert row and f">{code}<" in row[1], code
            description = html.unescape(row[2])
            assert description.startswith(f"{meaning[0].upper()}{meaning[1:]}. "), code
            assert f"Example: {EXAMPLES[kind][code]}." in description, code


def test_a_code_of_the_operator_is_marked_as_such(tmp_path: Path) -> None:
    labels = (Path("hashdb") / "labels.toml").read_text("utf-8").replace('"manifesto"', '"pamphlet"')
    (tmp_path / "labels.toml").write_text(labels, "utf-8")
    with service_at(None, labels=tmp_path / "labels.toml", max_radius="pdq=60") as service:
        page = sign_in_new_user(service, "otto", Role.AUDITOR).get("/console/vocabulary").text
    assert re.search(
        r">pamphlet</a></dt><dd>A code defined by this operator; ask the operator for its meaning.</dd>", page
    )
    assert 'id="behaviour-manifesto"' not in page
    assert '<td class="number">256</td><td class="number">31</td><td class="number">60</td>' in page


def test_a_label_links_to_its_contributions(otto: Visitor) -> None:
    assert 'href="/console/contributions?label=manifesto"' in otto.get("/console/vocabulary").text


def test_every_page_shows_the_meaning_of_its_codes(service: Service, otto: Visitor) -> None:
    fields = {
        "severity": 2,
        "context": ["synthetic"],
        "basis": "terms",
        "tco_ground": "2.7.a",
        "entity": "UN:example",
    }
    service.caller().contribute(item(1, **fields))
    cases.open_case(service.db, COMMAND_LINE, 1, "false_match", holds=True)
    expected = {
        "/console/contributions": [("behaviour", "glorification"), ("status", "active"), ("standing", "quarantined")],
        "/console/contributions/1": [
            ("behaviour", "glorification"),
            ("context", "synthetic"),
            ("basis", "terms"),
            ("tco_ground", "2.7.a"),
            ("entity_list", "UN"),
            ("media", "image"),
            ("severity", "2"),
            ("status", "active"),
            ("standing", "quarantined"),
        ],
        "/console/cases": [("reason", "false_match")],
        "/console/cases/1": [("reason", "false_match"), ("decision", "uphold"), ("standing", "quarantined")],
        "/console/members": [("member_kind", "platform")],
        "/console/members/1": [("member_status", "active"), ("member_kind", "platform"), ("scope", "contribute")],
        "/console/events": [("action", "contribution.added"), ("behaviour", "glorification"), ("scope", "match")],
        f"/console/events/{service.db.store.head().seq}": [
            ("action", "contribution.quarantined"),
            ("reason", "false_match"),
        ],
        "/console/users": [("role", "auditor")],
    }
    missing = []
    for path, codes in expected.items():
        page = html.unescape(otto.get(path).text)
        for kind, code in codes:
            link = re.search(
                rf'<a class="[^"]*" href="/console/vocabulary#{kind}-{re.escape(code)}" title="([^"]+)"', page
            )
            if link is None or MEANINGS[kind][code][1:] not in link[1] or EXAMPLES[kind][code] not in link[1]:
                missing.append((path, kind, code))
    assert missing == []

"""The page of what is in force."""

from __future__ import annotations

from hashdb.domain.users import Role
from tests.web.callers import service_at
from tests.web.console.visitors import signed_in


def test_what_is_in_force_is_shown_without_secrets() -> None:
    given = {"database_url": "postgresql://user:sesame@host/hashdb", "key": "hdb_sesame", "max_body": 12_345_678}
    with service_at(None, **given, max_radius="pdq=60") as service:
        otto = signed_in(service, "otto", Role.AUDITOR)
        page = otto.get("/console/settings").text
    assert "sesame" not in page
    assert "HASHDB_KEY" not in page
    assert "set, not shown" in page
    assert "12,345,678" in page
    assert "built in" in page and "labels.toml" not in page

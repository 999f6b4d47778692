"""The page of the settings and the background tasks."""

from __future__ import annotations

import re

from hashdb.domain.accounts.users import Role
from hashdb.service.background import Task
from hashdb.service.schedule import BACKGROUND_TASKS
from tests.web.callers import Service, service_at
from tests.web.console.visitors import sign_in_new_user


def test_settings_are_shown_without_secrets() -> None:
    storage = "memory://user:sesame@127.0.0.1:6379"
    settings = {
        "rate_limit_storage": storage,
        "database_url": "postgresql://user:sesame@host/hashdb",
        "key": "hdb_sesame",
        "max_body": 12_345_678,
    }
    with service_at(None, **settings, max_radius="pdq=60", rate_limit="1000/second,contribute=50/minute") as service:
        otto = sign_in_new_user(service, "otto", Role.AUDITOR)
        page = otto.get("/console/settings").text
    assert "sesame" not in page
    # In the form of the setting: the rate of all requests has no name.
    assert "1000/second,contribute=50/minute" in page
    assert "HASHDB_KEY" not in page
    assert "set (hidden)" in page
    assert "memory://(hidden)@127.0.0.1:6379" in page
    assert "12345678" in page
    assert "built in" in page and "labels.toml" not in page
    # No value is shown in the syntax of Python or Markdown, and none is empty.
    assert not re.search(r"frozenset|`|<td class=\"value\"></td>", page)


def _fail() -> None:
    raise ValueError("pdq:" + "f" * 64)


def test_each_background_task_is_shown_with_its_period_and_its_last_error(service: Service) -> None:
    otto = sign_in_new_user(service, "otto", Role.AUDITOR)
    service.db.background.run(Task.EXPIRY, _fail)
    service.db.background.run(Task.COUNTS, lambda: None)
    service.db.background.run(Task.FILL, lambda: None)
    page = otto.get("/console/settings").text
    rows = dict(re.findall(r'<tr><td><code class="whole">([a-z-]+)</code></td>(.*?)</tr>', page, re.S))
    assert rows.keys() == set(Task)
    for plan in BACKGROUND_TASKS:
        assert f"<td>{plan.does}</td><td>{plan.when}</td>" in rows[plan.task]
    assert "ValueError at tests.web.console.test_settings._fail:" in rows["expiry"] and "ffff" not in page
    assert '<td class="number">1</td>' in rows["expiry"]
    assert "<td>none</td>" in rows["counts"]
    # A task that no worker has run yet shows no time.
    assert "<time " in rows["counts"] and "<time " not in rows["seals"]
    # The time of the last run is recorded only of periodic tasks.
    assert "<time " not in rows["fill"]

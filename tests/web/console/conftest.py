"""A user of each role, in a browser of its own without scripts; and a real one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from hashdb.domain.accounts.users import Role
from tests.web.callers import Service
from tests.web.console.browsers import chromium
from tests.web.console.visitors import Visitor, signed_in

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real browser, one for all tests."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def ada(service: Service) -> Visitor:
    """An admin."""
    return signed_in(service, "ada", Role.ADMIN)


@pytest.fixture
def rosa(service: Service) -> Visitor:
    """A reviewer."""
    return signed_in(service, "rosa", Role.REVIEWER)


@pytest.fixture
def otto(service: Service) -> Visitor:
    """An auditor."""
    return signed_in(service, "otto", Role.AUDITOR)

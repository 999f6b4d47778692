"""A user of each role, each with a browser without scripts; and a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from hashdb.domain.accounts.users import Role
from tests.web.callers import Service
from tests.web.console.browsers import chromium
from tests.web.console.visitors import Visitor, sign_in_new_user

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real browser that all tests share."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def ada(service: Service) -> Visitor:
    """An admin."""
    return sign_in_new_user(service, "ada", Role.ADMIN)


@pytest.fixture
def rosa(service: Service) -> Visitor:
    """A reviewer."""
    return sign_in_new_user(service, "rosa", Role.REVIEWER)


@pytest.fixture
def otto(service: Service) -> Visitor:
    """An auditor."""
    return sign_in_new_user(service, "otto", Role.AUDITOR)

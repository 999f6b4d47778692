"""A user of each role, in a browser of its own."""

from __future__ import annotations

import pytest

from hashdb.domain.users import Role
from tests.web.callers import Service
from tests.web.console.visitors import Visitor, signed_in


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

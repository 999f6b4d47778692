"""A service that accepts contributions by the protocols of other systems and listens on a port."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.web.callers import Service, service_at
from tests.web.sharing.served import listening


@pytest.fixture
def service(database_url: str) -> Iterator[Service]:
    """The application over an empty database, on SQLite and on PostgreSQL, with a label for such contributions."""
    with service_at(database_url, interop_label="glorification") as service:
        yield service


@pytest.fixture
def url(service: Service) -> Iterator[str]:
    """The address of the service."""
    with listening(service) as address:
        yield address

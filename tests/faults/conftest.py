"""What the tests of faults share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres import OwnServer, PostgresMissing, own_server


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[OwnServer]:
    """A server that may be killed, whatever TEST_DATABASE_URL says."""
    try:
        with own_server() as server:
            yield server
    except PostgresMissing as missing:
        pytest.skip(f"no PostgreSQL: {missing}")

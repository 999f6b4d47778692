"""Late matches from end to end: a real service, and a member's sidecar in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from hashdb.client import Client
from hashdb.domain.contributions import Draft
from hashdb.domain.matching.lookback import LookBackReport, Upload
from hashdb.domain.matching.matches import Query
from hashdb.domain.signals import Algorithm
from hashdb.hashing import hash_file
from tests.cli.conftest import PHOTOS, Commands
from tests.faults.sidecars import Sidecar
from tests.warm import HASHDB, program

ALGORITHMS = (Algorithm.PDQ, Algorithm.PHASH256)


@pytest.fixture
def sidecar(member: Commands, tmp_path: Path) -> Iterator[Sidecar]:
    sidecar = Sidecar(tmp_path / "own", member.environment, program(HASHDB))
    sidecar.start()
    try:
        yield sidecar
    finally:
        sidecar.kill()


def next_report(sidecar: Sidecar) -> LookBackReport:
    """Wait for the only report that is not acknowledged."""
    with sidecar.client() as client:
        [report] = client.remembered_matches(wait=30)
        return report


def acknowledge(sidecar: Sidecar, report: LookBackReport) -> None:
    with sidecar.client() as client:
        client.acknowledge(report.number)


def test_a_late_match_and_its_retraction_survive_kills_of_the_sidecar(
    sidecar: Sidecar, member: Commands, tmp_path: Path
) -> None:
    original, altered = PHOTOS[4], tmp_path / "altered.jpg"
    with Image.open(original) as picture:
        picture.convert("RGB").resize((picture.width // 2, picture.height // 2)).save(altered, quality=60)
    with sidecar.client() as client:
        upload = Upload("post-81", datetime.now(UTC), Query(hash_file(original, ALGORITHMS).signals))
        assert client.remember([upload]) == 1
    sidecar.kill()
    # The upload was acknowledged, so it must survive the kill.
    sidecar.start()
    with Client(member.environment["HASHDB_URL"], member.environment["HASHDB_KEY"]) as service:
        hashed = hash_file(altered, ALGORITHMS)
        draft = Draft(hashed.signals, labels=("glorification",), removed_at=datetime.now(UTC), quality=hashed.quality)
        [recorded] = service.contribute([draft]).recorded
        matched = next_report(sidecar)
        sidecar.kill()
        # The report was sent but not acknowledged, so the sidecar must send it again.
        sidecar.start()
        assert next_report(sidecar) == matched
        acknowledge(sidecar, matched)
        service.withdraw(recorded.contribution.id, "false_match")
        retraction = next_report(sidecar)
        acknowledge(sidecar, retraction)
    with sidecar.client() as client:
        assert client.remembered_matches() == ()
    assert (matched.kind, matched.upload) == ("matched", "post-81")
    assert matched.match.contribution == recorded.contribution.id
    assert 0 < (matched.match.distance[Algorithm.PDQ] or 0) <= 31
    assert (retraction.kind, retraction.match, retraction.reason) == ("taken-back", matched.match, "withdrawn")

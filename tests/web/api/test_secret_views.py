"""Secret views over HTTP: contributions store them, queries find them, also after a new seed is added."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Scope
from hashdb.domain.signals import Profile
from hashdb.hashing import hash_transforms, hash_variants
from hashdb.service.matching import seeds
from hashdb.wire.accounts import MeOut
from tests.web.callers import Caller, Service, body, item, pdq, service_at
from tests.web.pictures import METADATA, form, photo
from tests.web.test_logs import log_output

__all__ = ["log_output"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests, with a seed."""
    with service_at(f"sqlite:///{tmp_path_factory.mktemp('views')}/hashdb.sqlite") as service:
        seeds.make_first(service.db)
        yield service


def _me(caller: Caller) -> MeOut:
    """The answer of `/v1/me`."""
    return MeOut.model_validate_json(caller.get("/v1/me").data)


def _found_by(caller: Caller, octets: bytes) -> dict[str, list[int]]:
    """The contributions that each secret view of a picture finds alone, as a member's program queries."""
    me = _me(caller)
    transforms = hash_transforms(octets, tuple(me.algorithms), seeds=me.seeds).transforms
    secret = {name: list(map(str, signals)) for name, signals in transforms.items() if name.startswith("secret-")}
    return {name: caller.matched(pdq(99), transforms={name: signals}) for name, signals in secret.items()}


def test_secret_views_of_an_earlier_seed_match_until_it_is_retired(service: Service) -> None:
    member, matcher = service.caller(Scope.CONTRIBUTE), service.caller(Scope.MATCH)
    me = _me(member)
    (earlier,) = body(member.post("/v1/contributions/media", **form(photo(31), metadata=METADATA)))["contributions"]
    hashed = hash_variants(photo(31), tuple(me.algorithms), Profile.BALANCED, seeds=me.seeds)
    assert earlier["signals"] == list(map(str, hashed.signals))
    without_seeds = hash_variants(photo(32), tuple(me.algorithms), Profile.BALANCED).signals
    with_seeds = hash_variants(photo(32), tuple(me.algorithms), Profile.BALANCED, seeds=me.seeds).signals
    (secret_only,) = member.contribute(
        item(signals=[str(signal) for signal in with_seeds if signal not in without_seeds])
    )

    seeds.rotate(service.db, COMMAND_LINE)
    (later,) = body(member.post("/v1/contributions/media", **form(photo(33), metadata=METADATA)))["contributions"]
    assert [seed.id for seed in _me(matcher).seeds] == [2, 1]
    for octets, own, other, id in ((photo(31), 1, 2, earlier["id"]), (photo(33), 2, 1, later["id"])):
        found = _found_by(matcher, octets)
        assert sum(ids == [id] for name, ids in found.items() if name.startswith(f"secret-{own}-")) >= 2
        # By chance, one view may lie where another seed has one.
        assert not all(ids for name, ids in found.items() if name.startswith(f"secret-{other}-"))

    def matches() -> list[tuple[int, str]]:
        answer = body(matcher.post("/v1/matches/media?transforms=1", **form(photo(32))))
        return [(match["contribution"], match.get("transform", "")) for match in answer["results"][0]["matches"]]

    (match,) = matches()
    assert (match[0], match[1][:9]) == (secret_only["id"], "secret-1-")
    seeds.retire(service.db, COMMAND_LINE, 1)
    assert not [transform for _, transform in matches() if transform.startswith("secret-1-")]


def test_no_log_line_metric_or_list_contains_a_seed(
    log_output: io.StringIO, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caller = service.caller()
    with caplog.at_level(logging.DEBUG):
        secret_seeds = _me(caller).seeds
        caller.post("/v1/matches/media?transforms=1", **form(photo(34)))
        caller.post("/v1/matches/media?transforms=1", **form(b"no picture"))
    texts = [
        log_output.getvalue(),
        caplog.text,
        *(caller.get(path).text for path in ("/metrics", "/v1/events?limit=1000", "/v1/contributions", "/v1/changes")),
    ]
    assert secret_seeds and texts[0] and all(texts[2:])
    for seed in secret_seeds:
        assert not any(seed.octets.hex() in text for text in texts)

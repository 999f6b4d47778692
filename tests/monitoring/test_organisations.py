"""Organisations: they sign a root of the active set only if everything holds, and their quorum is missed."""

from __future__ import annotations

from dataclasses import replace

from hashdb.domain.ledger.cosignatures import Cosigner
from hashdb.domain.ledger.policies import Policy
from tests.builders import draft
from tests.monitoring.conftest import World, kinds

ONE, TWO = Cosigner.new("one.example"), Cosigner.new("two.example")
POLICY = Policy.parse(f"witness one {ONE.key}\nwitness two {TWO.key}\ngroup both all one two\nquorum both\n")


def test_the_monitors_of_two_organisations_sign_each_root(world: World) -> None:
    world.db.rules = replace(world.db.rules, organisations=POLICY)
    one = world.monitor("one", organisations=POLICY, signer=ONE)
    two = world.monitor("two", signer=TWO)
    reader = world.monitor("reader", organisations=POLICY)
    for seed in range(3):
        world.contribute(draft(seed))
        for _ in range(8):
            world.go(10)
            assert one.check() == two.check() == reader.check() == []
        assert POLICY.check_root(world.client.set_root(signed=True).note, world.client.log().verifiers)


def test_a_quorum_that_does_not_sign_is_missed(world: World) -> None:
    world.db.rules = replace(world.db.rules, organisations=POLICY)
    one = world.monitor("one", organisations=POLICY, signer=ONE)
    world.contribute(draft(1))
    alarms, seconds = world.watch(one, 240)
    assert kinds(alarms) == ["set-unsigned"]
    assert 90 <= seconds <= 170
    assert "signed no root of the active set since event 0" in str(alarms[0])


def test_nobody_signs_after_an_alarm(world: World) -> None:
    world.db.rules = replace(world.db.rules, organisations=POLICY)
    one = world.monitor("one", signer=ONE)
    world.contribute(draft(1), draft(2))
    assert world.watch(one)[0] == []
    signed = world.client.set_root()
    assert "one.example" in signed.note
    world.tamper(lambda hand: hand.run("UPDATE contributions SET standing = 'retired' WHERE id = 1"))
    assert world.watch(one)[0] != []
    world.contribute(draft(3))
    world.go(60)
    assert kinds(one.check()) == ["contribution-altered contribution 1"]
    # Neither does the monitor that is started again.
    again = World.monitor(world, "one", signer=ONE)
    again.check()
    assert "one.example" not in world.client.set_root().note


def test_a_root_that_the_service_serves_beside_the_log_is_found(world: World) -> None:
    one = world.monitor("one", organisations=Policy.parse("quorum none\n"))
    world.contribute(draft(1))
    assert world.watch(one)[0] == []
    world.wire.forge = lambda path, content: content.replace(b"/set\\n", b"/Set\\n") if path == "/v1/set" else None
    assert kinds(one.check()) == ["unknown-key the active set"]

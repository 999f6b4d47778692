"""Organisations: they sign a root of the active set only without alarms, and a missing quorum raises an alarm."""

from __future__ import annotations

from dataclasses import replace

from hashdb.domain.ledger.cosignatures import Cosigner
from hashdb.domain.ledger.policies import Policy
from tests.builders import draft
from tests.monitor.conftest import World, kinds

ONE, TWO = Cosigner.new("one.example"), Cosigner.new("two.example")
POLICY = Policy.parse(f"witness one {ONE.key}\nwitness two {TWO.key}\ngroup both all one two\nquorum both\n")


def test_the_monitors_of_two_organisations_sign_each_root(world: World) -> None:
    world.db.rules = replace(world.db.rules, organisations=POLICY)
    first = world.monitor("one", organisations=POLICY, signer=ONE)
    second = world.monitor("two", signer=TWO)
    reader = world.monitor("reader", organisations=POLICY)
    for seed in range(3):
        world.contribute(draft(seed))
        for _ in range(8):
            world.advance(10)
            assert first.check() == second.check() == reader.check() == []
        assert POLICY.check_root(world.client.set_root(signed=True).note, world.client.log().verifiers)


def test_a_root_without_the_quorum_raises_an_alarm(world: World) -> None:
    world.db.rules = replace(world.db.rules, organisations=POLICY)
    monitor = world.monitor("one", organisations=POLICY, signer=ONE)
    world.contribute(draft(1))
    alarms, seconds = world.watch(monitor, 240)
    assert kinds(alarms) == ["set-unsigned"]
    assert 90 <= seconds <= 170
    assert "signed no root of the active set since event 0" in str(alarms[0])


def test_a_monitor_does_not_sign_after_an_alarm(world: World) -> None:
    world.db.rules = replace(world.db.rules, organisations=POLICY)
    monitor = world.monitor("one", signer=ONE)
    world.contribute(draft(1), draft(2))
    assert world.watch(monitor)[0] == []
    signed = world.client.set_root()
    assert "one.example" in signed.note
    world.tamper(lambda hand: hand.run("UPDATE contributions SET standing = 'retired' WHERE id = 1"))
    assert world.watch(monitor)[0] != []
    world.contribute(draft(3))
    world.advance(60)
    assert kinds(monitor.check()) == ["contribution-altered contribution 1"]
    # A restarted monitor does not sign either.
    restarted = World.monitor(world, "one", signer=ONE)
    restarted.check()
    assert "one.example" not in world.client.set_root().note


def test_a_served_root_that_the_log_did_not_sign_raises_an_alarm(world: World) -> None:
    monitor = world.monitor("one", organisations=Policy.parse("quorum none\n"))
    world.contribute(draft(1))
    assert world.watch(monitor)[0] == []
    world.transport.forge = lambda path, content: content.replace(b"/set\\n", b"/Set\\n") if path == "/v1/set" else None
    assert kinds(monitor.check()) == ["unknown-key the active set"]

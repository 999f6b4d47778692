"""hashdb selftest: test with the published test picture that hashing, the service and the local copy work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import click
from PIL import Image

from hashdb.cli.help import Command
from hashdb.cli.output import as_json, describe, escape_controls, print_json
from hashdb.client import Client
from hashdb.domain.matching.matches import Answer, Query
from hashdb.domain.matching.testing import TEST_ID, TEST_SIGNALS
from hashdb.domain.signals import OF_PICTURES, Algorithm, Signal
from hashdb.errors import HashDBError, MediaRefused, NoCopy
from hashdb.hashing import hash_picture
from hashdb.hashing.algorithms import is_installed
from hashdb.local import LocalIndex
from hashdb.member_settings import MemberSettings

TEST_PICTURE = Path(__file__).parents[1] / "test.png"
_MARKS = {"passed": "ok  ", "skipped": "skip", "failed": "FAIL"}


@dataclass(slots=True)
class SelftestSteps:
    """The steps of the selftest and their results; each is printed when it ends."""

    as_json: bool
    done: list[dict[str, str]] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether any step failed."""
        return any(step["state"] == "failed" for step in self.done)

    @contextmanager
    def step(self, name: str, *, skips: tuple[type[HashDBError], ...] = ()) -> Iterator[Callable[[str], None]]:
        """Run a step: it passes unless the block raises. The block may add details to print."""
        details: list[str] = []
        state = "passed"
        try:
            yield details.append
        except HashDBError as error:
            state = "skipped" if isinstance(error, skips) else "failed"
            details.append(describe(error))
        except _WrongAnswer as wrong:
            state = "failed"
            details.append(str(wrong))
        self.done.append({"step": name, "state": state, "detail": "; ".join(details)})
        if not self.as_json:
            click.echo(f"{_MARKS[state]} {name}{': ' * bool(details)}{escape_controls('; '.join(details))}")


class _WrongAnswer(Exception):
    """The answer is not the expected one."""


@click.command("selftest", cls=Command, examples=("hashdb selftest",))
@as_json
def selftest_command(as_json: bool) -> int:
    """Test every step from picture to match.

    The command hashes the published test picture, and matches it with your key at the service and in the local copy.
    The key needs the scope `match`. Nothing is stored. Exits 1 if a step fails.
    """
    steps = SelftestSteps(as_json)
    octets = TEST_PICTURE.read_bytes()
    with steps.step("the test picture is hashed here"):
        algorithms = tuple(filter(is_installed, OF_PICTURES))
        if hash_picture(octets, algorithms).signals != _test_signals(algorithms):
            raise _WrongAnswer(
                "its hashes are not the published ones: compare your Pillow and NumPy with constraints.txt"
            )
    with Client.from_environment() as client:
        _test_service(steps, client, octets)
    with (
        steps.step("the local copy matches it", skips=(NoCopy,)) as add_detail,
        LocalIndex(MemberSettings.of_member().copy_folder) as index,
    ):
        algorithms = index.rules.algorithms
        _require_test_item(index.match([Query(_test_signals(algorithms))]), algorithms)
        add_detail(f"up to date (event {index.checkpoint})")
    if as_json:
        print_json({"passed": not steps.failed, "steps": steps.done})
    return 1 if steps.failed else 0


def _test_service(steps: SelftestSteps, client: Client, octets: bytes) -> None:
    algorithms: tuple[Algorithm, ...] = ()
    with steps.step("the service answers") as add_detail:
        me = client.me()
        algorithms = tuple(me.algorithms)
        add_detail(f"{me.member.name}, scopes {' '.join(me.key.scopes)}, version {me.version}")
    if not algorithms:
        return
    with steps.step("the service matches it") as add_detail:
        _require_test_item(client.match([Query(_test_signals(algorithms))]), algorithms)
        add_detail(", ".join(algorithms))
    with steps.step("and half as large, as a JPEG"):
        hashed = hash_picture(_shrink(octets), algorithms)
        _require_test_item(client.match([Query(hashed.signals)]))
    with steps.step("the service hashes it alike", skips=(MediaRefused,)):
        _require_test_item(client.match_media([octets]), algorithms)


def _test_signals(algorithms: Sequence[Algorithm]) -> tuple[Signal, ...]:
    return tuple(signal for signal in TEST_SIGNALS if signal.algorithm in algorithms)


def _require_test_item(answer: Answer, exactly: Sequence[Algorithm] = ()) -> None:
    """Raise _WrongAnswer unless the test item matches, and at distance 0 by each algorithm in `exactly`."""
    for match in answer.results[0].matches:
        if match.contribution == TEST_ID:
            if differing := [algorithm for algorithm in exactly if match.distance.get(algorithm, 1) not in (0, None)]:
                raise _WrongAnswer(f"it matches, but not at distance 0 by {', '.join(differing)}")
            return
    raise _WrongAnswer("it does not match")


def _shrink(octets: bytes) -> bytes:
    out = BytesIO()
    with Image.open(BytesIO(octets)) as picture:
        half = picture.convert("RGB").resize((picture.width // 2, picture.height // 2))
    half.save(out, "JPEG", quality=70)
    return out.getvalue()

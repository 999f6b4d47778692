"""hashdb demo."""

from __future__ import annotations

from tests.cli.conftest import Commands


def test_the_demonstration_holds_what_it_expects(run: Commands) -> None:
    done = run.process("demo", "--once")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "48 of 48 altered copies were recognised; 0 of 6 other photographs were." in done.stdout
    assert done.stderr == ""

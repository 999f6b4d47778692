"""hashdb demo."""

from __future__ import annotations

import json
import re

from tests.cli.conftest import Commands


def test_the_demonstration_holds_what_it_expects(run: Commands) -> None:
    done = run.process("demo", "--once", timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "48 of 48 altered copies were recognised; 0 of 6 other photographs were." in done.stdout
    assert re.search(r"^index +tiered \(by (C kernel|NumPy)\)$", done.stdout, re.MULTILINE)
    assert done.stderr == ""


def test_a_program_reads_what_held_in_one_document(run: Commands) -> None:
    # On another port: both tests may run at once.
    done = run.process("demo", "--once", "--json", "--port", "8001", timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert said["held"] is True
    assert [trial["held"] for trial in said["trials"]] == [True] * 54

"""hashdb demo."""

from __future__ import annotations

import json
import re

from tests.cli.conftest import Commands


def test_the_demonstration_holds_what_it_expects(run: Commands) -> None:
    done = run.process("demo", "--once", "--json", timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert said["held"] is True
    told = [(one["held"], one["expected"] is not None, one["contribution"]) for one in said["trials"]]
    copies, others = told[:48], told[48:]
    assert all(held and expected and found for held, expected, found in copies)
    assert others == [(True, False, None)] * 6
    clip, still = said["films"]
    assert clip["held"] and still["held"]
    assert clip["found"]["contribution"] == still["found"]["contribution"] == clip["expected"]
    (segment, *_) = clip["found"]["segments"]
    assert "mirror" in segment["transform"]
    assert [one["held"] for one in said["texts"]] == [True, True, True]
    # What is told as it goes on leaves the document alone.
    assert done.stderr.startswith("service       http://127.0.0.1:")
    assert re.search(r"^index +tiered \(by (C kernel|NumPy)\)$", done.stderr, re.MULTILINE)

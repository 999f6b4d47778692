"""hashdb demo."""

from __future__ import annotations

import json
import re

from tests.cli.conftest import Commands


def test_every_trial_of_the_demo_has_the_expected_result(run: Commands) -> None:
    # The demonstration takes no setting from the environment.
    process = run.process("demo", "--once", "--json", timeout=180, HASHDB_ALGORITHMS="dhash")
    assert process.returncode == 0, process.stdout + process.stderr
    output = json.loads(process.stdout)
    assert output["held"] is True
    trials = [(trial["held"], trial["expected"] is not None, trial["contribution"]) for trial in output["trials"]]
    copies, others = trials[:48], trials[48:]
    assert all(held and expected and contribution for held, expected, contribution in copies)
    assert others == [(True, False, None)] * 6
    clip, still = output["films"]
    assert clip["held"] and still["held"]
    assert clip["found"]["contribution"] == still["found"]["contribution"] == clip["expected"]
    (segment, *_) = clip["found"]["segments"]
    assert "mirror" in segment["transform"]
    assert [trial["held"] for trial in output["texts"]] == [True, True, True]
    # Progress goes to standard error, so standard output is one document.
    assert process.stderr.startswith("service       http://127.0.0.1:")
    assert re.search(r"^index +tiered \(by (C kernel|NumPy)\)$", process.stderr, re.MULTILINE)

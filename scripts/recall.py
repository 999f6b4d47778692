"""Write tests/data/recall.json: the number of photos of the package that are recognised after each alteration."""

from __future__ import annotations

import json
from pathlib import Path

import hashdb
from hashdb.domain.signals import Algorithm
from hashdb.evaluation.alterations import ALTERATIONS
from hashdb.evaluation.runs import evaluate
from hashdb.evaluation.samples import PROFILES, Scheme
from hashdb.hashing import Limits

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "tests" / "data" / "recall.json"
PHOTOS = Path(hashdb.__file__).parent / "photos"
ALGORITHMS = (Algorithm.PDQ, Algorithm.PHASH256)


def count_recognised() -> dict[str, dict[str, int]]:
    """Count the recognised photos for each alteration: by one algorithm, and by a service with each profile.

    Each alteration is applied to a third of the photos.
    """
    photos = sorted(PHOTOS.glob("*.jpg"))
    scheme = Scheme(ALGORITHMS, PROFILES, tuple(ALTERATIONS), every=3)
    evaluation = evaluate(photos, scheme, rate=1e-11, items=1, limits=Limits(), processes=1)
    ways = {
        str(outcome.choice): outcome.recalls(outcome.radius_in_force)
        for outcome in evaluation.outcomes
        if not outcome.choice.transforms and outcome.choice.profile == PROFILES[0]
    }
    ways |= {f"matched, {profile}": shares for profile, shares in evaluation.matched.items()}
    return {
        way: {
            name: round(share * copies)
            for name, share, copies in zip(scheme.alterations, shares, evaluation.copies, strict=True)
        }
        for way, shares in ways.items()
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(count_recognised(), indent=1, ensure_ascii=False) + "\n", "utf-8")

"""Feeds decoders what nobody thought of, for as long as wanted: by coverage with atheris, else by hypothesis."""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Fuzz one decoder, or all one after the other; ends with 1 where one raised what it does not declare."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=main.__doc__)
    parser.add_argument("decoder", nargs="?", help="a name of tests/decoders.py; else all")
    parser.add_argument("--seconds", type=int, default=20, help="for each (default: 20)")
    asked = parser.parse_args()
    if asked.decoder is not None and importlib.util.find_spec("atheris"):
        _by_coverage(asked.decoder, asked.seconds)
    elif asked.decoder is not None:
        _by_hypothesis(asked.decoder, asked.seconds)
    else:
        sys.exit(_each(asked.seconds))


def _each(seconds: int) -> int:
    """The number of decoders that failed, each in a process of its own, which a decoder in C may take down."""
    from tests.decoders import DECODERS

    failed = []
    for name in DECODERS:
        command = [sys.executable, "-m", "scripts.fuzz", name, "--seconds", str(seconds)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        print(f"{name}: {'held' if done.returncode == 0 else 'failed'}", flush=True)
        if done.returncode:
            failed.append(name)
            print(done.stdout[-2000:], done.stderr[-4000:], sep="\n")
    print(f"failed: {', '.join(failed) or 'none'}")
    return min(1, len(failed))


def _by_coverage(name: str, seconds: int) -> None:
    import tempfile

    import atheris

    with atheris.instrument_imports(include=["hashdb"]):
        from tests.decoders import DECODERS
    decoder = DECODERS[name]

    def one(octets: bytes) -> None:
        decoder(octets)

    with tempfile.TemporaryDirectory() as corpus:
        for number, example in enumerate(decoder.examples):
            (Path(corpus) / str(number)).write_bytes(example)
        limits = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=2048", f"-artifact_prefix={corpus}/"]
        atheris.Setup([sys.argv[0], corpus, *limits], one)
        atheris.Fuzz()


def _by_hypothesis(name: str, seconds: int) -> None:
    import hypothesis
    from hypothesis import strategies as st

    from tests.decoders import DECODERS
    from tests.test_decoders import EDITS, edited

    decoder, until = DECODERS[name], time.monotonic() + seconds
    while time.monotonic() < until:

        @hypothesis.settings(max_examples=500, deadline=None, database=None)
        @hypothesis.given(st.sampled_from(decoder.examples), EDITS)
        def reads_or_refuses(example: bytes, edits: list[tuple[float, int, bytes]]) -> None:
            decoder(edited(example, edits))

        reads_or_refuses()


if __name__ == "__main__":
    main()

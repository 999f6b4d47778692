"""Fuzz decoders for a number of seconds: with the coverage of atheris, or else with hypothesis."""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Fuzz one decoder, or all of them in turn; exit 1 if a decoder raises an undeclared error."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=main.__doc__)
    parser.add_argument("decoder", nargs="?", help="name of a decoder in tests/decoders.py; default: all")
    parser.add_argument("--seconds", type=int, default=20, help="seconds for each decoder (default: 20)")
    options = parser.parse_args()
    if options.decoder is not None and importlib.util.find_spec("atheris"):
        _fuzz_by_coverage(options.decoder, options.seconds)
    elif options.decoder is not None:
        _fuzz_by_hypothesis(options.decoder, options.seconds)
    else:
        sys.exit(_fuzz_all(options.seconds))


def _fuzz_all(seconds: int) -> int:
    """Fuzz each decoder in a separate process, because one in C may crash it; return 1 if one failed."""
    from tests.decoders import DECODERS

    failed = []
    for name in DECODERS:
        command = [sys.executable, "-m", "scripts.fuzz", name, "--seconds", str(seconds)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        print(f"{name}: {'passed' if done.returncode == 0 else 'failed'}", flush=True)
        if done.returncode:
            failed.append(name)
            print(done.stdout[-2000:], done.stderr[-4000:], sep="\n")
    print(f"failed: {', '.join(failed) or 'none'}")
    return min(1, len(failed))


def _fuzz_by_coverage(name: str, seconds: int) -> None:
    import tempfile

    import atheris

    with atheris.instrument_imports(include=["hashdb"]):
        from tests.decoders import DECODERS
    decoder = DECODERS[name]

    def decode(octets: bytes) -> None:
        decoder(octets)

    with tempfile.TemporaryDirectory() as corpus:
        for number, example in enumerate(decoder.examples):
            (Path(corpus) / str(number)).write_bytes(example)
        limits = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=2048", f"-artifact_prefix={corpus}/"]
        atheris.Setup([sys.argv[0], corpus, *limits], decode)
        atheris.Fuzz()


def _fuzz_by_hypothesis(name: str, seconds: int) -> None:
    import hypothesis
    from hypothesis import strategies as st

    from tests.decoders import DECODERS
    from tests.test_decoders import EDITS, edited

    decoder, until = DECODERS[name], time.monotonic() + seconds
    while time.monotonic() < until:

        @hypothesis.settings(max_examples=500, deadline=None, database=None)
        @hypothesis.given(st.sampled_from(decoder.examples), EDITS)
        def decodes_or_raises(example: bytes, edits: list[tuple[float, int, bytes]]) -> None:
            decoder(edited(example, edits))

        decodes_or_raises()


if __name__ == "__main__":
    main()

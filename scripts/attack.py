"""Run the attacks of `scripts/attacks` and print which limits hold: `python -m scripts.attack [NAME…]`."""

from __future__ import annotations

import argparse
import pkgutil
import signal
import sys
import traceback
from importlib import import_module
from types import FrameType, ModuleType

from scripts import attacks


class _TookTooLong(Exception):
    """The attack ran longer than its SECONDS."""


def main(arguments: list[str] | None = None) -> int:
    """Run the named attacks, or all; return 1 if one succeeded or failed with an error."""
    modules = {attack.name: import_module(f"scripts.attacks.{attack.name}") for attack in _attacks()}
    parser = argparse.ArgumentParser(
        prog="scripts/attack", description="Attack a hashdb on 127.0.0.1. Example: scripts/attack walk pushed_out"
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="; ".join(modules))
    parser.add_argument("--list", action="store_true", help="Print what each attack tries.")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in modules]:
        parser.error(f"no attack {', '.join(unknown)}: choose from {', '.join(modules)}")
    chosen = {name: modules[name] for name in options.names or modules}
    if options.list:
        for name, module in chosen.items():
            print(f"{name}: {(module.__doc__ or '').splitlines()[0]}")
        return 0
    failed = [name for name, module in chosen.items() if not _runs_safely(name, module)]
    print(f"{len(chosen) - len(failed)} of {len(chosen)} attacks found nothing", end="")
    print(f"; succeeded: {', '.join(failed)}" if failed else "")
    return 1 if failed else 0


def _runs_safely(name: str, module: ModuleType) -> bool:
    signal.signal(signal.SIGALRM, _stop)
    signal.alarm(module.SECONDS)
    holds = True
    try:
        for finding in module.run():
            holds = holds and finding.holds
            verdict = "holds" if finding.holds else "FAILS"
            print(f"{name}: {verdict}: {finding.tried}: {finding.measured} (bound: {finding.bound})", flush=True)
    except Exception:
        print(f"{name}: broke off", flush=True)
        traceback.print_exc(file=sys.stdout)
        return False
    finally:
        signal.alarm(0)
    return holds


def _stop(number: int, frame: FrameType | None) -> None:
    raise _TookTooLong


def _attacks() -> list[pkgutil.ModuleInfo]:
    """The modules that are attacks. The names of their shared modules begin with an underscore."""
    return [module for module in pkgutil.iter_modules(attacks.__path__) if not module.name.startswith("_")]


if __name__ == "__main__":
    raise SystemExit(main())

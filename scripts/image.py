"""Run the Dockerfile without Docker: its steps in a new folder, its commands as its user, and its health check.

`scripts/image` prints each step. It skips steps that change the machine (apt-get, useradd), and puts absolute paths
into the folder. As root, it runs the service as the user of the image, who can write only to the home.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
_STARTS_WITHIN = 60.0
_SKIPPED_COMMANDS = ("apt-get", "useradd", "rm -rf /var/lib/apt", "install --directory")


class Step(NamedTuple):
    """An instruction of a Dockerfile."""

    word: str
    text: str


def stages(text: str) -> list[list[Step]]:
    """The instructions of each stage, without comments and with joined lines."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    by_stage: list[list[Step]] = []
    for line in filter(str.strip, joined.splitlines()):
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            by_stage.append([])
        by_stage[-1].append(Step(word, re.sub(r"\s+", " ", rest.strip())))
    return by_stage


def command_words(text: str) -> list[str]:
    """The words of a command in its JSON form."""
    words: list[str] = json.loads(text[text.index("[") :])
    return words


def health(stage: Sequence[Step]) -> str:
    """The health check of a stage."""
    return next(step.text for step in stage if step.word == "HEALTHCHECK")


def environment(stage: Sequence[Step]) -> dict[str, str]:
    """The environment variables that a stage sets."""
    return dict(
        pair.split("=", 1)
        for step in stage
        if step.word == "ENV"
        for pair in shlex.split(step.text.replace("$PATH", ""))
    )


def main() -> int:
    """Run the Dockerfile; return 0 if the service becomes healthy."""
    build, last = stages((ROOT / "Dockerfile").read_text("utf-8"))
    with tempfile.TemporaryDirectory(prefix="hashdb-image-") as name:
        root = Path(name)
        # The user of the image must be able to enter the folder.
        root.chmod(0o755)
        _build(build, root)
        home = root / environment(last)["HASHDB_HOME"].lstrip("/")
        home.mkdir(parents=True)
        user = int(next(step.text for step in last if step.word == "USER").partition(":")[0])
        if _can_run_as(user, root / "opt" / "hashdb" / "bin" / "python"):
            os.chown(home, user, user)
            return _run(last, root, home, user)
        print(f"# the service runs as the current user, who may write outside the home: only root can run it as {user}")
        return _run(last, root, home, None)


def _can_run_as(user: int, python: Path) -> bool:
    """Whether this process can run a program as the user of the image."""
    try:
        return os.geteuid() == 0 and not subprocess.run([python, "-c", ""], user=user, check=False).returncode
    except PermissionError:
        return False


def _build(stage: Sequence[Step], root: Path) -> None:
    """Run the steps of the first stage."""
    # The Python of the image has pip; the Python that runs this script may not have it.
    subprocess.run([sys.executable, "-m", "venv", str(root / "python")], check=True)
    folder = root
    for step in stage:
        if step.word == "WORKDIR":
            folder = root / step.text.lstrip("/")
            folder.mkdir(parents=True)
        elif step.word == "COPY":
            for path in _context():
                target = folder / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        elif step.word == "RUN":
            for command in step.text.split(" && "):
                _step(command, root, folder)


def _step(command: str, root: Path, folder: Path) -> None:
    if any(command.startswith(word) for word in _SKIPPED_COMMANDS):
        print(f"# skipped: {command}")
        return
    in_folder = re.sub(r"(?<![\w./])/opt/", f"{root}/opt/", command)
    print(f"$ {in_folder}", flush=True)
    words = shlex.split(in_folder)
    if words[0] == "python":
        words[0] = str(root / "python" / "bin" / "python")
    subprocess.run(words, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def _context() -> Iterator[Path]:
    """The files of the build context.

    .dockerignore excludes everything, then includes the named paths, and excludes patterns within these.
    """
    lines = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and line[0] != "#"]
    included = [line[1:] for line in lines if line.startswith("!")]
    excluded = [line.removeprefix("**/") for line in lines if line.startswith("**/")]
    for name in included:
        top = ROOT / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            parts = path.relative_to(ROOT).parts
            if path.is_file() and not any(fnmatch(part, pattern) for part in parts for pattern in excluded):
                yield path


def _run(stage: Sequence[Step], root: Path, home: Path, user: int | None) -> int:
    """Start the command on 127.0.0.1 and a free port, and repeat the health check until it succeeds."""
    variables = environment(stage)
    path = f"{root}{variables['PATH'].rstrip(':')}:{os.environ['PATH']}"
    settings = variables | {"PATH": path, "HASHDB_HOME": str(home), "TMPDIR": "/nonexistent"}
    port = str(_free_port())
    command = [*command_words(next(step.text for step in stage if step.word == "CMD")), "--port", port]
    check = [word.replace("8000", port) for word in command_words(health(stage))]
    rejected = subprocess.run(command, env=settings, cwd=home, user=user, capture_output=True, text=True, check=False)
    print(f"$ {' '.join(command)}\n{rejected.stderr.strip()}")
    if rejected.returncode == 0 or "HASHDB_BEHIND_TLS" not in rejected.stderr:
        return 1
    command = [word.replace("0.0.0.0", "127.0.0.1") for word in command]
    with _started(command, settings | {"HASHDB_BEHIND_TLS": "true"}, home, user) as process:
        if not _is_healthy(process, check, settings, user):
            print("not healthy")
            return 1
        print(f"$ HASHDB_BEHIND_TLS=true {' '.join(command)}\nhealthy")
        return _run_sidecar(f"http://127.0.0.1:{port}", [word.replace(port, "8000") for word in check], settings, user)


def _run_sidecar(url: str, check: Sequence[str], variables: dict[str, str], user: int | None) -> int:
    """Start the other command of the image, the sidecar, for a new member of the service and with a separate home."""
    words = ["hashdb", "member", "add", "Alpha Video", "--kind", "platform", "--scope", "match", "--scope", "feed"]
    added = subprocess.run(words, env=variables, user=user, capture_output=True, text=True, check=True)
    home, port = Path(variables["HASHDB_HOME"]) / "member", str(_free_port())
    home.mkdir(mode=0o700)
    if user is not None:
        os.chown(home, user, user)
    member = variables | {"HASHDB_HOME": str(home), "HASHDB_URL": url, "HASHDB_KEY": added.stdout.split()[-1]}
    command = ["hashdb", "local", "serve", "--bind", f"127.0.0.1:{port}"]
    ready = [word.replace("8000/healthz", f"{port}/readyz") for word in check]
    with _started(command, member, home, user) as process:
        is_ready = _is_healthy(process, ready, member, user)
    print(f"$ {' '.join(command)}\n{'ready' if is_ready else 'not ready'}")
    return 0 if is_ready else 1


def _is_healthy(
    process: subprocess.Popen[bytes], check: Sequence[str], variables: dict[str, str], user: int | None
) -> bool:
    """Whether a check succeeds before the process ends or the time limit is reached."""
    until = time.monotonic() + _STARTS_WITHIN
    while process.poll() is None and time.monotonic() < until:
        if subprocess.run(check, env=variables, user=user, check=False, stderr=subprocess.DEVNULL).returncode == 0:
            return True
        time.sleep(0.3)
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _started(
    command: Sequence[str], variables: dict[str, str], home: Path, user: int | None
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command, env=variables, cwd=home, user=user, group=user, extra_groups=[] if user else None
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(40)


if __name__ == "__main__":
    sys.exit(main())

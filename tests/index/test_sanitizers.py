"""kernel.c compiles without a warning and passes a test driver in C under the sanitizers of the compilers."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

DRIVER = Path(__file__).with_name("sanitize.c")
KERNEL = DRIVER.parents[2] / "hashdb" / "index" / "kernel.c"
WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Wshadow", "-Werror"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]


def run(command: Sequence[str | Path], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)), env=os.environ | environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(params=COMPILERS or ["none"])
def compiler(request: pytest.FixtureRequest) -> str:
    """Each installed compiler."""
    if not COMPILERS:
        pytest.skip("there is no C compiler: install gcc or clang")
    return str(request.param)


@pytest.mark.parametrize("level", ["-O0", "-O3"])
def test_the_kernel_compiles_without_a_warning(compiler: str, level: str, tmp_path: Path) -> None:
    result = run([compiler, *WARNINGS, level, "-fPIC", "-c", KERNEL, "-o", tmp_path / "kernel.o"])
    assert (result.returncode, result.stderr) == (0, "")


def test_the_portable_kernel_agrees_with_counting(compiler: str, tmp_path: Path) -> None:
    built = run([compiler, *WARNINGS, "-DPLAIN", "-O2", DRIVER, "-o", tmp_path / "plain"])
    assert (built.returncode, built.stderr) == (0, "")
    result = run([tmp_path / "plain"])
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("level", ["-O1", "-O3"])
def test_the_sanitizers_report_nothing_and_searches_agree_with_counting(
    compiler: str, level: str, tmp_path: Path
) -> None:
    (tmp_path / "empty.c").write_text("int main(void) { return 0; }\n")
    if run([compiler, *SANITIZERS, tmp_path / "empty.c", "-o", tmp_path / "empty"]).returncode:
        pytest.skip(f"{compiler} has no sanitizers: install those that belong to it (libasan, libubsan, compiler-rt)")
    built = run([compiler, *WARNINGS, *SANITIZERS, "-g", level, DRIVER, "-o", tmp_path / "sanitize"])
    assert (built.returncode, built.stderr) == (0, "")
    result = run([tmp_path / "sanitize"], UBSAN_OPTIONS="print_stacktrace=1")
    assert (result.returncode, result.stderr) == (0, "")

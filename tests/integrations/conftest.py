"""Ignores the tests for which no package exists in this environment."""

from __future__ import annotations

import sys

from tests.integrations.test_witnesses import AICS

collect_ignore = [] if AICS or sys.version_info >= (3, 12) else ["test_witnessed_logs.py"]

"""Whether tests run that take many minutes, and others as often as they can."""

from __future__ import annotations

import os

import pytest

LONG_TESTS = "HFAEF_LONG_TESTS" in os.environ

long = pytest.mark.skipif(not LONG_TESTS, reason="takes minutes; HFAEF_LONG_TESTS=1 runs it")
"""Marks a test."""

"""How tests start a Python of their own."""

from __future__ import annotations

import sys

PYTHON = (sys.executable, *(("-X", "dev") if sys.flags.dev_mode else ()))
"""Inherits development mode, in which a command takes a quarter more CPU to start."""

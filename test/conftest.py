"""Settings of all tests: none reads or fills the user's compile cache, nor leaves files when a compile fails."""

from __future__ import annotations

import os

os.environ["TERRACE_CACHE_DIR"] = "off"
os.environ["TERRACE_REPRODUCER_DIR"] = "off"

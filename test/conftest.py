"""Settings of all tests: none reads or fills the user's compile cache."""

from __future__ import annotations

import os

os.environ["TERRACE_CACHE_DIR"] = "off"

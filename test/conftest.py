"""Settings of all tests: none reads or fills the user's compile cache, nor leaves files when a compile fails."""

from __future__ import annotations

import os
import signal

os.environ["TERRACE_CACHE_DIR"] = "off"
os.environ["TERRACE_REPRODUCER_DIR"] = "off"

# A shell starts what runs in the background with Ctrl-C ignored, which all processes of the tests would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

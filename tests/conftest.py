"""Settings of all tests."""

import signal

# It replaces scikit-learn's class of metadata requests, and requests that were set before its import are lost.
import imblearn  # noqa: F401

# A shell lets a process that it starts in the background ignore the keyboard, which some tests imitate.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

"""Settings of all tests."""

import signal

# A shell lets a process that it starts in the background ignore the keyboard, which some tests imitate.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

"""Requests of exporters are part of no trace, also where their receiver is in this very process.

The SDK suppresses what a client's instrumentation would record of them, in the thread that exports. The server's side
runs in another thread: there, the standard header says that this trace is not sampled, which every sampler but
``always_on`` keeps to; for that one the queues know the trace by its id.
"""

from __future__ import annotations

import random

_ids = random.SystemRandom()

TRACE_ID = _ids.getrandbits(127) + 1
TRACEPARENT = f"00-{TRACE_ID:032x}-{_ids.getrandbits(63) + 1:016x}-00"

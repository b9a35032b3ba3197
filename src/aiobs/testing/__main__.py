"""The provider simulator as a server of its own: ``python -m aiobs.testing --port 8080``; stop it with Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import signal
import threading

from aiobs.testing.simulator import Simulator


def main() -> None:
    """Serve until told to stop; print the variables that point a program here."""
    parser = argparse.ArgumentParser(prog="python -m aiobs.testing", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    arguments = parser.parse_args()
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    with Simulator(port=arguments.port) as simulator, contextlib.suppress(KeyboardInterrupt):
        print(f"# The simulator listens at {simulator.origin}")
        for name, value in simulator.environment().items():
            print(f"export {name}={value}", flush=True)
        stopped.wait()


if __name__ == "__main__":
    main()

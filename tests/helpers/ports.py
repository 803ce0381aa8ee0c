"""A port for a test's server."""

import random
import socket


def free_port() -> int:
    """Return a free port that no client is given meanwhile and that Ray does not take.

    Linux gives clients ports from 32768 on; Ray's workers take 10002 to 19999.
    """
    while True:
        port = random.SystemRandom().randrange(20000, 32000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port

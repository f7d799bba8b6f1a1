"""A port of this machine on which nothing listens."""

import socket


def closed_port() -> int:
    """A port that was free a moment ago: bound, and given back without ever listening."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])

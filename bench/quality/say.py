"""What a person is told while results go to stdout."""

import sys


def say(text: str) -> None:
    """One line on stderr."""
    print(text, file=sys.stderr, flush=True)

"""What `sam local invoke` printed, passed on; the exit code says whether the function raised, which that command's does not."""

from __future__ import annotations

import json
import sys


def failed(answer: str) -> bool:
    """Whether this is no answer of the function but the report of an error, or nothing at all."""
    try:
        parsed = json.loads(answer)
    except ValueError:
        return True
    return isinstance(parsed, dict) and "errorType" in parsed


def main() -> None:
    """Copy standard input to standard output. Ends with 1 when the function raised or gave no answer."""
    answer = sys.stdin.read()
    print(answer.strip())
    sys.exit(failed(answer))


if __name__ == "__main__":
    main()

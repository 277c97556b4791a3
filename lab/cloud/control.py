"""Sends one control request to the AWS endpoint. It is a program so that it can run in a network namespace.

    python -m lab.cloud.control http://172.30.0.1:5555 PUT black-hole/us-east-1

It prints the answer as JSON. `endpoint.py` lists the requests.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from lab.cloud.network import control


def main(arguments: Sequence[str]) -> int:
    endpoint, method, path = arguments
    try:
        print(json.dumps(control(endpoint, path, method=method)))
    except OSError as error:
        print(f"{method} {endpoint}/_lab/{path}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

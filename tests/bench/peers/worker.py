# SPDX-License-Identifier: MIT
"""What the workers in Python share: for each line of token ids on standard input one measured run, and its figures as
a line of JSON. Standard library only."""

import json
import os
import sys
import time

# seconds of the clock on the wall, or of the CPU's
now = time.process_time if os.environ.get("QEFF_BENCH_CLOCK") == "cpu" else time.perf_counter


def serve(measure):
    """measure(ids) returns a dict."""
    print("{}", flush=True)
    for line in iter(sys.stdin.readline, ""):
        print(json.dumps(measure([int(token) for token in line.split()])), flush=True)

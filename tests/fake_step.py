"""A step of a job for tests: writes a number into a JSON file, notes that it ran, may fail."""

import argparse
import json
import pathlib
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--output", type=pathlib.Path)
parser.add_argument("--value", type=float, default=0.0)
parser.add_argument("--fail", action="store_true")
parser.add_argument("--nothing", action="store_true")
given = parser.parse_args()

given.output.parent.mkdir(exist_ok=True, parents=True)
with open(given.output.parent / "journal", "a") as journal:
    journal.write(f"begin {given.output.stem}\n")
print("half way", flush=True)
if given.fail:
    sys.exit("error: no disk is large enough")
# The step that a file `slow` names takes ten minutes.
slow = given.output.parent / "slow"
time.sleep(600 if slow.exists() and slow.read_text() == given.output.stem else 0)
if not given.nothing:
    found = {
        "share": given.value,
        "interval": {"estimate": given.value, "low": given.value - 0.1, "high": given.value + 0.3},
        "galleries": {
            "v/9/recall@1": {"mean": 0.5, "std": 0.1, "galleries": 1},
            "v/10/recall@1": {"mean": given.value, "std": 0.25, "galleries": 50},
        },
    }
    given.output.write_text(json.dumps(found))
with open(given.output.parent / "journal", "a") as journal:
    journal.write(f"end {given.output.stem}\n")

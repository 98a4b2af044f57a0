#!/usr/bin/env python3
"""Writes a seeded year of runs, simulates it under `policies/`, and tells the price: CPU seconds, lines a CPU second, and memory.

    tests/bench/year.py [--a-day 10000] [--seed 1] [--no-build]

Every run has two calls with their arguments, so every condition is judged: one in fifty asks for a change of plan, which is held, and one in two hundred closes an
account, which is denied. One run in eighty fails, and one week of the year is bad: one in eight.

Nothing here passes or fails: it says what it is. Needs cargo, and room on disk for about 300 bytes a run.
"""

import argparse
import datetime
import json
import os
import pathlib
import random
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "dist"
BEGIN = datetime.datetime(2025, 1, 1, tzinfo=datetime.timezone.utc)
BAD_WEEK = range(200, 207)


def write(path, a_day, seed):
    """The history, in the order of time."""
    dice = random.Random(seed)
    with open(path, "w") as out:
        for day in range(365):
            fails = 1 / 8 if day in BAD_WEEK else 1 / 80
            for n in range(a_day):
                at = (BEGIN + datetime.timedelta(days=day, seconds=86_400 * n / a_day)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
                asked = dice.random()
                if asked < 0.02:
                    change = {"plan": "team"}
                elif asked < 0.025:
                    change = {"status": "closed"}
                else:
                    change = {"email": f"customer-{n}@example.com"}
                run = {
                    "at": at,
                    "workflow": "support-triage",
                    "run": f"T-{day}-{n}",
                    "outcome": "acceptable",
                    "calls": [{"tool": "crm/add_note", "args": {"text": "seen"}}, {"tool": "crm/update_customer", "args": change}],
                }
                if dice.random() < fails:
                    run |= {"outcome": "unacceptable", "modes": ["wrong_action"]}
                out.write(json.dumps(run, separators=(",", ":")) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--a-day", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-build", action="store_true")
    options = parser.parse_args()
    if not options.no_build:
        subprocess.run(["cargo", "build", "--profile", "dist", "--locked", "--quiet"], cwd=ROOT, check=True)
    with tempfile.TemporaryDirectory() as home:
        history = pathlib.Path(home, "history.jsonl")
        write(history, options.a_day, options.seed)
        print(f"seed {options.seed}: {365 * options.a_day:,} runs, {history.stat().st_size / 1e6:,.0f} MB")
        simulate = subprocess.Popen(
            [TARGET / "burngate", "simulate", "--policies", ROOT / "policies", "--history", history, "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        told = json.load(simulate.stdout)
        _, status, used = os.wait4(simulate.pid, 0)
        if status != 0:
            raise SystemExit(f"burngate simulate ended with {os.waitstatus_to_exitcode(status)}")
    cpu = used.ru_utime + used.ru_stime
    workflow = told["workflows"]["support-triage"]
    print(json.dumps({key: value for key, value in workflow.items() if isinstance(value, (int, float, str))}))
    print(f"{cpu:.1f} s of CPU, {cpu / 365 / options.a_day * 1e6:.1f} us a run, {used.ru_maxrss / 1024:.0f} MiB at most")


if __name__ == "__main__":
    main()

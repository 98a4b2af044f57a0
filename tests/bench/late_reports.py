#!/usr/bin/env python3
"""Books many past runs in a gate of its own, and times how long late reports take to find theirs.

    tests/bench/late_reports.py [--runs 10000000] [--reports 200] [--no-build]

Every run has one call that refunded one order; an order was refunded by three runs on average. Reports name the run, or the order, or an order that nobody touched
(for which everything is searched and nothing is written). A report that books something is answered once it is on disk, so its time has a commit in it; the last
row has none. Also printed: what a million runs take on disk, and what the gate holds in memory before and after.

Nothing here passes or fails: it says what it is. Needs cargo, and room on disk for about 250 bytes a run.
"""

import argparse
import datetime
import http.client
import json
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "dist"

POLICY = """\
api: payments
upstream: http://127.0.0.1:9
route: /payments
tools:
  - { tool: refund, match: POST /refunds, risk: medium, subject: args.order }
---
workflow: refunds
risk: medium
objective: { target: 50%, expected_runs: 100000000 }
tools: [payments/refund]
"""


def history(path, runs, orders):
    """Runs of the last eighty days, in order."""
    now = time.time()
    span = 80 * 86400
    with open(path, "w") as out:
        for n in range(runs):
            at = datetime.datetime.fromtimestamp(now - span + span * n / runs - 60, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
            out.write(
                f'{{"at":"{at}Z","workflow":"refunds","run":"T-{n}","outcome":"acceptable",'
                f'"calls":[{{"tool":"payments/refund","args":{{"order":"A-{n * 7919 % orders}"}}}}]}}\n'
            )


class Gate:
    """A gate in a directory of its own."""

    def __init__(self, home):
        self.home = pathlib.Path(home)
        (self.home / "policies").mkdir()
        (self.home / "policies" / "refunds.yaml").write_text(POLICY)
        self.start()

    def start(self):
        command = [TARGET / "burngate", "run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, cwd=self.home, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            if line.startswith("admin http://"):
                self.admin = line.removeprefix("admin http://").strip()
                break
        else:
            sys.exit("the gate did not start")
        self.token = (self.home / "burngate-data" / "operator.token").read_text().strip()
        self.connection = http.client.HTTPConnection(self.admin)

    def report(self, body):
        """The status, and how long it took in milliseconds."""
        began = time.perf_counter()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        self.connection.request("POST", "/v1/reports", json.dumps(body), headers)
        answer = self.connection.getresponse()
        answer.read()
        return answer.status, (time.perf_counter() - began) * 1000

    def memory(self):
        """MiB resident, and of it not pages of files."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines())
        return tuple(int(fields[name].split()[0]) // 1024 for name in ("VmRSS", "RssAnon"))

    def disk(self):
        """Bytes in the data directory."""
        return sum(file.stat().st_size for file in (self.home / "burngate-data").rglob("*") if file.is_file())

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000_000)
    parser.add_argument("--reports", type=int, default=200)
    parser.add_argument("--no-build", action="store_true")
    asked = parser.parse_args()
    if not asked.no_build:
        subprocess.run(["cargo", "build", "--profile", "dist", "--locked"], cwd=ROOT, check=True)
    orders = max(1, asked.runs // 3)
    with tempfile.TemporaryDirectory(prefix="burngate-bench-") as home:
        gate = Gate(home)
        try:
            empty = gate.memory()
            lines = pathlib.Path(home) / "history.jsonl"
            history(lines, asked.runs, orders)
            began = time.monotonic()
            environment = {"PATH": os.environ["PATH"], "BURNGATE_ADMIN": f"http://{gate.admin}", "HOME": home}
            subprocess.run([TARGET / "burngate", "import", "--history", lines, "--json"], cwd=home, env=environment, check=True, stdout=subprocess.DEVNULL)
            took = time.monotonic() - began
            lines.unlink()
            gate.stop()
            gate.start()
            million = asked.runs / 1_000_000
            print(f"{asked.runs:,} runs imported in {took:.0f} s; on disk {gate.disk() / 1e6 / million:.0f} MB a million")
            print(f"memory, resident (not file pages): {empty[0]} ({empty[1]}) MiB empty, {gate.memory()[0]} ({gate.memory()[1]}) MiB after a restart")
            draw = random.Random(1)
            kinds = [
                ("by run", 200, lambda n: {"run": f"T-{draw.randrange(asked.runs)}", "mode": "wrong_action", "ref": f"R-{n}"}),
                ("by order", 200, lambda n: {"subject": f"A-{draw.randrange(orders)}", "mode": "wrong_action", "ref": f"S-{n}"}),
                ("by an order that nobody touched", 404, lambda n: {"subject": f"B-{n}", "mode": "wrong_action"}),
            ]
            for name, wanted, body in kinds:
                times = []
                for n in range(asked.reports):
                    status, millis = gate.report(body(n))
                    if status != wanted:
                        sys.exit(f"a report {name} was answered with {status}")
                    times.append(millis)
                times.sort()
                print(f"{name}: median {statistics.median(times):.1f} ms, 95th percentile {times[len(times) * 95 // 100]:.1f} ms, most {times[-1]:.1f} ms")
            print(f"memory after them: {gate.memory()[0]} ({gate.memory()[1]}) MiB")
        finally:
            gate.stop()


if __name__ == "__main__":
    main()

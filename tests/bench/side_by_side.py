#!/usr/bin/env python3
"""Runs the gate and a bare hyper proxy under the same load in one run, and prints what the gate costs as a ratio.

    tests/bench/side_by_side.py [--rounds 7] [--requests 40000] [--concurrency 16] [--only 'low;high'] [--no-build]

The upstream and the load generator share core 0; every proxy has one worker on core 1 (where there is `taskset` and a second core; elsewhere nothing is pinned,
and the ratios are rougher). All proxies stay up, rounds are interleaved A B C A B C, and each ratio is taken within its round, so that slow spells of a shared
machine cancel. CPU is that of all threads of the process, the ledger's writer included, until what the round left behind is on disk.

The load is a POST of 300 bytes of JSON with keep-alive. The gate judges it by a schema and one condition and books every run:

- low: each call is a run of its own;
- low, run ids: calls name their run in Burngate-Run, and ten of them are a run;
- high: each call is in the journal, on disk, before its first byte goes upstream; calls that wait at the same time share a commit.

Nothing here passes or fails: it says what it is. Needs cargo, and nothing else.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "dist"

POLICY = """\
api: payments
upstream: http://{upstream}
route: /payments

tools:
  - tool: refund
    match: POST /refunds
    risk: low
    arguments: &order
      type: object
      required: [order, amount, currency]
      properties:
        order: {{ type: string, minLength: 1, maxLength: 64 }}
        amount: {{ type: number, exclusiveMinimum: 0 }}
        currency: {{ enum: [EUR, USD, GBP] }}
        reason: {{ type: string, maxLength: 500 }}
        tags: {{ type: array, items: {{ type: string }}, maxItems: 8 }}
      additionalProperties: false
    deny_when: args.amount > 1000.0

  - tool: payout
    match: POST /payouts
    risk: high
    arguments: *order
    deny_when: args.amount > 1000.0
---
workflow: refunds
risk: low
accept_risk: a benchmark against an upstream that does nothing

objective:
  target: 95%
  unacceptable: [wrong_action, policy_violation, timeout]

tools:
  - payments/refund
  - payments/payout

run:
  calls: 10
  loop: 1000
"""

CALL = {
    "order": "A-1001",
    "amount": 120.5,
    "currency": "EUR",
    "reason": "customer reported a damaged item on arrival, photo attached; the courier confirmed the damage to the outer box and the parcel was sent back",
    "tags": ["damaged", "gold", "courier", "returned"],
}

# How long after the last answer the last of its rows may reach the disk: the journal lingers at most 250 ms.
SETTLE = 0.6


def body():
    text = json.dumps(CALL, separators=(",", ":"))
    padding = 300 - len(text)
    return json.dumps({**CALL, "reason": CALL["reason"] + "." * padding}, separators=(",", ":"))


def build():
    command = ["cargo", "build", "--profile", "dist", "--quiet", "--locked", "--bin", "burngate", "--example", "bare_hyper", "--example", "load"]
    subprocess.run(command, cwd=ROOT, check=True)


def pinned(core):
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    return ["taskset", "-c", str(core)] if shutil.which("taskset") and {0, 1} <= cores else []


def free_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def wait_for(address):
    host, port = address.rsplit(":", 1)
    for _ in range(200):
        try:
            return socket.create_connection((host, int(port)), 1).close()
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nobody listens on {address}")


def cpu(pid):
    """Seconds, of every thread."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except OSError:
            pass
    return total / 1e9


def memory(pid):
    """MiB: resident, and the part of it that is no file's. The rest is the program itself, as much of it as the kernel chose to map."""
    fields = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    return tuple(int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "RssAnon"))


class Proxy:
    def __init__(self, name, command, address, path, run_calls=0, directory=None):
        self.name, self.address, self.path, self.run_calls = name, address, path, run_calls
        self.process = subprocess.Popen(pinned(1) + command, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def measure(self, requests, concurrency):
        command = pinned(0) + [str(TARGET / "examples/load"), "drive", self.address, "--path", self.path, "--body", body()]
        command += ["--concurrency", str(concurrency), "--requests", str(requests), "--run-calls", str(self.run_calls)]
        before = cpu(self.process.pid)
        load = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        figures = json.loads(load.stdout)
        if figures["bad"]:
            sys.exit(f"{self.name}: {figures['bad']} answers were not 200")
        resident, anonymous = memory(self.process.pid)
        time.sleep(SETTLE)
        # The generator sends a tenth more than it counts, to warm up; here they are work like all others.
        return {**figures, "cpu": (cpu(self.process.pid) - before) / (requests + requests // 10), "resident": resident, "anonymous": anonymous}


def gate(name, work, upstream, path, run_calls=0):
    directory = work / path.rsplit("/", 1)[1] / str(run_calls)
    (directory / "policies").mkdir(parents=True)
    (directory / "policies/refunds.yaml").write_text(POLICY.format(upstream=upstream))
    address = free_address()
    config = f"workers: 1\nlisten: {address}\nadmin: {free_address()}\npolicies: {directory}/policies\ndata: {directory}/data\n"
    (directory / "burngate.yaml").write_text(config)
    command = [str(TARGET / "burngate"), "run", "--config", str(directory / "burngate.yaml")]
    return Proxy(name, command, address, path, run_calls, directory)


def spread(values, digits):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--requests", type=int, default=40_000)
    arguments.add_argument("--concurrency", type=int, default=16)
    arguments.add_argument("--no-build", action="store_true", help="use what `cargo build --profile dist` left")
    arguments.add_argument("--only", default="", help="some of the gate's rows: `low;high`")
    options = arguments.parse_args()
    if not options.no_build:
        build()
    # Ended from outside, it ends what it started all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    work = pathlib.Path(tempfile.mkdtemp(prefix="burngate-bench-"))
    upstream, bare = free_address(), free_address()
    load = str(TARGET / "examples/load")
    server = subprocess.Popen(pinned(0) + [load, "up", upstream])
    proxies = []
    try:
        wait_for(upstream)
        command = [str(TARGET / "examples/bare_hyper"), "--listen", bare, "--upstream", upstream]
        proxies.append(Proxy("bare hyper", command, bare, "/payments/refunds"))
        rows = [("low", "refunds", 0), ("low, run ids", "refunds", 10), ("high", "payouts", 0)]
        for name, path, run_calls in rows:
            if not options.only or name in options.only.split(";"):
                proxies.append(gate(f"gate, {name}", work, upstream, f"/payments/{path}", run_calls))
        for proxy in proxies:
            wait_for(proxy.address)
        rounds = []
        for number in range(options.rounds):
            rounds.append([proxy.measure(options.requests, options.concurrency) for proxy in proxies])
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    finally:
        for process in [*(proxy.process for proxy in proxies), server]:
            process.send_signal(signal.SIGTERM)
        for process in [*(proxy.process for proxy in proxies), server]:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(work, ignore_errors=True)
    print(f"\n{options.rounds} rounds of {options.requests} requests at concurrency {options.concurrency}, median (least–most)\n")
    print("| proxy | CPU ÷ bare hyper | CPU µs per request | req/s | RSS MiB | without the program |\n|---|---|---|---|---|---|")
    for column, proxy in enumerate(proxies):
        figures = [one[column] for one in rounds]
        ratios = [one[column]["cpu"] / one[0]["cpu"] for one in rounds]
        micros = spread([one["cpu"] * 1e6 for one in figures], 1)
        rate = spread([one["rps"] for one in figures], 0)
        resident, anonymous = (max(one[kind] for one in figures) for kind in ("resident", "anonymous"))
        print(f"| {proxy.name} | {spread(ratios, 2)} | {micros} | {rate} | {resident:.1f} | {anonymous:.1f} |")


if __name__ == "__main__":
    main()

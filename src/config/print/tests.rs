//! Policies that are printed and loaded again are the same.

use super::*;
use crate::config::starter::starter;
use crate::config::{Process, load};
use crate::gate::risk::Tier;
use crate::gate::time::Time;

const NOW: Time = Time::from_millis(1_795_000_000_000);

fn round_trip(files: &[SourceFile]) -> String {
    let loaded = load(files, &Process::default(), NOW)
        .unwrap_or_else(|found| panic!("{}", found.render(false)));
    let printed = print(&loaded.policies, files);
    let again = [SourceFile::new("printed.yaml", printed.clone())];
    let reloaded = load(&again, &Process::default(), NOW)
        .unwrap_or_else(|found| panic!("{}\n{printed}", found.render(false)));
    assert_eq!(
        reloaded.policies.version, loaded.policies.version,
        "{printed}"
    );
    assert_eq!(print(&reloaded.policies, &again), printed);
    printed
}

#[test]
fn what_is_printed_means_the_same() {
    for tier in [Tier::Low, Tier::Medium, Tier::High] {
        let files: Vec<_> = starter("w", tier, "http://x", None, None)
            .into_iter()
            .map(|(name, text)| SourceFile::new(name, text))
            .collect();
        round_trip(&files);
    }
}

#[test]
fn every_key_survives_being_printed() {
    let api = "
api: 007
protocol: mcp
upstream: https://x/mcp
hosts: [b.internal, a.internal]
timeout: 90s
tools:
  - { tool: a, risk: read, volume: 100/s, concurrency: 5, size: 4MiB, body: text, binds: [x-tenant], timeout: 250ms, mode: shadow, until: 2026-12-01 }
  - { tool: b, match: b/c, risk: high, always: hold, escalation: true, idempotent: true, subject: 'args[\"x y\"]', failure_when: 'response.status >= 500' }
  - { tool: c, risk: low, deny_when: 'args.n > 5.0 && tool != \"x: y\"', duplicate: { key: [args.n], within: 24h, verdict: count }, forbidden: true }
  - { tool: e, risk: low, deny_when: { if: 'args.n > 5.0', mode: shadow, until: 2026-12-01 }, hold_when: { if: 'args.n > 2.0', mode: enforce }, duplicate: { key: [args.n], within: 24h,
      mode: shadow, until: 2026-12-01 }, limits: [ { sum: args.n, per: agent, within: 1h, hold_above: 9, mode: shadow, until: 2026-12-02 } ] }
  - { tool: d, risk: high, subject: args.s, reverses: { tool: b, within: 7d }, duplicate: { key: [args.s, agent], within: 90m }, limits: [
      { sum: args.n, per: subject, within: 24h, hold_above: 1000, deny_above: 5000.5 }, { count: true, per: agent, within: 1h, deny_above: 0 } ] }
";
    let workflow = "
workflow: w
was: v
risk: low
accept_risk: \"because: reasons\"
objective: { target: 99.95%, window: 7d, expected_runs: 20000, unacceptable: [timeout, wrong_action, late], critical: [late] }
tools: [007/a, 007/b, 007/c, 007/d]
unlisted: deny
run: { lease: 5m, max: 2h, calls: 50, loop: 7, finish: required, key: \"header['x-ticket']\" }
starts: careful
caps: { at_risk: careful, burned: read_only, breached: halted }
levels:
  - { level: careful, above: supervised, high: hold, concurrency: 3 }
  - { level: bolder, above: careful, medium: allow }
  - { level: supervised, volume: 600/min, validation: strict, changes: frozen, tools: [007/a] }
lose: { burns: 3, within: 30d, drop: 2 }
recovery: cause
hold: { wait: 2s, expires: 30m, grant: 1m, approvals: { high: 1 } }
check: { sample: 5%, min: 20/week }
earn:
  - { step: volume, after: 30d, volume: x2, how: automatic }
  - { step: more, after: 45d, volume: 900/min }
  - { step: up, after: 60d, to: bolder }
  - { step: small, after: 90d, skip: { tool: 007/c, rule: hold_when, where: 'args.n < 2.0' } }
settle: 48h
spot_check: 25%
validation: strict
exposure: on
retries: 0
disclose: level
mode: shadow
until: 2026-12-24T12:00:00Z
";
    let printed = round_trip(&[
        SourceFile::new("a.yaml", api),
        SourceFile::new("w.yaml", workflow),
    ]);
    for kept in ["sample: 5%", "spot_check: 25%", "accept_risk:", "key:"] {
        assert!(printed.contains(kept), "{kept}\n{printed}");
    }
}

//! Simulating a history file: read once where it is in the order of time, and by an index of its
//! lines where it is not. Never held as a whole.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::io;
use std::io::BufReader;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::report::Simulated;
use super::simulation::{PastCall, ProgressFn, SimulateError, Simulation};
use crate::api::history::{HistoryRun, ImportFindingKind, ImportFindings, MAX_LINE, next_line};
use crate::api::{Moment, TimeSpan};
use crate::gate::outcome::{FailureMode, Outcome, Source};
use crate::gate::past;
use crate::gate::policy::facts::RunFacts;
use crate::gate::policy::{PolicySet, Workflow};
use crate::gate::risk::Risk;
use crate::gate::run::{Charge, Mark, RunRef};
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;
use crate::wire::json;

/// The most lines that are brought into the order of time here: their index takes 24 bytes each.
pub const MOST_SORTED: usize = 20_000_000;

/// Simulates the runs of `file` under `policies`, at `today`: what has not happened yet is no
/// history.
pub fn simulate(
    file: &Path,
    policies: &Arc<PolicySet>,
    recovers_after: Option<Duration>,
    today: Time,
    progress: ProgressFn<'_>,
) -> Result<Simulated, SimulateError> {
    let version = policies.version.to_string();
    let source = file.display().to_string();
    let file = File::open(file)?;
    let mut past = HistoryReplay::new(policies, recovers_after, today);
    let ordered = each_line(&file, progress, |number, text, _| past.line(number, text))?;
    if !ordered {
        past = HistoryReplay::new(policies, recovers_after, today);
        let mut text = Vec::new();
        for line in sorted(&file, MOST_SORTED)? {
            text.resize(line.length as usize, 0);
            file.read_exact_at(&mut text, line.offset)?;
            past.line(u64::from(line.number), &text);
        }
    }
    Ok(past.end(version, source, recovers_after))
}

/// Hands every line and its number to `each`; of a line that is too long only that it is. Stops when
/// `each` answers `false`, and answers whether it got to the end.
fn each_line(
    file: &File,
    progress: ProgressFn<'_>,
    mut each: impl FnMut(u64, &[u8], usize) -> bool,
) -> io::Result<bool> {
    let mut reader = BufReader::with_capacity(256 * 1024, file);
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        let whole = next_line(&mut reader, &mut line)?;
        if whole == 0 {
            return Ok(true);
        }
        number += 1;
        if whole > MAX_LINE {
            line.clear();
            line.extend_from_slice(b"too long");
        }
        progress(whole);
        if !each(number, &line, whole) {
            return Ok(false);
        }
    }
}

/// Line and outcome of runs, by their digests.
type KnownRuns = HashMap<u64, (u32, Outcome), BuildHasherDefault<DefaultHasher>>;

/// Where a line is in the file, and its time.
struct IndexedLine {
    at: i64,
    offset: u64,
    length: u32,
    number: u32,
}

/// The lines, at most `most`, in the order of their times; lines that are no runs come last, and are
/// reported then.
fn sorted(mut file: &File, most: usize) -> Result<Vec<IndexedLine>, SimulateError> {
    let (mut lines, mut offset, mut too_long) = (Vec::new(), 0, false);
    io::Seek::rewind(&mut file)?;
    each_line(file, &mut |_| {}, |number, text, whole| {
        let at = HistoryRun::read(text.trim_ascii()).map_or(i64::MAX, |line| line.at.0.as_millis());
        let length = u32::try_from(whole.min(MAX_LINE)).unwrap_or(u32::MAX);
        lines.push(IndexedLine {
            at,
            offset,
            length,
            number: u32::try_from(number).unwrap_or(u32::MAX),
        });
        too_long = lines.len() > most;
        offset += whole as u64;
        !too_long
    })?;
    if too_long {
        return Err(SimulateError::TooLong(most));
    }
    lines.sort_by_key(|line| (line.at, line.offset));
    Ok(lines)
}

/// The replay of a history file.
struct HistoryReplay<'p> {
    policies: &'p Arc<PolicySet>,
    recovers_after: Option<Duration>,
    today: Time,
    simulation: Option<Simulation>,
    from: Time,
    now: Time,
    lines: u64,
    /// Line and outcome of every run so far, by its digest: a run that comes twice counts as its
    /// first line says.
    known: KnownRuns,
    findings: ImportFindings,
}

impl<'p> HistoryReplay<'p> {
    fn new(policies: &'p Arc<PolicySet>, recovers_after: Option<Duration>, today: Time) -> Self {
        let (from, now) = (Time::default(), Time::default());
        HistoryReplay {
            policies,
            recovers_after,
            today,
            simulation: None,
            from,
            now,
            lines: 0,
            known: KnownRuns::default(),
            findings: ImportFindings::default(),
        }
    }

    /// Replays one line. Answers `false` if it is earlier than the line before it.
    fn line(&mut self, number: u64, text: &[u8]) -> bool {
        let text = text.trim_ascii();
        if text.is_empty() {
            return true;
        }
        let line = match HistoryRun::read(text) {
            Ok(line) => line,
            Err(bad) => {
                self.lines += 1;
                self.findings
                    .note(ImportFindingKind::Broken, number, bad.to_string());
                return true;
            }
        };
        if line.at.0 > self.today {
            self.lines += 1;
            self.findings
                .note(ImportFindingKind::Future, number, line.at.to_string());
            return true;
        }
        if self.simulation.is_some() && line.at.0 < self.now {
            return false;
        }
        self.lines += 1;
        if self.simulation.is_none() {
            self.from = line.at.0;
            self.simulation = Some(Simulation::new(
                Arc::clone(self.policies),
                line.at.0,
                self.recovers_after,
                None,
            ));
        }
        self.now = line.at.0;
        if let Err((kind, what)) = self.run(number, line) {
            self.findings.note(kind, number, what);
        }
        true
    }

    fn run(
        &mut self,
        number: u64,
        line: HistoryRun<'_>,
    ) -> Result<(), (ImportFindingKind, String)> {
        let Some(simulation) = &mut self.simulation else {
            return Ok(());
        };
        let Some(policy) = simulation.policy(&line.workflow).cloned() else {
            return Err((
                ImportFindingKind::UnknownWorkflow,
                format!("`{}`", line.workflow),
            ));
        };
        let (workflow, objective, at) = (&policy.name, &policy.terms.objective, line.at.0);
        if let Some(mode) = line.modes.iter().find(|mode| !objective.knows(mode)) {
            return Err((ImportFindingKind::UnknownMode, format!("`{mode}`")));
        }
        let agent = line.agent.as_deref().unwrap_or(past::AGENT);
        note_run(&mut self.known, number, &line, agent)?;
        simulation.pass(workflow, at);
        let RunVerdict {
            verdict,
            high,
            idle,
        } = judge_calls(simulation, &policy, &line, number, &mut self.findings);
        let reading = past::read(objective, line.outcome, &line.modes, idle);
        if let Some(contradiction) = reading.contradiction {
            self.findings
                .note(ImportFindingKind::Contradiction, number, contradiction);
        }
        let bad = reading.mark == Mark::Unacceptable;
        if let Some(report) = simulation.report(&line.workflow) {
            if verdict == Verdict::Deny {
                report.prevented.note(&line.run, bad);
                return Ok(());
            }
            if verdict == Verdict::Hold {
                report.held.note(&line.run, bad);
            }
        }
        match reading.mark {
            Mark::Acceptable => simulation.tally(workflow, at, high, false),
            Mark::Idle => simulation.tally(workflow, at, high, true),
            Mark::Unacceptable => {
                let modes = line
                    .modes
                    .into_iter()
                    .map(|mode| charge(mode, Source::System))
                    .collect();
                simulation.book(
                    workflow,
                    at,
                    RunRef {
                        agent: agent.into(),
                        run: (&*line.run).into(),
                    },
                    high,
                    modes,
                );
            }
            Mark::Excluded => {
                if let Some(report) = simulation.report(&line.workflow) {
                    report.excluded += 1;
                }
            }
        }
        Ok(())
    }

    fn end(self, policies: String, source: String, recovers_after: Option<Duration>) -> Simulated {
        let workflows = self
            .simulation
            .map(|simulation| simulation.end(self.now))
            .unwrap_or_default();
        Simulated {
            policies,
            source,
            from: Moment(self.from),
            to: Moment(self.now),
            read: self.lines,
            recovers_after: recovers_after.map(|after| TimeSpan(after).to_string()),
            findings: self.findings.into_list(),
            workflows: workflows
                .into_iter()
                .map(|(name, report)| (name.to_string(), report))
                .collect(),
        }
    }
}

/// What became of the calls of a run.
struct RunVerdict {
    /// The strictest verdict on them that would have been enforced.
    verdict: Verdict,
    /// One of them was high-risk.
    high: bool,
    /// All of them were reads, where those do not count.
    idle: bool,
}

/// Judges the calls of a run, up to the first that would have been denied.
fn judge_calls(
    simulation: &mut Simulation,
    policy: &Workflow,
    line: &HistoryRun<'_>,
    number: u64,
    findings: &mut ImportFindings,
) -> RunVerdict {
    let agent = line.agent.as_deref().unwrap_or(past::AGENT);
    let (mut verdict, mut escalated, mut high, mut idle) = (
        Verdict::Allow,
        false,
        false,
        !line.calls.is_empty() && !policy.terms.reads_only,
    );
    for (n, call) in (0..).zip(&line.calls) {
        let risk = simulation.risk(policy, &call.tool);
        high |= risk == Risk::High;
        idle &= risk == Risk::Read;
        if !policy.tools.contains(&*call.tool) {
            findings.note(
                ImportFindingKind::UnknownTool,
                number,
                format!("`{}`", call.tool),
            );
        }
        let args = call
            .args
            .and_then(|args| json::parse(args.get().as_bytes()).ok());
        let run = RunFacts {
            id: &line.run,
            calls: n,
            escalated,
        };
        let judged = simulation.judge(
            &policy.name,
            line.at.0,
            PastCall {
                tool: &call.tool,
                args: args.as_ref(),
                agent,
                run,
            },
        );
        escalated |= simulation.escalates(&call.tool);
        if judged.acts {
            verdict = verdict.max(judged.verdict);
        }
        if verdict == Verdict::Deny {
            break;
        }
    }
    RunVerdict {
        verdict,
        high,
        idle,
    }
}

/// Notes the run of `line`, or says which line had it before.
fn note_run(
    known: &mut KnownRuns,
    number: u64,
    line: &HistoryRun<'_>,
    agent: &str,
) -> Result<(), (ImportFindingKind, String)> {
    let digest = known
        .hasher()
        .hash_one((&*line.workflow, agent, &*line.run));
    match known.entry(digest) {
        Entry::Vacant(vacant) => {
            vacant.insert((u32::try_from(number).unwrap_or(u32::MAX), line.outcome));
        }
        Entry::Occupied(occupied) => {
            let (first, outcome) = occupied.get();
            let what = if *outcome == line.outcome {
                format!(
                    "run `{}` of `{}`, as on line {first}",
                    line.run, line.workflow
                )
            } else {
                format!(
                    "run `{}` of `{}`, {} here and {} on line {first}, which counts",
                    line.run,
                    line.workflow,
                    line.outcome.as_str(),
                    outcome.as_str()
                )
            };
            return Err((ImportFindingKind::Duplicate, what));
        }
    }
    Ok(())
}

pub(super) fn charge(mode: FailureMode, source: Source) -> Charge {
    Charge {
        mode,
        source,
        by: None,
        call: None,
        tool: None,
        note: None,
        reference: None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn g7_as_many_lines_are_sorted_as_the_bound_and_one_more_is_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"{}\n{}\n{}\n").unwrap();
        let lines = |most: usize| sorted(&file, most).map(|lines| lines.len());
        assert!(matches!(lines(MOST_SORTED), Ok(3)));
        assert!(matches!(lines(3), Ok(3)));
        assert!(matches!(lines(2), Err(SimulateError::TooLong(2))));
    }
}

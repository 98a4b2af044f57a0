//! Simulating a history file: read once where it is in the order of time, and by an index of its
//! lines where it is not. Never held as a whole.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::io;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{PastCall, Progress, SimulateError, Simulated, Simulation};
use crate::api::history::{HistoryRun, ImportFindingKind, ImportFindings, MAX_LINE};
use crate::api::{Moment, TimeSpan};
use crate::gate::outcome::{FailureMode, Outcome, Source};
use crate::gate::past;
use crate::gate::policy::PolicySet;
use crate::gate::policy::facts::RunFacts;
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
    progress: Progress<'_>,
) -> Result<Simulated, SimulateError> {
    let version = policies.version.to_string();
    let source = file.display().to_string();
    let file = File::open(file)?;
    let mut past = Past::new(policies, recovers_after, today);
    let ordered = each_line(&file, progress, |number, text, _| past.line(number, text))?;
    if !ordered {
        past = Past::new(policies, recovers_after, today);
        let mut text = Vec::new();
        for place in sorted(&file)? {
            text.resize(place.length as usize, 0);
            file.read_exact_at(&mut text, place.offset)?;
            past.line(u64::from(place.line), &text);
        }
    }
    Ok(past.end(version, source, recovers_after))
}

/// Hands out every line with its number, one that is too long as an empty one. Stops where `each`
/// says so, and tells that it did not get to the end.
fn each_line(
    file: &File,
    progress: Progress<'_>,
    mut each: impl FnMut(u64, &[u8], usize) -> bool,
) -> io::Result<bool> {
    let mut reader = BufReader::with_capacity(256 * 1024, file);
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        line.clear();
        // One byte more than fits tells that it does not.
        let read = io::Read::take(&mut reader, MAX_LINE as u64 + 1).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(true);
        }
        number += 1;
        let mut whole = read;
        if read > MAX_LINE {
            whole += skip_line(&mut reader)?;
            line.clear();
            line.extend_from_slice(b"too long");
        }
        progress(whole);
        if !each(number, &line, whole) {
            return Ok(false);
        }
    }
}

fn skip_line(reader: &mut impl io::BufRead) -> io::Result<usize> {
    let mut skipped = 0;
    loop {
        let buffer = reader.fill_buf()?;
        let (length, ends) = buffer
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or((buffer.len(), false), |at| (at + 1, true));
        reader.consume(length);
        skipped += length;
        if ends || length == 0 {
            return Ok(skipped);
        }
    }
}

/// Where a line is.
struct Place {
    at: i64,
    offset: u64,
    length: u32,
    line: u32,
}

/// The lines in the order of their times; those that are no runs last, to be complained about.
fn sorted(mut file: &File) -> Result<Vec<Place>, SimulateError> {
    let (mut places, mut offset, mut too_long) = (Vec::new(), 0, false);
    io::Seek::rewind(&mut file)?;
    each_line(file, &mut |_| {}, |number, text, whole| {
        let at = HistoryRun::read(text.trim_ascii()).map_or(i64::MAX, |line| line.at.0.as_millis());
        let length = u32::try_from(whole.min(MAX_LINE)).unwrap_or(u32::MAX);
        places.push(Place {
            at,
            offset,
            length,
            line: u32::try_from(number).unwrap_or(u32::MAX),
        });
        too_long = places.len() > MOST_SORTED;
        offset += whole as u64;
        !too_long
    })?;
    if too_long {
        return Err(SimulateError::TooLong(MOST_SORTED));
    }
    places.sort_by_key(|place| (place.at, place.offset));
    Ok(places)
}

/// The past as it is gone through.
struct Past<'p> {
    policies: &'p Arc<PolicySet>,
    recovers_after: Option<Duration>,
    today: Time,
    simulation: Option<Simulation>,
    from: Time,
    now: Time,
    lines: u64,
    /// By the digests of the runs so far, where they were and what they came to: the same run twice
    /// is one run, and what was said of it first counts.
    known: HashMap<u64, (u32, Outcome), BuildHasherDefault<DefaultHasher>>,
    findings: ImportFindings,
}

impl<'p> Past<'p> {
    fn new(policies: &'p Arc<PolicySet>, recovers_after: Option<Duration>, today: Time) -> Self {
        let (from, now) = (Time::default(), Time::default());
        Past {
            policies,
            recovers_after,
            today,
            simulation: None,
            from,
            now,
            lines: 0,
            known: HashMap::default(),
            findings: ImportFindings::default(),
        }
    }

    /// Goes through one line. `false` where it lies before those already gone through.
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
        let unknown = |mode: &&FailureMode| {
            matches!(mode, FailureMode::Named(_))
                && !objective.unacceptable.contains(*mode)
                && !objective.critical.contains(*mode)
        };
        if let Some(mode) = line.modes.iter().find(unknown) {
            return Err((ImportFindingKind::UnknownMode, format!("`{mode}`")));
        }
        let agent = line.agent.as_deref().unwrap_or(past::AGENT);
        match self.known.entry(
            self.known
                .hasher()
                .hash_one((&*line.workflow, agent, &*line.run)),
        ) {
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
        simulation.pass(workflow, at);
        let (mut prevented, mut held, mut escalated, mut high, mut idle) = (
            false,
            false,
            false,
            false,
            !line.calls.is_empty() && !policy.terms.reads_only,
        );
        for (n, call) in (0..).zip(&line.calls) {
            let risk = simulation.risk(&policy, &call.tool);
            high |= risk == Risk::High;
            idle &= risk == Risk::Read;
            if !policy.tools.contains(&*call.tool) {
                self.findings.note(
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
                workflow,
                at,
                PastCall {
                    tool: &call.tool,
                    args: args.as_ref(),
                    agent,
                    run,
                },
            );
            escalated |= simulation.escalates(&call.tool);
            held |= judged.acts && judged.verdict == Verdict::Hold;
            if judged.acts && judged.verdict == Verdict::Deny {
                prevented = true;
                break;
            }
        }
        let reading = past::read(objective, line.outcome, &line.modes, idle);
        if let Some(contradiction) = reading.contradiction {
            self.findings
                .note(ImportFindingKind::Contradiction, number, contradiction);
        }
        let bad = reading.mark == Mark::Unacceptable;
        if let Some(told) = simulation.told(&line.workflow) {
            if prevented {
                told.prevented.note(&line.run, bad);
                return Ok(());
            }
            if held {
                told.held.note(&line.run, bad);
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
                if let Some(told) = simulation.told(&line.workflow) {
                    told.excluded += 1;
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
                .map(|(name, told)| (name.to_string(), told))
                .collect(),
        }
    }
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

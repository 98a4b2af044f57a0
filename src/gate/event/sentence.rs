//! One sentence for each event: what happened, and who did it. The log, the review and the list of
//! the journal all show this one.
//!
//! A sentence holds no argument, token or body, but it holds what people and agents wrote: reasons,
//! notes, references and ids of runs. Whoever prints one escapes it for where it goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{
    AccessChange, Admission, Effect, Event, RefusedAlike, RefusedCall, Revision, TalliedMinute,
};
use crate::gate::approval::{Decision, DecisionKind, Request, TimedGrant};
use crate::gate::clamp::Clamp;
use crate::gate::digest::Digest;
use crate::gate::name::{
    ApiName, ApprovalId, CallId, GrantId, IncidentId, LevelName, PersonName, Subject, ToolName,
};
use crate::gate::outcome::FailureMode;
use crate::gate::pace::Busy;
use crate::gate::past::Imported;
use crate::gate::run::{Charge, Executed, RunRef};
use crate::gate::time::{Hour, Time, in_units};

/// What an event says in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// Who did it: a person, an agent or a system; `None` where it followed from the rules.
    pub by: Option<String>,
    /// What happened.
    pub text: String,
}

impl Event {
    /// The event in words. `held` is the held call that a decision or a withdrawal is about, where
    /// the reader knows it: without it the sentence names the approval.
    // A table, one line an event: wrapped, it is three times as long and no easier to read.
    #[rustfmt::skip]
    #[must_use]
    pub fn sentence(&self, held: Option<&Request>) -> Sentence {
        match self {
            Event::Started { version, lost } => nobody(started(version, *lost)),
            Event::Stopped => nobody("the gate stopped"),
            Event::PolicyAccepted { version, .. } => nobody(in_force(version)),
            Event::PolicyRefused { reason } => nobody(reload_refused(reason)),
            Event::ApproversNamed { people } => nobody(approvers(people)),
            Event::AccessChanged(change) => nobody(access(change)),
            Event::ClockJumped { wall } => nobody(format!("the wall clock leapt to {wall}")),
            Event::ClockAccepted { by } => done(by, "accepted the wall clock"),
            Event::Admitted(admission) => done(&admission.run.agent, admitted(admission)),
            Event::Settled { call, executed, .. } => nobody(settled(*call, *executed)),
            Event::Tallied { cells } => nobody(tallied(cells)),
            Event::Booked { run, charges, .. } => nobody(booked(run, charges)),
            Event::BookedHigh { run, .. } => nobody(booked_high(run)),
            Event::Escalated { run } => done(&run.agent, escalated(run)),
            Event::Reported { revision, charge } => by_reporter(charge, reported(&revision.run, charge)),
            Event::Remarked { run, charge } => by_reporter(charge, remarked(run, charge)),
            Event::Retracted { revision, mode, by, .. } => done(by, retracted(revision, mode)),
            Event::Excluded { revision, reason, by, .. } => done(by, excluded(revision, reason)),
            Event::Reinstated { revision, by } => done(by, reinstated(revision)),
            Event::Reconciled { call, executed, by, .. } => done(by, reconciled(*call, *executed)),
            Event::Noted { revision } => nobody(noted(revision)),
            Event::Checked { revision, by, right } => done(by, checked(revision, *right)),
            Event::Imported(imported) => done(&imported.by, imported_runs(imported)),
            Event::Paced { hour, busy } => nobody(paced(*hour, *busy)),
            Event::Refused { calls, more } => nobody(refused(calls, more)),
            Event::TurnedAway { counts } => nobody(turned_away(counts)),
            Event::SignedIn { by, role } => done(by, format!("signed in as {role}")),
            Event::Held(request) => done(&request.agent, hold(request)),
            Event::Seen { approvals, by } => done(by, seen(approvals)),
            Event::Decided { approval, decision } => {
                done(&decision.reviewer, decided(*approval, decision, held))
            }
            Event::Withdrawn { approval, reason } => nobody(withdrawn(*approval, held, reason)),
            Event::GrantGiven(grant) => done(&grant.by, grant_given(grant)),
            Event::GrantRevoked { grant, by, reason } => done(by, grant_revoked(*grant, reason)),
            Event::Clamped(clamp) => done(&clamp.by, clamped(clamp)),
            Event::Released { by, reason } => done(by, format!("released the clamp: {reason}")),
            Event::Waived { until, by, reason } => done(by, waived(*until, reason)),
            Event::Recovered { cause, fix, to, lasts, by } => {
                done(by, recovered(cause, fix.as_deref(), to.as_ref(), *lasts))
            }
            Event::Promoted { to, by, reason } => perhaps(by.as_ref(), promoted(to, reason)),
            Event::StepTaken { step, by, reason } => done(by, format!("took step {step}: {reason}")),
            Event::Demoted { to, by, reason } => perhaps(by.as_ref(), demoted(to, reason)),
            Event::Sampled { run, tool, modes, .. } => nobody(sampled(run, tool, modes)),
            Event::Reviewed { by, note } => done(by, reviewed(note.as_deref())),
            Event::PolicyHeldBack { what } => nobody(format!("a wider policy is held back: {what}")),
            Event::Changed { kind, reference, by, emergency } => {
                done(by, changed(kind, reference, emergency.as_deref()))
            }
            Event::ChangeRefused { kind, reference, by } => done(by, change_refused(kind, reference)),
            Event::IncidentOpened { incident, api, calls, failures, .. } => {
                nobody(incident_opened(*incident, api, *calls, *failures))
            }
            Event::IncidentClosed { incident } => nobody(format!("the incident is over ({incident})")),
            Event::Followed(effect) => nobody(effect.text()),
        }
    }
}

impl Effect {
    fn text(&self) -> String {
        match self {
            Effect::PostureChanged { from, to, why } => format!("posture {from} to {to}: {why}"),
            Effect::LevelChanged { from, to, binds } => {
                format!("level {from} to {to} (binds: {binds})")
            }
            Effect::BurnOpened => "a burn began".to_owned(),
            Effect::BurnVoided => {
                "the burn is void: its failures were taken back or excluded".to_owned()
            }
            Effect::ProbationEnded { lasted: true } => {
                "the probation lasted: the burn is over".to_owned()
            }
            Effect::ProbationEnded { lasted: false } => {
                "the probation's budget was used up".to_owned()
            }
            Effect::ClampExpired => "a clamp ran out".to_owned(),
            Effect::WaiverEnded => "the waiver ended".to_owned(),
            Effect::ApprovalExpired { approval } => {
                format!("{approval} expired: nobody decided, or nobody used it")
            }
            Effect::ApprovalDue { approval } => {
                format!("{approval} expires soon, and nobody decided")
            }
            Effect::ApprovalEscalated { approval, to } => {
                format!("{approval} was put to {to}: nobody had decided")
            }
            Effect::ApprovalUnseen { approval } => {
                format!("{approval} expired, and nobody who could decide ever saw it")
            }
            Effect::Demoted { to } => format!("burns cost a level: it earns {to} now"),
            Effect::StepEarned { step } => format!("step {step} was earned"),
            Effect::StepProposed { step } => {
                format!("step {step} was earned and waits for an operator")
            }
            Effect::StepLost { step } => format!("step {step} was lost"),
            Effect::DemotionProposed { to } => format!("burns may cost a level: {to} is proposed"),
            Effect::ReviewOverdue { since } => {
                format!("the weekly review is overdue since {since}")
            }
        }
    }
}

/// It followed from the rules, or from nothing that a person did.
fn nobody(text: impl Into<String>) -> Sentence {
    Sentence {
        by: None,
        text: text.into(),
    }
}

/// Somebody did it: a person or an agent.
fn done(by: &impl ToString, text: impl Into<String>) -> Sentence {
    perhaps(Some(by), text)
}

/// A person did it, or the policy by itself.
fn perhaps(by: Option<&impl ToString>, text: impl Into<String>) -> Sentence {
    Sentence {
        by: by.map(ToString::to_string),
        text: text.into(),
    }
}

/// The reporter did it, where that is a person or a named system.
fn by_reporter(charge: &Charge, text: String) -> Sentence {
    perhaps(charge.by.as_ref(), text)
}

fn started(version: &str, lost: bool) -> String {
    let after = if lost { ", after a lost ledger" } else { "" };
    format!("the gate started, version {version}{after}")
}

/// The beginning of a digest is enough to tell two policies apart.
fn in_force(version: &Digest) -> String {
    let version = version.to_string();
    let version = version.get(..12).unwrap_or(&version);
    format!("policies {version} came into force")
}

fn reload_refused(reason: &str) -> String {
    let reason = reason.lines().next().unwrap_or_default();
    format!("a reload was refused: {reason}")
}

fn approvers(people: &BTreeSet<PersonName>) -> String {
    format!("may approve from here on: {}", listed(people))
}

fn access(change: &AccessChange) -> String {
    format!("who may call and decide changed: {change}")
}

fn admitted(admission: &Admission) -> String {
    format!(
        "{}{} ({}, run {})",
        admission.tool,
        about(admission.subject.as_ref()),
        admission.risk,
        admission.run.run
    )
}

fn settled(call: CallId, executed: Executed) -> String {
    format!("{call} was {}", executed.in_words())
}

fn tallied(cells: &[TalliedMinute]) -> String {
    let sum = |of: fn(&TalliedMinute) -> u64| cells.iter().map(of).fold(0, u64::saturating_add);
    let (runs, idle) = (sum(|cell| cell.runs), sum(|cell| cell.idle));
    format!("{runs} runs ended acceptably, and {idle} ended idle")
}

fn booked(run: &RunRef, charges: &[Charge]) -> String {
    let modes = charges.iter().map(|charge| match &charge.tool {
        Some(tool) => format!("{} at {tool}", charge.mode),
        None => charge.mode.to_string(),
    });
    format!("run {} was unacceptable: {}", run_of(run), listed(modes))
}

fn booked_high(run: &RunRef) -> String {
    let run = run_of(run);
    format!("run {run}, booked as unacceptable, executed its first high-risk call")
}

fn escalated(run: &RunRef) -> String {
    format!("run {} went to a person", run.run)
}

fn reported(run: &RunRef, charge: &Charge) -> String {
    let tool = charge.tool.as_ref();
    let at = tool.map_or_else(String::new, |tool| format!(" at {tool}"));
    let note = because(charge.note.as_deref());
    format!("reported {}{at} of run {}{note}", charge.mode, run_of(run))
}

fn remarked(run: &RunRef, charge: &Charge) -> String {
    format!("{}, which changes nothing", reported(run, charge))
}

fn retracted(revision: &Revision, mode: &FailureMode) -> String {
    format!("took back {mode} of run {}", run_of(&revision.run))
}

fn excluded(revision: &Revision, reason: &str) -> String {
    format!("excluded run {}: {reason}", run_of(&revision.run))
}

fn reinstated(revision: &Revision) -> String {
    format!("put run {} back", run_of(&revision.run))
}

fn reconciled(call: CallId, executed: bool) -> String {
    let not = if executed { "" } else { "not " };
    format!("found out that {call} was {not}executed")
}

fn noted(revision: &Revision) -> String {
    let (run, mark) = (run_of(&revision.run), revision.now.as_str());
    format!("more was seen of run {run}, which stands as {mark}")
}

fn checked(revision: &Revision, right: bool) -> String {
    let found = if right { "right" } else { "wrong" };
    format!(
        "looked at run {} and found it {found}",
        run_of(&revision.run)
    )
}

fn imported_runs(imported: &Imported) -> String {
    format!("imported {} runs of the past", imported.runs)
}

fn paced(hour: Hour, busy: Busy) -> String {
    format!(
        "the hour from {} had {} calls, at most {} at once",
        hour.start(),
        busy.calls,
        busy.at_once
    )
}

fn turned_away(counts: &BTreeMap<Arc<str>, u64>) -> String {
    let requests: u64 = counts.values().sum();
    format!("{requests} requests were turned away before they were calls")
}

fn hold(request: &Request) -> String {
    format!("{} was held by {}", call_of(request), request.rule)
}

fn seen(approvals: &[ApprovalId]) -> String {
    match approvals {
        [approval] => format!("saw {approval} for the first time"),
        all => format!("saw {} held calls for the first time", all.len()),
    }
}

fn decided(approval: ApprovalId, decision: &Decision, held: Option<&Request>) -> String {
    let verb = match decision.decision {
        DecisionKind::Approve if decision.edit.is_some() => "approved, with other arguments,",
        DecisionKind::Approve => "approved",
        DecisionKind::DenyWrong => "denied as wrong",
        DecisionKind::DenyNotNow => "denied for now",
    };
    let reason = because(decision.reason.as_deref());
    format!("{verb} {}{reason}", held_call(approval, held))
}

fn withdrawn(approval: ApprovalId, held: Option<&Request>, reason: &str) -> String {
    format!("{} was withdrawn: {reason}", held_call(approval, held))
}

fn grant_given(grant: &TimedGrant) -> String {
    format!(
        "let up to {} held calls of {} go by themselves until {}: {}",
        grant.max, grant.tool, grant.until, grant.reason
    )
}

fn grant_revoked(grant: GrantId, reason: &str) -> String {
    format!("took grant {grant} back: {reason}")
}

fn clamped(clamp: &Clamp) -> String {
    let until = clamp.until;
    let until = until.map_or_else(String::new, |until| format!(" until {until}"));
    format!("clamped to {}{until}: {}", clamp.to, clamp.reason)
}

fn waived(until: Time, reason: &str) -> String {
    format!("waived the cap until {until}: {reason}")
}

fn recovered(cause: &str, fix: Option<&str>, to: Option<&LevelName>, lasts: Duration) -> String {
    let fix = fix.map_or_else(String::new, |fix| format!(", fix {fix}"));
    let to = to.map_or_else(String::new, |to| format!(" at {to}"));
    let lasts = in_units(lasts);
    format!("recovered, with a probation of {lasts}{to}; cause: {cause}{fix}")
}

fn promoted(to: &LevelName, reason: &str) -> String {
    format!("gave level {to}: {reason}")
}

fn demoted(to: &LevelName, reason: &str) -> String {
    format!("lowered the level to {to}: {reason}")
}

fn sampled(run: &RunRef, tool: &ToolName, modes: &[FailureMode]) -> String {
    let (run, modes) = (run_of(run), listed(modes));
    format!("a call of {tool} in run {run} was kept as a sample of {modes}")
}

fn reviewed(note: Option<&str>) -> String {
    format!("reviewed it{}", because(note))
}

fn changed(kind: &str, reference: &str, emergency: Option<&str>) -> String {
    let anyway = emergency.map_or_else(String::new, |why| format!(", in spite of a freeze: {why}"));
    format!("shipped {kind} {reference}{anyway}")
}

fn change_refused(kind: &str, reference: &str) -> String {
    format!("asked to ship {kind} {reference}, and the freeze refused it")
}

fn incident_opened(incident: IncidentId, api: &ApiName, calls: u64, failures: u64) -> String {
    format!("an incident of api {api} opened: {failures} of {calls} calls failed ({incident})")
}

/// Refused calls by tool and rule, with the first run of each.
fn refused(calls: &[RefusedCall], more: &[RefusedAlike]) -> String {
    let mut kinds: BTreeMap<(&str, &str, bool), (u64, &RunRef)> = BTreeMap::new();
    for call in calls {
        let rule = call.rule.as_deref().unwrap_or("the gate");
        let went = call.executed != Executed::No;
        let (count, _) = kinds
            .entry((call.tool.as_str(), rule, went))
            .or_insert((0, &call.run));
        *count += 1;
    }
    let listed_calls = kinds.into_iter().map(|((tool, rule, went), (count, run))| {
        let verb = if went {
            "went, though refused"
        } else {
            "refused"
        };
        let of = if count == 1 {
            format!("run {}", run_of(run))
        } else {
            format!("{count} calls, first in run {}", run_of(run))
        };
        format!("{tool} {verb} by {rule} ({of})")
    });
    let counted = more.iter().map(|alike| {
        let rule = alike.rule.as_deref().unwrap_or("the gate");
        format!(
            "{} by {rule} ({} calls of {}, too many to list)",
            alike.tool, alike.count, alike.agent
        )
    });
    listed_calls.chain(counted).collect::<Vec<_>>().join("; ")
}

fn held_call(approval: ApprovalId, held: Option<&Request>) -> String {
    held.map_or_else(|| approval.to_string(), call_of)
}

fn call_of(request: &Request) -> String {
    format!(
        "{}{} (run {}, {})",
        request.tool,
        about(request.subject.as_ref()),
        request.run,
        request.approval
    )
}

fn run_of(run: &RunRef) -> String {
    format!("{} ({})", run.run, run.agent)
}

fn about(subject: Option<&Subject>) -> String {
    subject.map_or_else(String::new, |subject| format!(" on {subject}"))
}

fn because(text: Option<&str>) -> String {
    text.map_or_else(String::new, |text| format!(": {text}"))
}

fn listed<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(", ")
}

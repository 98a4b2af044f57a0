//! One event as a line that people read: what happened, and who did it.

use std::collections::BTreeMap;

use super::ReviewLine;
use crate::api::{Moment, TimeSpan};
use crate::gate::approval::{DecisionKind, Request};
use crate::gate::event::{Effect, Entry, Event, RefusedAlike, RefusedCall};
use crate::gate::name::Subject;
use crate::gate::run::{Charge, Executed, RunRef};
use crate::gate::time::Time;

/// What `entry` says; `None` where it is nothing that a person reads one by one. `held` is the held
/// call that a decision or a withdrawal is about.
pub(super) fn of(entry: &Entry, held: Option<&Request>) -> Option<ReviewLine> {
    let (by, what) = words(&entry.event, held)?;
    Some(ReviewLine {
        at: Moment(entry.at),
        by,
        what,
    })
}

type Words = (Option<String>, String);

fn words(event: &Event, held: Option<&Request>) -> Option<Words> {
    let by = |person: &dyn ToString| Some(person.to_string());
    Some(match event {
        Event::Started { version, lost } => (
            None,
            format!(
                "the gate started, version {version}{}",
                if *lost { ", after a lost ledger" } else { "" }
            ),
        ),
        Event::Stopped => (None, "the gate stopped".to_owned()),
        Event::PolicyAccepted { version, .. } => (
            None,
            format!("policies {} came into force", short(&version.to_string())),
        ),
        Event::PolicyRefused { reason } => (
            None,
            format!(
                "a reload was refused: {}",
                reason.lines().next().unwrap_or_default()
            ),
        ),
        Event::ApproversNamed { people } => {
            let names: Vec<_> = people.iter().map(ToString::to_string).collect();
            (
                None,
                format!("may approve from here on: {}", names.join(", ")),
            )
        }
        Event::AccessChanged(change) => (
            None,
            format!("who may call and decide was read anew: {change}"),
        ),
        Event::ClockJumped { wall } => (None, format!("the wall clock leapt to {}", second(*wall))),
        Event::ClockAccepted { by: person } => (by(person), "accepted the wall clock".to_owned()),
        Event::Admitted(admission) => (
            by(&admission.run.agent),
            format!(
                "{}{} ({}, run {})",
                admission.tool,
                about(admission.subject.as_ref()),
                admission.risk,
                admission.run.run
            ),
        ),
        Event::Booked { run, charges, .. } => (
            None,
            format!("run {} was unacceptable: {}", run_of(run), modes(charges)),
        ),
        Event::Escalated { run } => (by(&run.agent), format!("run {} went to a person", run.run)),
        Event::Reported { revision, charge } => (
            charge.by.as_ref().and_then(|person| by(person)),
            reported(&revision.run, charge),
        ),
        Event::Remarked { run, charge } => (
            charge.by.as_ref().and_then(|person| by(person)),
            format!("{}, which changes nothing", reported(run, charge)),
        ),
        Event::Retracted {
            revision,
            mode,
            by: person,
            ..
        } => (
            by(person),
            format!("took back {mode} of run {}", run_of(&revision.run)),
        ),
        Event::Excluded {
            revision,
            reason,
            by: person,
            ..
        } => (
            by(person),
            format!("excluded run {}: {reason}", run_of(&revision.run)),
        ),
        Event::Reinstated {
            revision,
            by: person,
        } => (
            by(person),
            format!("put run {} back", run_of(&revision.run)),
        ),
        Event::Reconciled {
            call,
            executed,
            by: person,
            ..
        } => (
            by(person),
            format!(
                "found out that {call} was {}executed",
                if *executed { "" } else { "not " }
            ),
        ),
        Event::Checked {
            revision,
            by: person,
            right,
        } => (
            by(person),
            format!(
                "looked at run {} and found it {}",
                run_of(&revision.run),
                if *right { "right" } else { "wrong" }
            ),
        ),
        Event::Imported(imported) => (
            by(&imported.by),
            format!("imported {} runs of the past", imported.runs),
        ),
        Event::Held(request) => (
            by(&request.agent),
            format!("{} was held by {}", call_of(request), request.rule),
        ),
        Event::Decided { approval, decision } => {
            let verb = match decision.decision {
                DecisionKind::Approve if decision.edit.is_some() => {
                    "approved, with other arguments,"
                }
                DecisionKind::Approve => "approved",
                DecisionKind::DenyWrong => "denied as wrong",
                DecisionKind::DenyNotNow => "denied for now",
            };
            let call = held.map_or_else(|| approval.to_string(), call_of);
            (
                by(&decision.reviewer),
                format!("{verb} {call}{}", because(decision.reason.as_deref())),
            )
        }
        Event::Withdrawn { approval, reason } => (
            None,
            format!(
                "{} was withdrawn: {reason}",
                held.map_or_else(|| approval.to_string(), call_of)
            ),
        ),
        Event::Clamped(clamp) => {
            let until = clamp
                .until
                .map_or_else(String::new, |until| format!(" until {}", second(until)));
            (
                by(&clamp.by),
                format!("clamped to {}{until}: {}", clamp.to, clamp.reason),
            )
        }
        Event::Released { by: person, reason } => {
            (by(person), format!("released the clamp: {reason}"))
        }
        Event::Waived {
            until,
            by: person,
            reason,
        } => (
            by(person),
            format!("waived the cap until {}: {reason}", second(*until)),
        ),
        Event::Recovered {
            cause,
            fix,
            to,
            lasts,
            by: person,
        } => {
            let fix = fix
                .as_ref()
                .map_or_else(String::new, |fix| format!(", fix {fix}"));
            let to = to
                .as_ref()
                .map_or_else(String::new, |to| format!(" at {to}"));
            (
                by(person),
                format!(
                    "recovered, with a probation of {}{to}; cause: {cause}{fix}",
                    TimeSpan(*lasts)
                ),
            )
        }
        Event::Promoted {
            to,
            by: person,
            reason,
        } => (
            person.as_ref().and_then(|person| by(person)),
            format!("gave level {to}: {reason}"),
        ),
        Event::StepTaken {
            step,
            by: person,
            reason,
        } => (by(person), format!("took step {step}: {reason}")),
        Event::Demoted {
            to,
            by: person,
            reason,
        } => (
            person.as_ref().and_then(|person| by(person)),
            format!("lowered the level to {to}: {reason}"),
        ),
        Event::Reviewed { by: person, note } => (
            by(person),
            format!("reviewed it{}", because(note.as_deref())),
        ),
        Event::PolicyHeldBack { what } => (None, format!("a wider policy is held back: {what}")),
        Event::Changed {
            kind,
            reference,
            by: person,
            emergency,
        } => {
            let anyway = emergency
                .as_ref()
                .map_or_else(String::new, |why| format!(", in spite of a freeze: {why}"));
            (by(person), format!("shipped {kind} {reference}{anyway}"))
        }
        Event::ChangeRefused {
            kind,
            reference,
            by: person,
        } => (
            by(person),
            format!("asked to ship {kind} {reference}, and the freeze refused it"),
        ),
        Event::IncidentOpened {
            incident,
            api,
            calls,
            failures,
            ..
        } => (
            None,
            format!(
                "an incident of api {api} opened: {failures} of {calls} calls failed ({incident})"
            ),
        ),
        Event::IncidentClosed { incident } => (None, format!("the incident is over ({incident})")),
        Event::Followed(effect) => (None, followed(effect)),
        Event::Refused { calls, more } => (None, refused(calls, more)),
        Event::TurnedAway { counts } => (
            None,
            format!(
                "{} requests were turned away before they were calls",
                counts.values().sum::<u64>()
            ),
        ),
        Event::SignedIn { by: person, role } => (by(person), format!("signed in as {role}")),
        Event::GrantGiven(grant) => {
            let many = format!(
                "up to {} held calls of {} go by themselves until {}",
                grant.max,
                grant.tool,
                second(grant.until)
            );
            (by(&grant.by), format!("let {many}: {}", grant.reason))
        }
        Event::GrantRevoked {
            grant,
            by: person,
            reason,
        } => (by(person), format!("took grant {grant} back: {reason}")),
        Event::Seen { .. }
        | Event::Settled { .. }
        | Event::Sampled { .. }
        | Event::Tallied { .. }
        | Event::BookedHigh { .. }
        | Event::Noted { .. }
        | Event::Paced { .. } => {
            return None;
        }
    })
}

fn followed(effect: &Effect) -> String {
    match effect {
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
        Effect::ProbationEnded { lasted: false } => "the probation's budget was used up".to_owned(),
        Effect::ClampExpired => "a clamp ran out".to_owned(),
        Effect::WaiverEnded => "the waiver ended".to_owned(),
        Effect::ApprovalExpired { approval } => {
            format!("{approval} expired: nobody decided, or nobody used it")
        }
        Effect::ApprovalDue { approval } => format!("{approval} expires soon, and nobody decided"),
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
            format!("the weekly review is overdue since {}", second(*since))
        }
    }
}

/// Refused calls in one line: by tool and rule, with the first run of each.
fn refused(calls: &[RefusedCall], more: &[RefusedAlike]) -> String {
    let mut kinds: BTreeMap<(&str, &str, bool), (u64, &RunRef)> = BTreeMap::new();
    for call in calls {
        let watched = call.executed != Executed::No;
        kinds
            .entry((
                call.tool.as_str(),
                call.rule.as_deref().unwrap_or("the gate"),
                watched,
            ))
            .or_insert((0, &call.run))
            .0 += 1;
    }
    let words = kinds
        .into_iter()
        .map(|((tool, rule, watched), (count, run))| {
            let verb = if watched {
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
    let alike = |alike: &RefusedAlike| {
        format!(
            "{} by {} ({} calls of {}, too many to list)",
            alike.tool,
            alike.rule.as_deref().unwrap_or("the gate"),
            alike.count,
            alike.agent
        )
    };
    words
        .chain(more.iter().map(alike))
        .collect::<Vec<_>>()
        .join("; ")
}

/// What became of an admitted call.
pub(super) const fn became(executed: Executed) -> &'static str {
    match executed {
        Executed::Yes => "executed",
        Executed::No => "not executed",
        Executed::Unknown => "sent, and the answer was lost",
    }
}

fn reported(run: &RunRef, charge: &Charge) -> String {
    let at = charge
        .tool
        .as_ref()
        .map_or_else(String::new, |tool| format!(" at {tool}"));
    format!(
        "reported {}{at} of run {}{}",
        charge.mode,
        run_of(run),
        because(charge.note.as_deref())
    )
}

fn run_of(run: &RunRef) -> String {
    format!("{} ({})", run.run, run.agent)
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

/// To the second: nobody reads the rest.
fn second(at: Time) -> Moment {
    Moment(Time::from_millis(at.as_millis().div_euclid(1_000) * 1_000))
}

fn about(subject: Option<&Subject>) -> String {
    subject.map_or_else(String::new, |subject| format!(" on {subject}"))
}

fn because(text: Option<&str>) -> String {
    text.map_or_else(String::new, |text| format!(": {text}"))
}

fn modes(charges: &[Charge]) -> String {
    let words = charges.iter().map(|charge| match &charge.tool {
        Some(tool) => format!("{} at {tool}", charge.mode),
        None => charge.mode.to_string(),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// The beginning of a digest: enough to tell two policies apart.
fn short(version: &str) -> &str {
    version.get(..12).unwrap_or(version)
}

//! One event and one effect of each kind, as the journal has them: their names are a format, and
//! each has a sentence.

use super::Event;
use super::table::{Audience, EFFECTS, EventKind, LogLevel, Section};

const APPROVAL: &str = "apr_00000000000000000000000000000001";

/// An event of each kind as JSON, in the order of the table, and what it says.
const EVENTS: &[(&str, &str)] = &[
    (
        r#"{"event":"started","version":"1.0","lost":true}"#,
        "the gate started, version 1.0, after a lost ledger",
    ),
    (r#"{"event":"stopped"}"#, "the gate stopped"),
    (
        r#"{"event":"policy_accepted","version":"DIGEST","terms":{},"policies":"{}"}"#,
        "policies 000000000000 came into force",
    ),
    (
        r#"{"event":"policy_refused","reason":"one\ntwo"}"#,
        "a reload was refused: one",
    ),
    (
        r#"{"event":"approvers_named","people":["dana","eli"]}"#,
        "may approve from here on: dana, eli",
    ),
    (
        r#"{"event":"access_changed","people":{"added":["dana"]}}"#,
        "who may call and decide changed: person added: dana",
    ),
    (
        r#"{"event":"clock_jumped","wall":1764000000000}"#,
        "the wall clock leapt to 2025-11-24T16:00:00Z",
    ),
    (
        r#"{"event":"clock_accepted","by":"dana"}"#,
        "dana: accepted the wall clock",
    ),
    (
        r#"{"event":"admitted","call":"CALL","run":RUN,"tool":"shop/pay","risk":"high","idempotent":false,"subject":"A-1","approval":null,"digest":null}"#,
        "bot: shop/pay on A-1 (high, run r1)",
    ),
    (
        r#"{"event":"settled","call":"CALL","executed":"unknown"}"#,
        "CALL was sent, and the answer was lost",
    ),
    (
        r#"{"event":"tallied","cells":[{"minute":1,"runs":2,"high":0,"idle":1},{"minute":2,"runs":3,"high":0,"idle":0}]}"#,
        "5 runs ended acceptably, and 1 ended idle",
    ),
    (
        r#"{"event":"booked","run":RUN,"high":false,"charges":[CHARGE]}"#,
        "run r1 (bot) was unacceptable: wrong_action at shop/pay",
    ),
    (
        r#"{"event":"booked_high","run":RUN,"booked_at":0}"#,
        "run r1 (bot), booked as unacceptable, executed its first high-risk call",
    ),
    (
        r#"{"event":"escalated","run":RUN}"#,
        "bot: run r1 went to a person",
    ),
    (
        r#"{"event":"reported","revision":REVISION,"charge":CHARGE}"#,
        "dana: reported wrong_action at shop/pay of run r1 (bot): twice",
    ),
    (
        r#"{"event":"retracted","revision":REVISION,"mode":"timeout","reference":null,"by":"dana"}"#,
        "dana: took back timeout of run r1 (bot)",
    ),
    (
        r#"{"event":"excluded","revision":REVISION,"reason":"a drill","by":"dana"}"#,
        "dana: excluded run r1 (bot): a drill",
    ),
    (
        r#"{"event":"reinstated","revision":REVISION,"by":"dana"}"#,
        "dana: put run r1 (bot) back",
    ),
    (
        r#"{"event":"reconciled","revision":REVISION,"call":"CALL","executed":false,"by":"dana"}"#,
        "dana: found out that CALL was not executed",
    ),
    (
        r#"{"event":"noted","revision":REVISION}"#,
        "more was seen of run r1 (bot), which stands as unacceptable",
    ),
    (
        r#"{"event":"remarked","run":RUN,"charge":CHARGE}"#,
        "dana: reported wrong_action at shop/pay of run r1 (bot): twice, which changes nothing",
    ),
    (
        r#"{"event":"checked","revision":REVISION,"by":"dana","right":true}"#,
        "dana: looked at run r1 (bot) and found it right",
    ),
    (
        r#"{"event":"imported","by":"dana","runs":7,"cells":[]}"#,
        "dana: imported 7 runs of the past",
    ),
    (
        r#"{"event":"paced","hour":490000,"busy":{"calls":9,"at_once":2}}"#,
        "the hour from 2025-11-24T16:00:00Z had 9 calls, at most 2 at once",
    ),
    (
        r#"{"event":"refused","calls":[REFUSED,REFUSED],"more":[{"agent":"bot","tool":"shop/pay","rule":null,"count":4}]}"#,
        "shop/pay refused by level (2 calls, first in run r1 (bot)); shop/pay by the gate (4 calls of bot, too many to list)",
    ),
    (
        r#"{"event":"turned_away","counts":{"malformed":2,"unidentified":1}}"#,
        "3 requests were turned away before they were calls",
    ),
    (
        r#"{"event":"signed_in","by":"dana","role":"reviewer"}"#,
        "dana: signed in as reviewer",
    ),
    (
        r#"{"event":"held",REQUEST}"#,
        "bot: shop/pay on A-1 (run r1, APPROVAL) was held by hold_when",
    ),
    (
        r#"{"event":"seen","approvals":["APPROVAL"],"by":"dana"}"#,
        "dana: saw APPROVAL for the first time",
    ),
    (
        r#"{"event":"decided","approval":"APPROVAL","decision":{"reviewer":"dana","decision":"deny_wrong","reason":"too much","at":0}}"#,
        "dana: denied as wrong APPROVAL: too much",
    ),
    (
        r#"{"event":"withdrawn","approval":"APPROVAL","reason":"the agent is gone"}"#,
        "APPROVAL was withdrawn: the agent is gone",
    ),
    (
        r#"{"event":"grant_given","id":"GRANT","tool":"shop/pay","at":0,"until":1764000000000,"max":20,"used":0,"by":"dana","reason":"a sale","revoked":null}"#,
        "dana: let up to 20 held calls of shop/pay go by themselves until 2025-11-24T16:00:00Z: a sale",
    ),
    (
        r#"{"event":"grant_revoked","grant":"GRANT","by":"dana","reason":"over"}"#,
        "dana: took grant GRANT back: over",
    ),
    (
        r#"{"event":"clamped","to":"halted","by":"dana","reason":"a drill","at":0,"until":1764000000000}"#,
        "dana: clamped to halted until 2025-11-24T16:00:00Z: a drill",
    ),
    (
        r#"{"event":"released","by":"dana","reason":"over"}"#,
        "dana: released the clamp: over",
    ),
    (
        r#"{"event":"waived","until":1764000000000,"by":"dana","reason":"known"}"#,
        "dana: waived the cap until 2025-11-24T16:00:00Z: known",
    ),
    (
        r#"{"event":"recovered","cause":"prompt 14","fix":"PR 7","to":"standard","lasts":604800000,"by":"dana"}"#,
        "dana: recovered, with a probation of 7d at standard; cause: prompt 14, fix PR 7",
    ),
    (
        r#"{"event":"promoted","to":"standard","by":null,"reason":"30 days"}"#,
        "gave level standard: 30 days",
    ),
    (
        r#"{"event":"step_taken","step":"more","by":"dana","reason":"earned"}"#,
        "dana: took step more: earned",
    ),
    (
        r#"{"event":"demoted","to":"supervised","by":"dana","reason":"two burns"}"#,
        "dana: lowered the level to supervised: two burns",
    ),
    (
        r#"{"event":"sampled","run":RUN,"call":"CALL","tool":"shop/pay","modes":["timeout"],"arguments":"{}"}"#,
        "a call of shop/pay in run r1 (bot) was kept as a sample of timeout",
    ),
    (
        r#"{"event":"reviewed","by":"dana","note":"fine"}"#,
        "dana: reviewed it: fine",
    ),
    (
        r#"{"event":"policy_held_back","what":"target 95% to 90%"}"#,
        "a wider policy is held back: target 95% to 90%",
    ),
    (
        r#"{"event":"changed","kind":"prompt","reference":"v2","by":"dana","emergency":"now"}"#,
        "dana: shipped prompt v2, in spite of a freeze: now",
    ),
    (
        r#"{"event":"change_refused","kind":"prompt","reference":"v2","by":"dana"}"#,
        "dana: asked to ship prompt v2, and the freeze refused it",
    ),
    (
        r#"{"event":"incident_opened","incident":"INCIDENT","api":"shop","since":0,"calls":10,"failures":9}"#,
        "an incident of api shop opened: 9 of 10 calls failed (INCIDENT)",
    ),
    (
        r#"{"event":"incident_closed","incident":"INCIDENT"}"#,
        "the incident is over (INCIDENT)",
    ),
    (
        r#"{"event":"followed","effect":"burn_opened"}"#,
        "a burn began",
    ),
];

/// What each effect says.
const SAID: &[(&str, &str)] = &[
    (
        r#"{"effect":"posture_changed","from":"healthy","to":"burned","why":"9 of 100"}"#,
        "posture healthy to burned: 9 of 100",
    ),
    (
        r#"{"effect":"level_changed","from":"standard","to":"halted","binds":"clamp"}"#,
        "level standard to halted (binds: clamp)",
    ),
    (r#"{"effect":"burn_opened"}"#, "a burn began"),
    (
        r#"{"effect":"burn_voided"}"#,
        "the burn is void: its failures were taken back or excluded",
    ),
    (
        r#"{"effect":"probation_ended","lasted":true}"#,
        "the probation lasted: the burn is over",
    ),
    (r#"{"effect":"clamp_expired"}"#, "a clamp ran out"),
    (r#"{"effect":"waiver_ended"}"#, "the waiver ended"),
    (
        r#"{"effect":"approval_due","approval":"APPROVAL"}"#,
        "APPROVAL expires soon, and nobody decided",
    ),
    (
        r#"{"effect":"approval_escalated","approval":"APPROVAL","to":"operator"}"#,
        "APPROVAL was put to operator: nobody had decided",
    ),
    (
        r#"{"effect":"approval_unseen","approval":"APPROVAL"}"#,
        "APPROVAL expired, and nobody who could decide ever saw it",
    ),
    (
        r#"{"effect":"approval_expired","approval":"APPROVAL"}"#,
        "APPROVAL expired: nobody decided, or nobody used it",
    ),
    (
        r#"{"effect":"demoted","to":"supervised"}"#,
        "burns cost a level: it earns supervised now",
    ),
    (
        r#"{"effect":"step_earned","step":"more"}"#,
        "step more was earned",
    ),
    (
        r#"{"effect":"step_proposed","step":"more"}"#,
        "step more was earned and waits for an operator",
    ),
    (
        r#"{"effect":"step_lost","step":"more"}"#,
        "step more was lost",
    ),
    (
        r#"{"effect":"demotion_proposed","to":"supervised"}"#,
        "burns may cost a level: supervised is proposed",
    ),
    (
        r#"{"effect":"review_overdue","since":1764000000000}"#,
        "the weekly review is overdue since 2025-11-24T16:00:00Z",
    ),
];

/// The abbreviations above, written out.
fn full(text: &str) -> String {
    let id = |prefix: &str| format!("{prefix}_{:032x}", 1);
    text.replace("REVISION", r#"{"run":RUN,"booked_at":0,"high":false,"was":"acceptable","now":"unacceptable"}"#)
        .replace("REFUSED", r#"{"call":"CALL","run":RUN,"at":0,"tool":"shop/pay","rule":"level","status":403,"executed":"no"}"#)
        .replace("REQUEST", r#""approval":"APPROVAL","call":"CALL","agent":"bot","run":"r1","tool":"shop/pay","risk":"high","target":"POST /pay","args":null,"subject":"A-1","digest":"DIGEST","rule":"hold_when","place":null,"reason":"it asks","needed":1,"expires_at":60000,"grant":60000"#)
        .replace("CHARGE", r#"{"mode":"wrong_action","source":"person","by":"dana","call":null,"tool":"shop/pay","note":"twice","reference":null}"#)
        .replace("RUN", r#"{"agent":"bot","run":"r1"}"#)
        .replace("DIGEST", &"0".repeat(64))
        .replace("CALL", &id("call"))
        .replace("GRANT", &id("grt"))
        .replace("INCIDENT", &id("inc"))
        .replace("APPROVAL", APPROVAL)
}

fn read(json: &str) -> Event {
    serde_json::from_str(&full(json)).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn said(event: &Event) -> String {
    let sentence = event.sentence(None);
    match sentence.by {
        Some(by) => format!("{by}: {}", sentence.text),
        None => sentence.text,
    }
}

#[test]
fn every_kind_has_its_name_in_the_journal_and_a_sentence() {
    assert_eq!(EVENTS.len(), EventKind::ALL.len());
    for ((json, sentence), kind) in EVENTS.iter().zip(EventKind::ALL) {
        let event = read(json);
        assert_eq!(event.kind(), *kind, "{json}");
        let written = serde_json::to_value(&event).unwrap();
        assert_eq!(written["event"], kind.name());
        assert_eq!(said(&event), full(sentence));
    }
}

#[test]
fn every_effect_has_its_name_in_the_journal_and_a_sentence() {
    assert_eq!(SAID.len(), EFFECTS.len());
    for ((json, sentence), name) in SAID.iter().zip(EFFECTS) {
        let event = read(&json.replace("{\"effect", "{\"event\":\"followed\",\"effect"));
        let written = serde_json::to_value(&event).unwrap();
        assert_eq!(
            (&written["effect"], event.log_name()),
            (&(*name).into(), *name)
        );
        assert_eq!(said(&event), full(sentence));
    }
}

#[test]
fn a_sentence_names_the_held_call_where_the_reader_knows_it() {
    let Event::Held(request) = read(EVENTS[EventKind::Held as usize].0) else {
        panic!("not a hold");
    };
    let decided = read(EVENTS[EventKind::Decided as usize].0);
    assert_eq!(
        decided.sentence(Some(&request)).text,
        full("denied as wrong shop/pay on A-1 (run r1, APPROVAL): too much")
    );
}

#[test]
fn a_denial_tightens_and_an_approval_loosens() {
    let denial = EVENTS[EventKind::Decided as usize].0;
    let (denial, approval) = (read(denial), read(&denial.replace("deny_wrong", "approve")));
    assert!(denial.tightens() && denial.is_fact());
    assert!(!approval.tightens() && !approval.is_fact());
}

#[test]
fn a_posture_that_gets_better_is_no_warning() {
    let worse = SAID[0]
        .0
        .replace("{\"effect", "{\"event\":\"followed\",\"effect");
    let better = worse
        .replace("healthy", "x")
        .replace("burned", "healthy")
        .replace('x', "burned");
    assert_eq!(read(&worse).log_level(), LogLevel::Warn);
    assert_eq!(read(&better).log_level(), LogLevel::Info);
}

#[test]
fn what_no_review_shows_is_never_a_line_in_the_log_but_for_sign_ins() {
    let loud: Vec<_> = EventKind::ALL
        .iter()
        .filter(|kind| kind.row().notice.section == Section::Nowhere)
        .filter(|kind| kind.row().notice.level != LogLevel::Silent)
        .collect();
    assert_eq!(loud, [&EventKind::SignedIn]);
    assert_eq!(EventKind::SignedIn.row().notice.audience, Audience::Process);
}

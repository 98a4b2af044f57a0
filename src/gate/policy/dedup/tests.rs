//! What the rules read of a call, and what they do where an expression gives nothing.

use super::reading::{DedupReading, read};
use super::*;
use crate::gate::budget::burn::BurnRates;
use crate::gate::budget::objective::Remaining;
use crate::gate::digest::Digest;
use crate::gate::json::Json;
use crate::gate::location::SourceLocation;
use crate::gate::name::Subject;
use crate::gate::policy::condition::ConditionScope;
use crate::gate::policy::facts::{Facts, Nothing, RunFacts};
use crate::gate::policy::finding::{RuleName, Unreadable};
use crate::gate::policy::{BodyKind, NamedMembers, Pattern, Tool};
use crate::gate::risk::Risk;
use crate::gate::time::hours;

fn location(line: u32) -> SourceLocation {
    SourceLocation {
        file: "p.yaml".into(),
        line,
    }
}

fn expression(source: &str) -> Condition {
    Condition::compile(source, ConditionScope::Request).unwrap()
}

fn limit(sum: Option<&str>, per: Per, hold: Option<&str>, deny: Option<&str>) -> Limit {
    let amount = |text: &str| Amount::parse(text).unwrap();
    Limit {
        sum: sum.map(expression),
        per,
        within: hours(24),
        hold_above: hold.map(amount),
        deny_above: deny.map(amount),
        mode: Mode::Enforce,
        location: location(9),
    }
}

fn rules(key: &[&str], limits: Vec<Limit>) -> DedupRules {
    let key: Vec<_> = key.iter().map(|part| expression(part)).collect();
    let duplicate = (!key.is_empty()).then(|| Duplicate {
        key,
        within: hours(24),
        verdict: Twice::Deny,
        mode: Mode::Enforce,
        location: location(7),
    });
    DedupRules {
        duplicate,
        limits,
        ..DedupRules::default()
    }
}

fn tool() -> Tool {
    Tool {
        name: "api/refund".into(),
        pattern: Pattern::http("POST /refunds").unwrap(),
        risk: Risk::High,
        subject: None,
        arguments: None,
        parameters: Vec::new(),
        deny_when: None,
        hold_when: None,
        escalate_when: None,
        failure_when: None,
        dedup: None,
        fallback: None,
        always: None,
        forbidden: false,
        volume: None,
        concurrency: None,
        escalation: false,
        idempotent: false,
        size: None,
        body: BodyKind::Json,
        binds: Vec::new(),
        members: NamedMembers::default(),
        timeout: hours(1),
        mode: Mode::Enforce,
        definition: Digest::new([0; 32]),
        location: location(1),
    }
}

fn read_of(
    rules: &DedupRules,
    args: &Json<'_>,
    subject: Option<&str>,
) -> Result<DedupReading, Unreadable> {
    let burn = BurnRates::default();
    let facts = Facts {
        args: Some(args),
        path: &Nothing,
        query: &Nothing,
        header: &Nothing,
        tool: "api/refund",
        agent: "bot",
        workflow: "payouts",
        run: RunFacts {
            id: "r",
            calls: 0,
            escalated: false,
        },
        level: "standard",
        posture: "healthy",
        remaining: Remaining::FULL,
        burn: &burn,
        response: None,
    };
    read(
        &tool(),
        rules,
        &facts,
        subject.map(Subject::from).as_ref(),
        Time::default(),
    )
}

fn args<'a>(order: Json<'a>, amount: Json<'a>) -> Json<'a> {
    Json::Object(vec![("order".into(), order), ("amount".into(), amount)])
}

fn text(text: &str) -> Json<'_> {
    Json::String(text.into())
}

#[test]
fn a_key_is_the_exact_text_of_its_parts() {
    let rules = rules(&["args.order", "args.amount"], Vec::new());
    let key = |order, amount| read_of(&rules, &args(order, amount), None).unwrap().key;
    let expected = |order: &str, amount: &str| Some(vec![order.to_owned(), amount.to_owned()]);
    assert_eq!(
        key(text("A-1"), Json::Number("499.0")),
        expected("A-1", "499")
    );
    // A space at the end is another order.
    assert_eq!(
        key(text("A-1 "), Json::Number("499")),
        expected("A-1 ", "499")
    );
    let longest = "x".repeat(MAX_TEXT);
    assert_eq!(
        key(text(&longest), Json::Number("1")),
        expected(&longest, "1")
    );
}

#[test]
fn g3_a_key_without_a_value_holds() {
    let rules = rules(&["args.order"], Vec::new());
    let too_long = "x".repeat(MAX_TEXT + 1);
    for order in [
        Json::Null,
        text(""),
        text(&too_long),
        Json::Object(Vec::new()),
        Json::Array(Vec::new()),
        Json::Bool(true),
    ] {
        let reading = read_of(&rules, &args(order.clone(), Json::Number("1")), None).unwrap();
        let held = reading.unread.unwrap();
        assert_eq!(
            (held.verdict, held.rule, held.location, reading.key),
            (Verdict::Hold, RuleName::Duplicate, Some(location(7)), None),
            "{order:?}"
        );
    }
    let missing = read_of(&rules, &Json::Object(Vec::new()), None).unwrap();
    assert!(
        missing
            .unread
            .unwrap()
            .detail
            .contains("`args.order` of the key has no value")
    );
}

#[test]
fn an_amount_is_exact_or_holds_or_is_refused() {
    let rules = rules(
        &[],
        vec![limit(
            Some("args.amount"),
            Per::Workflow,
            Some("1000"),
            None,
        )],
    );
    let amount = |number: Json<'_>| read_of(&rules, &args(text("A"), number), None);
    for (written, amount_of) in [("0.1", "0.1"), ("499", "499"), ("1e3", "1000")] {
        assert_eq!(
            amount(Json::Number(written)).unwrap().amounts,
            [Amount::parse(amount_of)],
            "{written}"
        );
    }
    for odd in [
        Json::Null,
        text("499"),
        Json::Number("-1"),
        Json::Number("1e19"),
        Json::Number("1e-13"),
        Json::Array(Vec::new()),
    ] {
        let reading = amount(odd.clone()).unwrap();
        assert_eq!(
            (
                reading.unread.map(|held| (held.verdict, held.rule)),
                reading.amounts
            ),
            (Some((Verdict::Hold, RuleName::Limits)), vec![None]),
            "{odd:?}"
        );
    }
    // Binary64 changes it: 400, as for any condition.
    assert_eq!(
        amount(Json::Number("0.1234567890123456")),
        Err(Unreadable("/amount".to_owned()))
    );
}

#[test]
fn what_an_expression_computes_is_taken_to_what_binary64_keeps() {
    let rules = rules(
        &[],
        vec![limit(Some("args.amount * 3"), Per::Agent, None, Some("1"))],
    );
    let reading = read_of(&rules, &args(text("A"), Json::Number("9.99")), None).unwrap();
    assert_eq!(reading.amounts, [Amount::parse("29.97")]);
}

#[test]
fn a_limit_per_subject_holds_a_call_without_one() {
    let rules = rules(&[], vec![limit(None, Per::Subject, None, Some("3"))]);
    let of = |subject| read_of(&rules, &args(text("A"), Json::Null), subject).unwrap();
    assert_eq!(of(Some("A-1")).amounts, [Some(Amount::CALL)]);
    assert_eq!(
        (of(None).amounts, of(None).unread.is_some()),
        (vec![None], true)
    );
}

#[test]
fn a_limit_says_which_bound_is_exceeded() {
    let limit = limit(None, Per::Agent, Some("1000"), Some("5000"));
    let says = |sum: &str| {
        limit
            .says(Amount::parse(sum).unwrap())
            .map(|(verdict, bound)| (verdict, bound.to_string()))
    };
    assert_eq!(says("1000"), None);
    assert_eq!(says("1000.01"), Some((Verdict::Hold, "1000".to_owned())));
    assert_eq!(says("5000"), Some((Verdict::Hold, "1000".to_owned())));
    assert_eq!(
        says("5000.000000000001"),
        Some((Verdict::Deny, "5000".to_owned()))
    );
    assert_eq!(limit.to_string(), "calls per agent within 24h");
}

#[test]
fn windows_are_spelled_as_they_are_written() {
    let spelled = |seconds| Spelled(Duration::from_secs(seconds)).to_string();
    assert_eq!(
        [1, 60, 90, 3_600, 5_400, 86_400, 172_800, 604_800].map(spelled),
        ["1s", "1m", "90s", "1h", "90m", "24h", "2d", "7d"]
    );
}

//! Single rules in shadow: what they say is on record, costs nothing and keeps nothing from going,
//! until their time is up. What acts, acts all the same.

use burngate::gate::approval::DecisionKind;
use burngate::gate::event::Event;
use burngate::gate::policy::Mode;
use burngate::gate::run::Mark;
use burngate::gate::time::{Time, days, hours};
use burngate::gate::verdict::Verdict;
use burngate::ledger::call::outcome::Admit;
use burngate::ledger::call::refusal::Refusal;
use burngate::ledger::people::outcome::WorkflowScope;

use super::checks;
use super::desk::{Desk, Rules, SHADOW, decision, passed, refused};

fn desk() -> Desk {
    Desk::new(Rules {
        tools: vec!["api/tried", "api/pay", "api/ban"],
        ..Rules::default()
    })
}

fn ask(desk: &Desk, tool: &str, digest: u8, order: &'static str) -> Admit {
    desk.admit_about(desk.open_call(None).unwrap(), tool, digest, order)
}

/// The call goes, is answered, and leaves this on record.
fn goes(desk: &Desk, admit: Admit) -> (Verdict, Option<String>) {
    let mut call = passed(admit).0.spend();
    let id = call.id();
    call.answered(200);
    drop(call);
    desk.journal.write();
    let records = desk.records();
    let found = records
        .iter()
        .flat_map(|view| &view.run.calls)
        .find(|record| record.call == id)
        .unwrap();
    (found.verdict, found.rule.as_ref().map(ToString::to_string))
}

fn rule(admit: Admit) -> &'static str {
    match refused(admit) {
        Refusal::Rule(finding) => finding.rule.as_str(),
        Refusal::Done(recalled) => recalled.finding.rule.as_str(),
        other => panic!("refused otherwise: {other:?}"),
    }
}

#[test]
fn what_a_rule_in_shadow_says_is_on_record_and_the_call_goes() {
    let desk = desk();
    for (order, verdict, rule) in [
        ("deny", Verdict::Deny, "deny_when"),
        ("hold", Verdict::Hold, "hold_when"),
        ("escalate", Verdict::Hold, "escalate_when"),
    ] {
        assert_eq!(
            goes(&desk, ask(&desk, "api/tried", 1, order)),
            (verdict, Some(rule.to_owned())),
            "{order}"
        );
    }
    assert_eq!(
        goes(&desk, ask(&desk, "api/tried", 1, "A-1")),
        (Verdict::Allow, None)
    );
    // The same order again, and then more of them in an hour than the limit has room for.
    assert_eq!(
        goes(&desk, ask(&desk, "api/tried", 2, "A-1")),
        (Verdict::Deny, Some("duplicate".to_owned()))
    );
    assert_eq!(
        goes(&desk, ask(&desk, "api/tried", 2, "A-2")),
        (Verdict::Hold, Some("limits".to_owned()))
    );
    // Of all that nothing was put to a person, and nothing cost anything.
    assert!(
        desk.records()
            .iter()
            .all(|view| view.run.mark == Mark::Acceptable && view.run.charges.is_empty())
    );
    assert!(
        !desk
            .entries()
            .iter()
            .any(|entry| matches!(entry.event, Event::Held(_)))
    );
    checks::projection(&desk);
    checks::recount(&desk);
}

#[test]
fn shadow_ends_with_its_time_and_without_a_reload() {
    let desk = desk();
    desk.pass(SHADOW.saturating_sub(hours(25)));
    goes(&desk, ask(&desk, "api/tried", 1, "A-1"));
    desk.pass(hours(25).saturating_sub(std::time::Duration::from_millis(1)));
    assert_eq!(
        goes(&desk, ask(&desk, "api/tried", 1, "deny")),
        (Verdict::Deny, Some("deny_when".to_owned()))
    );
    goes(&desk, ask(&desk, "api/tried", 1, "A-2"));
    desk.pass(std::time::Duration::from_millis(1));
    assert_eq!(rule(ask(&desk, "api/tried", 1, "deny")), "deny_when");
    for (order, rule) in [("hold", "hold_when"), ("escalate", "escalate_when")] {
        let Admit::Held { finding, .. } = ask(&desk, "api/tried", 1, order) else {
            panic!("{order} was not held")
        };
        assert_eq!(finding.rule.as_str(), rule);
    }
    // What was done while the rule was in shadow was done.
    assert_eq!(rule(ask(&desk, "api/tried", 1, "A-2")), "duplicate");
    desk.journal.write();
    // From then on it costs, as any rule.
    assert_eq!(
        desk.records()
            .iter()
            .filter(|view| view.run.mark == Mark::Unacceptable)
            .count(),
        2
    );
    checks::projection(&desk);
    checks::recount(&desk);
}

#[test]
fn of_two_rules_the_one_that_acts_decides() {
    // Its `forbidden` acts, its `deny_when` is in shadow.
    let desk = desk();
    assert_eq!(rule(ask(&desk, "api/ban", 1, "deny")), "forbidden");
    // What a level holds is put to a person under the level's name, and what shadow would have
    // denied is on record once they approved it.
    let Admit::Held {
        approval, finding, ..
    } = ask(&desk, "api/pay", 7, "deny")
    else {
        panic!("it was not held")
    };
    assert_eq!(finding.rule.as_str(), "level");
    desk.journal.write();
    drop(
        desk.ledger
            .decide(
                approval.request.approval,
                &decision("ada", DecisionKind::Approve),
                None,
            )
            .unwrap(),
    );
    desk.journal.write();
    assert_eq!(
        goes(&desk, ask(&desk, "api/pay", 7, "deny")),
        (Verdict::Deny, Some("deny_when".to_owned()))
    );
    // What it would have held, a person saw.
    let Admit::Held { approval, .. } = ask(&desk, "api/pay", 8, "hold") else {
        panic!("it was not held")
    };
    desk.journal.write();
    drop(
        desk.ledger
            .decide(
                approval.request.approval,
                &decision("ada", DecisionKind::Approve),
                None,
            )
            .unwrap(),
    );
    desk.journal.write();
    assert_eq!(
        goes(&desk, ask(&desk, "api/pay", 8, "hold")),
        (Verdict::Allow, None)
    );
    checks::projection(&desk);
}

#[test]
fn a_clamp_is_never_in_shadow() {
    let whole = Mode::Shadow {
        until: Time::from_millis(i64::MAX),
    };
    for mode in [Mode::Enforce, whole] {
        let desk = Desk::new(Rules {
            tools: vec!["api/tried", "api/ban", "api/form"],
            mode,
            ..Rules::default()
        });
        drop(
            desk.ledger
                .clamp(
                    &WorkflowScope::All,
                    &"halted".into(),
                    &"ada".into(),
                    "stop",
                    None,
                )
                .unwrap(),
        );
        // Also where a rule that is asked before it would have denied the call, and is in shadow.
        assert_eq!(rule(ask(&desk, "api/tried", 1, "deny")), "level");
        if mode == whole {
            for tool in ["api/ban", "api/form"] {
                assert_eq!(rule(ask(&desk, tool, 1, "A-1")), "level", "{tool}");
            }
        }
        desk.journal.write();
        assert!(
            desk.records()
                .iter()
                .all(|view| view.run.charges.is_empty())
        );
        drop(
            desk.ledger
                .release(&WorkflowScope::All, &"ada".into(), "over")
                .unwrap(),
        );
        desk.journal.write();
        goes(&desk, ask(&desk, "api/tried", 1, "deny"));
        checks::projection(&desk);
    }
    assert!(SHADOW < days(60));
}

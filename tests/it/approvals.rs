//! What an approval is good for: exactly one call, exactly once, in time, as that call is judged when
//! it goes; and what a denial stands for.

use serde_json::json;

use crate::harness::{Reply, ScriptedUpstream, Shop, eventually, order, policies, test, text};

#[test]
fn an_approved_call_passes_exactly_once_and_only_that_call() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream,
            gate: _gate,
        } = Shop::start("").await;
        let id = agent.held("A-1").await;
        let approved = operator.approve(&id).await.passed().json();
        assert_eq!(
            (
                text(&approved, "state"),
                &approved["decisions"][0]["reviewer"]
            ),
            ("approved", &json!("operator"))
        );
        agent.pay("A-2").await.refused(403, "held");
        upstream.untouched();
        let passed = agent.pay("A-1").await;
        assert_eq!(passed.passed().header("burngate-verdict"), Some("allow"));
        assert_eq!(upstream.only().json(), order("A-1"));
        assert_eq!(
            text(
                &operator.get(&format!("/v1/approvals/{id}")).await.json(),
                "state"
            ),
            "used"
        );
        let again = agent.pay("A-1").await.refused(403, "held");
        assert_ne!(text(&again, "approval"), id);
        assert_eq!(upstream.count(), 1);
    });
}

#[test]
fn of_many_repeats_at_once_one_passes() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream,
            gate: _gate,
        } = Shop::start("").await;
        let id = agent.held("A-1").await;
        operator.approve(&id).await.passed();
        let mut repeats = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let agent = agent.clone();
            repeats.spawn(async move { agent.pay("A-1").await.status.is_success() });
        }
        let passed = repeats
            .join_all()
            .await
            .into_iter()
            .filter(|passed| *passed)
            .count();
        assert_eq!((passed, upstream.count()), (1, 1));
    });
}

#[test]
fn a_denial_as_wrong_stands_for_that_call_whoever_asks_again() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream,
            mut gate,
        } = Shop::start("").await;
        let id = agent.clone().run("one").held("A-1").await;
        operator
            .deny(&id, "wrong", "that order does not exist")
            .await
            .passed();
        for run in ["one", "two"] {
            let problem = agent
                .clone()
                .run(run)
                .pay("A-1")
                .await
                .refused(403, "denied");
            assert_eq!(problem["executed"], false);
        }
        gate.restart();
        gate.agent().pay("A-1").await.refused(403, "denied");
        gate.agent().pay("A-2").await.refused(403, "held");
        upstream.untouched();
    });
}

#[test]
fn a_denial_for_now_lets_the_agent_ask_again() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream,
            gate: _gate,
        } = Shop::start("").await;
        let id = agent.held("A-1").await;
        assert_eq!(
            text(
                &operator
                    .deny(&id, "not_now", "after lunch")
                    .await
                    .passed()
                    .json(),
                "state"
            ),
            "denied"
        );
        let again = agent.pay("A-1").await.refused(403, "held");
        assert_ne!(text(&again, "approval"), id);
        operator.approve(&id).await.refused(409, "conflict");
        upstream.untouched();
    });
}

#[test]
fn an_approval_that_nobody_decides_expires_and_cannot_be_approved_any_more() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream,
            gate: _gate,
        } = Shop::start("hold: { expires: 1s }").await;
        let waiting = agent.clone().with("prefer", "wait=30");
        let problem = waiting.pay("A-1").await.refused(403, "denied");
        assert!(text(&problem, "detail").contains("in time"), "{problem}");
        let expired = operator.approvals("expired").await;
        assert_eq!(expired.len(), 1);
        operator
            .approve(text(&expired[0], "id"))
            .await
            .refused(409, "conflict");
        upstream.untouched();
    });
}

#[test]
fn a_grant_that_is_not_used_in_time_is_worth_nothing() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream,
            gate: _gate,
        } = Shop::start("hold: { grant: 1s }").await;
        let id = agent.held("A-1").await;
        operator.approve(&id).await.passed();
        eventually("an expired grant", || async {
            let state = operator.get(&format!("/v1/approvals/{id}")).await.json();
            (state["state"] == "expired").then_some(())
        })
        .await;
        agent.pay("A-1").await.refused(403, "held");
        upstream.untouched();
    });
}

#[test]
fn a_clamp_after_the_approval_refuses_the_call() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream,
            gate: _gate,
        } = Shop::start("").await;
        let id = agent.held("A-1").await;
        operator.approve(&id).await.passed();
        assert_eq!(
            operator.clamp("desk", "read_only").await.passed().json()["unused_grants"],
            1
        );
        agent.pay("A-1").await.refused(403, "level");
        upstream.untouched();
        operator.release("desk").await.passed();
        agent.pay("A-1").await.passed();
        assert_eq!(upstream.count(), 1);
    });
}

#[test]
fn an_approved_call_is_judged_by_the_policies_of_its_use() {
    test(async {
        let Shop {
            gate,
            agent,
            operator,
            upstream,
        } = Shop::start("").await;
        let id = agent.held("A-1").await;
        operator.approve(&id).await.passed();
        gate.reload(
            "desk.yaml",
            policies::desk(
                "levels: [{ level: standard, high: deny }, { level: supervised, high: deny }]",
            ),
        )
        .await;
        agent.pay("A-1").await.refused(403, "level");
        gate.reload("desk.yaml", policies::desk("").replace(", shop/pay", ""))
            .await;
        agent.pay("A-1").await.refused(403, "unlisted");
        upstream.untouched();
    });
}

#[test]
fn an_approval_for_one_upstream_is_none_for_another() {
    test(async {
        let Shop {
            gate,
            agent,
            operator,
            upstream,
        } = Shop::start("").await;
        let first = agent.pay("A-1").await.refused(403, "held");
        operator.approve(text(&first, "approval")).await.passed();
        let other = ScriptedUpstream::start().await;
        gate.reload("shop.yaml", policies::shop(&other.url())).await;
        let second = agent.pay("A-1").await.refused(403, "held");
        assert_ne!(text(&second, "digest"), text(&first, "digest"));
        upstream.untouched();
        other.untouched();
    });
}

#[test]
fn an_approval_for_one_definition_of_a_tool_is_none_for_another() {
    test(async {
        let Shop {
            gate,
            agent,
            operator,
            upstream,
        } = Shop::start("").await;
        let first = agent.pay("A-1").await.refused(403, "held");
        operator.approve(text(&first, "approval")).await.passed();
        let changed = policies::shop(&upstream.url()).replace(
            "tool: pay, match: POST /pay,",
            "tool: pay, match: POST /pay, arguments: { type: object },",
        );
        gate.reload("shop.yaml", changed).await;
        let second = agent.pay("A-1").await.refused(403, "held");
        assert_ne!(text(&second, "digest"), text(&first, "digest"));
        upstream.untouched();
    });
}

#[test]
fn a_call_whose_answer_was_lost_has_used_its_grant() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream,
            gate: _gate,
        } = Shop::start("").await;
        let id = agent.held("A-1").await;
        operator.approve(&id).await.passed();
        upstream.next(Reply::reset());
        agent.pay("A-1").await.refused(502, "ambiguous");
        agent.pay("A-1").await.refused(403, "held");
        assert_eq!(upstream.count(), 1);
    });
}

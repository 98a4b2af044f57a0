//! Who decides on a held call, and who may not: people are told apart, by name and not by token.

use serde_json::json;

use crate::harness::{Shop, policies, test, text};

#[test]
fn of_many_decisions_at_once_one_stands() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream: _upstream,
            gate: _gate,
        } = Shop::configured(
            "",
            &policies::people(&[], &[("dana", "reviewer"), ("eli", "reviewer")]),
        )
        .await;
        let id = agent.held("A-1").await;
        let mut decisions = tokio::task::JoinSet::new();
        for index in 0..12 {
            let (operator, id) = (operator.clone(), id.clone());
            decisions.spawn(async move {
                let answer = if index % 2 == 0 {
                    operator.approve(&id).await
                } else {
                    operator.deny(&id, "not_now", "no").await
                };
                answer.status.as_u16()
            });
        }
        let statuses = decisions.join_all().await;
        assert_eq!(
            statuses.iter().filter(|status| **status == 200).count(),
            1,
            "{statuses:?}"
        );
        assert!(
            statuses.iter().all(|status| [200, 409].contains(status)),
            "{statuses:?}"
        );
    });
}

#[test]
fn two_approvals_are_two_people() {
    test(async {
        let config = policies::people(&[], &[("dana", "reviewer"), ("eli", "reviewer")]);
        let Shop {
            gate,
            agent,
            upstream,
            operator: _operator,
        } = Shop::configured("hold: { approvals: 2 }", &config).await;
        let (dana, eli) = (gate.reviewer("dana-token"), gate.reviewer("eli-token"));
        let problem = agent.pay("A-1").await.refused(403, "held");
        let id = text(&problem, "approval");
        assert_eq!(
            text(&dana.approve(id).await.passed().json(), "state"),
            "pending"
        );
        dana.approve(id).await.refused(409, "conflict");
        let again = agent.pay("A-1").await.refused(403, "held");
        assert_eq!(text(&again, "approval"), id);
        let approved = eli.approve(id).await.passed().json();
        assert_eq!(
            (
                text(&approved, "state"),
                approved["decisions"].as_array().unwrap().len()
            ),
            ("approved", 2)
        );
        agent.pay("A-1").await.passed();
        assert_eq!(upstream.count(), 1);
    });
}

#[test]
fn whoever_is_removed_meanwhile_has_approved_nothing() {
    test(async {
        let people = |names: &[(&str, &str)]| policies::people(&[], names);
        let config = people(&[
            ("dana", "reviewer"),
            ("eli", "reviewer"),
            ("noor", "reviewer"),
        ]);
        let Shop {
            mut gate,
            agent,
            upstream,
            operator: _operator,
        } = Shop::configured("hold: { approvals: 2 }", &config).await;
        let first = agent.pay("A-1").await.refused(403, "held");
        let second = agent.pay("A-2").await.refused(403, "held");
        let (one, both) = (text(&first, "approval"), text(&second, "approval"));
        gate.reviewer("dana-token").approve(one).await.passed();
        gate.reviewer("dana-token").approve(both).await.passed();
        assert_eq!(
            text(
                &gate
                    .reviewer("eli-token")
                    .approve(both)
                    .await
                    .passed()
                    .json(),
                "state"
            ),
            "approved"
        );
        // One is gone, and one may only look from here on.
        gate.restart_with(&people(&[("eli", "viewer"), ("noor", "reviewer")]));
        gate.reviewer("dana-token")
            .approve(one)
            .await
            .refused(401, "unauthorized");
        gate.reviewer("eli-token")
            .approve(one)
            .await
            .refused(403, "forbidden");
        let seen = gate
            .operator()
            .get(&format!("/v1/approvals/{both}"))
            .await
            .json();
        assert_eq!(
            (
                text(&seen, "state"),
                &seen["decisions"][0]["void"],
                &seen["decisions"][1]["void"]
            ),
            ("pending", &json!(true), &json!(true))
        );
        gate.agent().pay("A-2").await.refused(403, "held");
        assert_eq!(
            text(
                &gate
                    .reviewer("noor-token")
                    .approve(one)
                    .await
                    .passed()
                    .json(),
                "state"
            ),
            "pending"
        );
        assert_eq!(
            text(&gate.operator().approve(one).await.passed().json(), "state"),
            "approved"
        );
        upstream.untouched();
        gate.agent().pay("A-1").await.passed();
        // Who comes back does not bring an approval back.
        gate.restart_with(&config);
        gate.agent().pay("A-2").await.refused(403, "held");
        assert_eq!(upstream.count(), 1);
    });
}

#[test]
fn one_person_with_two_tokens_is_one_person() {
    test(async {
        let token = |token: &str| crate::harness::sha256(token);
        let config = format!(
            "reviewers:\n  - {{ name: dana, role: reviewer, tokens_sha256: [{}, {}] }}\n  - {{ name: eli, role: reviewer, token_sha256: {} }}\n",
            token("danas-laptop"),
            token("danas-phone"),
            token("eli-token")
        );
        let Shop {
            gate,
            agent,
            upstream,
            operator: _operator,
        } = Shop::configured("hold: { approvals: 2 }", &config).await;
        let problem = agent.pay("A-1").await.refused(403, "held");
        let id = text(&problem, "approval");
        assert_eq!(
            text(
                &gate
                    .reviewer("danas-laptop")
                    .approve(id)
                    .await
                    .passed()
                    .json(),
                "state"
            ),
            "pending"
        );
        gate.reviewer("danas-phone")
            .approve(id)
            .await
            .refused(409, "conflict");
        agent.pay("A-1").await.refused(403, "held");
        gate.reviewer("eli-token").approve(id).await.passed();
        agent.pay("A-1").await.passed();
        assert_eq!(upstream.count(), 1);
    });
}

#[test]
fn who_asks_cannot_approve() {
    test(async {
        let config = policies::people(&[("dana", &["desk"])], &[("eli", "reviewer")]).replace(
            "reviewers:\n",
            &format!(
                "reviewers:\n  - {{ name: dana, role: operator, token_sha256: {} }}\n",
                crate::harness::sha256("danas-other-token")
            ),
        );
        let Shop {
            gate,
            agent,
            upstream,
            operator: _operator,
        } = Shop::configured("", &config).await;
        let agent = agent.token("dana-token");
        let problem = agent.pay("A-1").await.refused(403, "held");
        let id = text(&problem, "approval");
        gate.reviewer("danas-other-token")
            .approve(id)
            .await
            .refused(403, "forbidden");
        gate.reviewer("dana-token")
            .approve(id)
            .await
            .refused(401, "unauthorized");
        agent.pay("A-1").await.refused(403, "held");
        upstream.untouched();
        gate.reviewer("eli-token").approve(id).await.passed();
        agent.pay("A-1").await.passed();
    });
}

#[test]
fn an_agent_sees_its_own_approvals_and_no_others_and_uses_no_others() {
    test(async {
        let config = policies::people(&[("one", &["desk"]), ("two", &["desk"])], &[]);
        let Shop {
            gate,
            operator,
            upstream,
            agent: _agent,
        } = Shop::configured("", &config).await;
        let (one, two) = (
            gate.agent().token("one-token"),
            gate.agent().token("two-token"),
        );
        let problem = one.pay("A-1").await.refused(403, "held");
        let path = text(&problem, "status_url");
        assert_eq!(
            text(&one.get(path).await.passed().json(), "state"),
            "pending"
        );
        two.get(path).await.refused(404, "not-found");
        operator.approve(text(&problem, "approval")).await.passed();
        let other = two
            .with("burngate-approval", text(&problem, "approval"))
            .pay("A-1")
            .await
            .refused(403, "held");
        assert_ne!(
            (text(&other, "approval"), text(&other, "digest")),
            (text(&problem, "approval"), text(&problem, "digest"))
        );
        upstream.untouched();
        one.pay("A-1").await.passed();
    });
}

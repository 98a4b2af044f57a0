//! Who asks: tokens say it, headers only choose among what an identity may use.

use rstest::rstest;
use serde_json::json;

use crate::harness::{Agent, ScriptedUpstream, TestGate, policies, test};

async fn two_workflows(config: &str) -> (ScriptedUpstream, TestGate) {
    let upstream = ScriptedUpstream::start().await;
    let other = "workflow: other\nrisk: low\ntools: [shop/look]\n";
    let builder = TestGate::builder()
        .policy("shop.yaml", policies::shop(&upstream.url()))
        .policy("desk.yaml", policies::desk(""));
    let gate = builder.policy("other.yaml", other).config(config).start();
    (upstream, gate)
}

fn people() -> String {
    policies::people(
        &[
            ("bot", &["desk"]),
            ("both", &["desk", "other"]),
            ("lost", &["gone"]),
        ],
        &[("dana", "operator")],
    )
}

#[rstest]
#[case::nothing(|agent: Agent| agent, 401, "unidentified")]
#[case::wrong(|agent: Agent| agent.token("bot-tokem"), 401, "unidentified")]
#[case::empty(|agent: Agent| agent.with("burngate-authorization", "Bearer "), 401, "unidentified")]
#[case::another_scheme(|agent: Agent| agent.with("burngate-authorization", "Basic bot-token"), 401, "unidentified")]
#[case::upstreams_header(|agent: Agent| agent.with("authorization", "Bearer bot-token"), 401, "unidentified")]
#[case::a_persons_token(|agent: Agent| agent.token("dana-token"), 401, "unidentified")]
#[case::twice(|agent: Agent| agent.token("bot-token").token("both-token"), 400, "malformed")]
#[case::not_its_own(|agent: Agent| agent.token("bot-token").workflow("other"), 403, "forbidden")]
#[case::unknown(|agent: Agent| agent.token("bot-token").workflow("nobody"), 403, "forbidden")]
#[case::another_case(|agent: Agent| agent.token("bot-token").workflow("Desk"), 403, "forbidden")]
#[case::of_several_none(|agent: Agent| agent.token("both-token"), 400, "malformed")]
#[case::its_workflow_is_gone(|agent: Agent| agent.token("lost-token"), 403, "forbidden")]
#[case::a_run_that_is_none(|agent: Agent| agent.token("bot-token").run("a b"), 400, "malformed")]
fn who_is_not_known_or_claims_too_much_is_refused(
    #[case] with: fn(Agent) -> Agent,
    #[case] status: u16,
    #[case] slug: &str,
) {
    test(async {
        let (upstream, gate) = two_workflows(&people()).await;
        let answer = with(gate.agent()).get("/shop/look/1").await;
        let problem = answer.refused(status, slug);
        assert_eq!(problem["executed"], false);
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401);
        assert!(!problem.to_string().contains("-token"), "{problem}");
        upstream.untouched();
        let operator = gate.reviewer("dana-token");
        for workflow in ["desk", "other"] {
            assert_eq!(operator.status(workflow).await["budget"]["idle_runs"], 0);
        }
    });
}

#[test]
fn who_is_known_calls_and_chooses_among_its_own_workflows() {
    test(async {
        let (upstream, gate) = two_workflows(&people()).await;
        gate.agent()
            .token("bot-token")
            .get("/shop/look/1")
            .await
            .passed();
        gate.agent()
            .token("bot-token")
            .workflow("desk")
            .get("/shop/look/1")
            .await
            .passed();
        for workflow in ["desk", "other"] {
            let told = gate
                .agent()
                .token("both-token")
                .workflow(workflow)
                .get("/.burngate/budget")
                .await
                .passed()
                .json();
            assert_eq!(told["workflow"], workflow);
        }
        gate.agent()
            .token("both-token")
            .workflow("other")
            .post("/shop/change", &json!({ "order": "1" }))
            .await
            .refused(403, "held");
        assert_eq!(upstream.count(), 2);
        assert!(!String::from_utf8_lossy(&upstream.wire()).contains("bot-token"));
        assert!(!gate.log().contains("bot-token"));
    });
}

#[test]
fn without_agents_any_local_caller_calls_and_names_its_workflow_where_there_are_several() {
    test(async {
        let (_upstream, gate) = two_workflows("").await;
        gate.agent()
            .get("/shop/look/1")
            .await
            .refused(400, "malformed");
        gate.agent()
            .workflow("other")
            .get("/shop/look/1")
            .await
            .passed();
        gate.agent()
            .workflow("nobody")
            .get("/shop/look/1")
            .await
            .refused(403, "forbidden");
    });
}

#[test]
fn an_agents_token_opens_nothing_for_operators() {
    test(async {
        let (_upstream, gate) = two_workflows(&people()).await;
        for path in ["/v1/workflows", "/metrics", "/v1/approvals"] {
            gate.reviewer("bot-token")
                .get(path)
                .await
                .refused(401, "unauthorized");
        }
        // Nor does the port that agents call lead there.
        for path in ["/v1/workflows", "/metrics", "/healthz"] {
            gate.agent()
                .token("bot-token")
                .with(
                    "authorization",
                    &format!("Bearer {}", gate.operator_token()),
                )
                .get(path)
                .await
                .refused(403, "unlisted");
        }
    });
}

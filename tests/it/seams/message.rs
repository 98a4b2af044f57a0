//! The outgoing message: rules, the digest and the upstream see one and the same.

use crate::harness::{ScriptedUpstream, TestGate, test};
use crate::hostile::{get, talk};

const AGENT: &str = "Host: 127.0.0.1\r\nConnection: close\r\n";

/// A gate with one workflow `triage` and the api `pay` with these tools, and further keys of the
/// api.
async fn world(tools: &str, more: &str) -> (ScriptedUpstream, TestGate) {
    let upstream = ScriptedUpstream::start().await;
    let url = upstream.url();
    let gate = TestGate::builder()
        .policy(
            "pay.yaml",
            format!("api: pay\nupstream: {url}\nroute: /pay\n{more}tools:\n{tools}"),
        )
        .policy(
            "triage.yaml",
            "workflow: triage\nrisk: medium\ntools: [pay/look]\nobjective: { target: 97%, expected_runs: 1000 }\n",
        )
        .start();
    (upstream, gate)
}

const LOOK: &str = "  - { tool: look, match: 'GET /look/{id...}', risk: read }\n";

/// Sends a GET with these headers, and asserts that it is refused as malformed, that nothing arrives
/// and that the answer names `named`.
async fn is_refused(
    world: &(ScriptedUpstream, TestGate),
    target: &str,
    headers: &str,
    named: &str,
) {
    let said = talk(world.1.listen(), &get(target, &format!("{AGENT}{headers}"))).await;
    assert_eq!(said.statuses(), [400], "{target} {headers}: {}", said.text);
    assert!(
        said.text.contains("urn:burngate:problem:malformed"),
        "{}",
        said.text
    );
    assert!(said.text.contains(named), "{named}: {}", said.text);
    assert_eq!(world.0.bytes(), 0, "{target} {headers}");
}

/// Sends a GET, and gives what arrived.
async fn passes(world: &(ScriptedUpstream, TestGate), target: &str, headers: &str) -> String {
    let said = talk(world.1.listen(), &get(target, &format!("{AGENT}{headers}"))).await;
    assert_eq!(said.statuses(), [200], "{target} {headers}: {}", said.text);
    String::from_utf8_lossy(&world.0.wire()).into_owned()
}

#[test]
fn s1_a_header_that_a_rule_reads_is_not_taken_away_behind_it() {
    test(async {
        let rule = "  - { tool: look, match: 'GET /look/{id...}', risk: read, deny_when: '!(\"x-dry-run\" in header) || header[\"x-dry-run\"] != \"true\"' }\n";
        let world = world(rule, "").await;
        let taken = "X-Dry-Run: true\r\nConnection: X-Dry-Run\r\n";
        is_refused(&world, "/pay/look/1", taken, "connection").await;
        let wire = passes(&world, "/pay/look/1", "X-Dry-Run: true\r\n").await;
        assert!(wire.contains("x-dry-run: true\r\n"), "{wire}");
    });
}

#[test]
fn s5_a_header_name_with_an_underscore_is_refused_unless_the_api_takes_it() {
    test(async {
        let strict = world(LOOK, "").await;
        for headers in [
            "X_HTTP_METHOD_OVERRIDE: DELETE\r\n",
            "X_Original_URL: /admin\r\n",
            "X-Dry-Run: true\r\nX_Dry_Run: false\r\n",
        ] {
            is_refused(&strict, "/pay/look/1", headers, "underscore").await;
        }
        let lax = world(LOOK, "underscores: pass\n").await;
        let wire = passes(&lax, "/pay/look/1", "X_Dry_Run: false\r\n").await;
        assert!(wire.contains("x_dry_run: false\r\n"), "{wire}");
    });
}

#[test]
fn s6_a_request_for_another_method_path_or_host_is_refused_and_named() {
    test(async {
        let strict = world(LOOK, "").await;
        for name in [
            "x-http-method",
            "x-http-method-override",
            "x-original-uri",
            "x-original-url",
            "x-original-method",
            "x-host",
            "x-original-host",
            "x-http-path-override",
        ] {
            is_refused(&strict, "/pay/look/1", &format!("{name}: MERGE\r\n"), name).await;
        }
        is_refused(&strict, "/pay/look/1?_method=DELETE", "", "_method").await;
        let lax = world(LOOK, "overrides: [x-http-method, _method]\n").await;
        let wire = passes(
            &lax,
            "/pay/look/1?_method=DELETE",
            "X-HTTP-Method: MERGE\r\n",
        )
        .await;
        assert!(wire.starts_with("GET /look/1?_method=DELETE "), "{wire}");
        assert!(wire.contains("x-http-method: MERGE\r\n"), "{wire}");
    });
}

#[test]
fn s7_a_host_that_the_client_made_up_is_not_passed_on() {
    test(async {
        let world = world(LOOK, "").await;
        let evil = get("/pay/look/1", "Host: evil.example\r\nConnection: close\r\n");
        talk(world.1.listen(), &evil).await;
        let wire = String::from_utf8_lossy(&world.0.wire()).into_owned();
        assert!(!wire.contains("evil.example"), "{wire}");
        let wire = passes(&world, "/pay/look/1", "").await;
        for line in [
            "x-forwarded-host: 127.0.0.1\r\n",
            "x-forwarded-prefix: /pay\r\n",
        ] {
            assert!(wire.contains(line), "{line}: {wire}");
        }
    });
}

#[test]
fn s9_a_query_key_with_a_twin_that_servers_fold_is_refused() {
    test(async {
        let rule = "  - { tool: look, match: 'GET /look/{id...}', risk: read, deny_when: query.account_id == \"other\" }\n";
        let world = world(rule, "").await;
        for twin in [
            "account.id",
            "account%20id",
            "account%5Bid",
            "account[id",
            "Account_Id",
        ] {
            let target = format!("/pay/look/1?account_id=mine&{twin}=other");
            is_refused(&world, &target, "", "").await;
        }
        passes(&world, "/pay/look/1?account_id=mine&other.id=1", "").await;
    });
}

#[test]
fn s12_a_target_that_the_http_library_would_refuse_is_refused_here_with_a_log_line() {
    test(async {
        let world = world(LOOK, "").await;
        let before = world.1.log().matches("slug=malformed").count();
        for (count, raw) in ["\"", "<", ">"].into_iter().enumerate() {
            is_refused(&world, &format!("/pay/look/1?a={raw}"), "", "target").await;
            let lines = world.1.log().matches("malformed").count() - before;
            assert!(lines > count, "{}", world.1.log());
        }
    });
}

#[test]
fn s13_line_breaks_and_tabs_are_text_in_a_query_and_refused_in_a_path() {
    test(async {
        let world = world(LOOK, "").await;
        for text in ["%0A", "%0D", "%09"] {
            is_refused(&world, &format!("/pay/look/a{text}b"), "", "control").await;
        }
        for text in ["%0A", "%0D", "%09"] {
            let wire = passes(&world, &format!("/pay/look/1?note=a{text}b"), "").await;
            assert!(
                wire.contains(&format!("GET /look/1?note=a{text}b ")),
                "{wire}"
            );
        }
    });
}

#[test]
fn s14_what_browsers_leave_raw_is_judged_and_sent_encoded_once() {
    test(async {
        let world = world(LOOK, "").await;
        for (asked, sent) in [
            ("/users/auth0|123", "/users/auth0%7C123"),
            ("/x[0]", "/x%5B0%5D"),
            ("/a^b", "/a%5Eb"),
            ("/a?b=[1|2^3]", "/a?b=%5B1%7C2%5E3%5D"),
        ] {
            let wire = passes(&world, &format!("/pay/look{asked}"), "").await;
            assert!(wire.contains(&format!("GET /look{sent} ")), "{wire}");
        }
    });
}

#[test]
fn a39_merged_slashes_pass_for_a_read_and_are_refused_for_more() {
    test(async {
        let tools = "  - { tool: look, match: 'GET /look/{id}', risk: read }\n  - { tool: drop, match: 'DELETE /look/{id}', risk: low }\n";
        let world = world(tools, "").await;
        let delete = format!("DELETE /pay//look/1 HTTP/1.1\r\n{AGENT}\r\n");
        let said = talk(world.1.listen(), delete.as_bytes()).await;
        assert_eq!(said.statuses(), [400], "{}", said.text);
        assert!(said.text.contains("empty segment"), "{}", said.text);
        assert_eq!(world.0.bytes(), 0);
        let wire = passes(&world, "/pay//look/1", "").await;
        assert!(wire.starts_with("GET /look/1 "), "{wire}");
    });
}

//! Nobody approves what nobody can see: a held call's body is shown whole or described, or the call
//! is refused.

use http::Request;
use serde_json::Value;

use crate::harness::agent::{Body, full};
use crate::harness::{Answer, Operator, ScriptedUpstream, TestGate, test};

struct World {
    upstream: ScriptedUpstream,
    gate: TestGate,
    operator: Operator,
}

async fn world(tool: &str, tier: &str) -> World {
    let upstream = ScriptedUpstream::start().await;
    let gate = TestGate::builder()
        .policy(
            "pay.yaml",
            format!(
                "api: pay\nupstream: {}\nroute: /pay\ntools:\n  - {{ tool: mail, match: POST /mail, risk: low, idempotent: false, always: hold{tool} }}\n  - {{ tool: drop, match: 'DELETE /items/{{item}}', risk: low, subject: path.item, always: hold }}\n",
                upstream.url()
            ),
        )
        .policy(
            "triage.yaml",
            format!("workflow: triage\nrisk: {tier}\ntools: [pay/mail, pay/drop]\nobjective: {{ target: 97%, expected_runs: 1000 }}\n"),
        )
        .start();
    World {
        operator: gate.operator(),
        upstream,
        gate,
    }
}

impl World {
    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let request = headers.iter().fold(
            self.gate.agent().request("POST", path),
            |request, (name, value)| request.header(*name, *value),
        );
        let request: Request<Body> = request.body(full(body.to_owned())).unwrap();
        self.gate.agent().send(request).await
    }

    /// The call is refused, and says how its body could be shown.
    async fn is_refused(&self, path: &str, headers: &[(&str, &str)], body: &str) {
        let problem = self
            .post(path, headers, body)
            .await
            .refused(415, "unsupported");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.starts_with("NOT EXECUTED") && detail.contains("`body: "),
            "{detail}"
        );
        assert_eq!(
            self.operator.approvals("pending").await,
            Vec::<Value>::new()
        );
        assert_eq!(self.upstream.count(), 0);
    }

    /// The call is held, and its approval as a reviewer sees it.
    async fn is_held(&self, headers: &[(&str, &str)], body: &str) -> Value {
        self.post("/pay/mail", headers, body)
            .await
            .refused(403, "held");
        self.operator.pending().await
    }
}

const TEXT: (&str, &str) = ("content-type", "text/plain");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("content-type", "application/json");

#[test]
fn s20_s21_s22_a_held_call_whose_body_cannot_be_shown_is_refused() {
    test(async {
        let world = world("", "medium").await;
        let json = r#"{"to":"x","amount":99999}"#;
        world.is_refused("/pay/mail", &[TEXT], json).await;
        world.is_refused("/pay/mail", &[], json).await;
        world.is_refused("/pay/mail", &[FORM], "to=x").await;
        for media_type in [
            "multipart/form-data; boundary=b",
            "application/xml",
            "application/x-ndjson",
        ] {
            world
                .is_refused("/pay/mail", &[("content-type", media_type)], json)
                .await;
        }
        world
            .is_refused("/pay/mail", &[JSON, ("content-encoding", "gzip")], json)
            .await;
    });
}

#[test]
fn s20_with_body_text_the_reviewer_sees_the_text() {
    test(async {
        let world = world(", body: text", "medium").await;
        let held = world.is_held(&[TEXT], "Dear x,\nbye").await;
        assert_eq!(held["args"], "Dear x,\nbye");
        let id = held["id"].as_str().unwrap();
        world.operator.approve(id).await.passed();
        world
            .post("/pay/mail", &[TEXT], "Dear x,\nbye!")
            .await
            .refused(403, "held");
        world
            .post("/pay/mail", &[TEXT], "Dear x,\nbye")
            .await
            .passed();
        assert_eq!(world.upstream.count(), 1);
    });
}

#[test]
fn s21_with_body_form_the_reviewer_sees_the_fields_and_rules_read_them() {
    test(async {
        let world = world(", body: form, deny_when: args.to == \"evil\"", "medium").await;
        let held = world.is_held(&[FORM], "to=x+y&cc=a&cc=b").await;
        assert_eq!(
            held["args"],
            serde_json::json!({ "to": "x y", "cc": ["a", "b"] })
        );
        world
            .post("/pay/mail", &[FORM], "to=evil")
            .await
            .refused(403, "denied");
        // A field that a rule reads is given once, and has no twin.
        for twice in ["to=x&to=evil", "to=x&To=evil"] {
            world
                .post("/pay/mail", &[FORM], twice)
                .await
                .refused(400, "malformed");
        }
        assert_eq!(world.upstream.count(), 0);
    });
}

#[test]
fn s21_with_body_bytes_the_reviewer_sees_type_size_digest_and_beginning() {
    test(async {
        let world = world(", body: bytes", "medium").await;
        let held = world
            .is_held(&[("content-type", "application/pdf")], "%PDF\u{1b}")
            .await;
        assert_eq!(held["args"], Value::Null);
        assert_eq!(held["body"]["type"], "application/pdf");
        assert_eq!(held["body"]["size"], 5);
        assert_eq!(held["body"]["beginning"], "%PDF\\u{1b}");
        assert_eq!(held["body"]["sha256"], crate::harness::sha256("%PDF\u{1b}"));
        let shown = world
            .gate
            .cli(&["approvals", "show", held["id"].as_str().unwrap()]);
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(
            shown.contains("application/pdf") && !shown.contains("none"),
            "{shown}"
        );
    });
}

#[test]
fn s23_a_multipart_upload_is_bound_by_its_parts_not_by_its_boundary() {
    test(async {
        let world = world(", body: multipart", "medium").await;
        let upload = |boundary: &str, text: &str| {
            let media_type = format!("multipart/form-data; boundary={boundary}");
            let body = format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\r\n{text}\r\n--{boundary}--\r\n"
            );
            (media_type, body)
        };
        let (media_type, body) = upload("one", "hello");
        let held = world.is_held(&[("content-type", &media_type)], &body).await;
        assert_eq!(held["body"][0]["file"], "a.txt");
        assert_eq!(held["body"][0]["beginning"], "hello");
        world
            .operator
            .approve(held["id"].as_str().unwrap())
            .await
            .passed();
        let (media_type, other) = upload("two", "hello!");
        let headers = [("content-type", media_type.as_str())];
        world
            .post("/pay/mail", &headers, &other)
            .await
            .refused(403, "held");
        let (_, same) = upload("two", "hello");
        world.post("/pay/mail", &headers, &same).await.passed();
        world
            .post("/pay/mail", &headers, &same)
            .await
            .refused(403, "held");
        assert_eq!(world.upstream.count(), 1);
    });
}

#[test]
fn s24_two_deletes_are_told_apart_by_their_targets() {
    test(async {
        let world = world("", "medium").await;
        for item in ["21", "22"] {
            let path = format!("/pay/items/{item}");
            world
                .gate
                .agent()
                .call("DELETE", &path, None)
                .await
                .refused(403, "held");
        }
        for list in [
            &["approvals", "list"][..],
            &["approvals", "list", "--digests"],
        ] {
            let shown = world.gate.cli(list);
            let shown = String::from_utf8(shown.stdout).unwrap();
            for item in ["21", "22"] {
                assert!(shown.contains(&format!("DELETE /items/{item}")), "{shown}");
            }
        }
    });
}

#[test]
fn s25_an_unlisted_call_that_is_held_is_shown_or_refused_as_any_other() {
    test(async {
        let world = world("", "low").await;
        world.is_refused("/pay/other", &[TEXT], "hello").await;
        world
            .post("/pay/other", &[JSON], "{}")
            .await
            .refused(403, "held");
    });
}

#[test]
fn s26_none_is_printed_only_where_there_is_no_body() {
    test(async {
        let world = world("", "medium").await;
        let show = |id: &Value| {
            let shown = world.gate.cli(&["approvals", "show", id.as_str().unwrap()]);
            String::from_utf8(shown.stdout).unwrap()
        };
        let bare = world.post("/pay/mail", &[], "").await.refused(403, "held");
        assert!(show(&bare["approval"]).contains("body: none"));
        let full = world
            .post("/pay/mail", &[JSON], "null")
            .await
            .refused(403, "held");
        assert!(!show(&full["approval"]).contains("body: none"));
    });
}

#[test]
fn s8_a_member_that_a_rule_reads_has_no_twin_in_another_case() {
    test(async {
        let world = world(
            ", deny_when: has(args.pay) && args.pay.amount > 50.0",
            "medium",
        )
        .await;
        for body in [
            r#"{"pay":{"amount":1,"Amount":9999}}"#,
            r#"{"pay":{"amount":1},"Pay":{"amount":9999}}"#,
        ] {
            let problem = world
                .post("/pay/mail", &[JSON], body)
                .await
                .refused(400, "malformed");
            assert!(
                problem["detail"]
                    .as_str()
                    .unwrap()
                    .contains("two spellings"),
                "{problem}"
            );
        }
        world
            .post(
                "/pay/mail",
                &[JSON],
                r#"{"pay":{"amount":1},"note":1,"Note":2}"#,
            )
            .await
            .refused(403, "held");
        assert_eq!(world.upstream.count(), 0);
    });
}

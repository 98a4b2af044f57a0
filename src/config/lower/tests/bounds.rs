//! Every bound of a policy, at its end and one past it.

use super::*;

#[test]
fn every_maximum_holds_at_its_bound_and_not_one_past_it() {
    let api = |count| {
        format!(
            "api: a\nupstream: http://x\ntools: [{}]\n",
            list(count, |n| format!(
                "{{ tool: t{n}, match: GET /t{n}, risk: read }}"
            ))
        )
    };
    let reach = |count| {
        format!(
            "workflow: w\nrisk: low\ntools: [{}]\n",
            list(count, |n| format!("a/t{n}"))
        )
    };
    assert!(!refuses(
        &[&api(api::MAX_TOOLS), &reach(api::MAX_TOOLS)],
        "more than"
    ));
    assert!(refuses(
        &[&api(api::MAX_TOOLS + 1), &reach(1)],
        "more than 1000 tools"
    ));
    let second = api(1).replace("api: a", "api: b");
    let too_far = reach(workflow::MAX_REACH).replace("a/t0,", "a/t0, b/t0,");
    assert!(refuses(
        &[&api(api::MAX_TOOLS), &second, &too_far],
        "reaches more than 1000 tools"
    ));

    let modes = |count| {
        format!(
            "{TRIAGE}objective: {{ unacceptable: [{}] }}\n",
            list(count, |n| format!("own_mode_number_{n}"))
        )
    };
    assert!(!refuses(
        &[PAYMENTS, &modes(objective::MAX_MODES)],
        "lists at most"
    ));
    assert!(refuses(
        &[PAYMENTS, &modes(objective::MAX_MODES + 1)],
        "lists at most"
    ));

    let named = |length: usize| format!("{TRIAGE}was: {}\n", "w".repeat(length));
    assert!(!refuses(
        &[PAYMENTS, &named(written::MAX_NAME)],
        "cannot be called"
    ));
    assert!(refuses(
        &[PAYMENTS, &named(written::MAX_NAME + 1)],
        "cannot be called"
    ));

    let steps = |count| {
        let steps = list(count, |n| {
            format!("{{ step: s{n}, after: 30d, volume: x2, how: propose }}")
        });
        workflow(&format!("earn: [{steps}]"))
    };
    let too_many = "`earn`: expected at most";
    assert!(!steps(earn::MAX_STEPS).contains(too_many));
    assert!(steps(earn::MAX_STEPS + 1).contains(too_many));

    let parameters = |count| {
        let parameters = list(count, |n| {
            format!("{{ name: p{n}, in: query, schema: {{ type: string }} }}")
        });
        tool(&format!("parameters: [{parameters}]"))
    };
    assert_eq!(parameters(described::MAX_PARAMETERS), "");
    assert!(parameters(described::MAX_PARAMETERS + 1).contains("describes at most"));

    let levels = |count| {
        format!(
            "{TRIAGE}levels: [{}]\n",
            list(count, |n| format!("{{ level: l{n}, above: supervised }}"))
        )
    };
    let most = crate::gate::level::Ladder::MAX - 5;
    assert!(!refuses(
        &[PAYMENTS, &levels(most)],
        "a workflow has at most"
    ));
    assert!(refuses(
        &[PAYMENTS, &levels(most + 1)],
        "a workflow has at most"
    ));
}

#[test]
fn as_many_documents_are_read_as_the_bound_and_one_more_is_an_error() {
    // A file holds a thousand at most.
    let errors = |count: usize| {
        let numbers: Vec<_> = (0..count).collect();
        let text = |numbers: &[usize]| {
            let one = |text: String, n: &usize| text + &format!("---\napi: a{n}\n");
            numbers.iter().fold(String::new(), one)
        };
        let texts: Vec<_> = numbers.chunks(1_000).map(text).collect();
        let files = files(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let mut notes: Vec<_> = files.iter().map(Notes::on).collect();
        let (documents, _) = read(&files, &mut notes);
        assert_eq!(documents.len(), count);
        notes.into_iter().flat_map(Notes::into_found).count()
    };
    assert_eq!(errors(MAX_DOCUMENTS), 0);
    assert_eq!(errors(MAX_DOCUMENTS + 1), 1);
}

#[test]
fn every_bound_of_a_value_holds_at_its_end_and_not_past_it() {
    let listen = |count| {
        configuration::process_of(&format!(
            "listen: [{}]\n",
            list(count, |n| format!("127.0.0.1:{}", 9000 + n))
        ))
    };
    assert!(listen(listen::MAX_LISTEN).is_ok());
    assert!(listen(listen::MAX_LISTEN + 1).is_err());

    assert!(tool(&format!("timeout: {}h", 1)).is_empty());
    assert!(tool(&format!("size: {}B", body::MAX_BODY)).is_empty());
    assert!(!tool(&format!("size: {}B", body::MAX_BODY + 1)).is_empty());

    let grows =
        |times| format!("earn: [ {{ step: more, after: 30d, volume: x{times}, how: propose }} ]");
    let too_much = "expected a factor of at most";
    assert!(!workflow(&grows(earn::MAX_TIMES)).contains(too_much));
    assert!(workflow(&grows(earn::MAX_TIMES + 1)).contains(too_much));

    let checks = |weekly| format!("check: {{ min: {weekly}/week }}");
    assert_eq!(workflow(&checks(workflow::MOST_CHECKS)), "");
    assert!(workflow(&checks(workflow::MOST_CHECKS + 1)).contains("runs a week"));
    assert!(
        workflow("objective: { target: 99.999%, window: 90d, expected_runs: 1000000000 }")
            .is_empty()
    );
    assert!(workflow("objective: { target: 50%, window: 1d }").is_empty());
    assert!(refuses(
        &[
            PAYMENTS,
            &format!("{TRIAGE}objective: {{ target: 99.9991% }}")
        ],
        "`target`"
    ));
    assert!(refuses(
        &[PAYMENTS, &format!("{TRIAGE}objective: {{ window: 91d }}")],
        "`window`"
    ));
}

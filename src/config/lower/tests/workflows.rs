//! What is said of a workflow: its levels, its steps, its history, its shadow.

use super::*;

#[test]
fn a_workflow_s_mistakes() {
    insta::assert_snapshot!(workflow("retries: 6"), @"1.yaml:5:10: `retries`: expected a number from 0 to 5, found `6` []");
    insta::assert_snapshot!(workflow("unlisted: allow"), @"1.yaml:5:11: `unlisted: allow` would let every unknown call pass [write `hold` or `deny`; to find out what an agent calls, use `mode: shadow`]");
    insta::assert_snapshot!(workflow("objective: { target: 100%, window: 36h, expected_runs: 0 }"), @r#"
    1.yaml:5:22: `target`: expected a percentage from 50% to 99.999%, found `100%` [100% leaves no budget: the first failure would stop the workflow for good]
    1.yaml:5:36: `window`: expected whole days from 1d to 90d, found `36h` []
    1.yaml:5:56: `expected_runs`: expected a number from 1 to 1000000000, found `0` []
    "#);
    insta::assert_snapshot!(workflow("objective: { unacceptable: [timeout], critical: [wrong_action] }"), @r#"
    1.yaml:5:28: `unacceptable` lists 1 mode; 3 to 5 is usual [the modes that are not listed are recorded and shown all the same]
    1.yaml:5:49: critical mode `wrong_action` is not among the unacceptable ones [add `wrong_action` to `unacceptable`, or drop it from `critical`]
    "#);
    insta::assert_snapshot!(workflow("objective: { unacceptable: [timeuot, wrong_action, late_refund] }"), @"1.yaml:5:29: `timeuot` is not a built-in failure mode, and is taken as one of this policy's own [did you mean `timeout`?]");
    insta::assert_snapshot!(workflow("objective: { target: 99%, expected_runs: 150 }"), @"1.yaml:5:42: two unacceptable runs would burn the budget of `triage`: 99% of 150 expected runs [with low traffic, choose a target of 98% or `expected_runs: 300`, so that at least three are allowed]");
    insta::assert_snapshot!(workflow("hold: { approvals: { high: 2 } }"), @"1.yaml:5:20: a call of a high-risk tool of `triage` needs 2 approvals, and only 1 person can approve [add `reviewers` to burngate.yaml (the operator token counts as one person), or write `hold: { approvals: 1 }`]");
    insta::assert_snapshot!(workflow("hold: { approvals: 0 }"), @"1.yaml:5:20: `approvals`: expected a number of people from 1 to 10 [to let calls pass without a person, change the level or the rule that holds them]");
    insta::assert_snapshot!(workflow("hold: { wait: 10m, expires: 5m }"), @"1.yaml:5:15: `wait` is longer than `expires` [a call cannot wait for an approval that has expired]");
    insta::assert_snapshot!(workflow("starts: standrad"), @"1.yaml:5:9: `starts`: unknown level `standrad` [did you mean `standard`?]");
    insta::assert_snapshot!(workflow("caps: { at_risk: read_only, burned: supervised }"), @"1.yaml:5:7: `caps`: a workflow that is burned may do more (supervised) than one that is at_risk (read_only) [a worse posture should not leave a higher level]");
    // `get_order` has no schema either, but a read may go without.
    insta::assert_snapshot!(workflow("validation: strict"), @"");
    let undescribed = PAYMENTS.replace("risk: read", "risk: low");
    insta::assert_snapshot!(lines(&[&undescribed, &format!("{TRIAGE}validation: strict\n")]), @r#"1.yaml:5:13: every call of payments/get_order is held: validation of `triage` is strict, and there is no schema [write `arguments` for the tool (`arguments: { type: "null" }` where it takes no body), or `validation: schemas` for the workflow]"#);
    insta::assert_snapshot!(workflow("run: { key: runn.id }"), @"1.yaml:5:13: `key`: unknown variable `runn` [did you mean `run`? variables are args, path, query, header, tool, agent, workflow, run, level, posture, budget, burn]");
}

#[test]
fn a_step_gives_one_thing_and_says_what_it_takes() {
    let step = |step: &str| workflow(&format!("check: {{ sample: 5% }}\nearn: [ {{ {step} }} ]"));
    assert_eq!(step("step: up, after: 30d, to: autonomous"), "");
    assert_eq!(
        step(
            "step: small, after: 60d, skip: { tool: payments/refund, rule: hold_when, where: args.amount <= 600.0 }, how: propose"
        ),
        ""
    );
    for (written, expected) in [
        (
            "step: volume, after: 30d, volume: x2, how: automatic",
            "no level caps volume, so there is nothing to raise",
        ),
        (
            "step: up, after: 36h, to: autonomous",
            "`after`: expected whole days, found `36h`",
        ),
        (
            "step: up, after: 30d",
            "step `up` must have exactly one of `volume`, `to` and `skip`",
        ),
        (
            "step: up, after: 30d, to: autonomous, volume: x2",
            "step `up` must have exactly one of `volume`, `to` and `skip`",
        ),
        (
            "step: regain, after: 30d, to: autonomous",
            "a step cannot be called `regain`: the name is reserved for regaining a lost level",
        ),
        (
            "step: down, after: 30d, to: read_only",
            "so it has `read_only` already",
        ),
        (
            "step: s, after: 30d, skip: { tool: payments/refnd, rule: hold_when }",
            "`payments/refnd` is not among the tools of this workflow",
        ),
        (
            "step: s, after: 30d, skip: { tool: payments/refund, rule: always }",
            "the review of rule `always` cannot be skipped",
        ),
    ] {
        let found = step(written);
        assert!(found.contains(expected), "{written}: {found}");
    }
    let unchecked =
        workflow("earn: [ { step: s, after: 30d, skip: { tool: payments/refund, rule: level } } ]");
    assert!(
        unchecked.contains(
            "step `s` counts only checked runs, and no run of this workflow is ever drawn for a check"
        ),
        "{unchecked}"
    );
    let unseen = workflow("spot_check: 0%");
    assert!(
        unseen.contains("`spot_check`: expected a share from 0.1% to 100%, found `0%`"),
        "{unseen}"
    );
}

#[test]
fn a_share_of_runs_or_a_number_a_week_is_put_to_people() {
    assert_eq!(workflow("check: { sample: 5%, min: 20/week }"), "");
    assert!(workflow("check: { sample: 0% }").contains("`check` draws no run"));
    assert!(
        workflow("check: { min: 2000/day }")
            .contains("`min`: expected at most 10000 runs a week, found 14000")
    );
}

#[test]
fn a_ladder_only_widens_upwards() {
    insta::assert_snapshot!(workflow("levels: [ { level: read_only, low: allow, medium: allow } ]"), @"1.yaml:5:20: level `read_only` allows what `supervised` above it does not: `medium` tools get allow instead of hold [tighten `read_only`, or widen `supervised`]");
    insta::assert_snapshot!(workflow("levels: [ { level: standard, volume: 10/min }, { level: supervised, volume: 20/min } ]"), @"1.yaml:5:57: level `supervised` allows what `standard` above it does not: a higher volume [tighten `supervised`, or widen `standard`]");
    insta::assert_snapshot!(workflow("levels: [ { level: careful, low: hold } ]"), @"1.yaml:5:20: unknown level `careful` [a new level says which one it stands right above, such as `above: supervised`]");
    insta::assert_snapshot!(workflow("levels: [ { level: careful, above: supervizd } ]"), @"1.yaml:5:36: `above`: unknown level `supervizd` [did you mean `supervised`?]");
    insta::assert_snapshot!(workflow("levels: [ { level: standard, above: supervised } ]"), @"1.yaml:5:37: built-in level `standard` cannot be moved [drop `above`, or choose a name of your own]");
    insta::assert_snapshot!(workflow("levels: [ { level: careful, above: supervised, tools: [payments/get_ordr] } ]"), @"1.yaml:5:56: unknown tool `payments/get_ordr` [did you mean `payments/get_order`?]");
}

#[test]
fn a_cap_on_one_level_bounds_those_below_it() {
    let loaded = loaded(&[
        PAYMENTS,
        &format!(
            "{TRIAGE}levels:\n  - {{ level: careful, above: supervised, high: hold, tools: [payments/get_order] }}\n  - {{ level: standard, volume: 600/min }}\n"
        ),
    ]);
    let ladder = &loaded.policies.workflows["triage"].terms.ladder;
    let rung = |name| ladder.rung(ladder.find(name).unwrap());
    assert_eq!(rung("careful").verdicts, rung("supervised").verdicts);
    assert_eq!(rung("halted").tools, rung("careful").tools);
    assert!(rung("standard").tools.is_none());
    assert_eq!(rung("read_only").volume, rung("standard").volume);
    assert!(rung("autonomous").volume.is_none());
}

#[test]
fn a_low_tier_workflow_reaches_a_high_tool_only_with_a_reason() {
    let low = "workflow: w\nrisk: low\ntools: [payments/get_order, payments/refund]\n";
    insta::assert_snapshot!(lines(&[PAYMENTS, low]), @r#"1.yaml:3:29: a low-tier workflow reaches `payments/refund`, which is high-risk [raise the workflow's `risk`, or write `accept_risk: "reason"`]"#);
    assert_eq!(
        lines(&[
            PAYMENTS,
            &format!("{low}accept_risk: drilled twice a year\n")
        ]),
        ""
    );
}

#[test]
fn a_history_goes_to_one_name_and_to_another_than_it_has() {
    let workflow = |name: &str, was: &str| {
        let was = if was.is_empty() {
            String::new()
        } else {
            format!("was: {was}\n")
        };
        format!(
            "workflow: {name}\n{was}risk: medium\ntools: [payments/refund, payments/get_order]\n"
        )
    };
    let said = |texts: &[(&str, &str)]| {
        let texts: Vec<String> = texts
            .iter()
            .map(|(name, was)| workflow(name, was))
            .collect();
        let texts: Vec<&str> = [PAYMENTS]
            .into_iter()
            .chain(texts.iter().map(String::as_str))
            .collect();
        lines(&texts)
    };
    // Also a chain of them, and one that was left behind after the rename.
    assert_eq!(said(&[("b", "a"), ("c", "b"), ("d", "x")]), "");
    insta::assert_snapshot!(said(&[("a", "a")]), @"1.yaml:2:6: `was`: `a` is already the name of this workflow [write the name that it had before, or drop `was`]");
    insta::assert_snapshot!(said(&[("b", "a"), ("c", "a")]), @"2.yaml:2:6: `was: a` is written in `b` as well, and a history goes to one workflow [drop one of the two: a workflow that is new begins with a history of its own]");
    insta::assert_snapshot!(said(&[("a", "b"), ("b", "a")]), @"
    1.yaml:2:6: `was`: `a` and `b` take each other's history, in a circle [rename one of them to a name that is new, reload, and rename it again]
    2.yaml:2:6: `was`: `b` and `a` take each other's history, in a circle [rename one of them to a name that is new, reload, and rename it again]
    ");
    insta::assert_snapshot!(said(&[("a", ""), ("b", "a")]), @"2.yaml:2:6: `was: a` has no effect: workflow `a` is still there, and keeps its history [drop workflow `a`, or drop `was`]");
}

#[test]
fn shadow_lasts_at_most_sixty_days_from_now() {
    let until = |day: &str| loaded_mode(&format!("{TRIAGE}mode: shadow\nuntil: {day}\n"));
    let (last, one_past) = (
        NOW.plus(mode::MAX_SHADOW).as_millis(),
        NOW.plus(mode::MAX_SHADOW).as_millis() + 1,
    );
    let written = |millis| crate::config::quantity::Date(Time::from_millis(millis)).to_string();
    assert_eq!(
        until(&written(last)),
        Some(Mode::Shadow {
            until: Time::from_millis(last)
        })
    );
    assert_eq!(until(&written(one_past)), None);
}

fn loaded_mode(workflow: &str) -> Option<Mode> {
    load(&files(&[PAYMENTS, workflow]), &Process::default(), NOW)
        .ok()
        .map(|loaded| loaded.policies.workflows["triage"].mode)
}

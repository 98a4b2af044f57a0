//! The policies that are shipped, which people copy.

use super::*;

pub(super) const SHIPPED: [(&str, &str, &str); 3] = [
    (
        "internal-summaries",
        include_str!("../../../../policies/internal-summaries.yaml"),
        include_str!("../../../../policies/wiki.yaml"),
    ),
    (
        "support-triage",
        include_str!("../../../../policies/support-triage.yaml"),
        include_str!("../../../../policies/crm.yaml"),
    ),
    (
        "payouts",
        include_str!("../../../../policies/payouts.yaml"),
        include_str!("../../../../policies/bank.yaml"),
    ),
];

#[test]
fn the_policies_that_are_shipped_load_without_a_warning_together_and_in_pairs() {
    let all: Vec<&str> = SHIPPED
        .iter()
        .flat_map(|(_, workflow, api)| [*workflow, *api])
        .collect();
    let together = loaded(&all);
    assert!(
        together.warnings.is_empty(),
        "{}",
        together.warnings.render(false)
    );
    let tiers: Vec<Tier> = together
        .policies
        .workflows
        .values()
        .map(|workflow| workflow.terms.tier)
        .collect();
    assert_eq!(tiers, [Tier::Low, Tier::High, Tier::Medium]);
    for (name, workflow, api) in SHIPPED {
        let alone = loaded(&[workflow, api]);
        assert!(
            alone.warnings.is_empty() && alone.policies.workflows.contains_key(name),
            "{}",
            alone.warnings.render(false)
        );
    }
}

#[test]
fn the_policies_that_are_shipped_are_printed_and_mean_the_same() {
    let all: Vec<&str> = SHIPPED
        .iter()
        .flat_map(|(_, workflow, api)| [*workflow, *api])
        .collect();
    let loaded = loaded(&all);
    let printed = crate::config::print::print(&loaded.policies, &files(&all));
    let again = load(
        &[SourceFile::new("p.yaml", &*printed)],
        &Process::default(),
        NOW,
    )
    .unwrap_or_else(|found| panic!("{}", found.render(false)));
    assert_eq!(again.policies.version, loaded.policies.version);
}

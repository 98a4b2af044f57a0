//! A long journal, page by page: nothing is left out, and no page looks through more than it may.

use super::*;
use crate::journal::read::Entries;
use crate::store::records::MOST_LOOKED_AT;
use crate::store::{LedgerPast, verify};

/// More than one page looks through.
const ENTRIES: u64 = 12_000;
/// Of so many entries one is a clamp.
const RARE: u64 = 5_000;

fn all(world: &World, filter: &EntryFilter) -> Vec<Entries> {
    let (mut pages, mut after) = (Vec::new(), Some(filter.after));
    while let Some(from) = after {
        let page = world
            .records
            .entries(&EntryFilter {
                after: from,
                ..filter.clone()
            })
            .unwrap();
        assert!(page.next.is_none_or(|next| next > from), "a page leads on");
        after = page.next;
        pages.push(page);
    }
    pages
}

fn seqs(pages: &[Entries]) -> Vec<u64> {
    pages
        .iter()
        .flat_map(|page| &page.views)
        .map(|view| view.seq)
        .collect()
}

#[test]
fn a_long_journal_is_read_and_verified_to_the_last_entry() {
    let world = World::new();
    for n in 2..=ENTRIES {
        let clamp = Clamp {
            to: "halted".into(),
            by: "ada".into(),
            reason: "a drill".into(),
            at: at(0),
            until: None,
        };
        let event = if n % RARE == 0 {
            Event::Clamped(clamp)
        } else {
            Event::Settled {
                call: CallId::from_bits(n.into()),
                executed: Executed::Yes,
                undid: None,
            }
        };
        drop(world.journal.append(Entry {
            at: at(i64::try_from(n).unwrap() * 1_000),
            workflow: Some("w".into()),
            event,
        }));
    }
    world.settle();
    let filter = EntryFilter {
        limit: 1_000,
        ..EntryFilter::default()
    };
    let every = all(&world, &filter);
    let last = *seqs(&every).last().unwrap();
    assert!(last > ENTRIES);
    assert_eq!(seqs(&every), (1..=last).collect::<Vec<_>>());
    let kinds = |pages: &[Entries]| {
        pages
            .iter()
            .flat_map(|page| &page.views)
            .filter(|view| view.entry.event.kind().name() == "clamped")
            .map(|view| view.seq)
            .collect::<Vec<_>>()
    };
    let rare = all(
        &world,
        &EntryFilter {
            kind: Some("clamped".into()),
            ..filter.clone()
        },
    );
    assert_eq!(
        (seqs(&rare), rare.len()),
        (kinds(&every), 2),
        "one page does not look through all"
    );
    // Each entry alone, and pages that end where what is looked through ends.
    assert_eq!(
        seqs(&all(
            &world,
            &EntryFilter {
                kind: Some("clamped".into()),
                limit: 1,
                ..filter.clone()
            }
        )),
        kinds(&every)
    );
    let nothing = all(
        &world,
        &EntryFilter {
            workflow: Some("nobody".into()),
            ..filter.clone()
        },
    );
    assert_eq!(
        (seqs(&nothing), nothing[0].next),
        (Vec::new(), Some(u64::try_from(MOST_LOOKED_AT).unwrap()))
    );
    // What is looked for from a moment on is not looked for before it.
    let late = EntryFilter {
        since: Some(at(11_000_000)),
        workflow: Some("w".into()),
        ..filter
    };
    let found: Vec<_> = every
        .iter()
        .flat_map(|page| &page.views)
        .filter(|view| view.entry.workflow.is_some() && view.entry.at >= at(11_000_000))
        .map(|view| view.seq)
        .collect();
    assert_eq!(seqs(&all(&world, &late)), found);
    let dir = world.drain();
    let mut rows = 0;
    let verified = verify(dir.path(), &[], || rows += 1).unwrap();
    assert_eq!(
        (verified.rows, LedgerPast::of(dir.path()).rows().unwrap()),
        (rows, rows)
    );
    assert!(rows > last);
}

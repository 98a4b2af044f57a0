//! Ledgers that were damaged, replaced, or are not ledgers.

use super::*;
use crate::store::loaded::LoadedState;

/// A drained ledger with two snapshots.
fn ledger() -> TempDir {
    let world = World::new();
    world.append(Some("w"), booked("r"));
    let world = World::at(world.drain());
    world.append(Some("w"), clamp());
    world.drain()
}

fn database(dir: &TempDir) -> Connection {
    Connection::open(dir.path().join("ledger.db")).unwrap()
}

fn with(connection: &Connection, sql: &str) -> Result<State, OpenError> {
    let transaction = connection.unchecked_transaction().unwrap();
    transaction.execute_batch(sql).unwrap();
    LoadedState::load(connection)
        .map(|loaded| loaded.state)
        .map_err(OpenError::from)
}

/// The file format: a change here is a new format, with a new number.
#[test]
fn the_chain_is_what_the_schema_says() {
    use sha2::{Digest as _, Sha256};
    let dir = ledger();
    let connection = database(&dir);
    let ledger: Vec<u8> = connection
        .query_row("SELECT value FROM meta WHERE key = 'ledger'", [], |row| {
            row.get(0)
        })
        .unwrap();
    let mut hash = Sha256::digest([&b"burngate ledger"[..], &ledger].concat()).to_vec();
    let mut select = connection
        .prepare("SELECT seq, at, workflow, body, hash FROM journal ORDER BY seq")
        .unwrap();
    let mut rows = select.query([]).unwrap();
    let mut seen = 0;
    while let Some(row) = rows.next().unwrap() {
        let (seq, at): (i64, i64) = (row.get(0).unwrap(), row.get(1).unwrap());
        let (workflow, body): (Option<String>, String) = (row.get(2).unwrap(), row.get(3).unwrap());
        let length = workflow
            .as_ref()
            .map_or(-1, |name| i64::try_from(name.len()).unwrap());
        let numbers = [seq.to_be_bytes(), at.to_be_bytes(), length.to_be_bytes()].concat();
        hash = Sha256::digest(
            [
                &hash,
                &numbers,
                workflow.unwrap_or_default().as_bytes(),
                body.as_bytes(),
            ]
            .concat(),
        )
        .to_vec();
        assert_eq!(row.get::<_, Vec<u8>>(4).unwrap(), hash);
        seen += 1;
    }
    assert!(seen > 3);
}

#[test]
fn a_snapshot_cut_or_flipped_anywhere_is_passed_over_for_the_one_before_it() {
    let dir = ledger();
    let connection = database(&dir);
    let whole = with(&connection, "").unwrap();
    let body: Vec<u8> = connection
        .query_row(
            "SELECT CAST(body AS BLOB) FROM snapshots ORDER BY seq DESC",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let damaged = |body: &[u8]| {
        let transaction = connection.unchecked_transaction().unwrap();
        let newest = "UPDATE snapshots SET body = CAST(?1 AS TEXT) WHERE seq = (SELECT max(seq) FROM snapshots)";
        transaction.execute(newest, [body]).unwrap();
        LoadedState::load(&connection).unwrap().state
    };
    for length in 0..body.len() {
        assert_eq!(damaged(&body[..length]), whole, "cut to {length}");
    }
    for at in 0..body.len() {
        let mut flipped = body.clone();
        flipped[at] ^= 1 << (at % 8);
        assert_eq!(damaged(&flipped), whole, "flipped at {at}");
    }
    for sql in [
        "UPDATE snapshots SET checksum = zeroblob(32)",
        "UPDATE snapshots SET head = zeroblob(32)",
        "UPDATE snapshots SET checksum = x'00'",
        "UPDATE snapshots SET seq = seq + 1000",
        "DELETE FROM snapshots",
    ] {
        assert_eq!(with(&connection, sql).unwrap(), whole, "{sql}");
    }
}

#[test]
fn a_row_that_is_altered_missing_or_repeated_is_named() {
    let dir = ledger();
    let connection = database(&dir);
    let last: i64 = connection
        .query_row("SELECT max(seq) FROM journal", [], |row| row.get(0))
        .unwrap();
    let repeat = format!(
        "INSERT INTO journal SELECT {last} + 1, at, workflow, kind, body, hash FROM journal WHERE seq = {last}"
    );
    for (sql, seq) in [
        (
            "UPDATE journal SET body = replace(body, 'dana', 'mara') WHERE seq = 2",
            2,
        ),
        ("UPDATE journal SET at = at + 1 WHERE seq = 2", 2),
        ("UPDATE journal SET workflow = 'v' WHERE seq = 2", 2),
        ("UPDATE journal SET workflow = NULL WHERE seq = 2", 2),
        ("UPDATE journal SET kind = 'settled' WHERE seq = 2", 2),
        ("UPDATE journal SET hash = zeroblob(32) WHERE seq = 2", 2),
        ("UPDATE journal SET body = '' WHERE seq = 2", 2),
        ("DELETE FROM journal WHERE seq = 1", 1),
        ("DELETE FROM journal WHERE seq = 2", 2),
        (repeat.as_str(), last + 1),
        (
            "UPDATE meta SET value = zeroblob(16) WHERE key = 'ledger'",
            1,
        ),
    ] {
        let all = format!("DELETE FROM snapshots; {sql}");
        assert!(
            matches!(with(&connection, &all), Err(OpenError::Journal(row)) if row.seq == seq),
            "{sql}: {:?}",
            with(&connection, &all)
        );
    }
}

#[test]
fn one_process_at_a_time_and_only_where_a_ledger_is_or_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let existing = Options {
        existing: true,
        ..options(&path)
    };
    assert!(matches!(
        Store::open(&existing),
        Err(OpenError::Absent { .. })
    ));
    let opened = open(&path).unwrap();
    assert!(opened.first_start);
    assert!(matches!(open(&path), Err(OpenError::InUse { .. })));
    drop(opened);
    assert!(!Store::open(&existing).unwrap().first_start);
    assert_eq!(
        std::os::unix::fs::MetadataExt::mode(&fs::metadata(&path).unwrap()) & 0o777,
        0o700
    );
    fs::remove_file(path.join("ledger.db")).unwrap();
    assert!(
        matches!(open(&path), Err(OpenError::NoLedger { .. })),
        "a deleted ledger must not come back empty"
    );
}

#[test]
fn files_that_are_no_ledger_or_an_older_one_are_refused_in_words() {
    let dir = ledger();
    let file = dir.path().join("ledger.db");
    let whole = fs::read(&file).unwrap();
    let refused = || open(dir.path()).err().unwrap();
    for broken in [
        vec![],
        vec![0; 5000],
        b"not a database at all".to_vec(),
        whole[..whole.len() / 2].to_vec(),
        whole[..100].to_vec(),
        whole[..4096].to_vec(),
    ] {
        fs::write(&file, &broken).unwrap();
        let error = refused();
        assert!(error.is_loss(), "{} bytes: {error}", broken.len());
    }
    fs::write(&file, &whole).unwrap();
    let pragma = |sql: &str| database(&dir).execute_batch(sql).unwrap();
    pragma("PRAGMA user_version = 2");
    assert!(matches!(refused(), OpenError::Version { found: 2 }));
    pragma("PRAGMA user_version = 3; PRAGMA application_id = 1");
    assert!(matches!(refused(), OpenError::Damaged(_)));
    // Another ledger's database beside this one's head file.
    let other = ledger();
    fs::copy(other.path().join("ledger.db"), &file).unwrap();
    assert!(matches!(
        refused(),
        OpenError::Journal(_) | OpenError::Behind { .. }
    ));
}

#[test]
fn a_removed_wal_is_missed() {
    let world = World::new();
    world.append(Some("w"), booked("r"));
    let crashed = copy(world.dir.path());
    world.drain();
    fs::remove_file(crashed.path().join("ledger.db-wal")).unwrap();
    assert!(matches!(
        open(crashed.path()),
        Err(OpenError::Behind { .. })
    ));
}

#[test]
fn an_accepted_loss_is_said_until_it_is_on_the_books() {
    let dir = ledger();
    fs::write(dir.path().join("ledger.db"), b"gone").unwrap();
    fs::write(dir.path().join("operator.token"), b"t").unwrap();
    assert!(open(dir.path()).is_err());
    let opened = Store::open(&Options {
        accept_loss: true,
        ..options(dir.path())
    })
    .unwrap();
    assert!(opened.lost && !opened.first_start);
    drop(opened);
    assert!(
        fs::read(dir.path().join(format!("lost-{T0}")).join("ledger.db"))
            .is_ok_and(|old| old == b"gone")
    );
    assert!(dir.path().join("operator.token").exists());
    let opened = open(dir.path()).unwrap();
    assert!(opened.lost);
    let world = World::of(dir, opened.store);
    world.append(Some("w"), clamp());
    world.journal.loss_booked();
    world.settle();
    let dir = world.drain();
    assert!(!open(dir.path()).unwrap().lost);
    // A ledger that verifies is not given up, whatever was accepted.
    assert!(
        !Store::open(&Options {
            accept_loss: true,
            ..options(dir.path())
        })
        .unwrap()
        .lost
    );
}

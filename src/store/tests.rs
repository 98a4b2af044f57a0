//! Tests.
use rusqlite::Connection;
use std::sync::atomic::{AtomicI64, Ordering};

/// A disk of which a test can decide how full it is.
#[derive(Default)]
pub(super) struct DiskFault(AtomicI64);

impl DiskFault {
    pub(super) fn arm(&self, connection: &Connection) -> rusqlite::Result<()> {
        let pages = self.0.load(Ordering::SeqCst);
        connection.query_row(&format!("PRAGMA max_page_count = {}", if pages == 0 { 0xffff_fffe } else { pages }), [], |_| Ok(()))
    }
}

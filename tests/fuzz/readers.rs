//! What holds for the readers whatever they are fed. Shared by the fuzz targets and the test that
//! replays their corpus.

use burngate::wire::framing::HeadLimits;
use burngate::wire::head::{Guard, Scan};
use burngate::wire::{Malformed, canonical, json, target as wire_target};

/// What is read has one canonical spelling, which is read as itself.
pub fn json(bytes: &[u8]) {
    let Ok(value) = json::parse(bytes) else {
        return;
    };
    let mut once = Vec::new();
    canonical::write(&value, &mut once);
    let again = json::parse(&once).expect("the canonical spelling is strict JSON");
    let mut twice = Vec::new();
    canonical::write(&again, &mut twice);
    assert_eq!(
        String::from_utf8_lossy(&once),
        String::from_utf8_lossy(&twice)
    );
    let _ = json::to_value(&value);
    let _ = json::has_case_twins(&value);
}

/// What is read is canonical: reading it again changes nothing, and no segment leads anywhere.
pub fn target(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (path, query) = text
        .split_once('?')
        .map_or((text, None), |(path, query)| (path, Some(query)));
    let Ok(read) = wire_target::read(path, query) else {
        return;
    };
    assert!(read.path().starts_with('/'), "{text:?}: {:?}", read.path());
    assert!(
        read.path()
            .split('/')
            .all(|segment| segment != "." && segment != ".."),
        "{text:?}: {:?}",
        read.path()
    );
    assert!(!read.path().contains("//"), "{text:?}: {:?}", read.path());
    let again =
        wire_target::read(read.path(), read.query()).expect("the canonical spelling is a target");
    assert_eq!(
        (again.path(), again.query()),
        (read.path(), read.query()),
        "{text:?}"
    );
    assert_eq!(
        read.segments().count(),
        again.segments().count(),
        "{text:?}"
    );
}

/// The verdict on a connection does not depend on how its bytes are cut.
pub fn head(bytes: &[u8]) {
    cut(bytes, || {
        Guard::request(HeadLimits {
            bytes: 4096,
            headers: 20,
        })
    });
    for to_head in [false, true] {
        cut(bytes, || {
            let mut guard = Guard::response(HeadLimits {
                bytes: 4096,
                headers: 20,
            });
            guard.expect_response(to_head);
            guard
        });
    }
}

/// The same, in a chunked body.
pub fn chunked(bytes: &[u8]) {
    let head = b"POST /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n";
    cut(&[head, bytes].concat(), || {
        Guard::request(HeadLimits {
            bytes: 4096,
            headers: 20,
        })
    });
}

type Verdict = (
    Option<(usize, Malformed, bool)>,
    usize,
    Result<(), Malformed>,
);

fn cut(bytes: &[u8], guard: impl Fn() -> Guard) {
    let whole = feed(bytes, bytes.len().max(1), guard());
    for piece in [1, 3] {
        assert_eq!(
            feed(bytes, piece, guard()),
            whole,
            "in pieces of {piece}: {:?}",
            String::from_utf8_lossy(bytes)
        );
    }
}

/// Where it refuses and why, how many heads passed, and whether the connection may end behind it.
fn feed(bytes: &[u8], piece: usize, mut guard: Guard) -> Verdict {
    let (mut from, mut heads) = (0, 0);
    let mut end = 0;
    let mut refused = None;
    while end < bytes.len() && refused.is_none() {
        end = (end + piece).min(bytes.len());
        match guard.scan(&bytes[from..end]) {
            Scan::Pass => from = end,
            Scan::Hold { from: held } => from += held,
            Scan::Refuse {
                at,
                reason,
                in_body,
            } => refused = Some((from + at, reason, in_body)),
        }
        while guard.next_head().is_some() {
            heads += 1;
        }
    }
    (refused, heads, guard.end())
}

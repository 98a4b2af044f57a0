//! Replays the fuzz corpus against the readers, with a few changes of each entry: what held there
//! holds on every machine.

use std::fs;
use std::path::Path;

#[path = "../fuzz/readers.rs"]
mod readers;

type Reader = fn(&[u8]);

#[test]
fn every_entry_of_the_fuzz_corpus_still_passes() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let targets: [(&str, Reader); 4] = [
        ("json", readers::json),
        ("target", readers::target),
        ("head", readers::head),
        ("chunked", readers::chunked),
    ];
    for (name, feed) in targets {
        let entries: Vec<Vec<u8>> = fs::read_dir(corpus.join(name))
            .unwrap()
            .map(|entry| fs::read(entry.unwrap().path()).unwrap())
            .collect();
        assert!(entries.len() >= 20, "{name}: {}", entries.len());
        for bytes in &entries {
            feed(bytes);
            let step = (bytes.len() / 64).max(1);
            for at in (0..bytes.len()).step_by(step) {
                feed(&bytes[..at]);
                feed(&[&bytes[..at], &bytes[at + 1..]].concat());
                for odd in [0, b'\n', b'\r', b' ', b'%', b'/', b'"', b'}', 0xff] {
                    let mut changed = bytes.clone();
                    changed[at] = odd;
                    feed(&changed);
                }
            }
        }
    }
}

//! Whatever a request is changed into: what reaches the upstream is what the gate's own readers
//! make of it, or nothing does.

use burngate::wire::framing::HeadLimits;
use burngate::wire::head::{Guard, Scan};
use burngate::wire::{json, target};

use super::{ORDINARY, World, framed, post};
use crate::harness::test;

/// How many requests are tried. A failure prints the seed of its own.
const TRIES: u64 = 400;

/// Bytes that mean something to some reader.
const ODD: [&[u8]; 22] = [
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b"\0",
    b":",
    b"\xff",
    b"%2e",
    b"%2f",
    b"..",
    b"/",
    b";",
    b"{",
    b"}",
    b"\"",
    b"chunked",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"0\r\n\r\n",
    b"5001",
    b"#",
];

/// `splitmix64`.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        match self.below(5) {
            0 => bytes[at] = u8::try_from(self.below(256)).unwrap(),
            1 => drop(bytes.remove(at)),
            2 => drop(bytes.splice(at..at, ODD[self.below(ODD.len())].iter().copied())),
            3 => {
                let end = (at + self.below(20)).min(bytes.len());
                let again = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, again));
            }
            _ => {
                let other = self.below(bytes.len());
                bytes.swap(at, other);
            }
        }
    }
}

#[test]
fn no_change_of_a_request_is_read_in_one_way_and_forwarded_in_another() {
    test(async {
        let world = World::start().await;
        let chunks = format!("{:x}\r\n{ORDINARY}\r\n0\r\n\r\n", ORDINARY.len());
        let seeds = [
            post("/shop/refunds", "Connection: close\r\n", ORDINARY),
            framed(
                "Connection: close\r\nTransfer-Encoding: chunked\r\n",
                &chunks,
            ),
        ];
        let base = std::env::var("BURNGATE_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let tries = base.map_or(0..TRIES, |seed: u64| seed..seed + 1);
        let mut passed = 0;
        for seed in tries {
            let mut dice = Dice(seed);
            let mut bytes = seeds[dice.below(2)].clone();
            for _ in 0..=dice.below(2) {
                dice.change(&mut bytes);
            }
            // What is cut short would wait for the rest of it.
            let mut stream = world.gate.agent().stream().await;
            let before = world.upstream.count();
            send_whole(&mut stream, &bytes).await;
            drop(stream);
            world.gate.agent().get("/.burngate/budget").await.passed();
            let shown = || {
                format!(
                    "BURNGATE_SEED={seed}: {:?}",
                    String::from_utf8_lossy(&bytes)
                )
            };
            let received = world.upstream.received();
            let Some(one) = received.get(before) else {
                continue;
            };
            passed += 1;
            assert_eq!(
                received.len(),
                before + 1,
                "one request became two: {}",
                shown()
            );
            assert!(one.whole, "{}", shown());
            // The gate's readers, fed the same bytes, find this one head and these places in it.
            let mut guard = Guard::request(HeadLimits::default());
            assert!(
                !matches!(guard.scan(&bytes), Scan::Refuse { at: 0, .. }),
                "{}",
                shown()
            );
            let path = one.target.split('?').next().unwrap();
            let read = target::read(path, one.target.split_once('?').map(|(_, query)| query))
                .unwrap_or_else(|error| panic!("{error}: {}", shown()));
            assert_eq!(
                read.path(),
                path,
                "what is forwarded is canonical: {}",
                shown()
            );
            assert!(
                one.all("content-length").len() + one.all("transfer-encoding").len() <= 1,
                "{}",
                shown()
            );
            assert_eq!(
                (one.all("host").len(), one.all("content-type").len() < 2),
                (1, true),
                "{}",
                shown()
            );
            if one.method == "POST" && path == "/refunds" {
                let args =
                    json::parse(&one.body).unwrap_or_else(|error| panic!("{error}: {}", shown()));
                let value = json::to_value(&args).unwrap();
                assert!(
                    value["amount"]
                        .as_f64()
                        .is_some_and(|amount| amount <= 5000.0),
                    "{}",
                    shown()
                );
            }
        }
        assert!(
            base.is_some() || passed > 20,
            "some changes are harmless: {passed}"
        );
    });
}

/// Sends all of it, and waits for the first answer or, where the request never ends, for as long as
/// an answer would take.
async fn send_whole(stream: &mut tokio::net::TcpStream, bytes: &[u8]) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let _ = stream.write_all(bytes).await;
    let mut guard = Guard::request(HeadLimits::default());
    let ends = match guard.scan(bytes) {
        Scan::Pass => guard.end().is_ok(),
        Scan::Hold { .. } => {
            guard.next_head().is_some()
                && guard.end() == Err(burngate::wire::Malformed::HeadIncomplete)
        }
        Scan::Refuse { .. } => true,
    };
    if ends {
        let _ = tokio::time::timeout(
            std::time::Duration::from_secs(10),
            stream.read(&mut [0; 4096]),
        )
        .await;
    }
}

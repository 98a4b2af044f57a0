//! Rules about the code that no compiler checks: which layer may look at which, what must not be
//! used where, and what every file owes its reader.
//!
//! Plain text, read with a tokenizer that only knows comments, strings and brackets: it is fooled
//! by nothing that is written here, and it needs no parser of a language that changes. Every rule
//! has its exceptions listed beside it, each with a reason; an exception that nobody needs any more
//! fails too, so the lists only hold what is true.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Who may look at whom inside the crate. A layer may always look at itself.
const LAYERS: [(&str, &[&str]); 16] = [
    ("gate", &[]),
    ("wire", &["gate"]),
    ("config", &["gate"]),
    ("api", &["gate"]),
    ("clock", &["gate"]),
    ("ids", &["gate"]),
    (
        "journal",
        &["gate", "wire", "config", "api", "clock", "ids"],
    ),
    (
        "ledger",
        &["gate", "wire", "config", "api", "clock", "ids", "journal"],
    ),
    (
        "telemetry",
        &["gate", "wire", "config", "api", "clock", "ids", "journal"],
    ),
    (
        "proxy",
        &[
            "gate",
            "wire",
            "config",
            "api",
            "clock",
            "ids",
            "journal",
            "ledger",
            "telemetry",
        ],
    ),
    (
        "admin",
        &[
            "gate",
            "wire",
            "config",
            "api",
            "clock",
            "ids",
            "journal",
            "ledger",
            "telemetry",
        ],
    ),
    (
        "store",
        &[
            "gate",
            "wire",
            "config",
            "api",
            "clock",
            "ids",
            "journal",
            "ledger",
            "telemetry",
        ],
    ),
    (
        "notify",
        &[
            "gate",
            "wire",
            "config",
            "api",
            "clock",
            "ids",
            "journal",
            "ledger",
            "telemetry",
        ],
    ),
    (
        "app",
        &[
            "gate",
            "wire",
            "config",
            "api",
            "clock",
            "ids",
            "journal",
            "ledger",
            "telemetry",
            "proxy",
            "admin",
            "store",
            "notify",
        ],
    ),
    ("cli", &["gate", "wire", "config", "api", "app"]),
    ("main", &["cli"]),
];

/// (file, layer it looks at, why).
const LAYER_EXCEPTIONS: [(&str, &str, &str); 1] = [(
    "src/telemetry/metrics.rs",
    "ledger",
    "gauges are read from the living state when they are scraped; copies kept in step would be a second truth. One way only: the ledger never looks here",
)];

/// The crates that a layer may use; a layer that is not listed may use all of Cargo.toml's. Tests
/// may use more.
const CRATES: [(&str, &[&str]); 8] = [
    ("gate", &["serde"]),
    // Engines. Whatever evaluates a condition or a schema is compiled by `config` and run here.
    (
        "gate/policy",
        &[
            "serde",
            "cel",
            "jsonschema",
            "serde_json",
            "regex",
            "smallvec",
        ],
    ),
    (
        "wire",
        &[
            "base64",
            "hmac",
            "http",
            "memchr",
            "serde",
            "serde_json",
            "sha2",
            "smallvec",
            "subtle",
            "thiserror",
        ],
    ),
    (
        "config",
        &[
            "annotate_snippets",
            "http",
            "schemars",
            "serde",
            "serde_json",
            "serde_path_to_error",
            "serde_saphyr",
            "sha2",
            "statrs",
            "jiff",
            "thiserror",
        ],
    ),
    (
        "api",
        &["jiff", "serde", "serde_json", "thiserror", "utoipa"],
    ),
    ("journal", &["serde_json", "thiserror"]),
    (
        "ledger",
        &[
            "arc_swap",
            "dashmap",
            "governor",
            "serde",
            "serde_json",
            "thiserror",
            "tracing",
        ],
    ),
    (
        "telemetry",
        &[
            "arc_swap",
            "dashmap",
            "governor",
            "prometheus_client",
            "serde",
            "serde_json",
            "thiserror",
            "tracing",
            "tracing_subscriber",
        ],
    ),
];

/// What the pure layers never touch: (where, words, why).
const NEVER: [(&str, &[&str], &str); 5] = [
    (
        "gate",
        &[
            "SystemTime",
            "Instant",
            "std::env",
            "std::fs",
            "std::net",
            "std::process",
            "tokio",
        ],
        "a decision is replayed from its arguments (G12)",
    ),
    (
        "wire",
        &[
            "SystemTime",
            "Instant",
            "std::env",
            "std::fs",
            "TcpStream",
            "TcpListener",
            "UdpSocket",
            "UnixStream",
            "ToSocketAddrs",
            "std::thread",
            "tokio",
        ],
        "it is fed by attackers, and has nothing to lose",
    ),
    (
        "config",
        &[
            "SystemTime",
            "Instant",
            "std::env",
            "TcpStream",
            "TcpListener",
            "UdpSocket",
            "UnixStream",
            "ToSocketAddrs",
            "tokio",
        ],
        "what a policy means depends on what is written, and on a time that is handed in",
    ),
    (
        "journal",
        &["tokio", "SystemTime", "std::env", "std::fs", "std::net"],
        "a simulator steps it",
    ),
    (
        "ledger",
        &["tokio", "SystemTime", "std::env", "std::fs", "std::net"],
        "a simulator steps it",
    ),
];

/// Floats in `gate`: (file, why).
const FLOATS: [(&str, &str); 7] = [
    (
        "src/gate/json.rs",
        "says whether binary64 keeps a number that was written",
    ),
    (
        "src/gate/policy/condition/lookup.rs",
        "engine: CEL has doubles",
    ),
    (
        "src/gate/policy/condition/expression.rs",
        "engine: CEL has doubles",
    ),
    (
        "src/gate/policy/condition/functions.rs",
        "engine: CEL has doubles",
    ),
    (
        "src/gate/policy/condition/refute.rs",
        "engine: bounds of JSON Schema are doubles",
    ),
    (
        "src/gate/policy/condition/value.rs",
        "engine: CEL has doubles",
    ),
    (
        "src/gate/policy/schema/value.rs",
        "engine: the validator has doubles",
    ),
];

/// Locks outside `journal`, `ledger` and `telemetry`: (file, why).
const LOCKS: [(&str, &str); 4] = [
    (
        "src/clock.rs",
        "how far a leap of the wall clock was followed; last of all, and held for a few comparisons",
    ),
    (
        "src/store/queue.rs",
        "the journal's queue, last in the ledger's lock order",
    ),
    (
        "src/store/records.rs",
        "the pool of read-only connections; nothing else is taken while it is held",
    ),
    (
        "src/app/reload.rs",
        "one reload at a time: an async lock held across reading files, taken by nobody else",
    ),
];

/// Where tasks and threads are started, besides `app`, `proxy/accept` (threads) and `proxy/spawner`
/// (tasks): (file, why).
const SPAWNS: [(&str, &str); 5] = [
    (
        "src/config/openapi/pointer_index.rs",
        "a thread with a big stack, because the YAML parser recurses; only when a policy is loaded, and joined in place",
    ),
    (
        "src/gate/policy/condition/mod.rs",
        "a thread with a big stack, because CEL's parser recurses; only when a policy is compiled, and joined in place",
    ),
    (
        "src/admin/serve.rs",
        "connections are tasks of one set that this function owns and awaits",
    ),
    (
        "src/admin/state.rs",
        "questions to the disk go to a blocking thread and are awaited in place",
    ),
    (
        "src/store/open.rs",
        "the writer is one thread with a name, joined by `drain`",
    ),
];

/// Tests that wait: (file, why).
const SLEEPS: [(&str, &str); 2] = [
    (
        "tests/it/hostile/faults.rs",
        "the pause is the attack: a client that sends a byte now and then; nobody waits for it",
    ),
    (
        "src/proxy/guard/tests.rs",
        "on tokio's paused clock: no time passes",
    ),
];

/// Bounds that no test names: what keeps a test away, and layer and constant. Only to be made
/// shorter.
const UNTESTED_BOUNDS: [(&str, &[&str]); 1] = [(
    "handed to hyper, which keeps it",
    &[
        "admin::MAX_HEAD",
        "proxy::MAX_BUFFER",
        "proxy::MAX_RESET_STREAMS",
        "proxy::MAX_STREAM_BUFFER",
        "proxy::MAX_UPSTREAM_BUFFER",
    ],
)];

/// Files that only tests use, and that are not called so.
const SCENERY: [&str; 1] = ["src/cli/client/scripted.rs"];

/// Words that would be a file's name if nobody had thought of one.
const NO_NAMES: [&str; 7] = [
    "utils",
    "common",
    "helpers",
    "misc",
    "manager",
    "types",
    "constants",
];

/// The most lines of a file before its tests.
const MOST_LINES: usize = 600;

/// How many modules of each layer may import each other in circles: counted in rooms (the files and
/// folders directly below the layer), and in files. The numbers may only fall, and end at 0: a layer
/// reads upwards like a ladder. Lower them when you remove a cycle.
const CYCLES: [(&str, usize, usize); 16] = [
    ("gate", 0, 0),
    ("wire", 0, 0),
    ("config", 0, 0),
    ("api", 0, 0),
    ("clock", 0, 0),
    ("ids", 0, 0),
    ("journal", 0, 0),
    ("ledger", 0, 0),
    ("telemetry", 0, 0),
    ("proxy", 0, 0),
    ("admin", 0, 0),
    ("store", 0, 0),
    ("app", 0, 0),
    ("cli", 0, 0),
    ("main", 0, 0),
    ("lib", 0, 0),
];

/// Everything at the top, besides files that begin with a dot.
const TOP: [&str; 7] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "policies",
    "src",
    "tests",
];
/// What may be at the top and need not.
const TOP_OPTIONAL: [&str; 1] = ["examples"];

const GUARANTEES: usize = 12;

#[test]
fn every_layer_looks_only_where_it_may() {
    let mut found = Findings::default();
    let mut needed = BTreeSet::new();
    for file in rust("src") {
        let layer = file.layer();
        let Some((_, may)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
            if layer != "lib" {
                found.say(
                    &file,
                    1,
                    format!("`{layer}` is no layer that this test knows"),
                );
            }
            continue;
        };
        for (line, seen) in file.looks_at() {
            if seen == layer || may.contains(&seen.as_str()) {
                continue;
            }
            match LAYER_EXCEPTIONS
                .iter()
                .position(|(path, to, _)| *path == file.path && *to == seen)
            {
                Some(exception) => drop(needed.insert(exception)),
                None => found.say(&file, line, format!("`{layer}` may not look at `{seen}`")),
            }
        }
    }
    found.unneeded(needed.len(), LAYER_EXCEPTIONS.len(), "LAYER_EXCEPTIONS");
    found.none();
}

#[test]
fn the_pure_layers_use_only_their_crates() {
    let known = dependencies();
    let mut found = Findings::default();
    for file in rust("src").into_iter().filter(|file| !file.is_test()) {
        let Some((folder, may)) = CRATES.iter().rev().find(|(folder, _)| file.is_in(folder)) else {
            continue;
        };
        for (line, text) in file.code() {
            for name in
                words_before_path(text).filter(|name| known.contains(*name) && !may.contains(name))
            {
                found.say(&file, line, format!("`{folder}` does not use `{name}`"));
            }
        }
    }
    found.none();
}

#[test]
fn pure_layers_use_no_clock_file_or_network() {
    let mut found = Findings::default();
    for file in rust("src").into_iter().filter(|file| !file.is_test()) {
        for (folder, words, why) in NEVER.iter().filter(|(folder, ..)| file.is_in(folder)) {
            // The one file of `config` that reads files.
            if *folder == "config" && file.path == "src/config/files.rs" {
                continue;
            }
            for (line, path) in file.paths() {
                for word in words.iter().filter(|word| names(&path, word)) {
                    found.say(&file, line, format!("`{folder}` has no `{word}`: {why}"));
                }
            }
        }
    }
    found.none();
}

#[test]
fn decisions_have_no_floats() {
    exceptions(
        &FLOATS,
        "FLOATS",
        "gate",
        |text| words(text).any(|word| word == "f32" || word == "f64"),
        "no float in a decision",
    );
}

#[test]
fn locks_are_in_few_places() {
    let has = |text: &str| words(text).any(|word| matches!(word, "Mutex" | "RwLock"));
    exceptions(
        &LOCKS,
        "LOCKS",
        "",
        |text| has(text),
        "locks are in `journal`, `ledger` and `telemetry` only",
    );
}

#[test]
fn tasks_are_started_in_few_places() {
    let starts = |text: &str| {
        words(text).any(|word| {
            matches!(
                word,
                "spawn_local" | "spawn_blocking" | "JoinSet" | "TaskTracker"
            )
        }) || [
            "tokio::spawn(",
            "task::spawn(",
            "thread::spawn(",
            "thread::Builder",
        ]
        .iter()
        .any(|start| text.contains(start))
    };
    exceptions(
        &SPAWNS,
        "SPAWNS",
        "",
        starts,
        "tasks are started in `app`, `proxy/accept` and `proxy/spawner` only",
    );
}

#[test]
fn tests_do_not_sleep_and_none_is_ignored() {
    let mut found = Findings::default();
    let mut needed = BTreeSet::new();
    for file in everything()
        .into_iter()
        .filter(|file| file.path != "tests/tidy.rs")
    {
        for (line, text) in file.tests() {
            if words(text).any(|word| matches!(word, "sleep" | "sleep_until" | "sleep_ms")) {
                match SLEEPS.iter().position(|(path, _)| *path == file.path) {
                    Some(exception) => drop(needed.insert(exception)),
                    None => found.say(
                        &file,
                        line,
                        "a test waits for what it wants to see, and never for a while",
                    ),
                }
            }
            if text.trim_start().starts_with("#[ignore") {
                found.say(&file, line, "a test that does not run is no test");
            }
        }
    }
    found.unneeded(needed.len(), SLEEPS.len(), "SLEEPS");
    found.none();
}

#[test]
fn every_file_says_what_it_is_and_is_short_enough_to_read() {
    let mut found = Findings::default();
    for file in everything() {
        if !file.text.starts_with("//!") {
            found.say(
                &file,
                1,
                "a file begins with `//!`: what it decides, and what it does not",
            );
        }
        let lines = file.lines_before_tests();
        if lines > MOST_LINES && !file.is_test() {
            found.say(
                &file,
                lines,
                format!("{lines} lines before the tests; look for the seam"),
            );
        }
        let stem = Path::new(&file.path).file_stem().unwrap().to_str().unwrap();
        let folders = Path::new(&file.path)
            .parent()
            .unwrap()
            .components()
            .map(|part| part.as_os_str().to_str().unwrap());
        for name in folders.chain([stem]).filter(|name| NO_NAMES.contains(name)) {
            found.say(
                &file,
                1,
                format!("`{name}` is a name for anything; find the one that says what is in it"),
            );
        }
    }
    found.none();
}

/// A bound that no test reaches is a bound that may be off by one, or none at all (G7). A test that
/// names it uses it to go to it and one past it. A layer has one bound of a name, or a test of one
/// would stand for all.
#[test]
fn every_bound_is_named_in_a_test() {
    let files = everything();
    // Every test file with the words of its tests' code.
    let tests: Vec<(_, BTreeSet<_>)> = files
        .iter()
        .filter(|file| file.path != "tests/tidy.rs")
        .map(|file| (file, file.tests()))
        .filter(|(_, lines)| !lines.is_empty())
        .map(|(file, lines)| {
            (
                file,
                lines.iter().flat_map(|(_, text)| words(text)).collect(),
            )
        })
        .collect();
    let mut seen = BTreeSet::new();
    let mut found = Findings::default();
    let mut excepted: Vec<String> = UNTESTED_BOUNDS
        .iter()
        .flat_map(|(_, bounds)| bounds.iter().map(|bound| (*bound).to_owned()))
        .collect();
    for file in files.iter().filter(|file| file.path.starts_with("src/")) {
        let layer = file.layer();
        for (line, name) in file.code().into_iter().filter_map(bound) {
            // A test beside it, or one from outside that says whose bound it goes to.
            let of = [format!("{layer}::"), format!("{layer}/")];
            let says = |test: &File| of.iter().any(|of| test.text.contains(of));
            let is_named = tests
                .iter()
                .any(|(test, code)| code.contains(name) && (test.layer() == layer || says(test)));
            let bound = format!("{layer}::{name}");
            if !seen.insert(bound.clone()) {
                found.say(file, line, format!("there is another `{bound}`"));
            }
            if is_named {
                continue;
            }
            match excepted.iter().position(|listed| *listed == bound) {
                Some(exception) => drop(excepted.swap_remove(exception)),
                None => found.say(file, line, format!("no test names `{bound}`")),
            }
        }
    }
    found.unneeded(0, excepted.len(), &format!("UNTESTED_BOUNDS {excepted:?}"));
    found.none();
}

/// The bound that a line defines, with the line's number.
fn bound((line, text): (usize, &str)) -> Option<(usize, &str)> {
    let (_, rest) = text.split_once("const ")?;
    let name = rest.split(':').next()?.trim();
    (name.starts_with("MAX_") || name.starts_with("MOST_")).then_some((line, name))
}

#[test]
fn no_test_file_is_forgotten() {
    let manifest = read("Cargo.toml");
    let mut found = Findings::default();
    for folder in ["tests/it", "tests/sim"]
        .into_iter()
        .filter(|folder| root().join(folder).exists())
    {
        let main = format!("{folder}/main.rs");
        assert!(
            manifest.contains(&format!("path = \"{main}\"")),
            "Cargo.toml builds {main}"
        );
        let mut reached = BTreeSet::new();
        reach(&main, &mut reached);
        for file in rust(folder)
            .into_iter()
            .filter(|file| !reached.contains(&file.path))
        {
            found.say(&file, 1, format!("no `mod` reaches this file from {main}"));
        }
    }
    for file in fs::read_dir(root().join("tests"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
    {
        let path = format!("tests/{}", file.file_name().unwrap().to_str().unwrap());
        assert!(
            manifest.contains(&format!("path = \"{path}\"")),
            "Cargo.toml names {path}: `autotests` finds it, and nobody sees that it does"
        );
    }
    found.none();
}

#[test]
fn every_guarantee_is_cited_where_it_is_kept_and_where_it_is_tested() {
    let (mut kept, mut tested) = (BTreeSet::new(), BTreeSet::new());
    for file in everything()
        .into_iter()
        .filter(|file| file.path != "tests/tidy.rs")
    {
        let tests = file.lines_before_tests();
        // The list in the essay keeps and tests nothing.
        for (n, line) in file
            .text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.starts_with("//! - **G"))
        {
            // An example in documentation is a test; so is the sentence before it.
            let example = file
                .text
                .lines()
                .skip(n + 1)
                .take(2)
                .any(|next| next.contains("```compile_fail"));
            let into = if example || file.is_test() || n >= tests {
                &mut tested
            } else {
                &mut kept
            };
            into.extend(words(line).filter_map(|word| {
                word.strip_prefix('G')
                    .or_else(|| word.strip_prefix('g'))?
                    .split('_')
                    .next()?
                    .parse::<usize>()
                    .ok()
            }));
        }
    }
    let missing = |cited: &BTreeSet<usize>| {
        (1..=GUARANTEES)
            .filter(|n| !cited.contains(n))
            .map(|n| format!("G{n}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        missing(&kept),
        Vec::<String>::new(),
        "guarantees that nothing in src/ says it keeps"
    );
    assert_eq!(
        missing(&tested),
        Vec::<String>::new(),
        "guarantees that no test says it tests"
    );
    let essay = read("src/lib.rs");
    assert!(
        (1..=GUARANTEES).all(|n| essay.contains(&format!("**G{n}**"))),
        "src/lib.rs lists every guarantee"
    );
}

#[test]
fn the_essay_names_every_module_in_its_layer() {
    let essay = read("src/lib.rs");
    let modules: BTreeSet<_> = essay
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    for (layer, _) in LAYERS.iter().filter(|(layer, _)| modules.contains(layer)) {
        assert!(
            essay
                .lines()
                .any(|line| line.starts_with("//! |") && line.contains(&format!("`{layer}`"))),
            "the table of src/lib.rs has no `{layer}`"
        );
    }
    for module in modules {
        assert!(
            LAYERS.iter().any(|(layer, _)| *layer == module),
            "`{module}` has no layer"
        );
    }
}

#[test]
fn the_top_level_holds_what_it_should_and_nothing_else() {
    let top: BTreeSet<String> = tracked()
        .iter()
        .map(|path| path.split('/').next().unwrap().to_owned())
        .filter(|name| !name.starts_with('.'))
        .collect();
    let odd: Vec<_> = top
        .iter()
        .filter(|name| !TOP.contains(&name.as_str()) && !TOP_OPTIONAL.contains(&name.as_str()))
        .collect();
    assert!(odd.is_empty(), "{odd:?} at the top level");
    let missing: Vec<_> = TOP
        .iter()
        .filter(|name| !root().join(name).exists())
        .collect();
    assert!(missing.is_empty(), "{missing:?} missing at the top level");
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let mut found = String::new();
    // Split, so that this file does not name what it looks for.
    let hosts = [
        concat!("registry.npmjs", ".org"),
        concat!("index.crates", ".io"),
        concat!("static.crates", ".io"),
        concat!("files.python", "hosted.org"),
    ];
    let paths = [
        concat!("/ho", "me/"),
        concat!("/ro", "ot/"),
        concat!("/Us", "ers/"),
        concat!("/wo", "rk/"),
        concat!("C:", "\\"),
    ];
    for path in tracked()
        .into_iter()
        .filter(|path| path != "Cargo.lock" && path != "LICENSE")
    {
        let Ok(text) = fs::read_to_string(root().join(&path)) else {
            continue;
        };
        for (n, line) in text.lines().enumerate() {
            // A path begins where a word does: `a/work/b` is none of the machine's.
            let is_path = |word: &str| {
                line.match_indices(word).any(|(at, _)| {
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-/}".contains(c))
                })
            };
            for word in hosts
                .iter()
                .copied()
                .filter(|host| line.contains(host))
                .chain(paths.iter().copied().filter(|path| is_path(path)))
            {
                let _ = writeln!(found, "{path}:{}: {word}", n + 1);
            }
        }
    }
    assert!(found.is_empty(), "\n{found}");
    assert!(
        !read("Cargo.lock")
            .lines()
            .any(|line| line.starts_with("source = ")
                && !line.contains("registry+https://github.com/rust-lang/crates.io-index")),
        "Cargo.lock takes crates from crates.io alone"
    );
}

#[test]
fn the_tokenizer_reads_what_it_should() {
    let text = "use crate::{gate::{a::B, c}, wire, /* crate::no */ api as x};\nlet s = \"crate::no\"; // crate::no\nlet c = '\"'; crate::ids::call();\nlet r = r#\"crate::no \"\"#;";
    let file = File::new("src/app/x.rs".to_owned(), text.to_owned());
    let seen: Vec<_> = file
        .looks_at()
        .into_iter()
        .map(|(line, seen)| format!("{line} {seen}"))
        .collect();
    assert_eq!(seen, ["1 gate", "1 wire", "1 api", "3 ids"]);
    let paths: Vec<_> = File::new(
        "src/app/x.rs".to_owned(),
        "use std::{env, time::{Duration, Instant}};".to_owned(),
    )
    .paths()
    .into_iter()
    .map(|(_, path)| path)
    .collect();
    assert_eq!(
        paths,
        ["std::env", "std::time::Duration", "std::time::Instant"]
    );
}

#[test]
fn modules_of_a_layer_import_each_other_in_one_direction() {
    let imports = Imports::read();
    let mut found = String::new();
    let mut check = |layer: &str, what: &str, most: usize, node: fn(&str) -> &str| {
        let cycles = imports.cycles(layer, node);
        let count: usize = cycles.iter().map(BTreeSet::len).sum();
        if count > most {
            let _ = writeln!(
                found,
                "`{layer}`: {count} {what} import each other in circles, at most {most} may:\n{}",
                imports.describe(&cycles, node)
            );
        }
    };
    for (layer, rooms, files) in CYCLES {
        check(layer, "rooms", rooms, room);
        check(layer, "files", files, |module| module);
    }
    for layer in imports.layers() {
        if !CYCLES.iter().any(|(listed, ..)| *listed == layer) {
            let _ = writeln!(found, "`{layer}` is missing in CYCLES");
        }
    }
    assert!(found.is_empty(), "\n{found}");
}

#[test]
fn a_type_name_is_defined_once() {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in rust("src").into_iter().filter(|file| !file.is_test()) {
        for (line, name) in defined_types(&file.running()) {
            let at = format!("{}:{line}", file.path);
            names.entry(name).or_default().push(at);
        }
    }
    let all = names.len();
    names.retain(|_, at| at.len() > 1);
    let list = names.iter().fold(String::new(), |list, (name, at)| {
        list + &format!("{name}: {}\n", at.join(" "))
    });
    assert!(
        names.is_empty(),
        "{} of {all} type names outside tests are defined more than once: one name, one thing:\n{list}",
        names.len(),
    );
}

#[test]
fn imports_and_types_are_read_as_they_are_meant() {
    let file = |path: &str, text: &str| File::new(path.to_owned(), text.to_owned());
    let imports = Imports::of(&[
        file("src/x/mod.rs", "pub mod a;\npub mod b;"),
        file("src/x/a.rs", "mod c;\npub use c::C;\nuse super::b::B;"),
        file(
            "src/x/a/c.rs",
            "use crate::x::{\n    b,\n    a::A,\n};\n#[cfg(test)]\nuse super::super::d::D;\nfn f() { b::g::<A>() }",
        ),
        file(
            "src/x/b.rs",
            "pub(in crate::x::a) struct B;\nuse crate::y::Y; // super::a",
        ),
        file(
            "src/x/d.rs",
            "use super::a;\n#[cfg(test)]\nmod tests {\n    use super::*;\n}",
        ),
        file("src/y.rs", "use crate::x::a::A;"),
    ]);
    let edges: Vec<_> = imports
        .edges
        .iter()
        .map(|((from, to), line)| format!("{from} -> {to} {line}"))
        .collect();
    assert_eq!(
        edges,
        [
            "x::a -> x::a::c 2",
            "x::a -> x::b 3",
            "x::a::c -> x::a 1",
            "x::a::c -> x::b 1",
            "x::b -> y 2",
            "x::d -> x::a 1",
            "y -> x::a 1",
        ]
    );
    assert_eq!(
        imports.cycles("x", |module| module),
        [BTreeSet::from(["x::a".to_owned(), "x::a::c".to_owned()])]
    );
    assert!(imports.cycles("x", room).is_empty(), "one room is no cycle");
    assert_eq!(
        imports.layers(),
        BTreeSet::from(["x".to_owned(), "y".to_owned()])
    );

    let text = "pub struct A;\npub(super) enum B {}\nimpl I for A {\n    type E = u8;\n}\npub type T = A;\nstatic x: u8 = 0; // struct N\n#[cfg(test)]\nstruct M;\nunion U {}\npub trait R: Sized {}";
    let types: Vec<_> = defined_types(&file("src/x/a.rs", text).running())
        .into_iter()
        .map(|(line, name)| format!("{line} {name}"))
        .collect();
    assert_eq!(types, ["1 A", "2 B", "6 T", "10 U", "11 R"]);
}

/// Checks a rule that holds in `folder` (everywhere, where it is empty) except in the files of a
/// list, each of which must need it.
fn exceptions(
    list: &[(&str, &str)],
    name: &str,
    folder: &str,
    breaks: impl Fn(&str) -> bool,
    rule: &str,
) {
    let everywhere = |file: &File| match name {
        "LOCKS" => file.is_in("journal") || file.is_in("ledger") || file.is_in("telemetry"),
        "SPAWNS" => {
            let starters = ["src/proxy/accept.rs", "src/proxy/spawner.rs"];
            file.is_in("app") || starters.contains(&&*file.path)
        }
        _ => false,
    };
    let mut found = Findings::default();
    let mut needed = BTreeSet::new();
    for file in rust("src").into_iter().filter(|file| {
        !file.is_test() && (folder.is_empty() || file.is_in(folder)) && !everywhere(file)
    }) {
        for (line, _) in file.code().into_iter().filter(|(_, text)| breaks(text)) {
            match list
                .iter()
                .position(|(path, why)| *path == file.path && !why.is_empty())
            {
                Some(exception) => drop(needed.insert(exception)),
                None => found.say(&file, line, rule),
            }
        }
    }
    found.unneeded(needed.len(), list.len(), name);
    found.none();
}

/// Which module of the crate imports which: the nodes are files (a folder's `mod.rs` is one of
/// them), and every path of running code that names another module is an import. A declaration
/// (`mod child;`) is none, a `pub use child::Item` is one.
struct Imports {
    /// Module (`gate::policy::judge`) and its file.
    modules: BTreeMap<String, String>,
    /// (from, to) and the first line that says so.
    edges: BTreeMap<(String, String), usize>,
}

impl Imports {
    fn read() -> Self {
        let mut files = rust("src");
        files.retain(|file| !file.is_test());
        Self::of(&files)
    }

    fn of(files: &[File]) -> Self {
        let modules = files
            .iter()
            .map(|file| (file.module(), file.path.clone()))
            .collect();
        let mut imports = Imports {
            modules,
            edges: BTreeMap::new(),
        };
        for file in files {
            let from = file.module();
            for (line, path) in paths(&file.running()) {
                if let Some(to) = imports.resolve(&from, &path)
                    && to != from
                {
                    imports.edges.entry((from.clone(), to)).or_insert(line);
                }
            }
        }
        imports
    }

    /// The module that `path`, written in the module `from`, leads to.
    fn resolve(&self, from: &str, path: &str) -> Option<String> {
        let mut here: Vec<&str> = from.split("::").collect();
        let mut parts = path.split("::").filter(|part| !part.is_empty()).peekable();
        match *parts.peek()? {
            "crate" | "burngate" => {
                parts.next();
                here.clear();
            }
            "self" => drop(parts.next()),
            "super" => {
                while parts.next_if_eq(&"super").is_some() {
                    here.pop();
                }
            }
            child => {
                if !self.modules.contains_key(&format!("{from}::{child}")) {
                    return None;
                }
            }
        }
        for part in parts {
            here.push(part);
            let named = here.join("::");
            let inside = format!("{named}::");
            if !self.modules.contains_key(&named)
                && !self
                    .modules
                    .keys()
                    .any(|module| module.starts_with(&inside))
            {
                here.pop();
                break;
            }
        }
        Some(here.join("::")).filter(|module| self.modules.contains_key(module))
    }

    fn layers(&self) -> BTreeSet<String> {
        let first = |module: &String| module.split("::").next().unwrap().to_owned();
        self.modules.keys().map(first).collect()
    }

    /// The groups of nodes of a layer that reach each other; `node` says which node a module is
    /// part of.
    fn cycles(&self, layer: &str, node: fn(&str) -> &str) -> Vec<BTreeSet<String>> {
        let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (from, to) in self.edges.keys() {
            let inside = |module: &str| module.split("::").next() == Some(layer);
            if inside(from) && inside(to) && node(from) != node(to) {
                next.entry(node(from)).or_default().insert(node(to));
            }
        }
        let reached_from = |start: &str| {
            let mut reached = BTreeSet::new();
            let mut left = vec![start];
            while let Some(from) = left.pop() {
                for to in next.get(from).into_iter().flatten() {
                    if reached.insert((*to).to_owned()) {
                        left.push(to);
                    }
                }
            }
            reached
        };
        let reached: BTreeMap<_, _> = next
            .keys()
            .map(|start| ((*start).to_owned(), reached_from(start)))
            .collect();
        let mut cycles = Vec::new();
        for (start, others) in reached
            .iter()
            .filter(|(start, others)| others.contains(*start))
        {
            let cycle: BTreeSet<String> = others
                .iter()
                .filter(|other| reached.get(*other).is_some_and(|back| back.contains(start)))
                .cloned()
                .collect();
            if !cycles.contains(&cycle) {
                cycles.push(cycle);
            }
        }
        cycles
    }

    /// Every import that is part of a cycle.
    fn describe(&self, cycles: &[BTreeSet<String>], node: fn(&str) -> &str) -> String {
        let mut text = String::new();
        for cycle in cycles {
            let _ = writeln!(text, "  a cycle of {}:", cycle.len());
            for ((from, to), line) in &self.edges {
                let (start, end) = (node(from), node(to));
                if start != end && cycle.contains(start) && cycle.contains(end) {
                    let (from, to) = (&self.modules[from], &self.modules[to]);
                    let _ = writeln!(text, "    {from}:{line} -> {to}");
                }
            }
        }
        text
    }
}

/// The file or folder directly below a layer that a module lies in: `gate::policy` for
/// `gate::policy::judge`.
fn room(module: &str) -> &str {
    let end = module.match_indices("::").nth(1).map(|(at, _)| at);
    &module[..end.unwrap_or(module.len())]
}

/// The types that `code` defines, with their lines. A `type` inside braces belongs to a trait or a
/// function.
fn defined_types(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (n, line) in code.lines().enumerate() {
        let mut parts = words(line).skip_while(|word| matches!(*word, "pub" | "crate" | "super"));
        let (Some(word), Some(name)) = (parts.next(), parts.next()) else {
            continue;
        };
        let is_type = match word {
            "struct" | "enum" | "trait" | "union" => {
                // What stands before the word is `pub` or nothing.
                let before = line.trim_start();
                before.starts_with("pub") || before.starts_with(word)
            }
            "type" => !line.starts_with(' '),
            _ => false,
        };
        if is_type {
            found.push((n + 1, name.to_owned()));
        }
    }
    found
}

/// Follows `mod name;` from a file to the files it names.
fn reach(path: &str, reached: &mut BTreeSet<String>) {
    if !root().join(path).exists() || !reached.insert(path.to_owned()) {
        return;
    }
    let file = File::new(path.to_owned(), read(path));
    let folder = match path
        .strip_suffix("/main.rs")
        .or_else(|| path.strip_suffix("/mod.rs"))
    {
        Some(folder) => folder.to_owned(),
        None => path.trim_end_matches(".rs").to_owned(),
    };
    for (_, text) in file.code() {
        let text = text
            .trim()
            .trim_start_matches("pub ")
            .trim_start_matches("pub(crate) ");
        if let Some(name) = text
            .strip_prefix("mod ")
            .and_then(|rest| rest.strip_suffix(';'))
        {
            reach(&format!("{folder}/{name}.rs"), reached);
            reach(&format!("{folder}/{name}/mod.rs"), reached);
        }
    }
}

/// What breaks a rule, a line each, so that one run shows all of it.
#[derive(Default)]
struct Findings(String);

impl Findings {
    fn say(&mut self, file: &File, line: usize, what: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{}:{line}: {what}", file.path);
    }

    fn unneeded(&mut self, needed: usize, listed: usize, list: &str) {
        if needed < listed {
            let _ = writeln!(
                self.0,
                "{} of the exceptions in {list} are not needed any more",
                listed - needed
            );
        }
    }

    fn none(&self) {
        assert!(self.0.is_empty(), "\n{}", self.0);
    }
}

/// A Rust file, with its code apart from comments and texts.
struct File {
    path: String,
    text: String,
    /// The text with every comment and the inside of every literal blanked out, so that places stay
    /// places.
    bare: String,
}

impl File {
    fn new(path: String, text: String) -> Self {
        let bare = bare(&text);
        File { path, text, bare }
    }

    /// The first part of the path below `src`.
    fn layer(&self) -> String {
        self.path
            .split('/')
            .nth(1)
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned()
    }

    fn is_in(&self, folder: &str) -> bool {
        self.path.starts_with(&format!("src/{folder}/")) || self.path == format!("src/{folder}.rs")
    }

    /// A file of tests alone.
    fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.ends_with("/tests.rs")
            || self.path.contains("/tests/")
            || SCENERY.contains(&self.path.as_str())
    }

    /// Where the tests of a file begin: at the module that holds them, not at one that lies in a
    /// file of its own.
    fn lines_before_tests(&self) -> usize {
        let lines: Vec<_> = self.bare.lines().collect();
        let begins = |two: &[&str]| {
            two[0] == "#[cfg(test)]" && two[1].starts_with("mod ") && two[1].ends_with('{')
        };
        lines.windows(2).position(begins).unwrap_or(lines.len())
    }

    /// Lines of code that runs, with their numbers.
    fn code(&self) -> Vec<(usize, &str)> {
        let until = if self.is_test() {
            usize::MAX
        } else {
            self.lines_before_tests()
        };
        self.bare
            .lines()
            .take(until)
            .enumerate()
            .map(|(n, line)| (n + 1, line))
            .collect()
    }

    /// The module that the file holds: `gate::policy` for `src/gate/policy/mod.rs`.
    fn module(&self) -> String {
        let path = self.path.trim_start_matches("src/");
        path.strip_suffix("/mod.rs")
            .unwrap_or_else(|| path.trim_end_matches(".rs"))
            .replace('/', "::")
    }

    /// The code that runs outside tests, every line in its place: what only tests compile is blank,
    /// and so is the scope of a `pub(in ...)`, which imports nothing.
    fn running(&self) -> String {
        let mut out = String::new();
        let mut lines = self.code().into_iter().map(|(_, line)| line);
        while let Some(line) = lines.next() {
            if line.trim() == "#[cfg(test)]" {
                out.push('\n');
                // An item or a field: until brackets close, and it ends.
                let mut depth = 0;
                for line in lines.by_ref() {
                    out.push('\n');
                    for byte in line.bytes() {
                        depth += i32::from(matches!(byte, b'{' | b'(' | b'['));
                        depth -= i32::from(matches!(byte, b'}' | b')' | b']'));
                    }
                    let attribute = line.trim_start().starts_with("#[");
                    if depth <= 0 && !attribute && line.trim_end().ends_with([';', ',', '}']) {
                        break;
                    }
                }
                continue;
            }
            match line.split_once("pub(in ") {
                Some((before, scope)) => {
                    let rest = scope.split_once(')').map_or("", |(_, rest)| rest);
                    out.push_str(before);
                    out.push_str("pub");
                    out.push_str(rest);
                }
                None => out.push_str(line),
            }
            out.push('\n');
        }
        out
    }

    /// Lines of tests, with their numbers.
    fn tests(&self) -> Vec<(usize, &str)> {
        let from = if self.is_test() {
            0
        } else {
            self.lines_before_tests()
        };
        self.bare
            .lines()
            .enumerate()
            .skip(from)
            .map(|(n, line)| (n + 1, line))
            .collect()
    }

    /// The modules of the crate that the code names, that of its tests included.
    fn looks_at(&self) -> Vec<(usize, String)> {
        let mut seen = Vec::new();
        for (line, path) in paths(&self.bare) {
            if let Some(rest) = path
                .strip_prefix("crate::")
                .or_else(|| path.strip_prefix("burngate::"))
            {
                let name = rest.split("::").next().unwrap().to_owned();
                // A macro or an item of the crate's root is no module.
                if name.starts_with(|c: char| c.is_ascii_lowercase())
                    && seen.last() != Some(&(line, name.clone()))
                {
                    seen.push((line, name));
                }
            }
        }
        seen
    }

    /// Every path in running code, use trees written out.
    fn paths(&self) -> Vec<(usize, String)> {
        let code: String = self
            .code()
            .into_iter()
            .fold(String::new(), |code, (_, line)| code + line + "\n");
        paths(&code)
    }
}

/// Every path in `code`, use trees written out.
fn paths(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let (mut at, bytes) = (0, code.as_bytes());
    while at < bytes.len() {
        if !is_word(bytes[at]) || (at > 0 && (is_word(bytes[at - 1]) || bytes[at - 1] == b':')) {
            at += 1;
            continue;
        }
        let line = 1 + code[..at].matches('\n').count();
        let mut out = Vec::new();
        at = tree(code, at, "", &mut out);
        found.extend(
            out.into_iter()
                .filter(|path| path.contains("::"))
                .map(|path| (line, path)),
        );
    }
    found
}

/// Reads one path or use tree at `at`, and writes out what it names.
fn tree(code: &str, mut at: usize, prefix: &str, out: &mut Vec<String>) -> usize {
    let bytes = code.as_bytes();
    let mut path = prefix.to_owned();
    loop {
        let start = at;
        while at < bytes.len() && is_word(bytes[at]) {
            at += 1;
        }
        path.push_str(&code[start..at]);
        let next = skip_space(bytes, at);
        if !code[next..].starts_with("::") {
            break;
        }
        path.push_str("::");
        at = skip_space(bytes, next + 2);
        if bytes.get(at) == Some(&b'{') {
            at += 1;
            loop {
                at = skip_space(bytes, at);
                match bytes.get(at) {
                    None => return at,
                    Some(b'}') => return at + 1,
                    Some(byte) if is_word(*byte) => at = tree(code, at, &path, out),
                    Some(_) => at += 1,
                }
            }
        }
        if !bytes.get(at).is_some_and(|byte| is_word(*byte)) {
            break;
        }
    }
    out.push(path);
    // What it is called here is none of its name.
    let next = skip_space(bytes, at);
    if code[next..].starts_with("as ") {
        at = next + 3;
        while at < bytes.len() && is_word(bytes[at]) {
            at += 1;
        }
    }
    at
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}

/// The words that a `::` or a use follows: possible names of crates.
fn words_before_path(text: &str) -> impl Iterator<Item = &str> {
    let used = text
        .trim()
        .strip_prefix("use ")
        .or_else(|| text.trim().strip_prefix("pub use "))
        .map(|rest| words(rest).next().unwrap_or_default());
    let mut rest = text;
    let heads = std::iter::from_fn(move || {
        let (before, after) = rest.split_once("::")?;
        rest = after;
        let start = before
            .rfind(|c: char| !c.is_alphanumeric() && c != '_')
            .map_or(0, |at| at + 1);
        // `a::serde::b` names no crate.
        Some(if before[..start].ends_with("::") {
            ""
        } else {
            &before[start..]
        })
    });
    heads.chain(used).filter(|word| !word.is_empty())
}

/// Does `path` name `word`, or what lies in it?
fn names(path: &str, word: &str) -> bool {
    if word.contains("::") {
        path == word
            || path
                .strip_prefix(word)
                .is_some_and(|rest| rest.starts_with("::"))
    } else {
        path.split("::").any(|part| part == word)
    }
}

/// Blanks out comments and what is inside literals.
fn bare(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    let blank = |out: &mut Vec<u8>, from: usize, to: usize| {
        out.extend(
            bytes[from..to]
                .iter()
                .map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }),
        );
    };
    while at < bytes.len() {
        let rest = &text.as_bytes()[at..];
        let end = if rest.starts_with(b"//") {
            at + rest
                .iter()
                .position(|byte| *byte == b'\n')
                .unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            at + comment(rest)
        } else if let Some(length) = raw(rest).filter(|_| at == 0 || !is_word(bytes[at - 1])) {
            at + length
        } else if rest[0] == b'"' {
            at + literal(rest, b'"')
        } else if rest[0] == b'\''
            && (rest.get(1) == Some(&b'\\') || text[at + 1..].chars().nth(1) == Some('\''))
        {
            at + literal(rest, b'\'')
        } else {
            out.push(bytes[at]);
            at += 1;
            continue;
        };
        blank(&mut out, at, end);
        at = end;
    }
    String::from_utf8(out).unwrap()
}

/// The length of a literal that ends with `quote`.
fn literal(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// The length of a comment that may hold others.
fn comment(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (2, 1);
    while at < rest.len() && depth > 0 {
        match &rest[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
    at
}

/// The length of a raw literal, if one begins here.
fn raw(rest: &[u8]) -> Option<usize> {
    let prefix = if rest.starts_with(b"br") {
        2
    } else {
        usize::from(rest.starts_with(b"r"))
    };
    let hashes = rest
        .get(prefix..)?
        .iter()
        .take_while(|byte| **byte == b'#')
        .count();
    let open = prefix + hashes;
    if prefix == 0 || rest.get(open) != Some(&b'"') {
        return None;
    }
    let close: Vec<u8> = std::iter::once(b'"')
        .chain(std::iter::repeat_n(b'#', hashes))
        .collect();
    let inside = &rest[open + 1..];
    Some(
        inside
            .windows(close.len())
            .position(|window| window == close)
            .map_or(rest.len(), |at| open + 1 + at + close.len()),
    )
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every Rust file of the project.
fn everything() -> Vec<File> {
    ["src", "tests", "examples"]
        .into_iter()
        .flat_map(rust)
        .collect()
}

/// Every Rust file below `folder`, in order.
fn rust(folder: &str) -> Vec<File> {
    let mut paths = Vec::new();
    walk(&root().join(folder), &mut paths);
    paths.sort();
    let name = |path: &Path| {
        path.strip_prefix(root())
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    };
    paths
        .iter()
        .map(|path| File::new(name(path), fs::read_to_string(path).unwrap()))
        .collect()
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir()
            && path
                .file_name()
                .is_some_and(|name| name != "target" && name != "node_modules")
        {
            walk(&path, paths);
        } else if path.extension().is_some_and(|end| end == "rs") {
            paths.push(path);
        }
    }
}

/// The names of the dependencies as code writes them.
fn dependencies() -> BTreeSet<String> {
    let manifest = read("Cargo.toml");
    let mut sections: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut section = "";
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if let Some((name, _)) = line.split_once('=') {
            sections.entry(section).or_default().push(name.trim());
        }
    }
    sections["[dependencies]"]
        .iter()
        .map(|name| name.replace('-', "_"))
        .collect()
}

/// The files that are part of the project: what git tracks, or, where this is no checkout, what
/// lies at the top.
fn tracked() -> Vec<String> {
    let listed = Command::new("git")
        .arg("-C")
        .arg(root())
        .args(["ls-files", "-z"])
        .output();
    if let Ok(listed) = listed
        && listed.status.success()
    {
        let names = String::from_utf8(listed.stdout).unwrap();
        return names
            .split('\0')
            .filter(|name| !name.is_empty() && root().join(name).exists())
            .map(str::to_owned)
            .collect();
    }
    everything().into_iter().map(|file| file.path).collect()
}

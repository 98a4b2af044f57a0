//! `burngate audit`: the journal for auditors, outside of the gate, and whether it is what was
//! written.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::client::{Client, ConnectionArgs, in_words, query};
use super::failure::{Exit, Failure};
use super::render;
use super::render::escape;
use super::render::number::counted;
use super::render::progress::ByteProgress;
use crate::api::audit::JournalPage as Page;
use crate::app::audit::{
    BadExport, Checkpoint, ExportFollower, entries, verify_export, verify_ledger,
};

/// How many entries are asked for at once.
const PAGE: usize = 1_000;

/// Export the journal, and verify that nobody changed it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Append what is new since the last export
  burngate audit export --out audit.jsonl
  # Check the ledger, and that it continues that export
  burngate audit verify --against audit.jsonl

The journal records everything in order, and each entry has a digest of itself and of all entries before it. Whoever can write the ledger's file could still cut off its end or write it anew. That is found by comparing with an export, or a digest, that is kept elsewhere.")]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    Verify(VerifyArgs),
    Export(ExportArgs),
}

/// Verify a ledger, or an export: names the first entry that is not what was written
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # The ledger in ./burngate-data, entry by entry
  burngate audit verify
  # And that it continues what was exported
  burngate audit verify --against audit.jsonl
  # An export by itself
  burngate audit verify audit.jsonl")]
struct VerifyArgs {
    /// An export to verify, instead of a ledger
    #[arg(conflicts_with_all = ["data", "head", "against"])]
    export: Option<PathBuf>,
    /// The data directory of the ledger; a gate may be running on it
    #[arg(long, value_name = "DIR", default_value = "burngate-data")]
    data: PathBuf,
    /// An entry noted before, as `audit export` prints it
    #[arg(long, value_name = "SEQ:HASH", value_parser = checkpoint)]
    head: Vec<Checkpoint>,
    /// An export that was made before
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

/// Export the journal as JSON lines, each with its digest
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Append what is new since the last export
  burngate audit export --out audit.jsonl
  # Print what came after entry 7
  burngate audit export --after 7")]
struct ExportArgs {
    /// Append to this file what it does not hold yet; without it, everything goes to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Only what came after this entry, to standard output
    #[arg(long, value_name = "SEQ", conflicts_with = "out")]
    after: Option<u64>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl AuditArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        match &self.command {
            AuditCommand::Verify(command) => command.run(),
            AuditCommand::Export(command) => command.run(),
        }
    }
}

impl VerifyArgs {
    fn run(&self) -> Result<Exit, Failure> {
        let (what, found) = match &self.export {
            Some(export) => (
                export.display().to_string(),
                read_export(export)?.map(|chain| chain.checkpoint()),
            ),
            None => (
                format!("the journal in {}", self.data.display()),
                self.ledger()?,
            ),
        };
        let (sound, text) = match &found {
            Ok(head) => (
                true,
                format!(
                    "{what} is sound: {}, the last with digest\n{}:{}\n",
                    counted(head.seq, "entry", "entries"),
                    head.seq,
                    head.hash
                ),
            ),
            Err(error) => (false, format!("{what} is not sound: {error}\n")),
        };
        if self.json {
            let head = found.as_ref().ok().map(|head| serde_json::json!({ "ledger": head.ledger, "seq": head.seq, "hash": head.hash.to_string() }));
            render::show_json(
                &serde_json::json!({ "sound": sound, "head": head, "why": found.as_ref().err() })
                    .to_string(),
            )?;
        } else {
            render::show_page(&text)?;
        }
        Ok(if sound { Exit::Did } else { Exit::Failed })
    }

    /// The head of a ledger that is sound, or what is not right about it.
    fn ledger(&self) -> Result<Result<Checkpoint, String>, Failure> {
        let mut known = self.head.clone();
        if let Some(export) = &self.against {
            let chain = read_export(export)?.map_err(|error| {
                Failure::new(format!("{} is not sound: {error}", export.display()))
            })?;
            known.push(chain.checkpoint());
        }
        let unreadable = |error: String| {
            Failure::new(format!(
                "cannot read the ledger in {}: {error}",
                self.data.display()
            ))
        };
        let rows = entries(&self.data).map_err(|error| {
            unreadable(error.to_string()).hint("--data names the data directory of a gate")
        })?;
        let mut progress = ByteProgress::new("verifying", rows);
        Ok(
            match verify_ledger(&self.data, &known, &mut |rows| progress.add(rows)) {
                Ok(verified) => Ok(Checkpoint {
                    ledger: Some(verified.ledger),
                    seq: verified.rows,
                    hash: verified.head,
                }),
                Err(error) => Err(error.to_string()),
            },
        )
    }
}

impl ExportArgs {
    fn run(&self) -> Result<Exit, Failure> {
        let client = self.connection.client()?;
        match &self.out {
            None => {
                let chain = beginning(&client, self.after.unwrap_or(0))?;
                let mut out = BufWriter::new(std::io::stdout().lock());
                let unwritable = |error: std::io::Error| {
                    Failure::new(format!("cannot write: {}", in_words(&error)))
                };
                write_line(&mut out, &chain.head()).map_err(unwritable)?;
                let (chain, count) = follow(&client, chain, &mut out, &unwritable)?;
                print_end(&chain, count);
            }
            Some(path) => append(&client, path)?,
        }
        Ok(Exit::Did)
    }
}

/// Behind the last whole line of what is there; a line that was torn off is written again.
fn append(client: &Client, path: &Path) -> Result<(), Failure> {
    let shown = path.display();
    let unwritable =
        |error: std::io::Error| Failure::new(format!("cannot write {shown}: {}", in_words(&error)));
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(unwritable)?;
    let is_new = file.metadata().map_err(unwritable)?.len() == 0;
    let chain = if is_new {
        beginning(client, 0)?
    } else {
        let found = read_export(path)?;
        let chain = found.map_err(|error| {
            Failure::new(format!("{shown} is not sound: {error}"))
                .hint("nothing was added to it; move it away and export again")
        })?;
        file.set_len(chain.whole()).map_err(unwritable)?;
        file.seek(SeekFrom::End(0)).map_err(unwritable)?;
        chain
    };
    let mut out = BufWriter::new(file);
    if is_new {
        write_line(&mut out, &chain.head()).map_err(unwritable)?;
    }
    let (chain, count) = follow(client, chain, &mut out, &unwritable)?;
    out.into_inner()
        .map_err(|error| unwritable(error.into_error()))?
        .sync_all()
        .map_err(unwritable)?;
    print_end(&chain, count);
    Ok(())
}

/// Where an export that follows entry `after` begins.
fn beginning(client: &Client, after: u64) -> Result<ExportFollower, Failure> {
    let page = page(client, after.saturating_sub(1), 1)?;
    let Some(mut head) = ExportFollower::from_the_beginning(&page.ledger).map(|chain| chain.head())
    else {
        return Err(Failure::new(format!(
            "the gate names no ledger but `{}`",
            escape(&page.ledger)
        )));
    };
    if after > 0 {
        let entry = page.entries.first().filter(|entry| entry.seq == after);
        let entry = entry.ok_or_else(|| {
            Failure::new(format!("the journal has no entry {after}"))
                .hint("`burngate audit export` without --after begins with the first")
        })?;
        (head.after, head.hash) = (after, entry.hash.clone());
    }
    ExportFollower::begin(&head).map_err(Failure::new)
}

/// Writes every entry behind `chain`, and gives the chain at its end and how many there were.
fn follow(
    client: &Client,
    mut chain: ExportFollower,
    out: &mut impl Write,
    unwritable: &dyn Fn(std::io::Error) -> Failure,
) -> Result<(ExportFollower, u64), Failure> {
    let mut count = 0;
    loop {
        let page = page(client, chain.checkpoint().seq, PAGE)?;
        if chain.checkpoint().ledger.as_deref() != Some(&*page.ledger) {
            return Err(
                Failure::new("the export is of another ledger than the gate's")
                    .hint("each ledger needs a file of its own"),
            );
        }
        for entry in page.entries {
            let broken = |error: String| {
                Failure::new(format!(
                    "the gate's journal does not continue where the export ends: {error}"
                ))
            };
            chain.follow(&entry).map_err(|error| {
                broken(error).hint("`burngate audit verify --against FILE` says where they differ")
            })?;
            write_line(out, &entry.for_export()).map_err(unwritable)?;
            count += 1;
        }
        if page.next.is_none() {
            out.flush().map_err(unwritable)?;
            return Ok((chain, count));
        }
    }
}

fn page(client: &Client, after: u64, limit: usize) -> Result<Page, Failure> {
    client
        .get(&format!(
            "/v1/audit{}",
            query(&[("after", after.to_string()), ("limit", limit.to_string())])
        ))?
        .read()
}

fn write_line(out: &mut impl Write, line: &impl serde::Serialize) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// What to keep elsewhere.
fn print_end(chain: &ExportFollower, count: u64) {
    let head = chain.checkpoint();
    let kept = format!("{}:{}", head.seq, head.hash);
    render::to_stderr(&format!(
        "exported {}; the journal ends with\n{kept}\nhint: keep that line elsewhere; `burngate audit verify --head LINE` then notices if later entries were cut off\n",
        counted(count, "entry", "entries")
    ));
}

/// An export that is sound, or what is not right about it.
fn read_export(path: &Path) -> Result<Result<ExportFollower, String>, Failure> {
    let unreadable = |error: &std::io::Error| {
        Failure::new(format!(
            "cannot read {}: {}",
            path.display(),
            in_words(error)
        ))
    };
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let size = file.metadata().map_err(|error| unreadable(&error))?.len();
    let mut progress = ByteProgress::new("verifying", size);
    match verify_export(file, &mut |bytes| progress.add(bytes)) {
        Ok(chain) => Ok(Ok(chain)),
        Err(BadExport::Unreadable(error)) => Err(unreadable(&error)),
        Err(error) => Ok(Err(error.to_string())),
    }
}

fn checkpoint(text: &str) -> Result<Checkpoint, String> {
    let (seq, hash) = text
        .split_once(':')
        .ok_or("expected SEQ:HASH, as `burngate audit export` prints it")?;
    let seq = seq
        .parse()
        .map_err(|_| format!("`{seq}` is no sequence number"))?;
    Ok(Checkpoint {
        ledger: None,
        seq,
        hash: hash
            .parse()
            .map_err(|error| format!("the digest: {error}"))?,
    })
}

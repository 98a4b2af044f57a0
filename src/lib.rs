//! burngate stands between an AI agent and the tools it calls, keeps books on how its runs turn
//! out, and lets the books decide what it may do next.
//!
//! An agent's HTTP client sees a slow success or a fast failure; neither says whether the job went
//! well. So calls are grouped into runs, a run is booked as acceptable or not against the
//! workflow's objective, and what is left of the failure that the objective allows sets a level:
//! what is allowed, what waits for a person, what is refused. Operators can push that level down at
//! any moment. Nothing else in this crate decides about a call.
//!
//! # The life of a call
//!
//! A request's bytes reach [`proxy`] through a guard that reads them before the HTTP library does,
//! and refuses what two parsers could frame differently. `proxy::exchange` then takes it through
//! one function:
//!
//! 1. `identify` finds the agent by its credential, and the workflow among those that this agent
//!    may use.
//! 2. `read` makes the outgoing message: path, query, headers and body in one canonical form, with
//!    [`wire`]. Rules judge this message, reviewers see it, the upstream gets it.
//! 3. The ledger counts the call into its run. From here on the call will be settled, whatever
//!    happens to it.
//! 4. `admit` asks [`gate::policy::judge`] for a verdict, and adds what only memory knows: grants,
//!    earlier denials, full inboxes.
//! 5. A verdict of *hold* becomes an approval, and the agent is told where to look; the connection
//!    may wait a while for the answer.
//! 6. A verdict of *allow* becomes a [`ledger::call::permit::Permit`]. If the call can do harm, its
//!    admission is on disk before the next step.
//! 7. `forward` gives the permit up for one send. It looks at the clamps once more, when the
//!    upstream connection stands ready.
//! 8. `respond` relays the answer. A token in its body settles the call when the last byte has
//!    gone, or when somebody hangs up.
//! 9. When the run ends or goes wrong it becomes an [`gate::event::Event`]; [`store`] writes it,
//!    folds it, and only then tells [`ledger`], metrics and log.
//! 10. The next call of the workflow is judged by where that left it.
//!
//! A permit cannot be copied, so a call that was passed once cannot be sent twice. This does not
//! compile (G2):
//!
//! ```compile_fail,E0599
//! fn twice(permit: burngate::ledger::call::permit::Permit) -> [burngate::ledger::call::permit::Permit; 2] {
//!     [permit.clone(), permit]
//! }
//! ```
//!
//! # Layers
//!
//! A layer may use those above it in this table, with the limits in the last column.
//! `tests/tidy.rs` reads every path in every file and fails where this is not so; its exceptions
//! are listed there, with reasons.
//!
//! | | modules | what they are for | and they may not |
//! |---|---|---|---|
//! | 0 | `gate` | decide: values, rules, budgets, and the fold of events into state | ask for the time, do any IO, lock, or compute in floats |
//! | 1 | `wire` `config` `api` | translate: bytes, policy files and admin JSON to gate values and back | look at each other, or do IO (`config::files` reads files) |
//! | 2 | `clock` `ids` | hand in what a decision cannot make up: the time, and ids | |
//! | 3 | `journal` | hand over: the ports through which things are kept and read back, and a journal in memory | know a runtime or a disk |
//! | 4 | `ledger` `telemetry` | share: what calls in flight read and change, and what is counted and logged | know a runtime; `ledger` never looks at `telemetry` |
//! | 5 | `proxy` `admin` `store` | act: serve agents, serve people, keep the books | look at each other |
//! | 6 | `app` | wire them up, start them, stop them | decide |
//! | 7 | `cli` `main` | read flags, talk to a gate, print | reach past `app` and layer 1 |
//!
//! The split between the first layer and the rest is what makes the product checkable: a year of
//! traffic is a loop over function calls (`tests/sim`), a restart is the same loop over the
//! journal, and `burngate explain` gives the verdict of the gate itself without a gate running.
//!
//! # Guarantees
//!
//! Code that keeps one, and tests that try to break one, cite its number.
//!
//! - **G1** A call that was let in is settled once and only once: answered, failed, timed out, or
//!   dropped by either side.
//! - **G2** Bytes leave for an upstream only in exchange for a permit. Verdicts alone make permits,
//!   and a clamp spoils every permit older than itself.
//! - **G3** When judging fails, the answer is hold or deny, and says what failed.
//! - **G4** An approval opens the door for one call with the approved digest, one time, until it
//!   runs out.
//! - **G5** A clock that is set back neither brings failures out of the window nor brings a grant
//!   back.
//! - **G6** Being refused by a level, a budget, a clamp, a cap or a freeze is no failure of the
//!   run; neither is waiting for a reviewer.
//! - **G7** There is a largest size for everything that a client, an upstream or a slow disk can
//!   make grow. Beyond it something is refused; nothing is forgotten.
//! - **G8** Whoever is held or refused is told which rule did it, and where it is written.
//! - **G9** Killing the process at any instant loses no answer that a person was given, and no
//!   failure that was booked.
//! - **G10** No call waits for a person longer than it was said to.
//! - **G11** Nothing that an agent can send approves a call, improves a record, lifts a clamp,
//!   waters down a count, or touches another workflow's budget.
//! - **G12** State is what the journal adds up to. Adding it up again, here or elsewhere, gives the
//!   same.

pub mod gate;

pub mod wire;

pub mod config;

pub mod api;

pub mod clock;
pub mod ids;

pub mod journal;

pub mod ledger;
pub mod telemetry;

pub mod proxy;

pub mod admin;

pub mod store;

pub mod app;

pub mod cli;

//! burngate is a reverse proxy between AI agents and the APIs of their tools. It records how an
//! agent's runs turn out, and that record decides what the agent may do next.
//!
//! The status and the latency of an HTTP response do not say whether the job was done well. So
//! calls are grouped into runs, and each run is booked as acceptable or unacceptable against the
//! objective of its workflow. What is left of the failures that the objective allows (the error
//! budget) sets the workflow's level, and the level says for each call whether it is allowed, held
//! for a person, or denied. An operator can lower the level at any moment. Everything that decides
//! about a call is read off the level and the policy's rules.
//!
//! # The life of a call
//!
//! A request's bytes reach [`proxy`] through a guard that reads them before the HTTP library does,
//! and refuses what two parsers could frame differently. `proxy::exchange` then takes it through
//! one function:
//!
//! 1. `read` makes the outgoing message: path, query and headers in one canonical form, with
//!    [`wire`], and the body too where a rule reads it. Rules judge this message, reviewers see it,
//!    the upstream gets it.
//! 2. `identify` finds the agent by its credential, and the workflow among those that this agent
//!    may use.
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
//! 9. When the run ends or goes wrong, that is an [`gate::event::Event`]. [`store`] writes it to the
//!    journal and folds it into the state; only then do [`ledger`], metrics and log learn of it.
//! 10. The next call of the workflow is judged by the status that follows from the new state.
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
//! Code that keeps one, and tests that try to break one, cite its number. Numbers such as A41 are
//! cases of the list of hostile inputs; the tests of them have the number in their names.
//!
//! - **G1** Every admitted call is settled exactly once, however it ends.
//! - **G2** Nothing is forwarded without a permit, and only the verdict mints permits; a permit
//!   minted before a clamp is worthless after it.
//! - **G3** An error while deciding never yields allow.
//! - **G4** A grant is used at most once, before it expires, for exactly the call that was approved.
//! - **G5** Time running backwards forgives nothing and revives no grant.
//! - **G6** Refusals by level, posture, clamp, cap or freeze, and a reviewer's slowness, cost no
//!   budget.
//! - **G7** Every map, queue, body, header set, wait, log and file is bounded, in total and by a
//!   share for each agent and workflow, with a reserve for people; reaching a bound is a verdict for
//!   whoever reached it, never a lost fact, and never somebody else's refusal.
//! - **G8** Every verdict names the rule and policy version that caused it.
//! - **G9** A crash never gives budget back, never loses a person's decision and never forgets an
//!   executed call above low: what was acknowledged is on disk.
//! - **G10** Every hold ends by its deadline.
//! - **G11** An agent can neither approve calls, report its own runs as good, lift a clamp, hide
//!   failures among many cheap runs, nor spend another workflow's budget.
//! - **G12** State is a fold over the journal: the same events give the same state, on restart, in a
//!   backtest and across a fleet.

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

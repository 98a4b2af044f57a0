//! The story, act by act. Everything in it really happened: every number comes from the admin API,
//! every verdict from the gate's answer to the agent.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use super::agent::{AgentReply, ScriptedAgent, ScriptedRun};
use super::operator::{Operator, WORKFLOW};
use super::passage::Passage;
use super::shop;
use crate::api::approval::ApprovalView;
use crate::api::workflow::WorkflowView;

/// How many runs the agent has behind it when the first thing goes wrong. With fewer, two failures
/// would already be a pace that puts the budget at risk.
const HEALTHY_RUNS: u64 = 44;
/// How many runs behave on probation.
const GOOD_RUNS: u64 = 6;
/// What is refunded where it matters.
const AMOUNT: u64 = 40;
/// More than the policy lets the agent refund.
const TOO_MUCH: u64 = 900;
/// How long the reader has between two acts.
const BREATH: Duration = Duration::from_secs(4);
/// How often a held call is looked at while the reader decides.
const LOOK: Duration = Duration::from_millis(250);
/// How often the reader is reminded that a call waits.
const REMINDER: Duration = Duration::from_mins(1);
/// How often the agent goes on once the story is over.
const ROUND: Duration = Duration::from_secs(3);
/// A status line is due after so many rounds in which nothing changed.
const QUIET_ROUNDS: u32 = 10;

/// Everybody in the story.
pub(super) struct Story {
    /// The scripted agent.
    pub agent: ScriptedAgent,
    /// The operator.
    pub operator: Operator,
    /// Where the agent calls.
    pub gate: SocketAddr,
    /// Play the reviewer too, never wait for input, and end with the story.
    pub yes: bool,
    /// Shows a passage to the reader.
    pub say: fn(&Passage),
}

impl Story {
    /// Plays it. Returns only with [`yes`](Story::yes) or an error.
    pub(super) async fn play(mut self) -> anyhow::Result<()> {
        self.open();
        self.healthy().await?;
        self.mistakes().await?;
        self.burned().await?;
        self.clamped().await?;
        self.way_back().await?;
        if self.yes {
            self.text("That is the story. Without --yes, you are the reviewer, and at its end the agent works on.");
            return Ok(());
        }
        self.go_on().await
    }

    fn open(&self) {
        self.say(Passage::Title(
            "a gate, a shop behind it, and an agent that handles refunds",
        ));
        self.text(format!(
            "The gate is real; so are its rules, its budget and its ports. The shop is a toy, and the agent follows a script. The agent calls the shop only through \
             the gate, at http://{}/shop. Its policy lets 4 of 80 runs fail in 30 days. How many of the 4 are left decides what it may do by itself.",
            self.gate
        ));
        let (admin, token) = (self.operator.admin, &self.operator.token);
        let mut lines = vec![
            format!("export BURNGATE_ADMIN=http://{admin}"),
            format!("export BURNGATE_TOKEN={token}"),
        ];
        lines.extend(unless_found().map(|directory| format!("export PATH=\"$PATH:{directory}\"")));
        self.type_this(
            "To look around from a second terminal, paste this there first:",
            lines,
        );
    }

    async fn healthy(&mut self) -> anyhow::Result<()> {
        self.act(1, "Healthy").await;
        for _ in 1..HEALTHY_RUNS {
            self.ordinary_run().await?;
        }
        self.text(format!(
            "The agent has worked through {} orders: it looked each one up, left a note, wrote to some customers and gave money back to some. Nobody had to approve \
             anything. Its next run refunds {AMOUNT} EUR:",
            HEALTHY_RUNS - 1
        ));
        let run = self.agent.begin();
        let calls = [
            self.agent.look_up(&run).await?,
            self.agent.note(&run).await?,
            self.agent.refund(&run, AMOUNT).await?,
        ];
        self.agent.finish(&run).await?;
        self.calls(calls);
        let workflow = self
            .operator
            .look_when(|workflow| workflow.budget.runs >= HEALTHY_RUNS)
            .await?;
        self.show_status(workflow);
        self.type_this(
            "The same in full:",
            vec![format!("burngate status {WORKFLOW}")],
        );
        Ok(())
    }

    async fn mistakes(&mut self) -> anyhow::Result<()> {
        self.act(2, "Mistakes").await;
        self.text(
            "Now four things go wrong. One argument is not a number: the gate stops that before the shop sees it, the agent puts it right, and it costs nothing. The \
             other three make a run unacceptable each: an e-mail that got no answer in time, a refund that the shop had paid already, and a refund above the policy's 500 EUR.",
        );
        let run = self.agent.begin();
        let mut calls = vec![
            self.agent.refund_in_words(&run).await?,
            self.agent.refund(&run, AMOUNT).await?,
        ];
        self.agent.finish(&run).await?;
        let run = self.agent.begin_about(shop::SLOW);
        calls.push(self.agent.email(&run).await?);
        self.agent.finish(&run).await?;
        let run = self.agent.begin_about(shop::REFUNDED);
        calls.push(self.agent.refund(&run, AMOUNT).await?);
        self.agent.finish(&run).await?;
        let run = self.agent.begin();
        calls.push(self.agent.refund(&run, TOO_MUCH).await?);
        self.agent.finish(&run).await?;
        self.calls(calls);
        let workflow = self
            .operator
            .look_when(|workflow| workflow.budget.unacceptable >= 3)
            .await?;
        self.show_status(workflow);
        self.text("Three of the four are spent: the budget is at risk, and that caps the level one rung lower. The very next call finds out:");
        let run = self.agent.begin();
        let refund = self.agent.refund(&run, AMOUNT).await?;
        refund.approval()?;
        let budget = refund.budget.clone();
        let note = self.agent.note(&run).await?;
        self.agent.finish(&run).await?;
        self.calls([refund, note]);
        self.text(format!(
            "A moment ago this refund went through by itself. Now it waits for a person, and the agent does what it still may. Every answer tells it how things \
             stand: \"Burngate-Budget: {budget}\"."
        ));
        self.type_this(
            "What went wrong, and which calls wait:",
            vec![
                "burngate runs --outcome unacceptable".to_owned(),
                "burngate approvals list".to_owned(),
            ],
        );
        Ok(())
    }

    async fn burned(&mut self) -> anyhow::Result<()> {
        self.act(3, "Burned").await;
        self.text("One more failure: the shop's mail server is down.");
        let run = self.agent.begin_about(shop::BROKEN);
        let email = self.agent.email(&run).await?;
        self.agent.finish(&run).await?;
        self.calls([email]);
        let workflow = self
            .operator
            .look_when(|workflow| workflow.budget.unacceptable >= 4)
            .await?;
        self.show_status(workflow);
        self.text("The budget is used up. The agent still looks things up and takes notes by itself; e-mails and refunds need a person, and until a cause is on record its prompt, model and tools are frozen.");
        let run = self.agent.begin();
        let (look_up, note, refund) = (
            self.agent.look_up(&run).await?,
            self.agent.note(&run).await?,
            self.agent.refund(&run, AMOUNT).await?,
        );
        let id = refund.approval()?.to_owned();
        self.calls([look_up, note, refund]);
        self.text(
            "The gate never sends a held call by itself. A person approves exactly this call with exactly these arguments; then the agent repeats it, and it \
             passes once.",
        );
        self.type_this(
            "You are the reviewer:",
            vec![
                format!("burngate approvals show {id}"),
                format!("burngate approvals approve {id} --reason \"it came back\""),
            ],
        );
        let decided = self.decision(&id).await?;
        self.repeat(&run, &decided).await?;
        self.agent.finish(&run).await
    }

    /// What the reviewer decides, whenever that is. With `yes`, the story plays the reviewer, and
    /// says so.
    async fn decision(&self, id: &str) -> anyhow::Result<ApprovalView> {
        if self.yes {
            self.text("(--yes: the demonstration plays the reviewer, over the same admin API.)");
            return self.operator.approve(id, "it came back").await;
        }
        self.text("The story goes on when you have decided.");
        let mut reminded = Instant::now();
        loop {
            let approval = self.operator.approval(id).await?;
            if approval.state != "pending" {
                return Ok(approval);
            }
            if reminded.elapsed() >= REMINDER {
                reminded = Instant::now();
                self.text(format!("Still waiting for a person: nobody else will approve {id}. Ctrl-C ends the demonstration."));
            }
            sleep(LOOK).await;
        }
    }

    /// The agent repeats a call that was decided, twice.
    async fn repeat(&mut self, run: &ScriptedRun, decided: &ApprovalView) -> anyhow::Result<()> {
        let by = decided.decisions.last().map_or_else(
            || "somebody".to_owned(),
            |decision| decision.reviewer.clone(),
        );
        let calls = [
            self.agent.refund(run, AMOUNT).await?,
            self.agent.refund(run, AMOUNT).await?,
        ];
        let [first, second] = calls.each_ref().map(|reply| &reply.call.verdict);
        let (before, after) = match decided.state.as_str() {
            "approved" => (
                format!(
                    "\"{by}\" approved it. The agent repeats the call, and then tries the same once more:"
                ),
                match (first.as_str(), second.as_str()) {
                    ("allow", "hold") => {
                        "The first went through. The second is held again, under an approval of its own: an approval is good for one call."
                    }
                    // The reader has a second terminal, and may have done more there than approve.
                    _ => {
                        "Meanwhile somebody changed more than that. An approval lifts no clamp: every rule is judged again when the call is repeated."
                    }
                },
            ),
            "denied" => (
                format!("\"{by}\" denied it. The agent tries all the same, twice:"),
                "A denied call does not pass. If it was denied as \"wrong\", it stands for exactly this call for a day; otherwise the call may be held anew.",
            ),
            _ => (
                "Nobody decided in time, so the call expired. The agent tries again, twice:"
                    .to_owned(),
                "It waits for a person again.",
            ),
        };
        self.text(before);
        self.calls(calls);
        self.text(after);
        Ok(())
    }

    async fn clamped(&mut self) -> anyhow::Result<()> {
        self.act(4, "An operator steps in").await;
        self.text("Something looks odd, and nobody wants to wait until the budget shows it. This is done for you, over the admin API; it is the same as typing:");
        self.type_this(
            "",
            vec![format!(
                "burngate clamp {WORKFLOW} --to read_only --reason \"odd refunds\""
            )],
        );
        self.operator.clamp("read_only", "odd refunds").await?;
        let clamped = Instant::now();
        let run = self.agent.begin();
        let note = self.agent.note(&run).await?;
        let took = clamped.elapsed();
        ensure!(note.call.verdict == "deny", "a call went through a clamp");
        let look_up = self.agent.look_up(&run).await?;
        self.calls([note, look_up]);
        let workflow = self.operator.look().await?;
        self.show_status(workflow);
        self.text(format!(
            "The note was refused {} ms after the clamp was acknowledged. It costs the agent no budget: being stopped by an operator is not a failure. The clamp \
             holds until somebody lifts it; nothing else ends it:",
            took.as_millis().max(1)
        ));
        self.type_this(
            "",
            vec![format!(
                "burngate release {WORKFLOW} --reason \"looked into: they were fine\""
            )],
        );
        self.operator.release("looked into: they were fine").await?;
        let note = self.agent.note(&run).await?;
        self.agent.finish(&run).await?;
        self.calls([note]);
        Ok(())
    }

    async fn way_back(&mut self) -> anyhow::Result<()> {
        self.act(5, "The way back").await;
        self.text(
            "A burn does not end by waiting: somebody has to put its cause on record. That lifts the freeze and opens the level from before the failures again, on probation:",
        );
        let (cause, fix) = ("mail server down, no limit in the prompt", "OPS-214");
        self.type_this(
            "",
            vec![format!(
                "burngate recover {WORKFLOW} --cause \"{cause}\" --fix {fix}"
            )],
        );
        self.operator.recover(cause, fix).await?;
        let before = self.operator.look().await?.budget.runs;
        for _ in 1..GOOD_RUNS {
            self.ordinary_run().await?;
        }
        let run = self.agent.begin();
        let calls = [
            self.agent.note(&run).await?,
            self.agent.email(&run).await?,
            self.agent.refund(&run, AMOUNT).await?,
        ];
        self.agent.finish(&run).await?;
        self.text(format!("{GOOD_RUNS} runs behave. The last of them:"));
        self.calls(calls);
        let workflow = self
            .operator
            .look_when(|workflow| workflow.budget.runs >= before + GOOD_RUNS)
            .await?;
        let until = workflow
            .level
            .probation
            .as_ref()
            .map(|probation| probation.until.to_string());
        ensure!(until.is_some(), "no probation was opened");
        let until = until.unwrap_or_default();
        let day = until.split('T').next().unwrap_or_default();
        self.show_status(workflow);
        self.text(format!(
            "The level is back where it was, and refunds go through by themselves. The posture is not: the burn is over once the probation has lasted its 7 days, \
             until {day}, and then the budget counts anew. One failure before that, and the level falls back at once. The old failures stay on record."
        ));
        Ok(())
    }

    /// The agent goes on, and what becomes of it is shown, until a signal ends it all.
    async fn go_on(&mut self) -> anyhow::Result<()> {
        let last = format!("run-{:03}", self.agent.runs);
        self.text("That is the story. The agent now works on, a refund every few seconds, until Ctrl-C; a line appears whenever something changes.");
        self.type_this(
            "Step in yourself:",
            vec![
                format!("burngate report --run {last} --mode wrong_action"),
                format!("burngate clamp {WORKFLOW} --to halted --reason \"trying it out\""),
                format!("burngate release {WORKFLOW} --reason \"tried it out\""),
                format!("burngate status {WORKFLOW} --watch"),
            ],
        );
        self.say(Passage::RunHead);
        let (mut shown, mut quiet, mut waiting) = (None, 0, None::<String>);
        loop {
            let run = match waiting.take() {
                Some(order) => self.agent.begin_about(&order),
                None => self.agent.begin(),
            };
            let call = self.agent.refund(&run, AMOUNT).await?.call;
            self.agent.finish(&run).await?;
            // What is held or beyond the level is tried again, not joined by another: one call
            // waits, not a queue of them.
            waiting = (call.verdict == "hold" || call.outcome == "level").then_some(run.order);
            let workflow = self.operator.look().await?;
            let looks = (
                call.verdict.clone(),
                workflow.posture.clone(),
                workflow.level.effective.clone(),
            );
            quiet += 1;
            if shown.as_ref() != Some(&looks) || quiet >= QUIET_ROUNDS {
                (shown, quiet) = (Some(looks), 0);
                self.say(Passage::Run(run.id, call, Box::new(workflow)));
            }
            sleep(ROUND).await;
        }
    }

    async fn ordinary_run(&mut self) -> anyhow::Result<()> {
        let run = self.agent.begin();
        self.agent.look_up(&run).await?;
        self.agent.note(&run).await?;
        if self.agent.roll(3) == 0 {
            self.agent.email(&run).await?;
        }
        if self.agent.roll(4) == 0 {
            let amount = 5 + self.agent.roll(56);
            self.agent.refund(&run, amount).await?;
        }
        self.agent.finish(&run).await
    }

    async fn act(&self, number: u8, title: &'static str) {
        if !self.yes && number > 1 {
            sleep(BREATH).await;
        }
        self.say(Passage::Act(number, title));
    }

    fn text(&self, text: impl Into<String>) {
        self.say(Passage::Text(text.into()));
    }

    fn calls(&self, replies: impl IntoIterator<Item = AgentReply>) {
        self.say(Passage::Calls(
            replies.into_iter().map(|reply| reply.call).collect(),
        ));
    }

    fn show_status(&self, workflow: WorkflowView) {
        self.say(Passage::Status(Box::new(workflow)));
    }

    fn type_this(&self, why: &'static str, lines: Vec<String>) {
        self.say(Passage::Try(why, lines));
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "a passage is made to be told"
    )]
    fn say(&self, passage: Passage) {
        (self.say)(&passage);
    }
}

/// The directory of this program, where a shell would not find it by its name. One that a shell
/// would not read as it is written is left out.
fn unless_found() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    let name = program.file_name()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|directory| directory.join(name).is_file()) {
        return None;
    }
    let directory = program.parent()?.to_str()?;
    let is_plain = directory
        .chars()
        .all(|char| char.is_alphanumeric() || "/._-+@ ".contains(char));
    is_plain.then(|| directory.to_owned())
}

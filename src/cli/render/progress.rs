//! The progress of a long command: a bar on a terminal, else a line now and then for the log.

use std::io;
use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

use super::number::grouped;
use super::to_stderr;

/// Below this size no bar is shown: it would only flicker.
const WORTH_A_BAR: u64 = 1 << 20;
/// Below this size no line is logged: the command ends soon enough.
const WORTH_A_LINE: u64 = 16 << 20;

/// How far a command has come through `whole` bytes.
pub(in crate::cli) struct ByteProgress {
    bar: Option<ProgressBar>,
    what: &'static str,
    whole: u64,
    done: u64,
    shown_tenths: u64,
}

impl ByteProgress {
    /// Nothing of `whole` bytes is done yet; `what` is a verb in its -ing form.
    pub(in crate::cli) fn new(what: &'static str, whole: u64) -> Self {
        let is_shown = io::stderr().is_terminal() && whole >= WORTH_A_BAR;
        let bar = is_shown.then(|| {
            let style = ProgressStyle::with_template(
                "{prefix} [{bar:40}] {percent}% of {total_bytes}, {eta} left",
            )
            .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(whole)
                .with_style(style.progress_chars("=> "))
                .with_prefix(what)
        });
        ByteProgress {
            bar,
            what,
            whole,
            done: 0,
            shown_tenths: 0,
        }
    }

    /// So many more bytes are done.
    pub(in crate::cli) fn add(&mut self, bytes: usize) {
        self.done += bytes as u64;
        if let Some(bar) = &self.bar {
            bar.set_position(self.done);
            return;
        }
        let tenths = if self.whole < WORTH_A_LINE {
            0
        } else {
            (self.done * 10 / self.whole).min(10)
        };
        if tenths > self.shown_tenths {
            self.shown_tenths = tenths;
            to_stderr(&format!(
                "{}: {}0% of {} MB\n",
                self.what,
                tenths,
                grouped(self.whole >> 20)
            ));
        }
    }
}

impl Drop for ByteProgress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

//! A bar for terminals: how far, what runs, how fast.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::build::events::{Event, Listener, Progress};
use crate::build::outcome::Status;

use super::words;

pub struct Bar {
    bar: ProgressBar,
    /// What runs, the oldest first.
    running: BTreeMap<u64, (u32, String)>,
    next: u64,
    last: (Instant, Progress),
}

/// A bar for what is over sooner would only flicker.
const SHOWN_AFTER: Duration = Duration::from_millis(300);

impl Bar {
    pub fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_style(
            ProgressStyle::with_template("{bar:24} {pos}/{len} {elapsed} {wide_msg}")
                .expect("the template is well-formed")
                .progress_chars("━╸─"),
        );
        Self { bar, running: BTreeMap::new(), next: 0, last: (Instant::now(), Progress::default()) }
    }

    fn draw(&mut self, progress: &Progress) {
        if self.bar.is_hidden() && self.bar.elapsed() >= SHOWN_AFTER {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_length(progress.total as u64);
        self.bar.set_position(progress.done as u64);
        let mut message = String::new();
        if progress.requests > 0 {
            let (since, before) = (self.last.0.elapsed().as_secs_f64().max(0.001), self.last.1);
            #[expect(clippy::cast_precision_loss, reason = "a rate that is shown whole")]
            let rate = (progress.requests - before.requests) as f64 / since;
            message = format!("{} requests ({rate:.0}/s), {} · ", progress.requests, words::bytes(progress.bytes));
        }
        if let Some((_, oldest)) = self.running.values().next() {
            message.push_str(oldest);
            if self.running.len() > 1 {
                message.push_str(&format!(" and {} more", self.running.len() - 1));
            }
        }
        self.last = (Instant::now(), *progress);
        self.bar.set_message(message);
    }
}

impl Listener for Bar {
    fn hear(&mut self, event: &Event<'_>) {
        match event {
            Event::Waiting { holder } => anstream::eprintln!("another build is running ({holder}); waiting for it"),
            Event::SetAside { what } => anstream::eprintln!("{what}"),
            Event::Started { id, step } => {
                self.running.insert(self.next, (*id, (*step).to_owned()));
                self.next += 1;
            }
            Event::Finished { id, account } => {
                self.running.retain(|_, (running, _)| running != id);
                if account.status == Status::Failed && self.bar.elapsed() >= words::TELL_FAILURES_AFTER {
                    self.bar.suspend(|| anstream::eprint!("{}", words::failed(account)));
                }
            }
            Event::Progress(progress) => self.draw(progress),
            Event::Done(summary) => {
                self.bar.finish_and_clear();
                anstream::eprint!("{}", words::summary(summary));
            }
        }
    }
}

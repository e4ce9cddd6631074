//! Lines for logs: a word now and then, or one a step.

use std::time::{Duration, Instant};

use crate::build::events::{Event, Listener};
use crate::build::outcome::Status;

use super::words;

pub struct Plain {
    /// A line a step.
    every_step: bool,
    started: Instant,
    told: Instant,
}

/// How often progress is told to a log.
const TELL_EVERY: Duration = Duration::from_secs(5);

impl Plain {
    pub fn new(every_step: bool) -> Self {
        Self { every_step, started: Instant::now(), told: Instant::now() }
    }
}

impl Listener for Plain {
    fn hear(&mut self, event: &Event<'_>) {
        match event {
            Event::Waiting { holder } => anstream::eprintln!("another build is running ({holder}); waiting for it"),
            Event::SetAside { what } => anstream::eprintln!("{what}"),
            Event::Started { .. } => {}
            Event::Finished { account, .. } if self.every_step => anstream::eprint!("{}", words::step(account)),
            Event::Finished { account, .. } if account.status == Status::Failed => {
                if self.started.elapsed() >= words::TELL_FAILURES_AFTER {
                    anstream::eprint!("{}", words::failed(account));
                }
            }
            Event::Finished { .. } => {}
            Event::Progress(p) => {
                if self.told.elapsed() >= TELL_EVERY {
                    self.told = Instant::now();
                    let bytes = words::bytes(p.bytes);
                    anstream::eprintln!(
                        "{}/{} steps, {} running, {} requests, {bytes}",
                        p.done,
                        p.total,
                        p.running,
                        p.requests
                    );
                }
            }
            Event::Done(summary) => anstream::eprint!("{}", words::summary(summary)),
        }
    }
}

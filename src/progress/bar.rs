//! A bar for terminals: how far, what runs, how fast.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::build::events::{Event, Listener, Progress};
use crate::build::outcome::Status;
use crate::sync::lock;

use super::failures::{self, Causes};
use super::pace::Pace;
use super::running::Running;
use super::{frame, words};

pub struct Bar {
    bar: ProgressBar,
    began: Instant,
    running: Running,
    pace: Pace,
}

/// A bar for what is over sooner would only flicker.
const SHOWN_AFTER: Duration = Duration::from_millis(400);
/// Where a terminal does not say how wide it is.
const WIDTH: usize = 80;

/// The bar that is on the screen.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Takes the bar off the screen: for a program that ends at once.
pub fn leave() {
    if let Some(bar) = lock(&SHOWN).take() {
        bar.finish_and_clear();
    }
}

impl Bar {
    pub fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_style(ProgressStyle::with_template("{msg}").expect("the template is well-formed"));
        Self { bar, began: Instant::now(), running: Running::default(), pace: Pace::default() }
    }

    fn draw(&mut self, progress: &Progress) {
        let elapsed = self.began.elapsed();
        self.pace.see(elapsed, progress);
        if self.bar.is_hidden() {
            if elapsed < SHOWN_AFTER {
                return;
            }
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            *lock(&SHOWN) = Some(self.bar.clone());
        }
        // The last column stays free: some terminals go to the next line once it is filled.
        let width = console::Term::stderr().size_checked().map_or(WIDTH, |(_, columns)| usize::from(columns));
        let lines = frame::lines(progress, &self.pace, &self.running, elapsed, width.saturating_sub(1));
        self.bar.set_message(lines.join("\n"));
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| anstream::eprint!("{text}"));
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
        leave();
    }
}

impl Listener for Bar {
    fn hear(&mut self, event: &Event<'_>) {
        match event {
            Event::Begun { .. } | Event::Output { .. } => {}
            Event::Waiting { holder } => self.say(&words::waiting(holder)),
            Event::SetAside { what } => self.say(&words::set_aside(what)),
            Event::Started(start) => self.running.start(start.id, start.step),
            Event::Finished { id, account } => {
                self.running.end(*id);
                if account.status == Status::Failed && self.began.elapsed() >= words::TELL_FAILURES_AFTER {
                    self.say(&failures::failure(account, Causes::First));
                }
            }
            Event::Progress(progress) => self.draw(progress),
            Event::Done(summary) => {
                self.clear();
                anstream::eprint!("{}", words::summary(summary));
            }
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        // Also where a build ends without a summary.
        self.clear();
    }
}

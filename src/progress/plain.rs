//! Lines for logs: a word now and then, or one a step; what a command printed stands together.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::build::events::{Event, Listener, Printed, Progress};
use crate::build::outcome::{Account, Status, Summary};

use super::failures::{self, Causes};
use super::pace::Pace;
use super::running::Running;
use super::{github, words};

/// Of which steps there is a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    /// What is wrong, at the end.
    Wrong,
    /// Failures, progress now and then, and a summary.
    Failures,
    /// Every step that is not simply up to date, and what its command printed.
    Steps,
}

/// What reads the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    Person,
    /// The runner of GitHub Actions, which folds groups and collects errors.
    Actions,
}

pub struct Plain {
    tells: Tells,
    reader: Reader,
    started: Instant,
    next: Duration,
    pace: Pace,
    running: Running,
    /// What the commands of steps that are about to end have printed.
    printed: HashMap<u32, Printed>,
}

/// When progress is first told to a log; then after twice the time, up to the longest.
const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(30);

impl Plain {
    pub fn new(tells: Tells, reader: Reader) -> Self {
        Self {
            tells,
            reader,
            started: Instant::now(),
            next: FIRST,
            pace: Pace::default(),
            running: Running::default(),
            printed: HashMap::new(),
        }
    }

    fn finished(&mut self, id: u32, account: &Account) {
        self.running.end(id);
        let printed = self.printed.remove(&id).unwrap_or_default();
        if account.status == Status::Failed {
            // A short build tells its failures once, at its end.
            if self.tells != Tells::Wrong && self.started.elapsed() >= words::TELL_FAILURES_AFTER {
                anstream::eprint!("{}{}", failures::failed(account), self.group(account, &printed));
            }
        } else if self.tells == Tells::Steps && account.status != Status::Blocked {
            anstream::eprint!("{}{}", words::step(account), self.group(account, &printed));
        }
    }

    fn group(&self, account: &Account, printed: &Printed) -> String {
        match self.reader {
            Reader::Person => words::printed(printed),
            Reader::Actions => github::group(&account.step, printed),
        }
    }

    fn progress(&mut self, progress: &Progress) {
        let elapsed = self.started.elapsed();
        self.pace.see(elapsed, progress);
        if self.tells != Tells::Wrong && elapsed >= self.next {
            self.next = elapsed + elapsed.min(LONGEST);
            anstream::eprint!("{}", words::progress(progress, &self.pace, self.running.oldest().next()));
        }
    }

    fn done(&self, summary: &Summary) {
        let causes = if self.tells == Tells::Steps { Causes::All } else { Causes::First };
        let (failures, warnings) = match self.reader {
            Reader::Person => (failures::failures(summary, causes), words::warnings(summary)),
            Reader::Actions => (github::errors(summary), github::warnings(summary)),
        };
        match self.tells {
            Tells::Wrong => anstream::eprint!("{failures}{warnings}"),
            Tells::Failures | Tells::Steps => {
                // What is blocked may still turn out to fail: it is told once, as it ends.
                let is_told = |account: &&Account| self.tells == Tells::Steps && account.status == Status::Blocked;
                summary
                    .accounts
                    .iter()
                    .filter(is_told)
                    .for_each(|account| anstream::eprint!("{}", words::step(account)));
                anstream::eprint!("{}{failures}{warnings}{}\n", words::notes(summary), words::line(summary));
            }
        }
    }
}

impl Listener for Plain {
    fn hear(&mut self, event: &Event<'_>) {
        match event {
            Event::Begun { .. } => {}
            Event::Waiting { holder } if self.tells != Tells::Wrong => anstream::eprint!("{}", words::waiting(holder)),
            Event::Waiting { .. } => {}
            Event::SetAside { what } => match self.reader {
                Reader::Person => anstream::eprint!("{}", words::set_aside(what)),
                Reader::Actions => anstream::eprint!("{}", github::warning(what)),
            },
            Event::Started(start) => self.running.start(start.id, start.step),
            Event::Output { id, printed, .. } if self.tells != Tells::Wrong => {
                self.printed.insert(*id, (*printed).clone());
            }
            Event::Output { .. } => {}
            Event::Finished { id, account } => self.finished(*id, account),
            Event::Progress(progress) => self.progress(progress),
            Event::Done(summary) => self.done(summary),
        }
    }
}

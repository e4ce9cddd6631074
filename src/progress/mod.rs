//! Listeners to the engine's events: a bar for terminals, lines for logs, a report for programs.

mod bar;
mod plain;
pub mod report;
pub mod round;
mod words;

pub use words::bytes;

use crate::build::events::{Event, Listener};

/// How a build is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A bar that moves.
    Bar,
    /// A line now and then.
    Plain,
    /// A line a step.
    Verbose,
    /// Only what is wrong.
    Quiet,
}

/// The listener of a style. All of them write to the standard error.
pub fn listener(style: Style) -> Box<dyn Listener> {
    match style {
        Style::Bar => Box::new(bar::Bar::new()),
        Style::Plain => Box::new(plain::Plain::new(false)),
        Style::Verbose => Box::new(plain::Plain::new(true)),
        Style::Quiet => Box::new(Quiet),
    }
}

struct Quiet;

impl Listener for Quiet {
    fn hear(&mut self, event: &Event<'_>) {
        if let Event::Done(summary) = event {
            anstream::eprint!("{}", words::failures(summary));
        }
    }
}

//! Listeners to the engine's events: a bar for terminals, lines for logs, files and a report for programs.

mod bar;
pub mod escape;
mod failures;
mod frame;
mod github;
mod ndjson;
mod pace;
mod phrases;
mod plain;
pub mod report;
pub mod round;
mod running;
mod sink;
mod trace;
pub mod words;

pub use bar::leave;
pub use ndjson::Ndjson;
pub use phrases::{bytes, counted};
pub use sink::Sink;
pub use trace::Trace;

use crate::build::events::{Event, Listener};

use plain::{Plain, Reader, Tells};

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

/// The listeners of a style, which write to the standard error; and what GitHub Actions wants, where it runs this.
pub fn listeners(style: Style) -> Fan {
    let runner = github::is_runner();
    let reader = reader();
    let shown: Box<dyn Listener> = match style {
        Style::Bar => Box::new(bar::Bar::new()),
        Style::Plain => Box::new(Plain::new(Tells::Failures, reader)),
        Style::Verbose => Box::new(Plain::new(Tells::Steps, reader)),
        Style::Quiet => Box::new(Plain::new(Tells::Wrong, reader)),
    };
    let page = github::Page::wanted().filter(|_| runner).map(|page| Box::new(page) as Box<dyn Listener>);
    Fan(std::iter::once(shown).chain(page).collect())
}

/// Who reads the standard error.
fn reader() -> Reader {
    if github::is_runner() { Reader::Actions } else { Reader::Person }
}

/// Tells of damage to the state where nothing is built.
pub fn damage(what: &str) {
    Plain::new(Tells::Wrong, reader()).hear(&Event::SetAside { what });
}

/// Several listeners to one stream.
#[derive(Default)]
pub struct Fan(Vec<Box<dyn Listener>>);

impl Fan {
    pub fn add(&mut self, listener: impl Listener + 'static) {
        self.0.push(Box::new(listener));
    }
}

impl Listener for Fan {
    fn hear(&mut self, event: &Event<'_>) {
        self.0.iter_mut().for_each(|listener| listener.hear(event));
    }
}

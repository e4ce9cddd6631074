//! `layermill watch`

use std::collections::BTreeSet;

use crate::build::events::{Event, Listener};
use crate::build::upkeep::watch::{Item, absolute, lists, look};
use crate::build::{BuildError, Order, Session, build};
use crate::progress::{self, Fan, Style, round::Round};
use tokio::sync::watch::Receiver;

use super::error::{self, Error};
use super::listen::Listening;
use super::watcher::Watcher;
use super::{Format, Global, exit, open, signals};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Targets, steps or output files [default: what the pipeline says]
    #[arg(value_name = "TARGET")]
    wanted: Vec<String>,
    /// Look at the files every second, where the system cannot tell of changes (network folders)
    #[arg(long)]
    poll: bool,
    #[command(flatten)]
    listening: Listening,
}

/// How many changed files a line names.
const NAMED: usize = 3;

pub fn run(global: &Global, arguments: &Arguments) -> Result<u8, Error> {
    // Where there is no pipeline at all, there is nothing to wait for.
    let file = absolute(&open::find(global)?);
    let root = file.parent().unwrap_or(&file).to_owned();
    let mut files = arguments.listening.files(Format::Text)?;
    let stop = signals::listen()?;
    let mut watcher = Watcher::new(arguments.poll, stop.clone())?;
    watcher.set(&root, &BTreeSet::from([Item::Path(file)]));
    let mut why = "at first".to_owned();
    let mut first = true;
    loop {
        let again = match round(global, arguments, &mut watcher, &mut Shown::new(global, &why, &mut files), &stop) {
            Ok(again) => again,
            // A call that was wrong from the start is not mended by waiting.
            Err(Halt::Call(error)) if first => return Err(error),
            Err(Halt::Call(error) | Halt::Pipeline(error)) => {
                error::show(&error);
                false
            }
            Err(Halt::Interrupted) => return Ok(exit::INTERRUPTED),
        };
        if first && !global.quiet {
            anstream::eprintln!("waiting for changes; Ctrl-C ends");
        }
        first = false;
        if again {
            "an input that was just found".clone_into(&mut why);
            continue;
        }
        let Some(changed) = watcher.wait() else { return Ok(exit::DONE) };
        why = match changed.len() {
            n if n > NAMED => format!("{} and {} more changed", changed[..NAMED].join(", "), n - NAMED),
            _ => format!("{} changed", changed.join(", ")),
        };
    }
}

/// Why a round came to nothing.
enum Halt {
    Interrupted,
    /// What was asked for is not in the pipeline.
    Call(Error),
    Pipeline(Error),
}

/// Reads the pipeline, builds once, and watches what that read. Gives whether something changed before it was watched.
fn round(
    global: &Global,
    arguments: &Arguments,
    watcher: &mut Watcher,
    shown: &mut Shown<'_>,
    stop: &Receiver<bool>,
) -> Result<bool, Halt> {
    let session = open::session(global).map_err(Halt::Pipeline)?;
    let order = open::order(global, &session, &arguments.wanted).map_err(Halt::Call)?;
    let root = session.pipeline.root.clone();
    watcher.set(&root, &lists(&session, &order));
    let wrong = |e: BuildError| match e {
        BuildError::Interrupted => Halt::Interrupted,
        BuildError::Unknown(_) => Halt::Call(Error::build(e, &session.pipeline)),
        e => Halt::Pipeline(Error::build(e, &session.pipeline)),
    };
    // Watched before it is built, so that no change falls between the two.
    watcher.set(&root, &look(&session, &order).map_err(wrong)?.items);
    let summary = build(&session, &order, stop.clone(), shown).map_err(wrong)?;
    if summary.interrupted {
        return Err(Halt::Interrupted);
    }
    settle(&session, &order, watcher).map_err(wrong)
}

/// Watches also what was found while building, and sees whether that changed meanwhile.
fn settle(session: &Session, order: &Order, watcher: &mut Watcher) -> Result<bool, BuildError> {
    let seen = look(session, order)?;
    if watcher.set(&session.pipeline.root, &seen.items) == 0 {
        return Ok(false);
    }
    Ok(look(session, order)?.stale != seen.stale)
}

/// One round for the person, and all of them in the files.
struct Shown<'a> {
    round: Box<dyn Listener>,
    files: &'a mut Fan,
}

impl<'a> Shown<'a> {
    fn new(global: &Global, why: &str, files: &'a mut Fan) -> Self {
        let round: Box<dyn Listener> = if global.quiet {
            Box::new(progress::listeners(Style::Quiet))
        } else {
            Box::new(Round::new(why.to_owned()))
        };
        Self { round, files }
    }
}

impl Listener for Shown<'_> {
    fn hear(&mut self, event: &Event<'_>) {
        self.round.hear(event);
        self.files.hear(event);
    }
}

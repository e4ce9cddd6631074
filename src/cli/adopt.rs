//! `layermill adopt`

use crate::build::adopt;
use crate::build::outcome::Status;
use crate::progress::escape;
use crate::progress::report::Report;

use super::error::Error;
use super::listen::Listening;
use super::{Format, Global, exit, open, print, print_json, signals};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Targets, steps or output files [default: all]
    #[arg(value_name = "TARGET")]
    wanted: Vec<String>,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    listening: Listening,
}

/// How many steps are named without `-v`, of those adopted and of the others.
const NAMED: usize = 20;

pub fn run(global: &Global, arguments: &Arguments) -> Result<u8, Error> {
    let session = open::session(global)?;
    let mut order = open::order(global, &session, &arguments.wanted)?;
    if arguments.wanted.is_empty() {
        order.asked = open::everything(&session);
    }
    let mut listeners = arguments.listening.files(arguments.format)?;
    let stop = signals::listen()?;
    let summary = adopt(&session, &order, stop, &mut listeners).map_err(|e| Error::build(e, &session.pipeline))?;
    if arguments.format == Format::Json {
        return print_json(&Report::of(&summary, &session.pipeline));
    }
    if global.quiet {
        return Ok(exit::DONE);
    }
    let of = |status| summary.accounts.iter().filter(move |account| account.status == status);
    let adopted = of(Status::Adopted).map(|account| account.step.clone());
    let left = of(Status::Stale).map(|account| match (&account.message, &account.reasons) {
        (Some(why), _) => format!("{}: {why}", account.step),
        (None, Some(reasons)) => format!("{}: {reasons}", account.step),
        (None, None) => account.step.clone(),
    });
    let most = if global.verbose { usize::MAX } else { NAMED };
    let mut text = listed("adopted", adopted, most) + &listed("left   ", left, most);
    let c = &summary.counts;
    text.push_str(&format!(
        "adopted {}, up to date {}, still to run {}\n",
        c.adopted,
        c.up_to_date - c.adopted,
        c.stale
    ));
    print(&text)
}

/// A line for each, up to a number; then how many more there are.
fn listed(word: &str, lines: impl Iterator<Item = String>, most: usize) -> String {
    let (mut text, mut n) = (String::new(), 0);
    for line in lines {
        n += 1;
        if n <= most {
            text += &format!("{word} {}\n", escape::line(&line));
        }
    }
    if n > most {
        text += &format!("{word} … and {} more (-v names them)\n", n - most);
    }
    text
}

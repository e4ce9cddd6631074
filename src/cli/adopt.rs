//! `layermill adopt`

use crate::build::adopt;
use crate::build::outcome::Status;
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

/// How many adopted steps are named without `-v`.
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
    let adopted: Vec<&str> =
        summary.accounts.iter().filter(|a| a.status == Status::Adopted).map(|a| a.step.as_str()).collect();
    let named = if global.verbose { adopted.len() } else { NAMED };
    let mut text: String = adopted.iter().take(named).flat_map(|step| ["adopted ", step, "\n"]).collect();
    if adopted.len() > named {
        text.push_str(&format!("adopted … and {} more (-v names them)\n", adopted.len() - named));
    }
    for account in &summary.accounts {
        if let Some(why) = account.message.as_ref().filter(|_| account.status == Status::Stale) {
            text.push_str(&format!("left    {}: {why}\n", account.step));
        }
    }
    let c = &summary.counts;
    text.push_str(&format!(
        "adopted {}, up to date {}, still to run {}\n",
        c.adopted,
        c.up_to_date - c.adopted,
        c.stale
    ));
    print(&text)
}

//! `layermill plan`

use std::fmt::Write;

use crate::build::events::Silence;
use crate::build::look;
use crate::build::outcome::{Status, Summary};
use crate::pipeline::Pipeline;
use crate::progress::report::Report;

use super::error::Error;
use super::{Format, Global, open, print, print_json};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Targets, steps or output files [default: what the pipeline says]
    #[arg(value_name = "TARGET")]
    wanted: Vec<String>,
    #[command(flatten)]
    by_hand: open::ByHand,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn run(global: &Global, arguments: &Arguments) -> Result<u8, Error> {
    let session = open::session(global)?;
    let mut order = open::order(global, &session, &arguments.wanted)?;
    arguments.by_hand.choose(&session.pipeline, &mut order)?;
    let summary = look(&session, &order, &mut Silence).map_err(|e| Error::build(e, &session.pipeline))?;
    match arguments.format {
        Format::Json => print_json(&Report::of(&summary, &session.pipeline)),
        Format::Text => print(&text(&summary, &session.pipeline)),
    }
}

fn text(summary: &Summary, pipeline: &Pipeline) -> String {
    let mut text = String::new();
    for account in summary.accounts.iter().filter(|a| a.status != Status::Adopted) {
        let why = account.reason.as_ref().map(ToString::to_string).or_else(|| account.message.clone());
        let word = if account.status == Status::Stale { "run" } else { account.status.word() };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{word:<8} {}  {}", account.step, why.unwrap_or_default());
    }
    for (target, because) in &summary.unknown {
        let name = &pipeline.targets[*target].name;
        let _ = writeln!(text, "more     {name}  its steps are told once {because} is built");
    }
    let c = &summary.counts;
    let _ = writeln!(
        text,
        "{}",
        match (c.stale, c.failed + c.blocked) {
            (0, 0) if summary.unknown.is_empty() && c.absent == 0 => format!("all {} steps are up to date", c.total()),
            (stale, 0) => format!("{stale} to run, {} up to date, {} absent", c.up_to_date, c.absent),
            (stale, wrong) =>
                format!("{stale} to run, {} up to date, {} absent, {wrong} cannot be made", c.up_to_date, c.absent),
        }
    );
    text
}

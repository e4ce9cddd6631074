//! `layermill plan`

use std::fmt::Write;

use crate::build::events::Silence;
use crate::build::look;
use crate::build::outcome::{Status, Summary};
use crate::pipeline::Pipeline;
use crate::progress::report::Report;
use crate::progress::words;

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
    for pulls in &summary.pulls {
        let _ = writeln!(text, "pulls    {}", words::pulls(pulls));
    }
    let c = &summary.counts;
    let (wrong, to_do) = (c.failed + c.blocked, c.stale + c.deferred);
    let mut line = match (to_do, wrong) {
        (0, 0) if summary.unknown.is_empty() && c.absent == 0 => format!("all {} steps are up to date", c.total()),
        _ => format!("{} to run, {} up to date, {} absent", c.stale, c.up_to_date, c.absent),
    };
    if c.deferred > 0 {
        let _ = write!(line, ", {} deferred", c.deferred);
    }
    if wrong > 0 {
        let _ = write!(line, ", {wrong} cannot be made");
    }
    text + &line + "\n"
}

//! `layermill build`

use crate::build::build;
use crate::progress::report::Report;

use super::error::Error;
use super::listen::Listening;
use super::{Format, Global, open, print_json, signals};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Targets, steps (`target@binding=value`) or output files [default: what the pipeline says]
    #[arg(value_name = "TARGET")]
    wanted: Vec<String>,
    #[command(flatten)]
    by_hand: open::ByHand,
    /// Start nothing more once a step has failed
    #[arg(long)]
    fail_fast: bool,
    /// Fail where another build is running, instead of waiting for it
    #[arg(long)]
    no_wait: bool,
    /// Where the budget of a source is spent, wait until there is more, instead of putting off what needs it
    #[arg(long)]
    wait_budget: bool,
    /// How the summary is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    listening: Listening,
}

pub fn run(global: &Global, arguments: &Arguments) -> Result<u8, Error> {
    let session = open::session(global)?;
    let mut order = open::order(global, &session, &arguments.wanted)?;
    arguments.by_hand.choose(&session, &mut order)?;
    order.fail_fast = arguments.fail_fast;
    order.no_wait = arguments.no_wait;
    order.wait_budget = arguments.wait_budget;
    let mut listeners = arguments.listening.listeners(global, arguments.format)?;
    let stop = signals::listen()?;
    let built = build(&session, &order, stop, &mut listeners);
    // They put the terminal and their files in order before anything else is said.
    drop(listeners);
    let summary = built.map_err(|e| Error::build(e, &session.pipeline))?;
    if arguments.format == Format::Json {
        print_json(&Report::of(&summary, &session.pipeline))?;
    }
    Ok(summary.exit_code())
}

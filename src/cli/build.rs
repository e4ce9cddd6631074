//! `layermill build`

use std::io::IsTerminal;

use crate::build::build;
use crate::progress::{self, Style};

use super::error::Error;
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
    /// How the summary is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn run(global: &Global, arguments: &Arguments) -> Result<u8, Error> {
    let session = open::session(global)?;
    let mut order = open::order(global, &session, &arguments.wanted)?;
    arguments.by_hand.choose(&session.pipeline, &mut order)?;
    order.fail_fast = arguments.fail_fast;
    order.no_wait = arguments.no_wait;
    let style = match () {
        () if global.quiet => Style::Quiet,
        () if global.verbose => Style::Verbose,
        () if std::io::stderr().is_terminal() => Style::Bar,
        () => Style::Plain,
    };
    let mut listener = progress::listener(style);
    let stop = signals::listen()?;
    let summary = build(&session, &order, stop, listener.as_mut()).map_err(|e| Error::build(e, &session.pipeline))?;
    if arguments.format == Format::Json {
        print_json(&progress::report::Report::of(&summary, &session.pipeline))?;
    }
    Ok(summary.exit_code())
}

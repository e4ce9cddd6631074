//! `layermill clean`

use crate::build::clean;

use super::error::Error;
use super::{Global, open, print};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Targets, steps or output files [default: all]
    #[arg(value_name = "TARGET")]
    wanted: Vec<String>,
    /// Say what would be removed
    #[arg(short = 'n', long)]
    dry_run: bool,
}

pub fn run(global: &Global, arguments: &Arguments) -> Result<u8, Error> {
    let session = open::session(global)?;
    let mut order = open::order(global, &session, &arguments.wanted)?;
    if arguments.wanted.is_empty() {
        order.asked = open::everything(&session);
    }
    let gone = clean(&session, &order, arguments.dry_run).map_err(|e| Error::build(e, &session.pipeline))?;
    let mut text = String::new();
    if arguments.dry_run || global.verbose {
        gone.iter().for_each(|path| text.extend([path.as_str(), "\n"]));
    }
    let word = if arguments.dry_run { "would be removed" } else { "removed" };
    text.push_str(&match gone.len() {
        1 => format!("1 output {word}\n"),
        n => format!("{n} outputs {word}\n"),
    });
    if global.quiet { Ok(super::exit::DONE) } else { print(&text) }
}

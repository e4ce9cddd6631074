//! `layermill gc`

use std::fmt::Write;
use std::time::Duration;

use crate::build::upkeep::gc::{Freed, Policy, gc};
use crate::pipeline::node;
use crate::progress::counted;
use crate::progress::{self, Style};

use super::error::Error;
use super::{Format, Global, exit, open, print, print_json, signals};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Forget also outputs of earlier steps that were not used for so long, such as 30d
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<Duration>,
    /// Forget outputs of steps, those used longest ago first, until the store has at most this size, such as 2GiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,
    /// Say what would be freed
    #[arg(short = 'n', long)]
    dry_run: bool,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn run(global: &Global, arguments: &Arguments) -> Result<u8, Error> {
    let session = open::session(global)?;
    if session.store != session.work_dir.join("store") && arguments.older_than.is_none() {
        let help = "with --older-than 30d, what nobody used for so long goes, and nothing else".to_owned();
        let message = format!("the store {} may serve other pipelines too", session.store.display());
        return Err(Error::wrong(message).help(Some(help)));
    }
    let order = open::order(global, &session, &[])?;
    let policy = Policy { older_than: arguments.older_than, max_size: arguments.max_size, dry: arguments.dry_run };
    let stop = signals::listen()?;
    let mut listener = progress::listeners(Style::Plain);
    let freed = gc(&session, &order, policy, &stop, &mut listener).map_err(|e| Error::build(e, &session.pipeline))?;
    match arguments.format {
        Format::Json => print_json(&freed),
        Format::Text if global.quiet => Ok(exit::DONE),
        Format::Text => print(&text(&freed, &policy)),
    }
}

fn text(freed: &Freed, policy: &Policy) -> String {
    let word = if policy.dry { "would free" } else { "freed" };
    let mut text = format!(
        "{word} {}: {}, {}, {}, {}\n",
        progress::bytes(freed.bytes),
        counted(freed.blobs, "blob"),
        counted(freed.actions, "step result"),
        counted(freed.records, "record"),
        counted(freed.logs, "log")
    );
    // Writing to a String cannot fail.
    let _ = writeln!(text, "kept {}: {}", progress::bytes(freed.kept_bytes), counted(freed.kept_blobs, "blob"));
    if policy.max_size.is_some_and(|most| freed.kept_bytes > most) {
        text.push_str("that is more than --max-size, and all of it is needed\n");
    }
    if freed.orphans > 0 {
        let _ = writeln!(
            text,
            "{} outputs that no step makes any more are still there: `layermill clean --orphans` removes them",
            freed.orphans
        );
    }
    text
}

fn age(text: &str) -> Result<Duration, String> {
    node::duration(text).ok_or_else(|| "expected a number and a unit: 90s, 24h, 30d, 1w".to_owned())
}

fn size(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1000 * 1000,
        "GB" => 1000 * 1000 * 1000,
        "TB" => 1000_u64.pow(4),
        "K" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        "T" | "TiB" => 1_u64 << 40,
        _ => return Err("expected a number and a unit: 500MB, 2GiB".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "expected a number and a unit: 500MB, 2GiB".to_owned())?;
    number.checked_mul(unit).ok_or_else(|| "more bytes than there are".to_owned())
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_units_of_either_kind() {
        assert_eq!(size("2GiB"), Ok(2 << 30));
        assert_eq!(size("500MB"), Ok(500_000_000));
        assert_eq!(size("0"), Ok(0));
        assert!(size("GiB").is_err() && size("2 parsecs").is_err() && size("99999999999TiB").is_err());
    }
}

//! `layermill verify`

use std::fmt::Write;
use std::io::IsTerminal;

use serde::Serialize;

use crate::build::Order;
use crate::build::upkeep::damage::{Damage, Verified, verify};
use crate::progress::counted;
use crate::progress::{self, Style, escape};

use super::error::Error;
use super::{Format, Global, exit, open, print, print_json, signals};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Targets, steps or output files; only these are read [default: all outputs and the store]
    #[arg(value_name = "TARGET")]
    wanted: Vec<String>,
    /// Make damaged outputs again, and remove damaged blobs
    #[arg(long)]
    repair: bool,
    /// Fail where a build is running, instead of waiting for it
    #[arg(long)]
    no_wait: bool,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Serialize)]
struct Json<'a> {
    outputs: usize,
    blobs: usize,
    damaged: Vec<JsonDamage<'a>>,
}

#[derive(Serialize)]
struct JsonDamage<'a> {
    path: &'a str,
    kind: &'static str,
    recorded: &'a str,
    found: &'a str,
    /// Of a folder: its files that are not as they were made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inside: Vec<JsonInside<'a>>,
    repaired: bool,
}

#[derive(Serialize)]
struct JsonInside<'a> {
    path: &'a str,
    found: &'a str,
}

pub fn run(global: &Global, arguments: &Arguments) -> Result<u8, Error> {
    let session = open::session(global)?;
    let mut order = Order { no_wait: arguments.no_wait, ..open::order(global, &session, &arguments.wanted)? };
    if arguments.wanted.is_empty() {
        order.asked = Vec::new();
    }
    let style = match () {
        () if global.quiet => Style::Quiet,
        () if global.verbose => Style::Verbose,
        () if std::io::stderr().is_terminal() => Style::Bar,
        () => Style::Plain,
    };
    let stop = signals::listen()?;
    let mut listener = progress::listeners(style);
    let verified = verify(&session, &order, arguments.repair, stop, &mut listener)
        .map_err(|e| Error::build(e, &session.pipeline))?;
    match arguments.format {
        Format::Json => print_json(&json(&verified))?,
        Format::Text if global.quiet && verified.damaged.is_empty() => exit::DONE,
        Format::Text => print(&text(&verified, arguments.repair))?,
    };
    Ok(code(&verified))
}

fn code(verified: &Verified) -> u8 {
    let whole = verified.damaged.iter().all(|d| d.repaired);
    match verified.build.as_ref().map_or(exit::DONE, crate::build::outcome::Summary::exit_code) {
        exit::DONE if !whole => exit::FAILED,
        code => code,
    }
}

fn json(verified: &Verified) -> Json<'_> {
    Json {
        outputs: verified.outputs,
        blobs: verified.blobs,
        damaged: verified.damaged.iter().map(json_damage).collect(),
    }
}

fn json_damage(d: &Damage) -> JsonDamage<'_> {
    let kind = if d.is_blob { "blob" } else { "output" };
    let inside = d.inside.iter().map(|(path, found)| JsonInside { path, found }).collect();
    JsonDamage { path: &d.path, kind, recorded: &d.recorded, found: &d.found, inside, repaired: d.repaired }
}

fn text(verified: &Verified, repair: bool) -> String {
    let mut text = String::new();
    for d in &verified.damaged {
        let word = match (d.repaired, d.is_blob) {
            (false, _) => "damaged",
            (true, false) => "repaired",
            (true, true) => "removed",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{word:<8} {}\n  recorded {}\n  found    {}", d.path, d.recorded, d.found);
        for (path, found) in &d.inside {
            let _ = writeln!(text, "  in it    {}: {found}", escape::line(path));
        }
    }
    let damaged = verified.damaged.iter().filter(|d| !d.repaired).count();
    let (outputs, blobs) = (counted(verified.outputs, "output"), counted(verified.blobs, "blob"));
    let _ = write!(text, "{outputs} and {blobs} read, ");
    let repaired = verified.damaged.len() - damaged;
    let _ = match (damaged, repaired) {
        (0, 0) => writeln!(text, "none is damaged"),
        (0, 1) => writeln!(text, "one was damaged and is mended"),
        (0, n) => writeln!(text, "{n} were damaged and are mended"),
        (n, 0) => writeln!(text, "{n} damaged"),
        (n, m) => writeln!(text, "{n} damaged, {m} mended"),
    };
    if damaged > 0 {
        text.push_str(if repair {
            "what is still damaged has no step that makes it now, or its step failed\n"
        } else {
            "`layermill verify --repair` makes again what a step makes, and removes damaged blobs\n"
        });
    }
    text
}

//! `layermill explain`

use std::fmt::Write;

use serde::Serialize;

use crate::build::explain::{Explanation, explain};
use crate::build::outcome::Status;
use crate::build::reason::Reason;

use super::error::Error;
use super::{Format, Global, open, print, print_json};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A step (`target@binding=value`), an output file, or a target
    #[arg(value_name = "STEP", required = true)]
    steps: Vec<String>,
    /// As if `build --refresh` were given
    #[arg(long, value_name = "TARGET", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    refresh: Option<Vec<String>>,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Serialize)]
struct Json<'a> {
    step: &'a str,
    status: &'static str,
    reasons: &'a [Reason],
    message: Option<&'a str>,
    outputs: &'a [String],
    rule: &'a str,
    rule_version: u32,
    parameters: &'a [(String, String)],
    inputs: &'a [(String, String)],
    values: &'a [(String, String, Option<String>)],
    read_out_of: &'a [String],
    source: Option<&'a str>,
    fresh: &'a str,
    asked_at: Option<String>,
    key: Option<String>,
    last_failure: Option<String>,
    last_made: Option<&'a str>,
    log: Option<&'a str>,
}

pub fn run(global: &Global, arguments: &Arguments) -> Result<u8, Error> {
    let session = open::session(global)?;
    let mut order = open::order(global, &session, &arguments.steps)?;
    order.refresh = open::selection(&session.pipeline, arguments.refresh.as_deref())?;
    let found = explain(&session, &order).map_err(|e| Error::build(e, &session.pipeline))?;
    if found.is_empty() {
        let help =
            "no value that is there now makes it; its target may get it yet where `layermill plan` says so".to_owned();
        return Err(Error::wrong(format!("no step {}", arguments.steps.join(", "))).help(Some(help)));
    }
    match arguments.format {
        Format::Json => print_json(&found.iter().map(json).collect::<Vec<_>>()),
        Format::Text => print(&found.iter().map(text).collect::<Vec<_>>().join("\n")),
    }
}

fn json(found: &Explanation) -> Json<'_> {
    Json {
        step: &found.step,
        status: found.status.word(),
        reasons: &found.reasons,
        message: found.message.as_deref(),
        outputs: &found.outputs,
        rule: &found.rule.0,
        rule_version: found.rule.1,
        parameters: &found.params,
        inputs: &found.inputs,
        values: &found.values,
        read_out_of: &found.read_out_of,
        source: found.source.as_deref(),
        fresh: &found.fresh,
        asked_at: found.asked_at.map(time),
        key: found.key.map(|k| k.to_string()),
        last_failure: found.last_failure.as_ref().map(|f| format!("{} {}", time(f.at), f.message)),
        last_made: found.last_made.as_deref(),
        log: found.log.as_deref(),
    }
}

/// How many inputs are listed in words.
const SHOWN: usize = 20;

fn text(found: &Explanation) -> String {
    let mut text = format!("{}: {}\n", found.step, found.status.word());
    // Writing to a String cannot fail.
    for reason in &found.reasons {
        let _ = writeln!(text, "  because   {reason}");
    }
    if let Some(message) = &found.message {
        let word = match found.status {
            Status::Blocked => "blocked by",
            Status::Deferred if found.reasons.is_empty() => "waits for",
            _ => "says",
        };
        let _ = writeln!(text, "  {word:<9} {message}");
    }
    if let Some(failed) = &found.last_failure {
        let _ = writeln!(text, "  failed    {}: {}", time(failed.at), failed.message);
    }
    for output in &found.outputs {
        let _ = writeln!(text, "  output    {output}");
    }
    let _ = writeln!(text, "  rule      {} (version {})", found.rule.0, found.rule.1);
    // What is filled in shows more than the text that it is filled into.
    let shown = |(name, value): &&(String, String)| !value.is_empty() && *value != format!("{{{name}}}");
    for (name, value) in found.params.iter().filter(shown) {
        let _ = writeln!(text, "  {name:<9} {value}");
    }
    for (name, value, digest) in &found.values {
        let digest = digest.as_ref().map(|digest| format!(" ({digest})")).unwrap_or_default();
        let _ = writeln!(text, "  {name:<9} {value}{digest}");
    }
    for origin in &found.read_out_of {
        let _ = writeln!(text, "  out of    {origin}");
    }
    if let Some(source) = &found.source {
        let _ = writeln!(text, "  source    {source}");
        let _ = writeln!(text, "  fresh     {}", found.fresh);
    }
    for (path, digest) in found.inputs.iter().take(SHOWN) {
        let _ = writeln!(text, "  input     {path} ({digest})");
    }
    if found.inputs.len() > SHOWN {
        let _ = writeln!(text, "  input     … and {} more", found.inputs.len() - SHOWN);
    }
    if let Some(why) = &found.last_made {
        let _ = writeln!(text, "  last made {why}");
    }
    if let Some(log) = &found.log {
        let _ = writeln!(text, "  printed   {log}");
    }
    if let Some(at) = found.asked_at {
        let _ = writeln!(text, "  as of     {}", time(at));
    }
    if let Some(key) = &found.key {
        let _ = writeln!(text, "  key       {key}");
    }
    text
}

fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |t| t.to_string())
}

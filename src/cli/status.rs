//! `layermill status`

use std::fmt::Write;

use serde::Serialize;

use crate::build::events::Silence;
use crate::build::look;
use crate::build::outcome::{Status, Summary, standing};
use crate::pipeline::Pipeline;

use super::error::Error;
use super::{Format, Global, open, print, print_json};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Targets, steps or output files [default: all]
    #[arg(value_name = "TARGET")]
    wanted: Vec<String>,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    target: &'a str,
    up_to_date: usize,
    stale: usize,
    missing: usize,
    absent: usize,
    failed: usize,
    blocked: usize,
    deferred: usize,
}

pub fn run(global: &Global, arguments: &Arguments) -> Result<u8, Error> {
    let session = open::session(global)?;
    let mut order = open::order(global, &session, &arguments.wanted)?;
    if arguments.wanted.is_empty() {
        order.asked = open::everything(&session);
    }
    let summary = look(&session, &order, &mut Silence).map_err(|e| Error::build(e, &session.pipeline))?;
    let rows = rows(&summary, &session.pipeline);
    match arguments.format {
        Format::Json => print_json(&rows),
        Format::Text => print(&table(&rows)),
    }
}

fn rows<'p>(summary: &Summary, pipeline: &'p Pipeline) -> Vec<Row<'p>> {
    let none = || vec![0; pipeline.targets.len()];
    let (mut missing, mut failed, mut deferred) = (none(), none(), none());
    for account in summary.accounts.iter().filter(|a| a.status == Status::Stale) {
        let because = account.reasons.as_ref().map(|reasons| &reasons.first);
        match standing(account.status, account.last_failure.as_ref(), because) {
            "failed" => failed[account.target] += 1,
            "deferred" => deferred[account.target] += 1,
            "missing" => missing[account.target] += 1,
            _ => {}
        }
    }
    let targets = pipeline
        .targets
        .iter()
        .enumerate()
        .filter(|(t, this)| this.rule.is_some() && summary.by_target[*t].total() > 0);
    targets
        .map(|(t, this)| {
            let counts = &summary.by_target[t];
            // A step of several targets is told under the first.
            let failed = failed[t].min(counts.stale);
            let deferred = deferred[t].min(counts.stale - failed);
            let missing = missing[t].min(counts.stale - failed - deferred);
            Row {
                target: &this.name,
                up_to_date: counts.up_to_date,
                stale: counts.stale - missing - failed - deferred,
                missing,
                absent: counts.absent,
                failed: counts.failed + failed,
                blocked: counts.blocked,
                deferred: counts.deferred + deferred,
            }
        })
        .collect()
}

fn table(rows: &[Row<'_>]) -> String {
    let width = rows.iter().map(|r| r.target.len()).max().unwrap_or(0).max("target".len());
    let mut text = format!("{:<width$}  up to date  stale  missing  absent  failed  blocked  deferred\n", "target");
    for r in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<width$}  {:>10}  {:>5}  {:>7}  {:>6}  {:>6}  {:>7}  {:>8}",
            r.target, r.up_to_date, r.stale, r.missing, r.absent, r.failed, r.blocked, r.deferred
        );
    }
    text
}

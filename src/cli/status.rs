//! `layermill status`

use std::fmt::Write;

use serde::Serialize;

use crate::build::events::Silence;
use crate::build::look;
use crate::build::outcome::{Status, Summary};
use crate::build::reason::Reason;
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
    deferred: usize,
    /// Of those that are up to date: the ones whose values were read out of what is to be built again.
    in_doubt: usize,
    /// What has to be built before all its steps can be told.
    told_after: Option<&'a str>,
}

impl Row<'_> {
    /// What the numbers do not say.
    fn note(&self) -> String {
        match (self.told_after, self.in_doubt) {
            (None, _) => String::new(),
            (Some(step), 0) => format!("  its steps are told once {step} is built"),
            (Some(step), n) => {
                format!("  {n} up to date as of the last build; its steps are told once {step} is built")
            }
        }
    }
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

fn rows<'p>(summary: &'p Summary, pipeline: &'p Pipeline) -> Vec<Row<'p>> {
    let told_after = |target: usize| summary.unknown.iter().find(|(t, _)| *t == target).map(|(_, step)| step.as_str());
    let is_missing = |r: &Reason| matches!(r, Reason::FirstBuild | Reason::MissingOutput(_));
    let none = || vec![0; pipeline.targets.len()];
    let (mut missing, mut failed, mut deferred) = (none(), none(), none());
    for account in summary.accounts.iter().filter(|a| a.status == Status::Stale) {
        if let Some(last) = &account.last_failure {
            let tried = if last.deferred { &mut deferred } else { &mut failed };
            tried[account.target] += 1;
        } else if account.reasons.iter().any(|r| is_missing(&r.first)) {
            missing[account.target] += 1;
        }
    }
    let targets = pipeline
        .targets
        .iter()
        .enumerate()
        .filter(|(t, this)| this.rule.is_some() && (summary.by_target[*t].total() > 0 || told_after(*t).is_some()));
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
                failed: counts.failed + counts.blocked + failed,
                deferred: counts.deferred + deferred,
                in_doubt: summary.in_doubt[t],
                told_after: told_after(t),
            }
        })
        .collect()
}

fn table(rows: &[Row<'_>]) -> String {
    let width = rows.iter().map(|r| r.target.len()).max().unwrap_or(0).max("target".len());
    let mut text = format!("{:<width$}  up to date  stale  missing  absent  failed  deferred\n", "target");
    for r in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<width$}  {:>10}  {:>5}  {:>7}  {:>6}  {:>6}  {:>8}{}",
            r.target,
            r.up_to_date,
            r.stale,
            r.missing,
            r.absent,
            r.failed,
            r.deferred,
            r.note()
        );
    }
    text
}

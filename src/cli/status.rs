//! `layermill status`

use std::fmt::Write;

use serde::Serialize;

use crate::build::events::Silence;
use crate::build::outcome::{Summary, Unknown};
use crate::build::request::Asked;
use crate::build::{BuildError, Session, look, look_through};
use crate::pipeline::Pipeline;
use crate::pipeline::problem::{Problem, Problems};

use super::error::Error;
use super::{Format, Global, open, print, print_json};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Targets, steps or output files [default: all]
    #[arg(value_name = "TARGET")]
    wanted: Vec<String>,
    #[command(flatten)]
    by_hand: open::ByHand,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, Default, Serialize)]
struct Row<'a> {
    target: &'a str,
    up_to_date: usize,
    stale: usize,
    missing: usize,
    absent: usize,
    failed: usize,
    blocked: usize,
    deferred: usize,
    /// Of those that are up to date: the ones whose values were read out of what is to be built again.
    in_doubt: usize,
    /// Of those that are blocked: the ones that failed when they were last tried.
    failed_before: usize,
    /// What has to be built before all its steps can be told.
    told_after: Option<String>,
    /// The same in words.
    #[serde(skip)]
    told: Option<String>,
    /// Which of its steps cannot be made together with one of another target.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl Row<'_> {
    /// What the numbers do not say.
    fn note(&self) -> String {
        let told = match (&self.told, self.in_doubt) {
            (None, _) => String::new(),
            (Some(when), 0) => format!("  {when}"),
            (Some(when), n) => format!("  {n} up to date as of the last build; {when}"),
        };
        let failed = match self.failed_before {
            0 => String::new(),
            1 => "  1 of the blocked failed when it was last tried".to_owned(),
            n => format!("  {n} of the blocked failed when they were last tried"),
        };
        told + &failed + &self.problem.as_ref().map(|problem| format!("  {problem}")).unwrap_or_default()
    }
}

pub fn run(global: &Global, arguments: &Arguments) -> Result<u8, Error> {
    let session = open::session(global)?;
    let mut order = open::order(global, &session, &arguments.wanted)?;
    if arguments.wanted.is_empty() {
        order.asked = open::everything(&session);
    }
    arguments.by_hand.choose(&session, &mut order)?;
    let told = match look(&session, &order, &mut Silence) {
        Ok(summary) => (summary, Problems::default()),
        Err(BuildError::Pipeline(problems)) if are_clashes(&problems, &session) => {
            (look_through(&session, &order).map_err(|e| Error::build(e, &session.pipeline))?, problems)
        }
        Err(error) => return Err(Error::build(error, &session.pipeline)),
    };
    let (summary, clashes) = &told;
    let (rows, orphans) = (rows(summary, clashes, &order.asked, &session.pipeline), summary.orphans);
    match arguments.format {
        Format::Json => print_json(&rows),
        Format::Text => print(&(table(&rows) + &told_of(orphans))),
    }
}

/// Whether all that is wrong is that steps make the same files: those cannot be made, and with them what needs them.
fn are_clashes(problems: &Problems, session: &Session) -> bool {
    let axes = || session.pipeline.targets.iter().flat_map(|target| &target.axes);
    problems.0.iter().all(|problem| axes().all(|axis| problem.span != Some(axis.span)))
}

/// Whether a step of a target is among those that a problem names.
fn is_of(problem: &Problem, target: &str) -> bool {
    problem.label.split(" and ").any(|step| step.split('@').next() == Some(target))
}

fn told<'a>(mut problems: impl Iterator<Item = &'a Problem>) -> Option<String> {
    let first = problems.next()?;
    let more = match problems.count() {
        0 => String::new(),
        more => format!(" (+{more} more)"),
    };
    Some(format!("{} ({}){more}", first.message, first.label))
}

fn rows<'p>(summary: &Summary, clashes: &Problems, asked: &[Asked], pipeline: &'p Pipeline) -> Vec<Row<'p>> {
    let unknown = |target: usize| summary.unknown.iter().find(|u| u.target == target);
    // What was asked for has a row, also where it has no step.
    let is_told =
        |t: usize| asked.contains(&Asked::Target(t)) || summary.by_target[t].total() > 0 || unknown(t).is_some();
    let targets = pipeline.targets.iter().enumerate().filter(|(t, this)| match this.rule {
        Some(_) => is_told(*t),
        // A group makes nothing, and counts where it fails itself.
        None => summary.by_target[*t].total() > 0,
    });
    targets
        .map(|(t, this)| {
            let counts = &summary.by_target[t];
            let standings = &summary.standings[t];
            Row {
                target: &this.name,
                up_to_date: counts.up_to_date,
                stale: standings.stale,
                missing: standings.missing,
                absent: counts.absent,
                failed: counts.failed + standings.failed,
                blocked: counts.blocked,
                deferred: counts.deferred + standings.deferred,
                in_doubt: summary.in_doubt[t],
                failed_before: standings.failed_before,
                told_after: unknown(t).map(Unknown::what),
                told: unknown(t).map(Unknown::when),
                problem: told(clashes.0.iter().filter(|problem| is_of(problem, &this.name))),
            }
        })
        .collect()
}

/// A line where there are any.
fn told_of(orphans: usize) -> String {
    let help = "`layermill clean --orphans` lists and removes";
    match orphans {
        0 => String::new(),
        1 => format!("1 output that no step makes any more: {help} it\n"),
        n => format!("{n} outputs that no step makes any more: {help} them\n"),
    }
}

fn table(rows: &[Row<'_>]) -> String {
    let width = rows.iter().map(|r| r.target.len()).max().unwrap_or(0).max("target".len());
    let mut text = format!("{:<width$}  up to date  stale  missing  absent  failed  blocked  deferred\n", "target");
    for r in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<width$}  {:>10}  {:>5}  {:>7}  {:>6}  {:>6}  {:>7}  {:>8}{}",
            r.target,
            r.up_to_date,
            r.stale,
            r.missing,
            r.absent,
            r.failed,
            r.blocked,
            r.deferred,
            r.note()
        );
    }
    text
}

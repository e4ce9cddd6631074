//! `layermill explain`

mod json;

use std::fmt::Write;

use crate::build::BuildError;
use crate::build::clock::time;
use crate::build::explain::reads::{Now, Read};
use crate::build::explain::{Explanation, Standing, explain, made_as, tell_inside};
use crate::build::failures::Failed;
use crate::build::outcome::{ASK, RESTORE, Status};
use crate::build::request::Asked;

use super::error::Error;
use super::plan::{MAY_BE_BLOCKED, MAY_FAIL};
use super::{Format, Global, exit, open, print, print_json};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A step (`target@binding=value`), an output file (also one that no step makes any more), or a target
    #[arg(value_name = "STEP", required = true)]
    steps: Vec<String>,
    #[command(flatten)]
    by_hand: open::ByHand,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn run(global: &Global, arguments: &Arguments) -> Result<u8, Error> {
    let session = open::session(global)?;
    let mut order = open::order(global, &session, &[])?;
    order.asked.clear();
    let (mut paths, mut named) = (Vec::new(), Vec::new());
    for argument in &arguments.steps {
        let asked = open::steps(&session, argument)?;
        let by_name = asked.iter().flatten().all(|asked| !matches!(asked, Asked::Output(..)));
        let path = open::below(&session.pipeline, argument);
        named.extend((asked.is_err() || !by_name).then(|| path.clone()));
        match asked {
            Ok(asked) => order.asked.extend(asked),
            Err(unknown) => {
                let made = made_as(&session, argument).map_err(|e| Error::build(e, &session.pipeline))?;
                let made = if made.is_empty() { vec![path] } else { made };
                paths.extend(made.into_iter().map(|path| (path, unknown.clone())));
            }
        }
    }
    arguments.by_hand.choose(&session, &mut order)?;
    let wrong = |e| Error::build(e, &session.pipeline);
    let ((mut found, missing), problems) = explain(&session, &order, paths).map_err(wrong)?;
    tell_inside(&session, &order, &named, &mut found).map_err(wrong)?;
    if !found.is_empty() {
        match arguments.format {
            Format::Json => print_json(&found.iter().map(json::of).collect::<Vec<_>>())?,
            Format::Text => {
                print(&found.iter().map(|found| text(found, global.verbose)).collect::<Vec<_>>().join("\n"))?
            }
        };
    }
    let names: Vec<&str> = missing.iter().map(|unknown| unknown.message.as_str()).collect();
    let help = missing.iter().find_map(|unknown| unknown.help.clone());
    match problems {
        _ if !names.is_empty() => Err(Error::wrong(names.join("; ")).help(help)),
        Some(problems) => Err(wrong(BuildError::Pipeline(problems))),
        None => Ok(exit::DONE),
    }
}

/// How many causes, and how many inputs, are listed in words.
const SHOWN: usize = 20;

/// The lines of an explanation: a word, and what there is to say.
struct Lines {
    text: String,
    /// What is counted otherwise is named.
    verbose: bool,
}

impl Lines {
    fn add(&mut self, word: &str, text: impl std::fmt::Display) {
        let text = text.to_string();
        for (i, line) in text.lines().enumerate() {
            let word = if i == 0 { word } else { "" };
            // Writing to a String cannot fail.
            let _ = writeln!(self.text, "  {word:<9} {}", escaped(line));
        }
    }

    fn all<T: std::fmt::Display>(&mut self, word: &str, texts: impl IntoIterator<Item = T>) {
        texts.into_iter().for_each(|text| self.add(word, text));
    }

    /// What more there is of that which was told last, where it was asked for.
    fn and(&mut self, more: &[String]) {
        let more = if self.verbose { more } else { &[] };
        self.all("", more);
    }

    /// The first of them; of the rest, how many there are.
    fn some<T: std::fmt::Display>(&mut self, word: &str, texts: impl ExactSizeIterator<Item = T>, more: usize) {
        let listed = texts.len();
        let named = if more > 0 { format!("the first {listed}") } else { "them".to_owned() };
        let more = (listed + more).saturating_sub(SHOWN);
        self.all(word, texts.take(SHOWN));
        if more > 0 {
            self.add(word, format!("… and {more} more (--format json names {named})"));
        }
    }
}

/// Nothing in it that a terminal would obey.
fn escaped(line: &str) -> String {
    line.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

fn text(found: &Explanation, verbose: bool) -> String {
    let mut lines = Lines { text: format!("{}: {}\n", found.step, found.word()), verbose };
    standing(found, &mut lines);
    made_of(found, &mut lines);
    past(found, &mut lines);
    lines.all("again if", &found.again);
    lines.text
}

/// What is to be said of it now.
fn standing(found: &Explanation, lines: &mut Lines) {
    lines.some("because", found.reasons.iter(), found.more_reasons);
    if let Some(message) = &found.message {
        let word = match found.standing {
            Standing::Step(Status::Blocked) => "blocked by",
            _ if found.may_fail => MAY_FAIL,
            Standing::Step(Status::UpToDate | Status::Stale) => MAY_BE_BLOCKED,
            Standing::Step(Status::Deferred) if found.waits => "waits for",
            _ => "says",
        };
        lines.add(word, message);
        lines.and(&found.told_after);
    }
    lines.all("", &found.doubt);
    lines.some("since", found.faults.iter(), 0);
    lines.all("alone", &found.alone);
    lines.all("help", &found.help);
    lines.all(
        "a build",
        match (found.standing, found.work) {
            (Standing::Step(Status::Adopted), _) => Some("takes over what is there"),
            (Standing::Step(Status::Deferred), _) if found.perhaps && found.waits => {
                Some("may make it all the same, with what it waits for")
            }
            (Standing::Step(Status::Deferred), _) if found.perhaps => {
                Some("may make it all the same: where the store has what its source names, or others leave some of the budget")
            }
            (_, Some(ASK)) if found.perhaps => Some("may ask its source"),
            (_, Some(ASK)) => Some("asks its source"),
            (_, Some(RESTORE)) if found.perhaps => Some("may restore its outputs from the store"),
            (_, Some(RESTORE)) => Some("restores its outputs from the store"),
            (_, Some(_)) if found.perhaps => Some("may make it"),
            (_, work) => work.map(|_| "makes it"),
        },
    );
    let is_sure = !found.perhaps && found.work.is_some();
    let asks = if is_sure { "will ask" } else { "may ask" };
    lines.all(asks, found.asks.as_ref().map(|what| format!("its source for {what}")));
    if let Some(failed) = &found.last_failure {
        let attempts = if failed.attempts > 1 { format!(" after {} attempts", failed.attempts) } else { String::new() };
        lines.add(failed.word(), format!("{}{attempts}: {}", time(failed.at), failed.message));
        let tried = if failed.asked() { "it was asked because" } else { "it ran because" };
        lines.all("", failed.because.as_ref().map(|why| format!("{tried}: {why}")));
        lines.all("", failed.change().map(|change| format!("its source told: {change}")));
        lines.all("", failed.had_failed());
        lines.all("", failed.moved.then_some("what it is made from has changed since"));
        let answered = failed.asked() || found.standing == Standing::Step(Status::Absent);
        let before = if answered { "what was answered before stands" } else { "what was made before stands" };
        // What cannot be made stands in need of it.
        let stands = found.work.is_none() && !matches!(found.standing, Standing::Step(status) if status.fails());
        lines.all("", (stands && found.last_made.is_some()).then_some(before));
    }
}

/// Whether the last run, and so what is left of what it printed, is the one that failed.
fn of_failure(found: &Explanation) -> bool {
    found.last_failure.as_ref().is_some_and(|failed| !failed.deferred && failed.because.is_some())
}

/// What it is made of.
fn made_of(found: &Explanation, lines: &mut Lines) {
    lines.all("output", &found.outputs);
    lines.all("", &found.inside);
    if !found.same_as.is_empty() {
        lines.add("also of", format!("{}: the same step", found.same_as.join(", ")));
        lines.all("", (!found.held.is_empty()).then(|| format!("built together: {}", found.held.join("; "))));
    }
    for rival in &found.rivals {
        lines.add(
            "rival",
            format!(
                "{rival} may make this file, too, and otherwise: together both fail, and alone each undoes the other"
            ),
        );
    }
    match found.rule.1 {
        0 => lines.all("rule", Some(&found.rule.0).filter(|rule| !rule.is_empty())),
        version => lines.add("rule", format!("{} (version {version})", found.rule.0)),
    }
    // What is filled in shows more than the text that it is filled into, and the source has a line of its own.
    let shown = |(name, value): &&(String, String)| {
        !value.is_empty() && *value != format!("{{{name}}}") && found.source.as_ref() != Some(value)
    };
    for (name, value) in found.params.iter().filter(shown) {
        lines.add(name, value);
    }
    for (name, value, digest) in &found.values {
        let digest = digest.as_ref().map(|digest| format!(" ({digest})")).unwrap_or_default();
        lines.add(name, format!("{value}{digest}"));
    }
    lines.all("note", &found.notes);
    lines.all("out of", &found.read_out_of);
    if let Some((first, more)) = found.list_failures.split_first() {
        lines.add("", first);
        lines.and(more);
        let unlisted =
            (!lines.verbose && !more.is_empty()).then(|| format!("… and {} more (-v names them)", more.len()));
        lines.all("", unlisted);
    }
    if let Some((step, standing)) = &found.in_doubt {
        lines.add("", format!("{step} is {standing}: whether there still is such a step is seen once that is built"));
    }
    if let Some(source) = &found.source {
        lines.add("source", source);
        let other = found.other_source.as_ref();
        let is_absent = found.last_made.as_ref().is_some_and(|made| made.is_absent);
        let what = if is_absent { "became absent" } else { "was last made" };
        lines.all("", other.map(|other| format!("it was {other} when this {what}")));
    }
    if let Some(fresh) = found.fresh.as_ref().filter(|fresh| found.source.is_some() || *fresh != "exists") {
        lines.add("fresh", fresh);
    }
    lines.all("no cause", found.settings.iter().map(|(name, value)| format!("{name}: {value}")));
    lines.all("read", found.contents.iter().map(|(digest, what)| format!("{digest} ({what})")));
    lines.some("input", found.inputs.iter().map(read), 0);
    lines.all("input", &found.inputs_of_none);
    for input in &found.inputs_to_come {
        lines.add("more", &input.text);
        lines.and(&input.and);
    }
    lines.all("after", &found.after);
}

fn read(read: &Read) -> String {
    let mut text = read.name.as_ref().map(|name| format!("{{in.{name}}} ")).unwrap_or_default();
    text.push_str(&read.path);
    let now = match &read.now {
        Now::Is(digest) => Some(digest.as_str()),
        Now::Unknown => Some("there, not known yet"),
        Now::Gone if read.was.is_some() => Some("gone"),
        Now::Gone => Some("not there"),
        Now::Unusable(why) => Some(why.as_str()),
        Now::Untold => None,
    };
    let was = read.was.as_ref().map(|was| format!("was {was}"));
    let was = was.or_else(|| read.left_out.then(|| "not read by the last run".to_owned()));
    let words: Vec<&str> = now.into_iter().chain(was.as_deref()).collect();
    let _ = write!(text, " ({})", words.join(", "));
    if let Some((step, trouble)) = &read.step {
        let _ = write!(text, " of {step}");
        let _ = trouble.as_ref().map(|trouble| write!(text, ", {trouble}"));
    }
    text.push_str(if read.orphan { ", which no step makes any more" } else { "" });
    if read.found {
        text.push_str(" found while it ran");
    }
    text
}

/// What was, when it was last asked and made.
fn past(found: &Explanation, lines: &mut Lines) {
    if let Some(asked) = &found.last_asked {
        let by = asked.by.as_ref().map(|by| format!(", by {by}")).unwrap_or_default();
        lines.add("asked at", format!("{}: {}{by}", time(asked.at), asked.outcome));
        lines.all("", &asked.notes);
        lines.all("", asked.absent.as_ref().filter(|why| found.message.as_ref() != Some(why)));
        lines.all("", &asked.earlier);
        let told = asked.causes.iter().filter(|_| asked.otherwise);
        lines.all("", told.map(|why| format!("it was asked because: {why}")));
    }
    if let Some(made) = &found.last_made {
        match made.causes.as_slice() {
            [] => {
                // Of what a source answers, the file tells the time; by hand, it is taken over as of then.
                let of = if found.source.is_some() { "; it is of" } else { ", at" };
                lines.add("taken", format!("over as it was, without being made{of} {}", time(made.at)));
                lines.all("", &made.says);
                lines.all("before", &made.before);
            }
            [first, more @ ..] if made.is_absent => {
                lines.add("absent", format!("since {}: {first}", time(made.at)));
                lines.all("", more);
            }
            [first, more @ ..] => {
                lines.add("last made", first);
                lines.all("", more);
                lines.add("made at", time(made.at));
            }
        }
        let target = found.step.split('@').next().unwrap_or_default();
        let is_another = |by: &&String| *by != target || found.standing == Standing::Orphan || made.step.is_some();
        let by = made.target.as_ref().filter(is_another);
        let word = match () {
            () if made.causes.is_empty() => "for",
            () if made.is_absent => "asked by",
            () => "made by",
        };
        lines.all(word, by.map(|by| made.step.as_ref().unwrap_or(by)));
    }
    let of = found.last_failure.as_ref().filter(|_| of_failure(found)).map(|last| match last {
        Failed { running: true, .. } => " (by the run that is under way)",
        Failed { interrupted: true, .. } => " (by the run that was interrupted)",
        _ => " (by the run that failed)",
    });
    let of = of.or_else(|| found.log_is_later.then_some(" (by a later run, which failed)"));
    lines.all("printed", found.log.as_ref().map(|log| format!("{log}{}", of.unwrap_or_default())));
    lines.all("key", found.key);
}

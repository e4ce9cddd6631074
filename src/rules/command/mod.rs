//! `command`: an output made by a program of the user's. `docs/commands.md` is its manual.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::pipeline::model::{Node, Part, Pattern, Piece, Target, Text};
use crate::pipeline::problem::{Problems, suggest};
use crate::pipeline::shape::{Key, Kind, Shape};
use crate::pipeline::{Pipeline, pattern};

use self::line::Line;
use super::{Asks, Common, Failure, Job, Lane, Made, Rule};

mod attempt;
mod depfile;
mod line;
mod output;
pub mod places;
mod process;
pub mod running;
pub mod sandbox;
mod simple;
pub mod strays;

pub const KIND: Kind = Kind {
    name: "command",
    doc: "Runs a program that makes the output",
    keys: &[
        Key {
            name: "run",
            shape: Shape::Any(&[Shape::Text, Shape::List(&Shape::Text)]),
            required: true,
            doc: "A text for `sh -c`, every value quoted; or a list, run without a shell. {in}, {in.NAME}, {in.list}, {out}, {out.NAME} and bindings are filled in",
        },
        Key {
            name: "depfile",
            shape: Shape::Text,
            required: false,
            doc: "A file in make's format that the command writes, such as {out}.d: what it names was read, too",
        },
        Key {
            name: "sandbox",
            shape: Shape::Bool,
            required: false,
            doc: "true: the command can write nothing but its outputs and a temporary folder of its own",
        },
    ],
};

/// What a command gets of the environment beside `TMPDIR` and what `env:` says.
const PASSED: &[&str] = &["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ"];

struct Command {
    line: Line,
    depfile: Option<Pattern>,
    sandbox: bool,
    common: Common,
    env: Vec<(String, Pattern)>,
    /// What it gets of our own environment.
    passed: Vec<(&'static str, OsString)>,
    /// Names and values.
    secrets: Vec<(String, String)>,
    /// Names of the outputs, where they have any; whether they are folders.
    outputs: Vec<(Option<String>, bool)>,
    /// No `{out}` is in its text: it names its outputs itself.
    in_place: bool,
}

/// Makes the rule of a target.
pub fn compile(target: &Target, pipeline: &Pipeline, problems: &mut Problems) -> Option<Arc<dyn Rule>> {
    let run = target.keys.get("run")?;
    let parse = |node: &Node| node.as_text().map(|t| pattern::parse(t, node.span, &pipeline.text, &target.bindings));
    let is_blank = |text: &Text| text.expose().trim().is_empty();
    let empty = match run.as_list() {
        Some([]) => Some("this list is empty"),
        None if run.as_text().is_some_and(is_blank) => Some("this text is empty"),
        _ => None,
    };
    if let Some(label) = empty {
        problems.at(run.span, "nothing to run", label);
        return None;
    }
    let line = match run.as_list() {
        Some(words) => Line::Words(words.iter().map(parse).collect::<Option<_>>()?),
        None => Line::Shell(parse(run)?),
    };
    let depfile = target.keys.get("depfile").and_then(parse);
    let env: Vec<(String, Pattern)> = target
        .env
        .iter()
        .map(|(name, value)| (name.clone(), pattern::parse(value, target.span, &pipeline.text, &target.bindings)))
        .collect();

    let (inputs, outputs) = (input_names(target), output_names(target));
    let all: Vec<String> = inputs.into_iter().chain(outputs.iter().cloned()).collect();
    let before = problems.0.len();
    line.patterns().iter().for_each(|p| check_names(p, &all, target, problems));
    depfile.iter().for_each(|p| check_names(p, &outputs, target, problems));
    env.iter().for_each(|(_, p)| check_names(p, &[], target, problems));
    let in_place = !line.parts().any(|p| matches!(p, Part::Special(n, _) if outputs.contains(n)));
    let sandbox = target.keys.get("sandbox").and_then(Node::as_bool).unwrap_or(false);
    if sandbox && in_place && !target.loose {
        let label = "this command names its output itself";
        problems.at(run.span, "a sandbox without `{out}`", label).help =
            Some("with `sandbox: true` a command writes to `{out}`, and can write nowhere else".to_owned());
    }
    if problems.0.len() > before {
        return None;
    }

    let patterns = || line.patterns().iter().chain(&depfile).chain(env.iter().map(|(_, p)| p));
    let reads: BTreeSet<usize> = patterns().flat_map(pattern::bindings).collect();
    let secrets = patterns().flat_map(|p| &p.parts).flat_map(secrets_of).collect();
    let common = Common {
        name: KIND.name,
        version: 1,
        params: params(target, &line, depfile.as_ref(), &env, sandbox),
        reads: reads.into_iter().collect(),
        lane: Lane::Process,
        // A key does not tell what a command with a depfile read: its outputs are not brought back by it.
        cached: depfile.is_none(),
        finds: depfile.is_some(),
        asks: Asks::Never,
        is_remote: false,
    };
    Some(Arc::new(Command {
        common,
        passed: PASSED.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))).collect(),
        secrets,
        outputs: target.outputs.iter().map(|o| (o.name.clone(), o.folder)).collect(),
        in_place,
        env,
        depfile,
        sandbox,
        line,
    }))
}

/// What its key hashes of the target's text.
fn params(
    target: &Target,
    line: &Line,
    depfile: Option<&Pattern>,
    env: &[(String, Pattern)],
    sandbox: bool,
) -> Vec<(String, String)> {
    let template = |p: &Pattern| pattern::template(p, &target.bindings);
    let mut params: Vec<(String, String)> = match line {
        Line::Shell(text) => vec![("run".to_owned(), template(text))],
        Line::Words(words) => words.iter().enumerate().map(|(i, p)| (format!("run.{i}"), template(p))).collect(),
    };
    params.extend(env.iter().map(|(name, value)| (format!("env.{name}"), template(value))));
    params.extend(depfile.map(|p| ("depfile".to_owned(), template(p))));
    params.extend(sandbox.then(|| ("sandbox".to_owned(), "true".to_owned())));
    let names: Vec<&str> = target.outputs.iter().filter_map(|o| o.name.as_deref()).collect();
    if !names.is_empty() {
        params.push(("outputs".to_owned(), names.join(",")));
    }
    params
}

/// What may stand in braces for inputs.
fn input_names(target: &Target) -> Vec<String> {
    let named = target.inputs.iter().filter_map(|i| i.name.as_deref()).map(|n| format!("in.{n}"));
    ["in", "in.list"].into_iter().map(str::to_owned).chain(named).collect()
}

/// What may stand in braces for outputs.
fn output_names(target: &Target) -> Vec<String> {
    let named = target.outputs.iter().filter_map(|o| o.name.as_deref()).map(|n| format!("out.{n}"));
    std::iter::once("out".to_owned()).chain(named).collect()
}

/// Reports what stands in braces and is neither a binding nor one of these.
fn check_names(pattern: &Pattern, known: &[String], target: &Target, problems: &mut Problems) {
    for part in &pattern.parts {
        if let Part::Special(name, span) = part
            && !known.contains(name)
            && !target.loose
        {
            let names = known.iter().map(String::as_str).chain(target.bindings.iter().map(|b| b.name.as_str()));
            let label = format!("nothing is called `{name}` here");
            problems.at(*span, "unknown binding", label).help = suggest(name, names)
                .or_else(|| Some("write {{ and }} for braces that are meant as they are".to_owned()));
        }
    }
}

fn secrets_of(part: &Part) -> Vec<(String, String)> {
    let Part::Text(text) = part else { return Vec::new() };
    let secret = |piece: &Piece| match piece {
        Piece::Secret { name, value } if !value.is_empty() => Some((name.clone(), value.clone())),
        _ => None,
    };
    text.0.iter().filter_map(secret).collect()
}

impl Rule for Command {
    fn common(&self) -> &Common {
        &self.common
    }

    fn make<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Made, Failure>> {
        Box::pin(async move {
            let mut attempt = 0;
            loop {
                job.attempts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                match self.attempt(job).await {
                    Err(failure) if !failure.interrupted && attempt < job.retries.unwrap_or(0) => {
                        output::end_of_attempt(&job.log, attempt + 1, &failure.message);
                        wait_before(attempt, job).await?;
                        attempt += 1;
                        places::clear(&job.scratch).map_err(|e| Failure::new(format!("cannot prepare: {e}")))?;
                    }
                    done => return done,
                }
            }
        })
    }
}

/// A second, then two, then four, up to a minute; and not in step with others.
async fn wait_before(attempt: u32, job: &Job) -> Result<(), Failure> {
    let longest = Duration::from_secs(1 << attempt.min(6)).min(Duration::from_secs(60));
    let mut cancelled = job.cancelled.clone();
    tokio::select! {
        () = tokio::time::sleep(longest.mul_f64(0.5 + fastrand::f64() / 2.0)) => Ok(()),
        _ = cancelled.wait_for(|c| *c) => Err(Failure::interrupted()),
    }
}

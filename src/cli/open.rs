//! From the global arguments to a session.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::build::clock::Clock;
use crate::build::explain::{by_label, help_to_name, made_as};
use crate::build::request::{self, Asked, Unknown};
use crate::build::{Bystander, Order, Selection, Session};
use crate::pipeline::check;
use crate::pipeline::model::{Pipeline, SourceEntry, Target};
use crate::pipeline::shape::Vocabulary;
use crate::registry::{Budgets, Logins, Shared, Traffic, Validators};
use crate::{progress, registry, rules};

use super::Global;
use super::error::Error;

/// What is asked for, or run, whatever the records say.
#[derive(Debug, clap::Args)]
pub struct ByHand {
    /// Ask sources again, however fresh their answers are; of these targets, steps or output files only, where some are named
    #[arg(long, value_name = "TARGET", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    refresh: Option<Vec<String>>,
    /// Run steps whatever their records say; of these targets, steps or output files only, where some are named
    #[arg(long, value_name = "TARGET", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    force: Option<Vec<String>>,
}

impl ByHand {
    pub fn choose(&self, session: &Session, order: &mut Order) -> Result<(), Error> {
        order.refresh = selection(session, self.refresh.as_deref())?;
        order.force = selection(session, self.force.as_deref())?;
        Ok(())
    }
}

/// What the pipeline's check and schema know of rules and sources.
pub const VOCABULARY: Vocabulary = Vocabulary { rules: rules::KINDS, sources: registry::KINDS };

/// Reads the pipeline, opens its sources, makes its rules; all that is wrong is said at once.
pub fn session(global: &Global) -> Result<Session, Error> {
    let file = find(global)?;
    let options = check::Options { sets: global.set.clone(), profile: global.profile.clone() };
    let loaded = check::load(&file, &options, &VOCABULARY);
    let mut problems = loaded.problems;
    let traffic = Arc::new(Traffic::default());
    let session = loaded.pipeline.map(|pipeline| {
        let work_dir = pipeline.root.join(".layermill");
        let budgets = Arc::new(Budgets::kept_in(work_dir.clone()));
        let (root, logins) = (pipeline.root.clone(), Logins::of_environment());
        let shared = Shared {
            traffic: traffic.clone(),
            budgets: budgets.clone(),
            validators: Arc::new(Validators::kept_in(&work_dir)),
            fetches: Arc::default(),
            root,
            logins,
            offline: global.offline,
        };
        // What is faulty is looked at for what else is wrong with it, and for nothing else.
        let mut open = |entry: &SourceEntry| match (entry.faulty, entry.loose) {
            (false, _) => registry::open(entry, &shared, &mut problems),
            (true, loose) => {
                if !loose {
                    problems.further(entry.span, |found| drop(registry::open(entry, &shared, found)));
                }
                None
            }
        };
        let sources: Vec<_> = pipeline.sources.iter().map(&mut open).collect();
        let mut compile = |target: &Target| match target.faulty {
            false => rules::compile(target, &pipeline, &sources, &mut problems),
            true => {
                problems.further(target.span, |found| drop(rules::compile(target, &pipeline, &sources, found)));
                None
            }
        };
        let rules = pipeline.targets.iter().map(&mut compile).collect();
        let store = global.store.clone().unwrap_or_else(|| work_dir.join("store"));
        Session {
            pipeline,
            rules,
            traffic,
            budgets,
            work_dir,
            store,
            offline: global.offline,
            clock: Clock::System,
            bystander: Bystander::new(progress::damage),
        }
    });
    match session {
        Some(session) if problems.is_empty() => Ok(session),
        _ => Err(Error::pipeline(problems.report(&file, &loaded.text).into())),
    }
}

/// The pipeline file, by its name or the nearest one above.
pub fn find(global: &Global) -> Result<PathBuf, Error> {
    const NAME: &str = "pipeline.yaml";
    if let Some(file) = &global.file {
        return Ok(file.clone());
    }
    let here = std::env::current_dir().map_err(|e| Error::failed(format!("cannot tell the current folder: {e}")))?;
    match here.ancestors().find(|folder| folder.join(NAME).is_file()) {
        Some(folder) if folder == here => Ok(PathBuf::from(NAME)),
        Some(folder) => Ok(folder.join(NAME)),
        None => Err(Error::wrong(format!("no {NAME} here or in any folder above"))
            .help(Some("`layermill init` writes one to start from; -f names another file".to_owned()))),
    }
}

/// Understands what was asked for; nothing is what the pipeline says under `default:`.
pub fn order(global: &Global, session: &Session, arguments: &[String]) -> Result<Order, Error> {
    let pipeline = &session.pipeline;
    let asked = if arguments.is_empty() {
        pipeline.default.iter().map(|&t| Asked::Target(t)).collect()
    } else {
        let mut all = Vec::new();
        for argument in arguments {
            all.extend(steps(session, argument)?.map_err(unknown)?);
        }
        all
    };
    let jobs = global.jobs.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
    Ok(Order { asked, jobs, ..Order::default() })
}

/// Every target, for verbs that without a name mean all.
pub fn everything(session: &Session) -> Vec<Asked> {
    request::everything(&session.pipeline)
}

/// Understands one argument, also where it is the name of a step as it is printed.
pub fn steps(session: &Session, argument: &str) -> Result<Result<Vec<Asked>, Unknown>, Error> {
    let parsed = parse(&session.pipeline, argument);
    // In names, what is no printable character is escaped, and the rest of a long value left out.
    if parsed.is_ok() && !(argument.contains('@') && argument.contains(['\\', '…'])) {
        return Ok(parsed.map(|asked| vec![asked]));
    }
    let wrong = |e| Error::build(e, &session.pipeline);
    let named = by_label(session, argument).map_err(wrong)?;
    if !named.is_empty() {
        return Ok(Ok(named));
    }
    let Err(unknown) = parsed else { return Ok(parsed.map(|asked| vec![asked])) };
    let made = made_as(session, argument).map_err(wrong)?;
    let made: Vec<Asked> = made.iter().filter_map(|path| request::parse(&session.pipeline, path).ok()).collect();
    if !made.is_empty() {
        return Ok(Ok(made));
    }
    // What is offered is looked for: of the target that is nearest, there may be no such step.
    let near = request::near_step(&session.pipeline, argument);
    let near = near.and_then(|near| request::parse(&session.pipeline, &near).ok());
    let help = near.and_then(|near| help_to_name(session, &near));
    Ok(Err(Unknown { help: help.or(unknown.help), ..unknown }))
}

/// Output paths are relative to the pipeline's folder, or to where the person stands.
pub fn parse(pipeline: &Pipeline, argument: &str) -> Result<Asked, Unknown> {
    request::parse(pipeline, argument).or_else(|error| {
        let from_here = absolute(argument);
        let from_root = from_here.as_deref().and_then(|path| path.strip_prefix(&pipeline.root).ok());
        match from_root.and_then(Path::to_str) {
            Some(path) if path != argument => request::parse(pipeline, path).map_err(|_| error),
            _ => Err(error),
        }
    })
}

/// A path relative to the pipeline's folder: as it is given where it is there, or seen from where the person stands.
pub fn below(pipeline: &Pipeline, given: &str) -> String {
    let from_here = absolute(given);
    let below = from_here.as_deref().and_then(|path| path.strip_prefix(&pipeline.root).ok()).and_then(Path::to_str);
    let is_there = Path::new(given).is_relative() && pipeline.root.join(given).exists();
    let given = if is_there { given } else { below.unwrap_or(given) };
    let plain = given.strip_prefix("./").unwrap_or(given).trim_end_matches('/');
    if plain == "." { String::new() } else { plain.to_owned() }
}

/// A path from where the person stands, with its `..` taken as the shell's `cd` takes them.
fn absolute(given: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for part in std::path::absolute(given).ok()?.components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            part => path.push(part),
        }
    }
    Some(path)
}

pub fn unknown(unknown: Unknown) -> Error {
    Error::wrong(unknown.message).help(unknown.help)
}

/// What `--refresh[=TARGET,…]` and the like choose: targets, steps and output files.
fn selection(session: &Session, given: Option<&[String]>) -> Result<Selection, Error> {
    let Some(given) = given else { return Ok(Selection::None) };
    if given.iter().any(String::is_empty) {
        return Ok(Selection::All);
    }
    let mut named = Vec::new();
    for list in given {
        named.extend(listed(session, list)?);
    }
    Ok(Selection::Named(named))
}

/// What a list names, or the one that it is the name of: a comma may be part of that.
fn listed(session: &Session, list: &str) -> Result<Vec<Asked>, Error> {
    let entries = split(&session.pipeline, list);
    if entries.len() > 1 && list.contains('@') {
        let named = by_label(session, list).map_err(|e| Error::build(e, &session.pipeline))?;
        if !named.is_empty() {
            return Ok(named);
        }
    }
    let mut all = Vec::new();
    for entry in &entries {
        match steps(session, entry)? {
            Ok(asked) => all.extend(asked),
            Err(wrong) => return steps(session, list)?.map_err(|_| unknown(wrong)),
        }
    }
    Ok(all)
}

/// The entries of a list. A comma may also stand within a step: it ends an entry only where another one follows.
fn split(pipeline: &Pipeline, list: &str) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    for piece in list.split(',') {
        match entries.last_mut() {
            Some(step) if step.contains('@') && parse(pipeline, piece).is_err() => {
                step.push(',');
                step.push_str(piece);
            }
            _ => entries.push(piece.to_owned()),
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    /// A target of each rule, and a source of each kind.
    const EXAMPLE: &str = "version: 1
vars: {n: 2}
pools: {heavy: 4}
sources:
  ours: {kind: registry, url: https://r.example.com, budget: 100/6h, mirrors: [https://m.example.com], concurrency: 8}
  hub: {kind: dockerhub, username: me, password: x, timeout: 10s}
  seed: {kind: imagelayers, url: http://127.0.0.1:8008}
  here: {kind: oci-layout, path: images}
targets:
  list: {rule: repositories, source: hub, search: [a, b], limit: 5, output: list.json}
  get: {rule: tags, source: ours, foreach: {repo: {from: list, json: ''}}, only: ['1.*'], output: 't/{repo}.json'}
  kinds: {rule: platforms, source: ours, repo: a/b, tag: latest, output: kinds.json}
  layers: {rule: layers, source: here, foreach: {tag: {from: get, select: {newest: 3}}}, ids: docker, output: 'l/{repo}/{tag}.json'}
  each: {rule: layers, source: ours, repo: a, tag: b, platform: all, output: 'e/{platform}.json'}
  stat: {rule: stat, inputs: [layers], columns: [repo, tag], output: stat.csv}
  run: {rule: command, inputs: {s: stat}, run: 'cat {in.s} > {out}', env: {A: '${n}'}, pool: {heavy: 2}, output: {a: run.txt}}
  words: {rule: command, foreach: {v: [1, 2]}, run: [cp, '{in}', '{out}'], inputs: [get], depfile: d, output: 'w/{v}/'}
";

    fn opened(text: &str) -> Result<Session, Error> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pipeline.yaml");
        std::fs::write(&file, text).unwrap();
        let cli = Cli::parse_from(["layermill".as_ref(), "-f".as_ref(), file.as_os_str(), "plan".as_ref()]);
        session(&cli.global)
    }

    #[test]
    fn the_example_is_good() {
        if let Err(error) = opened(EXAMPLE) {
            panic!("{error:?}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { cases: 400, ..Default::default() })]
        /// The example with a piece of it replaced: whatever comes of it, a session or a report.
        #[test]
        fn no_edit_makes_rules_and_sources_panic(
            at in 0..EXAMPLE.len(), len in 0usize..20, new in "[{}\\[\\]:,a-c0-9\n *&<$./'-]{0,8}"
        ) {
            let mut text = EXAMPLE.to_owned();
            text.replace_range(at..(at + len).min(EXAMPLE.len()), &new);
            let _ = opened(&text);
        }
    }
}

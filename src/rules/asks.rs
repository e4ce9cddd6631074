//! What the rules that ask a source have in common.

use std::sync::Arc;

use super::{Failure, Job, StepView};
use crate::pipeline::Pipeline;
use crate::pipeline::model::{Node, Part, Pattern, Piece, Target, Text};
use crate::pipeline::problem::{Problems, suggest};
use crate::registry::keys::NodeExt as _;
use crate::registry::{Effort, Source, SourceError};

/// The source that `source:` names; `None` where it could not be opened, which was said already.
pub fn source(target: &Target, pipeline: &Pipeline, sources: &[Option<Arc<dyn Source>>]) -> Option<Arc<dyn Source>> {
    let name = target.keys.get("source")?.as_public()?;
    let position = pipeline.sources.iter().position(|s| s.name == name)?;
    sources.get(position)?.clone()
}

/// The text of a key in which bindings are filled in; where it is not given, the binding of the same name.
pub fn pattern(target: &Target, key: &str, problems: &mut Problems) -> Option<Pattern> {
    let Some(node) = target.keys.get(key) else {
        let binding = target.bindings.iter().position(|b| b.name == key);
        if binding.is_none() {
            problems.at(target.span, format!("no `{key}`"), format!("has no binding `{key}`, and no `{key}:`")).help =
                Some(format!("add `foreach: {{{key}: …}}`, or say `{key}:`"));
        }
        return binding.map(|b| Pattern { parts: vec![Part::Binding(b)], span: target.span });
    };
    let pattern = parse(node, target);
    let unknown = pattern.parts.iter().find_map(|part| match part {
        Part::Special(name, span) => Some((name, *span)),
        _ => None,
    });
    if let Some((name, span)) = unknown {
        let known = target.bindings.iter().map(|b| b.name.as_str());
        problems.at(span, format!("unknown binding `{name}`"), "no axis of this target gives it").help =
            suggest(name, known);
        return None;
    }
    Some(pattern)
}

fn parse(node: &Node, target: &Target) -> Pattern {
    let text = node.as_text().map(Text::public).unwrap_or_default();
    let plain = |text: &str| Part::Text(Text(vec![Piece::Plain(text.to_owned())]));
    let mut parts = Vec::new();
    let mut rest = text.as_str();
    while let Some((before, name, after)) = rest.split_once('{').and_then(|(before, tail)| {
        let (name, after) = tail.split_once('}')?;
        Some((before, name, after))
    }) {
        if !before.is_empty() {
            parts.push(plain(before));
        }
        parts.push(match target.bindings.iter().position(|b| b.name == name) {
            Some(binding) => Part::Binding(binding),
            None => Part::Special(name.to_owned(), node.span),
        });
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(plain(rest));
    }
    Pattern { parts, span: node.span }
}

/// The pattern, filled.
pub fn fill<S: AsRef<str>>(pattern: &Pattern, values: &[S]) -> String {
    pattern
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => text.public(),
            Part::Binding(b) => values.get(*b).map(|v| v.as_ref().to_owned()).unwrap_or_default(),
            Part::Special(name, _) => format!("{{{name}}}"),
        })
        .collect()
}

/// The pattern as it is written: what a key hashes.
pub fn template(pattern: &Pattern, target: &Target) -> String {
    let names: Vec<_> = target.bindings.iter().map(|b| format!("{{{}}}", b.name)).collect();
    fill(pattern, &names)
}

/// The bindings that patterns read, each once.
pub fn reads<'a>(patterns: impl IntoIterator<Item = &'a Pattern>) -> Vec<usize> {
    let mut reads: Vec<usize> = patterns
        .into_iter()
        .flat_map(|p| &p.parts)
        .filter_map(|part| if let Part::Binding(b) = part { Some(*b) } else { None })
        .collect();
    reads.sort_unstable();
    reads.dedup();
    reads
}

/// The binding that a pattern is, where it is nothing else.
pub fn sole_binding(pattern: &Pattern) -> Option<usize> {
    match pattern.parts[..] {
        [Part::Binding(binding)] => Some(binding),
        _ => None,
    }
}

/// How hard the target says to try.
pub fn effort(job: &Job) -> Effort {
    Effort { retries: job.retries, timeout: job.timeout }
}

/// What a source did not answer, as what the step failed of.
pub fn failure(error: SourceError) -> Failure {
    Failure { message: error.message, help: error.help, output: Vec::new(), interrupted: false }
}

/// `work`, unless the build is interrupted before it is done.
pub async fn unless_interrupted<T>(job: &Job, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let mut cancelled = job.cancelled.clone();
    let interrupted = async {
        if cancelled.wait_for(|c| *c).await.is_err() {
            // Nobody is left who could interrupt.
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        done = work => done,
        () = interrupted => {
            Err(Failure { message: "interrupted".into(), help: None, output: Vec::new(), interrupted: true })
        }
    }
}

/// The step's values, filled into a pattern.
pub fn of_step(pattern: &Pattern, step: &StepView) -> String {
    fill(pattern, &step.values)
}

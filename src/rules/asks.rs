//! What the rules that ask a source have in common.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use super::{Asks, Common, Failure, Job, Lane, StepView};
use crate::pipeline::Pipeline;
use crate::pipeline::model::{Node, Part, Pattern, Target};
use crate::pipeline::pattern;
use crate::pipeline::problem::{Problems, suggest};
use crate::registry::{About, Effort, Source, SourceError};

/// The source that `source:` names; `None` where it could not be opened, which was said already.
pub fn source(target: &Target, pipeline: &Pipeline, sources: &[Option<Arc<dyn Source>>]) -> Option<Arc<dyn Source>> {
    let name = target.keys.get("source")?.as_public()?;
    let position = pipeline.sources.iter().position(|s| s.name == name)?;
    sources.get(position)?.clone()
}

/// What the steps of a rule that asks or reads this source have in common.
pub fn common(
    source: &dyn Source,
    (name, version): (&'static str, u32),
    params: Vec<(String, String)>,
    reads: Vec<usize>,
    asks: Asks,
) -> Common {
    let lane = Lane::Source(source.identity().to_owned(), source.concurrency());
    let is_remote = !source.is_local();
    Common { name, version, params, reads, lane, cached: false, finds: false, asks, is_remote }
}

/// The text of a key in which bindings are filled in; where it is not given, the binding of the same name.
pub fn pattern(target: &Target, pipeline: &Pipeline, key: &str, problems: &mut Problems) -> Option<Pattern> {
    let Some(node) = target.keys.get(key) else {
        let binding = target.bindings.iter().position(|b| b.name == key);
        if binding.is_none() {
            problems
                .at(target.span, format!("no `{key}`"), format!("has no binding `{key}`, and no `{key}:`"))
                .help(format!("add `foreach: {{{key}: …}}`, or say `{key}:`"));
        }
        return binding.map(|b| Pattern { parts: vec![Part::Binding(b)], span: target.span });
    };
    text(node, target, pipeline, problems)
}

/// A text in which bindings are filled in.
pub fn text(node: &Node, target: &Target, pipeline: &Pipeline, problems: &mut Problems) -> Option<Pattern> {
    let pattern = pattern::parse(node.as_text()?, node.span, &pipeline.text, &target.bindings);
    let unknown = pattern.parts.iter().find_map(|part| match part {
        Part::Special(name, span) => Some((name, *span)),
        _ => None,
    });
    if let Some((name, span)) = unknown {
        if target.loose {
            return None;
        }
        let known = target.bindings.iter().map(|b| b.name.as_str());
        problems
            .at(span, format!("unknown binding `{name}`"), "no axis of this target gives it")
            .maybe_help(suggest(name, known));
        return None;
    }
    Some(pattern)
}

/// A JSON array: sorted, two blanks a level, a newline at its end.
pub fn array(values: &BTreeSet<String>) -> Vec<u8> {
    let mut out = serde_json::to_vec_pretty(values).expect("strings only");
    out.push(b'\n');
    out
}

/// How many of the names that were left out a note names.
const NAMES_SHOWN: usize = 10;

/// A note about what was left out of an answer, and why; one of it is called as the first word says, several as the
/// second does.
pub fn left_out((one, several): (&str, &str), names: &[(String, String)]) -> String {
    let mut note = format!("{} {} left out: ", names.len(), if names.len() == 1 { one } else { several });
    for (i, (name, why)) in names.iter().take(NAMES_SHOWN).enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        let _ = write!(note, "{comma}`{name}` ({why})");
    }
    if names.len() > NAMES_SHOWN {
        let _ = write!(note, " and {} more", names.len() - NAMES_SHOWN);
    }
    note
}

/// The bindings that patterns read, each once.
pub fn reads<'a>(patterns: impl IntoIterator<Item = &'a Pattern>) -> Vec<usize> {
    let mut reads: Vec<usize> = patterns.into_iter().flat_map(pattern::bindings).collect();
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
    Effort { retries: job.retries, timeout: job.timeout, learnt_since: job.learnt_since }
}

/// What a step asks about a repository.
pub fn about<'a>(job: &'a Job, repo: &'a str) -> About<'a> {
    About { repo, blobs: &job.blobs, effort: effort(job), heard: &job.heard }
}

/// What a source did not answer, as what the step failed of.
pub fn failure(error: SourceError) -> Failure {
    let SourceError { message, help, deferral, is_outage, .. } = error;
    Failure { help, deferral, is_outage, ..Failure::new(message) }
}

/// The step's values, filled into a pattern.
pub fn of_step(pattern: &Pattern, step: &StepView) -> String {
    let values: Vec<&str> = step.values.iter().map(|v| &**v).collect();
    pattern::fill(pattern, &values)
}

/// The first of these names, and how many more there are.
pub fn some_of(what: &str, names: &[String]) -> Option<String> {
    const NAMED: usize = 3;
    let more = names.len().saturating_sub(NAMED);
    let named = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    (!names.is_empty()).then(|| format!("{what}: {named}{more}"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::pipeline::check::{Options, load_text};
    use crate::pipeline::shape::Vocabulary;
    use crate::registry;
    use crate::rules::{KINDS, Rule, Unrecorded, compile};
    use crate::store::blobs::Blobs;

    fn load(target: &str) -> (Pipeline, String) {
        let text = format!(
            "version: 1\nsources: {{s: {{kind: registry, url: 'https://r.example.com'}}}}\ntargets:\n  t: {target}\n"
        );
        let vocabulary = Vocabulary { rules: KINDS, sources: registry::KINDS };
        let loaded =
            load_text(&text, "pipeline.yaml".as_ref(), "/p".into(), &Options::default(), &vocabulary, &|_| None);
        assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
        (loaded.pipeline.unwrap(), text)
    }

    /// The rule of a target that asks this source.
    pub fn compiled(target: &str, source: Arc<dyn Source>) -> Arc<dyn Rule> {
        let (pipeline, _) = load(target);
        let mut problems = Problems::default();
        let rule = compile(&pipeline.targets[0], &pipeline, &[Some(source)], &mut problems);
        rule.unwrap_or_else(|| panic!("{problems:?}"))
    }

    #[test]
    fn notes_name_some_and_count_all() {
        let tags: Vec<_> = (0..12).map(|i| (format!("t{i}"), "gone".to_owned())).collect();
        let note = left_out(("tag", "tags"), &tags);
        assert!(note.starts_with("12 tags left out: `t0` (gone), `t1` (gone), "));
        assert!(note.ends_with("`t9` (gone) and 2 more"), "{note}");
        assert_eq!(left_out(("tag", "tags"), &tags[..1]), "1 tag left out: `t0` (gone)");
    }

    /// Has a rule take over an output with these bytes, with an empty store.
    pub fn adopt(rule: &Arc<dyn Rule>, step: &StepView, bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        rule.adopt(step, &Unrecorded { bytes, blobs: &blobs, is_older: false })
    }

    /// What is wrong with the keys of a target, and the text that is marked.
    pub fn problems_of(target: &str) -> Vec<String> {
        let (pipeline, text) = load(target);
        let mut problems = Problems::default();
        assert!(compile(&pipeline.targets[0], &pipeline, &[None], &mut problems).is_none());
        let marked = |p: &crate::pipeline::problem::Problem| {
            let span = p.span.expect("has a place");
            format!("{} @ {}", p.message, &text[span.start..span.start + span.len])
        };
        problems.0.iter().map(marked).collect()
    }
}

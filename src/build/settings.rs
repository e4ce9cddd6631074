//! What a target says beside what goes into keys: freshness, absence, retries.

use std::collections::HashMap;
use std::time::Duration;

use crate::pipeline::model::{Freshness, Pipeline, TargetId};
use crate::pipeline::pattern;
use crate::store::Digest;

use super::engine::Compiled;
use super::request::Wanted;

/// A target's settings, after those of targets that describe the same steps were joined in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub fresh: Freshness,
    pub missing_is_error: bool,
    pub retries: Option<u32>,
    /// What is there and as recorded stays: nothing of it ages, and it is not run by hand.
    pub plain: bool,
}

/// What makes two targets describe the same steps: the text of their keys, and their output patterns.
type Sameness = (Digest, Vec<String>);

/// The settings of every target. Of targets that describe the same steps, the shortest `fresh`, the strictest
/// `missing` and the most `retries` hold. `settled`: nothing is done to any step by hand.
pub(super) fn of(pipeline: &Pipeline, rules: &[Option<Compiled>], wanted: &[Wanted], settled: bool) -> Vec<Settings> {
    let sameness = |target: TargetId| -> Option<Sameness> {
        let this = &pipeline.targets[target];
        let outputs = this.outputs.iter().map(|o| pattern::template(&o.pattern, &this.bindings));
        Some((rules[target].as_ref()?.template_digest, outputs.collect()))
    };
    let own = |target: TargetId| {
        let this = &pipeline.targets[target];
        Settings { fresh: this.fresh, missing_is_error: this.missing_is_error, retries: this.retries, plain: false }
    };
    let mut joined: HashMap<Sameness, Settings> = HashMap::new();
    for target in (0..pipeline.targets.len()).filter(|&t| wanted[t].is_wanted()) {
        let Some(same) = sameness(target) else { continue };
        joined.entry(same).and_modify(|there| *there = strictest(*there, own(target))).or_insert_with(|| own(target));
    }
    (0..pipeline.targets.len())
        .map(|target| {
            let settings = sameness(target).and_then(|same| joined.get(&same).copied()).unwrap_or_else(|| own(target));
            let by_source = rules[target].as_ref().is_some_and(|c| c.by_source);
            // Answers have ages; what a source's rule derives from content by digest has none.
            let ages = !by_source && matches!(settings.fresh, Freshness::Within(_) | Freshness::Always);
            Settings { plain: settled && !ages, ..settings }
        })
        .collect()
}

fn strictest(a: Settings, b: Settings) -> Settings {
    Settings {
        fresh: if rank(a.fresh) <= rank(b.fresh) { a.fresh } else { b.fresh },
        missing_is_error: a.missing_is_error || b.missing_is_error,
        retries: a.retries.max(b.retries),
        plain: false,
    }
}

fn rank(fresh: Freshness) -> (u8, Duration) {
    match fresh {
        Freshness::Always => (0, Duration::ZERO),
        Freshness::Digest => (1, Duration::ZERO),
        Freshness::Within(limit) => (2, limit),
        Freshness::Exists => (3, Duration::ZERO),
    }
}

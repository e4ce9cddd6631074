//! What a target says beside what goes into keys: freshness, absence, effort.

use std::cmp::Reverse;
use std::time::Duration;

use crate::pipeline::model::{Freshness, Pipeline, TargetId};

use super::{Compiled, Engine, Mode};
use crate::build::steps::StepId;

/// A target's settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub fresh: Freshness,
    pub missing_is_error: bool,
    pub retries: Option<u32>,
    pub timeout: Option<Duration>,
    /// A position in [`Pipeline::pools`] and how much of it a step takes.
    pub pool: Option<(usize, u32)>,
    /// Its outputs go to the store.
    pub cached: bool,
    /// What is there and as recorded stays: nothing of it ages, and it is not run by hand.
    pub plain: bool,
}

/// The settings of every target. `settled`: no step is run, or taken over, by hand; `refreshed`: sources are asked by hand.
pub(crate) fn of(pipeline: &Pipeline, rules: &[Option<Compiled>], settled: bool, refreshed: bool) -> Vec<Settings> {
    let own = pipeline.targets.iter().zip(rules).map(|(target, rule)| {
        let by_source = rule.as_ref().is_some_and(|c| c.by_source);
        // What a source's rule made may lack what is asked for again by hand.
        let by_hand = !settled || by_source && refreshed;
        // Answers have ages; what a source's rule derives from content by digest has none.
        let ages = !by_source && matches!(target.fresh, Freshness::Within(_) | Freshness::Always);
        Settings {
            fresh: target.fresh,
            missing_is_error: target.missing_is_error,
            retries: target.retries,
            timeout: target.timeout,
            pool: target.pool,
            cached: rule.as_ref().is_some_and(|c| c.cached),
            // What a step found while it ran is to be looked at too.
            plain: !by_hand && !ages && !rule.as_ref().is_some_and(|c| c.rule.common().finds),
        }
    });
    own.collect()
}

/// Of the settings of a step, what says whether its outputs come back from the store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Storing {
    pub cached: bool,
    pub fresh: Freshness,
}

impl Engine<'_> {
    /// The settings of a step: what holds of those of all targets that describe it.
    pub(crate) fn settings_of(&self, id: StepId) -> Settings {
        let own = self.settings[self.steps.step(id).target as usize];
        if self.steps.shared.is_empty() && self.may_be_joined.is_empty() {
            return own;
        }
        let also = self.steps.shared.get(&id).into_iter().flatten().map(|&(target, _)| target);
        let perhaps = self.may_be_joined.get(&id).into_iter().flatten().copied();
        let heeded = also.chain(perhaps).filter(|&target| self.is_heeded(id, target));
        heeded.map(|target| self.settings[target]).fold(own, together)
    }

    /// Whether it counts what a target says that describes a step, too: where its list needs the step, that comes too late.
    pub(crate) fn is_heeded(&self, id: StepId, target: TargetId) -> bool {
        !self.steps.target(id).joined_late_by.contains(&target)
    }

    /// Whether that a step is absent is a failure only where one describes it that is still to come.
    pub(crate) fn is_error_perhaps(&self, id: StepId) -> bool {
        self.was_absent(id) && self.settings_of(id).missing_is_error && !self.sure_settings(id).missing_is_error
    }

    /// What is sure to hold of a step, whoever turns out to describe it.
    pub(crate) fn sure_settings(&self, id: StepId) -> Settings {
        if !self.steps.shared.contains_key(&id) && !self.may_be_joined.contains_key(&id) {
            return self.settings_of(id);
        }
        let all = self.steps.rows_of(id);
        let sure =
            all.filter(|&(target, row)| self.is_heeded(id, target) && self.row_in_doubt(id, target, row).is_none());
        let sure = sure.map(|(target, _)| self.settings[target]).reduce(together);
        sure.unwrap_or_else(|| self.settings_of(id))
    }

    /// What says whether outputs come back, where whoever may describe the step lets them; where nothing is run, it may turn
    /// out that some do not. One more target lets more come back by `cache`, and less by `fresh`.
    pub(crate) fn surely_kept(&self, id: StepId) -> Storing {
        let all = self.settings_of(id);
        let cached = if self.mode == Mode::Look { self.sure_settings(id).cached } else { all.cached };
        Storing { cached, fresh: all.fresh }
    }

    /// The same, where those describe it that let more come back.
    pub(crate) fn perhaps_kept(&self, id: StepId) -> Storing {
        let all = self.settings_of(id);
        let fresh = if self.mode == Mode::Look { self.sure_settings(id).fresh } else { all.fresh };
        Storing { cached: all.cached, fresh }
    }
}

/// The shortest `fresh`, the strictest `missing`, the most `retries`, the longest `timeout`, unless one has none, the pool that
/// comes first under `pools:`, with the larger share of it, and the store where one keeps its outputs there.
pub(crate) fn together(a: Settings, b: Settings) -> Settings {
    Settings {
        fresh: if rank(a.fresh) <= rank(b.fresh) { a.fresh } else { b.fresh },
        missing_is_error: a.missing_is_error || b.missing_is_error,
        retries: a.retries.max(b.retries),
        timeout: a.timeout.zip(b.timeout).map(|(a, b)| a.max(b)),
        pool: a.pool.into_iter().chain(b.pool).min_by_key(|&(pool, share)| (pool, Reverse(share))),
        cached: a.cached || b.cached,
        plain: a.plain && b.plain,
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

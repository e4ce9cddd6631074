//! How old what is known may be, and why a source is asked again.

use crate::pipeline::model::Freshness;
use crate::registry::Earlier;
use crate::store::Digest;
use crate::store::state::{StepRecord, StoredOutput};

use crate::build::engine::{Compiled, Engine, Mode};
use crate::build::reason::{Aged, Reason};
use crate::build::steps::StepId;

impl Engine<'_> {
    /// Why the answer (or, for a rule without questions, the output) is not to be believed any more.
    pub(crate) fn ask_again(
        &self,
        id: StepId,
        compiled: &Compiled,
        record: &StepRecord,
        question: Option<Digest>,
    ) -> Vec<Reason> {
        let mut causes = Vec::new();
        let settings = self.settings_of(id);
        if self.forced(id) {
            causes.push(Reason::Forced);
        }
        if question.is_some_and(|q| q != record.question) {
            causes.extend(self.asks_otherwise(id, compiled, record));
        } else if question.is_some() && record.answer.is_none() && record.absent.is_none() {
            causes.push(Reason::FirstBuild);
        }
        // The output of a source's rule that asks nothing itself is made from content that never changes; only that
        // there is none, or not all of it, may change.
        let ages = question.is_some() || !compiled.by_source || record.absent.is_some();
        if self.offline && compiled.by_source {
            return causes;
        }
        if compiled.by_source && self.refreshed(id) && (ages || self.is_incomplete(id, compiled)) {
            causes.push(Reason::Refreshed);
        }
        if !ages {
            return causes;
        }
        let age = self.now_ms - record.asked_at;
        let old = match settings.fresh {
            // Nobody is asked, and nothing is run: what is there is taken as it is, however old.
            _ if self.mode == Mode::Adopt => false,
            Freshness::Exists => false,
            Freshness::Within(_) => self.is_past(record.asked_at, settings.fresh),
            // What is not there for a digest that is given is not asked for again.
            Freshness::Digest => compiled.by_source && question.is_some(),
            Freshness::Always => true,
        };
        let what = if question.is_some() { Aged::Answer } else { Aged::Output };
        causes.extend(old.then_some(Reason::NotFresh { what, age, fresh: settings.fresh }));
        causes
    }

    /// Whether what is there of a step lacks what its source did not have when it was made.
    pub(crate) fn is_incomplete(&self, id: StepId, compiled: &Compiled) -> bool {
        let made = || std::fs::read(self.pipeline.root.join(self.paths(id).next()?)).ok();
        compiled.rule.is_incomplete(&self.view(id), &made)
    }

    /// What moved in the question that a step asks.
    fn asks_otherwise(&self, id: StepId, compiled: &Compiled, record: &StepRecord) -> Vec<Reason> {
        let old = self.template_of(record);
        let (from, to) = (old.and_then(|old| old.source), compiled.template.source.clone());
        let mut causes: Vec<Reason> = self
            .changes(id, compiled, record, None)
            .into_iter()
            .map(|cause| match cause {
                Reason::Parameter { name: what, from, to } => Reason::ChangedQuestion { what, from, to },
                cause => cause,
            })
            .collect();
        // A record of an earlier layermill does not tell the source: it is that where it is nothing else.
        if from != to && (from.is_some() || causes.is_empty()) {
            causes.insert(0, Reason::ChangedQuestion { what: "source".to_owned(), from, to });
        }
        causes
    }

    /// Whether stored outputs are still good: to bring them back makes them no younger.
    pub(super) fn are_young(&self, stored: &[StoredOutput], fresh: Freshness) -> bool {
        stored.first().is_none_or(|first| !self.is_past(first.made_at, fresh))
    }

    /// Whether what is of this time is older than `fresh` allows. A clock that went back makes things of the future:
    /// their age is not known, so they are old.
    fn is_past(&self, at: i64, fresh: Freshness) -> bool {
        let Freshness::Within(limit) = fresh else { return false };
        let age = self.now_ms - at;
        age < 0 || age >= i64::try_from(limit.as_millis()).unwrap_or(i64::MAX)
    }

    /// What a try that did not end was told of a step's question, and is not asked for again.
    pub(crate) fn told_earlier(&self, id: StepId) -> Option<Earlier> {
        let compiled = self.rules[self.steps.step(id).target as usize].as_ref()?;
        compiled.rule.told_earlier(&self.view(id), self.learnt_since(id)?)
    }

    /// From when on what a source told a try that did not end is fresh enough, in milliseconds since 1970; `None`: it is
    /// asked all of it.
    pub(crate) fn learnt_since(&self, id: StepId) -> Option<i64> {
        match self.settings_of(id).fresh {
            _ if self.refreshed(id) || self.forced(id) => None,
            Freshness::Exists => Some(i64::MIN),
            Freshness::Within(limit) => {
                let limit = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
                Some(self.clock.now_ms().saturating_sub(limit).saturating_add(1))
            }
            Freshness::Digest | Freshness::Always => None,
        }
    }
}

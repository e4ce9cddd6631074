//! What would make a step run again, in words.

use crate::pipeline::model::{AxisKind, Binding, Freshness, TargetId};
use crate::store::state::StepRecord;

use super::engine::{Compiled, Engine};
use super::explain::{Explanation, time};
use super::outcome::Status;
use super::reason::{self, Aged};
use super::steps::StepId;

impl Engine<'_> {
    /// What would make a step run again.
    pub(super) fn again(
        &self,
        id: StepId,
        compiled: &Compiled,
        record: Option<&StepRecord>,
        told: &Explanation,
    ) -> Vec<String> {
        let Some(record) = record else {
            return vec![match self.steps.step(id).status {
                Status::Absent => "what it reads is not absent any more".to_owned(),
                _ => "a build comes: it is not recorded as made".to_owned(),
            }];
        };
        let asks = compiled.rule.question(&self.view(id)).is_some();
        let ages = asks || !compiled.by_source || record.absent.is_some();
        let mut again = Vec::new();
        match self.settings_of(id).fresh {
            Freshness::Exists if asks => {
                again.push(
                    "`--refresh` asks again, and is answered otherwise (unasked, an answer is kept for ever)"
                        .to_owned(),
                );
            }
            Freshness::Exists => {}
            Freshness::Within(limit) if ages => {
                let limit = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
                let what = if asks { Aged::Answer } else { Aged::Output }.word();
                again.push(if record.asked_at > self.now_ms {
                    format!("a build comes before {}: the clock went back since it was {what}", time(record.asked_at))
                } else {
                    let (from, before) = (record.asked_at.saturating_add(limit), fresh(self.settings_of(id).fresh));
                    format!("a build comes after {}: it was {what} {before} before", time(from))
                });
            }
            Freshness::Within(_) => {}
            Freshness::Digest if asks => again.push("its source, asked in each build, answers otherwise".to_owned()),
            Freshness::Always if ages => again.push("a build comes: it is never fresh".to_owned()),
            Freshness::Digest | Freshness::Always => {}
        }
        let (target, values) = (self.steps.step(id).target as usize, self.steps.values_of(id));
        for (binding, (_, value, digest)) in told.values.iter().enumerate() {
            let teller = self.teller(target, binding, &values).map(|step| self.steps.label(step));
            let file = teller.map(|step| format!(" in what {step} makes")).unwrap_or_default();
            again.extend(digest.as_ref().map(|_| format!("the tag {value} has another digest{file}")));
        }
        for (binding, parent) in self.parent_steps(self.steps.step(id).target as usize, id) {
            let (_, value, digest) = &told.values[binding];
            let ends =
                format!("{value} is no more in what {} makes: then there is no such step", self.steps.label(parent));
            again.extend(digest.is_none().then_some(ends));
        }
        let inputs = if told.inputs.is_empty() { "" } else { "an input, " };
        again.push(format!("{inputs}a parameter or the rule's version changes"));
        match self.steps.step(id).status {
            Status::Absent => {}
            _ if compiled.cached => {
                again.push(
                    "an output is changed or removed (it comes back from the store, where that has it)".to_owned(),
                );
            }
            _ => again.push("an output is changed or removed".to_owned()),
        }
        again
    }

    /// The step out of whose output a value was first read: those in between only pass it on.
    fn teller(&self, target: TargetId, binding: usize, values: &[&str]) -> Option<StepId> {
        let this = &self.pipeline.targets[target];
        let Binding { axis, parent: theirs, .. } = this.bindings[binding];
        let AxisKind::From { target: parent, .. } = this.axes[axis].kind else { return None };
        let step = self.parent_step(target, axis, |b| values.get(b).copied())?;
        theirs.map_or(Some(step), |theirs| self.teller(parent, theirs, &self.steps.values_of(step)))
    }
}

/// How long answers are kept, as the pipeline says it.
pub(super) fn fresh(fresh: Freshness) -> String {
    match fresh {
        Freshness::Exists => "exists".to_owned(),
        Freshness::Within(limit) => reason::limit(limit.as_secs()),
        Freshness::Digest => "digest".to_owned(),
        Freshness::Always => "always".to_owned(),
    }
}

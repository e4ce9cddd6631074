//! What would make a step run again, in words.

use crate::pipeline::model::{AxisKind, Binding, Freshness, InputKind, Pattern, Read, Select, Target, TargetId};
use crate::pipeline::node::written;
use crate::pipeline::pattern;
use crate::store::state::StepRecord;

use super::neighbourhood::list_of;
use super::{Explanation, time};
use crate::build::engine::{Compiled, Engine};
use crate::build::outcome::Status;
use crate::build::reason::Aged;
use crate::build::steps::{StepId, printable};

/// A step whose source had no more to give.
const PUT_OFF: &str = "a build comes once its source has more to give, which `plan` tells";

impl Engine<'_> {
    /// What would make a step run again.
    pub(crate) fn again(
        &self,
        id: StepId,
        compiled: &Compiled,
        record: Option<&StepRecord>,
        told: &Explanation,
    ) -> Vec<String> {
        let Some(record) = record else {
            return vec![match self.steps.step(id).status {
                Status::Absent => "what it reads is not absent any more".to_owned(),
                Status::Deferred => PUT_OFF.to_owned(),
                Status::Adopted => "a build has taken it over, and what it is made from changes then".to_owned(),
                Status::Failed if self.is_cut_off(compiled) => "a build comes without `--offline`".to_owned(),
                Status::Failed | Status::Blocked => "a build comes once what is at fault is mended".to_owned(),
                _ => "a build comes: it is not recorded as made".to_owned(),
            }];
        };
        let asks = compiled.rule.question(&self.view(id)).is_some();
        let ages = asks || !compiled.by_source || record.absent.is_some();
        let mut again = Vec::new();
        let is_deferred = self.steps.step(id).status == Status::Deferred;
        again.extend(is_deferred.then(|| PUT_OFF.to_owned()));
        let online = if self.is_cut_off(compiled) { " without `--offline`" } else { "" };
        match self.settings_of(id).fresh {
            Freshness::Exists if is_deferred => {}
            Freshness::Exists if asks => {
                again.push(format!(
                    "`--refresh`{online} asks again, and is answered otherwise (unasked, an answer is kept for ever)"
                ));
            }
            Freshness::Exists if compiled.by_source && ages => {
                again.push(format!("`--refresh`{online} asks again (unasked, what is absent stays so)"));
            }
            Freshness::Exists => {}
            Freshness::Within(limit) if ages => {
                let limit = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
                let what = if asks { Aged::Answer } else { Aged::Output }.word();
                again.push(if record.asked_at > self.now_ms {
                    format!(
                        "a build{online} comes before {}: the clock went back since it was {what}",
                        time(record.asked_at)
                    )
                } else {
                    let (from, before) = (record.asked_at.saturating_add(limit), fresh(self.settings_of(id).fresh));
                    let then = if asks { ", and its source answers otherwise" } else { "" };
                    format!("a build{online} comes after {}: it was {what} {before} before{then}", time(from))
                });
                again.extend(asks.then(|| format!("`--refresh`{online} asks at once, and is answered otherwise")));
            }
            Freshness::Within(_) => {}
            Freshness::Digest if asks => {
                again.push(format!("its source, asked in each build{online}, answers otherwise"));
            }
            Freshness::Always if ages => again.push(format!("a build{online} comes: it is never fresh")),
            Freshness::Digest | Freshness::Always => {}
        }
        let (target, values) = (self.steps.step(id).target as usize, self.steps.values_of(id));
        let reads = &compiled.rule.common().reads;
        // The digest of a value that is not read is no part of the key.
        for (binding, (_, value, digest)) in told.values.iter().enumerate().filter(|(b, _)| reads.contains(b)) {
            let teller = self.teller(target, binding, &values).map(|step| self.steps.label(step));
            let file = teller.map(|step| format!(" in what {step} makes")).unwrap_or_default();
            again.extend(digest.as_ref().map(|_| format!("the tag {value} has another digest{file}")));
        }
        again.extend(self.ends(target, &values));
        again.extend(self.members(target, &values));
        let inputs = match (told.inputs.is_empty(), told.inputs_to_come.is_empty()) {
            (true, true) => "",
            (false, true) => "an input, ",
            (true, false) => "an input that is to come, ",
            (false, false) => "an input, or one that is to come, ",
        };
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

    /// Its source is not asked: `--offline`.
    pub(crate) fn is_cut_off(&self, compiled: &Compiled) -> bool {
        self.offline && compiled.by_source
    }

    /// When a target that is read as a whole, or as far as some of its values are those of the step, gets other steps.
    pub(crate) fn members(&self, target: TargetId, values: &[&str]) -> Vec<String> {
        let read = self.pipeline.targets[target].inputs.iter().filter_map(|input| match &input.kind {
            // What is named by its path is the same whatever other steps there are.
            InputKind::Target { target, on, .. } if input.path.is_none() => Some((&self.pipeline.targets[*target], on)),
            InputKind::Target { .. } | InputKind::Path(_) => None,
        });
        let this = &self.pipeline.targets[target];
        let grows = |(of, on): &(&Target, &Vec<(usize, Pattern)>)| {
            of.bindings.iter().enumerate().any(|(b, binding)| {
                let axis = &of.axes[binding.axis].kind;
                // Where the step has the value from the same place, there is no such step either once the value is gone.
                let ours =
                    on.iter().find(|(joined, _)| *joined == b).and_then(|(_, value)| pattern::bindings(value).next());
                let comes_along = ours.is_some_and(|own| match &this.axes[this.bindings[own].axis].kind {
                    AxisKind::From { target, .. } if std::ptr::eq(&self.pipeline.targets[*target], *of) => true,
                    kind => kind.is_same(axis),
                });
                !matches!(axis, AxisKind::List(_)) && !comes_along
            })
        };
        let word = |(of, on): (&Target, &Vec<(usize, Pattern)>)| {
            let joined = on
                .iter()
                .map(|(b, value)| format!("{}={}", of.bindings[*b].name, printable(&pattern::fill(value, values))));
            let with = if on.is_empty() { "" } else { " with " };
            format!("{} gets or loses a step{with}{}", of.name, joined.collect::<Vec<_>>().join(","))
        };
        read.filter(grows).map(word).collect()
    }

    /// When a value is no more in what it was read out of; the same of those that came along with it.
    fn ends(&self, target: TargetId, values: &[&str]) -> Vec<String> {
        let this = &self.pipeline.targets[target];
        let mut ends = Vec::new();
        for (position, axis) in this.axes.iter().enumerate() {
            let parent = self.parent_step(target, position, |b| values.get(b).copied());
            let made = || Some(format!("what {} makes", self.steps.label(parent?)));
            let gone = match &axis.kind {
                AxisKind::List(_) => None,
                AxisKind::Glob(pattern) => Some(format!("among the files of {pattern}")),
                AxisKind::From {
                    read: Read::Tags(Select::All) | Read::Lines | Read::Csv(_) | Read::Json(_), ..
                } => made().map(|made| format!("in {made}")),
                AxisKind::From { read: Read::Tags(_), .. } => made().map(|made| format!("chosen out of {made}")),
                kind => list_of(kind).map(|list| format!("in {list}")),
            };
            if let Some(parent) = parent {
                ends.extend(self.ends(self.steps.step(parent).target as usize, &self.steps.values_of(parent)));
            }
            let value = printable(values[axis.binding]);
            ends.extend(gone.map(|gone| format!("{value} is no more {gone}: then there is no such step")));
        }
        ends
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
pub(crate) fn fresh(fresh: Freshness) -> String {
    match fresh {
        Freshness::Exists => "exists".to_owned(),
        Freshness::Within(limit) => written(limit),
        Freshness::Digest => "digest".to_owned(),
        Freshness::Always => "always".to_owned(),
    }
}

//! What is told of targets whose steps are read out of what is still to be built.

use crate::pipeline::model::{InputKind, TargetId};

use super::{Explanation, Standing, ToCome};
use crate::build::engine::Engine;
use crate::build::outcome::Unknown;
use crate::build::request::Asked;
use crate::build::steps::StepId;
use crate::build::steps::expand::parents_of;
use crate::build::steps::waits::{GroupId, Wait};

impl Engine<'_> {
    /// What has to be built before all steps of a target are told: what its values are read out of, where that has such a
    /// standing.
    pub(crate) fn unknown(&self, target: TargetId, standing: &impl Fn(StepId) -> bool) -> Option<Unknown> {
        let behind = |parent: TargetId| {
            let steps = self.steps.rows[parent].steps.iter().copied();
            let steps: Vec<StepId> = steps.filter(|&id| standing(id)).collect();
            match steps.as_slice() {
                [] => self.unknown(parent, standing).map(|unknown| Unknown { target, ..unknown }),
                steps => self.unknown_behind(target, steps),
            }
        };
        parents_of(&self.pipeline.targets[target]).find_map(behind)
    }

    fn unknown_behind(&self, target: TargetId, steps: &[StepId]) -> Option<Unknown> {
        let (first, more) = steps.split_first()?;
        let others = more.iter().take(Unknown::KEPT).map(|&step| self.steps.label(step)).collect();
        Some(Unknown { target, because: self.steps.label(*first), more: more.len(), others, rivals: Vec::new() })
    }

    /// The steps that a group's rows are read out of, as far as they have to be built first.
    fn unsettled_behind(&self, group: GroupId) -> Vec<StepId> {
        let sources = self.sources(group);
        let steps = sources.iter().flat_map(|&source| self.steps.ordered(source));
        let unsettled: Vec<StepId> = steps.filter(|&step| !self.is_settled(step)).collect();
        if unsettled.is_empty() {
            return sources.into_iter().flat_map(|source| self.unsettled_behind(source)).collect();
        }
        unsettled
    }

    /// What was asked for where it has no step yet, and may get one.
    pub(crate) fn to_come(&self, asked: &Asked) -> Vec<Explanation> {
        let none = &[][..];
        let may_be: Vec<(TargetId, &[(usize, String)])> = match asked {
            Asked::Target(target) => vec![(*target, none)],
            Asked::Steps(target, values) => vec![(*target, values)],
            Asked::Output(_, makers) => makers.iter().map(|(target, values)| (*target, values.as_slice())).collect(),
        };
        let tell = |(target, values): (TargetId, &[(usize, String)])| {
            let unknown = self.unknown(target, &|id| !self.is_settled(id))?;
            let compiled = self.rules[target].as_ref()?;
            let first = unknown.because.split('@').next().filter(|_| unknown.more > 0);
            let help = format!("`layermill build {}` builds that", first.unwrap_or(&unknown.because));
            let this = &self.pipeline.targets[target];
            let (mut inputs, mut inputs_to_come) = (Vec::new(), Vec::new());
            for input in &this.inputs {
                match self.input_to_come(target, input, values) {
                    Ok(reads) => inputs.extend(reads),
                    Err(text) => inputs_to_come.push(ToCome { text, and: Vec::new() }),
                }
            }
            let mut read_out_of = vec![unknown.because.clone()];
            read_out_of.extend(self.values_to_come(target, values));
            let mut told = Explanation {
                step: self.label_of(target, values),
                standing: Standing::Pending,
                message: Some(unknown.to_string()),
                told_after: unknown.and().collect(),
                help: Some(help),
                rule: (compiled.template.rule.clone(), compiled.template.version),
                params: compiled.template.params.clone(),
                source: compiled.template.source.clone(),
                asks: self.will_ask_then(target, &self.named(target, values)),
                values: self.named(target, values),
                outputs: self.outputs_to_come(target, values),
                read_out_of,
                list_failures: self.list_failures_of(target),
                inputs,
                inputs_to_come,
                again: vec![format!("a build comes: it makes each step that comes of what {} makes", unknown.what())],
                ..Explanation::default()
            };
            let first = told.outputs.first().cloned().unwrap_or_default();
            self.tell_to_come(target, compiled, &mut told, &first);
            Some(told)
        };
        may_be.into_iter().filter(|(target, values)| self.may_have(*target, values)).filter_map(tell).collect()
    }

    /// The targets that a step reads from whose steps are not all told yet.
    pub(crate) fn inputs_to_come(&self, id: StepId) -> Vec<ToCome> {
        let slots = self.steps.target(id).inputs.iter().zip(self.steps.slots_of(id));
        let told = slots.filter_map(|(input, slot)| {
            let (InputKind::Target { target, on, .. }, Wait::Group(group)) = (&input.kind, slot.wait) else {
                return None;
            };
            let unknown = if on.is_empty() {
                self.unknown(*target, &|id| !self.is_settled(id))
            } else {
                self.unknown_behind(*target, &self.unsettled_behind(group))
            };
            let unknown = unknown?;
            let bound = self.steps.values_of(id);
            let known: Vec<_> = bound.into_iter().map(str::to_owned).enumerate().collect();
            let files = match self.input_to_come(self.steps.step(id).target as usize, input, &known) {
                Ok(reads) => reads.into_iter().map(|read| read.path).collect::<Vec<_>>().join(", "),
                Err(words) => words,
            };
            let text = format!("{}: {unknown} ({files})", self.pipeline.targets[*target].name);
            Some(ToCome { text, and: unknown.and().collect() })
        });
        told.collect()
    }
}

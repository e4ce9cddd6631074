//! What is told of targets whose steps are read out of what is still to be built.

use crate::pipeline::model::{InputKind, TargetId};
use crate::pipeline::pattern;

use super::{Explanation, Standing, ToCome};
use crate::build::engine::Engine;
use crate::build::outcome::Unknown;
use crate::build::request::Asked;
use crate::build::steps::StepId;
use crate::build::steps::values::{Values, joined_words};
use crate::build::steps::waits::{GroupId, Wait};

impl Engine<'_> {
    /// What has to be built before all steps of a target are told: what its values are read out of, where that has such a
    /// standing.
    pub(crate) fn unknown(&self, target: TargetId, standing: &impl Fn(StepId) -> bool) -> Option<Unknown> {
        self.unknown_behind(target, &self.lists_that(target, &[], standing))
    }

    /// What steps of a target with these values are read out of, where that has such a standing: of several lists, the first;
    /// where none has it, what those are read out of.
    fn lists_that(
        &self,
        target: TargetId,
        values: &[(usize, String)],
        standing: &impl Fn(StepId) -> bool,
    ) -> Vec<StepId> {
        let behind = |axis: usize| {
            let (parent, theirs) = self.read_from(target, axis, values)?;
            let mut steps = self.list_steps(target, axis, values);
            steps.retain(|&id| standing(id));
            let steps = if steps.is_empty() { self.lists_that(parent, &theirs, standing) } else { steps };
            Some(steps).filter(|steps| !steps.is_empty())
        };
        (0..self.pipeline.targets[target].axes.len()).find_map(behind).unwrap_or_default()
    }

    /// How steps that are to be built first come to be built: where none of them can be, by mending what is at fault.
    pub(super) fn help_to_build(&self, steps: &[StepId], asked: &str) -> String {
        let build = format!("`layermill build {asked}`");
        match self.faults_behind(steps).as_slice() {
            [] => format!("{build} builds that"),
            [first, others @ ..] => {
                let more = if others.is_empty() { String::new() } else { format!(" (+{} more)", others.len()) };
                format!("mend what is at fault, {first}{more}; then {build} builds that")
            }
        }
    }

    fn unknown_behind(&self, target: TargetId, steps: &[StepId]) -> Option<Unknown> {
        let (first, more) = steps.split_first()?;
        let others = more.iter().take(Unknown::KEPT).map(|&step| self.steps.label(step)).collect();
        let misread = steps.iter().all(|&step| self.steps.is_misread(step));
        Some(Unknown {
            target,
            because: self.steps.label(*first),
            more: more.len(),
            others,
            misread,
            at_risk: steps.iter().find_map(|&step| self.at_risk(step)).map(|root| self.risk_of(root)),
            rivals: Vec::new(),
        })
    }

    /// The steps that a group's rows are read out of, as far as they have to be built first.
    fn unsettled_behind(&self, group: GroupId) -> Vec<StepId> {
        let sources = self.sources(group);
        let steps = sources.iter().flat_map(|&source| self.steps.ordered(source));
        let unsettled: Vec<StepId> = steps.filter(|&step| !self.is_settled(step)).collect();
        if unsettled.is_empty() {
            // What stands for rows that could not be read lacks their values, and so may be in none of these groups.
            let behind = |source: GroupId| match self.misread_of(source) {
                misread if misread.is_empty() => self.unsettled_behind(source),
                misread => misread,
            };
            return sources.into_iter().flat_map(behind).collect();
        }
        unsettled
    }

    /// What was asked for where it has no step yet, and may get one.
    pub(crate) fn to_come(&self, asked: &Asked) -> Vec<Explanation> {
        let tell = |(target, values): (TargetId, Values)| {
            let values = values.as_slice();
            let told = self.told_of_target(target, values)?;
            let lists = self.lists_that(target, values, &|id| !self.is_settled(id));
            let Some(unknown) = self.unknown_behind(target, &lists) else {
                let misread = self.misread_for(target, values)?;
                let message = Some(self.cannot_be_told(target, misread));
                return Some(self.beside_misread(misread, Explanation { message, ..told }));
            };
            let first = unknown.because.split('@').next().filter(|_| unknown.more > 0);
            let help = self.help_to_build(&lists, first.unwrap_or(&unknown.because));
            let mut read_out_of = vec![unknown.because.clone()];
            read_out_of.extend(told.read_out_of);
            Some(Explanation {
                message: Some(unknown.to_string()),
                told_after: unknown.and().collect(),
                help: Some(help),
                read_out_of,
                list_failures: self.list_failures(target, values),
                again: vec![format!("a build comes: it makes each step that comes of what {} makes", unknown.what())],
                ..told
            })
        };
        let mut may_be = asked.steps();
        may_be.retain(|(target, values)| self.may_have(*target, values));
        // A path may be read in many ways: what the rule would refuse is hardly meant.
        let is_refused: Vec<bool> = may_be.iter().map(|(target, values)| self.is_refused(*target, values)).collect();
        if !is_refused.iter().all(|refused| *refused) {
            let mut refused = is_refused.into_iter();
            may_be.retain(|_| refused.next() == Some(false));
        }
        let mut told: Vec<Explanation> = may_be.into_iter().filter_map(tell).collect();
        if let (Asked::Output(..), 2..) = (asked, told.len()) {
            let note = format!("its path may be that of {} steps: of which it is, is seen then", told.len());
            told.iter_mut().for_each(|told| told.notes.push(note.clone()));
        }
        told
    }

    /// What is told of steps to come by their target alone, and by those of their values that are known.
    pub(super) fn told_of_target(&self, target: TargetId, values: &[(usize, String)]) -> Option<Explanation> {
        let compiled = self.rules[target].as_ref()?;
        let (mut inputs, mut inputs_to_come) = (Vec::new(), Vec::new());
        for input in &self.pipeline.targets[target].inputs {
            match self.input_to_come(target, input, values) {
                Ok(reads) => inputs.extend(reads),
                Err(text) => inputs_to_come.push(ToCome { text, and: Vec::new() }),
            }
        }
        let mut told = Explanation {
            step: self.label_of(target, values),
            standing: Standing::Pending,
            rule: (compiled.template.rule.clone(), compiled.template.version),
            params: compiled.template.params.clone(),
            source: compiled.template.source.clone(),
            asks: self.will_ask_then(target, &self.named(target, values)),
            values: self.named(target, values),
            outputs: self.outputs_to_come(target, values),
            read_out_of: self.values_to_come(target, values),
            inputs,
            inputs_to_come,
            ..Explanation::default()
        };
        let first = told.outputs.first().cloned().unwrap_or_default();
        self.tell_to_come(target, compiled, &mut told, &first);
        Some(told)
    }

    /// Whether a rule refuses steps of these values, where all are known.
    pub(super) fn is_refused(&self, target: TargetId, values: &[(usize, String)]) -> bool {
        let value = |at: usize| values.iter().find(|(binding, _)| *binding == at).map(|(_, value)| value.as_str());
        let all: Option<Vec<&str>> = (0..self.pipeline.targets[target].bindings.len()).map(value).collect();
        all.zip(self.rules[target].as_ref()).is_some_and(|(all, compiled)| compiled.rule.check(&all).is_err())
    }

    /// What has to be built before all steps are told that an entry under `inputs:` names.
    fn unknown_input(&self, id: StepId, position: usize) -> Option<Unknown> {
        let (input, slot) = (&self.steps.target(id).inputs[position], &self.steps.inputs_of(id)[position]);
        let (InputKind::Target { target, on, .. }, Wait::Group(group)) = (&input.kind, slot.wait) else {
            return None;
        };
        if on.is_empty() {
            self.unknown(*target, &|id| !self.is_settled(id))
        } else {
            self.unknown_behind(*target, &self.unsettled_behind(group))
        }
    }

    /// That an entry under `inputs:` names steps which are not told yet, or cannot be, of which target, and all that has to
    /// be built before. A path may be that of another target than it is taken for.
    fn told_later(&self, id: StepId, position: usize) -> Option<(TargetId, String, Vec<String>)> {
        let InputKind::Target { target, .. } = self.steps.target(id).inputs[position].kind else { return None };
        let in_words = |unknown: Unknown| (unknown.target, unknown.to_string(), unknown.and().collect());
        let misread = || Some((target, self.misread_input(id, position)?, Vec::new()));
        let another = || match self.lists_of_another(id, position)? {
            (other, lists) if self.steps.is_misread(lists[0]) => {
                Some((other, self.cannot_be_told(other, lists[0]), Vec::new()))
            }
            (other, lists) => self.unknown_behind(other, &lists).map(in_words),
        };
        self.unknown_input(id, position).map(in_words).or_else(misread).or_else(another)
    }

    /// The entries under `inputs:` that come to no step, and so to no file, in words.
    pub(crate) fn inputs_of_none(&self, id: StepId) -> Vec<String> {
        let values = self.steps.values_of(id);
        let entries = self.steps.target(id).inputs.iter().zip(self.steps.inputs_of(id)).enumerate();
        let of_none = entries.filter_map(|(position, (input, slot))| {
            let InputKind::Target { target, on, .. } = &input.kind else { return None };
            let is_none = match slot.wait {
                Wait::None => true,
                Wait::Group(group) => {
                    self.steps.ordered(group).is_empty() && self.file_in_place(id, position).is_none()
                }
                Wait::Step(_) | Wait::File(_) => false,
            };
            let misread = || matches!(slot.wait, Wait::Group(group) if self.is_misread_group(group));
            if !is_none || misread() || self.told_later(id, position).is_some() {
                return None;
            }
            let name = input.name.as_ref().map(|name| format!("{{in.{name}}} ")).unwrap_or_default();
            let joined = pattern::joined(on, &values);
            let with = joined_words(&self.named(*target, &joined));
            let why = if on.is_empty() { self.why_none(*target) } else { None };
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            Some(format!("{name}none, since {} has no step{with}{why}", self.pipeline.targets[*target].name))
        });
        of_none.collect()
    }

    /// The targets that a step reads from whose steps are not all told yet.
    pub(crate) fn inputs_to_come(&self, id: StepId) -> Vec<ToCome> {
        let inputs = self.steps.target(id).inputs.iter().enumerate();
        let told = inputs.filter_map(|(position, input)| {
            let (target, untold, and) = self.told_later(id, position)?;
            let bound = self.steps.values_of(id);
            let known: Vec<_> = bound.into_iter().map(str::to_owned).enumerate().collect();
            let files = match self.input_to_come(self.steps.step(id).target as usize, input, &known) {
                Ok(reads) => reads.into_iter().map(|read| read.path).collect::<Vec<_>>().join(", "),
                Err(words) => words,
            };
            let text = format!("{}: {untold} ({files})", self.pipeline.targets[target].name);
            Some(ToCome { text, and })
        });
        told.collect()
    }
}

//! What records tell of outputs that no step is known to make: since what its values are read out of has to be built
//! first, or since there is none any more.

use crate::pipeline::model::{AxisKind, TargetId};
use crate::pipeline::pattern;

use super::changes::recorded_inputs;
use super::engine::Engine;
use super::explain::{Explanation, Read, Standing, found_inputs};
use super::files::{self, Look};
use super::key::Template;
use super::outcome::Status;
use super::reason::hex;
use super::request::{Asked, Unknown};
use super::session::BuildError;
use super::steps::{StepId, printable};

/// The values of a target's bindings, as a path tells them.
type Values = Vec<(usize, String)>;

impl Engine<'_> {
    /// What is recorded of the steps asked for, where they are none now.
    pub(super) fn remembered(&self, asked: &Asked) -> Vec<Explanation> {
        match asked {
            Asked::Output(path, makers) => {
                if self.steps.find_path(&self.state, path).is_some() {
                    return Vec::new();
                }
                let Some(first) = self.recorded_by(path) else { return Vec::new() };
                let pending = makers.iter().find_map(|(target, values)| self.pending(*target, values, &first));
                let values = makers.first().map(|(target, values)| (*target, values.as_slice()));
                pending.or_else(|| self.orphan_of(&first, values)).into_iter().collect()
            }
            Asked::Target(target) => self.recorded_of(*target, &[], false),
            Asked::Steps(target, values) => self.recorded_of(*target, values, true),
        }
    }

    /// What is recorded of the steps asked for, where it cannot be told which there are: why not.
    pub(super) fn remembered_all(&self, asked: &Asked, why: &str) -> Vec<Explanation> {
        let recorded = match asked {
            Asked::Output(path, makers) => {
                let first = self.recorded_by(path);
                makers
                    .first()
                    .zip(first)
                    .map(|((target, values), path)| (*target, values.clone(), path))
                    .into_iter()
                    .collect()
            }
            Asked::Target(target) => self.records_of(*target, &[]),
            Asked::Steps(target, values) => self.records_of(*target, values),
        };
        let tell = |(target, values, path): (TargetId, Values, String)| {
            let told = self.told_by_record(&path)?;
            Some(Explanation {
                standing: Standing::Pending,
                step: self.label_of(target, &values),
                message: Some(format!("its steps cannot be told: {why}")),
                help: Some("once that is mended, it is seen whether there still is such a step".to_owned()),
                ..told
            })
        };
        recorded.into_iter().filter_map(tell).collect()
    }

    /// The records of a target's steps with these values that are none now; orphans, too, where those are asked for.
    fn recorded_of(&self, target: TargetId, values: &[(usize, String)], orphans: bool) -> Vec<Explanation> {
        let tell = |(target, values, path): (TargetId, Values, String)| {
            let pending = self.pending(target, &values, &path);
            pending.or_else(|| orphans.then(|| self.orphan_of(&path, Some((target, &values)))).flatten())
        };
        self.records_of(target, values).into_iter().filter_map(tell).collect()
    }

    /// The records that a target's steps with these values would have and no step has now, with all their values, by path.
    fn records_of(&self, target: TargetId, values: &[(usize, String)]) -> Vec<(TargetId, Values, String)> {
        let Some(output) = self.pipeline.targets[target].outputs.first() else { return Vec::new() };
        let has = |these: &Values| values.iter().all(|value| these.contains(value));
        let record = |id| {
            let path: &str = self.state.path(id);
            let values = pattern::match_path(&output.pattern, path).into_iter().find(has)?;
            Some((target, values, path.to_owned()))
        };
        let free = self.state.step_ids().filter(|&id| self.steps.maker(id).is_none());
        let mut records: Vec<_> = free.filter_map(record).collect();
        records.sort_by(|a, b| a.2.cmp(&b.2));
        records
    }

    /// A record that no target's output is of.
    pub(super) fn orphan(&self, path: &str) -> Option<Explanation> {
        self.orphan_of(&self.recorded_by(path)?, None)
    }

    /// Why there is nothing to tell of a path.
    pub(super) fn not_recorded(&self, path: &str, unknown: Unknown) -> BuildError {
        let read = self.state.file(path).is_some() && self.pipeline.root.join(path).is_file();
        let help = read.then(|| format!("no step makes it; `layermill graph {path} --needed-by` names what reads it"));
        Unknown { help: help.or(unknown.help), message: unknown.message }.into()
    }

    /// The first output of the recorded step that made this file.
    fn recorded_by(&self, path: &str) -> Option<String> {
        if self.state.step_key(path).is_some() {
            return Some(path.to_owned());
        }
        let made =
            |first: &&str| self.state.step(first).is_some_and(|step| step.more_outputs.iter().any(|m| m == path));
        self.state.step_ids().map(|id| self.state.path(id)).find(made).map(str::to_owned)
    }

    /// A step that comes back once what its values are read out of is built.
    fn pending(&self, target: TargetId, values: &[(usize, String)], path: &str) -> Option<Explanation> {
        let value = |binding: usize| values.iter().find(|(b, _)| *b == binding).map(|(_, value)| value.as_str());
        let axes = 0..self.pipeline.targets[target].axes.len();
        let parent =
            axes.clone().filter_map(|axis| self.parent_step(target, axis, value)).find(|&s| !self.is_settled(s));
        // Of a parent that has no steps yet either, its own parent is what is to be built.
        let grown = || axes.clone().find_map(|axis| self.unborn(target, axis, values));
        let (parent, what) = match parent {
            Some(step) => (self.steps.label(step), self.standing_of(step)),
            None => (grown()?, "its own steps are told only once that is built".to_owned()),
        };
        let mut told = self.told_by_record(path)?;
        told.standing = Standing::Pending;
        told.step = self.label_of(target, values);
        told.message = Some(format!("its values are read out of {parent}: {what}"));
        told.help =
            Some(format!("`layermill build {parent}` builds that; then it is seen whether there still is such a step"));
        told.again = vec![
            format!("{parent} is built, and its values are among what is read out of that"),
            "what it reads or what it made was changed meanwhile".to_owned(),
        ];
        told.read_out_of = vec![parent];
        Some(told)
    }

    fn is_settled(&self, step: StepId) -> bool {
        let status = self.steps.step(step).status;
        status.has_outputs() || status == Status::Absent
    }

    /// Why a step has not been built.
    fn standing_of(&self, step: StepId) -> String {
        let account = self.accounts.get(&step);
        let why = account.and_then(|a| a.reasons.as_ref().map(ToString::to_string).or_else(|| a.message.clone()));
        let word = self.steps.step(step).status.word();
        why.map_or_else(|| word.to_owned(), |why| format!("it is {word} ({why})"))
    }

    /// The label of what an axis reads out of, where that itself is still to come.
    fn unborn(&self, target: TargetId, axis: usize, values: &[(usize, String)]) -> Option<String> {
        let this = &self.pipeline.targets[target];
        let AxisKind::From { target: parent, .. } = this.axes[axis].kind else { return None };
        let ours = this.bindings.iter().enumerate().filter(|(_, b)| b.axis == axis);
        let theirs: Values =
            ours.filter_map(|(i, b)| Some((b.parent?, values.iter().find(|(at, _)| *at == i)?.1.clone()))).collect();
        let lookup = |binding: usize| theirs.iter().find(|(b, _)| *b == binding).map(|(_, value)| value.as_str());
        let grandparents = 0..self.pipeline.targets[parent].axes.len();
        let waits = grandparents.clone().any(|axis| {
            self.parent_step(parent, axis, lookup).is_some_and(|s| !self.is_settled(s))
                || self.unborn(parent, axis, &theirs).is_some()
        });
        waits.then(|| self.label_of(parent, &theirs))
    }

    fn orphan_of(&self, path: &str, of: Option<(TargetId, &[(usize, String)])>) -> Option<Explanation> {
        let mut told = self.told_by_record(path)?;
        told.standing = Standing::Orphan;
        told.step = of.map_or_else(|| path.to_owned(), |(target, values)| self.label_of(target, values));
        told.message = Some(match of {
            Some((target, _)) => format!(
                "no step makes it any more: these values are not among those of {} now",
                self.pipeline.targets[target].name
            ),
            None => "no step makes it any more: no target has an output of this name".to_owned(),
        });
        told.help =
            Some("`layermill clean --orphans` removes it, with all others of its kind; `-n` lists them".to_owned());
        told.again = vec!["the pipeline, or what values are read out of, has it again".to_owned()];
        Some(told)
    }

    /// All that the record alone tells.
    fn told_by_record(&self, path: &str) -> Option<Explanation> {
        let record = self.state.step(path)?;
        let recorded = self.state.template(&record.template).and_then(Template::parse);
        let mut told = Explanation::of_record(&record, recorded.as_ref());
        let outputs: Vec<&str> = std::iter::once(path).chain(record.more_outputs.iter().map(String::as_str)).collect();
        let inputs = recorded_inputs(&record, recorded.as_ref(), &outputs, |name| self.input_of(name));
        let inputs = inputs.into_iter().map(|(path, value)| Read {
            path,
            digest: Some(hex(value)),
            name: None,
            step: None,
            found: false,
        });
        told.inputs = inputs.chain(found_inputs(&record)).collect();
        if let Some(recorded) = recorded {
            told.rule = (recorded.rule, recorded.version);
            (told.params, told.source) = (recorded.params, recorded.source);
        }
        told.outputs = outputs.into_iter().map(|output| self.output_now(output)).collect();
        Some(told)
    }

    /// A recorded output, and what became of it.
    fn output_now(&self, path: &str) -> String {
        let full = self.pipeline.root.join(path);
        let folder = std::fs::symlink_metadata(&full).is_ok_and(|m| m.is_dir());
        let known = self.state.file(path);
        match (files::look_at_output(&full, known, folder), known) {
            (Look::Missing, _) => format!("{path} (gone)"),
            (Look::Same(_), _) => path.to_owned(),
            (Look::Hashed(now), Some(known)) if now.content == known.content => path.to_owned(),
            (Look::Hashed(_) | Look::Unusable(_), _) => format!("{path} (changed since)"),
        }
    }

    fn label_of(&self, target: TargetId, values: &[(usize, String)]) -> String {
        let this = &self.pipeline.targets[target];
        let mut label = this.name.clone();
        let mut values = values.to_vec();
        values.sort_by_key(|(binding, _)| *binding);
        for (i, (binding, value)) in values.iter().enumerate() {
            label.push(if i == 0 { '@' } else { ',' });
            label.push_str(&format!("{}={}", this.bindings[*binding].name, printable(value)));
        }
        label
    }
}

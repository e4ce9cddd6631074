//! All that a record alone tells of the step that it is of.

use crate::pipeline::backwards;
use crate::pipeline::model::{Binding, Output, TargetId, Text};
use crate::pipeline::pattern;
use crate::pipeline::problem::Span;
use crate::store::hex;
use crate::store::state::StepRecord;

use super::Explanation;
use super::reads::{Now, Read};
use crate::build::decide::changes::{CROWD, recorded_inputs};
use crate::build::decide::key::{INPUT_NAMES, Part};
use crate::build::engine::Engine;
use crate::build::steps::StepId;
use crate::build::steps::values::{Value, Values, filled, label};

impl Engine<'_> {
    /// All that the record alone tells.
    pub(super) fn told_by_record(&self, path: &str) -> Option<Explanation> {
        let record = self.state.step(path)?;
        let recorded = self.template_of(&record);
        let mut told = Explanation::of_record(&record, recorded.as_ref());
        let outputs: Vec<&str> = std::iter::once(path).chain(record.more_outputs.iter().map(String::as_str)).collect();
        let inputs = recorded_inputs(&record, recorded.as_ref(), &outputs, |name| self.input_of(name));
        let inputs = inputs.into_iter().map(|(path, &then)| match self.state.file(&path) {
            Some(_) => self.read(&path, Some(then)),
            None => Read {
                path,
                now: Now::Untold,
                was: Some(hex(&then)),
                name: None,
                step: None,
                found: false,
                done_without: false,
                left_out: false,
                orphan: false,
            },
        });
        told.inputs = inputs.chain(self.found_inputs(&record)).collect();
        if let Some(recorded) = recorded {
            told.rule = (recorded.rule, recorded.version);
            (told.params, told.source) = (recorded.params, recorded.source);
            told.other_source = told.other_source.filter(|then| Some(then) != told.source.as_ref());
        }
        // What was made beside it may be another step's now.
        let is_left = |output: &&str| self.steps.find_path(&self.state, output).is_none();
        told.outputs = outputs.into_iter().filter(is_left).map(|output| self.output_now(output)).collect();
        Some(told)
    }

    pub(super) fn tell_contents_of_record(&self, path: &str, told: &mut Explanation) {
        if let Some(record) = self.state.step(path) {
            self.tell_contents(path, &record, told);
            self.name_inputs(&record, told);
        }
    }

    /// Under which entry of `inputs:` each file stood that the last run read, as far as it is told by what that entry names:
    /// the file, or the target that made it.
    fn name_inputs(&self, record: &StepRecord, told: &mut Explanation) {
        let Some(template) = self.template_of(record) else { return };
        let names = template.params.iter().rfind(|(name, _)| name == INPUT_NAMES);
        let names: Vec<&str> = names.into_iter().flat_map(|(_, names)| names.split(',')).collect();
        let entries: Vec<String> =
            template.inputs.iter().flat_map(|words| words.split(", ")).map(|word| filled(word, &told.values)).collect();
        if names.len() != entries.len() {
            return;
        }
        for read in told.inputs.iter_mut().filter(|read| !read.found) {
            let crowd = read.path.strip_prefix(CROWD).and_then(|place| place.parse::<usize>().ok()?.checked_sub(1));
            let maker = self.recorded_by(&read.path).and_then(|first| self.state.step(&first));
            let maker = maker.and_then(|made| self.template_of(&made)?.target);
            let names_it = |entry: &String| entry.trim_end_matches('/') == read.path || Some(entry) == maker.as_ref();
            let place = crowd.or_else(|| entries.iter().position(names_it));
            read.name = place.and_then(|place| names.get(place)).map(|&name| name.to_owned());
        }
    }

    /// The values by which a recorded step was made: those that its path had then, or, where the record does not tell how
    /// that was put together, those that it has only the digests of, as far as they stand in it.
    pub(crate) fn values_in(&self, path: &str) -> Vec<Value> {
        let Some(record) = self.state.step(path) else { return Vec::new() };
        let template = self.template_of(&record);
        if let Some((first, others)) = self.values_then(path).as_deref().and_then(<[_]>::split_first) {
            let is_sure = |value: &&Value| others.iter().all(|other| other.contains(value));
            return first.iter().filter(is_sure).cloned().collect();
        }
        let found = template.into_iter().flat_map(|template| template.bindings).filter_map(|binding| {
            let name = Part::Value { binding: &binding, value: "" }.name_hash();
            let digest = record.parts.iter().find(|part| part.name == name)?.value;
            let value =
                pieces(path).find(|value| Part::Value { binding: &binding, value }.value() == digest)?.to_owned();
            Some((binding, value, None))
        });
        found.collect()
    }

    /// The values that the path of a recorded output had when it was made, in each way in which it may be read; `None` where
    /// the record does not tell how it was put together.
    pub(super) fn values_then(&self, path: &str) -> Option<Vec<Vec<Value>>> {
        let record = self.state.step(path)?;
        let template = self.template_of(&record)?;
        let (output, names) = (template.output?, template.named?);
        let binding = |name: &String| Binding { name: name.clone(), axis: 0, parent: None };
        let bindings: Vec<Binding> = names.iter().map(binding).collect();
        let span = Span { start: 0, len: output.len() };
        let output = pattern::parse(&Text::plain(&output), span, &output, &bindings);
        let read = |may_be_empty: bool| {
            let mut ways = backwards::match_with_empty(&output, path, &|_| may_be_empty);
            ways.retain(|values| values.iter().all(|(b, value)| may_have_had(&record, &names[*b], value)));
            ways
        };
        let ways = Some(read(false)).filter(|ways| !ways.is_empty()).unwrap_or_else(|| read(true));
        let named = |mut values: Values| {
            values.sort_by_key(|(binding, _)| *binding);
            values.into_iter().map(|(binding, value)| (names[binding].clone(), value, None)).collect()
        };
        (!ways.is_empty()).then(|| ways.into_iter().map(named).collect())
    }

    /// Whether a recorded output may have been made by these values of a target, under whatever name: where its path was put
    /// together otherwise then, it was another step that made it.
    pub(super) fn may_have_made(&self, path: &str, target: TargetId, values: &[(usize, String)]) -> bool {
        let by_name = |mut values: Vec<Value>| {
            values.sort();
            values
        };
        let these = by_name(self.named(target, values));
        self.values_then(path).is_none_or(|ways| ways.into_iter().any(|way| by_name(way) == these))
    }

    /// The step that made what is recorded of one of now, where its target gave that another name then.
    pub(super) fn made_as_another(&self, id: StepId) -> Option<String> {
        let path = self.state.path(self.record_path(id)?);
        let target = self.steps.step(id).target as usize;
        let (this, values) = (&self.pipeline.targets[target], self.steps.values_of(id));
        let template = self.template_of(&self.state.step(path)?)?;
        let mut in_path: Vec<usize> =
            this.outputs.first().into_iter().flat_map(|o| pattern::bindings(&o.pattern)).collect();
        in_path.sort_unstable();
        in_path.dedup();
        let values: Values = in_path.into_iter().map(|binding| (binding, values[binding].to_owned())).collect();
        let is_another = template.target.as_ref() == Some(&this.name) && !self.may_have_made(path, target, &values);
        is_another.then(|| label(&this.name, &self.values_in(path)))
    }

    /// The recorded outputs that a step of this name made, the first of each.
    pub(super) fn made_as(&self, name: &str) -> Vec<String> {
        let target = name.split('@').next().unwrap_or(name);
        let is_its = |path: &&str| {
            let template = self.state.step(path).and_then(|record| self.template_of(&record));
            template.and_then(|template| template.target).is_some_and(|of| of == target)
                && label(target, &self.values_in(path)) == name
        };
        let mut made: Vec<String> =
            self.state.step_ids().map(|id| self.state.path(id)).filter(is_its).map(str::to_owned).collect();
        made.sort_unstable();
        made
    }

    /// How the path of a recorded output was put together, where its target does that otherwise now; that the target is
    /// gone, where another one has such paths.
    pub(super) fn moved_pattern(&self, path: &str) -> Option<String> {
        let template = self.template_of(&self.state.step(path)?)?;
        let (name, then) = (template.target?, template.output?);
        let Some(target) = self.pipeline.targets.iter().find(|target| target.name == name) else {
            return (!self.makers().of(path).is_empty()).then(|| format!("there is no target {name}, which made it"));
        };
        let now = |output: &Output| pattern::template(&output.pattern, &target.bindings);
        let now: Vec<String> = target.outputs.iter().map(now).collect();
        let is_moved = !now.is_empty() && !now.contains(&then);
        is_moved.then(|| format!("the output of {name} was {then}, and is {} now", now.join(" and ")))
    }
}

/// Whether a record tells no other value of a binding than this one.
pub(super) fn may_have_had(record: &StepRecord, binding: &str, value: &str) -> bool {
    let part = Part::Value { binding, value };
    let name = part.name_hash();
    record.parts.iter().all(|recorded| recorded.name != name || recorded.value == part.value())
}

/// Every piece of a path: a value may begin and end anywhere in it. Of a long path there are too many to go through.
fn pieces(path: &str) -> impl Iterator<Item = &str> {
    const LONGEST: usize = 512;
    let path = if path.len() > LONGEST { "" } else { path };
    (0..path.len()).flat_map(move |from| (from + 1..=path.len()).filter_map(move |to| path.get(from..to)))
}

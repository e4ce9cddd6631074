//! All that a record alone tells of the step that it is of.

use crate::store::hex;
use crate::store::state::StepRecord;

use super::reads::{Now, Read};
use super::remembered::Value;
use super::{Explanation, lists};
use crate::build::decide::changes::{CROWD, recorded_inputs};
use crate::build::decide::key::{INPUT_NAMES, Part};
use crate::build::engine::Engine;

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
        told.outputs = outputs.into_iter().map(|output| self.output_now(output)).collect();
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
        let entries: Vec<String> = template
            .inputs
            .iter()
            .flat_map(|words| words.split(", "))
            .map(|word| lists::filled(word, &told.values))
            .collect();
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

    /// The values that a record has only the digests of, as far as they stand in the path of its output.
    pub(crate) fn values_in(&self, path: &str) -> Vec<Value> {
        let Some(record) = self.state.step(path) else { return Vec::new() };
        let template = self.template_of(&record);
        let found = template.into_iter().flat_map(|template| template.bindings).filter_map(|binding| {
            let name = Part::Value { binding: &binding, value: "" }.name_hash();
            let digest = record.parts.iter().find(|part| part.name == name)?.value;
            let value =
                pieces(path).find(|value| Part::Value { binding: &binding, value }.value() == digest)?.to_owned();
            Some((binding, value, None))
        });
        found.collect()
    }
}

/// Every piece of a path: a value may begin and end anywhere in it. Of a long path there are too many to go through.
fn pieces(path: &str) -> impl Iterator<Item = &str> {
    const LONGEST: usize = 512;
    let path = if path.len() > LONGEST { "" } else { path };
    (0..path.len()).flat_map(move |from| (from + 1..=path.len()).filter_map(move |to| path.get(from..to)))
}

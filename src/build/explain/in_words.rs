//! What can be said of steps before there are any: their paths as patterns, and where their values will come from.

use std::collections::HashSet;

use crate::pipeline::model::{self, AxisKind, Input, InputKind, Pattern, TargetId};
use crate::pipeline::pattern;
use crate::store::state::StepRecord;

use super::Standing;
use super::reads::Read;
use super::remembered::Recorded;
use crate::build::decide::changes::recorded_inputs;
use crate::build::decide::key::crowd_name;
use crate::build::decide::left_out::was_left_out;
use crate::build::engine::Engine;
use crate::build::request::Asked;
use crate::build::steps::StepId;
use crate::build::steps::values::{Values, partly_filled};

/// Values of some bindings of a target.
type Known<'v> = &'v [(usize, String)];

impl Engine<'_> {
    fn partly_filled(&self, target: TargetId, of: &Pattern, known: Known<'_>) -> String {
        partly_filled(self.pipeline, target, of, known)
    }

    pub(crate) fn outputs_to_come(&self, target: TargetId, known: Known<'_>) -> Vec<String> {
        let outputs = self.pipeline.targets[target].outputs.iter();
        outputs.map(|output| self.partly_filled(target, &output.pattern, known)).collect()
    }

    /// Where the values of a target's bindings come from that are not known, binding by binding.
    pub(crate) fn values_to_come(&self, target: TargetId, known: Known<'_>) -> Vec<String> {
        let bindings = self.pipeline.targets[target].bindings.iter().enumerate();
        let unknown = bindings.filter(|(binding, _)| known.iter().all(|(b, _)| b != binding));
        unknown.map(|(binding, b)| format!("{{{}}}: {}", b.name, self.each_value(target, binding, known))).collect()
    }

    fn each_value(&self, target: TargetId, binding: usize, known: Known<'_>) -> String {
        let this = &self.pipeline.targets[target];
        let binding = &this.bindings[binding];
        match (&this.axes[binding.axis].kind, self.read_from(target, binding.axis, known)) {
            (_, Some((parent, theirs))) if binding.parent.is_some() => {
                self.each_value(parent, binding.parent.unwrap_or_default(), &theirs)
            }
            (AxisKind::From { read, output, .. }, Some((parent, theirs))) => {
                let file = self.outputs_to_come(parent, &theirs).into_iter().nth(*output).unwrap_or_default();
                match read {
                    model::Read::Tags(_) => format!("each tag that is chosen out of {file}"),
                    model::Read::Lines => format!("each line of {file}"),
                    model::Read::Csv(column) => format!("each value of the column {column} of {file}"),
                    model::Read::Json(at) if at.is_empty() => format!("each entry of {file}"),
                    model::Read::Json(at) => format!("each entry of {at} in {file}"),
                }
            }
            (AxisKind::Lines(path), _) => format!("each line of {path}"),
            (AxisKind::Csv { path, column }, _) => format!("each value of the column {column} of {path}"),
            (AxisKind::Glob(pattern), _) => format!("each file of {pattern}"),
            (AxisKind::List(values), _) => format!("each of {}", values.join(", ")),
            (AxisKind::From { .. }, None) => "not told yet".to_owned(),
        }
    }

    /// What comes in by an entry of `inputs:`: the files, where all of their names are known; else words for them.
    pub(crate) fn input_to_come(&self, target: TargetId, input: &Input, known: Known<'_>) -> Result<Vec<Read>, String> {
        let is_known = |p: &Pattern| pattern::bindings(p).all(|binding| known.iter().any(|(b, _)| *b == binding));
        let named = |read: Read| Read { name: input.name.clone(), ..read };
        match &input.kind {
            InputKind::Path(path) => {
                let (known, path) = (is_known(path), self.partly_filled(target, path, known));
                if known { Ok(vec![named(self.read(&path, None))]) } else { Err(path) }
            }
            InputKind::Target { target: of, on, .. } => {
                let joined = on.iter().map(|(theirs, mine)| (*theirs, self.partly_filled(target, mine, known)));
                let joined: Vec<(usize, String)> = joined.collect();
                let files = match &input.path {
                    Some(path) => vec![self.partly_filled(target, path, known)],
                    None => self.outputs_to_come(*of, &joined),
                };
                let each = self.values_to_come(*of, &joined);
                if each.is_empty() && on.iter().all(|(_, mine)| is_known(mine)) {
                    let step = |path: &str| match self.steps.find_path(&self.state, path) {
                        Some(step) => (self.steps.label(step), self.trouble(step)),
                        None => (self.label_of(*of, &joined), Some(Standing::Pending.word().to_owned())),
                    };
                    return Ok(files
                        .iter()
                        .map(|p| Read { step: Some(step(p)), ..named(self.read(p, None)) })
                        .collect());
                }
                let each = if each.is_empty() { String::new() } else { format!(", {}", each.join(", ")) };
                Err(format!("{} of {}{each}", files.join(", "), self.pipeline.targets[*of].name))
            }
        }
    }

    /// What the last run of a step read that is still to come again.
    pub(crate) fn read_before(&self, id: StepId, record: &StepRecord, told: &[Read]) -> Vec<Read> {
        // Each is looked for among the records.
        const MOST: usize = 1000;
        let recorded = self.template_of(record);
        let outputs: Vec<&str> = self.paths(id).collect();
        let inputs = recorded_inputs(record, recorded.as_ref(), &outputs, |name| self.input_of(name));
        let told: HashSet<&str> = told.iter().map(|read| read.path.as_str()).collect();
        let is_left = |path: &String| !told.contains(path.as_str()) && !self.is_gone_for_now(id, path);
        let left = inputs.into_iter().filter(|(path, _)| is_left(path)).take(MOST);
        let reads = left.filter_map(|(path, &then)| {
            let first = self.recorded_by(&path)?;
            let may_be = self.recorded(&first, self.makers().of(&first)).may_be;
            let is_pending = |target, values: &Values| self.pending(target, values, &first).is_some();
            let entry = |target, values: &Values| self.entry_for(id, &path, target, values);
            let mut makers =
                may_be.iter().filter_map(|(target, values)| Some((*target, values, entry(*target, values)?)));
            let (target, values, entry) = makers.find(|(target, values, _)| is_pending(*target, values))?;
            let label = self.label_of(target, &self.sure_values(&may_be, target, values));
            let step = (label, Some(Standing::Pending.word().to_owned()));
            Some(Read { name: entry.name.clone(), step: Some(step), orphan: false, ..self.read(&path, Some(then)) })
        });
        reads.collect()
    }

    /// What the last run of a step did without that had been made before, of targets that it reads in part, and is to come
    /// again.
    pub(crate) fn done_without_before(&self, id: StepId, record: &StepRecord, told: &[Read]) -> Vec<Read> {
        let told: HashSet<&str> = told.iter().map(|read| read.path.as_str()).collect();
        let (mut reads, values) = (Vec::new(), self.steps.values_of(id));
        for (position, input) in self.steps.target(id).inputs.iter().enumerate() {
            let InputKind::Target { target, on, .. } = &input.kind else { continue };
            let named = input.path.as_ref().map(|path| pattern::fill(path, &values));
            let is_read = |path: &&String| named.as_ref().is_none_or(|named| *path == named);
            let crowd = crowd_name(position);
            let is_told = record.absent.is_none() && record.parts.iter().all(|part| part.name != crowd);
            if !is_told || !self.goes_on_without(id, position) {
                continue;
            }
            let joined = pattern::joined(on, &values);
            for Recorded { path, may_be } in self.records_of(&Asked::Steps(*target, joined)) {
                let mut pending = may_be.iter().filter(|(target, values)| self.awaited(*target, values).is_some());
                let (Some((target, values)), Some(made)) = (pending.next(), self.state.step(&path)) else { continue };
                let label = self.label_of(*target, &self.sure_values(&may_be, *target, values));
                let outputs = std::iter::once(&path).chain(&made.more_outputs);
                let left_out = outputs.filter(|path| is_read(path) && was_left_out(record, path));
                let left_out = left_out.filter(|path| !told.contains(path.as_str()));
                reads.extend(left_out.map(|path| Read {
                    name: input.name.clone(),
                    step: Some((label.clone(), Some(Standing::Pending.word().to_owned()))),
                    left_out: true,
                    done_without: true,
                    orphan: false,
                    ..self.read(path, None)
                }));
            }
        }
        reads
    }
}

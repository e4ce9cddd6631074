//! What records tell of outputs that no step is known to make: since what its values are read out of has to be built
//! first, or since there is none any more.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::pipeline::makers::readings;
use crate::pipeline::model::{self, Input, InputKind, Pattern, TargetId};
use crate::pipeline::pattern::fill;
use crate::store::state::StepRecord;

use super::record::may_have_had;
use super::{Explanation, Standing};
use crate::build::decide::key::{Template, has_read};
use crate::build::engine::{Compiled, Engine};
use crate::build::reason::Reason;
use crate::build::request::{Asked, Unknown};
use crate::build::steps::values::{Values, label, read_out_of};

/// A record that no step has now.
pub(super) struct Recorded {
    /// Of its first output.
    pub path: String,
    /// The steps that it may be of, the likeliest first.
    pub may_be: Vec<(TargetId, Values)>,
}

impl Engine<'_> {
    /// What is recorded of the steps asked for, where they are none now.
    pub(crate) fn remembered(&self, asked: &Asked) -> Vec<Explanation> {
        // Of a whole target, what it has no values for any more is left to `clean`.
        let orphans = !matches!(asked, Asked::Target(_));
        if !self.may_be_remembered(asked, orphans) {
            return Vec::new();
        }
        // Asked for by its path, it is told of all that may make it; by name, another target may still.
        let is_nobodys = |path: &str| match asked {
            Asked::Steps(target, values) => self.is_nobodys_but(path, Some((*target, values))),
            Asked::Target(_) | Asked::Output(..) => true,
        };
        let by_path = matches!(asked, Asked::Output(..));
        let tell = |Recorded { path, may_be }: Recorded| {
            let was_one = |target: TargetId, values: &Values| {
                self.may_be_back(target, values) && self.may_have_made(&path, target, values)
            };
            let is_pending = |(target, values): &(TargetId, Values)| {
                self.awaited(*target, values).is_some() && !was_one(*target, values)
            };
            // The file may come to be that of a step with other values than it was made by: told is the step that made it, as
            // long as that may come.
            let may_come = may_be.iter().any(|of| is_pending(of) || was_one(of.0, &of.1));
            let others = if by_path && !may_come { self.makers().of(&path) } else { Vec::new() };
            let may_be = if others.iter().any(is_pending) { others } else { may_be };
            let (of, told) = match may_be.iter().find(|of| is_pending(of)) {
                Some(of) => (Some(of), self.pending(of.0, &of.1, &path)?),
                None => {
                    // Of several, one that may have it again: nothing that removes orphans takes it then.
                    let back = may_be.iter().find(|(target, values)| was_one(*target, values));
                    let made = || may_be.iter().find(|(target, values)| self.may_have_made(&path, *target, values));
                    let of = back.or_else(made);
                    let is_told = orphans && (of.is_some() || by_path) && is_nobodys(&path);
                    (of, self.orphan_of(&path, of).filter(|_| is_told)?)
                }
            };
            Some(match of.filter(|_| by_path) {
                Some((target, values)) => self.told_surely(told, *target, &self.sure_values(&may_be, *target, values)),
                None => told,
            })
        };
        self.records_of(asked).into_iter().filter_map(tell).collect()
    }

    /// Whether it is sure that no target has a step that makes a file which none makes now.
    pub(crate) fn is_nobodys(&self, path: &str) -> bool {
        self.makers().of(path).iter().all(|(target, values)| self.is_sure_not_to_make(*target, values))
    }

    /// The same but perhaps for a step of these values, and for those that their lists had no more when they were last built.
    fn is_nobodys_but(&self, path: &str, but: Option<(TargetId, &Values)>) -> bool {
        let is_excepted = |target: TargetId, values: &Values| {
            but.is_some_and(|(of, with)| of == target && with.iter().all(|value| values.contains(value)))
                || self.may_be_back(target, values)
        };
        let makers = self.makers().of(path);
        makers.iter().all(|(target, values)| is_excepted(*target, values) || self.is_sure_not_to_make(*target, values))
    }

    /// Whether a target never has a step of these values, or was looked at for one that would make a file that no step
    /// makes, and none is to come.
    pub(crate) fn is_sure_not_to_make(&self, target: TargetId, values: &[(usize, String)]) -> bool {
        let looked_at = || self.wanted[target].takes_all(values) && self.awaited(target, values).is_none();
        !self.may_have(target, values) || looked_at() || self.lacks_a_list_for(target, values)
    }

    /// Whether a list that was looked at for other steps tells that a target has none of these values: it is there without
    /// theirs, or there is no such list.
    fn lacks_a_list_for(&self, target: TargetId, values: &[(usize, String)]) -> bool {
        let value = |binding: usize| values.iter().find(|(b, _)| *b == binding).map(|(_, value)| value.as_str());
        self.pipeline.targets[target].axes.iter().enumerate().any(|(position, axis)| {
            let Some((parent, theirs)) = self.read_from(target, position, values) else { return false };
            // By some of its values alone, it may be any of several.
            if theirs.len() < self.pipeline.targets[parent].bindings.len() {
                return false;
            }
            match (self.parent_step(target, position, value), value(axis.binding)) {
                (None, _) => self.is_sure_not_to_make(parent, &theirs),
                (Some(list), Some(own)) if !self.is_to_come(list) => {
                    self.values_read_out_of(list, target, position).is_some_and(|read| !read.contains(own))
                }
                _ => false,
            }
        })
    }

    /// Whether a record is told of any of this, or of these paths that no target makes: then what else is recorded, and made,
    /// is told with it.
    pub(super) fn tells_of_records(&self, asked: &[Asked], paths: &[(String, Unknown)]) -> bool {
        let of = |asked: &Asked| {
            self.may_be_remembered(asked, !matches!(asked, Asked::Target(_))) && !self.records_of(asked).is_empty()
        };
        paths.iter().any(|(path, _)| self.recorded_by(path).is_some()) || asked.iter().any(of)
    }

    /// Whether it is worth going through all records: steps are still to come, or there is none of what was asked for.
    fn may_be_remembered(&self, asked: &Asked, orphans: bool) -> bool {
        let (Asked::Target(target) | Asked::Steps(target, _)) = asked else { return true };
        let none = || !self.steps.rows[*target].steps.iter().any(|&id| self.is_named(asked, id));
        self.untold().contains(target) || orphans && none()
    }

    /// The values by which a target's steps may have been made that are recorded, and none now.
    pub(crate) fn recorded_values(&self, target: TargetId) -> Vec<Values> {
        let records = self.records_of(&Asked::Target(target));
        records.into_iter().flat_map(|record| record.may_be).map(|(_, values)| values).collect()
    }

    /// Whether anything is recorded of what was asked for that no step has now.
    pub(super) fn is_recorded(&self, asked: &Asked) -> bool {
        let made_it = |record: &Recorded| {
            let mut may_be = record.may_be.iter();
            matches!(asked, Asked::Output(..)) || may_be.any(|(t, values)| self.may_have_made(&record.path, *t, values))
        };
        !matches!(asked, Asked::Target(_)) && self.records_of(asked).iter().any(made_it)
    }

    /// The records of what was asked for that no step has now, by path.
    pub(super) fn records_of(&self, asked: &Asked) -> Vec<Recorded> {
        let (target, wanted) = match asked {
            Asked::Output(path, _) if self.has_step_at(path) => return Vec::new(),
            Asked::Output(path, _) => {
                let makers = |first: &String| self.makers().of(first);
                let first = self.recorded_by(path);
                return first.map(|first| self.recorded(&first, makers(&first))).into_iter().collect();
            }
            Asked::Target(target) => (*target, &[][..]),
            Asked::Steps(target, values) => (*target, values.as_slice()),
        };
        let Some(output) = self.pipeline.targets[target].outputs.first() else { return Vec::new() };
        let begins = match output.pattern.parts.first() {
            Some(model::Part::Text(text)) => text.public(),
            _ => String::new(),
        };
        let has = |values: &Values| wanted.iter().all(|value| values.contains(value));
        let record = |path: &str| {
            let read = readings(&self.pipeline.targets, target, &output.pattern, path);
            let mut recorded = read.iter().any(has).then(|| {
                // Which of all readings it is comes first, and whether that was asked for then.
                self.recorded(path, read.into_iter().map(|values| (target, values)).collect())
            })?;
            recorded.may_be.retain(|(_, values)| has(values));
            Some(recorded)
        };
        let free = self.state.step_ids().filter(|&id| self.steps.maker(id).is_none()).map(|id| self.state.path(id));
        let mut records: Vec<Recorded> = free.filter(|path| path.starts_with(&begins)).filter_map(record).collect();
        records.retain(|record| !record.may_be.is_empty());
        records.sort_by(|a, b| a.path.cmp(&b.path));
        records
    }

    /// The steps that may have made a file, as what is recorded of it tells: none where nothing is.
    pub(crate) fn recorded_makers(&self, path: &str) -> Vec<(TargetId, Values)> {
        let first = self.recorded_by(path);
        first.map(|first| self.recorded(&first, self.makers().of(&first)).may_be).unwrap_or_default()
    }

    /// The steps that may have made a recorded output: a path may be read in several ways, and the record tells by which
    /// values it was made.
    pub(super) fn recorded(&self, path: &str, mut may_be: Vec<(TargetId, Values)>) -> Recorded {
        let path = path.to_owned();
        let Some(record) = self.state.step(&path) else { return Recorded { path, may_be } };
        let template = self.template_of(&record);
        let agrees = |(target, values): &(TargetId, Values)| {
            let name = |binding: usize| &self.pipeline.targets[*target].bindings[binding].name;
            values.iter().all(|(binding, value)| may_have_had(&record, name(*binding), value))
        };
        may_be.retain(agrees);
        let read: Vec<usize> =
            may_be.iter().map(|(target, values)| self.inputs_read(&record, *target, values)).collect();
        let mut most: HashMap<TargetId, usize> = HashMap::new();
        for ((target, _), &read) in may_be.iter().zip(&read) {
            most.entry(*target).and_modify(|most| *most = read.max(*most)).or_insert(read);
        }
        let likely = may_be.into_iter().zip(read).filter(|((target, _), read)| most.get(target) == Some(read));
        let mut may_be: Vec<_> = likely.map(|(step, _)| step).collect();
        // The target that made it, or else what that is called now.
        may_be.sort_by_cached_key(|(target, values)| {
            let alike = template.as_ref().map(|then| self.is_as_then(*target, then));
            (Reverse(alike), Reverse(self.listed_values(*target, values)))
        });
        Recorded { path, may_be }
    }

    /// Whether a target goes by the name of the one that made something, and in how much else it is as that was.
    fn is_as_then(&self, target: TargetId, then: &Template) -> (bool, usize) {
        let is_same = self.rules[target].as_ref().map_or(0, |Compiled { template: now, .. }| {
            [now.lists == then.lists, now.source == then.source, now.is_same(then)]
                .into_iter()
                .filter(|same| *same)
                .count()
        });
        (then.target.as_ref() == Some(&self.pipeline.targets[target].name), is_same)
    }

    /// The values of a reading of a path that hold whichever of those is true that are as likely.
    pub(super) fn sure_values(&self, may_be: &[(TargetId, Values)], target: TargetId, values: &Values) -> Values {
        let likely = |values: &Values| self.listed_values(target, values);
        let as_likely = |(of, other): &&(TargetId, Values)| *of == target && likely(other) == likely(values);
        let as_likely: Vec<_> = may_be.iter().filter(as_likely).collect();
        values.iter().filter(|value| as_likely.iter().all(|(_, other)| other.contains(value))).cloned().collect()
    }

    /// The same without the values that are not sure, where there are such.
    fn told_surely(&self, told: Explanation, target: TargetId, sure: &Values) -> Explanation {
        if sure.len() == told.values.len() {
            return told;
        }
        let (mut told, name) = (told, self.label_of(target, sure));
        if let Some(made) = told.last_made.as_mut().filter(|made| made.step.as_ref() == Some(&told.step)) {
            made.step = Some(name.clone());
        }
        told.notes.push("neither its path nor what is recorded tells all of its values".to_owned());
        Explanation { values: self.named(target, sure), step: name, ..told }
    }

    /// How many of the files that a step of these values would name as inputs are among those of a record.
    fn inputs_read(&self, record: &StepRecord, target: TargetId, values: &[(usize, String)]) -> usize {
        let value = |at: usize, of: &'_ [(usize, String)]| of.iter().find(|(b, _)| *b == at).map(|(_, v)| v.clone());
        let filled = |pattern: &Pattern, bindings: usize, of: &[(usize, String)]| {
            let all: Option<Vec<String>> = (0..bindings).map(|at| value(at, of)).collect();
            all.map(|all| fill(pattern, &all.iter().map(String::as_str).collect::<Vec<_>>()))
        };
        let this = &self.pipeline.targets[target];
        let path = |input: &Input| match &input.kind {
            InputKind::Path(pattern) => filled(pattern, this.bindings.len(), values),
            InputKind::Target { target: of, on, .. } => {
                let of = &self.pipeline.targets[*of];
                let theirs = on.iter().map(|(b, p)| Some((*b, filled(p, this.bindings.len(), values)?)));
                filled(&of.outputs.first()?.pattern, of.bindings.len(), &theirs.collect::<Option<Vec<_>>>()?)
            }
        };
        let is_recorded = |path: &String| has_read(record, path);
        this.inputs.iter().filter_map(path).filter(is_recorded).count()
    }

    /// Why there is nothing to tell of a path.
    pub(crate) fn not_recorded(&self, path: &str, unknown: Unknown) -> Unknown {
        let read = self.state.file(path).is_some() && self.pipeline.root.join(path).is_file();
        let help = read.then(|| format!("no step makes it; `layermill graph {path} --needed-by` names what reads it"));
        Unknown { help: help.or(unknown.help), message: unknown.message }
    }

    /// A step that comes back once what its values are read out of is built.
    pub(crate) fn pending(&self, target: TargetId, values: &[(usize, String)], path: &str) -> Option<Explanation> {
        let (parent, what, step) = self.awaited(target, values)?;
        let first = self.steps.label(step);
        let mut told = self.told_by_record(path)?;
        told.standing = Standing::Pending;
        told.step = self.label_of(target, values);
        told.values = self.named(target, values);
        told.asks = self.will_ask_then(target, &told.values);
        if let Some(made) = told.last_made.as_mut().filter(|_| !self.may_have_made(path, target, values)) {
            made.step = made.target.as_ref().map(|by| label(by, &self.values_in(path)));
        }
        let moved = self.tell_tags_now(target, values, path, &mut told);
        self.tell_contents_of_record(path, &mut told);
        let then = if self.steps.is_misread(step) {
            told.message = Some(self.cannot_be_told(target, step));
            told.help = Some("once that is mended, it is seen whether there still is such a step".to_owned());
            "what is at fault is mended".to_owned()
        } else {
            told.message = Some(format!("its values are read out of {parent}: {what}"));
            let help = self.help_to_build(&[step], &first);
            told.help = Some(format!("{help}; then it is seen whether there still is such a step"));
            format!("{first} is built")
        };
        told.read_out_of = read_out_of(self.pipeline, target, values);
        if !told.read_out_of.contains(&parent) {
            told.read_out_of.insert(0, parent);
        }
        told.list_failures = self.list_failures(target, values);
        if let Some(compiled) = &self.rules[target] {
            told.tell_as_it_is_now(&compiled.template);
            told.reasons.extend(moved);
            let missing = self.missing_of(path);
            told.reasons.extend(missing.into_iter().map(Reason::MissingOutput));
            self.tell_to_come(target, compiled, &mut told, path);
            told.again = self.again_then((target, values), compiled, &self.state.step(path)?, &told, &then);
        }
        Some(told)
    }
}

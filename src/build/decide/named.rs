//! Inputs that are named by a path and turn out to be no step's of the target that may make it: files, and those that lie
//! in a folder that a step makes.

use std::cmp::Reverse;

use crate::pipeline::makers::Maker;
use crate::pipeline::model::{AxisKind, InputKind, TargetId};
use crate::pipeline::others::Writer;
use crate::pipeline::{pattern, values};

use super::Decision;
use super::around::Ways;
use super::key::has_read;
use crate::build::engine::{Engine, Leaf, Mode};
use crate::build::files::{self, Look, folders};
use crate::build::steps::values::each_once;
use crate::build::steps::waits::{Group, GroupId, Wait};
use crate::build::steps::{StepId, printable};
use crate::store::Digest;
use crate::store::state::{PathId, StepRecord};

/// What is said of a step whose input is not there.
pub(super) fn missing(path: &str) -> String {
    format!("the input {path} is missing")
}

/// What a target would need to make a file, in words.
struct Lack {
    /// The list is there, and is not made again in this build.
    is_sure: bool,
    words: String,
}

impl Engine<'_> {
    /// An input that was named by a path, and that no step of its target makes, now that all of them are known, is a file
    /// that has to be there, or another's step, that has to be done. Those that are still ready.
    pub(crate) fn name_files(&mut self, mut ready: Vec<StepId>) -> Vec<StepId> {
        let mut waits = false;
        for &id in &ready {
            let target = self.steps.target(id);
            for (position, input) in target.inputs.iter().enumerate() {
                waits |= match (self.steps.inputs_of(id)[position].wait, &input.kind, &input.path) {
                    (Wait::Group(group), InputKind::Target { .. }, Some(path)) => {
                        let path = pattern::fill(path, &self.steps.values_of(id));
                        self.name_file(id, position, group, &path)
                    }
                    (Wait::File(_), InputKind::Path(_), _) if !input.others.is_empty() => {
                        self.wait_for_lists(id, position, false) == Ways::ToCome
                    }
                    _ => false,
                };
            }
            self.drop_lists(id);
        }
        if waits {
            ready.retain(|&id| self.steps.step(id).pending == 0);
        }
        ready
    }

    /// The same of one, which is taken for steps of a group; whether the step waits for more now.
    fn name_file(&mut self, id: StepId, position: usize, group: GroupId, path: &str) -> bool {
        let (this, input) = (&self.steps.groups[group as usize], &self.steps.target(id).inputs[position]);
        let found = self.found_maker(id, position, path);
        let is_way = |step: StepId| self.is_way(id, position, step);
        let wait = match found {
            _ if !this.rows.is_empty() => {
                // What another target has for sure hangs on no list of the one that it is taken for.
                let hangs = this.stale.is_some() || this.at_risk.is_some();
                let is_sure = |step| self.mode == Mode::Look && is_way(step) && !self.is_in_doubt(step);
                match found.filter(|&step| hangs && is_sure(step)) {
                    Some(step) => Wait::Step(step),
                    None => return false,
                }
            }
            // That it lies in a circle, or that two make it, is the same whichever list is made first.
            Some(_) if Self::may_lie_in_a_circle(input) && self.wait_for_lists(id, position, false) == Ways::ToCome => {
                return true;
            }
            Some(step) if !self.is_way(id, position, step) => return false,
            // Which of them it is, is seen only while building.
            Some(step) if self.is_in_doubt(step) && self.wait_for_lists(id, position, true) == Ways::ToCome => {
                return true;
            }
            // Of what another makes, nothing hangs on a list that cannot be had.
            Some(step) => Wait::Step(step),
            None => match self.wait_for_lists(id, position, false) {
                Ways::ToCome => return true,
                Ways::Open => return false,
                Ways::Told if self.is_held_up(group) => return false,
                Ways::Told => {
                    let path = self.state.intern(path);
                    self.steps.wait_for_path(path)
                }
            },
        };
        self.steps.set_wait(id, position, wait)
    }

    /// The file that an entry of `inputs:` names, where a step may come to make it and none does as of the last build. What
    /// such a step had made is told as to come, unless the list of its values, which is asked in each build, has it no more.
    pub(crate) fn file_in_place(&self, id: StepId, position: usize) -> Option<PathId> {
        let Wait::Group(group) = self.steps.inputs_of(id)[position].wait else { return None };
        let path = self.steps.target(id).inputs[position].path.as_ref()?;
        let is_empty = self.steps.groups[group as usize].rows.is_empty();
        let path = is_empty.then(|| pattern::fill(path, &self.steps.values_of(id)))?;
        self.state.find(&path).filter(|&file| self.kept_by(file).is_none() || !self.may_come(id, &path))
    }

    /// The files of that kind which the last run of a step read, each with its content as it is now; none where it is gone.
    pub(super) fn files_in_place(&self, id: StepId, record: &StepRecord) -> Vec<(&str, Option<Digest>)> {
        let files = (0..self.steps.inputs_of(id).len()).filter_map(|position| self.file_in_place(id, position));
        let looked = files.map(|file| (file, self.state.path(file))).filter(|(_, path)| has_read(record, path));
        looked.map(|(file, path)| (path, self.look_at_path(file, path).content())).collect()
    }

    fn look_at_path(&self, file: PathId, path: &str) -> Look {
        files::look_at_input(&self.pipeline.root.join(path), self.state.file_at(file))
    }

    /// What the rows of a group are read out of is at fault, or to be made first.
    fn is_held_up(&self, group: GroupId) -> bool {
        let group = &self.steps.groups[group as usize];
        group.rows.is_empty() && (group.blocked_by.is_some() || group.stale.is_some())
    }

    /// What to do about a file that is not there: its path may be meant to name another target than the one that it is
    /// taken for, which has no such step; of those that have none either, as their lists tell, what is lacking is told.
    pub(super) fn if_missing(&self, id: StepId, position: usize, path: &str) -> String {
        let no_maker = || "no step makes it; put it there, or correct the path".to_owned();
        let Some(InputKind::Target { target: of, .. }) = self.steps.target(id).inputs.get(position).map(|i| &i.kind)
        else {
            return no_maker();
        };
        let name = |target: TargetId| &self.pipeline.targets[target].name;
        let mut others = self.makers().of(path);
        others.retain(|(other, values)| other != of && self.may_have(*other, values));
        if let Some((other, _)) = others.iter().find(|(other, values)| !self.is_sure_not_to_make(*other, values)) {
            return format!(
                "no step of `{}` makes it; where it is one of `{}`, name that target",
                name(*of),
                name(*other)
            );
        }
        let lacking = std::iter::once(*of).chain(others.into_iter().map(|(other, _)| other)).filter_map(|target| {
            let lack = self.lack_of(target, path).filter(|lack| lack.is_sure)?;
            Some(format!("`{}` makes such files, but {}", name(target), lack.words))
        });
        match each_once(lacking).as_slice() {
            [] => no_maker(),
            lacking => format!(
                "{}: have it there, or correct the path (a step may write over what is put there by hand)",
                lacking.join("; ")
            ),
        }
    }

    /// What kept a step from being tried, of which it is not seen before a build whether it still does: inputs that are not
    /// there, and that a step which is to come may make.
    pub(crate) fn lacks_as_before(&self, id: StepId, message: &str) -> Option<String> {
        let lacked = self.inputs_to_be_seen(id).map(|(_, path)| missing(&path));
        let lacked = each_once(lacked.filter(|lacks| message.contains(lacks)));
        (!lacked.is_empty()).then(|| lacked.join("; "))
    }

    /// What may keep a step from being tried, where that is seen only while building.
    pub(crate) fn may_lack(&self, id: StepId) -> Option<String> {
        let lacking = self.inputs_to_be_seen(id).map(|(target, path)| {
            let why = self.lack_of(target, &path).map(|lack| format!(": {}", lack.words));
            format!("the input {path} may be missing{}", why.unwrap_or_default())
        });
        let lacking = each_once(lacking.chain(self.may_wait_for_itself(id)));
        (!lacking.is_empty()).then(|| lacking.join("; "))
    }

    /// The inputs that a step names by their paths, that are not there, and that only a step which is still to be told, or is
    /// one as of the last build, may make: each with the target of that.
    fn inputs_to_be_seen(&self, id: StepId) -> impl Iterator<Item = (TargetId, String)> {
        let slots = self.steps.inputs_of(id).iter().zip(&self.steps.target(id).inputs).enumerate();
        slots.filter_map(move |(position, (slot, input))| {
            let path = input.path.as_ref()?;
            let unseen = match slot.wait {
                Wait::Group(group) => {
                    let Group { target, rows, .. } = &self.steps.groups[group as usize];
                    let steps = &self.steps.rows[*target].steps;
                    match rows.is_empty() {
                        true if self.is_held_up(group) => Some(*target),
                        true => self.open_way(id, position),
                        false => rows.iter().all(|&row| self.is_in_doubt(steps[row as usize])).then_some(*target),
                    }
                }
                // It came to be another's than the one that it is taken for.
                Wait::Step(step) if self.direct[self.steps.step(id).target as usize][position].is_none() => {
                    Some(self.steps.step(step).target as usize).filter(|_| self.is_in_doubt(step))
                }
                Wait::Step(_) | Wait::File(_) | Wait::None => None,
            };
            let path = pattern::fill(path, &self.steps.values_of(id));
            Some((unseen.filter(|_| !self.pipeline.root.join(&path).exists())?, path))
        })
    }

    /// Whether a step names an input of which it is seen only while building whether it is made, and without which it fails.
    pub(crate) fn may_not_be_tried(&self, id: StepId) -> bool {
        self.inputs_to_be_seen(id).next().is_some() || !self.may_wait_for_itself(id).is_empty()
    }

    /// Which value a target would need to make a file, and where that is not, or may not be. A path may be read in several
    /// ways: told is that by which it was made, and otherwise that of which the most values are in their lists, of those
    /// that may come at all, if there are such.
    fn lack_of(&self, target: TargetId, path: &str) -> Option<Lack> {
        let made_by = self.recorded_makers(path);
        let readings = self.makers().of(path).into_iter().filter(|(maker, _)| *maker == target);
        let looked_up = readings.filter_map(|(_, values)| {
            let mut found = 0;
            let lack = self.first_lack(target, &values, &mut found)?;
            let rank = values::rank_of_known(&self.pipeline.targets, target, &values);
            // Another output may have its values in another order.
            let is_it = |(of, with): &Maker| *of == target && with.iter().all(|value| values.contains(value));
            let order = (rank.is_none(), !made_by.iter().any(is_it), rank, lack.is_sure, Reverse(found));
            Some((order, lack))
        });
        looked_up.min_by_key(|(key, _)| *key).map(|(_, lack)| lack)
    }

    /// The first of these values that is not in its list, or else that may not be; those that are in theirs are counted.
    fn first_lack(&self, target: TargetId, values: &[(usize, String)], found: &mut usize) -> Option<Lack> {
        let this = &self.pipeline.targets[target];
        let value = |binding: usize| values.iter().find(|(b, _)| *b == binding).map(|(_, value)| value.as_str());
        let mut lacks = Vec::new();
        for (position, axis) in this.axes.iter().enumerate() {
            let list = self.parent_step(target, position, value);
            let lack = match (list, self.read_from(target, position, values)) {
                (None, Some((of, theirs))) => self.first_lack(of, &theirs, found),
                (_, along) => {
                    *found += along.map_or(0, |(_, theirs)| theirs.len());
                    let Some(own) = value(axis.binding) else { continue };
                    let listed = match list {
                        Some(list) => self.values_read_out_of(list, target, position),
                        None => self.values_of_axis(target, position),
                    };
                    let has = listed.map(|listed| listed.contains(own));
                    *found += usize::from(has == Some(true));
                    let is_settled = list.is_none_or(|list| self.is_settled(list));
                    let lacks = if is_settled { "is not" } else { "may not be" };
                    let place = match axis.kind {
                        AxisKind::List(_) => Some(format!("in the list of `{}`", this.bindings[axis.binding].name)),
                        _ => self.where_read(target, position, list),
                    };
                    let place = place.filter(|_| !is_settled || has == Some(false));
                    let lack = place.map(|place| Lack {
                        is_sure: is_settled,
                        words: format!("{} {lacks} {place}", printable(own)),
                    });
                    // A list that is there and has it may be one no more, as what its own values are read out of tells.
                    lack.or_else(|| {
                        let (of, theirs) = self.read_from(target, position, values)?;
                        self.first_lack(of, &theirs, &mut 0)
                    })
                }
            };
            lacks.extend(lack);
        }
        lacks.into_iter().min_by_key(|lack| !lack.is_sure)
    }

    /// A step that writes in a folder, whether or not this build was asked for it: as its lists tell, or as it did before.
    fn writing_below(&self, folder: &str, own: TargetId) -> Option<(TargetId, String)> {
        let writers: Vec<Writer> =
            self.makers().writing_below(folder).into_iter().filter(|w| w.target != own).collect();
        if writers.is_empty() {
            return None;
        }
        let listed = writers.into_iter().find_map(|writer| self.listed_step(writer));
        let (target, values) = listed.or_else(|| self.recorded_below(folder, &|_, target| target == own))?;
        Some((target, self.label_of(target, &values)))
    }

    /// The values of a step that writes in a folder, where the lists of its target are there to be read and have them.
    fn listed_step(&self, Writer { target, mut values, begins }: Writer) -> Option<Maker> {
        for (position, axis) in self.pipeline.targets[target].axes.iter().enumerate() {
            let value = |binding: usize| values.iter().find(|(b, _)| *b == binding).map(|(_, value)| value.as_str());
            let listed = match axis.kind {
                AxisKind::From { .. } => {
                    self.values_read_out_of(self.parent_step(target, position, value)?, target, position)?
                }
                _ => self.values_of_axis(target, position)?,
            };
            let start = begins.as_ref().filter(|(binding, _)| *binding == axis.binding).map(|(_, start)| start);
            let is_it = |listed: &&String| match (start, value(axis.binding)) {
                (Some(start), _) => listed.starts_with(start),
                (None, Some(own)) => *listed == own,
                (None, None) => true,
            };
            let found = listed.iter().filter(is_it).min()?.clone();
            if start.is_some() {
                values.push((axis.binding, found));
            }
        }
        // What its values came with is told by them alone.
        let is_whole = begins.is_none_or(|(binding, _)| values.iter().any(|(b, _)| *b == binding));
        is_whole.then_some((target, values))
    }

    /// A step that made a file in a folder in an earlier build, and may make it still, but for files of targets to be spared.
    pub(crate) fn recorded_below(&self, folder: &str, spares: &dyn Fn(&str, TargetId) -> bool) -> Option<Maker> {
        let files = files::files_in(&self.pipeline.root.join(folder)).ok()?;
        files.into_iter().find_map(|(name, _)| {
            let path = format!("{folder}/{name}");
            let is_recorded = self.kept_by(self.state.find(&path)?).is_some();
            let mut makers = self.makers().of(&path).into_iter().filter(|_| is_recorded);
            makers.find(|(target, values)| !spares(&path, *target) && !self.is_sure_not_to_make(*target, values))
        })
    }

    /// A file that is named in a folder that a step makes: nothing would come before that step is done. Of what no step may
    /// be named by, the pipeline's check has said so; this path might have been a folder itself.
    pub(super) fn in_a_made_folder(&self, id: StepId, position: usize, file: u32) -> Option<Decision> {
        let input = self.steps.target(id).inputs.get(position)?;
        let file_id = self.steps.files[file as usize];
        let path = self.state.path(file_id);
        let may_be_folder = || self.looks[file as usize] != Leaf::There;
        let own = self.steps.step(id).target as usize;
        // Of those that write the same file there, it is the same one whichever came first.
        let told = || {
            let writer = self.first_rival(self.steps.writing_in(file_id)?);
            Some((self.steps.step(writer).target as usize, self.steps.label(writer)))
        };
        // A file that lies there is read, and what would write in it fails, whichever comes first.
        let writer = may_be_folder().then(|| told().or_else(|| self.writing_below(path, own))).flatten();
        if let Some((target, writer)) = writer.filter(|(target, _)| *target != own) {
            let target = &self.pipeline.targets[target].name;
            return Some(Decision::Failed {
                message: format!("the input {path} is a folder that {writer} writes in"),
                help: Some(format!("name the target, `{target}`, and what else is read in there")),
            });
        }
        if !matches!(input.kind, InputKind::Target { .. }) {
            return None;
        }
        let is_sure = |(target, values): &(TargetId, Vec<(usize, String)>)| {
            self.pipeline.targets[*target].parents().next().is_none() && self.may_have(*target, values)
        };
        // Of values that are read out of an output, its steps tell, which are there by now.
        let by_step =
            || self.maker_around(path).map(|step| (self.steps.step(step).target as usize, self.steps.label(step)));
        let sure = folders::around(path).flat_map(|folder| self.makers().of(folder)).find(is_sure);
        let (target, maker) = sure.map(|(target, values)| (target, self.label_of(target, &values))).or_else(by_step)?;
        Some(Decision::Failed {
            message: format!("the input {path} lies in a folder that {maker} makes"),
            help: Some(format!("name the target: `{}`", self.pipeline.targets[target].name)),
        })
    }
}

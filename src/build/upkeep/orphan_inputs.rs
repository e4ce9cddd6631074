//! Outputs that no step makes any more and that steps read as files of the user's. They may be just that; a fresh checkout
//! does not have them.

use std::collections::{BTreeSet, HashMap, HashSet};

use rayon::prelude::*;

use super::orphans::{Note, forget_step};
use crate::build::engine::{Engine, Leaf};
use crate::build::files::{folders, found};
use crate::build::outcome::{OrphanRead, ReadsOrphans};
use crate::build::steps::StepId;
use crate::build::steps::values::{label, list_of};
use crate::build::steps::waits::{Slot, Wait};
use crate::pipeline::model::{AxisKind, TargetId};
use crate::store::state::{PathId, StepRecord};

impl Engine<'_> {
    /// The steps that read such files, each with those, in the order of the steps, and groups that name such. Most often every
    /// record is of a step of now, and none has an output more than that: then nothing else is looked at.
    pub(crate) fn reads_of_orphans(&self) -> Vec<ReadsOrphans> {
        let is_free = |id| self.steps.maker(id).is_none();
        if !self.state.step_ids().any(is_free) && !self.leave_outputs_behind() {
            return Vec::new();
        }
        let files = self.steps.files.par_iter().zip(&self.looks).enumerate();
        let there = files.filter(|(_, (_, look))| matches!(look, Leaf::There | Leaf::Folder));
        let orphans: HashMap<u32, Vec<OrphanRead>> = there
            .filter_map(|(file, (path, look))| {
                let path = self.state.path(*path);
                let read = match self.orphan_read(path) {
                    Some(orphan) => vec![orphan],
                    None if *look == Leaf::Folder => self.orphans_inside(path),
                    None => Vec::new(),
                };
                Some((u32::try_from(file).ok()?, read)).filter(|(_, read)| !read.is_empty())
            })
            .collect();
        let wanted = self.pipeline.order.iter().filter(|&&target| self.wanted[target].is_wanted());
        let lists = wanted.map(|&target| (target, self.orphans_in_lists(target, &|_| true)));
        let lists = lists.filter(|(_, files)| !files.is_empty());
        let by_list = |(target, files): (TargetId, _)| {
            ReadsOrphans::new(self.pipeline.targets[target].name.clone(), false, files)
        };
        let mut reads: Vec<ReadsOrphans> = lists.map(by_list).collect();
        let finds = self.rules.iter().flatten().any(|compiled| compiled.rule.common().finds);
        if finds || !orphans.is_empty() {
            let found = |path: &str| match self.orphan_read(path) {
                Some(orphan) => vec![orphan],
                None => self.orphans_inside(path),
            };
            let named = |file| orphans.get(&file).cloned().unwrap_or_default();
            let readers = self.readers_of(named, found).into_iter();
            reads.extend(readers.map(|(id, files)| ReadsOrphans::new(self.steps.label(id), self.is_group(id), files)));
        }
        reads
    }

    /// The orphans that a target reads its values out of, or that are such values, as far as these are found by a pattern.
    pub(crate) fn orphans_in_lists(&self, target: TargetId, is_value: &dyn Fn(&str) -> bool) -> Vec<OrphanRead> {
        let axes = self.pipeline.targets[target].axes.iter().enumerate();
        let files = axes.flat_map(|(position, axis)| match &axis.kind {
            AxisKind::Glob(_) => {
                let found = self.values_of_axis(target, position).unwrap_or_default();
                let mut found: Vec<String> = found.iter().filter(|value| is_value(value)).cloned().collect();
                found.sort();
                found
            }
            kind => list_of(kind).map(str::to_owned).into_iter().collect(),
        });
        // What was edited is the user's own.
        let is_nobodys = |file: &String| self.became_of(file).is_none() && self.maker_around(file).is_none();
        files.filter(is_nobodys).filter_map(|file| self.orphan_read(&file)).collect()
    }

    /// What the last run of a step found that is there, and that no step makes.
    fn found_of_nobody(&self, id: StepId) -> Vec<String> {
        let is_nobodys = |path: &str| !path.starts_with('/') && self.maker_around(path).is_none();
        let is_there = |path: &String| self.pipeline.root.join(path).exists();
        let record = self.finds(id).then(|| self.record_of(id)).flatten();
        let found = record.iter().flat_map(found::paths).filter(|path| is_nobodys(path)).map(str::to_owned);
        found.filter(is_there).collect()
    }

    /// Whether steps that are not simply up to date made more outputs than they have now.
    pub(super) fn leave_outputs_behind(&self) -> bool {
        self.have_several_outputs() && self.accounts.keys().any(|&id| !self.left_behind(id).is_empty())
    }

    /// The targets whose values are those of a list in a file that no step makes, each with that.
    fn lists_read(&self) -> impl Iterator<Item = (&str, &str)> {
        let wanted = self.pipeline.order.iter().filter(|&&target| self.wanted[target].is_wanted());
        wanted.flat_map(|&target| {
            let target = &self.pipeline.targets[target];
            target.axes.iter().filter_map(|axis| Some((target.name.as_str(), list_of(&axis.kind)?)))
        })
    }

    /// The steps that read files of a kind, by their inputs or as they found them, each with what is told of those; then the
    /// groups that name such which no step reads.
    fn readers_of<T>(&self, told: impl Fn(u32) -> Vec<T>, found: impl Fn(&str) -> Vec<T>) -> Vec<(StepId, Vec<T>)> {
        let mut ids: Vec<StepId> = (0..u32::try_from(self.steps.len()).unwrap_or(u32::MAX)).collect();
        ids.sort_by_key(|&id| (self.is_group(id), self.steps.step(id).target, self.steps.step(id).row));
        let file = |slot: &Slot| match slot.wait {
            Wait::File(file) => Some(file),
            Wait::Step(_) | Wait::Group(_) | Wait::None => None,
        };
        let (mut read, mut readers) = (HashSet::new(), Vec::new());
        for id in ids {
            let is_group = self.is_group(id);
            let mut all = Vec::new();
            for file in self.steps.inputs_of(id).iter().filter_map(file) {
                // A group reads nothing: what it names is read by those that name it, if there are any.
                let told = if is_group && read.contains(&file) { Vec::new() } else { told(file) };
                if !is_group && !told.is_empty() {
                    read.insert(file);
                }
                all.extend(told);
            }
            all.extend(self.found_of_nobody(id).iter().flat_map(|path| found(path)));
            readers.extend((!all.is_empty()).then_some((id, all)));
        }
        readers
    }

    pub(in crate::build) fn is_group(&self, id: StepId) -> bool {
        self.rules[self.steps.step(id).target as usize].is_none()
    }

    /// By which steps these files, files in these folders, or folders that they lie in are read.
    pub(super) fn readers_of_orphans(&self, paths: &[String]) -> HashMap<String, Note> {
        let orphans: HashSet<&str> = paths.iter().map(String::as_str).collect();
        let mut read_by: HashMap<String, Note> = HashMap::new();
        if orphans.is_empty() {
            return read_by;
        }
        let orphan = |path: &str| folders::around(path).chain([path]).find_map(|path| orphans.get(path).copied());
        let mut inside: HashMap<&str, Vec<&str>> = HashMap::new();
        for path in paths {
            folders::around(path).for_each(|folder| inside.entry(folder).or_default().push(path));
        }
        let read = |path: &str| match orphan(path) {
            Some(orphan) => vec![orphan],
            None => inside.get(path).cloned().unwrap_or_default(),
        };
        let by_list =
            self.lists_read().filter_map(|(target, list)| Some((target.to_owned(), false, vec![orphan(list)?])));
        // A step that cannot be has slots of no file.
        let path = |file: u32| Some(self.state.path(*self.steps.files.get(file as usize)?));
        let named = |file: u32| path(file).map(read).unwrap_or_default();
        let by_step = self.readers_of(named, read).into_iter();
        let by_step = by_step.map(|(id, read)| (self.steps.label(id), self.is_group(id), read));
        for (reader, is_group, read) in by_list.chain(by_step) {
            for orphan in BTreeSet::from_iter(read) {
                match (read_by.get_mut(orphan), is_group) {
                    (Some(Note::ReadBy(_, more)), false) | (Some(Note::NamedBy(_, more)), true) => *more += 1,
                    (Some(_), _) => {}
                    (None, false) => drop(read_by.insert(orphan.to_owned(), Note::ReadBy(reader.clone(), 0))),
                    (None, true) => drop(read_by.insert(orphan.to_owned(), Note::NamedBy(reader.clone(), 0))),
                }
            }
        }
        read_by
    }

    /// What lies in a folder that is read, is as a step made it, and is made by none now.
    pub(crate) fn orphans_inside(&self, folder: &str) -> Vec<OrphanRead> {
        let left = self.without_maker();
        let start = format!("{folder}/");
        let first = left.partition_point(|&path| self.state.path(path) < start.as_str());
        let inside =
            left[first..].iter().map(|&path| self.state.path(path)).take_while(|path| path.starts_with(&start));
        inside.filter(|path| self.became_of(path).is_none()).filter_map(|path| self.orphan_read(path)).collect()
    }

    /// The recorded outputs that no step makes which is known, by their paths.
    fn without_maker(&self) -> &[PathId] {
        self.without_maker.get_or_init(|| {
            let several = self.have_several_outputs();
            let mut left = Vec::new();
            for first in self.state.step_ids() {
                left.push(first);
                let more = several.then(|| self.state.step_at(first)).flatten().map(|step| step.more_outputs);
                left.extend(more.iter().flatten().filter_map(|path| self.state.find(path)));
            }
            left.retain(|&path| self.steps.maker(path).is_none());
            left.sort_by_key(|&path| self.state.path(path));
            left.dedup();
            left
        })
    }

    /// What made a file that no step makes any more, or a folder that it lies in.
    pub(crate) fn orphan_read(&self, path: &str) -> Option<OrphanRead> {
        let first = self.state.path(self.left_behind_by(path)?);
        let template = self.state.step(first).and_then(|record| self.template_of(&record));
        let made_by = template.and_then(|template| template.target).map(|name| label(&name, &self.values_in(first)));
        Some(OrphanRead { file: path.to_owned(), made_by })
    }

    /// What to do about a file that a step made which is none any more, and that lies where a folder for the outputs of this
    /// one is to be.
    pub(crate) fn orphan_in_the_way(&self, id: StepId) -> Option<String> {
        let is_file = |path: &&str| self.pipeline.root.join(path).is_file() && self.became_of(path).is_none();
        let mut around = self.paths(id).flat_map(folders::around).filter(is_file);
        let OrphanRead { file, made_by } = around.find_map(|path| self.orphan_read(path))?;
        let made_by = made_by.as_deref().unwrap_or("a step");
        Some(format!("`layermill clean --orphans` removes {file}, which {made_by} made and no step makes any more"))
    }

    /// By which record a file, or a folder that it lies in, is an output of a step, where no step makes it now.
    pub(crate) fn left_behind_by(&self, path: &str) -> Option<PathId> {
        let recorded = |path: &str| {
            let id = self.state.find(path)?;
            // Who looks for further outputs goes through all records.
            let may_be_kept = self.state.step_key_at(id).is_some() || self.have_several_outputs();
            Some(id).filter(|_| may_be_kept).and_then(|id| self.kept_by(id))
        };
        let mut paths = folders::around(path).chain([path]);
        paths.find_map(|path| recorded(path).filter(|_| self.is_nobodys(path)))
    }

    /// What is edited since it was made, and no step makes any more, is the user's own: the record of that step goes, and
    /// with it what would let it be removed.
    pub(crate) fn disown(&mut self, path: PathId) {
        let name = self.state.path(path).to_owned();
        let Some(first) = self.left_behind_by(&name).filter(|&first| self.steps.maker(first).is_none()) else { return };
        let Some(record) = self.state.step_at(first) else { return };
        // What has a record of its own meanwhile is that step's.
        let is_its = |&output: &&str| {
            let id = self.state.find(output).filter(|&id| self.state.file_at(id).is_some());
            id.is_some_and(|id| id != path && (id == first || self.state.step_key_at(id).is_none()))
        };
        let others = self.outputs_of_record(first, &record).into_iter().filter(is_its);
        let others: Vec<String> = others.map(str::to_owned).collect();
        if first == path {
            forget_step(&mut self.state, &name);
        }
        if let [first, more @ ..] = others.as_slice() {
            self.state.put_step(first, &StepRecord { more_outputs: more.to_vec(), ..record });
        }
    }
}

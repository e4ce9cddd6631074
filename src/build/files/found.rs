//! Inputs of a step beyond those that it declares: what it found while it ran.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::Metadata;
use std::path::Path;
use std::sync::atomic::Ordering;

use crate::pipeline::makers::Maker;
use crate::pipeline::model::{Input, InputKind, Target, TargetId};
use crate::rules::{Failure, Job};
use crate::store::state::{FileRecord, FoundInput, PathId, StepRecord};
use crate::store::{Digest, hex, told};

use super::folders;
use super::unusable::Unusable;
use crate::build::clock;
use crate::build::engine::Engine;
use crate::build::files::{self, Look};
use crate::build::outcome::Status;
use crate::build::reason::Reason;
use crate::build::request::Asked;
use crate::build::steps::StepId;

/// What a step read of a file that was written while it ran.
pub(crate) const UNTOLD: &str = "what no one can tell";

/// Steps that are done, and found what a step may make that is still to come.
#[derive(Debug, Default)]
pub(crate) struct Finders {
    all: Vec<StepId>,
    /// By what they found, as many of them as were looked up.
    by_path: BTreeMap<String, Vec<StepId>>,
    looked_up: usize,
    /// Where anything goes on without what fails: their targets, each with one that may come to make what they found, by values
    /// that are read out of outputs.
    pub undone_by: BTreeSet<(TargetId, TargetId)>,
    /// The lists that targets wait for which go on without these.
    pub waits: BTreeSet<(TargetId, TargetId)>,
}

/// A file that a step found, as it is after it ran.
#[derive(Clone, Debug)]
pub struct FoundFile {
    /// Relative to the pipeline's folder, or absolute.
    pub path: String,
    pub record: FileRecord,
    /// It was changed while the step ran: what the step read of it cannot be told.
    pub moved: bool,
    /// What is in it, where it is a folder.
    pub inside: Vec<FoundInput>,
}

/// The files that a step found, as its record has them.
pub(crate) fn paths(record: &StepRecord) -> impl Iterator<Item = &str> {
    record.found.iter().map(|found| found.path.as_str()).filter(|path| !folders::is_inside(path))
}

/// What the files hold, before a step runs, that its last run found.
pub(crate) fn before(known: &[(String, Option<FileRecord>)], root: &Path) -> HashMap<String, Digest> {
    let look = |(path, record): &(String, Option<FileRecord>)| {
        Some((path.clone(), files::look_at_input(&root.join(path), *record).content()?))
    };
    known.iter().filter_map(look).collect()
}

/// Looks at what a step found. `before` has what some of it held before the step ran.
pub(crate) fn look(found: &[String], job: &Job, before: &HashMap<String, Digest>) -> Result<Vec<FoundFile>, Failure> {
    let (began, now) = (job.began.load(Ordering::Relaxed), clock::now_ns());
    let declared: HashSet<&str> = job.inputs.iter().flat_map(|input| &input.paths).map(String::as_str).collect();
    let look = |path: &String| {
        let unusable = |why: Unusable| Failure {
            help: why.help(),
            ..Failure::new(format!("the depfile names {path}, which cannot be read: {why}"))
        };
        let full = job.root.join(path);
        let meta = full.metadata().ok();
        let (record, changed, inside) = if meta.as_ref().is_some_and(Metadata::is_dir) {
            let folder = files::read_folder(&full).map_err(|why| unusable(why.into()))?;
            (folder.record, Some(folder.changed), folders::of_found(path, &folder, job.files_in_folders))
        } else {
            match files::look_at_input(&full, None) {
                Look::Same(record) | Look::Hashed(record) => {
                    (record, meta.map(|meta| files::last_changed(&meta, now)), Vec::new())
                }
                Look::Missing => {
                    return Err(Failure::new(format!("the depfile names {path}, which is not there")));
                }
                Look::Unusable(why) => return Err(unusable(why)),
            }
        };
        // A folder that is declared is as it was before: otherwise the step has failed.
        let is_declared = folders::around(path).any(|folder| declared.contains(folder));
        let is_as_before = before.get(path) == Some(&record.content);
        let moved = !is_declared && !is_as_before && changed.is_some_and(|at| at >= began);
        Ok(FoundFile { path: path.clone(), record, moved, inside })
    };
    found.iter().map(look).collect()
}

impl Engine<'_> {
    /// Whether a step's rule finds inputs while it runs.
    pub(crate) fn finds(&self, id: StepId) -> bool {
        self.rules[self.steps.step(id).target as usize].as_ref().is_some_and(|c| c.rule.common().finds)
    }

    /// The files that the last run of a step found, with what is recorded of each.
    pub(crate) fn found_before(&self, id: StepId) -> Vec<(String, Option<FileRecord>)> {
        let record = self.finds(id).then(|| self.state.step(self.path(id, 0))).flatten();
        let with_record = |path: &str| (path.to_owned(), self.state.file(path));
        record.iter().flat_map(|record| paths(record).map(with_record)).collect()
    }

    /// A step is done that may have found what a step makes which is still to be read out of a list.
    pub(crate) fn note_finder(&mut self, id: StepId) {
        if self.finds(id) {
            self.finders.all.push(id);
            if self.pipeline.targets.iter().any(Target::goes_on_in_part) {
                self.note_who_may_undo(id);
            }
        }
    }

    fn note_who_may_undo(&mut self, id: StepId) {
        let Some(record) = self.state.step(self.path(id, 0)) else { return };
        let of = self.steps.step(id).target as usize;
        let is_read_out = |other: &TargetId| self.pipeline.targets[*other].parents().next().is_some();
        let found = paths(&record).filter(|path| !path.starts_with('/') && self.maker(path).is_none());
        let others = found.flat_map(|path| self.makers().of(path)).map(|(other, _)| other).filter(is_read_out);
        let undone_by: Vec<_> = others.map(|other| (of, other)).collect();
        self.finders.undone_by.extend(undone_by);
    }

    /// A step has come to be that makes what others found, which are done: they fail as if it had been there before.
    pub(crate) fn refuse_finders(&mut self, maker: StepId) {
        let new = self.finders.all[self.finders.looked_up..].to_vec();
        self.finders.looked_up += new.len();
        for finder in new {
            let Some(record) = self.state.step(self.path(finder, 0)) else { continue };
            for path in paths(&record).filter(|path| !path.starts_with('/')) {
                self.finders.by_path.entry(path.to_owned()).or_default().push(finder);
            }
        }
        if self.finders.by_path.is_empty() {
            return;
        }
        let mut refused = Vec::new();
        for (path, output) in self.paths(maker).zip(&self.steps.target(maker).outputs) {
            let inside = format!("{path}/");
            let within = self.finders.by_path.range(inside.clone()..).take_while(|(path, _)| path.starts_with(&inside));
            let around = folders::around(path).filter_map(|folder| self.finders.by_path.get_key_value(folder));
            let found = self.finders.by_path.get_key_value(path).into_iter();
            let found = found.chain(within.filter(|_| output.folder)).chain(around);
            refused.extend(found.flat_map(|(path, finders)| finders.iter().map(move |&finder| (finder, path.clone()))));
        }
        for (finder, path) in refused {
            if let Some(failure) = self.undeclared(finder, std::iter::once(path.as_str())) {
                self.refuse(finder, failure);
                self.mark_perhaps(finder, self.is_in_doubt(maker));
            }
        }
    }

    /// What the last runs of steps that are told found, and no step makes.
    pub(crate) fn found_by_commands(&self) -> BTreeSet<String> {
        let finds = |target: &TargetId| self.rules[*target].as_ref().is_some_and(|rule| rule.rule.common().finds);
        let steps = (0..self.rules.len()).filter(finds).flat_map(|target| &self.steps.rows[target].steps);
        let records = steps.filter_map(|&step| self.state.step(self.path(step, 0)));
        let found = records.flat_map(|record| paths(&record).map(str::to_owned).collect::<Vec<_>>());
        found.filter(|path| self.maker_around(path).is_none()).collect()
    }

    /// The steps that may make what those that are told found, or write in a folder of that, and were not asked for.
    pub(crate) fn may_make_what_was_found(&self) -> Vec<Asked> {
        if self.wanted.iter().all(|wanted| wanted.all) {
            return Vec::new();
        }
        let found = self.found_by_commands();
        let found = found.iter().filter(|path| !path.starts_with('/'));
        let is_folder = |path: &str| self.pipeline.root.join(path).is_dir();
        let mut makers: BTreeSet<Maker> = found.flat_map(|path| self.makers().at(path, is_folder(path))).collect();
        makers.retain(|(target, values)| !self.wanted[*target].takes_all(values));
        makers.into_iter().map(|(target, values)| Asked::Steps(target, values)).collect()
    }

    /// Tells of steps that are up to date, where nothing is run, that they fail if what they found comes to be made.
    pub(crate) fn mark_finders(&mut self) {
        let all_is_done = !self.accounts.values().any(|account| account.status != Status::UpToDate);
        let finders = if all_is_done { Vec::new() } else { self.finders.all.clone() };
        let told = |&finder: &StepId| {
            let record = self.state.step(self.path(finder, 0))?;
            let inputs = &self.steps.target(finder).inputs;
            let reads = |of| inputs.iter().any(|i| matches!(i.kind, InputKind::Target { target, .. } if target == of));
            let told =
                paths(&record).filter(|path| !path.starts_with('/') && self.maker(path).is_none()).find_map(|path| {
                    let (target, values) = self
                        .makers()
                        .of(path)
                        .into_iter()
                        .find(|(target, values)| !reads(*target) && self.awaited(*target, values).is_some())?;
                    let maker = self.label_of(target, &values);
                    Some(format!(
                        "the command read {path}, which {maker} may come to make, and its target does not say so"
                    ))
                });
            Some((finder, told?))
        };
        for (finder, told) in finders.iter().filter_map(told).collect::<Vec<_>>() {
            if self.steps.step(finder).status == Status::UpToDate && !self.accounts.contains_key(&finder) {
                self.account(finder, Status::UpToDate, None, Some(told), None);
            }
        }
    }

    /// Fails a step that is done for what it found.
    pub(crate) fn refuse(&mut self, id: StepId, Failure { message, help, .. }: Failure) {
        if self.steps.step(id).status == Status::Failed {
            return;
        }
        self.fail_late(id, message);
        if let Some(account) = self.accounts.get_mut(&id) {
            account.help = help;
        }
    }

    /// A found input that some step makes has to be declared: otherwise it may be read before it is made.
    pub(crate) fn undeclared<'f>(&self, id: StepId, mut found: impl Iterator<Item = &'f str>) -> Option<Failure> {
        found.find_map(|file| {
            if let Some(own) = self.own_output_in(id, file) {
                return Some(Failure {
                    help: Some("name the files that it reads in there, or have it write elsewhere".to_owned()),
                    ..Failure::new(format!("the command read {file}, in which it writes itself: {own}"))
                });
            }
            if let Some((writer, path)) = self.writer_in(id, file) {
                let target = self.steps.step(writer).target as usize;
                // What is named by the target already is those of its steps that have the same values.
                let names = |input: &Input| {
                    input.path.is_none() && matches!(input.kind, InputKind::Target { target: of, .. } if of == target)
                };
                let name = match self.steps.target(id).inputs.iter().any(names) {
                    true => path,
                    false => self.pipeline.targets[target].name.as_str(),
                };
                return Some(not_said(&format!("{file}, in which {} writes", self.steps.label(writer)), name));
            }
            if let Some((target, values)) = self.recorded_writer_in(id, file) {
                let writer = self.label_of(target, &values);
                let name = &self.pipeline.targets[target].name;
                return Some(not_said(&format!("{file}, in which {writer} writes"), name));
            }
            let (maker, target) = match self.maker(file) {
                Some((maker, _)) if maker == id => return None,
                Some((maker, path)) => {
                    let mut declared = false;
                    self.each_input(id, &mut |_, input, _| declared |= input == path);
                    if declared {
                        return None;
                    }
                    (self.steps.label(maker), self.steps.step(maker).target as usize)
                }
                None => self.maker_elsewhere(file)?,
            };
            // What names the target already names others of its steps, or of their outputs.
            let names = |input: &Input| matches!(input.kind, InputKind::Target { target: of, .. } if of == target);
            let name = match self.steps.target(id).inputs.iter().any(names) {
                true => file,
                false => self.pipeline.targets[target].name.as_str(),
            };
            Some(not_said(&format!("{file}, which {maker} makes"), name))
        })
    }

    /// A step that writes in a folder, and that another one does not name among its inputs; with what it makes there.
    fn writer_in(&self, id: StepId, folder: &str) -> Option<(StepId, &str)> {
        self.steps.writing_in(self.state.find(folder)?)?;
        let named: HashSet<StepId> = self.input_steps(id).into_iter().chain([id]).collect();
        let inside = format!("{folder}/");
        let writes_in = |writer: StepId| self.paths(writer).find(|path| path.starts_with(&inside));
        let mut others = (0..).take(self.steps.steps.len()).filter(|writer| !named.contains(writer));
        others.find_map(|writer| Some((writer, writes_in(writer)?)))
    }

    /// The output of a step that lies in a folder: whatever it finds there, it would find another thing the next time.
    fn own_output_in(&self, id: StepId, folder: &str) -> Option<&str> {
        let is_root = folder == "." || folder.starts_with('/') && self.pipeline.root.starts_with(folder);
        self.paths(id).find(|path| is_root || folders::around(path).any(|around| around == folder))
    }

    /// A step that this build was not asked for, and that wrote in a folder before, but for what is named among the inputs.
    fn recorded_writer_in(&self, id: StepId, folder: &str) -> Option<Maker> {
        if self.makers().at(folder, true).is_empty() {
            return None;
        }
        let mut named: HashSet<String> = HashSet::new();
        self.each_input(id, &mut |_, path, _| named.extend([path.to_owned()]));
        let is_named = |path: &str| folders::around(path).chain([path]).any(|path| named.contains(path));
        self.recorded_below(folder, &|path, _| self.maker(path).is_some() || is_named(path))
    }

    /// The step that made a file in an earlier build, and its target, where this one was not asked for it: those that are
    /// asked for are known, or come to be.
    fn maker_elsewhere(&self, path: &str) -> Option<(String, TargetId)> {
        self.state.step(path)?;
        let mut makers = self.makers().of(path).into_iter();
        let (target, values) = makers
            .find(|(target, values)| !self.wanted[*target].takes_all(values) && self.may_have(*target, values))?;
        Some((self.label_of(target, &values), target))
    }

    /// The step that makes this file, or a folder that it lies in; and that output's path.
    fn maker<'p>(&self, path: &'p str) -> Option<(StepId, &'p str)> {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        ends.map(|end| &path[..end]).find_map(|p| Some((self.steps.find_path(&self.state, p)?, p)))
    }

    /// Remembers the files, and gives what a step's record has of them.
    pub(crate) fn keep_found(&mut self, found: Vec<FoundFile>) -> Vec<FoundInput> {
        let mut kept = Vec::with_capacity(found.len());
        for FoundFile { path, record, moved, inside } in found {
            self.state.put_file(&path, record);
            kept.push(FoundInput { path, content: if moved { Digest::default() } else { record.content } });
            kept.extend(inside.into_iter().filter(|_| !moved));
        }
        kept
    }

    /// The inputs found by the last run that are not what they were then; of a folder, also what in it is not.
    pub(crate) fn found_changed(&self, record: &StepRecord, files: &mut Vec<(PathId, FileRecord)>) -> Vec<Reason> {
        // Nothing of it is what it will be where its maker comes first for sure, which is told by itself.
        let is_made = |maker: StepId| self.steps.step(maker).status == Status::Stale && !self.may_stay(maker);
        let is_to_come = |path: &str| self.maker_around(path).is_some_and(is_made);
        let found = record.found.iter().filter(|found| !folders::is_inside(&found.path) && !is_to_come(&found.path));
        let changed = found.flat_map(|FoundInput { path, content }| {
            let known = self.state.find(path).and_then(|id| Some((id, self.state.file_at(id)?)));
            let moved = *content == Digest::default();
            let from = if moved { UNTOLD.to_owned() } else { hex(&content.short()) };
            let mut inside = Vec::new();
            let (from, to) = match files::look_at_input(&self.pipeline.root.join(path), known.map(|(_, record)| record))
            {
                Look::Same(now) | Look::Hashed(now) if now.content == *content => {
                    files.extend(known.map(|(id, _)| (id, now)));
                    return Vec::new();
                }
                Look::Same(now) | Look::Hashed(now) if moved => (from, hex(&now.content.short())),
                Look::Same(now) | Look::Hashed(now) => {
                    inside = self.changed_inside(record, path);
                    told(&content.short(), &now.content.short())
                }
                Look::Missing => (from, "nothing".to_owned()),
                Look::Unusable(why) => (from, why.became()),
            };
            std::iter::once(Reason::ChangedInput { input: path.clone(), from, to }).chain(inside).collect()
        });
        changed.collect()
    }
}

/// What a command read is made by what its target does not name.
fn not_said(read: &str, add: &str) -> Failure {
    Failure {
        help: Some(format!("add `{add}` to the `inputs` of this target")),
        ..Failure::new(format!("the command read {read}, and its target does not say so"))
    }
}

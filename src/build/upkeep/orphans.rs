//! Outputs that are to go: those of the steps that were named, and those that no step makes any more. They are listed
//! first, and what was listed is looked at again before it goes.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;

use rayon::prelude::*;
use tokio::sync::watch;

use crate::pipeline::makers::readings;
use crate::pipeline::model::TargetId;
use crate::store::Digest;
use crate::store::state::{Access, FileRecord, State, StepRecord};

use crate::build::engine::Engine;
use crate::build::events::Silence;
use crate::build::files::place::Placer;
use crate::build::files::{self, Look, folders};
use crate::build::request;
use crate::build::session::{BuildError, Order, Session, io, looked, take_lock};
use crate::build::steps::StepId;

/// An output that has a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub path: String,
    pub fate: Fate,
    /// What is to be known before it goes.
    pub note: Option<Note>,
    /// What the record said when it was listed; `None` where it told of no file.
    content: Option<Digest>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is what was recorded.
    Remove,
    /// It is not there any more: only its record goes.
    Forget,
    /// It is not what was recorded, so it may be someone's work: why.
    Keep(String),
}

/// What is to be known of an output before it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// It was not named, and is made together with this one, which was.
    MadeWith(String),
    /// The first step that reads it, and how many others do.
    ReadBy(String, usize),
    /// No step reads it: the first group that names it, and how many others do.
    NamedBy(String, usize),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MadeWith(named) => write!(f, "which is made with {named}"),
            Self::ReadBy(step, 0) => write!(f, "which {step} reads"),
            Self::ReadBy(step, 1) => write!(f, "which {step} and another step read"),
            Self::ReadBy(step, more) => write!(f, "which {step} and {more} more steps read"),
            Self::NamedBy(group, 0) => write!(f, "which {group} names"),
            Self::NamedBy(group, 1) => write!(f, "which {group} and another group name"),
            Self::NamedBy(group, more) => write!(f, "which {group} and {more} more groups name"),
        }
    }
}

/// What may go.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    /// By path.
    pub list: Vec<Candidate>,
    /// Targets whose steps cannot all be told now: what they may make is not listed.
    pub untold: Vec<Untold>,
    /// No step makes them: what is recorded of the steps that did goes, too.
    pub are_orphans: bool,
}

/// A target whose steps cannot all be told.
#[derive(Clone, Debug)]
pub struct Untold {
    pub target: String,
    /// Why, where it is not that what they are read out of is still to be built.
    pub why: Option<String>,
}

/// What went.
#[derive(Clone, Debug, Default)]
pub struct Removed {
    pub removed: Vec<String>,
    /// Records of files that were not there.
    pub forgotten: usize,
    pub kept: Vec<(String, String)>,
    /// Empty folders.
    pub folders: usize,
}

/// The recorded outputs of the steps asked for.
pub fn outputs_of(session: &Session, order: &Order) -> Result<Candidates, BuildError> {
    let (engine, _) = looked(session, order, &mut Silence)?;
    if let Some(unknown) = engine.not_found(order) {
        return Err(unknown.into());
    }
    let ids = 0..u32::try_from(engine.steps.len()).unwrap_or(u32::MAX);
    let (mut paths, mut made_with) = (Vec::new(), HashMap::new());
    for id in ids.filter(|&id| order.asked.iter().any(|a| engine.is_asked(a, id))) {
        // A file that was only just looked at, and has no record, is not ours to remove.
        let recorded = engine.steps.outputs(id).first().is_some_and(|&path| engine.state.step_key_at(path).is_some());
        let files = engine.steps.outputs(id).iter().filter(|&&path| engine.state.file_at(path).is_some());
        let files: Vec<String> = files.filter(|_| recorded).map(|&path| engine.state.path(path).to_owned()).collect();
        let named = engine.paths_asked(&order.asked, id).unwrap_or_default();
        let is_named =
            |file: &str| named.iter().any(|path| folders::around(path).chain([path.as_str()]).any(|p| p == file));
        for file in files.iter().filter(|file| !is_named(file)) {
            made_with.extend(named.first().map(|first| (file.clone(), Note::MadeWith(first.clone()))));
        }
        paths.extend(files);
    }
    let list = judged(&session.pipeline.root, &engine.state, paths, made_with);
    Ok(Candidates { list, untold: Vec::new(), are_orphans: false })
}

/// The recorded outputs that no step of the pipeline makes, with all its targets expanded.
pub fn orphans(session: &Session) -> Result<Candidates, BuildError> {
    let everything = Order { asked: request::everything(&session.pipeline), ..Order::default() };
    let (engine, _) = looked(session, &everything, &mut Silence)?;
    Ok(engine.orphans())
}

impl Engine<'_> {
    /// The same, where all targets were looked at.
    pub(crate) fn orphans(&self) -> Candidates {
        let is_to_come = |id: StepId| !self.is_settled(id) && !self.steps.is_misread(id);
        let untold = self.untold().into_iter().map(|target| Untold {
            target: self.pipeline.targets[target].name.clone(),
            why: self.why_not_told(target).filter(|_| self.unknown(target, &is_to_come).is_none()),
        });
        let untold = untold.collect();
        let paths = self.orphan_paths();
        let read_by = self.readers_of_orphans(&paths);
        let mut list = judged(&self.pipeline.root, &self.state, paths, read_by);
        let going = list.iter().filter(|candidate| candidate.fate == Fate::Remove);
        let going: HashSet<String> = going.map(|candidate| candidate.path.clone()).collect();
        list.retain(|candidate| candidate.fate != Fate::Forget || !self.is_outlived(&candidate.path, &going));
        Candidates { list, untold, are_orphans: true }
    }

    /// Whether anything that was made with an output stays: then so does their record, and there is nothing to forget.
    fn is_outlived(&self, path: &str, going: &HashSet<String>) -> bool {
        let first = self.state.find(path).and_then(|id| self.kept_by(id));
        let record = first.and_then(|first| Some((first, self.state.step_at(first)?)));
        record.is_some_and(|(first, record)| {
            let mut outputs = self.outputs_of_record(first, &record).into_iter();
            outputs.any(|output| !going.contains(output) && is_there(&self.pipeline.root, output))
        })
    }

    /// The recorded outputs that no step makes, where all targets were looked at.
    pub(crate) fn orphan_paths(&self) -> Vec<String> {
        let (untold, unread) = (self.untold(), self.unread());
        // What a step would make that is refused is no orphan: it makes it once what refuses it is mended.
        let refused: HashSet<String> =
            self.steps.refused.values().flatten().flat_map(|&step| self.files_of(step)).collect();
        let may_be_made = |path: &str| {
            let outputs = untold.iter().flat_map(|&t| self.pipeline.targets[t].outputs.iter().map(move |o| (t, o)));
            outputs.into_iter().any(|(target, output)| {
                let steps = readings(&self.pipeline.targets, target, &output.pattern, path);
                let may_get = |values: &[(usize, String)]| {
                    self.may_still_come(target, values) || self.may_come_when_asked(target, values)
                };
                steps.iter().any(|values| unread[target] || may_get(values))
            })
        };
        let has_maker = |path: &str| self.steps.find_path(&self.state, path).is_some() || refused.contains(path);
        let is_orphan = |path: &str| !has_maker(path) && !may_be_made(path);
        let is_free = |id| self.state.step_key_at(id).is_none() && self.state.file_at(id).is_some();
        // Most often every file is a step's first output, or read: then no record has to be read for further ones.
        let is_unread = |id| is_free(id) && !self.steps.is_known(id);
        let further = self.state.live_ids().any(is_unread) || self.leave_outputs_behind();
        let mut paths = Vec::new();
        for id in self.state.step_ids() {
            let has_no_maker = self.steps.maker(id).is_none();
            paths.extend(has_no_maker.then(|| self.state.path(id).to_owned()));
            // What such a step made beside it may be read, each file of it.
            let more =
                (further || has_no_maker).then(|| self.state.step_at(id)).flatten().map(|step| step.more_outputs);
            paths.extend(more.into_iter().flatten().filter(|path| self.state.file(path).is_some()));
        }
        paths.retain(|path| is_orphan(path));
        paths
    }

    /// The targets of which it is not told at all what steps there will be, by their number.
    fn unread(&self) -> Vec<bool> {
        let mut unread = vec![false; self.pipeline.targets.len()];
        for &target in &self.pipeline.order {
            unread[target] =
                self.waiting.contains(&target) || self.pipeline.targets[target].parents().any(|parent| unread[parent]);
        }
        unread
    }

    /// The targets whose steps cannot all be told before something else is built.
    pub(crate) fn untold(&self) -> Vec<TargetId> {
        let mut untold = self.unread();
        for &target in &self.pipeline.order {
            let rows = |t: TargetId| self.steps.rows[t].steps.iter().copied();
            let from_afar = self.pipeline.targets[target]
                .parents()
                .any(|parent| untold[parent] || rows(parent).any(|id| !self.is_settled(id)));
            untold[target] |= from_afar || rows(target).any(|id| self.steps.is_misread(id));
        }
        (0..untold.len()).filter(|&t| untold[t]).collect()
    }
}

/// Forgets an output. What its step made beside it is still known by its record, and that it made this.
pub(crate) fn forget(state: &mut State, path: &str) {
    let step = state.step(path);
    state.remove(path);
    let Some(step) = step else { return };
    let mut others: Vec<String> = step.more_outputs.clone();
    others.retain(|other| state.file(other).is_some() && state.step_key(other).is_none());
    others.push(path.to_owned());
    if let [first, more @ ..] = others.as_slice()
        && !more.is_empty()
    {
        state.put_step(first, &StepRecord { more_outputs: more.to_vec(), ..step });
    }
}

/// Forgets an output, and not its step: why and from what that was made, and what its source answered, is worth keeping
/// for when it is made again.
fn forget_file(state: &mut State, path: &str) {
    let step = state.step(path);
    state.remove(path);
    step.iter().for_each(|step| state.put_step(path, step));
}

/// Forgets outputs that no step makes, and not their names: what read them has only the hash of those, and is to tell what
/// is gone. The record of their step stays as long as anything that it made is there, and tells that it made these, too.
fn forget_orphans(root: &Path, state: &mut State, paths: &[String]) {
    for path in paths {
        let Some(step) = state.step(path) else { continue };
        forget_step(state, path);
        let others = step.more_outputs.iter().filter(|other| state.step_key(other).is_none());
        let (there, gone): (Vec<&String>, Vec<&String>) = others.partition(|other| is_there(root, other));
        if let [first, more @ ..] = there.as_slice() {
            let more_outputs = more.iter().chain(&gone).copied().chain([path]).cloned().collect();
            state.put_step(first, &StepRecord { more_outputs, ..step.clone() });
        }
    }
}

/// Forgets a step, and not the file that its record is kept by.
pub(super) fn forget_step(state: &mut State, first: &str) {
    let file = state.file(first);
    state.remove(first);
    file.into_iter().for_each(|file| state.put_file(first, file));
}

fn is_there(root: &Path, path: &str) -> bool {
    root.join(path).symlink_metadata().is_ok()
}

fn judged(root: &Path, state: &State, mut paths: Vec<String>, notes: HashMap<String, Note>) -> Vec<Candidate> {
    paths.sort();
    paths.dedup();
    paths
        .into_par_iter()
        .map(|path| {
            let record = state.file(&path);
            let fate = record.map_or(Fate::Forget, |record| fate(root, &path, record));
            Candidate { fate, content: record.map(|r| r.content), note: notes.get(&path).cloned(), path }
        })
        .collect()
}

fn fate(root: &Path, path: &str, record: FileRecord) -> Fate {
    let path = root.join(path);
    let folder = std::fs::symlink_metadata(&path).is_ok_and(|m| m.is_dir());
    match files::look_at_output(&path, Some(record), folder) {
        Look::Missing => Fate::Forget,
        Look::Same(_) => Fate::Remove,
        Look::Hashed(now) if now.content == record.content => Fate::Remove,
        Look::Hashed(_) => Fate::Keep("changed since it was made".to_owned()),
        Look::Unusable(why) => Fate::Keep(why.to_string()),
    }
}

/// Removes what was listed, as far as it still is what was listed; with `force`, also what was changed since it was
/// made.
pub fn remove(session: &Session, order: &Order, candidates: &Candidates, force: bool) -> Result<Removed, BuildError> {
    let mut done = Removed::default();
    if candidates.list.is_empty() {
        return Ok(done);
    }
    let root = &session.pipeline.root;
    let placer = Placer::new(root).map_err(io("open", root))?;
    let (_, never) = watch::channel(false);
    let _lock = take_lock(session, order, &never, &mut Silence)?;
    let (mut state, _) = session.open_state(Access::Write)?;
    let (mut gone, mut failed) = (Vec::new(), None);
    for candidate in &candidates.list {
        let path = &candidate.path;
        let record = state.file(path);
        if record.map(|r| r.content) != candidate.content {
            done.kept.push((path.clone(), "made anew meanwhile".to_owned()));
            continue;
        }
        match record.map_or(Fate::Forget, |record| fate(root, path, record)) {
            Fate::Keep(why) if !force => {
                done.kept.push((path.clone(), why));
                continue;
            }
            Fate::Forget => done.forgotten += 1,
            Fate::Remove | Fate::Keep(_) => {
                if let Err(source) = placer.remove(path) {
                    failed = Some(BuildError::Io { action: "remove", path: path.clone(), source });
                    break;
                }
                done.removed.push(path.clone());
            }
        }
        gone.push(path.clone());
    }
    done.folders = placer.remove_empty(&done.removed);
    // What is gone is forgotten, also where the rest could not be removed.
    if candidates.are_orphans {
        forget_orphans(root, &mut state, &gone);
    } else {
        gone.iter().for_each(|path| forget_file(&mut state, path));
    }
    state.close()?;
    failed.map_or(Ok(done), Err)
}

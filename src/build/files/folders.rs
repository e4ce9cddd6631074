//! Folders among the inputs of a step. A key has one digest for each; records keep that of every file in it, too, so that
//! it can be told which of them moved.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::path::Path;

use crate::pipeline::model::{Input, InputKind, Pipeline};
use crate::rules::Job;
use crate::store::state::{FoundInput, StepRecord};
use crate::store::{Digest, hex};

use super::inside::{self, FOREIGN, MISSING};
use crate::build::engine::Engine;
use crate::build::files::{self, Folder};
use crate::build::reason::Reason;

/// Stands between a folder and the path of a file in it, among the inputs of a record: no other path has it.
const INSIDE: &str = "//";
/// Stands before the path of one that can be executed, which is part of what the folder is.
const EXECUTABLE: char = '/';
/// Of folders that hold more files none is kept, nor where these are larger, in bytes, in the mean: they are read once
/// more for it.
const FILES: usize = 1000;
const BYTES_EACH: u64 = 64 << 10;
/// How many files all steps of a target keep together, where they read the same folder.
const FILES_OF_ALL: usize = 20_000;

/// Whether what comes in by an entry of `inputs:` may be folders.
pub(crate) fn may_be(input: &Input, pipeline: &Pipeline) -> bool {
    match input.kind {
        InputKind::Path(_) => true,
        InputKind::Target { target, .. } => pipeline.targets[target].outputs.iter().any(|output| output.folder),
    }
}

/// The most files that a folder may hold of which one of so many steps keeps them.
pub(crate) fn kept_by_each(steps: usize) -> usize {
    FILES.min(FILES_OF_ALL / steps.max(1))
}

/// What is in the folders among the declared inputs of a command.
pub(crate) fn of(job: &Job) -> Vec<FoundInput> {
    let paths = job.inputs.iter().filter(|input| input.may_be_folders).flat_map(|input| &input.paths);
    let found = paths.flat_map(|path| match contents(&job.root.join(path), job.files_in_folders) {
        Some(contents) => contents.into_iter().map(|(name, file)| found(path, &name, file)).collect(),
        None => vec![untold(path)],
    });
    found.collect()
}

/// What is in a folder that a command says it has read.
pub(super) fn of_found(path: &str, folder: &Folder, most: usize) -> Vec<FoundInput> {
    if folder.files.len() > most || !are_small(folder.files.iter().map(|(_, meta, _)| meta), most) {
        return vec![untold(path)];
    }
    let file = |(name, meta, content): &(String, Metadata, Digest)| {
        found(path, name, Inside { content: *content, executable: files::is_executable(meta) })
    };
    folder.files.iter().map(file).collect()
}

/// A file in a folder, as records have it.
fn found(folder: &str, name: &str, file: Inside) -> FoundInput {
    let mark = if file.executable { EXECUTABLE.to_string() } else { String::new() };
    FoundInput { path: format!("{folder}{INSIDE}{mark}{name}"), content: file.content }
}

/// That a folder holds too much for its files to be kept.
fn untold(folder: &str) -> FoundInput {
    FoundInput { path: format!("{folder}{INSIDE}"), content: Digest::default() }
}

fn are_small<'m>(mut files: impl Iterator<Item = &'m Metadata>, most: usize) -> bool {
    files.try_fold(0u64, |sum, meta| sum.checked_add(meta.len())).is_some_and(|sum| sum <= most as u64 * BYTES_EACH)
}

/// What a folder's digest has of a file in it, beside its path.
#[derive(Clone, Copy)]
pub(super) struct Inside {
    pub content: Digest,
    pub executable: bool,
}

/// The files in a folder; none of what is no folder. `None` where it has more files than this, or too large ones, or
/// cannot be read.
fn contents(folder: &Path, most: usize) -> Option<BTreeMap<String, Inside>> {
    let files = files_if_small(folder, most)?;
    let inside = |(name, meta): (String, Metadata)| {
        let path = folder.join(&name);
        // Whether it can be executed stands beside the digest of its bytes.
        let content = match meta.is_file() {
            true => files::digest(File::open(path).ok()?, meta.len()).ok()?.1,
            false => files::look_at_input(&path, None).content()?,
        };
        Some((name, Inside { content, executable: files::is_executable(&meta) }))
    };
    Some(files.into_iter().filter_map(inside).collect())
}

fn files_if_small(folder: &Path, most: usize) -> Option<Vec<(String, Metadata)>> {
    if !folder.is_dir() {
        return Some(Vec::new());
    }
    let files = files::few_files_in(folder, most).ok().flatten()?;
    are_small(files.iter().map(|(_, meta)| meta), most).then_some(files)
}

impl Inside {
    fn mode(self) -> &'static str {
        if self.executable { "executable" } else { "not executable" }
    }
}

/// The folders that a path lies in, the outermost first.
pub(crate) fn around(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

/// Whether an input that a record names lies in a folder that is an input itself: it is told, and is no cause by itself.
pub(crate) fn is_inside(path: &str) -> bool {
    path.contains(INSIDE)
}

impl Engine<'_> {
    /// The files in a folder that are not what they were when a step last read it, as far as its record has them.
    pub(crate) fn changed_inside(&self, record: &StepRecord, folder: &str) -> Vec<Reason> {
        let inside = |found: &FoundInput| {
            let path = found.path.strip_prefix(folder)?.strip_prefix(INSIDE)?;
            let name = path.strip_prefix(EXECUTABLE);
            let (name, executable) = (name.unwrap_or(path).to_owned(), name.is_some());
            Some((name, Inside { content: found.content, executable }))
        };
        let mut then: BTreeMap<String, Inside> = record.found.iter().filter_map(inside).collect();
        if then.remove("").is_some() || then.is_empty() && !self.had_no_files(record, folder) {
            return Vec::new();
        }
        let to_come = self.contents_to_come(folder);
        // Of what is too much to be told by its files, none is told as gone.
        let Some(mut now) = to_come.or_else(|| contents(&self.pipeline.root.join(folder), FILES)) else {
            return Vec::new();
        };
        now.retain(|name, _| !inside::has_files(name, &then));
        then.retain(|name, _| !inside::has_files(name, &now));
        let mut reasons = Vec::new();
        for (name, now) in now {
            let path = format!("{folder}/{name}");
            match then.remove(&name) {
                Some(then) => {
                    let mut moved = |from: String, to: String| {
                        if from != to {
                            reasons.push(Reason::ChangedInput { input: path.clone(), from, to });
                        }
                    };
                    moved(hex(&then.content.short()), hex(&now.content.short()));
                    moved(then.mode().to_owned(), now.mode().to_owned());
                }
                None => reasons.push(Reason::NewInput(path)),
            }
        }
        reasons.extend(then.into_keys().map(|name| Reason::LostInput(format!("{folder}/{name}"))));
        reasons
    }

    /// Of folders that hold too much for it to be told which files in them change, or held it when a step last read them, that.
    pub(crate) fn untold_folders(&self, record: &StepRecord) -> Vec<String> {
        let read: BTreeMap<&str, bool> = record
            .found
            .iter()
            .filter_map(|found| found.path.split_once(INSIDE))
            .map(|(folder, file)| (folder, file.is_empty()))
            .collect();
        let holds_too_much = |folder: &str| files_if_small(&self.pipeline.root.join(folder), FILES).is_none();
        let untold = read.into_iter().filter(|&(folder, held_too_much)| held_too_much || holds_too_much(folder));
        let in_words = |(folder, _)| {
            format!("which files in {folder} change is not told: it holds too many for that, or too large ones")
        };
        untold.map(in_words).collect()
    }

    /// Whether there were no files in a folder when a step last read it, since it was a file, or empty. What was taken over was
    /// not read, and older records do not tell a folder that held too much.
    fn had_no_files(&self, record: &StepRecord, folder: &str) -> bool {
        let tells = || self.template_of(record).is_some_and(|template| template.output.is_some());
        self.was_a_file(folder) || record.why.is_some() && tells()
    }

    /// Whether a folder was a file until this build made it anew, or would make it.
    fn was_a_file(&self, folder: &str) -> bool {
        let turned = |why: &Reason| matches!(why, Reason::TurnedOutput { path, is_folder: true } if path == folder);
        let maker = self.steps.find_path(&self.state, folder);
        let reasons = maker.and_then(|maker| self.accounts.get(&maker)?.reasons.as_ref());
        reasons.is_some_and(|reasons| reasons.iter().any(turned))
    }

    /// The files that a folder will have once it comes back from the store, as far as those of one that is there are told.
    fn contents_to_come(&self, folder: &str) -> Option<BTreeMap<String, Inside>> {
        let maker = self.steps.find_path(&self.state, folder)?;
        let place = self.paths(maker).position(|output| output == folder)?;
        let stored = self.steps.restores.get(&maker)?.get(place)?;
        inside::stored(&stored.blob, &self.blobs, FILES, FILES as u64 * BYTES_EACH)
    }

    /// Whether the file of this path, in a folder that a step makes, is there, and was made with that.
    pub(crate) fn told_inside(&self, folder: &str, path: &str) -> String {
        let recorded = self.state.file(folder).map(|file| file.content);
        let (full, name) = (self.pipeline.root.join(folder), path.get(folder.len() + 1..).unwrap_or_default());
        format!("{path} {}", inside::told(&full, folder, name, recorded, &self.state, &self.blobs))
    }

    /// The files in a folder that a step made which are not what it made, as far as the store has a list of them.
    pub(crate) fn damaged_inside(&self, path: &str, recorded: Digest) -> Vec<Reason> {
        let folder = self.pipeline.root.join(path);
        let damaged = inside::damaged(&folder, path, recorded, &self.state, &self.blobs);
        let told = damaged.into_iter().map(|(name, wrong)| {
            let path = format!("{path}/{name}");
            match wrong.as_str() {
                MISSING => Reason::MissingOutput(path),
                FOREIGN => {
                    let what = if path.ends_with('/') { "an empty folder" } else { "a file" };
                    let (from, to) = ("nothing".to_owned(), format!("{what} that was not made with the others"));
                    Reason::ChangedOutput { path, from, to }
                }
                _ => Reason::ChangedOutput { path, from: "what was made".to_owned(), to: wrong },
            }
        });
        told.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_in_a_folder_that_is_no_too_large_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join("sub/a"), "a").unwrap();
        std::fs::write(dir.path().join("b"), "b").unwrap();
        let names: Vec<String> = contents(dir.path(), FILES).expect("few").into_keys().collect();
        assert_eq!(names, ["b", "sub/a"]);
        assert!(contents(dir.path(), 1).is_none());
        assert!(contents(&dir.path().join("b"), FILES).is_some_and(|none| none.is_empty()));
        for n in 0..FILES {
            std::fs::write(dir.path().join(format!("sub/{n}")), "").unwrap();
        }
        assert!(contents(dir.path(), FILES).is_none());
    }
}

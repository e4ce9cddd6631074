//! What layermill remembers of each step and file: one snapshot and an append-only journal. `docs/state.md` has the format.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use self::actions::Actions;
use self::change::Change;
use self::journal::Journal;
use self::memory::{HAS_STEP, Memory};
use self::snapshot::Written;
use super::Digest;

pub use self::paths::PathId;
pub use self::record::{
    Asking, FileRecord, FoundInput, KeyPart, SetAside, Stamp, StateError, StepRecord, StoredOutput,
};

mod actions;
mod arena;
mod change;
mod details;
mod folder;
mod format;
mod journal;
mod memory;
mod open;
mod paths;
mod record;
mod snapshot;
#[cfg(test)]
mod tests;
mod wire;

/// Bytes of journal that are read so fast that no snapshot is worth its writing.
const SMALL_JOURNAL: u64 = 1 << 20;
/// A byte of the journal takes about so many times as long to read as one of a snapshot.
const REPLAY_COST: u64 = 4;

/// How to open the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Leaves every byte as it is, also while a build runs. What is put is seen by this `State` alone, and never written.
    Look,
    /// For the holder of the lock.
    Write,
}

/// The state, in memory. Changes are seen at once and written by [`State::flush`].
///
/// A path is looked up once ([`State::find`]), and its records are then had by its number.
pub struct State {
    dir: PathBuf,
    memory: Memory,
    actions: Actions,
    /// None for one who only looks.
    journal: Option<Journal>,
    /// Bytes.
    snapshot_len: u64,
    /// Something was set aside: the next snapshot is due whatever the journal's length.
    mended: bool,
}

impl State {
    /// Reads the state in `dir` (`.layermill/state`). A folder that is not there is an empty state.
    pub fn open(dir: &Path, access: Access) -> Result<(Self, Vec<SetAside>), StateError> {
        open::open(dir, access)
    }

    /// The number of a path that has, or had, a record.
    pub fn find(&self, path: &str) -> Option<PathId> {
        self.memory.paths.find(path)
    }

    /// The same, for one who goes through paths in the order in which they were first put: the guess is tried before the table.
    pub fn find_near(&self, path: &str, guess: PathId) -> Option<PathId> {
        let guessed = guess.index() < self.path_count() && self.path(guess) == path;
        if guessed { Some(guess) } else { self.find(path) }
    }

    /// The number of a path, which is given one where it has none.
    pub fn intern(&mut self, path: &str) -> PathId {
        self.memory.intern(path)
    }

    /// The path with this number.
    pub fn path(&self, id: PathId) -> &str {
        self.memory.paths.get(id.index())
    }

    /// How many numbers are given: all are below it.
    pub fn path_count(&self) -> usize {
        self.memory.paths.len()
    }

    /// What is remembered of the file at `path`.
    pub fn file(&self, path: &str) -> Option<FileRecord> {
        self.file_at(self.find(path)?)
    }

    /// What is remembered of the file whose path has this number.
    pub fn file_at(&self, id: PathId) -> Option<FileRecord> {
        self.memory.file(id)
    }

    /// Remembers a file. The same record again is no change, and not written.
    pub fn put_file(&mut self, path: &str, record: FileRecord) {
        let id = self.intern(path);
        self.put_file_at(id, record);
    }

    /// The same for one whose path has a number of this state.
    pub fn put_file_at(&mut self, id: PathId, record: FileRecord) {
        if self.memory.put_file(id, &record)
            && let Some(journal) = &mut self.journal
        {
            journal.push(&Change::File { path: self.memory.paths.get(id.index()), record });
        }
    }

    /// The step whose first output is `path`. It may read the disk (about 2 µs): a no-op makes do with the keys.
    pub fn step(&self, path: &str) -> Option<StepRecord> {
        self.step_at(self.find(path)?)
    }

    /// The step whose first output has this number.
    pub fn step_at(&self, id: PathId) -> Option<StepRecord> {
        self.memory.step(id)
    }

    /// Its key alone, without the cost of the whole record.
    pub fn step_key(&self, path: &str) -> Option<Digest> {
        self.step_key_at(self.find(path)?)
    }

    /// The key of the step whose first output has this number.
    pub fn step_key_at(&self, id: PathId) -> Option<Digest> {
        self.memory.step_key(id)
    }

    /// Remembers a step under the path of its first output. The same record again is no change, and not written.
    pub fn put_step(&mut self, path: &str, record: &StepRecord) {
        let id = self.intern(path);
        self.put_step_at(id, record);
    }

    /// The same for one whose path has a number of this state.
    pub fn put_step_at(&mut self, id: PathId, record: &StepRecord) {
        if self.memory.put_step(id, record)
            && let Some(journal) = &mut self.journal
        {
            let (path, details) = (self.memory.paths.get(id.index()), self.memory.encoded.as_slice());
            journal.push(&Change::Step { path, key: record.key, template: record.template, details });
        }
    }

    /// Forgets the file and the step of this path.
    pub fn remove(&mut self, path: &str) {
        if let Some(id) = self.find(path)
            && self.memory.remove(id)
            && let Some(journal) = &mut self.journal
        {
            journal.push(&Change::Remove { path });
        }
    }

    /// The paths of all steps, in no order.
    pub fn step_paths(&self) -> Vec<String> {
        self.step_ids().map(|id| self.path(id).to_owned()).collect()
    }

    /// The numbers of the paths of all steps, ascending.
    pub fn step_ids(&self) -> impl Iterator<Item = PathId> {
        self.memory.with(HAS_STEP)
    }

    /// The text behind [`StepRecord::template`]. One that no step uses is forgotten by a later snapshot.
    pub fn template(&self, digest: &Digest) -> Option<&str> {
        self.memory.templates.text(digest)
    }

    /// All such texts.
    pub fn templates(&self) -> impl Iterator<Item = &str> {
        self.memory.templates.list.iter().filter_map(|template| template.text.as_deref())
    }

    /// Keeps a text once, under its digest.
    pub fn put_template(&mut self, text: &str) -> Digest {
        let digest = Digest::of(text.as_bytes());
        if self.memory.templates.put(digest, text, true)
            && let Some(journal) = &mut self.journal
        {
            journal.push(&Change::Template { text });
        }
        digest
    }

    /// The outputs that a step with this key made, as the store has them. It reads the disk (about 20 µs): not for the no-op.
    pub fn action(&self, key: &Digest) -> Option<Vec<StoredOutput>> {
        self.actions.get(key)
    }

    /// Whether it is known of any key what was made by it.
    pub fn has_actions(&self) -> bool {
        !self.actions.is_empty()
    }

    /// Remembers what a step with this key made, in place of what it made before.
    pub fn put_action(&mut self, key: Digest, outputs: &[StoredOutput]) {
        if self.actions.put(key, outputs)
            && let Some(journal) = &mut self.journal
        {
            journal.push(&Change::Action { key, outputs: outputs.into() });
        }
    }

    /// Shows every key with the outputs that its step made, in the order of the keys. It reads the disk.
    pub fn each_action(&self, mut see: impl FnMut(&Digest, &[StoredOutput])) -> Result<(), StateError> {
        let shown = self.actions.each(|key, outputs| {
            see(key, outputs);
            Ok(())
        });
        shown.map_err(failed("read", &self.dir))
    }

    /// Forgets what steps with these keys made. The journal has no word for that: a new snapshot is written, without them
    /// and without all that was removed.
    pub fn forget_actions(&mut self, keys: impl IntoIterator<Item = Digest>) -> Result<(), StateError> {
        keys.into_iter().for_each(|key| self.actions.forget(key));
        self.sync()?;
        self.write_snapshot()
    }

    /// The numbers of the paths that have a file or a step, ascending.
    pub fn live_ids(&self) -> impl Iterator<Item = PathId> {
        self.memory.live()
    }

    /// Writes what changed as one frame of the journal: it survives the death of this process. A frame is read whole or not
    /// at all, so a step and the files that it made belong between the same two flushes.
    /// After an error the changes are still pending, and the next flush tries again.
    pub fn flush(&mut self) -> Result<(), StateError> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        journal.flush().map_err(failed("write", journal.path()))
    }

    /// Flushes and waits until the disk has it: it survives the loss of power.
    pub fn sync(&mut self) -> Result<(), StateError> {
        self.flush()?;
        let Some(journal) = &mut self.journal else { return Ok(()) };
        journal.sync().map_err(failed("write", journal.path()))
    }

    /// Syncs, and folds a journal that has outgrown the snapshot into a new snapshot.
    pub fn close(mut self) -> Result<(), StateError> {
        self.compact()
    }

    /// What [`State::close`] does, for a process that goes on. An error of action `compact` has lost nothing.
    pub fn compact(&mut self) -> Result<(), StateError> {
        self.sync()?;
        let Some(journal) = &self.journal else { return Ok(()) };
        let outgrown = journal.len() > SMALL_JOURNAL.max(self.snapshot_len / REPLAY_COST);
        if outgrown || self.mended { self.write_snapshot() } else { Ok(()) }
    }

    /// Begins the next generation: its snapshot, and a journal that is made with its first frame. The old one goes last, so
    /// that a kill at any point leaves either whole.
    fn write_snapshot(&mut self) -> Result<(), StateError> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        let (generation, point) = (journal.generation() + 1, journal.point());
        let failed = failed("compact", &self.dir);
        fs::create_dir_all(&self.dir).map_err(&failed)?;
        let written = snapshot::write(&self.dir, generation, point, &self.memory, &self.actions);
        let Written { details, places, actions, len } = written.map_err(&failed)?;
        *journal = Journal::new(&self.dir, generation, point, 0);
        self.memory.move_details(details, &places);
        (self.actions, self.snapshot_len, self.mended) = (actions, len, false);
        folder::tidy(&self.dir, generation).map_err(&failed)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("dir", &self.dir).field("paths", &self.path_count()).finish_non_exhaustive()
    }
}

fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> StateError + use<> {
    let path = path.display().to_string();
    move |source| StateError::Io { action, path: path.clone(), source }
}

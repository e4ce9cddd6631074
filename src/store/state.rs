//! What layermill remembers of each step and file: one snapshot and an append-only journal. `docs/state.md` has the format.

use std::path::Path;

use super::{Digest, Sha256};

/// How a file looked: enough to see that it was touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Nanoseconds since 1970.
    pub mtime: i64,
    pub inode: u64,
}

/// What is remembered of a file, be it an input or an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileRecord {
    pub stamp: Stamp,
    pub content: Digest,
    /// False where the file was hashed within the clock's tick of its mtime: it may have changed since and look the same.
    pub settled: bool,
}

/// What is remembered of a step, under the path of its first output.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct StepRecord {
    pub key: Digest,
    /// Its answer said that there is nothing: why.
    pub absent: Option<String>,
    /// The question that it asked its source; zero where it asks none.
    pub question: Digest,
    /// The answer, a blob.
    pub answer: Option<Sha256>,
    /// When the answer (or the absence) came, milliseconds since 1970; 0 where nothing was asked.
    pub asked_at: i64,
    /// The text that its key was made from, without bindings and inputs: see [`State::template`].
    pub template: Digest,
    /// What else its key was made from, in the key's order.
    pub parts: Vec<KeyPart>,
    /// The paths of its outputs after the first.
    pub more_outputs: Vec<String>,
}

/// One binding, fingerprint or input that went into a key: cut to what comparing and showing needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPart {
    /// The start of the hash of its name (a path, or a binding).
    pub name: [u8; 8],
    /// The start of its digest.
    pub value: [u8; 8],
}

/// One output as the store has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredOutput {
    pub content: Digest,
    /// Its blob.
    pub blob: Sha256,
    pub size: u64,
    pub executable: bool,
}

/// What was damaged and set aside when the state was opened, in words for the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside(pub String);

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("the state in {dir} was written by a newer layermill (format {found}; this one knows up to {known})")]
    Newer { dir: String, found: u32, known: u32 },
    #[error("cannot {action} the state: {path}")]
    Io { action: &'static str, path: String, source: std::io::Error },
}

/// How to open the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Leaves every byte as it is, also while a build runs.
    Look,
    /// For the holder of the lock.
    Write,
}

/// The state, in memory. Changes are seen at once and written by [`State::flush`].
#[derive(Debug)]
pub struct State {}

impl State {
    /// Reads the state in `dir` (`.layermill/state`). A folder that is not there is an empty state.
    pub fn open(dir: &Path, access: Access) -> Result<(Self, Vec<SetAside>), StateError> {
        let _ = (dir, access);
        todo!("H2")
    }

    pub fn file(&self, path: &str) -> Option<FileRecord> {
        let _ = path;
        todo!("H2")
    }

    pub fn put_file(&mut self, path: &str, record: FileRecord) {
        let _ = (path, record);
        todo!("H2")
    }

    /// The step whose first output is `path`.
    pub fn step(&self, path: &str) -> Option<StepRecord> {
        let _ = path;
        todo!("H2")
    }

    /// Its key alone, without the cost of the whole record.
    pub fn step_key(&self, path: &str) -> Option<Digest> {
        let _ = path;
        todo!("H2")
    }

    pub fn put_step(&mut self, path: &str, record: &StepRecord) {
        let _ = (path, record);
        todo!("H2")
    }

    /// Forgets the file and the step of this path.
    pub fn remove(&mut self, path: &str) {
        let _ = path;
        todo!("H2")
    }

    /// The paths of all steps, in no order.
    pub fn step_paths(&self) -> Vec<String> {
        todo!("H2")
    }

    /// The text behind [`StepRecord::template`].
    pub fn template(&self, digest: &Digest) -> Option<&str> {
        let _ = digest;
        todo!("H2")
    }

    /// Keeps a text once, under its digest.
    pub fn put_template(&mut self, text: &str) -> Digest {
        let _ = text;
        todo!("H2")
    }

    /// The outputs that a step with this key made, as the store has them.
    pub fn action(&self, key: &Digest) -> Option<Vec<StoredOutput>> {
        let _ = key;
        todo!("H2")
    }

    pub fn put_action(&mut self, key: Digest, outputs: &[StoredOutput]) {
        let _ = (key, outputs);
        todo!("H2")
    }

    /// Writes what changed as one frame of the journal: it survives the death of this process.
    pub fn flush(&mut self) -> Result<(), StateError> {
        todo!("H2")
    }

    /// Flushes and waits until the disk has it: it survives the loss of power.
    pub fn sync(&mut self) -> Result<(), StateError> {
        todo!("H2")
    }

    /// Syncs, and folds a journal that has outgrown the snapshot into a new snapshot.
    pub fn close(self) -> Result<(), StateError> {
        todo!("H2")
    }
}

//! The records: what is remembered, and the words for what goes wrong.

use crate::store::{Digest, Sha256};

/// How a file looked: enough to see that it was touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// When it was last written, and when last changed in any way, in one number that moves with either, and with whether
    /// it can be executed.
    pub times: i64,
    pub inode: u64,
}

/// What is remembered of a file, be it an input or an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileRecord {
    pub stamp: Stamp,
    /// The hash of its bytes; of a file that can be executed, [`Digest::executable`] of that.
    pub content: Digest,
    /// False where the file was hashed within the clock's tick of its mtime: it may have changed since and look the same.
    pub settled: bool,
}

/// What came of the last time that a step's source was asked, beside the answer.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Asking {
    /// It said what it had said before, whatever was made of that since. Where this is not set, times tell.
    pub unchanged: bool,
    /// `asked_at` is only when it was seen from what is kept that there is nothing: when its source was asked before that,
    /// milliseconds since 1970; 0 where it never was.
    pub before: Option<i64>,
    /// Who answered, where that was not its own address alone.
    pub by: String,
    /// What there is to be known of the answer, in words, a line each.
    pub notes: String,
}

/// What is remembered of a step, under the path of its first output.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct StepRecord {
    /// The hash of all that decided its outputs; zero where it has none, since what it reads was absent.
    pub key: Digest,
    /// Its answer said that there is nothing, or what it reads was absent: why.
    pub absent: Option<String>,
    /// The question that it asked its source; zero where it asks none.
    pub question: Digest,
    /// The answer, a blob.
    pub answer: Option<Sha256>,
    /// When the answer (or the absence) came, milliseconds since 1970; 0 where nothing was asked.
    pub asked_at: i64,
    /// When it last ran, where that was not when its answer came; 0 otherwise.
    pub made_at: i64,
    /// The text that its key was made from, without bindings and inputs: see [`State::template`](super::State::template).
    pub template: Digest,
    /// What else its key was made from, in the key's order.
    pub parts: Vec<KeyPart>,
    /// Inputs that it said it had read, beside those that were declared.
    pub found: Vec<FoundInput>,
    /// Why it ran when it last did, in words, a line a cause; empty for a first build, `None` where it never ran. A line more
    /// tells the source of then, where another one has said the same since.
    pub why: Option<String>,
    /// The paths of its outputs after the first.
    pub more_outputs: Vec<String>,
    /// Why its source was last asked, in words, a line a cause; empty where `why` tells that: it ran then.
    pub why_asked: String,
    /// What came of that, beside the answer.
    pub asking: Asking,
    /// When and why it had been made before it was taken over, in words; empty where that is not known.
    pub before: String,
}

impl StepRecord {
    /// What it reads was absent when it came to be made again; all else is of when it was last made.
    pub fn went_with_input(&self) -> bool {
        self.absent.is_some() && self.key == Digest::default()
    }

    /// When it last ran, if it ever did.
    pub fn last_made(&self) -> i64 {
        if self.made_at == 0 { self.asked_at } else { self.made_at }
    }

    /// When its source was last asked, if it ever was.
    pub fn last_asked(&self) -> Option<i64> {
        let asks = self.question != Digest::default() || self.absent.is_some() && !self.went_with_input();
        Some(self.asking.before.unwrap_or(self.asked_at)).filter(|at| asks && *at != 0)
    }

    /// Why its source was last asked, as far as that is known.
    pub fn asked_because(&self) -> Option<&str> {
        match self.why_asked.as_str() {
            "" => self.why.as_deref().filter(|_| self.made_at == 0),
            why => Some(why),
        }
    }
}

/// An input that a step found while it ran.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundInput {
    /// Relative to the pipeline's folder, or absolute.
    pub path: String,
    /// What it held; zero where that could not be told, which is like nothing that a file can hold.
    pub content: Digest,
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
    /// The hash of its bytes.
    pub content: Digest,
    /// Its blob.
    pub blob: Sha256,
    /// Bytes.
    pub size: u64,
    pub executable: bool,
    /// When these bytes were first made from that key, milliseconds since 1970; 0 where that is not known.
    pub made_at: i64,
}

impl StoredOutput {
    /// What the record of the file has once it is brought back.
    pub fn as_file(&self) -> Digest {
        if self.executable { self.content.executable() } else { self.content }
    }
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

//! A step that was decided to run.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::build::files::place::Destination;
use crate::build::outcome::{ASK, RESTORE};
use crate::build::reasons::Reasons;
use crate::rules::Made;
use crate::store::Sha256;
use crate::store::state::{StepRecord, StoredOutput};

/// A step that is to be run, and all that is known of it.
#[derive(Debug)]
pub(crate) struct Run {
    pub reasons: Reasons,
    pub work: Work,
    /// What is recorded once it is done; the key is not known before the answer is.
    pub record: StepRecord,
    pub outputs: Vec<Destination>,
    /// The outputs on disk are those that were recorded.
    pub intact: bool,
    /// What the person should know of it.
    pub notes: Vec<String>,
    /// What is to be known of what it made, and is recorded.
    pub of_made: Vec<String>,
    /// Who answered it and sent content for it, where that was not its source's own address alone.
    pub by: BTreeSet<String>,
    /// It was made once, and lacked something that other steps might bring.
    pub lacking: bool,
    /// What it came to without that, where nothing has come since.
    pub given: Option<Made>,
    /// The record of what is taken over before it runs.
    pub adopted: Option<StepRecord>,
    pub started: Option<Instant>,
    /// How often its command was run.
    pub attempts: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Ask the source, then see.
    Ask,
    /// Make it, from this answer where it has one.
    Make(Option<Sha256>),
    /// Bring its outputs back from the store.
    Restore(Vec<StoredOutput>),
}

impl Work {
    /// The word for events.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Ask => ASK,
            Self::Make(_) => "make",
            Self::Restore(_) => RESTORE,
        }
    }
}

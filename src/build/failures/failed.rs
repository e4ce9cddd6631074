//! One attempt that came to nothing, and what it tells of those before it.

use std::ops::Not;

use serde::{Deserialize, Serialize};

use crate::store::state::StepRecord;

use crate::build::clock::time_to_come;
use crate::build::outcome::{ASK, Told};

/// An attempt that came to nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The step, since two may be told to make the same file; none in what an older build has left.
    #[serde(default)]
    pub step: String,
    /// Its outputs beside the first, by which it is found where it has another first one since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_outputs: Vec<String>,
    /// Milliseconds since 1970.
    pub at: i64,
    #[serde(default)]
    pub message: String,
    /// The build came to an end before it did.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub interrupted: bool,
    /// It came to its end, which its record does not tell: what it was told is older than it is. Kept only while a build is
    /// at work.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub over: bool,
    /// It had failed, or had been put off, before that, and may come to that again.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub failed_before: bool,
    /// Before that, its source had put it off.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub put_off_before: bool,
    /// Its source told nothing: it was not to be asked, or not to be reached.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub unheard: bool,
    /// A build is at it; told by those who look.
    #[serde(skip)]
    pub running: bool,
    /// It is no fault of the step's: its source had no more to give.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub deferred: bool,
    /// What it said, and when, where that was to a try before this one, which did not hear of it, or did not come to an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_at: Option<i64>,
    /// Why it ran, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// What was tried first: `ask`, `make` or `restore`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<String>,
    /// What its source answered, where that is not what is recorded of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<Answered>,
    /// How often its command was run, where it was.
    #[serde(default)]
    pub attempts: u32,
    /// Its key then, in hex, where that is known before a source has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What it is made from is not what it was then; told by those who look.
    #[serde(skip)]
    pub moved: bool,
}

/// An answer of which nothing came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The digest of what it is in the store.
    pub digest: String,
    /// In what it differs from the one before, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
}

impl Failed {
    /// In what the answer that it was given differs from the one of before.
    pub fn change(&self) -> Option<&str> {
        self.answered.as_ref()?.change.as_deref()
    }

    /// The word for what it came to.
    pub fn word(&self) -> &'static str {
        match self {
            Self { running: true, .. } => "running",
            Self { interrupted: true, .. } => "interrupted",
            Self { deferred: true, .. } => "deferred",
            _ => "failed",
        }
    }

    /// The same of a step in passing.
    pub fn last(&self) -> String {
        let before = self.had_failed().map(|before| format!("; {before}")).unwrap_or_default();
        if self.running { self.message.clone() } else { format!("{} when it was last tried{before}", self.word()) }
    }

    /// What it had come to before the try that did not come to an end, where it may come to that again; that its source had
    /// put it off before a try that heard nothing of it.
    pub fn had_failed(&self) -> Option<String> {
        let until =
            self.told.as_ref().and_then(|told| told.until).map(|until| format!(", until {}", time_to_come(until)));
        match self {
            Self { put_off_before: true, .. } => {
                Some(format!("it had been put off before that{}", until.unwrap_or_default()))
            }
            Self { failed_before: true, .. } => Some("it had failed before that".to_owned()),
            _ => None,
        }
    }

    /// It tells nothing of its source, or did not come to an end.
    pub(super) fn is_silent(&self) -> bool {
        self.unheard || self.interrupted
    }

    /// What it was at, where it did not come to an end.
    pub(in crate::build) fn under_way(&self) -> &'static str {
        if self.asked() { "its source was asked" } else { "it ran" }
    }

    /// It was not at fault before it was begun.
    pub(in crate::build) fn was_tried(&self) -> bool {
        self.work.is_some() || self.because.is_some() || self.deferred || self.interrupted
    }

    /// Its source did not answer, or nothing came of the answer.
    pub fn asked(&self) -> bool {
        self.work.as_deref() == Some(ASK)
    }

    /// Whether it may come to the same again: that a build ended tells nothing of the step.
    pub fn may_recur(&self) -> bool {
        !self.over && (!self.interrupted || self.failed_before)
    }

    /// Whether it came after all that is recorded of its step.
    pub(in crate::build) fn stands(&self, record: Option<&StepRecord>) -> bool {
        record.is_none_or(|record| !self.is_over(record))
    }

    /// Whether it was tried again since, and not in vain. A source that was to be asked is still to be asked where its
    /// answer of before was made use of.
    fn is_over(&self, record: &StepRecord) -> bool {
        let done = if self.asked() { record.asked_at } else { record.asked_at.max(record.last_made()) };
        // Of what was begun, the record may come within the same millisecond.
        if self.interrupted { done >= self.at } else { done > self.at }
    }
}

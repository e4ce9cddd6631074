//! A cause for which a step runs; [`Reasons`](super::reasons::Reasons) are all those of a step.

mod told;

use crate::pipeline::model::Freshness;

pub(super) use self::told::as_before;
pub use self::told::span;
use super::outcome::Status;

/// One of the causes for which a step is not up to date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It was never made, as far as anything tells.
    FirstBuild,
    /// No record tells how it was made, and yet this is there, which is not taken over: why not.
    MissingRecord {
        what: String,
        why: String,
    },
    MissingOutput(String),
    /// Its output is not what was recorded. The ends of the digests, before and now.
    ChangedOutput {
        path: String,
        from: String,
        to: String,
    },
    ChangedInput {
        input: String,
        from: String,
        to: String,
    },
    NewInput(String),
    /// An input that the last run did without: why it did.
    BackInput {
        input: String,
        before: String,
    },
    /// Of a crowd of inputs, which is told as one, something moved: whose steps they are.
    ChangedInputs {
        of: String,
        from: String,
        to: String,
    },
    /// An input was made again by this build, and came out otherwise.
    UpstreamRebuilt {
        step: String,
        input: String,
        from: String,
        to: String,
    },
    /// An input that it has no more.
    LostInput(String),
    /// A `partial` input that it does without: the step that makes it has this status.
    LeftOut {
        input: String,
        step: String,
        status: Status,
    },
    /// How many more inputs are gone whose names are not known any more.
    LostInputs(usize),
    /// The same inputs in another order: the first of them that moved.
    Reordered {
        from: String,
        to: String,
    },
    Parameter {
        name: String,
        from: Option<String>,
        to: Option<String>,
    },
    /// An output that was a file is to be a folder, or the other way round.
    TurnedOutput {
        path: String,
        is_folder: bool,
    },
    /// A binding has another value. What it was is known by its digest only: a path tells each value, so that this takes
    /// a target whose pattern was rewritten to give the same path.
    OtherValue {
        binding: String,
        to: String,
    },
    RuleVersion {
        rule: String,
        from: u32,
        to: u32,
    },
    Rule {
        from: String,
        to: String,
    },
    /// A tag points at another digest.
    MovedTag {
        tag: String,
        from: String,
        to: String,
    },
    /// What it asked its source was answered otherwise: in what, where its rule can tell.
    ChangedAnswer {
        what: Option<String>,
        from: String,
        to: String,
    },
    /// It asks another question than the one that was recorded: which part of it, and what that was.
    ChangedQuestion {
        what: String,
        from: Option<String>,
        to: Option<String>,
    },
    /// Its answer, or its output where it asks nothing, is older than `fresh` allows: how old, in milliseconds. Less than
    /// 0 where the clock went back since.
    NotFresh {
        what: Aged,
        age: i64,
        fresh: Freshness,
    },
    /// `--refresh`
    Refreshed,
    /// `--force`
    Forced,
    /// Another target was the last to make its output.
    OtherTarget {
        path: String,
        target: String,
    },
    /// It reads the same files, which `inputs` names otherwise, or more or less often, or which other steps or none make:
    /// how it named them, and how it does, where that is known.
    Rearranged(Option<(String, String)>),
    /// Its key moved, and the record does not tell by what.
    Untold,
    /// An input will be made again; whether it comes out otherwise is seen then.
    Upstream(String),
    /// The source of an input is asked first; whether it answers otherwise is seen then.
    UpstreamAsked(String),
    /// An input comes to be made that was not there, unless there is none of it.
    UpstreamNew(String),
    /// What failed or was put off will be tried again: the first input that the last run did without for it, and how many
    /// more.
    UpstreamThatFailed {
        step: String,
        without: Option<(String, usize)>,
    },
    /// Whether an input is made again is seen only then.
    UpstreamPerhaps(String),
    /// It was absent, and is asked about again.
    WasAbsent(String),
    /// It was there when it was last made, and is absent now.
    Gone,
    /// What it was made from is not in the store any more.
    LostAnswer,
}

/// What grows old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aged {
    /// What a source answered.
    Answer,
    /// What a step that asks nothing made.
    Output,
}

impl Aged {
    /// What was done when it was new.
    pub fn word(self) -> &'static str {
        match self {
            Self::Answer => "asked",
            Self::Output => "made",
        }
    }
}

impl Reason {
    /// It tells why a source was asked, and nothing of what came of that.
    pub(super) fn only_asks(&self) -> bool {
        matches!(self, Self::NotFresh { .. } | Self::Refreshed)
    }

    /// It tells that something moved of what decides what a step makes, as far as that is known before a build.
    pub(super) fn is_known_to_have_moved(&self) -> bool {
        self.place().0 == 0
    }

    /// Its place among the causes of a step, which is the same before a build and after it: what moved, as far as that is
    /// known before, then what is seen only while building, then what came of asking, then why it was asked or tried.
    pub(super) fn place(&self) -> (u8, &str) {
        match self {
            Self::NewInput(input) | Self::BackInput { input, .. } => (1, input),
            Self::LostInput(input) | Self::LeftOut { input, .. } => (2, input),
            Self::LostInputs(_) => (3, ""),
            Self::Reordered { .. } | Self::Rearranged(_) => (4, ""),
            Self::MissingOutput(_) | Self::ChangedOutput { .. } | Self::WasAbsent(_) => (5, ""),
            Self::UpstreamRebuilt { .. }
            | Self::Upstream(_)
            | Self::UpstreamAsked(_)
            | Self::UpstreamNew(_)
            | Self::UpstreamThatFailed { .. }
            | Self::UpstreamPerhaps(_) => (6, ""),
            Self::ChangedAnswer { .. } | Self::Gone => (7, ""),
            Self::NotFresh { .. } | Self::Refreshed => (8, ""),
            Self::Forced => (9, ""),
            _ => (0, ""),
        }
    }

    /// Whether a cause in words tells what came of asking.
    pub(super) fn is_outcome(words: &str) -> bool {
        ["changed answer: ", "gone: ", "was absent: "].iter().any(|outcome| words.starts_with(outcome))
    }

    /// Whether it holds is not known before a build: a step that has no other cause may not run.
    pub fn is_uncertain(&self) -> bool {
        // Before a build, it is only reckoned what will be deferred.
        matches!(
            self,
            Self::Upstream(_)
                | Self::UpstreamAsked(_)
                | Self::UpstreamNew(_)
                | Self::UpstreamThatFailed { .. }
                | Self::UpstreamPerhaps(_)
                | Self::LeftOut { status: Status::Deferred, .. }
        )
    }

    /// A word for machines: what `--format json` calls the kind of reason.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::FirstBuild => "first-build",
            Self::MissingRecord { .. } => "missing-record",
            Self::MissingOutput(_) => "missing-output",
            Self::ChangedOutput { .. } => "changed-output",
            Self::ChangedInput { .. }
            | Self::ChangedInputs { .. }
            | Self::NewInput(_)
            | Self::BackInput { .. }
            | Self::LostInput(_)
            | Self::LostInputs(_) => "changed-input",
            Self::LeftOut { .. } => "left-out",
            Self::UpstreamRebuilt { .. } => "upstream-rebuilt",
            Self::Parameter { .. }
            | Self::TurnedOutput { .. }
            | Self::OtherValue { .. }
            | Self::Reordered { .. }
            | Self::Rearranged(_) => "changed-parameter",
            Self::RuleVersion { .. } => "rule-version",
            Self::Rule { .. } => "changed-rule",
            Self::MovedTag { .. } => "moved-tag",
            Self::ChangedAnswer { .. } => "changed-answer",
            Self::ChangedQuestion { .. } => "changed-question",
            Self::NotFresh { .. } => "freshness",
            Self::Refreshed => "refreshed",
            Self::Forced => "forced",
            Self::OtherTarget { .. } => "other-target",
            Self::Untold => "untold",
            Self::Upstream(_)
            | Self::UpstreamAsked(_)
            | Self::UpstreamNew(_)
            | Self::UpstreamThatFailed { .. }
            | Self::UpstreamPerhaps(_) => "upstream",
            Self::WasAbsent(_) => "was-absent",
            Self::Gone => "gone",
            Self::LostAnswer => "lost-answer",
        }
    }
}

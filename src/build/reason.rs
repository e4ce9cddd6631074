//! A cause for which a step runs; [`Reasons`](super::reasons::Reasons) are all those of a step.

use std::fmt;
use std::time::Duration;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::pipeline::model::Freshness;
use crate::pipeline::node::written;

use super::excerpt::differing;
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
    /// It reads the same files, which `inputs` names otherwise, or more or less often: how it named them, and how it does,
    /// where that is known.
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

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstBuild => write!(f, "first build"),
            Self::MissingRecord { what, why } => write!(f, "missing record: {what} is there, {why}"),
            Self::MissingOutput(path) => write!(f, "missing output: {path}"),
            Self::ChangedOutput { path, from, to } => write!(f, "changed output: {path}, from {from} to {to}"),
            Self::ChangedInput { input, from, to } => write!(f, "changed input: {input}, from {from} to {to}"),
            Self::ChangedInputs { of, from, to } => {
                write!(f, "changed inputs: among the steps of {of}, from {from} to {to}")
            }
            Self::UpstreamRebuilt { step, input, from, to } => {
                write!(f, "upstream rebuilt: {input} by {step}, from {from} to {to}")
            }
            Self::NewInput(input) => write!(f, "new input: {input}"),
            Self::BackInput { input, before } => write!(f, "new input: {input} ({before})"),
            Self::LostInput(input) => write!(f, "an input is gone: {input}"),
            Self::LeftOut { input, step, status } => {
                let is = if *status == Status::Failed { "" } else { "is " };
                write!(f, "left out: {input}, since {step} {is}{}", status.word())
            }
            Self::LostInputs(1) => write!(f, "an input is gone whose name is forgotten"),
            Self::LostInputs(count) => write!(f, "{count} inputs are gone whose names are forgotten"),
            Self::Reordered { from, to } => write!(f, "inputs in another order: from {from} to {to}"),
            Self::Parameter { name, from, to } => match (from, to) {
                (Some(from), Some(to)) => {
                    let (from, to) = (differing(from, to), differing(to, from));
                    write!(f, "changed parameter: {name}, from {from:?} to {to:?}")
                }
                (None, Some(to)) => write!(f, "new parameter: {name}, {:?}", differing(to, "")),
                (Some(from), None) => write!(f, "removed parameter: {name}, was {:?}", differing(from, "")),
                (None, None) => write!(f, "changed parameter: {name}"),
            },
            Self::OtherValue { binding, to } => write!(f, "changed parameter: {binding}, to {to:?}"),
            Self::RuleVersion { rule, from, to } => write!(f, "rule version: {rule}, from {from} to {to}"),
            Self::Rule { from, to } => write!(f, "changed rule: from {from} to {to}"),
            Self::MovedTag { tag, from, to } => write!(f, "moved tag: {tag}, from sha256:{from}… to sha256:{to}…"),
            Self::ChangedAnswer { what: None, from, to } => write!(f, "changed answer: from {from} to {to}"),
            Self::ChangedAnswer { what: Some(what), from, to } => {
                write!(f, "changed answer: from {from} to {to} ({what})")
            }
            Self::ChangedQuestion { what, from, to } => {
                let told = |text: &Option<String>| match text.as_deref() {
                    None => "what was not recorded".to_owned(),
                    Some("") => "nothing".to_owned(),
                    Some(text) => text.to_owned(),
                };
                let (from, to) = (told(from), told(to));
                write!(f, "changed question: {what}, from {} to {}", differing(&from, &to), differing(&to, &from))
            }
            Self::NotFresh { what, age, fresh } => match fresh {
                Freshness::Within(limit) => {
                    let limit = written(*limit);
                    write!(f, "freshness: {} {}, limit {limit}", what.word(), when(*age))
                }
                Freshness::Digest => write!(f, "freshness: asked each time (digest)"),
                Freshness::Always => write!(f, "freshness: always"),
                Freshness::Exists => write!(f, "freshness: never asked"),
            },
            Self::Refreshed => write!(f, "refreshed by hand"),
            Self::Forced => write!(f, "forced by hand"),
            Self::OtherTarget { path, target } => write!(f, "made by another target: {path} was last made by {target}"),
            Self::Rearranged(Some((from, to))) => {
                write!(f, "changed parameter: inputs, from {:?} to {:?}", differing(from, to), differing(to, from))
            }
            Self::Rearranged(None) => write!(f, "changed parameter: inputs, which name the same files otherwise"),
            Self::Untold => write!(f, "changed: its record does not tell what"),
            Self::Upstream(step) => write!(f, "upstream: {step} is made again"),
            Self::UpstreamAsked(step) => write!(f, "upstream: {step} is asked, and may be answered otherwise"),
            Self::UpstreamNew(step) => write!(f, "upstream: {step} is new, unless it turns out absent"),
            Self::UpstreamThatFailed { step, without: None } => write!(f, "upstream: {}", as_before(step)),
            Self::UpstreamThatFailed { step, without: Some((input, more)) } => {
                let more = if *more > 0 { format!(" and {more} more") } else { String::new() };
                write!(f, "upstream: {}; the last run did without {input}{more}", as_before(step))
            }
            Self::UpstreamPerhaps(step) => write!(f, "upstream: {step} may be made again"),
            Self::WasAbsent(why) => write!(f, "was absent: {why}"),
            Self::Gone => write!(f, "gone: it was there when it was last made"),
            Self::LostAnswer => write!(f, "its recorded answer is not in the store any more"),
        }
    }
}

impl Reason {
    /// It tells why a source was asked, and nothing of what came of that.
    pub(super) fn only_asks(&self) -> bool {
        matches!(self, Self::NotFresh { .. } | Self::Refreshed)
    }

    /// It tells that this output was a folder and is a file now, or the other way round.
    pub(super) fn turns(&self, output: &str) -> bool {
        let Self::Parameter { name, from: Some(from), to: Some(to) } = self else { return false };
        name == "output" && from != to && [from, to].iter().all(|path| path.strip_suffix('/').unwrap_or(path) == output)
    }

    /// It tells why a step was tried, whatever moved.
    pub(super) fn comes_last(&self) -> bool {
        self.only_asks() || *self == Self::Forced
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
            Self::Parameter { .. } | Self::OtherValue { .. } | Self::Reordered { .. } | Self::Rearranged(_) => {
                "changed-parameter"
            }
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

/// What a reason is about, what that was before, and what it is now; `None` where it has no such thing to tell.
type Moved<'a> = (Option<&'a str>, Option<String>, Option<String>);

impl Reason {
    fn moved(&self) -> Moved<'_> {
        match self {
            Self::ChangedOutput { path: what, from, to }
            | Self::ChangedInput { input: what, from, to }
            | Self::ChangedInputs { of: what, from, to }
            | Self::UpstreamRebuilt { input: what, from, to, .. }
            | Self::MovedTag { tag: what, from, to } => (Some(what), Some(from.clone()), Some(to.clone())),
            Self::Parameter { name: what, from, to } | Self::ChangedQuestion { what, from, to } => {
                (Some(what), from.clone(), to.clone())
            }
            Self::Reordered { from, to } | Self::Rearranged(Some((from, to))) => {
                (Some("inputs"), Some(from.clone()), Some(to.clone()))
            }
            Self::OtherValue { binding, to } => (Some(binding), None, Some(to.clone())),
            Self::RuleVersion { rule, from, to } => (Some(rule), Some(from.to_string()), Some(to.to_string())),
            Self::Rule { from, to } => (None, Some(from.clone()), Some(to.clone())),
            Self::ChangedAnswer { what, from, to } => (what.as_deref(), Some(from.clone()), Some(to.clone())),
            Self::MissingOutput(what)
            | Self::MissingRecord { what, .. }
            | Self::NewInput(what)
            | Self::BackInput { input: what, .. }
            | Self::LostInput(what)
            | Self::LeftOut { input: what, .. }
            | Self::Upstream(what)
            | Self::UpstreamAsked(what)
            | Self::UpstreamNew(what)
            | Self::UpstreamThatFailed { step: what, .. }
            | Self::UpstreamPerhaps(what)
            | Self::OtherTarget { target: what, .. } => (Some(what), None, None),
            Self::FirstBuild
            | Self::LostInputs(_)
            | Self::Rearranged(None)
            | Self::Untold
            | Self::NotFresh { .. }
            | Self::Refreshed
            | Self::Forced
            | Self::WasAbsent(_)
            | Self::Gone
            | Self::LostAnswer => (None, None, None),
        }
    }
}

/// For programs: the kind, the words, and what moved from what to what.
impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.serialize_into(&mut map)?;
        map.end()
    }
}

impl Reason {
    pub(super) fn serialize_into<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let (what, from, to) = self.moved();
        map.serialize_entry("kind", self.kind())?;
        map.serialize_entry("text", &self.to_string())?;
        let moved = [("what", what.map(str::to_owned)), ("from", from), ("to", to)];
        for (name, value) in moved.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            map.serialize_entry(name, value)?;
        }
        Ok(())
    }
}

/// What is to be said of a step that failed, or was put off, when it was last tried.
pub(super) fn as_before(step: &str) -> String {
    format!("{step} is tried again, and may fail or be put off as before")
}

fn when(age: i64) -> String {
    let seconds = span(Duration::from_millis(age.unsigned_abs()));
    if age < 0 { format!("{seconds} in the future, as the clock says now") } else { format!("{seconds} ago") }
}

/// A time as people say it: `300ms`, `45s`, `12m`, `3h`, `5d`.
pub fn span(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{}ms", time.as_millis()),
        seconds @ 1..=119 => format!("{seconds}s"),
        seconds @ 120..=7199 => format!("{}m", seconds / 60),
        seconds @ 7200..=172_799 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

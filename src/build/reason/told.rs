//! How a cause is told: in words, and to programs.

use std::fmt;
use std::time::Duration;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::build::excerpt::differing;
use crate::build::outcome::Status;
use crate::pipeline::model::Freshness;
use crate::pipeline::node::written;

use super::Reason;

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
            Self::TurnedOutput { path, is_folder } => {
                let [from, to] = turned(path, *is_folder);
                write!(f, "changed parameter: output, from {from:?} to {to:?}")
            }
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
            Self::TurnedOutput { path, is_folder } => {
                let [from, to] = turned(path, *is_folder);
                (Some("output"), Some(from), Some(to))
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
    pub(in crate::build) fn serialize_into<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
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

/// An output as the pipeline names it: before it turned, and now.
fn turned(path: &str, is_folder: bool) -> [String; 2] {
    let named = |is_folder| if is_folder { format!("{path}/") } else { path.to_owned() };
    [named(!is_folder), named(is_folder)]
}

/// What is to be said of a step that failed, or was put off, when it was last tried.
pub(in crate::build) fn as_before(step: &str) -> String {
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

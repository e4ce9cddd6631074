//! Why a step runs: a type, made in one place, shown by every verb alike.

use std::collections::HashMap;
use std::fmt;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::pipeline::model::Freshness;
use crate::store::state::{KeyPart, StepRecord};

use super::key::{Part, Template};

pub use crate::store::hex;

/// Why a step is not up to date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It was never made.
    FirstBuild,
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
    /// An input was made again by this build, and came out otherwise.
    UpstreamRebuilt {
        step: String,
        input: String,
        from: String,
        to: String,
    },
    /// How many inputs it had that it has no more.
    LostInputs {
        count: usize,
        /// The first of them by name, where that is still known.
        first: Option<String>,
    },
    Parameter {
        name: String,
        from: Option<String>,
        to: Option<String>,
    },
    /// A binding has another value. What it was is known by its digest only.
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
    /// What it asked its source was answered otherwise.
    ChangedAnswer {
        from: String,
        to: String,
    },
    /// It asks another question than the one that was recorded.
    ChangedQuestion,
    /// Its answer is older than `fresh` allows. Milliseconds since 1970.
    NotFresh {
        asked_at: i64,
        fresh: Freshness,
    },
    /// `--refresh`
    Refreshed,
    /// `--force`
    Forced,
    /// An input will be made again; whether it changes is seen then.
    Upstream(String),
    /// It was absent, and is asked about again.
    WasAbsent(String),
    /// What it was made from is not in the store any more.
    LostAnswer,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstBuild => write!(f, "first build"),
            Self::MissingOutput(path) => write!(f, "missing output: {path}"),
            Self::ChangedOutput { path, from, to } => write!(f, "changed output: {path}, from {from} to {to}"),
            Self::ChangedInput { input, from, to } => write!(f, "changed input: {input}, from {from} to {to}"),
            Self::UpstreamRebuilt { step, input, from, to } => {
                write!(f, "upstream rebuilt: {input} by {step}, from {from} to {to}")
            }
            Self::NewInput(input) => write!(f, "new input: {input}"),
            Self::LostInputs { count: 1, first: None } => write!(f, "one input is gone"),
            Self::LostInputs { count, first: None } => write!(f, "{count} inputs are gone"),
            Self::LostInputs { count: 1, first: Some(first) } => write!(f, "an input is gone: {first}"),
            Self::LostInputs { count, first: Some(first) } => write!(f, "{count} inputs are gone: {first} and others"),
            Self::Parameter { name, from, to } => match (from, to) {
                (Some(from), Some(to)) => write!(f, "changed parameter: {name}, from {from:?} to {to:?}"),
                (None, Some(to)) => write!(f, "new parameter: {name}, {to:?}"),
                (Some(from), None) => write!(f, "removed parameter: {name}, was {from:?}"),
                (None, None) => write!(f, "changed parameter: {name}"),
            },
            Self::OtherValue { binding, to } => write!(f, "changed parameter: {binding}, to {to:?}"),
            Self::RuleVersion { rule, from, to } => write!(f, "rule version: {rule}, from {from} to {to}"),
            Self::Rule { from, to } => write!(f, "changed rule: from {from} to {to}"),
            Self::MovedTag { tag, from, to } => write!(f, "moved tag: {tag}, from sha256:{from}… to sha256:{to}…"),
            Self::ChangedAnswer { from, to } => write!(f, "changed answer: from {from} to {to}"),
            Self::ChangedQuestion => write!(f, "changed question: another source or other patterns"),
            Self::NotFresh { asked_at, fresh } => match fresh {
                Freshness::Within(limit) => {
                    write!(f, "freshness: asked {} ago, limit {}", ago(*asked_at), span(limit.as_secs()))
                }
                Freshness::Digest => write!(f, "freshness: asked each time (digest)"),
                Freshness::Always => write!(f, "freshness: always"),
                Freshness::Exists => write!(f, "freshness: never asked"),
            },
            Self::Refreshed => write!(f, "refreshed by hand"),
            Self::Forced => write!(f, "forced by hand"),
            Self::Upstream(step) => write!(f, "upstream: {step} is made again"),
            Self::WasAbsent(why) => write!(f, "was absent: {why}"),
            Self::LostAnswer => write!(f, "its recorded answer is not in the store any more"),
        }
    }
}

impl Reason {
    /// A word for machines: what `--format json` calls the kind of reason.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::FirstBuild => "first-build",
            Self::MissingOutput(_) => "missing-output",
            Self::ChangedOutput { .. } => "changed-output",
            Self::ChangedInput { .. } | Self::NewInput(_) | Self::LostInputs { .. } => "changed-input",
            Self::UpstreamRebuilt { .. } => "upstream-rebuilt",
            Self::Parameter { .. } | Self::OtherValue { .. } => "changed-parameter",
            Self::RuleVersion { .. } => "rule-version",
            Self::Rule { .. } => "changed-rule",
            Self::MovedTag { .. } => "moved-tag",
            Self::ChangedAnswer { .. } => "changed-answer",
            Self::ChangedQuestion => "changed-question",
            Self::NotFresh { .. } => "freshness",
            Self::Refreshed => "refreshed",
            Self::Forced => "forced",
            Self::Upstream(_) => "upstream",
            Self::WasAbsent(_) => "was-absent",
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
            | Self::UpstreamRebuilt { input: what, from, to, .. }
            | Self::MovedTag { tag: what, from, to } => (Some(what), Some(from.clone()), Some(to.clone())),
            Self::Parameter { name, from, to } => (Some(name), from.clone(), to.clone()),
            Self::OtherValue { binding, to } => (Some(binding), None, Some(to.clone())),
            Self::RuleVersion { rule, from, to } => (Some(rule), Some(from.to_string()), Some(to.to_string())),
            Self::Rule { from, to } | Self::ChangedAnswer { from, to } => (None, Some(from.clone()), Some(to.clone())),
            Self::MissingOutput(what) | Self::NewInput(what) | Self::Upstream(what) => (Some(what), None, None),
            Self::LostInputs { first, .. } => (first.as_deref(), None, None),
            Self::FirstBuild
            | Self::ChangedQuestion
            | Self::NotFresh { .. }
            | Self::Refreshed
            | Self::Forced
            | Self::WasAbsent(_)
            | Self::LostAnswer => (None, None, None),
        }
    }
}

/// For programs: the kind, the words, and what moved from what to what.
impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (what, from, to) = self.moved();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", self.kind())?;
        map.serialize_entry("text", &self.to_string())?;
        let moved = [("what", what.map(str::to_owned)), ("from", from), ("to", to)];
        for (name, value) in moved.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

fn ago(then: i64) -> String {
    let now = super::clock::now_ms();
    span(u64::try_from((now - then).max(0) / 1000).unwrap_or(0))
}

/// Seconds as people say them: `45s`, `12m`, `3h`, `5d`.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7199 => format!("{}m", seconds / 60),
        7200..=172_799 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Finds the parts of a key that moved since a record, shown one by one.
pub struct Changes {
    found: Vec<Reason>,
    /// The recorded parts that were not seen yet.
    old: HashMap<[u8; 8], [u8; 8]>,
    news: Vec<Reason>,
}

impl Changes {
    /// `old` is the recorded template, where it is known.
    pub fn new(record: &StepRecord, old: Option<&Template>, new: &Template) -> Self {
        let mut found = Vec::new();
        if let Some(old) = old {
            template_changes(old, new, &mut found);
        }
        Self { found, old: record.parts.iter().map(|p| (p.name, p.value)).collect(), news: Vec::new() }
    }

    pub fn see(&mut self, part: &Part<'_>) {
        let now = part.value();
        match (self.old.remove(&part.name_hash()), part) {
            (Some(then), _) if then == now => {}
            (Some(then), part) => self.found.push(moved(part, &hex(&then), &hex(&now))),
            (None, Part::Input { path, .. }) => self.news.push(Reason::NewInput((*path).to_owned())),
            (None, Part::Output(path)) => self.found.push(Reason::Parameter {
                name: "output".to_owned(),
                from: None,
                to: Some((*path).to_owned()),
            }),
            (None, _) => {}
        }
    }

    /// Leaves out a recorded part that is no part of a key.
    pub fn pass(&mut self, part: &KeyPart) {
        self.old.remove(&part.name);
    }

    /// What moved, most telling first. `input` tells the name of an input by the hash of that.
    pub fn finish(mut self, input: impl Fn(&[u8; 8]) -> Option<String>) -> Vec<Reason> {
        self.found.append(&mut self.news);
        if !self.old.is_empty() {
            let first = self.old.keys().filter_map(input).min();
            self.found.push(Reason::LostInputs { count: self.old.len(), first });
        }
        self.found
    }
}

fn moved(part: &Part<'_>, from: &str, to: &str) -> Reason {
    let (from, to) = (from.to_owned(), to.to_owned());
    match part {
        Part::Input { path, .. } => Reason::ChangedInput { input: (*path).to_owned(), from, to },
        Part::Fingerprint { value, .. } => Reason::MovedTag { tag: (*value).to_owned(), from, to },
        Part::Set { input, .. } => Reason::ChangedInput { input: format!("the steps of input {input}"), from, to },
        Part::Answer(_) | Part::Output(_) => Reason::ChangedAnswer { from, to },
        Part::Value { binding, value } => {
            Reason::OtherValue { binding: (*binding).to_owned(), to: (*value).to_owned() }
        }
    }
}

fn template_changes(old: &Template, new: &Template, found: &mut Vec<Reason>) {
    if old.rule != new.rule {
        found.push(Reason::Rule { from: old.rule.clone(), to: new.rule.clone() });
        return;
    }
    if old.keys != new.keys {
        found.push(Reason::RuleVersion { rule: "keys of steps".to_owned(), from: old.keys, to: new.keys });
    }
    if old.version != new.version {
        found.push(Reason::RuleVersion { rule: new.rule.clone(), from: old.version, to: new.version });
    }
    let find = |t: &Template, name: &str| t.params.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    let names = new.params.iter().chain(old.params.iter().filter(|(n, _)| find(new, n).is_none()));
    for (name, _) in names {
        let (from, to) = (find(old, name), find(new, name));
        if from != to {
            found.push(Reason::Parameter { name: name.clone(), from, to });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Digest;
    use crate::store::state::KeyPart;

    fn template(version: u32, run: &str) -> Template {
        let params = vec![("run".to_owned(), run.to_owned())];
        Template { keys: 1, rule: "command".to_owned(), version, params, bindings: Vec::new() }
    }

    fn said(old: &Template, new: &Template) -> Vec<String> {
        let reasons = Changes::new(&StepRecord::default(), Some(old), new).finish(|_| None);
        reasons.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn keys_of_an_older_layermill_are_named() {
        let (old, new) = (Template { keys: 0, ..template(1, "a") }, template(1, "a"));
        assert_eq!(said(&old, &new), ["rule version: keys of steps, from 0 to 1"]);
    }

    #[test]
    fn a_raised_rule_version_is_named() {
        assert_eq!(said(&template(1, "a"), &template(2, "a")), ["rule version: command, from 1 to 2"]);
        let reason = Reason::RuleVersion { rule: "command".into(), from: 1, to: 2 };
        let json = serde_json::to_value(&reason).unwrap();
        let expected = serde_json::json!({
            "kind": "rule-version", "text": "rule version: command, from 1 to 2", "what": "command", "from": "1", "to": "2"
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn an_edited_parameter_is_named_with_both_values() {
        assert_eq!(said(&template(1, "a"), &template(1, "b")), [r#"changed parameter: run, from "a" to "b""#]);
        assert_eq!(said(&template(1, "a"), &template(1, "a")), [""; 0]);
    }

    #[test]
    fn inputs_are_told_as_changed_new_and_gone() {
        let part = |path, content: &[u8]| Part::Input { path, content: Digest::of(content) };
        let parts: Vec<KeyPart> = [("same", "1"), ("changed", "1"), ("gone", "1")]
            .map(|(path, content)| Part::Input { path, content: Digest::of(content.as_bytes()) }.record())
            .to_vec();
        let record = StepRecord { parts, ..StepRecord::default() };
        let mut changes = Changes::new(&record, None, &template(1, "a"));
        for part in [part("same", b"1"), part("changed", b"2"), part("new", b"1")] {
            changes.see(&part);
        }
        let (from, to) = (hex(&Digest::of(b"1").short()), hex(&Digest::of(b"2").short()));
        let changed = Reason::ChangedInput { input: "changed".into(), from, to };
        let gone = part("gone", b"").name_hash();
        let lost = Reason::LostInputs { count: 1, first: Some("gone".into()) };
        let told = changes.finish(|hash| (*hash == gone).then(|| "gone".to_owned()));
        assert_eq!(told, [changed, Reason::NewInput("new".into()), lost]);
    }
}

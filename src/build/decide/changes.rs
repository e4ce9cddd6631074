//! The parts of a step's key that moved since its record.

use std::collections::{HashMap, HashSet};

use crate::store::state::{KeyPart, StepRecord};
use crate::store::{Digest, Sha256, hex, told};

use super::key::{Part, Template};
use super::parts::{made_name, made_part};
use crate::build::reason::Reason;
use crate::rules::SOURCE;

/// How many paths are named where the order of inputs changed.
const NAMED: usize = 3;
/// So many entries of `inputs:` are looked through for one that was a crowd.
const ENTRIES: usize = 64;

type Name = [u8; 8];

/// What is known of a part.
#[derive(Default)]
struct Known {
    /// The start of its digest, as it was recorded.
    then: Option<[u8; 8]>,
    seen: bool,
    /// It was seen, as an input.
    input: bool,
}

/// Finds them: every part of the key as it is now is shown, one by one.
pub struct Changes<'a> {
    record: &'a StepRecord,
    old_template: Option<&'a Template>,
    found: Vec<Reason>,
    news: Vec<Reason>,
    parts: HashMap<Name, Known>,
    /// The inputs that were seen, in their order.
    inputs: Vec<Name>,
    /// What was recorded file by file is told as a crowd now.
    crowded: bool,
    names_outputs: bool,
}

impl<'a> Changes<'a> {
    /// `old` is the recorded template, where it is known.
    pub fn new(record: &'a StepRecord, old: Option<&'a Template>, new: &Template) -> Self {
        let mut found = Vec::new();
        if let Some(old) = old {
            template_changes(old, new, &mut found);
        }
        let recorded = record.parts.iter().map(|p| (p.name, Known { then: Some(p.value), ..Known::default() }));
        Self {
            record,
            old_template: old,
            found,
            news: Vec::new(),
            parts: recorded.collect(),
            inputs: Vec::new(),
            crowded: false,
            names_outputs: false,
        }
    }

    pub fn see(&mut self, part: &Part<'_>) {
        let (name, now) = (part.name_hash(), part.value());
        let known = self.parts.entry(name).or_default();
        known.seen = true;
        self.names_outputs |= matches!(part, Part::Output(_));
        if matches!(part, Part::Input { .. }) {
            self.inputs.push(name);
            // One file may be an input twice.
            if std::mem::replace(&mut known.input, true) {
                return;
            }
        }
        match (known.then, part) {
            (Some(then), _) if then == now => {}
            (Some(then), part) => {
                let (from, to) = told(&then, &now);
                self.found.push(moved(part, from, to));
            }
            (None, Part::Input { path, .. }) => self.news.push(Reason::NewInput((*path).to_owned())),
            (None, Part::Output(path)) => self.found.push(Reason::Parameter {
                name: "output".to_owned(),
                from: None,
                to: Some((*path).to_owned()),
            }),
            (None, Part::Set { .. }) => {
                self.crowded = true;
                self.found.push(moved(part, "a list".to_owned(), hex(&now)));
            }
            (None, _) => {}
        }
    }

    /// An input that is to be made: it is not gone, also where there is none of it now.
    pub fn expect(&mut self, path: &str) {
        let name = Part::Input { path, content: Digest::default() }.name_hash();
        if let Some(known) = self.parts.get_mut(&name) {
            known.seen = true;
        }
    }

    /// What moved, most telling first. `outputs` are those that the record is of; `input` tells the name of an input by
    /// the hash of that.
    pub fn finish(mut self, outputs: &[&str], input: impl Fn(&Name) -> Option<String>) -> Vec<Reason> {
        let crowd = self.set_apart(outputs);
        if crowd.is_none() {
            self.found.append(&mut self.news);
        }
        self.found.extend(crowd);
        if !self.crowded {
            let unseen = self.parts.iter().filter(|(_, known)| !known.seen);
            let is_input = |(name, known): &(&Name, &Known)| !is_of_an_output(name, known.then, &input);
            let lost: Vec<&Name> = unseen.filter(is_input).map(|(name, _)| name).collect();
            let mut named: Vec<String> = lost.iter().filter_map(|name| input(name)).collect();
            let forgotten = lost.len() - named.len();
            named.sort_unstable();
            self.found.extend(named.into_iter().map(Reason::LostInput));
            self.found.extend((forgotten > 0).then_some(Reason::LostInputs(forgotten)));
        }
        let reordered = self.reordered(input);
        self.found.extend(reordered);
        // Only keys of steps that are kept in the store hold their outputs: these come and go with that, as they are.
        self.found.retain(|cause| match cause {
            Reason::Parameter { name, from: None, to: Some(now) } if name == "output" => {
                !outputs.contains(&now.as_str())
            }
            Reason::Parameter { name, to: None, .. } if name == "output" => self.names_outputs,
            _ => true,
        });
        self.found
    }

    /// Takes a part out of those that were recorded and not seen; what it was.
    fn take_unseen(&mut self, name: Name) -> Option<[u8; 8]> {
        let unseen = self.parts.get(&name).is_some_and(|known| !known.seen);
        unseen.then(|| self.parts.remove(&name)).flatten()?.then
    }

    /// Takes out what is no input, and tells what was a crowd of inputs.
    fn set_apart(&mut self, outputs: &[&str]) -> Option<Reason> {
        if self.parts.values().all(|known| known.seen) {
            return None;
        }
        // A binding that is not read any more moved a parameter.
        for name in own_parts(self.old_template, outputs) {
            self.take_unseen(name);
        }
        for path in outputs {
            if self.take_unseen(Part::Output(path).name_hash()).is_some() {
                let from = Some((*path).to_owned());
                self.found.push(Reason::Parameter { name: "output".to_owned(), from, to: None });
            }
        }
        (1..=ENTRIES).find_map(|entry| {
            let entry = entry.to_string();
            let part = Part::Set { input: &entry, content: Digest::default() };
            let then = self.take_unseen(part.name_hash())?;
            Some(moved(&part, hex(&then), "a list".to_owned()))
        })
    }

    /// The inputs in another order, told from the first one on that stands elsewhere; or, where each first stands where it
    /// did, read more or less often, told from the one before that on.
    fn reordered(&self, input: impl Fn(&Name) -> Option<String>) -> Option<Reason> {
        // Only those that both have.
        let is_read = |name: &Name| self.parts.get(name).is_some_and(|known| known.input);
        let then: Vec<Name> = self.record.parts.iter().map(|part| part.name).filter(is_read).collect();
        let is_known = |name: &Name| self.parts.get(name).is_some_and(|known| known.then.is_some());
        let now: Vec<Name> = self.inputs.iter().copied().filter(is_known).collect();
        if then == now {
            return None;
        }
        let differ = |then: &[Name], now: &[Name]| then.iter().zip(now).position(|(then, now)| then != now);
        let told = |names: &[Name], from: usize| {
            let names = &names[from.min(names.len())..];
            let named = names.iter().take(NAMED).map(|n| input(n).unwrap_or_else(|| hex(n)));
            let more = (names.len() > NAMED).then(|| "…".to_owned());
            named.chain(more).collect::<Vec<_>>().join(", ")
        };
        let once = |names: &[Name]| {
            let mut seen = HashSet::new();
            names.iter().copied().filter(|name| seen.insert(*name)).collect::<Vec<Name>>()
        };
        let (then_once, now_once) = (once(&then), once(&now));
        if let Some(at) = differ(&then_once, &now_once) {
            return Some(Reason::Reordered { from: told(&then_once, at), to: told(&now_once, at) });
        }
        let at = differ(&then, &now).unwrap_or(then.len().min(now.len()));
        let from = at.saturating_sub(1);
        let before = if from > 0 { "…, " } else { "" };
        let told = |names: &[Name]| format!("{before}{}", told(names, from));
        Some(Reason::Rearranged(Some((told(&then), told(&now)))))
    }
}

/// The names of the recorded parts that are neither inputs nor outputs.
fn own_parts(template: Option<&Template>, outputs: &[&str]) -> Vec<Name> {
    let none = Sha256([0; 32]);
    let bindings = template.into_iter().flat_map(|t| &t.bindings);
    let values = bindings.flat_map(|binding| {
        let value = Part::Value { binding, value: "" }.name_hash();
        [value, Part::Fingerprint { binding, value: "", digest: &none }.name_hash()]
    });
    let made = outputs.iter().map(|path| made_part(path, Digest::default()).name);
    values.chain(made).chain([Part::Answer(&none).name_hash()]).collect()
}

/// The names of the parts that a record has of an output.
pub(super) fn output_names(path: &str) -> [Name; 2] {
    [Part::Output(path).name_hash(), made_part(path, Digest::default()).name]
}

/// Whether a part is of an output that the record is not kept by any more: what is left behind of several has the parts of
/// all, which tell what was made together.
fn is_of_an_output(name: &Name, value: Option<[u8; 8]>, path: impl Fn(&Name) -> Option<String>) -> bool {
    value == Some(Part::Output("").value()) || path(&made_name(*name)).is_some()
}

/// The recorded inputs of a step, in their order: of a crowd, its entry under `inputs:`.
pub fn recorded_inputs<'r>(
    record: &'r StepRecord,
    template: Option<&Template>,
    outputs: &[&str],
    input: impl Fn(&Name) -> Option<String>,
) -> Vec<(String, &'r [u8; 8])> {
    let mut others: HashSet<Name> = own_parts(template, outputs).into_iter().collect();
    others.extend(outputs.iter().map(|path| Part::Output(path).name_hash()));
    let crowds: HashMap<Name, usize> = (1..=ENTRIES)
        .map(|entry| (Part::Set { input: &entry.to_string(), content: Digest::default() }.name_hash(), entry))
        .collect();
    let named = |name: &Name| match crowds.get(name) {
        Some(entry) => format!("the steps of input {entry}"),
        None => input(name).unwrap_or_else(|| "a file that is forgotten".to_owned()),
    };
    let is_input =
        |part: &&KeyPart| !others.contains(&part.name) && !is_of_an_output(&part.name, Some(part.value), &input);
    let inputs = record.parts.iter().filter(is_input);
    inputs.map(|part| (named(&part.name), &part.value)).collect()
}

fn moved(part: &Part<'_>, from: String, to: String) -> Reason {
    match part {
        Part::Input { path, .. } => Reason::ChangedInput { input: (*path).to_owned(), from, to },
        Part::Fingerprint { value, .. } => Reason::MovedTag { tag: (*value).to_owned(), from, to },
        Part::Set { input, .. } => Reason::ChangedInputs { of: format!("input {input}"), from, to },
        Part::Answer(_) | Part::Output(_) => Reason::ChangedAnswer { what: None, from, to },
        Part::Value { binding, value } => {
            Reason::OtherValue { binding: (*binding).to_owned(), to: (*value).to_owned() }
        }
    }
}

/// What moved of a rule and its parameters.
pub fn template_changes(old: &Template, new: &Template, found: &mut Vec<Reason>) {
    if old.rule != new.rule {
        found.push(Reason::Rule { from: old.rule.clone(), to: new.rule.clone() });
        return;
    }
    if old.version != new.version {
        found.push(Reason::RuleVersion { rule: new.rule.clone(), from: old.version, to: new.version });
    }
    let find = |t: &Template, name: &str| t.params.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    let names = new.params.iter().chain(old.params.iter().filter(|(n, _)| find(new, n).is_none()));
    for (name, _) in names {
        let (mut from, mut to) = (find(old, name), find(new, name));
        if from != to {
            // Where it decides nothing, a key does not hold it; what it was is told all the same.
            if name == SOURCE && old.source != new.source {
                (from, to) = (from.or(old.source.clone()), to.or(new.source.clone()));
            }
            found.push(Reason::Parameter { name: name.clone(), from, to });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::state::KeyPart;

    fn template(version: u32, run: &str) -> Template {
        let params = vec![("run".to_owned(), run.to_owned())];
        Template { rule: "command".to_owned(), version, params, ..Template::default() }
    }

    fn said(old: &Template, new: &Template) -> Vec<String> {
        let reasons = Changes::new(&StepRecord::default(), Some(old), new).finish(&[], |_| None);
        reasons.iter().map(ToString::to_string).collect()
    }

    fn input<'a>(path: &'a str, content: &str) -> Part<'a> {
        Part::Input { path, content: Digest::of(content.as_bytes()) }
    }

    fn record(parts: &[Part<'_>]) -> StepRecord {
        StepRecord { parts: parts.iter().map(Part::record).collect(), ..StepRecord::default() }
    }

    /// What is said of a step with these parts, whose record has those.
    fn changed(then: &[Part<'_>], now: &[Part<'_>], names: &[&str]) -> Vec<Reason> {
        let (record, template) = (record(then), template(1, "a"));
        let mut changes = Changes::new(&record, Some(&template), &template);
        now.iter().for_each(|part| changes.see(part));
        changes.finish(&["out", "out2"], |hash| {
            names.iter().find(|n| input(n, "").name_hash() == *hash).map(|n| (*n).to_owned())
        })
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
        let told = changed(
            &[input("same", "1"), input("changed", "1"), input("gone", "1")],
            &[input("same", "1"), input("changed", "2"), input("new", "1")],
            &["gone"],
        );
        let (from, to) = (hex(&Digest::of(b"1").short()), hex(&Digest::of(b"2").short()));
        let changed = Reason::ChangedInput { input: "changed".into(), from, to };
        assert_eq!(told, [changed, Reason::NewInput("new".into()), Reason::LostInput("gone".into())]);
        let told = self::changed(&[input("b", "1"), input("a", "1"), input("c", "1")], &[], &["a", "b"]);
        assert_eq!(told, [Reason::LostInput("a".into()), Reason::LostInput("b".into()), Reason::LostInputs(1)]);
    }

    #[test]
    fn inputs_in_another_order_are_told_from_the_first_that_moved() {
        let [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map(|name| input(name, "1"));
        let told = changed(&[a, b, c, d, e], &[a, c, b, e, d], &["a", "b", "c", "d", "e"]);
        let told: Vec<String> = told.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["inputs in another order: from b, c, d, … to c, b, e, …"]);
        // One that came or went puts no other in another order, and neither does one that is read twice: that is told by itself.
        assert_eq!(changed(&[a, b, c], &[b, c, d], &[]).len(), 2);
        assert_eq!(changed(&[a, b, a], &[a, b, a], &[]), []);
        let told = |then: &[Part<'_>], now: &[Part<'_>]| {
            let told = changed(then, now, &["a", "b", "c", "d"]);
            told.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(told(&[a, a], &[a]), r#"changed parameter: inputs, from "a, a" to "a""#);
        assert_eq!(told(&[a, a], &[a, b]), r#"new input: b; changed parameter: inputs, from "a, a" to "a""#);
        assert_eq!(told(&[a, b], &[a, b, a]), r#"changed parameter: inputs, from "…, b" to "…, b, a""#);
        assert_eq!(told(&[a, b, a], &[a, a, b]), r#"changed parameter: inputs, from "a, b, a" to "a, a, b""#);
    }

    #[test]
    fn what_is_no_input_is_not_told_as_one() {
        let made: KeyPart = made_part("out", Digest::of(b"1"));
        let mut template = template(1, "a");
        template.bindings = vec!["n".to_owned()];
        let mut record = record(&[Part::Value { binding: "n", value: "1" }, Part::Output("out"), Part::Output("out2")]);
        record.parts.push(made);
        let mut changes = Changes::new(&record, Some(&template), &template);
        changes.see(&Part::Output("out"));
        let told: Vec<String> = changes.finish(&["out", "out2"], |_| None).iter().map(ToString::to_string).collect();
        assert_eq!(told, [r#"removed parameter: output, was "out2""#]);
    }

    #[test]
    fn a_crowd_is_told_as_one() {
        let crowd = Part::Set { input: "1", content: Digest::of(b"crowd") };
        for (then, now) in [(vec![input("a", "1"), input("b", "1")], vec![crowd]), (vec![crowd], vec![input("a", "1")])]
        {
            let told = changed(&then, &now, &[]);
            assert!(matches!(&told[..], [Reason::ChangedInputs { of, .. }] if of == "input 1"), "{told:?}");
        }
    }
}

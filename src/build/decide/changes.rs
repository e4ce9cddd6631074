//! The parts of a step's key that moved since its record.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};

use crate::store::state::{KeyPart, StepRecord};
use crate::store::{Digest, Sha256, hex, told};

use super::key::{ENTRY, Part, Template, crowd_name, entry_of, input_name};
use super::left_out::is_left_out;
use super::parts::{Recorded, made_name, made_part};
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
    /// The inputs that were seen, in their order, and the place of the entry under `inputs:` whose steps make each.
    inputs: Vec<(Name, Option<u32>)>,
    /// Whether the record tells by which entries its inputs were read, and whether these are others now.
    entries: Option<bool>,
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
        let parts = record.parts.iter().filter(|part| entry_of(part).is_none() && !is_left_out(part));
        let recorded = parts.map(|p| (p.name, Known { then: Some(p.value), ..Known::default() }));
        Self {
            record,
            old_template: old,
            found,
            news: Vec::new(),
            parts: recorded.collect(),
            inputs: Vec::new(),
            entries: old.and_then(|old| Some(old.entries.as_ref()? != new.entries.as_ref()?)),
            crowded: false,
            names_outputs: false,
        }
    }

    /// `entry` is the place of the entry under `inputs:` whose steps make an input, where that is told.
    pub fn see(&mut self, entry: Option<u32>, part: &Part<'_>) {
        let (name, now) = (part.name_hash(), part.value());
        let known = self.parts.entry(name).or_default();
        known.seen = true;
        self.names_outputs |= matches!(part, Part::Output(_));
        if matches!(part, Part::Input { .. }) {
            self.inputs.push((name, entry));
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

    /// An input that is to be made: it is not gone, also where there is none of it now. Where its step may come out as it is,
    /// what lies there is what is read.
    pub fn expect(&mut self, path: &str, content: Option<Digest>) {
        let name = input_name(path);
        let Some(known) = self.parts.get_mut(&name) else { return };
        known.seen = true;
        let now = content.filter(|_| !known.input).map(|content| Part::Input { path, content });
        // It is told once, though several entries may name it.
        if let Some(now) = now
            && let Some(then) = known.then.take_if(|then| *then != now.value())
        {
            let (from, to) = told(&then, &now.value());
            self.found.push(moved(&now, from, to));
        }
    }

    /// The same in its place among the others.
    pub(super) fn expect_in_place(&mut self, input: &Recorded<'_>) {
        let name = input.part.name_hash();
        if let Some(known) = self.parts.get_mut(&name) {
            (known.seen, known.input) = (true, true);
            self.inputs.push((name, input.entry));
        }
    }

    /// Whether the entries under `inputs:` are told, and are others than before.
    pub fn has_other_entries(&self) -> bool {
        self.entries == Some(true)
    }

    /// The inputs that are of another entry under `inputs:` than before, or that steps make and none made, or the other way
    /// round: the place of its entry before, and now.
    pub fn moved_entries(&self) -> Vec<(Name, [Option<u32>; 2])> {
        if self.entries.is_none() {
            return Vec::new();
        }
        let (mut then, mut entry): (HashMap<Name, VecDeque<Option<u32>>>, _) = (HashMap::new(), None);
        for part in &self.record.parts {
            if let Some((place, inputs)) = entry_of(part) {
                entry = Some((place, inputs));
                continue;
            }
            let place = entry.map(|(place, _)| place);
            entry = entry.and_then(|(place, more)| Some((place, more.checked_sub(1).filter(|more| *more > 0)?)));
            if self.parts.get(&part.name).is_some_and(|known| known.input) {
                then.entry(part.name).or_default().push_back(place);
            }
        }
        // What is read more often, or less, is told as that.
        let mut more: HashMap<Name, usize> = then.iter().map(|(name, places)| (*name, places.len())).collect();
        for (name, _) in &self.inputs {
            more.entry(*name).and_modify(|more| *more = more.wrapping_sub(1));
        }
        let moved = self.inputs.iter().filter(|(name, _)| more.get(name) == Some(&0)).filter_map(|&(name, now)| {
            let then = then.get_mut(&name)?.pop_front()?;
            (then != now).then_some((name, [then, now]))
        });
        moved.collect()
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
        let now: Vec<Name> = self.inputs.iter().map(|(name, _)| *name).filter(is_known).collect();
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

/// What is told of a crowd, before the place of its entry.
pub const CROWD: &str = "the steps of input ";

/// The recorded inputs of a step, in their order: of a crowd, its entry under `inputs:`.
pub fn recorded_inputs<'r>(
    record: &'r StepRecord,
    template: Option<&Template>,
    outputs: &[&str],
    input: impl Fn(&Name) -> Option<String>,
) -> Vec<(String, &'r [u8; 8])> {
    let mut others: HashSet<Name> = own_parts(template, outputs).into_iter().collect();
    others.extend(outputs.iter().map(|path| Part::Output(path).name_hash()));
    others.insert(ENTRY);
    let crowds: HashMap<Name, usize> = (1..=ENTRIES).map(|entry| (crowd_name(entry - 1), entry)).collect();
    let named = |name: &Name| match crowds.get(name) {
        Some(entry) => format!("{CROWD}{entry}"),
        None => input(name).unwrap_or_else(|| "a file that is forgotten".to_owned()),
    };
    let is_input =
        |part: &&KeyPart| !others.contains(&part.name) && !is_of_an_output(&part.name, Some(part.value), &input);
    let inputs = record.parts.iter().filter(|part| !is_left_out(part)).filter(is_input);
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

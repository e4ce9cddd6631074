//! The key of a step: one hash over all that decides its output.

use std::cell::Cell;

use serde::{Deserialize, Serialize};

use crate::store::state::{KeyPart, StepRecord};
use crate::store::{Digest, Sha256};

/// Raised when the same template and parts come to give other keys.
pub const KEYS: u32 = 1;

/// The parameter that has the names of the entries under `inputs:`, each after the other with a comma between.
pub const INPUT_NAMES: &str = "inputs";

/// What all steps of a target share of their keys. Kept as text in the state, so that a change can be named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// How keys are made of all this; see [`KEYS`].
    #[serde(default)]
    pub keys: u32,
    pub rule: String,
    pub version: u32,
    /// Names and values, placeholders unfilled, secrets unnamed.
    pub params: Vec<(String, String)>,
    /// The bindings that are read, sorted by name.
    pub bindings: Vec<String>,
    /// The places of those outputs that are folders. Keys hash it only where there are such, so that those of files stay
    /// what they were before it was recorded; `None` in records from then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folders: Option<Vec<usize>>,
    /// The name of the target, what its values are read out of, what it names under `inputs:`, and the source that it asks:
    /// told, and no part of the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lists: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The hash of the entries under `inputs:`, where records tell of which of these each input is; told, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries: Option<String>,
    /// How many outputs its steps have, where that is more than one; told, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<usize>,
    /// The path of the first of them, values unfilled, and the names of all of the target's bindings, in its order; told, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named: Option<Vec<String>>,
}

impl Template {
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers are JSON")
    }

    /// What goes into keys.
    pub fn hashed(&self) -> Digest {
        let folders = self.folders.clone().filter(|places| !places.is_empty());
        let untold = Self { target: None, lists: None, inputs: None, source: None, ..self.clone() };
        let hashed = Self { folders, entries: None, outputs: None, output: None, named: None, ..untold };
        Digest::of(hashed.text().as_bytes())
    }

    /// What went into keys before they told folders from files, where that is something else.
    pub fn hashed_before(&self) -> Option<Digest> {
        let hashed = Self { folders: None, ..self.clone() }.hashed();
        (hashed != self.hashed()).then_some(hashed)
    }

    /// Whether both describe the same steps, whatever their targets are called.
    pub fn is_same(&self, other: &Self) -> bool {
        self.hashed() == other.hashed() && self.inputs == other.inputs
    }

    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// One thing that goes into a key after the template.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// The value of a binding.
    Value { binding: &'a str, value: &'a str },
    /// The digest that came with a binding's value.
    Fingerprint { binding: &'a str, value: &'a str, digest: &'a Sha256 },
    /// The source's answer.
    Answer(&'a Sha256),
    /// The content of a file, by its path.
    Input { path: &'a str, content: Digest },
    /// The path of an output: what a command makes may depend on it, if only by its ending.
    Output(&'a str),
    /// All that a group of steps made, by the position of its entry under `inputs:`: the digest of its list.
    Set { input: &'a str, content: Digest },
}

impl Part<'_> {
    /// What kind of part it is, and its name.
    fn name(&self) -> (u8, &str) {
        match self {
            Part::Value { binding, .. } => (b'v', binding),
            Part::Fingerprint { binding, .. } => (b'f', binding),
            Part::Answer(_) => (b'a', ""),
            Part::Input { path, .. } => (b'i', path),
            Part::Output(path) => (b'o', path),
            Part::Set { input, .. } => (b's', input),
        }
    }

    /// Its name and what it holds, as keys hash it.
    fn write(&self, out: &mut Vec<u8>) {
        let (kind, name) = self.name();
        out.push(kind);
        put(name, out);
        match self {
            Part::Value { value, .. } => put(value, out),
            Part::Fingerprint { digest, .. } | Part::Answer(digest) => out.extend_from_slice(&digest.0),
            Part::Input { content, .. } | Part::Set { content, .. } => out.extend_from_slice(&content.0),
            Part::Output(_) => {}
        }
    }

    /// The start of the hash of its name, as records keep it.
    pub fn name_hash(&self) -> [u8; 8] {
        let (kind, name) = self.name();
        let len = (name.len() as u64).to_le_bytes();
        Digest::of(&[&[kind], len.as_slice(), name.as_bytes()].concat()).short()
    }

    /// The start of its digest, as records keep it.
    pub fn value(&self) -> [u8; 8] {
        match self {
            Part::Value { value, .. } => Digest::of(value.as_bytes()).short(),
            Part::Fingerprint { digest, .. } | Part::Answer(digest) => Digest(digest.0).short(),
            Part::Input { content, .. } | Part::Set { content, .. } => content.short(),
            Part::Output(_) => [0; 8],
        }
    }

    pub fn record(&self) -> KeyPart {
        KeyPart { name: self.name_hash(), value: self.value() }
    }
}

/// The name that records have of an input, whatever it holds.
pub fn input_name(path: &str) -> [u8; 8] {
    Part::Input { path, content: Digest::default() }.name_hash()
}

/// The name that records have of all that the steps of an entry under `inputs:` make, by its place, where these are many.
pub fn crowd_name(position: usize) -> [u8; 8] {
    Part::Set { input: &(position + 1).to_string(), content: Digest::default() }.name_hash()
}

/// Whether a file was among the inputs of a recorded step, by itself.
pub fn has_read(record: &StepRecord, path: &str) -> bool {
    let name = input_name(path);
    record.parts.iter().any(|part| part.name == name)
}

/// The name of what records have before the inputs that the steps of an entry under `inputs:` made.
pub(super) const ENTRY: [u8; 8] = *b"inputs: ";

/// That: the place of the entry, and how many inputs follow which are of it. It is no part of a key.
pub(super) fn entry_part(place: u32, inputs: u32) -> KeyPart {
    let value = u64::from(inputs) << 32 | u64::from(place);
    KeyPart { name: ENTRY, value: value.to_le_bytes() }
}

/// The place and the number that it tells.
pub(super) fn entry_of(part: &KeyPart) -> Option<(u32, u32)> {
    let value = u64::from_le_bytes(part.value);
    (part.name == ENTRY).then_some((value as u32, (value >> 32) as u32))
}

/// The length keeps a text and what follows it apart. It is short, so that a step of one input is one block to BLAKE3.
fn put(text: &str, out: &mut Vec<u8>) {
    let len = u32::try_from(text.len()).expect("no path or value has 4 GiB");
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Makes a key from a template's digest, which is the key of the hash, and parts, in their order.
pub struct KeyMaker {
    template: Digest,
    text: Vec<u8>,
}

thread_local! {
    /// The text of the last key of this thread: keys are made by the million, and one buffer does for all.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl KeyMaker {
    pub fn new(template: &Digest) -> Self {
        let mut text = BUFFER.take();
        text.clear();
        Self { template: *template, text }
    }

    pub fn add(&mut self, part: &Part<'_>) {
        part.write(&mut self.text);
    }

    pub fn key(self) -> Digest {
        let key = blake3::keyed_hash(&self.template.0, &self.text);
        BUFFER.set(self.text);
        Digest(*key.as_bytes())
    }
}

/// Makes the digest of a set of files, shown one by one in its order.
#[derive(Default)]
pub struct SetHasher {
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
}

impl SetHasher {
    pub fn add(&mut self, path: &str, content: Digest) {
        self.buffer.clear();
        Part::Input { path, content }.write(&mut self.buffer);
        self.hasher.update(&self.buffer);
    }

    pub fn digest(self) -> Digest {
        Digest(*self.hasher.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_files_are_what_they_were_before_these_were_told_from_folders() {
        let before = Template { rule: "command".to_owned(), ..Template::default() };
        let files = Template { folders: Some(Vec::new()), ..before.clone() };
        assert_eq!((files.hashed(), files.hashed_before()), (before.hashed(), None));
        let folders = Template { folders: Some(vec![0]), ..before.clone() };
        assert_ne!(folders.hashed(), before.hashed());
        assert_eq!(folders.hashed_before(), Some(before.hashed()));
    }

    #[test]
    fn what_names_it_and_what_it_holds_both_move_a_key() {
        let t = Digest::of(b"template");
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let key = |t: &Digest, parts: &[Part<'_>]| {
            let mut maker = KeyMaker::new(t);
            parts.iter().for_each(|p| maker.add(p));
            maker.key()
        };
        let base = key(&t, &[Part::Input { path: "x", content: a }]);
        assert_eq!(base, key(&t, &[Part::Input { path: "x", content: a }]));
        assert_ne!(base, key(&t, &[Part::Input { path: "x", content: b }]));
        assert_ne!(base, key(&t, &[Part::Input { path: "y", content: a }]));
        assert_ne!(base, key(&t, &[]));
        assert_ne!(base, key(&Digest::of(b"other"), &[Part::Input { path: "x", content: a }]));
        assert_ne!(
            key(&t, &[Part::Value { binding: "a", value: "bc" }]),
            key(&t, &[Part::Value { binding: "ab", value: "c" }]),
            "names and values are kept apart"
        );
    }
}

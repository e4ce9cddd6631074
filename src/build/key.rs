//! The key of a step: one hash over all that decides its output.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::store::state::KeyPart;
use crate::store::{Digest, Sha256};

/// What all steps of a target share of their keys. Kept as text in the state, so that a change can be named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    pub rule: String,
    pub version: u32,
    /// Names and values, placeholders unfilled, secrets unnamed.
    pub params: Vec<(String, String)>,
    /// The bindings that are read, by name.
    pub bindings: Vec<String>,
}

impl Template {
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers are JSON")
    }

    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// One thing that goes into a key after the template.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    pub kind: PartKind<'a>,
    pub digest: Cow<'a, [u8; 32]>,
}

#[derive(Clone, Debug)]
pub enum PartKind<'a> {
    /// The value of a binding.
    Value { binding: &'a str, value: &'a str },
    /// The digest that came with a binding's value.
    Fingerprint { binding: &'a str, value: &'a str },
    /// The source's answer.
    Answer,
    /// The content of a file, by its path.
    Input(&'a str),
}

impl<'a> Part<'a> {
    pub fn value_of(binding: &'a str, value: &'a str) -> Self {
        Self { kind: PartKind::Value { binding, value }, digest: Cow::Owned(Digest::of(value.as_bytes()).0) }
    }

    pub fn fingerprint(binding: &'a str, value: &'a str, digest: &'a Sha256) -> Self {
        Self { kind: PartKind::Fingerprint { binding, value }, digest: Cow::Borrowed(&digest.0) }
    }

    pub fn answer(digest: &'a Sha256) -> Self {
        Self { kind: PartKind::Answer, digest: Cow::Borrowed(&digest.0) }
    }

    pub fn input(path: &'a str, content: Digest) -> Self {
        Self { kind: PartKind::Input(path), digest: Cow::Owned(content.0) }
    }

    fn hash_name(&self, hasher: &mut blake3::Hasher) {
        let (tag, name) = match &self.kind {
            PartKind::Value { binding, .. } => (b'v', *binding),
            PartKind::Fingerprint { binding, .. } => (b'f', *binding),
            PartKind::Answer => (b'a', ""),
            PartKind::Input(path) => (b'i', *path),
        };
        // The length keeps a name and what follows it apart.
        hasher.update(&[tag]).update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
    }

    /// The start of the hash of its name, as records keep it.
    pub fn name_hash(&self) -> [u8; 8] {
        let mut hasher = blake3::Hasher::new();
        self.hash_name(&mut hasher);
        Digest(*hasher.finalize().as_bytes()).short()
    }

    /// The start of its digest, as records keep it.
    pub fn value(&self) -> [u8; 8] {
        Digest(*self.digest).short()
    }

    pub fn record(&self) -> KeyPart {
        KeyPart { name: self.name_hash(), value: self.value() }
    }
}

/// Makes a key from a template's digest and parts, in their order, without keeping them.
pub struct KeyHasher(blake3::Hasher);

impl KeyHasher {
    pub fn new(template: &Digest) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"layermill step 1\n").update(&template.0);
        Self(hasher)
    }

    pub fn add(&mut self, part: &Part<'_>) {
        part.hash_name(&mut self.0);
        self.0.update(&*part.digest);
    }

    pub fn key(self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_it_and_what_it_holds_both_move_a_key() {
        let t = Digest::of(b"template");
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let key = |t: &Digest, parts: &[Part<'_>]| {
            let mut hasher = KeyHasher::new(t);
            parts.iter().for_each(|p| hasher.add(p));
            hasher.key()
        };
        let base = key(&t, &[Part::input("x", a)]);
        assert_eq!(base, key(&t, &[Part::input("x", a)]));
        assert_ne!(base, key(&t, &[Part::input("x", b)]));
        assert_ne!(base, key(&t, &[Part::input("y", a)]));
        assert_ne!(base, key(&t, &[]));
        assert_ne!(base, key(&Digest::of(b"other"), &[Part::input("x", a)]));
        assert_ne!(
            key(&t, &[Part::value_of("a", "bc")]),
            key(&t, &[Part::value_of("ab", "c")]),
            "names and values are kept apart"
        );
    }
}

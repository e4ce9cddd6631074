//! What may stand where in the pipeline file. One description serves the check and the JSON Schema.

/// A key of a mapping.
#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    pub shape: Shape,
    pub required: bool,
    /// A sentence for editors and for the reference.
    pub doc: &'static str,
}

/// What a value looks like.
#[derive(Debug)]
pub enum Shape {
    /// Any scalar, kept as it is spelt. `${name}` is replaced in it.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    Bool,
    /// A whole number from `0` to `1`, both included.
    Int(u64, u64),
    /// A duration such as `90s`, `24h`, `7d`.
    Duration,
    /// The name of an entry under `sources:`.
    Source,
    /// The name of an entry under `targets:`.
    Target,
    List(&'static Shape),
    /// Free names to values.
    Map(&'static Shape),
    /// Known keys.
    Record(&'static [Key]),
    /// The first of these that fits.
    Any(&'static [Shape]),
}

/// What the floors above know: the rules and the kinds of sources, each with the keys of its own.
#[derive(Debug)]
pub struct Vocabulary {
    pub rules: &'static [Kind],
    pub sources: &'static [Kind],
}

/// A rule, or a kind of source.
#[derive(Debug)]
pub struct Kind {
    pub name: &'static str,
    pub doc: &'static str,
    /// Its own keys, beside those that every target (or source) takes.
    pub keys: &'static [Key],
}

//! The tree of a pipeline file, and what the check and the rules take out of it.

use std::time::Duration;

use super::problem::Span;
use super::secrets::Text;

/// A YAML value that remembers its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub value: Value,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    /// A scalar of any type, as it is spelt, `${…}` already replaced. `plain` is false where it was quoted.
    Scalar {
        text: Text,
        plain: bool,
    },
    List(Vec<Node>),
    /// In file order.
    Map(Vec<(Name, Node)>),
}

/// The key of a mapping, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    pub text: String,
    pub span: Span,
}

impl Node {
    /// The value of a key, where this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|(_, node)| node)
    }

    /// A key, with its place, and its value.
    pub fn entry(&self, key: &str) -> Option<(&Name, &Node)> {
        self.as_map()?.iter().find(|(name, _)| name.text == key).map(|(name, node)| (name, node))
    }

    /// A scalar of any type as it is spelt.
    pub fn as_text(&self) -> Option<&Text> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// A scalar as what may be shown: secrets stand by their names.
    pub fn as_public(&self) -> Option<String> {
        self.as_text().map(Text::public)
    }

    /// The entries of a list.
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a mapping, in file order.
    pub fn as_map(&self) -> Option<&[(Name, Node)]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// A whole number, in decimal digits.
    pub fn as_u64(&self) -> Option<u64> {
        let text = self.as_public()?;
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        text.parse().ok()
    }

    /// `true` or `false`, not quoted.
    pub fn as_bool(&self) -> Option<bool> {
        match &self.value {
            Value::Scalar { text, plain: true } => match text.public().as_str() {
                "true" | "True" | "TRUE" => Some(true),
                "false" | "False" | "FALSE" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// A duration such as `90s`, `24h` or `1h30m`.
    pub fn as_duration(&self) -> Option<Duration> {
        duration(&self.as_public()?)
    }

    /// `~`, or nothing at all.
    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// What this is, in the words of a message.
    pub fn kind_name(&self) -> String {
        match &self.value {
            Value::Null => "nothing".into(),
            Value::Scalar { text, .. } => {
                let text = text.public();
                // Long texts say nothing more; the mark shows them.
                if text.chars().count() > 40 || text.contains('\n') { "text".into() } else { format!("`{text}`") }
            }
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
        }
    }
}

/// The keys of `node` but for those that `taken` names, with the place of the whole.
pub(super) fn without(node: &Node, taken: impl Fn(&str) -> bool) -> Node {
    let entries = node.as_map().unwrap_or_default().iter().filter(|(name, _)| !taken(&name.text)).cloned().collect();
    Node { value: Value::Map(entries), span: node.span }
}

/// Whether two values are equal, wherever they stand and however their keys are ordered.
pub(super) fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Map(x), Value::Map(y)) => {
            x.len() == y.len() && x.iter().all(|(name, v)| b.get(&name.text).is_some_and(|w| same(v, w)))
        }
        (Value::Scalar { text: a, .. }, Value::Scalar { text: b, .. }) => a == b,
        (a, b) => a == b,
    }
}

/// Reads a duration: whole numbers, each with a unit (`ms`, `s`, `m`, `h`, `d`, `w`), largest first or not.
pub fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let count: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_lowercase).count();
        let millis: u64 = match &rest[..letters] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return None,
        };
        rest = &rest[letters..];
        total = total.checked_add(Duration::from_millis(count.checked_mul(millis)?))?;
    }
    // What is longer cannot be subtracted from a time of today.
    (total <= Duration::from_secs(86_400 * 365 * 1000)).then_some(total)
}

/// A duration as it is written: in the largest unit that tells all of it, up to two days in hours.
pub fn written(time: Duration) -> String {
    const UNITS: [(u128, u128, &str); 4] =
        [(172_800_000, 86_400_000, "d"), (3_600_000, 3_600_000, "h"), (60_000, 60_000, "m"), (1000, 1000, "s")];
    let ms = time.as_millis();
    let unit = UNITS.iter().find(|(least, unit, _)| ms >= *least && ms.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{ms}ms"), |(_, unit, name)| format!("{}{name}", ms / unit))
}

/// The place of the `nth` (from 0) `needle` in the part of `source` that `span` covers; all of `span` where it cannot
/// be found there (an escape, a variable).
pub fn locate(source: &str, span: Span, needle: &str, nth: usize) -> Span {
    source
        .get(span.start..span.start + span.len)
        .and_then(|slice| slice.match_indices(needle).nth(nth))
        .map_or(span, |(at, _)| Span { start: span.start + at, len: needle.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for text in ["0ms", "1ms", "1500ms", "1s", "90s", "2m", "1h", "24h", "36h", "2d"] {
            assert_eq!(duration(text).map(written), Some(text.to_owned()));
        }
        assert_eq!(duration("24h"), Some(Duration::from_secs(86_400)));
        assert_eq!(duration("1h30m"), Some(Duration::from_secs(5_400)));
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        for bad in ["", "h", "12", "1.5h", "-1s", "99999999999999999999s", "1h ", "9999999999w", "1y", "1ü"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}

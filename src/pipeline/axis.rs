//! The values of an axis: given in the file, read from one, or read out of an output.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::model::{AxisKind, Read};

/// The largest file that values are read from, in bytes.
pub const MAX_BYTES: u64 = 256 << 20;
/// The most values that one axis may have.
pub const MAX_VALUES: usize = 10_000_000;

/// A value, and the fingerprint of what stands behind it, where that is known: a tag's digest.
pub type Valued = (String, Option<[u8; 32]>);

/// The values of an axis that does not depend on an output, in order. `root` is the pipeline's folder.
pub fn static_values(kind: &AxisKind, root: &Path) -> Result<Vec<String>, String> {
    match kind {
        AxisKind::List(values) => Ok(values.clone()),
        AxisKind::Lines(path) => lines(&read_file(root, path)?).map_err(|e| format!("{path}: {e}")),
        AxisKind::Csv { path, column } => csv(&read_file(root, path)?, column).map_err(|e| format!("{path}: {e}")),
        AxisKind::Glob(pattern) => super::glob::walk(root, pattern),
        AxisKind::From { .. } => Ok(Vec::new()),
    }
}

/// Reads the values out of an output's bytes.
pub fn read_values(read: &Read, bytes: &[u8]) -> Result<Vec<Valued>, String> {
    let bare = |values: Vec<String>| values.into_iter().map(|v| (v, None)).collect();
    match read {
        Read::Tags(select) => super::select::select(select, tags(bytes)?),
        Read::Lines => lines(bytes).map(bare),
        Read::Csv(column) => csv(bytes, column).map(bare),
        Read::Json(pointer) => json(bytes, pointer).map(bare),
    }
}

/// Reads a file of values whole, if it is not too large.
fn read_file(root: &Path, path: &str) -> Result<Vec<u8>, String> {
    let file = File::open(root.join(path)).map_err(|e| format!("{path}: {e}"))?;
    let mut bytes = Vec::new();
    // One byte more tells a file at the limit from one beyond it.
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|e| format!("{path}: {e}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("{path}: larger than {} MiB", MAX_BYTES >> 20));
    }
    Ok(bytes)
}

/// Values in the order they came, the first of duplicates kept.
#[derive(Default)]
struct Unique {
    seen: std::collections::HashSet<String, foldhash::fast::RandomState>,
    values: Vec<String>,
}

impl Unique {
    fn push(&mut self, value: &str) -> Result<(), String> {
        if !self.seen.contains(value) {
            if self.values.len() == MAX_VALUES {
                return Err(format!("more than {MAX_VALUES} values"));
            }
            self.seen.insert(value.to_owned());
            self.values.push(value.to_owned());
        }
        Ok(())
    }
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let line = 1 + bytes[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count();
        format!("not UTF-8 text (line {line})")
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// One value a line: trimmed, blank ones and those that start with `#` skipped.
pub fn lines(bytes: &[u8]) -> Result<Vec<String>, String> {
    let mut unique = Unique::default();
    for line in text(bytes)?.lines() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            unique.push(line)?;
        }
    }
    Ok(unique.values)
}

/// The values of one column of a CSV with a header.
fn csv(bytes: &[u8], column: &str) -> Result<Vec<String>, String> {
    let text = text(bytes)?;
    // Rows may be of unequal length: our own stat file closes each line with a comma.
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|e| e.to_string())?.clone();
    let Some(at) = header.iter().position(|h| h.trim() == column) else {
        let names: Vec<String> = header.iter().filter(|h| !h.is_empty()).map(|h| format!("`{}`", h.trim())).collect();
        return Err(match names.is_empty() {
            true => format!("no column `{column}`: the file is empty"),
            false => format!("no column `{column}`; there is {}", names.join(", ")),
        });
    };
    let mut unique = Unique::default();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|e| e.to_string())? {
        match record.get(at).map(str::trim) {
            Some(value) if !value.is_empty() => unique.push(value)?,
            _ => {}
        }
    }
    Ok(unique.values)
}

/// The scalars of the array, or the keys of the object, at a JSON pointer.
fn json(bytes: &[u8], pointer: &str) -> Result<Vec<String>, String> {
    use serde_json::Value;
    let value: Value = serde_json::from_slice(bytes).map_err(|e| format!("not JSON: {e}"))?;
    let found = value.pointer(pointer).ok_or_else(|| format!("nothing is at `{pointer}`"))?;
    let mut unique = Unique::default();
    match found {
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                match item {
                    Value::String(s) => unique.push(s)?,
                    Value::Number(n) => unique.push(&n.to_string())?,
                    Value::Bool(b) => unique.push(&b.to_string())?,
                    other => {
                        return Err(format!(
                            "entry {i} of `{pointer}` is {}, expected text or a number",
                            json_kind(other)
                        ));
                    }
                }
            }
        }
        Value::Object(entries) => entries.keys().try_for_each(|k| unique.push(k))?,
        other => return Err(format!("`{pointer}` is {}, expected an array or an object", json_kind(other))),
    }
    Ok(unique.values)
}

fn json_kind(value: &serde_json::Value) -> &'static str {
    use serde_json::Value::*;
    match value {
        Null => "null",
        Bool(_) => "a truth value",
        Number(_) => "a number",
        String(_) => "text",
        Array(_) => "an array",
        Object(_) => "an object",
    }
}

/// A tag file: an object of tags and 64 hex digits, by name.
fn tags(bytes: &[u8]) -> Result<Vec<(String, [u8; 32])>, String> {
    use serde_json::Value;
    let value: Value = serde_json::from_slice(bytes).map_err(|e| format!("not a tag file: {e}"))?;
    let Value::Object(entries) = value else {
        return Err(format!("not a tag file: expected an object, found {}", json_kind(&value)));
    };
    let mut out = Vec::with_capacity(entries.len());
    for (tag, id) in entries {
        let digest = id.as_str().and_then(digest);
        let Some(digest) = digest else {
            return Err(format!(
                "not a tag file: tag {tag:?} has {}, expected 64 hex digits",
                shorten(&id.to_string())
            ));
        };
        out.push((tag, digest));
    }
    out.sort();
    Ok(out)
}

fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(80).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Reads 64 hex digits.
fn digest(text: &str) -> Option<[u8; 32]> {
    let text = text.as_bytes();
    if text.len() != 64 {
        return None;
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |b: u8| char::from(b).to_digit(16);
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(out)
}

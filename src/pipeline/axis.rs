//! The values of an axis: given in the file, read from one, or read out of an output.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::glob::MAX_VALUES;
use super::model::{AxisKind, Read};
use super::select::Valued;

/// The largest file that values are read from, in bytes.
pub const MAX_BYTES: u64 = 256 << 20;

/// What is shown values one by one, and may have had enough of them.
type See<'a> = &'a mut dyn FnMut(&str) -> Result<(), String>;

/// The values of an axis that does not depend on an output, in order. `root` is the pipeline's folder.
pub fn static_values(kind: &AxisKind, root: &Path) -> Result<Vec<String>, String> {
    unique(|see| each_static_value(kind, root, see))
}

/// Shows these values as they are read: one may come again.
pub fn each_static_value(kind: &AxisKind, root: &Path, see: See<'_>) -> Result<(), String> {
    match kind {
        AxisKind::List(values) => values.iter().try_for_each(|v| see(v)),
        AxisKind::Lines(path) => lines(&read_file(root, path)?, see).map_err(|e| format!("{path}: {e}")),
        AxisKind::Csv { path, column } => csv(&read_file(root, path)?, column, see).map_err(|e| format!("{path}: {e}")),
        AxisKind::Glob(pattern) => super::glob::walk(root, pattern)?.iter().try_for_each(|v| see(v)),
        AxisKind::From { .. } => Ok(()),
    }
}

/// Reads the values out of an output's bytes.
pub fn read_values(read: &Read, bytes: &[u8]) -> Result<Vec<Valued>, String> {
    let bare = |values: Vec<String>| values.into_iter().map(|v| (v, None)).collect();
    match read {
        Read::Tags(select) => super::select::select(select, tags(bytes)?),
        Read::Lines => unique(|see| lines(bytes, see)).map(bare),
        Read::Csv(column) => unique(|see| csv(bytes, column, see)).map(bare),
        Read::Json(pointer) => unique(|see| json(bytes, pointer, see)).map(bare),
    }
}

/// Reads a file of values whole, if it is not too large.
pub fn read_file(root: &Path, path: &str) -> Result<Vec<u8>, String> {
    // A pipe would be waited for.
    if std::fs::metadata(root.join(path)).is_ok_and(|meta| !meta.is_file()) {
        return Err(format!("{path}: not a file"));
    }
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
    /// Positions among the values.
    seen: hashbrown::HashTable<usize>,
    hasher: foldhash::fast::RandomState,
    values: Vec<String>,
}

impl Unique {
    fn push(&mut self, value: &str) -> Result<(), String> {
        use std::hash::BuildHasher;
        let Self { seen, hasher, values } = self;
        let hash = hasher.hash_one(value);
        if seen.find(hash, |&at| values[at] == value).is_some() {
            return Ok(());
        }
        room_for_one_more(values.len())?;
        seen.insert_unique(hash, values.len(), |&at| hasher.hash_one(values[at].as_str()));
        values.push(value.to_owned());
        Ok(())
    }
}

/// The values that are shown, each once.
fn unique(show: impl FnOnce(See<'_>) -> Result<(), String>) -> Result<Vec<String>, String> {
    let mut unique = Unique::default();
    show(&mut |value| unique.push(value))?;
    Ok(unique.values)
}

/// Whether an axis that has so many values may have another.
pub fn room_for_one_more(values: usize) -> Result<(), String> {
    if values < MAX_VALUES { Ok(()) } else { Err(format!("more than {MAX_VALUES} values")) }
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let line = 1 + bytes[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count();
        format!("not UTF-8 text (line {line})")
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// One value a line: trimmed, blank ones and those that start with `#` skipped.
fn lines(bytes: &[u8], see: See<'_>) -> Result<(), String> {
    for line in text(bytes)?.lines() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            see(line)?;
        }
    }
    Ok(())
}

/// The values of one column of a CSV with a header.
fn csv(bytes: &[u8], column: &str, see: See<'_>) -> Result<(), String> {
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
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|e| e.to_string())? {
        match record.get(at).map(str::trim) {
            Some(value) if !value.is_empty() => see(value)?,
            _ => {}
        }
    }
    Ok(())
}

/// The scalars of the array, or the keys of the object, at a JSON pointer.
fn json(bytes: &[u8], pointer: &str, see: See<'_>) -> Result<(), String> {
    use serde_json::Value;
    let value: Value = serde_json::from_slice(bytes).map_err(|e| format!("not JSON: {e}"))?;
    let found = value.pointer(pointer).ok_or_else(|| format!("nothing is at `{pointer}`"))?;
    match found {
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                match item {
                    Value::String(s) => see(s)?,
                    Value::Number(n) => see(&n.to_string())?,
                    Value::Bool(b) => see(&b.to_string())?,
                    other => {
                        return Err(format!(
                            "entry {i} of `{pointer}` is {}, expected text or a number",
                            json_kind(other)
                        ));
                    }
                }
            }
        }
        Value::Object(entries) => entries.keys().try_for_each(|k| see(k))?,
        other => return Err(format!("`{pointer}` is {}, expected an array or an object", json_kind(other))),
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::super::model::Select;
    use super::*;

    fn read(read: &Read, bytes: &str) -> Result<Vec<String>, String> {
        read_values(read, bytes.as_bytes()).map(|values| values.into_iter().map(|(v, _)| v).collect())
    }

    #[test]
    fn lines_are_trimmed_and_unique() {
        let text = "\u{feff} a \n\n# no\n  # no\nb # part\r\na\nc";
        assert_eq!(read(&Read::Lines, text).unwrap(), ["a", "b # part", "c"]);
        assert_eq!(read_values(&Read::Lines, b"a\n\xff").unwrap_err(), "not UTF-8 text (line 2)");
    }

    #[test]
    fn columns() {
        let by = |column: &str, text: &str| read(&Read::Csv(column.into()), text);
        let text = "repo,tag,layer_count,layer_size,\na/b,1,2,3,\n\"c,d\",2,2,3,\na/b,3,2,3,\n,4\n";
        assert_eq!(by("repo", text).unwrap(), ["a/b", "c,d"]);
        assert_eq!(by("layer_size", text).unwrap(), ["3"]);
        assert_eq!(by("nope", "a,b,\n1,2,\n").unwrap_err(), "no column `nope`; there is `a`, `b`");
        assert_eq!(by("nope", "").unwrap_err(), "no column `nope`: the file is empty");
    }

    #[test]
    fn pointers() {
        let at = |pointer: &str, text: &str| read(&Read::Json(pointer.into()), text);
        let text = r#"{"a": {"b": ["x", 1, 1.5, true, "x"]}, "n": null, "m": [[]]}"#;
        assert_eq!(at("/a/b", text).unwrap(), ["x", "1", "1.5", "true"]);
        assert_eq!(at("", text).unwrap(), ["a", "m", "n"]);
        assert_eq!(at("/c", text).unwrap_err(), "nothing is at `/c`");
        assert_eq!(at("/n", text).unwrap_err(), "`/n` is null, expected an array or an object");
        assert_eq!(at("/m", text).unwrap_err(), "entry 0 of `/m` is an array, expected text or a number");
        assert!(at("", "<html>").unwrap_err().starts_with("not JSON: "));
    }

    #[test]
    fn tag_files() {
        let (a, b) = ("0a".repeat(32), "FF".repeat(32));
        let text = format!("{{\"b\": \"{b}\", \"a\": \"{a}\"}}");
        let all = read_values(&Read::Tags(Select::All), text.as_bytes()).unwrap();
        assert_eq!(all, [("a".to_owned(), Some([0x0a; 32])), ("b".to_owned(), Some([0xff; 32]))]);
        let tags = |text: &str| read(&Read::Tags(Select::All), text).unwrap_err();
        assert!(tags("<html>").starts_with("not a tag file: "));
        assert_eq!(tags("[]"), "not a tag file: expected an object, found an array");
        assert_eq!(tags(r#"{"x": "12"}"#), r#"not a tag file: tag "x" has "12", expected 64 hex digits"#);
        assert_eq!(tags(r#"{"x": 1}"#), r#"not a tag file: tag "x" has 1, expected 64 hex digits"#);
    }

    #[test]
    fn files_of_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("o.json"), "").unwrap();
        for path in ["a/x.json", "a/y.txt", "a/b/z.json", ".layermill/s.json", ".git/g.json", "top.json", "a/é{x}.json"]
        {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "v\n").unwrap();
        }
        std::os::unix::fs::symlink(outside.path(), dir.path().join("out")).unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("a/loop")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("a/x.json"), dir.path().join("a/link.json")).unwrap();
        let glob = |pattern: &str| static_values(&AxisKind::Glob(pattern.into()), dir.path()).unwrap();
        assert_eq!(glob("a/*.json"), ["a/link.json", "a/x.json", "a/é{x}.json"]);
        assert_eq!(glob("**/*.json"), ["a/b/z.json", "a/link.json", "a/x.json", "a/é{x}.json", "top.json"]);
        assert_eq!(glob("{a,b}/?.json"), ["a/x.json"]);
        assert_eq!(glob("a/*/z.json"), ["a/b/z.json"]);
        assert_eq!(glob("top.json"), ["top.json"]);
        assert!(glob("none/*").is_empty() && glob("out/*").is_empty() && glob("top.json/*").is_empty());
        let lines = static_values(&AxisKind::Lines("top.json".into()), dir.path()).unwrap();
        assert_eq!(lines, ["v"]);
        let missing = static_values(&AxisKind::Lines("nope".into()), dir.path()).unwrap_err();
        assert!(missing.starts_with("nope: "), "{missing}");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, text in "[{}\\[\\]\",:a0# \n/é]{0,60}") {
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                for read in [Read::Tags(Select::Newest(1)), Read::Lines, Read::Csv("a".into()), Read::Json("/a".into())] {
                    let _ = read_values(&read, bytes);
                }
            }
        }
    }
}

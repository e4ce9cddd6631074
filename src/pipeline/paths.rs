//! Which paths may be read and written: relative ones, below the pipeline's folder.

use super::model::Pattern;
use super::pattern::{bindings, fill};

/// The longest path of an output or an input, in bytes, and the longest of its segments.
pub const MAX_PATH: usize = 4096;
pub const MAX_SEGMENT: usize = 255;

/// Whether a path, filled in, may be read or written: relative, below the pipeline's folder, a path that every file
/// system takes. The answer says what is wrong with it.
pub fn safe_path(path: &str) -> Result<(), String> {
    if is_plain(path) {
        return Ok(());
    }
    if path.is_empty() {
        return Err("a path is empty".into());
    }
    if path.len() > MAX_PATH {
        return Err(format!("a path is longer than {MAX_PATH} bytes"));
    }
    if path.starts_with('/') {
        return Err("a path starts with `/`; paths are relative to the pipeline's folder".into());
    }
    if let Some(c) = path.chars().find(|c| c.is_control() || *c == '\\') {
        return Err(format!("a path has the character {c:?}"));
    }
    for segment in path.split('/') {
        match segment {
            "" => return Err("a path has an empty part (`//`, or a `/` at its end)".into()),
            "." => return Err("a path has a part `.`".into()),
            ".." => return Err("a path has a part `..`; paths stay in the pipeline's folder".into()),
            _ if segment.len() > MAX_SEGMENT => {
                return Err(format!("a part of a path is longer than {MAX_SEGMENT} bytes"));
            }
            _ => {}
        }
    }
    if path.split('/').next() == Some(".layermill") {
        return Err("a path lies in `.layermill`, which is layermill's own".into());
    }
    Ok(())
}

/// A path that is safe at first sight, in one pass: nearly all are, and each is looked at in every build.
fn is_plain(path: &str) -> bool {
    let mut segment = 0;
    for byte in path.bytes() {
        segment = match byte {
            b'/' | b'.' if segment == 0 => return false,
            b'/' => 0,
            b'\\' => return false,
            b' '..=b'~' if segment < MAX_SEGMENT => segment + 1,
            _ => return false,
        };
    }
    segment > 0 && path.len() <= MAX_PATH
}

/// [`safe_path`] for what is known of a pattern before it is filled.
pub fn safe_pattern(pattern: &Pattern) -> Result<(), String> {
    safe_path(&sample(pattern))
}

/// The pattern with a letter for each value: what is wrong with the text around them stays wrong.
pub fn sample(pattern: &Pattern) -> String {
    let most = bindings(pattern).max().map_or(0, |b| b + 1);
    fill(pattern, &vec!["x"; most])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::pattern::tests::pattern;

    #[test]
    fn only_paths_below_the_folder_are_safe() {
        let long = "x".repeat(256);
        for bad in [
            "",
            "/etc/passwd",
            "..",
            "../x",
            "a/../b",
            "a/..",
            ".",
            "./a",
            "a//b",
            "a/",
            "a\0b",
            "a\nb",
            "a\\b",
            "\u{85}",
            ".layermill",
            ".layermill/state",
            &long,
            &"x/".repeat(2048).trim_end_matches('/').repeat(2),
        ] {
            assert!(safe_path(bad).is_err(), "{bad:?}");
        }
        for fine in ["a", "a/b.c", "...", "a/..b/c..", ".hidden", "a b/ü", ".layermills", "a/.layermill", "-x", "~"] {
            assert_eq!(safe_path(fine), Ok(()), "{fine}");
        }
        assert!(safe_pattern(&pattern("{repo}/../x", &["repo"])).is_err());
        assert!(safe_pattern(&pattern("{repo}/x", &["repo"])).is_ok());
    }
}

//! The files that a glob pattern names.

use std::io::ErrorKind;
use std::path::Path;

/// The most values that one axis may have, files that match among them.
pub const MAX_VALUES: usize = 10_000_000;

/// A glob of paths: `*` stops at `/`, `**` does not.
pub fn compile(pattern: &str) -> Result<globset::GlobMatcher, String> {
    globset::GlobBuilder::new(pattern)
        .literal_separator(true)
        .build()
        .map(|g| g.compile_matcher())
        .map_err(|e| e.kind().to_string())
}

/// The files below `root` that match, as paths relative to it, sorted by bytes. Links to folders are not followed:
/// they may lead out, or round in a circle. `.layermill` and `.git` are left out.
pub fn walk(root: &Path, pattern: &str) -> Result<Vec<String>, String> {
    let glob = compile(pattern)?;
    // Only what lies below the part without wildcards can match.
    let fixed: Vec<&str> =
        pattern.split('/').take_while(|s| !s.contains(['*', '?', '[', ']', '{', '}', '\\'])).collect();
    let depth = fixed.len().min(pattern.split('/').count() - 1);
    let start = fixed[..depth].join("/");
    if !inside(root, &start) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    // Where no wildcard can cross a folder, deeper ones need no look.
    let deepest = (!pattern.contains("**")).then(|| pattern.split('/').count());
    let mut folders = vec![start];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(root.join(&folder)) {
            Ok(entries) => entries,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            Err(e) => return Err(format!("{folder}: {e}")),
        };
        for entry in entries {
            let entry = entry.map_err(|e| format!("{folder}: {e}"))?;
            // A name that is not UTF-8 cannot be the value of a binding.
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name == ".layermill" || name == ".git" {
                continue;
            }
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            let kind = entry.file_type().map_err(|e| format!("{path}: {e}"))?;
            if kind.is_dir() {
                if deepest.is_none_or(|d| path.split('/').count() < d) {
                    folders.push(path);
                }
            } else if glob.is_match(&path) && (kind.is_file() || root.join(&path).is_file()) {
                if found.len() == MAX_VALUES {
                    return Err(format!("more than {MAX_VALUES} files match"));
                }
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whether no link on the way leads out of `root`.
fn inside(root: &Path, folder: &str) -> bool {
    match (root.canonicalize(), root.join(folder).canonicalize()) {
        (Ok(root), Ok(folder)) => folder.starts_with(root),
        _ => false,
    }
}

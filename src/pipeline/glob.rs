//! The files that a glob pattern names.

use std::io::ErrorKind;
use std::path::Path;

use regex_automata::hybrid::dfa::DFA;
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};

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

/// The text before the first wildcard.
pub fn fixed(pattern: &str) -> &str {
    &pattern[..pattern.find(WILD).unwrap_or(pattern.len())]
}

const WILD: [char; 7] = ['*', '?', '[', ']', '{', '}', '\\'];

/// Tells of folders whether a glob may match what is in them.
pub struct Reach {
    /// None of a pattern that it cannot tell of.
    dfa: Option<DFA>,
    fixed: String,
}

impl Reach {
    pub fn of(pattern: &str) -> Self {
        // As globs themselves are compiled: paths are bytes, and any of them may be in a name.
        let dfa = compile(pattern).ok().and_then(|glob| {
            DFA::builder()
                .configure(DFA::config().skip_cache_capacity_check(true))
                .syntax(syntax::Config::new().utf8(false).dot_matches_new_line(true))
                .thompson(thompson::Config::new().utf8(false))
                .build(glob.glob().regex())
                .ok()
        });
        Self { dfa, fixed: fixed(pattern).to_owned() }
    }

    /// Whether some path below that folder matches.
    pub fn goes_into(&self, folder: &str) -> bool {
        let folder = format!("{folder}/");
        let may = folder.starts_with(&self.fixed) || self.fixed.starts_with(&folder);
        may && self.dfa.as_ref().is_some_and(|dfa| goes_on_after(dfa, &folder).unwrap_or(false))
    }
}

/// Whether a text that begins so may match.
fn goes_on_after(dfa: &DFA, begin: &str) -> Option<bool> {
    let mut cache = dfa.create_cache();
    let mut state = dfa.start_state_forward(&mut cache, &Input::new("").anchored(Anchored::Yes)).ok()?;
    for byte in begin.bytes() {
        state = dfa.next_state(&mut cache, state, byte).ok()?;
    }
    Some(!state.is_dead())
}

/// The files below `root` that match, as paths relative to it, sorted by bytes. Links to folders are not followed:
/// they may lead out, or round in a circle. `.layermill` and `.git` are left out.
pub fn walk(root: &Path, pattern: &str) -> Result<Vec<String>, String> {
    let glob = compile(pattern)?;
    // Only what lies below the part without wildcards can match.
    let fixed: Vec<&str> = pattern.split('/').take_while(|s| !s.contains(WILD)).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_goes_into_the_folders_in_which_it_may_match() {
        for pattern in [
            "r/dir/*",
            "r/dir/l",
            "r/dir/a/b/*.x",
            "r/*/x",
            "r/**",
            "**",
            "**/*.md",
            "r/d?r/*",
            "*/*/*",
            "{r,s}/{dir,x}/*",
            "{r/dir,s}/*",
            "r/[d]ir/x",
            "**/dir/x",
            "r/**/z/x",
            "r/{dir/a,b}",
        ] {
            assert!(Reach::of(pattern).goes_into("r/dir"), "{pattern}");
        }
        for pattern in
            ["r/*", "*", "r/dir", "r/dirs/*", "r/d/*", "s/**", "r/x*/y", "*/*", "{r,s}/x/*", "r/dir?x", "", "a[b"]
        {
            assert!(!Reach::of(pattern).goes_into("r/dir"), "{pattern}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_matches_in_a_folder_is_told_of_it(pattern in "[ab*?/{},\\[\\]!é-]{0,10}", path in "[abé]/[abé]{1,2}/[abé/]{1,3}") {
            let (folder, _) = path.rsplit_once('/').unwrap();
            let reach = Reach::of(&pattern);
            if compile(&pattern).is_ok_and(|glob| glob.is_match(&path)) {
                proptest::prop_assert!(reach.goes_into(folder));
            }
        }
    }
}

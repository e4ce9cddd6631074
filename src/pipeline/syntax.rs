//! How the YAML parser is asked, with its limits, and what it says of a text that it does not take, in our words.

use serde_yaml::options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_yaml::{Location, Options};

use super::advice::advice;
use super::problem::{Problem, Span};

/// The longest pipeline file that is read, in bytes.
pub const MAX_BYTES: usize = 64 << 20;
/// The most values (scalars, lists and mappings) that a pipeline file may have.
pub const MAX_NODES: usize = 4_000_000;
/// The most values that aliases and merges may add to those. Files that stay below share a few defaults; what goes
/// beyond is built to explode.
pub const MAX_ALIASED: usize = 1_000_000;
/// The deepest nesting.
pub const MAX_DEPTH: usize = 64;

/// What is asked of the parser.
pub fn options() -> Options {
    serde_yaml::options! {
        budget: serde_yaml::budget! {
            max_nodes: MAX_NODES,
            max_events: 3 * MAX_NODES,
            max_aliases: MAX_ALIASED,
            max_anchors: MAX_ALIASED,
            max_recorded_anchor_events: MAX_NODES,
            max_recorded_anchor_bytes: MAX_BYTES,
            max_total_scalar_bytes: MAX_BYTES,
            max_depth: MAX_DEPTH,
            max_documents: 2,
            // One anchor with hundreds of uses is how defaults are shared.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: MAX_ALIASED },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        ignore_binary_tag_for_string: true,
        with_snippet: false,
    }
}

/// What the parser says, in our form.
pub fn syntax(text: &str, error: &serde_yaml::Error) -> Problem {
    use serde_yaml::Error;
    let place = error.location().map(|l| place(text, l));
    let mut problem = Problem { span: place, ..Problem::default() };
    let mut error = error.without_snippet();
    while let Error::AliasError { error: inner, .. } = error {
        error = inner;
    }
    match error {
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => {
            problem.message = format!("aliases expand to more than {MAX_ALIASED} values");
            problem.label = "this alias is one too many".into();
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            problem.message = "an alias stands inside of what it stands for".into();
            problem.label = "this alias never ends".into();
        }
        Error::UnknownAnchor { .. } => {
            problem.message = "unknown anchor".into();
            problem.label = "no anchor of this name stands before it".into();
            problem.help = Some("put text that starts with `*` in quotes".into());
        }
        Error::Budget { breach, .. } => {
            use serde_yaml::budget::BudgetBreach as B;
            problem.message = match breach {
                B::Nodes { .. } | B::Events { .. } => format!("the file has more than {MAX_NODES} values"),
                B::Depth { .. } => format!("values are nested more than {MAX_DEPTH} deep"),
                B::Aliases { .. } | B::Anchors { .. } | B::RecordedAnchorEvents { .. } => {
                    "the file has too many anchors and aliases".into()
                }
                _ => "the file is too large".into(),
            };
            problem.label = "the limit is reached here".into();
        }
        Error::MultipleDocuments { .. } => {
            problem.message = "the file has more than one YAML document".into();
            problem.label = "a second one starts here".into();
        }
        other => {
            problem.message = "this is not valid YAML".into();
            // The parser's words end with the place, which the mark shows better.
            let words = other.to_string();
            let words = words.split(" at line ").next().unwrap_or(&words);
            let words = words.lines().next().unwrap_or("here").trim_end_matches([' ', ':', ',']);
            let meant = advice(text, problem.span.unwrap_or(Span { start: 0, len: 0 }), words);
            problem.label = meant.said.unwrap_or_else(|| words.to_owned());
            problem.span = meant.at.or(problem.span);
            problem.help = Some(meant.help.into());
        }
    }
    problem
}

/// A place in bytes. Scanner errors know line and column alone (in characters, from one).
pub fn place(text: &str, location: Location) -> Span {
    let span = location.span();
    if let (Some(start), Some(len)) = (span.byte_offset(), span.byte_len()) {
        let start = floor(text, start as usize);
        return Span { start, len: floor(text, start.saturating_add(len as usize)) - start };
    }
    let line_at = match location.line() {
        0 | 1 => 0,
        n => text.match_indices('\n').nth(n as usize - 2).map_or(text.len(), |(i, _)| i + 1),
    };
    let line = text[line_at..].split('\n').next().unwrap_or("");
    let skip = (location.column() as usize).saturating_sub(1);
    let start = line_at + line.char_indices().nth(skip).map_or(line.len(), |(i, _)| i);
    Span { start, len: text[start..].chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8) }
}

/// The nearest boundary between characters at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at.min(text.len()))
}

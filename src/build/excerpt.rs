//! What is told of a text that is too long to be told whole.

use std::borrow::Cow;

/// A text as it is told beside another: of a long one, what stands around the first difference.
pub(super) fn differing<'t>(text: &'t str, other: &str) -> Cow<'t, str> {
    const WHOLE: usize = 300;
    const BEFORE: usize = 40;
    const SHOWN: usize = 160;
    if text.chars().nth(WHOLE).is_none() {
        return text.into();
    }
    let same = text.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let from = same.saturating_sub(BEFORE);
    let mut rest = text.chars().skip(from);
    let shown: String = rest.by_ref().take(SHOWN).collect();
    let (before, after) = (if from > 0 { "…" } else { "" }, if rest.next().is_some() { "…" } else { "" });
    format!("{before}{shown}{after}").into()
}

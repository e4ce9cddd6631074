//! Foreign text made fit for a terminal: names and what commands print may hold anything.

use std::borrow::Cow;

/// One line: every character that would move a cursor, ring a bell or turn the text around is shown as its code.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// Several lines, with tabs.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c == '\n' || c == '\t')
}

/// JSON, which escapes most by itself: the rest as JSON does.
pub fn json(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmful(c) && c != '\n' {
            // All of them have four digits.
            clean.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            clean.push(c);
        }
    }
    clean
}

fn is_harmful(c: char) -> bool {
    c.is_control() || is_direction(c)
}

/// A line that a command printed: its colours are left out, and of what it wrote over itself the last is kept.
pub fn printed(text: &str) -> String {
    let text = anstream::adapter::strip_str(text).to_string();
    let last = text.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default();
    escaped(last, |c| c == '\t').into_owned()
}

fn escaped(text: &str, kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    let harmful = |c: char| is_harmful(c) && !kept(c);
    if !text.contains(harmful) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if harmful(c) {
            clean.extend(c.escape_default());
        } else {
            clean.push(c);
        }
    }
    Cow::Owned(clean)
}

/// Turns the direction of the text around it, so that it reads as what it is not.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_cursor_is_shown_as_its_code() {
        assert_eq!(line("plain ü 中"), "plain ü 中");
        assert_eq!(line("a\u{1b}[2Jb\nc\u{7}\u{9b}1m\u{202e}"), r"a\u{1b}[2Jb\nc\u{7}\u{9b}1m\u{202e}");
        assert_eq!(json("[\n\"a\u{9b}\u{202e}ü\"]"), "[\n\"a\\u009b\\u202eü\"]");
        assert_eq!(lines("a\tb\nc\r\u{1b}c"), "a\tb\nc\\r\\u{1b}c");
    }

    #[test]
    fn of_what_a_command_printed_colours_go_and_the_last_of_a_line_stays() {
        assert_eq!(printed("\u{1b}[31mred\u{1b}[0m\tthing\r"), "red\tthing");
        assert_eq!(printed("10%\r50%\r100%"), "100%");
        assert!(!printed("\u{8}bell\u{7}\u{9b}1m").contains(char::is_control));
    }
}

//! How messages say what came from elsewhere.

/// Text from elsewhere as it may be shown: its start, on one line, nothing in it that a terminal would obey.
pub fn shown(text: &str) -> String {
    shortened(text, 60)
}

/// As [`shown`], with room for `most` characters.
pub fn shortened(text: &str, most: usize) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    for c in chars.by_ref().take(most) {
        // Format characters turn the direction of writing, or are not seen at all.
        let unseen = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if c.is_control() || unseen { out.extend(c.escape_default()) } else { out.push(c) }
    }
    if chars.next().is_some() {
        out.push('…');
    }
    out
}

/// A limit, as it is set and as it is said.
pub fn size(bytes: u64) -> String {
    match bytes {
        0 => "0 bytes".into(),
        _ if bytes.is_multiple_of(1 << 20) => format!("{bytes} bytes ({} MiB)", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{bytes} bytes ({} KiB)", bytes >> 10),
        _ => format!("{bytes} bytes"),
    }
}

/// Why JSON could not be read as what it should be.
pub fn misread(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Syntax | serde_json::error::Category::Eof => format!("it is not JSON: {error}"),
        _ => shortened(&error.to_string(), 200),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(
            [4 << 20, 3 << 10, 1000, 0].map(size),
            ["4194304 bytes (4 MiB)", "3072 bytes (3 KiB)", "1000 bytes", "0 bytes"]
        );
    }

    #[test]
    fn what_is_shown_is_tame() {
        assert_eq!(shown("a\u{1b}[31m\n"), r"a\u{1b}[31m\n");
        assert_eq!(shown("x\u{202e}y"), r"x\u{202e}y");
        assert_eq!(shown(&"t".repeat(5000)), format!("{}…", "t".repeat(60)));
    }
}

//! What of a file must not be shown: the user parts of URLs, the defaults of secrets, and passwords.

use std::borrow::Cow;

/// Text in which secrets are marked.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Text(pub Vec<Piece>);

#[derive(Clone, PartialEq, Eq)]
pub enum Piece {
    Plain(String),
    /// `${secret.NAME}`: shown and hashed as that, used as the value.
    Secret {
        name: String,
        value: String,
    },
}

impl Text {
    pub fn plain(text: impl Into<String>) -> Self {
        Self(vec![Piece::Plain(text.into())])
    }

    /// Puts a piece at the end; plain text becomes one with the plain text before it.
    pub fn push(&mut self, piece: Piece) {
        match (self.0.last_mut(), piece) {
            (Some(Piece::Plain(last)), Piece::Plain(more)) => last.push_str(&more),
            (_, piece) => self.0.push(piece),
        }
    }

    /// The same of plain text, unless there is none.
    pub fn push_plain(&mut self, text: &str) {
        if !text.is_empty() {
            self.push(Piece::Plain(text.to_owned()));
        }
    }

    /// Its length in bytes, secrets included.
    pub fn len(&self) -> usize {
        self.0
            .iter()
            .map(|p| match p {
                Piece::Plain(t) => t.len(),
                Piece::Secret { value, .. } => value.len(),
            })
            .sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What may be shown, hashed and recorded: secrets stand as `${secret.NAME}`.
    pub fn public(&self) -> String {
        self.shown().into_owned()
    }

    /// The same, not copied where there is no secret in it.
    pub fn shown(&self) -> Cow<'_, str> {
        if let [Piece::Plain(text)] = self.0.as_slice() {
            return Cow::Borrowed(text);
        }
        self.0
            .iter()
            .map(|p| match p {
                Piece::Plain(t) => t.clone(),
                Piece::Secret { name, .. } => format!("${{secret.{name}}}"),
            })
            .collect()
    }

    /// The text with its secrets: for use, never for show.
    pub fn expose(&self) -> String {
        self.0
            .iter()
            .map(|p| match p {
                Piece::Plain(t) => t.as_str(),
                Piece::Secret { value, .. } => value,
            })
            .collect()
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.public().fmt(f)
    }
}

/// The name under which the user part of a URL is shown.
const USER_PART: &str = "user";

/// Makes a secret of the user part of each URL: `https://user:password@host` is shown without it.
pub fn hide_user(text: Text) -> Text {
    if !text.0.iter().any(|p| matches!(p, Piece::Plain(t) if t.contains("://"))) {
        return text;
    }
    let mut out = Text::default();
    for piece in text.0 {
        let Piece::Plain(plain) = piece else {
            out.push(piece);
            continue;
        };
        let mut rest = plain.as_str();
        while let Some((start, len)) = user_part(rest) {
            out.push_plain(&rest[..start]);
            out.push(Piece::Secret { name: USER_PART.into(), value: rest[start..start + len].to_owned() });
            rest = &rest[start + len..];
        }
        out.push_plain(rest);
    }
    if out.0.is_empty() { Text::plain("") } else { out }
}

/// Where the first user part of a URL in `text` is.
fn user_part(text: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(at) = text[from..].find("://") {
        let start = from + at + 3;
        let authority = text[start..].split(['/', '?', '#', ' ', '\t', '\n', '"', '\'', '`', '<', '>', '|']).next()?;
        match authority.rfind('@') {
            Some(len) if len > 0 => return Some((start, len)),
            _ => from = start,
        }
    }
    None
}

/// The file's text with what must not be shown struck out, byte for byte, so that marks stay where they were: user
/// parts of URLs, the defaults of secrets, and passwords.
pub fn strike_out(source: &str) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    let mut from = 0;
    while let Some((start, len)) = user_part(&source[from..]) {
        ranges.push((from + start, len));
        from += start + len;
    }
    for (at, _) in source.match_indices("${secret.") {
        let Some(len) = closing(&source[at + 1..]) else { continue };
        let inside = &source[at..at + len];
        if let Some(default) = inside.find(":-") {
            ranges.push((at + default + 2, len - default - 2));
        }
    }
    for (at, key) in source.match_indices("password") {
        ranges.extend(password(source, at + key.len()));
    }
    let mut bytes = source.as_bytes().to_vec();
    for (start, len) in ranges {
        bytes[start..start + len].iter_mut().filter(|b| !b"\n\r".contains(b)).for_each(|b| *b = b'*');
    }
    // Whole characters were replaced: this is still UTF-8.
    String::from_utf8(bytes).unwrap_or_default()
}

/// Where the value is of a key that ends at `end`, where it is one and stands there in plain.
fn password(source: &str, end: usize) -> Option<(usize, usize)> {
    let after = source[end..].trim_start_matches(['"', '\'']).trim_start_matches([' ', '\t']);
    let value = after.strip_prefix(':')?.trim_start_matches([' ', '\t']);
    let start = source.len() - value.len();
    let line = value.split(['\n', '\r']).next()?;
    let is_in_braces = source[..end].rsplit('\n').next().is_some_and(|before| before.contains('{'));
    let len = match line.chars().next()? {
        '$' => return None,
        quote @ ('"' | '\'') => line[1..].find(quote).map_or(line.len(), |len| len + 2),
        _ if is_in_braces => line.find([',', '}']).unwrap_or(line.len()),
        _ => line.len(),
    };
    Some((start, len))
}

/// The length of the `{…}` at the start of `text`, braces inside of it counted.
pub fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (i, b) in text.bytes().enumerate() {
        match b {
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(i + 1),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_shown_without_secrets() {
        let text = "a: https://me:pä@h/x ${secret.X:-dé{f}} ${secret.Y} ${env.Z:-kept}\n";
        let shown = strike_out(text);
        assert_eq!(shown, "a: https://******@h/x ${secret.X:-******} ${secret.Y} ${env.Z:-kept}\n");
        assert_eq!(shown.len(), text.len());
        for (text, expected) in [
            ("{password: ab, x: y}\n", "{password: **, x: y}\n"),
            ("  password: a, b\n  x: y\n", "  password: ****\n  x: y\n"),
            ("{\"password\" : \"a, b\", x: y}", "{\"password\" : ******, x: y}"),
            ("password: ${secret.X}", "password: ${secret.X}"),
            ("password:\n  x: y\n", "password:\n  x: y\n"),
        ] {
            assert_eq!(strike_out(text), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn marks_stay_where_they_were(text in "[$${}:\\-.a-cé@/ ]{0,40}") {
            proptest::prop_assert_eq!(strike_out(&text).len(), text.len());
        }
    }
}

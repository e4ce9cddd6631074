//! Our secrets, taken out of what a server repeats of them.

use std::cmp::Reverse;
use std::fmt;

/// What is not to be shown of what came in answer to a request that carried it.
#[derive(Clone, Default)]
pub struct Mask(Vec<String>);

impl Mask {
    pub fn of<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        Self(secrets.into_iter().filter(|s| !s.is_empty()).map(Into::into).collect())
    }

    /// All that is to be taken out. Most answers are not shown: it is made where one is.
    fn spelt(&self) -> Vec<String> {
        let mut all: Vec<_> = self.0.iter().flat_map(|secret| spellings(secret)).collect();
        // One may be the beginning of another.
        all.sort_by_key(|spelling| Reverse(spelling.len()));
        all.dedup();
        all
    }

    /// Whether one of them is in what came.
    pub fn is_needed(&self, bytes: &[u8]) -> bool {
        let text = String::from_utf8_lossy(bytes);
        self.spelt().iter().any(|secret| text.contains(secret))
    }

    /// The text, to be shown; it must not be shortened before.
    pub fn over(&self, text: &str) -> String {
        self.spelt().iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mask")
    }
}

/// A secret as it is, and as it is written in JSON (of ASCII alone, too) and in the messages of parsers.
fn spellings(secret: &str) -> [String; 4] {
    let json = serde_json::Value::from(secret).to_string();
    let json = json[1..json.len() - 1].to_owned();
    let mut ascii = String::new();
    for c in json.chars() {
        match c {
            ' '..='~' => ascii.push(c),
            _ => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| ascii.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    [secret.to_owned(), json, ascii, secret.escape_debug().to_string()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_however_it_is_written() {
        let mask = Mask::of(["pw\"ä😀", "", "pw"]);
        for said in ["is pw\"ä😀!", r#"is pw\"ä😀!"#, r#"is pw\"\u00e4\ud83d\ude00!"#, "is pw!"] {
            assert_eq!(mask.over(said), "is ***!", "{said}");
            assert!(mask.is_needed(said.as_bytes()));
        }
        assert_eq!(Mask::default().over("as it is"), "as it is");
        assert!(!mask.is_needed(b"p w"));
        assert_eq!(format!("{mask:?}"), "Mask");
    }
}

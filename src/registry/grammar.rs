//! The names that registries give and take.

use super::words::shown;

/// The longest repository name that registries take.
const REPOSITORY_MAX: usize = 255;
/// The longest tag of the grammar.
const TAG_MAX: usize = 128;

/// Why a tag is left out that a registry gave.
pub const NOT_A_TAG: &str = "not a tag by the grammar of tags";

/// Checks a repository's name against the grammar of the OCI distribution-spec ("Pulling manifests"):
/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, several of these with `/` between them. The error says what is wrong.
pub fn repository(name: &str) -> Result<(), String> {
    if name.len() > REPOSITORY_MAX {
        return Err(format!(
            "`{}` is not a repository's name: it has {} characters, and {REPOSITORY_MAX} are the most",
            shown(name),
            name.len()
        ));
    }
    if is_repository(name) {
        return Ok(());
    }
    Err(format!(
        "`{}` is not a repository's name: it has lower-case letters and digits, with single `.`, `_`, `__` or dashes \
         between them, and `/` between its parts{}",
        shown(name),
        meant(name).map(|meant| format!("; {meant}")).unwrap_or_default()
    ))
}

fn is_repository(name: &str) -> bool {
    name.split('/').all(is_component)
}

/// What may be meant by a name that is none.
fn meant(name: &str) -> Option<String> {
    if name.contains("://") {
        return Some("it is an address: that of the registry is the `url` of a source".into());
    }
    if let Some((repo, tag)) = name.rsplit_once(':').filter(|(repo, tag)| is_repository(repo) && is_tag(tag)) {
        return Some(format!("`{tag}` is a tag of `{repo}`: tags are chosen by `select`"));
    }
    let lower = name.to_ascii_lowercase();
    (lower != name && is_repository(&lower)).then(|| format!("did you mean `{lower}`?"))
}

fn is_component(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        let word = bytes[at..].iter().take_while(|b| b.is_ascii_lowercase() || b.is_ascii_digit()).count();
        at += word;
        if word == 0 || at == bytes.len() {
            return word > 0;
        }
        let separator = bytes[at..].iter().take_while(|b| matches!(b, b'.' | b'_' | b'-')).count();
        at += match &text[at..at + separator] {
            "." | "_" | "__" => separator,
            dashes if !dashes.is_empty() && dashes.bytes().all(|b| b == b'-') => separator,
            _ => return false,
        };
    }
}

/// Whether a tag is in the grammar `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
pub fn is_tag(tag: &str) -> bool {
    let bytes = tag.as_bytes();
    (1..=TAG_MAX).contains(&bytes.len())
        && !matches!(bytes[0], b'.' | b'-')
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// Checks a tag against its grammar. The error says what is wrong.
pub fn tag(tag: &str) -> Result<(), String> {
    if is_tag(tag) {
        return Ok(());
    }
    Err(format!(
        "`{}` is not a tag: it has letters, digits, `_`, `.` and `-`, starts with none of the last two, and has at \
         most {TAG_MAX} characters",
        shown(tag)
    ))
}

/// The grammar of digests of any algorithm (OCI image-spec, descriptor.md).
pub fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, encoded)| {
        let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let sign = |b: u8| matches!(b, b'+' | b'.' | b'_' | b'-');
        algorithm.bytes().next().is_some_and(word)
            && algorithm.bytes().all(|b| word(b) || sign(b))
            && (32..=256).contains(&encoded.len())
            && encoded.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'=' | b'_' | b'-'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories() {
        for good in ["a", "library/nginx", "a.b", "a__b", "a---b", "a/b/c", "ghcr.io/x/y-1_z", "0/9", &"a".repeat(255)]
        {
            assert_eq!(repository(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "A",
            "a..b",
            "a___b",
            "_a",
            "a_",
            "a//b",
            "../a",
            "a/..",
            "a b",
            "a:b",
            "ä",
            "a-_b",
            &"a".repeat(256),
        ] {
            assert!(repository(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_may_be_meant_is_said() {
        for (name, says) in [
            ("library/redis:7-alpine", "; `7-alpine` is a tag of `library/redis`: tags are chosen by `select`"),
            ("Library/Nginx", "; did you mean `library/nginx`?"),
            ("https://hub.docker.com/_/nginx", "; it is an address: that of the registry is the `url` of a source"),
            ("a//b", "between its parts"),
        ] {
            assert!(repository(name).is_err_and(|error| error.ends_with(says)), "{name}");
        }
    }

    #[test]
    fn tags() {
        for good in ["latest", "1.0", "_x", "A-b.c_d", &"t".repeat(128)] {
            assert!(is_tag(good), "{good}");
        }
        for bad in ["", ".x", "-x", "../../x", "a/b", "a b", "a\n", "ä", "a:b", &"t".repeat(129)] {
            assert!(!is_tag(bad), "{bad}");
        }
    }
}

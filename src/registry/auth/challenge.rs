//! Challenges: how a host says that it wants to know who asks (`WWW-Authenticate`).

use reqwest::Url;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

use crate::registry::address::without_user;

/// How a host wants to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    Basic,
    Bearer { realm: Url, service: Option<String>, scope: Option<String> },
}

impl Challenge {
    /// The challenge that we can answer best, of all that a reply has.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|v| v.to_str().ok());
        let all: Vec<_> = texts.flat_map(challenges).collect();
        let bearer = all.iter().find_map(|(scheme, parameters)| {
            let parameter = |name: &str| parameters.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
            let realm = Url::parse(&parameter("realm")?).ok().filter(|r| matches!(r.scheme(), "http" | "https"))?;
            (scheme == "bearer").then(|| Self::Bearer {
                realm: without_user(realm),
                service: parameter("service"),
                scope: parameter("scope").filter(|s| !s.is_empty()),
            })
        });
        bearer.or_else(|| all.iter().any(|(scheme, _)| scheme == "basic").then_some(Self::Basic))
    }

    /// Whether what answers the one answers the other, for its own scope.
    pub fn is_answered_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Basic, Self::Basic) => true,
            (Self::Bearer { realm, service, .. }, Self::Bearer { realm: r, service: s, .. }) => {
                (realm, service) == (r, s)
            }
            _ => false,
        }
    }
}

/// The challenges of a `WWW-Authenticate` header (RFC 9110, 11.6.1): schemes, each with parameters; all between commas.
fn challenges(text: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=', '"']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            match rest.chars().next() {
                // What is no word here is no challenge.
                Some(c) => rest = &rest[c.len_utf8()..],
                None => return found,
            }
            continue;
        }
        let word = word.to_ascii_lowercase();
        match after.trim_start_matches([' ', '\t']).strip_prefix('=') {
            Some(value) => {
                let (value, after) = parameter_value(value.trim_start_matches([' ', '\t']));
                if let Some((_, parameters)) = found.last_mut() {
                    parameters.push((word, value));
                }
                rest = after;
            }
            None => {
                found.push((word, Vec::new()));
                rest = after;
            }
        }
    }
}

/// A token, or a quoted string with its escapes undone; and what comes after.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t', ',']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn challenge(lines: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(line).unwrap());
        }
        Challenge::of(&headers)
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        let realm = Url::parse(realm).unwrap();
        Some(Challenge::Bearer { realm, service: service.map(Into::into), scope: scope.map(Into::into) })
    }

    #[test]
    fn challenges_in_all_their_forms() {
        let scope = "repository:a/b:pull,push";
        let expected = bearer("https://auth.example.com/token", Some("reg"), Some(scope));
        for line in [
            r#"Bearer realm="https://auth.example.com/token",service="reg",scope="repository:a/b:pull,push""#,
            r#"bearer scope="repository:a/b:pull,push" , service=reg, REALM = "https://auth.example.com/token""#,
            r#"Basic realm="x, y", Bearer realm="https://auth.example.com/token",service="reg",scope="repository:a/b:pull,push",error="invalid_token""#,
            r#"Negotiate abc==, Bearer realm="https://auth.example.com/to\ken",service="reg",scope="repository:a/b:pull,push""#,
        ] {
            assert_eq!(challenge(&[line]), expected, "{line}");
        }
        assert_eq!(
            challenge(&["Basic realm=\"r\"", "Bearer realm=\"https://a/t\""]),
            bearer("https://a/t", None, None)
        );
        assert_eq!(challenge(&["Basic realm=\"r\""]), Some(Challenge::Basic));
        for line in
            ["", ",,,", "Bearer", "Bearer realm=", "Bearer realm=\"", "=\"", "Bearer realm=\"file:///x\"", "\"\"\"= \\"]
        {
            assert_eq!(challenge(&[line]), None, "{line}");
        }
    }
}

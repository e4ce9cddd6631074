//! A registry's address: the `url:` of a source, with the credentials that may stand in it.

use std::sync::Arc;

use reqwest::Url;

use super::words::shown;
use crate::pipeline::model::{Piece, Text};

/// Where a registry is, and who we are there.
pub struct Address {
    /// Without a user part, and without `/` at its end but for that of an empty path.
    pub base: Url,
    pub credentials: Option<Credentials>,
}

/// What we log in with. Has no form that could be shown.
#[derive(Clone)]
pub enum Credentials {
    Password {
        username: String,
        password: String,
    },
    /// What a token server gave for a password, and takes in its place (distribution's token specification, OAuth2).
    IdentityToken(String),
    /// What the registry itself takes, in place of what its token server would grant.
    RegistryToken(String),
}

impl Address {
    /// The address as it is shown, and as it is part of a question.
    pub fn shown(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }
}

/// What is wrong with an address, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct BadAddress {
    pub label: String,
    pub help: Option<String>,
}

/// The scheme, host and port of a URL: who may see a secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin(Arc<str>);

impl Origin {
    pub fn of(url: &Url) -> Self {
        Self(format!("{}://{}", url.scheme(), host(url)).into())
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The host of a URL, and its port where that is not the usual one: what Docker and Podman keep logins for.
pub fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Whether a URL stays on this machine, where nobody listens in.
pub fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    literal
        .parse::<std::net::IpAddr>()
        .map_or_else(|_| host == "localhost" || host.ends_with(".localhost"), |ip| ip.is_loopback())
}

/// Whether what is sent to this URL may be read on its way.
pub fn is_plain(url: &Url) -> bool {
    url.scheme() != "https" && !is_loopback(url)
}

/// A URL as it may be shown: user parts and queries hold secrets (of registries, and of the stores they redirect to).
pub fn display(url: &Url) -> String {
    let mut url = without_user(url.clone());
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

/// A URL that somebody else named: who we are is not for them to say.
pub fn without_user(mut url: Url) -> Url {
    // What cannot have a user part has none.
    let _ = (url.set_username(""), url.set_password(None));
    url
}

/// Reads the `url:` of a source.
pub fn parse(text: &Text, insecure: bool) -> Result<Address, BadAddress> {
    let bad = |label: &str, help: Option<String>| Err(BadAddress { label: label.into(), help });
    let exposed = text.expose();
    if secret_outside_user_part(text, &exposed) {
        let help = "write the address in plain, and give `username:` and `password:`";
        return bad("a secret may stand in its user part only", Some(help.into()));
    }
    if !exposed.contains("://") {
        let help = format!("write `https://{}`", shown(text.public().trim_start_matches('/')));
        return bad("has no scheme", Some(help));
    }
    let Ok(mut base) = Url::parse(&exposed) else { return bad("cannot be read as a URL", None) };
    if !matches!(base.scheme(), "http" | "https") {
        return bad("a registry speaks `https` or `http`", None);
    }
    if base.query().is_some() || base.fragment().is_some() {
        return bad("a registry's address ends with its path", None);
    }
    if is_plain(&base) && !insecure {
        let help = "write `https://`, or say `insecure: true` where its network is trusted";
        return bad("would be spoken to without encryption", Some(help.into()));
    }
    let credentials = match (base.username(), base.password()) {
        ("", None) => None,
        (name, password) => {
            let (Some(username), Some(password)) = (decoded(name), decoded(password.unwrap_or_default())) else {
                return bad("has a user part that is not UTF-8", None);
            };
            Some(Credentials::Password { username, password })
        }
    };
    if base.set_username("").is_err() || base.set_password(None).is_err() {
        return bad("names no host", None);
    }
    let path = base.path().trim_end_matches('/').to_owned();
    base.set_path(&path);
    Ok(Address { base, credentials })
}

/// A secret is never hashed or shown, and all of an address but its user part is both.
fn secret_outside_user_part(text: &Text, exposed: &str) -> bool {
    let authority = exposed.find("://").map_or(0, |at| at + 3);
    let end = exposed[authority..].find(['/', '?', '#']).map_or(exposed.len(), |at| authority + at);
    let user_part = authority..exposed[authority..end].rfind('@').map_or(authority, |at| authority + at);
    let mut at = 0;
    text.0.iter().any(|piece| match piece {
        Piece::Plain(plain) => {
            at += plain.len();
            false
        }
        Piece::Secret { value, .. } => {
            let start = at;
            at += value.len();
            start < user_part.start || at > user_part.end
        }
    })
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escape = (*first == b'%').then(|| tail.get(..2)).flatten();
        let value = escape.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(value.unwrap_or(*first));
        rest = if value.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Address, BadAddress> {
        parse(&Text::plain(url), false)
    }

    #[test]
    fn addresses() {
        assert_eq!(read("https://R.example.com:443/").unwrap().base.as_str(), "https://r.example.com/");
        assert_eq!(read("https://r.example.com/sub/").unwrap().base.as_str(), "https://r.example.com/sub");
        assert!(read("http://127.0.0.1:5000").is_ok());
        assert!(read("http://localhost:5000").is_ok() && read("http://[::1]:5000").is_ok());
        assert_eq!(read("r.example.com").err().unwrap().help.unwrap(), "write `https://r.example.com`");
        for bad in ["http://r.example.com", "http://127.0.0.1.example.com", "ftp://x", "https://x/?a=b", "https://"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(parse(&Text::plain("http://r.example.com"), true).is_ok());
    }

    #[test]
    fn user_parts_are_credentials_and_nothing_else() {
        let address = read("https://me:p%40ss@r.example.com/x").unwrap();
        assert_eq!(address.base.as_str(), "https://r.example.com/x");
        let Some(Credentials::Password { username, password }) = address.credentials else { panic!("credentials") };
        assert_eq!((username.as_str(), password.as_str()), ("me", "p@ss"));
    }

    #[test]
    fn secrets_stand_in_the_user_part_only() {
        let secret = |value: &str| Piece::Secret { name: "X".into(), value: value.into() };
        let plain = |text: &str| Piece::Plain(text.into());
        let fine = Text(vec![plain("https://"), secret("me:pw"), plain("@r.example.com")]);
        assert!(parse(&fine, false).is_ok());
        let path = Text(vec![plain("https://r.example.com/"), secret("hidden")]);
        assert!(parse(&path, false).is_err());
        let whole = Text(vec![secret("https://me:pw@r.example.com")]);
        assert!(parse(&whole, false).is_err());
    }
}

//! Logins that Docker and Podman keep: `config.json` (docker/cli, "Credential stores") and `auth.json`
//! (containers-auth.json(5)). Read when a registry wants to know who asks, and not before.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::helper;
use crate::registry::address::Credentials;
use crate::registry::words::shown;
use crate::registry::{SourceError, base64};

const FILE_LIMIT: u64 = 1 << 20;
/// Where Docker's tools keep the login of Docker Hub.
const HUB_KEY: &str = "https://index.docker.io/v1/";
/// What all names of Docker Hub are taken for.
const HUB: &str = "docker.io";

/// The files that logins are looked for in, in order.
#[derive(Clone, Debug, Default)]
pub struct Logins {
    files: Vec<PathBuf>,
}

/// The logins of one host.
#[derive(Default)]
pub struct HostLogins {
    /// The host, or a namespace or repository on it; the longest first, and those of earlier files before others.
    entries: Vec<(String, Credentials)>,
}

/// Some tools write `null` where there is nothing.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct LoginFile {
    auths: Option<BTreeMap<String, Option<Value>>>,
    cred_helpers: Option<BTreeMap<String, String>>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl Logins {
    /// The files that Docker and Podman would use: those that the environment names, or else those in their places.
    pub fn of_environment() -> Self {
        Self::of(|name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
    }

    fn of(variable: impl Fn(&str) -> Option<PathBuf>) -> Self {
        let home = || variable("HOME");
        let docker = variable("DOCKER_CONFIG").or_else(|| Some(home()?.join(".docker")));
        let mut files: Vec<_> = docker.map(|folder| folder.join("config.json")).into_iter().collect();
        match variable("REGISTRY_AUTH_FILE") {
            Some(file) => files.push(file),
            None => {
                let config = variable("XDG_CONFIG_HOME").or_else(|| Some(home()?.join(".config")));
                let folders = [variable("XDG_RUNTIME_DIR"), config].into_iter().flatten();
                files.extend(folders.map(|folder| folder.join("containers/auth.json")));
            }
        }
        Self { files }
    }

    /// All logins of a host, which is written with its port where that is not the usual one.
    ///
    /// # Errors
    ///
    /// Where a file cannot be read or a helper fails: the message names it, and has nothing of what it holds.
    pub async fn of_host(&self, host: &str) -> Result<HostLogins, SourceError> {
        let mut entries = Vec::new();
        for path in &self.files {
            let found = match read(path) {
                Ok(Some(text)) => entries_of(&text, host).await,
                Ok(None) => continue,
                Err(what) => Err(what),
            };
            let found = found.map_err(|what| {
                SourceError::new(format!("{}: {what}", path.display()))
                    .help("mend it, or say `credentials: none` on the source to do without")
            });
            entries.extend(found?);
        }
        entries.sort_by_key(|(key, _)| std::cmp::Reverse(key.len()));
        Ok(HostLogins { entries })
    }
}

impl HostLogins {
    /// These credentials for everything.
    pub fn given(credentials: Option<Credentials>) -> Self {
        Self { entries: credentials.into_iter().map(|c| (String::new(), c)).collect() }
    }

    /// The login for a repository.
    pub fn of_repo(&self, host: &str, repo: &str) -> Option<&Credentials> {
        let name = format!("{}/{repo}", plain(host));
        let covers = |key: &str| {
            key.is_empty() || name.strip_prefix(key).is_some_and(|rest| rest.starts_with('/') || rest.is_empty())
        };
        self.entries.iter().find(|(key, _)| covers(key)).map(|(_, credentials)| credentials)
    }
}

/// A file's text. `None` where there is no such file.
fn read(path: &Path) -> Result<Option<String>, String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(e) => return Err(format!("cannot be read: {e}")),
    };
    let mut text = String::new();
    file.take(FILE_LIMIT + 1).read_to_string(&mut text).map_err(|e| format!("cannot be read: {e}"))?;
    if text.len() as u64 > FILE_LIMIT {
        return Err("more than the 1 MiB that is the most".into());
    }
    Ok(Some(text))
}

async fn entries_of(text: &str, host: &str) -> Result<Vec<(String, Credentials)>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    // What serde says of a wrong value has the value in it.
    let file: LoginFile = serde_json::from_str(text)
        .map_err(|e| format!("no file of logins: wrong at line {}, column {}", e.line(), e.column()))?;
    let host = plain(host);
    let own = file.cred_helpers.iter().flatten().find(|(key, _)| plain(key) == host);
    let from_helper = match (own, file.creds_store.filter(|name| !name.is_empty())) {
        (Some((key, name)), _) => helper::get(name, key).await?,
        (None, Some(name)) => helper::get(&name, if host == HUB { HUB_KEY } else { &host }).await?,
        (None, None) => None,
    };
    let mut entries: Vec<_> = from_helper.map(|credentials| (host.clone(), credentials)).into_iter().collect();
    for (key, value) in file.auths.into_iter().flatten() {
        let place = plain(&key);
        if place.split('/').next() != Some(&host) {
            continue;
        }
        let entry: Option<Entry> =
            value.map_or_else(|| Some(Entry::default()), |value| serde_json::from_value(value).ok());
        let credentials = entry.ok_or(()).and_then(Entry::credentials);
        let credentials = credentials.map_err(|()| format!("the entry `{}` cannot be read", shown(&key)))?;
        entries.extend(credentials.map(|credentials| (place, credentials)));
    }
    Ok(entries)
}

impl Entry {
    /// What an entry has; none where its login is kept by a helper.
    fn credentials(self) -> Result<Option<Credentials>, ()> {
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        if let Some(token) = some(self.registrytoken) {
            return Ok(Some(Credentials::RegistryToken(token)));
        }
        if let Some(token) = some(self.identitytoken) {
            return Ok(Some(Credentials::IdentityToken(token)));
        }
        if let Some(auth) = some(self.auth) {
            let text = base64::decode(&auth).and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(())?;
            let (username, password) = text.split_once(':').ok_or(())?;
            // Docker once padded what it encoded. A name may be empty where the password is a token.
            let (username, password) = (username.to_owned(), password.trim_matches('\0').to_owned());
            return Ok(Some(Credentials::Password { username, password }));
        }
        let (username, password) = (some(self.username), some(self.password));
        let is_there = username.is_some() || password.is_some();
        let (username, password) = (username.unwrap_or_default(), password.unwrap_or_default());
        Ok(is_there.then_some(Credentials::Password { username, password }))
    }
}

/// A key as it is compared: without the scheme and version that old tools wrote, Docker Hub by one name.
fn plain(key: &str) -> String {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let text = bare.unwrap_or(key).trim_end_matches('/');
    let (host, rest) = text.split_once('/').map_or((text, None), |(host, rest)| (host, Some(rest)));
    let host = host.to_ascii_lowercase();
    let host = if matches!(host.as_str(), "index.docker.io" | "registry-1.docker.io") { HUB.to_owned() } else { host };
    match rest {
        Some(rest) if bare.is_none() && !matches!(rest, "v1" | "v2") => format!("{host}/{rest}"),
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(logins: &HostLogins, host: &str, repo: &str) -> Option<String> {
        Some(match logins.of_repo(host, repo)? {
            Credentials::Password { username, password } => format!("{username}:{password}"),
            Credentials::IdentityToken(token) => format!("token {token}"),
            Credentials::RegistryToken(token) => format!("bearer {token}"),
        })
    }

    async fn of_text(text: &str, host: &str) -> Result<HostLogins, SourceError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, text).unwrap();
        Logins { files: vec![folder.path().join("none.json"), path] }.of_host(host).await
    }

    #[test]
    fn files_in_the_order_that_the_tools_use() {
        let files = |variables: &[(&str, &str)]| {
            let logins = Logins::of(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into()));
            logins.files.iter().map(|f| f.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(files(&[]), [] as [&str; 0]);
        let home = ("HOME", "/h");
        assert_eq!(files(&[home]), ["/h/.docker/config.json", "/h/.config/containers/auth.json"]);
        assert_eq!(
            files(&[home, ("XDG_RUNTIME_DIR", "/r"), ("XDG_CONFIG_HOME", "/x")]),
            ["/h/.docker/config.json", "/r/containers/auth.json", "/x/containers/auth.json"]
        );
        let named = [home, ("DOCKER_CONFIG", "/d"), ("REGISTRY_AUTH_FILE", "/a.json"), ("XDG_RUNTIME_DIR", "/r")];
        assert_eq!(files(&named), ["/d/config.json", "/a.json"]);
    }

    #[tokio::test]
    async fn the_longest_entry_that_covers_a_repository_is_its_login() {
        // a:1, b:2, c:3
        let text = r#"{"auths": {"r.example.com": {"auth": "YToxAAA="}, "r.example.com/team": {"auth": "Yjoy"},
            "r.example.com/team/app": {"username": "c", "password": "3"}, "other.example.com": {"auth": "!"},
            "R.example.com:5000": {"identitytoken": "long", "auth": "YTo="}, "r.example.com/void": {}}, "HttpHeaders": {}}"#;
        let logins = of_text(text, "r.example.com").await.unwrap();
        let user_of = |repo| user(&logins, "r.example.com", repo);
        assert_eq!(user_of("team/app").as_deref(), Some("c:3"));
        assert_eq!(user_of("team/app2").as_deref(), Some("b:2"));
        assert_eq!(user_of("teams/app").as_deref(), Some("a:1"));
        assert_eq!(user_of("void/x").as_deref(), Some("a:1"));
        let with_port = of_text(text, "r.example.com:5000").await.unwrap();
        assert_eq!(user(&with_port, "r.example.com:5000", "x").as_deref(), Some("token long"));
        assert_eq!(user(&of_text(text, "example.com").await.unwrap(), "example.com", "x"), None);
    }

    #[tokio::test]
    async fn what_some_tools_write_is_read_as_they_mean_it() {
        for (text, expected) in [
            (r#"{"auths": null, "credHelpers": null, "credsStore": null}"#, None),
            (r#"{"auths": {"r": null}}"#, None),
            (r#"{"auths": {"r": {"auth": null, "identitytoken": null, "username": ""}}}"#, None),
            (r#"{"auths": {"r": {"auth": "YTox"}}, "credsStore": null}"#, Some("a:1")),
            (r#"{"auths": {"r": {"auth": "OnRvaw=="}}}"#, Some(":tok")),
            (r#"{"auths": {"r": {"password": "tok"}}}"#, Some(":tok")),
            (r#"{"auths": {"r": {"auth": "YTox", "registrytoken": "reg"}}}"#, Some("bearer reg")),
        ] {
            assert_eq!(user(&of_text(text, "r").await.unwrap(), "r", "x").as_deref(), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn docker_hub_by_all_its_names() {
        for key in ["https://index.docker.io/v1/", "docker.io", "registry-1.docker.io", "index.docker.io/v1"] {
            let text = format!(r#"{{"auths": {{"{key}": {{"auth": "YTox"}}}}}}"#);
            let logins = of_text(&text, "registry-1.docker.io").await.unwrap();
            assert_eq!(user(&logins, "registry-1.docker.io", "library/x").as_deref(), Some("a:1"), "{key}");
        }
    }

    #[tokio::test]
    async fn a_file_that_is_wrong_is_named_and_not_repeated() {
        let huge = format!("{{\"auths\": {{}}, \"x\": \"{}\"}}", "hidden".repeat(200_000));
        let wrong = [
            "{hidden",
            "[\"hidden\"]",
            "{\"auths\": \"hidden\"}",
            "{\"auths\": {\"r\": \"hidden\"}}",
            "{\"auths\": {\"r\": {\"auth\": \"hidden!\"}}}",
            "{\"auths\": {\"r\": {\"auth\": \"aGlkZGVu\"}}}",
            "{\"credHelpers\": {\"r\": \"../hidden\"}}",
            "{\"credsStore\": 7}",
            &huge,
        ];
        for text in wrong {
            let error = of_text(text, "r").await.err().unwrap_or_else(|| panic!("{text}"));
            assert!(error.message.contains("config.json: "), "{error}");
            assert!(!error.message.contains("hidden") && !error.message.contains("aGlkZGVu"), "{error}");
        }
        for text in ["", "{}", "{\"auths\": {}}", "{\"auths\": {\"r\": {}}}", "{\"auths\": {\"q\": 7}}"] {
            assert_eq!(user(&of_text(text, "r").await.unwrap(), "r", "x"), None, "{text}");
        }
    }
}

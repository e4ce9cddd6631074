//! Who asks: credentials from the pipeline, from the files of Docker and Podman, from helpers; tokens and their end.

use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::support::fault::{self, Seen, Server, Shelf};
use crate::support::images::Format;
use crate::support::project::{Project, Report, Running};
use crate::support::registry::Registry;
use crate::support::stock;
use crate::support::words::{exit, outcome};

const BUSYBOX: &str = "library/busybox";
/// bed:Zr8-basic-pw
const LOGIN: &str = "YmVkOlpyOC1iYXNpYy1wdw==";
const HTPASSWD: &str = "bed:$2y$04$abcdefghijklmnopqrstuuP9H7fkyKvlDx3cbrHFpGVP.OpNYMRG.\n";

/// A real registry that wants a password.
struct Guarded {
    registry: Registry,
    _open: Registry,
    _folder: tempfile::TempDir,
}

fn guarded() -> Guarded {
    let open = Registry::start();
    open.push("library/busybox:latest", &stock::busybox().manifest(Format::Oci));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("htpasswd");
    std::fs::write(&file, HTPASSWD).expect("written");
    let auth = format!("auth: {{htpasswd: {{realm: bed, path: \"{}\"}}}}\n", file.display());
    Guarded { registry: open.guarded("", &auth), _open: open, _folder: folder }
}

impl Guarded {
    fn host(&self) -> String {
        self.registry.address().to_string()
    }

    /// The source has these keys, too.
    fn project(&self, keys: &str) -> Project {
        let project = Project::new(&stock::pipeline_for(&self.registry.url(), &[BUSYBOX]));
        add_keys(&project, keys);
        project
    }
}

fn add_keys(project: &Project, keys: &str) {
    project.edit("{kind: registry, ", &format!("{{kind: registry, {keys}"));
}

fn build_in(project: &Project, variables: &[(&str, String)], code: i32) -> Report {
    let mut command = project.command(&["build", "--format", "json"]);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    Running::spawn(command).wait().report(code)
}

/// A helper of the tests' own, in a folder `bin` of the project, which is then the path.
fn helper(project: &Project, name: &str, script: &str) -> (&'static str, String) {
    let file = format!("bin/docker-credential-{name}");
    project.write(&file, format!("#!/bin/sh\nread server\necho \"$1 $server\" >> asked.log\n{script}\n"));
    std::fs::set_permissions(project.path(&file), std::fs::Permissions::from_mode(0o755)).expect("made executable");
    ("PATH", format!("{}:{}", project.path("bin").display(), std::env::var("PATH").unwrap_or_default()))
}

#[test]
fn credentials_from_the_environment_open_a_registry() {
    let guarded = guarded();
    let project = guarded.project("username: \"${env.REG_USER}\", password: \"${secret.REG_PW}\", ");
    let variables = |password: &str| [("REG_USER", "bed".to_owned()), ("REG_PW", password.to_owned())];
    let report = build_in(&project, &variables("wrong"), exit::FAILED);
    assert!(report.stderr.contains("refuses the credentials"), "{}", report.stderr);
    build_in(&project, &variables("Zr8-basic-pw"), exit::DONE);
    assert!(project.read("result/stat/stat_layer.csv").contains("library/busybox,latest,"));
    // Who asks is no part of the question.
    build_in(&project, &variables("another"), exit::DONE).assert_nothing_done();
}

#[test]
fn logins_of_docker_and_podman_are_found_where_they_keep_them() {
    let guarded = guarded();
    let file = |key: &str| json!({"auths": {key: {"auth": LOGIN}}}).to_string();
    let (host, namespace) = (guarded.host(), format!("{}/library", guarded.host()));
    let home = "../home";
    let places = [
        (format!("{home}/.docker/config.json"), None, &host),
        (format!("{home}/.config/containers/auth.json"), None, &namespace),
        ("docker/config.json".to_owned(), Some(("DOCKER_CONFIG", "docker")), &host),
        ("auth.json".to_owned(), Some(("REGISTRY_AUTH_FILE", "auth.json")), &namespace),
        ("run/containers/auth.json".to_owned(), Some(("XDG_RUNTIME_DIR", "run")), &host),
    ];
    for (place, variable, key) in places {
        let project = guarded.project("");
        project.write(&place, file(key));
        let variables: Vec<_> =
            variable.map(|(name, path)| (name, project.path(path).display().to_string())).into_iter().collect();
        let report = build_in(&project, &variables, exit::DONE);
        assert_eq!((report.absent, report.failed), (0, 0), "{place}: {}", report.listing());
    }
}

#[test]
fn credentials_none_asks_anonymously_and_reads_no_file() {
    let guarded = guarded();
    let project = guarded.project("credentials: none, ");
    project.write("../home/.docker/config.json", "no file of logins");
    let report = project.build(&[]);
    assert_eq!((report.absent, report.failed), (1, 0), "{}", report.listing());
    // Nor are they read where they are not wanted: the registry is open, or credentials are given.
    let project = guarded.project("username: bed, password: Zr8-basic-pw, ");
    project.write("../home/.docker/config.json", "no file of logins");
    assert_eq!(project.build(&[]).absent, 0);
}

#[test]
fn a_wrong_file_of_logins_is_named_and_not_shown() {
    let guarded = guarded();
    let project = guarded.project("");
    project
        .write("../home/.docker/config.json", format!("{{\"auths\": {{\"{}\": \"Zr8-basic-pw\"}}}}", guarded.host()));
    let report = project.build_exits(exit::FAILED, &[]);
    assert!(report.stderr.contains(".docker/config.json: the entry"), "{}", report.stderr);
    assert!(!report.stderr.contains("Zr8-basic-pw"), "{}", report.stderr);
}

#[test]
fn a_helper_is_asked_once_for_its_host() {
    let guarded = guarded();
    for key in [format!("\"credHelpers\": {{\"{}\": \"bed\"}}", guarded.host()), "\"credsStore\": \"bed\"".into()] {
        let project = guarded.project("");
        project.write("../home/.docker/config.json", format!("{{{key}}}"));
        let script = r#"echo '{"ServerURL": "x", "Username": "bed", "Secret": "Zr8-basic-pw"}'"#;
        let path = helper(&project, "bed", script);
        let report = build_in(&project, &[path], exit::DONE);
        assert_eq!((report.absent, report.failed), (0, 0), "{}", report.listing());
        assert_eq!(project.read("asked.log"), format!("get {}\n", guarded.host()));
    }
}

#[test]
fn a_helper_without_a_login_means_anonymous_and_one_that_fails_is_named() {
    let guarded = guarded();
    let project = guarded.project("");
    project.write("../home/.docker/config.json", "{\"credsStore\": \"bed\"}");
    let path = helper(&project, "bed", "echo 'credentials not found in native keychain'; exit 1");
    let report = build_in(&project, std::slice::from_ref(&path), exit::DONE);
    assert_eq!((report.absent, report.failed), (1, 0), "{}", report.listing());
    let scripts = ["echo Zr8-basic-pw; exit 1", "echo Zr8-basic-pw", "head -c 3000000 /dev/zero", "kill -9 $$"];
    for script in scripts {
        helper(&project, "bed", script);
        let mut command = project.command(&["build", "--refresh", "--format", "json"]);
        command.env(path.0, &path.1);
        let report = Running::spawn(command).wait().report(exit::FAILED);
        assert!(report.stderr.contains("docker-credential-bed get"), "{script}: {}", report.stderr);
        assert!(!report.stderr.contains("Zr8-basic-pw"), "{script}: {}", report.stderr);
    }
}

/// A registry with tokens, which are given for a login (of any form) and taken as `takes` says.
fn with_tokens(
    grant: impl Fn(&Seen) -> Response + Send + Sync + 'static,
    takes: impl Fn(&Seen) -> bool + Send + Sync + 'static,
) -> Server {
    let mut shelf = Shelf::default();
    for tag in ["latest", "1", "2", "3", "4", "5", "6", "7"] {
        let image = stock::busybox().env("TAG", tag).manifest(Format::Oci);
        shelf.put(&format!("{BUSYBOX}:{tag}"), &image);
    }
    Server::start(move |request| {
        if request.path == "/token" {
            return grant(request);
        }
        if takes(request) {
            return shelf.answer(request);
        }
        fault::challenge(&format!("Bearer realm=\"{}/token\",service=\"bed\"", request.server()))
    })
}

fn token(text: &str) -> Response {
    fault::json(StatusCode::OK, &json!({"access_token": text, "expires_in": 300}))
}

#[test]
fn an_identity_token_gets_tokens_by_post() {
    let grant = |request: &Seen| {
        let wanted = ["grant_type=refresh_token", "refresh_token=long-lived", "service=bed", "client_id=layermill"];
        let scope = "scope=repository%3Alibrary%2Fbusybox%3Apull";
        let fits = request.method == "POST" && request.query.is_empty() && request.header("authorization").is_empty();
        match fits && wanted.iter().chain([&scope]).all(|w| request.body.split('&').any(|pair| pair == *w)) {
            true => token("short-lived"),
            false => fault::error(StatusCode::BAD_REQUEST, "UNSUPPORTED"),
        }
    };
    let server = with_tokens(grant, |request| request.header("authorization") == "Bearer short-lived");
    let host = server.address().to_string();
    let project = Project::new(&stock::pipeline_for(&server.url(), &[BUSYBOX]));
    project
        .write("../home/.docker/config.json", json!({"auths": {&host: {"identitytoken": "long-lived"}}}).to_string());
    let report = project.build(&[]);
    assert_eq!((report.absent, report.failed), (0, 0), "{}", report.listing());
    assert_eq!(server.count("/token"), 1);
    // The same from a helper, which says so by the name of the user.
    let project = Project::new(&stock::pipeline_for(&server.url(), &[BUSYBOX]));
    project.write("../home/.docker/config.json", "{\"credsStore\": \"bed\"}");
    let path = helper(&project, "bed", r#"echo '{"Username": "<token>", "Secret": "long-lived"}'"#);
    assert_eq!(build_in(&project, &[path], exit::DONE).absent, 0);
    assert_eq!(server.count("/token"), 2);
    // One that is no longer taken fails the step, and is not offered to others.
    project.write("../home/.docker/config.json", json!({"auths": {&host: {"identitytoken": "ended"}}}).to_string());
    let mut command = project.command(&["build", "--refresh", "--format", "json"]);
    command.env("LAYERMILL_STORE", project.path("other-store"));
    let report = Running::spawn(command).wait().report(exit::FAILED);
    assert!(report.stderr.contains("refuses the credentials that Docker or Podman keep"), "{}", report.stderr);
    assert_eq!(server.count("/token"), 3);
}

#[test]
fn a_registry_token_is_shown_to_the_registry_as_it_is() {
    let server = with_tokens(|_| token("unused"), |request| request.header("authorization") == "Bearer long-lived");
    let host = server.address().to_string();
    for (kept, code) in [("long-lived", exit::DONE), ("ended", exit::FAILED)] {
        let project = Project::new(&stock::pipeline_for(&server.url(), &[BUSYBOX]));
        project.write("../home/.docker/config.json", json!({"auths": {&host: {"registrytoken": kept}}}).to_string());
        let report = project.build_exits(code, &[]);
        let is_refused = report.stderr.contains("refuses the credentials that Docker or Podman keep");
        assert_eq!((is_refused, report.absent), (code == exit::FAILED, 0), "{}", report.listing());
    }
    assert_eq!(server.count("/token"), 0);
}

#[test]
fn a_token_that_ends_in_mid_crawl_is_renewed_once_and_that_is_counted() {
    let (granted, used) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let grant = move |_: &Seen| token(&format!("t{}", granted.fetch_add(1, Ordering::SeqCst)));
    // The first one ends after five requests, whatever it said of itself.
    let takes = move |request: &Seen| match request.header("authorization") {
        "Bearer t0" => used.fetch_add(1, Ordering::SeqCst) < 5,
        other => other == "Bearer t1",
    };
    let server = with_tokens(grant, takes);
    let project = Project::new(&stock::pipeline_for(&server.url(), &[BUSYBOX]));
    let run = project.run(&["build"]).exits(exit::DONE);
    assert!(run.stderr.contains(" retr"), "the summary says that requests were repeated: {run}");
    assert_eq!(server.count("/token"), 2);
    assert_eq!(project.json("result/tags/library/busybox.json").as_object().expect("tags").len(), 8);
}

#[test]
fn a_token_lasts_as_long_as_it_says_whatever_its_server_takes_for_the_time() {
    for issued_at in ["1999-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "no time"] {
        let grant = move |_: &Seen| {
            let granted = json!({"token": "t", "expires_in": 300, "issued_at": issued_at});
            fault::json(StatusCode::OK, &granted)
        };
        let server = with_tokens(grant, |request| request.header("authorization") == "Bearer t");
        let project = Project::new(&stock::pipeline_for(&server.url(), &[BUSYBOX]));
        assert_eq!(project.build(&[]).failed, 0);
        assert_eq!(server.count("/token"), 1, "{issued_at}");
    }
}

#[test]
fn a_storm_of_401_fails_the_steps_and_ends() {
    let granted = AtomicUsize::new(0);
    let grant = move |_: &Seen| token(&format!("t{}", granted.fetch_add(1, Ordering::SeqCst)));
    // All is well until images are asked for: from then on no token is good enough.
    let storm = Mutex::new(false);
    let takes = move |request: &Seen| {
        let mut storm = storm.lock().expect("no one panicked");
        *storm |= request.path.contains("/blobs/");
        !*storm && request.header("authorization").starts_with("Bearer t")
    };
    let server = with_tokens(grant, takes);
    let project = Project::new(&stock::pipeline_for(&server.url(), &[BUSYBOX]));
    let report = project.build_exits(exit::FAILED, &[]);
    let step = report.step("get_layer_all@repo=library/busybox,tag=latest");
    assert_eq!(step.outcome, outcome::FAILED, "{}", report.listing());
    let message = step.message.as_deref().unwrap_or_default();
    assert!(message.contains(&server.url()) && message.contains("401"), "the host, and what came: {message}");
    assert!(message.contains("/token did not help"), "what was tried: {message}");
    assert_eq!(report.failed, 8, "{}", report.listing());
    assert!(server.count("/token") <= 5, "{} tokens", server.count("/token"));
    assert!(server.seen().len() < 80, "{} requests", server.seen().len());
}

#[test]
fn credentials_that_are_refused_are_not_offered_for_every_repository() {
    let server = with_tokens(|_| fault::error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED"), |_| false);
    let names: Vec<_> = (0..200).map(|n| format!("team/app-{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let url = server.url().replacen("http://", "http://bed:wrong@", 1);
    let project = Project::new(&stock::pipeline_for(&url, &names));
    let report = project.build_exits(exit::FAILED, &["get_tag"]);
    assert_eq!(report.failed, 200, "{}", report.listing());
    assert_eq!(server.count("/token"), 1, "the first goes alone, and nobody sends it again");
}

#[test]
fn a_token_server_that_redirects_takes_no_credentials_elsewhere() {
    let elsewhere = Server::start(|_| token("caught"));
    let to = elsewhere.url();
    let grant =
        move |_: &Seen| fault::reply(StatusCode::TEMPORARY_REDIRECT, &[("Location", &format!("{to}/token"))], "");
    let server = with_tokens(grant, |_| false);
    for login in [json!({"auth": LOGIN}), json!({"identitytoken": "long-lived"})] {
        let project = Project::new(&stock::pipeline_for(&server.url(), &[BUSYBOX]));
        let file = json!({"auths": {server.address().to_string(): login}});
        project.write("../home/.docker/config.json", file.to_string());
        let report = project.build_exits(exit::FAILED, &["get_tag"]);
        assert!(report.stderr.contains("redirects elsewhere"), "{}", report.stderr);
    }
    assert!(elsewhere.seen().is_empty());
}

#[test]
fn what_is_sent_to_a_token_server_does_not_follow_it_about_on_its_host_either() {
    let grant = |request: &Seen| match request.path.as_str() {
        "/token" => fault::reply(StatusCode::TEMPORARY_REDIRECT, &[("Location", "/other")], ""),
        _ => token("unused"),
    };
    let server = with_tokens(grant, |_| false);
    let project = Project::new(&stock::pipeline_for(&server.url(), &[BUSYBOX]));
    let file = json!({"auths": {server.address().to_string(): {"identitytoken": "long-lived"}}});
    project.write("../home/.docker/config.json", file.to_string());
    let report = project.build_exits(exit::FAILED, &["get_tag"]);
    let says = format!("redirects to {}/other, and what it is sent is for one address only", server.url());
    assert!(report.stderr.contains(&says), "{}", report.stderr);
    assert_eq!(server.count("/other"), 0);
}

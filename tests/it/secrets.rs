//! No credential is in anything that a build prints or leaves behind.

use std::os::unix::fs::PermissionsExt;

use axum::http::StatusCode;
use serde_json::json;

use crate::support::fault::{self, Seen, Server, Shelf};
use crate::support::images::Format;
use crate::support::project::{Project, Run, Running, walk};
use crate::support::stock;

const GOOD: &str = "library/good";
/// Its manifests are refused, with an error that repeats what the request carried.
const ECHO: &str = "library/echo";
/// Its token server says nonsense that has the token in it.
const NONSENSE: &str = "library/nonsense";

/// The ways in which we log in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Keys,
    UserPart,
    File,
    Helper,
    IdentityToken,
    Mirror,
}

const KINDS: [Kind; 6] = [Kind::Keys, Kind::UserPart, Kind::File, Kind::Helper, Kind::IdentityToken, Kind::Mirror];

/// What we log in with, what tokens are, and what is in the link to where blobs are.
const PASSWORD: &str = "pw-Qm7xLw2e";
const TOKEN: &str = "tok-Vb3nRk9s";
const SIGNATURE: &str = "sig-Hd5tJc8u";

fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let chunk = |bytes: &[u8]| {
        let all = (0..3).fold(0_usize, |all, i| all << 8 | usize::from(bytes.get(i).copied().unwrap_or(0)));
        (0..4).map(|i| if i > bytes.len() { '=' } else { char::from(ALPHABET[all >> (18 - 6 * i) & 63]) }).collect()
    };
    text.as_bytes().chunks(3).map(chunk).collect::<Vec<String>>().concat()
}

/// Every form in which a secret may be somewhere.
fn forms() -> Vec<String> {
    let mut forms: Vec<String> = [PASSWORD, TOKEN, SIGNATURE].map(str::to_owned).into();
    for text in [PASSWORD, TOKEN, SIGNATURE] {
        // Base64 looks another way after one character more, and what is at an end depends on the neighbours.
        for before in ["", "x", "xx"] {
            let encoded = base64(&format!("{before}{text}"));
            forms.push(encoded[4..encoded.len() - 4].to_owned());
        }
        forms.push(text.bytes().map(|b| format!("{b:02x}")).collect());
    }
    forms
}

/// A registry that takes passwords itself (`basic`) or by tokens.
fn registry(basic: bool, storage: String) -> Server {
    let mut shelf = Shelf::default();
    for repo in [GOOD, ECHO, NONSENSE] {
        shelf.put(&format!("{repo}:latest"), &stock::busybox().manifest(Format::Oci));
    }
    let login = format!("Basic {}", base64(&format!("bed:{PASSWORD}")));
    Server::start(move |request: &Seen| {
        let carried = request.header("authorization");
        if request.path == "/token" {
            let scope = format!("{}{}", request.query, request.body);
            if carried != login && !request.body.contains(PASSWORD) {
                return fault::error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
            }
            if scope.contains("nonsense") {
                return fault::json(StatusCode::OK, &json!({"token": TOKEN, "expires_in": TOKEN}));
            }
            return fault::json(StatusCode::OK, &json!({"token": TOKEN}));
        }
        let wanted = if basic { login.clone() } else { format!("Bearer {TOKEN}") };
        if carried != wanted {
            let bearer = format!("Bearer realm=\"{}/token\"", request.server());
            return fault::challenge(if basic { "Basic realm=\"bed\"" } else { &bearer });
        }
        if request.path.contains(ECHO) {
            let said = format!("what is {carried} of {PASSWORD}?");
            return fault::json(StatusCode::BAD_REQUEST, &json!({"errors": [{"code": "X", "message": said}]}));
        }
        if request.path.contains("/blobs/") {
            let place = format!("{storage}{}?sig={SIGNATURE}", request.path);
            return fault::reply(StatusCode::TEMPORARY_REDIRECT, &[("Location", &place)], "");
        }
        shelf.answer(request)
    })
}

/// A project that logs in there, and the environment of its builds.
fn project(kind: Kind, server: &Server) -> (Project, Vec<(&'static str, String)>) {
    let (url, host) = (server.url(), server.address().to_string());
    let with_user = url.replacen("http://", &format!("http://bed:{PASSWORD}@"), 1);
    let source = match kind {
        Kind::Keys => format!("{{kind: registry, url: \"{url}\", username: bed, password: \"${{secret.PW}}\"}}"),
        Kind::UserPart => format!("{{kind: registry, url: \"{with_user}\"}}"),
        Kind::Mirror => format!("{{kind: registry, url: \"http://127.0.0.1:1\", mirrors: [\"{with_user}\"]}}"),
        Kind::File | Kind::Helper | Kind::IdentityToken => format!("{{kind: registry, url: \"{url}\"}}"),
    };
    let project = Project::new(&stock::pipeline_for("unused", &[GOOD, ECHO, NONSENSE]));
    project.edit("{kind: registry, url: \"unused\"}", &source);
    project.edit("    source: ours\n", "    source: ours\n    retries: 0\n");
    let file = match kind {
        Kind::File => json!({"auths": {host: {"auth": base64(&format!("bed:{PASSWORD}"))}}}),
        Kind::IdentityToken => json!({"auths": {host: {"identitytoken": PASSWORD}}}),
        Kind::Helper => json!({"credsStore": "bed"}),
        _ => json!({}),
    };
    project.write("../given/config.json", file.to_string());
    let helper = format!("#!/bin/sh\necho '{{\"Username\": \"bed\", \"Secret\": \"{PASSWORD}\"}}'\n");
    project.write("../given/docker-credential-bed", helper);
    let given = project.path("../given");
    std::fs::set_permissions(given.join("docker-credential-bed"), PermissionsExt::from_mode(0o755)).expect("set");
    let path = format!("{}:{}", given.display(), std::env::var("PATH").unwrap_or_default());
    std::fs::create_dir_all(project.path("tmp")).expect("created");
    let variables = [
        ("PW", PASSWORD.to_owned()),
        ("DOCKER_CONFIG", given.display().to_string()),
        ("PATH", path),
        ("TMPDIR", project.path("tmp").display().to_string()),
    ];
    (project, variables.into())
}

#[test]
fn no_credential_is_in_anything_that_a_build_prints_or_leaves_behind() {
    let forms = forms();
    let login = base64(&format!("bed:{PASSWORD}"));
    assert!(forms.iter().any(|form| login.contains(form)), "the header of a login would be found");
    for kind in KINDS {
        for basic in [false, true] {
            // Only a token server takes an identity token.
            if basic && kind == Kind::IdentityToken {
                continue;
            }
            let storage = Server::start({
                let mut shelf = Shelf::default();
                shelf.put(&format!("{GOOD}:latest"), &stock::busybox().manifest(Format::Oci));
                move |request| shelf.answer(request)
            });
            let server = registry(basic, storage.url());
            let (project, variables) = project(kind, &server);
            let run = |args: &[&str]| -> Run {
                let mut command = project.command(args);
                command.envs(variables.iter().map(|(name, value)| (name, value)));
                Running::spawn(command).wait()
            };
            let good = "get_layer_all@repo=library/good,tag=latest";
            let printed = [
                run(&["build", "-v", "--events", "events.ndjson", "--trace", "trace.json"]),
                run(&["build", "-v", "--refresh", "--format", "json"]),
                run(&["build", "--refresh", "--events", "-"]),
                run(&["plan", "--force"]),
                run(&["explain", good]),
                run(&["explain", "get_tag@repo=library/echo"]),
                run(&["status"]),
                run(&["graph"]),
                run(&["verify"]),
            ];
            assert!(project.exists("result/layers/library/good/latest.json"), "{kind:?} {basic}: {}", printed[0]);
            assert!(printed[0].stderr.contains("library/echo"), "something fails, too: {}", printed[0]);
            assert!(!storage.seen().is_empty());
            for request in storage.seen() {
                assert!(request.header("authorization").is_empty(), "{kind:?}: it went to another host");
                let rest = format!("{:?} {}", request.headers, request.body);
                assert!(!rest.contains(PASSWORD) && !rest.contains(TOKEN), "{kind:?}: {rest}");
            }
            for form in &forms {
                for run in &printed {
                    assert!(
                        !run.stdout.contains(form) && !run.stderr.contains(form),
                        "{kind:?} {basic}: {form}: {run}"
                    );
                }
                walk(project.around(), &mut |path| {
                    let is_ours = path.ends_with("pipeline.yaml") || path.starts_with(project.around().join("given"));
                    let bytes = std::fs::read(path).expect("read");
                    let has = bytes.windows(form.len()).any(|w| w == form.as_bytes());
                    assert!(is_ours || !has, "{kind:?} {basic}: {form} is in {}", path.display());
                });
            }
        }
    }
}

#[test]
fn a_secret_that_a_server_repeats_is_masked_however_it_is_written() {
    let ascii = |text: &str| text.replace('"', "\\\"").replace('ä', "\\u00e4");
    for password in ["Zr8x\"quoted", "Zr8xäccented", "Zr8x/slash", "Zr8xplain"] {
        let server = Server::start(move |request| {
            if request.path == "/token" {
                return fault::json(StatusCode::OK, &json!({"token": TOKEN}));
            }
            if request.header("authorization").is_empty() {
                return fault::challenge(&format!("Bearer realm=\"{}/token\"", request.server()));
            }
            if request.path.contains(ECHO) {
                let body = format!("{{\"errors\": [{{\"code\": \"X\", \"message\": \"of {}\"}}]}}", ascii(password));
                return fault::reply(StatusCode::BAD_REQUEST, &[("Content-Type", "application/json")], body);
            }
            let long = "x".repeat(50);
            fault::tag_list(
                GOOD,
                [format!("no tag {}", request.header("authorization")).as_str(), &format!("{long} {TOKEN}")],
            )
        });
        let project = Project::new(&stock::pipeline_for(&server.url(), &[GOOD, ECHO]));
        project.edit("{kind: registry, ", "{kind: registry, username: bed, password: \"${secret.PW}\", ");
        let mut command = project.command(&["build", "-v", "--events", "events.ndjson", "get_tag"]);
        command.env("PW", password);
        let run = Running::spawn(command).wait();
        assert!(run.stderr.contains("X of ***") && run.stderr.contains("no tag Bearer ***"), "{run}");
        walk(project.around(), &mut |path| {
            let text = String::from_utf8_lossy(&std::fs::read(path).expect("read")).into_owned();
            let has = [password, &ascii(password), "Zr8x", &TOKEN[..8]].iter().any(|form| text.contains(form));
            assert!(!has, "{password}: {}", path.display());
        });
        for text in [&run.stdout, &run.stderr] {
            assert!(!text.contains("Zr8x") && !text.contains(&TOKEN[..8]), "{run}");
        }
    }
}

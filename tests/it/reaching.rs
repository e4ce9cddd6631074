//! How a registry is reached: TLS, mirrors, proxies, and plain HTTP where it is wanted.

use axum::http::{Method, StatusCode};
use serde_json::Value;

use crate::support::certificates::Authority;
use crate::support::fault::{self, Server, Shelf};
use crate::support::images::Format;
use crate::support::project::{Project, Running};
use crate::support::proxy::Proxy;
use crate::support::registry::Registry;
use crate::support::stock;
use crate::support::words::exit;

const BUSYBOX: &str = "library/busybox";

fn shelf() -> Shelf {
    let mut shelf = Shelf::default();
    shelf.put("library/busybox:latest", &stock::busybox().manifest(Format::Oci));
    shelf
}

fn project(url: &str, keys: &str) -> Project {
    let project = Project::new(&stock::pipeline_for(url, &[BUSYBOX]));
    project.edit("{kind: registry, ", &format!("{{kind: registry, {keys}"));
    project.edit("    source: ours\n", "    source: ours\n    retries: 0\n");
    project
}

/// A real registry that speaks TLS; with more in its entry `tls`.
fn encrypted(authority: &Authority, more: &str) -> (Registry, Registry) {
    let open = Registry::start();
    open.push("library/busybox:latest", &stock::busybox().manifest(Format::Oci));
    (open.guarded(&authority.tls(more), ""), open)
}

#[test]
fn a_private_authority_is_trusted_where_it_is_named() {
    let authority = Authority::new();
    let (registry, _open) = encrypted(&authority, "");
    let url = registry.url().replacen("http://", "https://", 1);
    let stranger = project(&url, "");
    let report = stranger.build_exits(exit::FAILED, &["get_tag"]);
    assert!(report.stderr.to_lowercase().contains("certificate"), "{}", report.stderr);
    let friend = project(&url, "ca: ca.pem, ");
    std::fs::copy(authority.file("ca.pem"), friend.path("ca.pem")).expect("copied");
    assert_eq!(friend.build(&[]).absent, 0);
    for (content, says) in [(None, "ca.pem cannot be read"), (Some("no PEM"), "expected certificates in PEM")] {
        match content {
            None => friend.remove("ca.pem"),
            Some(content) => friend.write("ca.pem", content),
        }
        let report = friend.build_exits(exit::FAILED, &["get_tag", "--refresh"]);
        assert!(report.stderr.contains(says), "{says}: {}", report.stderr);
    }
}

#[test]
fn a_client_certificate_is_shown_to_the_registry_that_wants_one() {
    let authority = Authority::new();
    let clients = format!(", clientcas: [\"{}\"]", authority.file("ca.pem").display());
    let (registry, _open) = encrypted(&authority, &clients);
    let url = registry.url().replacen("http://", "https://", 1);
    let file = |name: &str| authority.file(name).display().to_string();
    let trust = format!("ca: \"{}\", ", file("ca.pem"));
    project(&url, &trust).build_exits(exit::FAILED, &["get_tag"]);
    let ours = format!("client_cert: \"{}\", client_key: \"{}\", ", file("client.pem"), file("client.key"));
    assert_eq!(project(&url, &format!("{trust}{ours}")).build(&[]).absent, 0);
    let half = project(&url, &format!("client_cert: \"{}\", ", file("client.pem")));
    half.run(&["build"]).exits(exit::WRONG).says("`client_cert` without `client_key`");
}

#[test]
fn mirrors_are_asked_in_order_and_the_registry_itself_last() {
    let down = Server::of(Shelf::default());
    let down_url = down.url();
    drop(down);
    let broken = Server::start(|_| fault::error(StatusCode::BAD_GATEWAY, "UNKNOWN"));
    let closed = Server::start(|_| fault::challenge("Basic realm=\"bed\""));
    let empty = Server::of(Shelf::default());
    let own = Server::of(shelf());
    let keys = |last: &str| {
        let urls = [down_url.clone(), broken.url(), closed.url(), empty.url()];
        format!("mirrors: [\"{}\"{last}], ", urls.join("\", \""))
    };
    let first = project(&own.url(), &keys(""));
    let report = first.build(&[]);
    assert_eq!((report.absent, report.failed), (0, 0), "{}", report.listing());
    assert_eq!(broken.count("/"), 1, "a mirror that is down rests");
    assert!(empty.count("/blobs/") == 1 && own.count("/blobs/") == 1, "one that has it not is asked each time");

    // One that has it all is enough.
    let full = Server::of(shelf());
    let before = own.count("/");
    let second = project(&own.url(), &keys(&format!(", \"{}\"", full.url())));
    second.build(&[]);
    assert_eq!(own.count("/"), before);
    assert!(full.count("/blobs/") == 1);

    // Where an answer came from is no part of the question.
    let pipeline = project(&own.url(), "").read("pipeline.yaml");
    second.write("pipeline.yaml", pipeline);
    second.build(&[]).assert_nothing_done();
}

#[test]
fn a_mirror_that_sends_wrong_bytes_is_passed_over_and_named() {
    let lying = || {
        let shelf = shelf();
        Server::start(move |request| match request.path.contains("sha256:") && request.method == Method::GET {
            true => fault::content(request, "application/vnd.oci.image.manifest.v1+json", "sha256:0", "{}".into()),
            false => shelf.answer(request),
        })
    };
    let (first, second, own) = (lying(), lying(), Server::of(shelf()));
    let project = project(&own.url(), &format!("mirrors: [\"{}\", \"{}\"], ", first.url(), second.url()));
    project.edit("{from: get_tag, select: all}}\n", "{from: get_tag, select: all}}\n    sizes: uncompressed\n");
    let run = project.run(&["build", "--format", "json"]).exits(exit::DONE);
    assert!(project.read("result/stat/stat_layer.csv").contains("library/busybox,latest,2,"), "{run}");
    let told: Value = serde_json::from_str(&run.stdout).expect("a report");
    let hosts = told["hosts"].as_array().expect("hosts");
    for mirror in [&first, &second] {
        let note = hosts.iter().find(|note| note["host"] == mirror.url()).expect("it is named");
        // A manifest, a config; a layer that is counted, since its end tells nothing.
        assert_eq!(note["wrong_content"], 3, "{hosts:?}");
        let says = format!("{}: sent other content than was asked for 3 times", mirror.url());
        assert!(run.stderr.contains(&says), "{run}");
    }
    assert_eq!(hosts.len(), 2, "{hosts:?}");

    let broken = Server::start(|_| fault::error(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN"));
    let project = self::project(&broken.url(), &format!("mirrors: [\"{}\"], ", first.url()));
    let report = project.build_exits(exit::FAILED, &[]);
    let says = format!(" of {}: expected content of this digest", first.url());
    assert!(report.stderr.contains(&says), "{}", report.stderr);
}

#[test]
fn where_all_addresses_fail_all_are_named() {
    let broken = Server::start(|_| fault::error(StatusCode::BAD_GATEWAY, "UNKNOWN"));
    let own = Server::start(|_| fault::error(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN"));
    let project = project(&own.url(), &format!("mirrors: [\"{}\"], ", broken.url()));
    let report = project.build_exits(exit::FAILED, &["get_tag"]);
    let message = report.step("get_tag@repo=library/busybox").message.as_deref().unwrap_or_default();
    assert!(message.contains(&own.url()) && message.contains(&broken.url()), "{message}");
}

#[test]
fn plain_http_is_for_this_machine_or_where_it_is_asked_for() {
    let url = "http://registry.invalid:5000";
    project(url, "").run(&["build"]).exits(exit::WRONG).says("would be spoken to without encryption");
    let elsewhere = project("https://registry.invalid", &format!("mirrors: [\"{url}\"], "));
    elsewhere.run(&["build"]).exits(exit::WRONG).says("insecure: true");
    let asked_for = project(url, "insecure: true, ");
    asked_for.build_exits(exit::FAILED, &["get_tag"]);
}

#[test]
fn proxies_of_the_environment_are_used() {
    let server = Server::of(shelf());
    let proxy = Proxy::to(server.address());
    let build = |project: &Project, variables: &[(&str, &str)], code| {
        let mut command = project.command(&["build", "--format", "json"]);
        command.envs(variables.iter().copied());
        Running::spawn(command).wait().report(code)
    };
    let plain = project("http://registry.invalid:5000", "insecure: true, ");
    let with_user = proxy.url().replacen("http://", "http://me:Zr8-proxy-pw@", 1);
    let report = build(&plain, &[("HTTP_PROXY", &with_user), ("http_proxy", &with_user)], exit::DONE);
    assert_eq!((report.absent, report.failed), (0, 0), "{}", report.listing());
    let seen = proxy.seen();
    assert!(seen.iter().all(|head| head.contains(" http://registry.invalid:5000/v2/")), "{seen:?}");
    // me:Zr8-proxy-pw
    assert!(seen.iter().all(|head| head.to_lowercase().contains("proxy-authorization: basic ")), "{seen:?}");
    assert!(server.seen().iter().all(|s| s.header("authorization").is_empty()));

    let authority = Authority::new();
    let (registry, _open) = encrypted(&authority, "");
    let tunnel = Proxy::to(registry.address());
    let keys = format!("ca: \"{}\", ", authority.file("ca.pem").display());
    let encrypted = project("https://registry.invalid", &keys);
    assert_eq!(build(&encrypted, &[("HTTPS_PROXY", &tunnel.url())], exit::DONE).absent, 0);
    let seen = tunnel.seen();
    assert!(!seen.is_empty() && seen.iter().all(|h| h.starts_with("CONNECT registry.invalid:443 ")), "{seen:?}");

    let direct = project("https://registry.invalid", &keys);
    let variables = [("HTTPS_PROXY", tunnel.url()), ("NO_PROXY", "registry.invalid".into())];
    build(&direct, &variables.each_ref().map(|(n, v)| (*n, v.as_str())), exit::FAILED);
    assert_eq!(tunnel.seen().len(), seen.len(), "not for those that it is not for");

    // What is on this machine is not asked for elsewhere.
    let here = project(&server.url(), "");
    let nowhere = "http://127.0.0.1:1";
    build(&here, &[("HTTP_PROXY", nowhere), ("http_proxy", nowhere), ("ALL_PROXY", nowhere)], exit::DONE);
}

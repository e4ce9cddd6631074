//! Whose certificates are trusted, and what is said of those that are not.

use crate::support::certificates::Authority;
use crate::support::clock::Clock;
use crate::support::images::Format;
use crate::support::project::{Project, Run, Running};
use crate::support::registry::Registry;
use crate::support::stock;
use crate::support::words::exit;

/// A real registry that shows the `server` of an authority, and the one that it has its content from.
fn showing(authority: &Authority) -> (Registry, Registry) {
    let open = Registry::start();
    open.push("library/busybox:latest", &stock::busybox().manifest(Format::Oci));
    (open.guarded(&authority.tls(""), ""), open)
}

fn at(host: &str, registry: &Registry, keys: &str) -> Project {
    let url = format!("https://{host}:{}", registry.address().port());
    let project = Project::new(&stock::pipeline_for(&url, &["library/busybox"]));
    project.edit("{kind: registry, ", &format!("{{kind: registry, {keys}"));
    project
}

fn naming(authority: &Authority, file: &str) -> String {
    format!("ca: \"{}\", ", authority.file(file).display())
}

/// That it failed, in these words, and in no others than a person's.
fn refuses(run: Run, words: &str, help: &str) {
    let run = run.exits(exit::FAILED).says(words).says(&format!("help: {help}"));
    for foreign in ["Error", "Other(", "UNIX", "InvalidCertificate", "attempts"] {
        assert!(!run.stderr.contains(foreign), "{foreign}: {run}");
    }
}

#[test]
fn a_certificate_that_a_registry_signed_itself_is_trusted_where_just_that_one_is_named() {
    let (ours, other) = (Authority::of_itself(), Authority::of_itself());
    let (registry, _open) = showing(&ours);
    let named = naming(&ours, "server.pem");
    assert_eq!(at("localhost", &registry, &named).build(&[]).absent, 0);

    let help = "name the file of its authority (PEM) under `ca:` of the source; of a certificate that is signed by itself, \
                that certificate";
    for keys in [String::new(), naming(&other, "server.pem")] {
        let run = at("localhost", &registry, &keys).run(&["build"]);
        refuses(run, "cannot be reached: its certificate is one of an authority, and not named", help);
    }
    // Neither for another name, nor after its time.
    let help = "a certificate for the name that stands in `url:` is wanted";
    let run = at("127.0.0.1", &registry, &named).run(&["build"]);
    refuses(run, "its certificate is not for 127.0.0.1, but for localhost", help);
    for (days, words) in [(60, "its certificate ended on "), (-60, "its certificate begins on ")] {
        let clock = Clock::new();
        clock.jump(days * 24);
        let project = at("localhost", &registry, &named);
        let run = Running::spawn(clock.of(project.command(&["build"]))).wait();
        refuses(run, words, "is this machine's clock right?");
    }
}

#[test]
fn what_tls_takes_exception_to_is_said_in_words() {
    let authority = Authority::new();
    let (registry, open) = showing(&authority);
    let run = at("localhost", &registry, "").run(&["build"]);
    refuses(run, "its certificate is by an authority that is not trusted", "name the file of its authority");
    let run = at("localhost", &registry, &naming(&Authority::new(), "ca.pem")).run(&["build"]);
    refuses(run, "its certificate is ", "name the file of its authority");
    let run = at("localhost", &open, "").run(&["build"]);
    refuses(run, "cannot be reached: what came is no TLS", "the server does not speak TLS there");
    at("localhost", &registry, &naming(&authority, "ca.pem")).run(&["build"]).exits(exit::DONE);
}

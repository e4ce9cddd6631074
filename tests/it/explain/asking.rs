//! Asking that is under way, or was when its build ended, is told as running commands are.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::fault::{Server, Shelf, stalls};
use crate::support::images::Format;
use crate::support::project::{Project, Running};
use crate::support::stock;
use crate::support::words::exit;

use super::assert_says;

/// A registry that answers nothing more to paths with these words, until it is told to; and who reads there.
fn stuck(words: &'static str, fresh: &str) -> (Server, Arc<AtomicBool>, Project) {
    let mut shelf = Shelf::default();
    shelf.put("library/busybox:latest", &stock::busybox().manifest(Format::Oci));
    let is_stuck = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&is_stuck);
    let server = Server::start(move |request| {
        let stays = asked.load(Ordering::SeqCst) && request.path.contains(words);
        if stays { stalls() } else { shelf.answer(request) }
    });
    let project = Project::new(&format!(
        "version: 1
sources: {{ours: {{kind: registry, url: \"{}\"}}}}
targets:
  tags: {{rule: tags, source: ours, foreach: {{repo: [library/busybox]}}, output: \"tags/{{repo}}.json\"{fresh}}}
  layers: {{rule: layers, source: ours, foreach: {{tag: {{from: tags, select: all}}}}, output: \"layers/{{repo}}/{{tag}}.json\"}}
",
        server.url()
    ));
    (server, is_stuck, project)
}

/// A build that has come to what is not answered.
fn come_to(server: &Server, words: &str, project: &Project) -> Running {
    let asked = || server.seen().iter().filter(|seen| seen.path.contains(words)).count();
    let before = asked();
    let mut build = project.start(&["build", "layers"]);
    build.until("it asks", |_| (asked() > before).then_some(()));
    build
}

#[test]
fn a_list_of_tags_that_is_asked_for_is_told_until_it_is_there() {
    let (server, is_stuck, project) = stuck("/tags/list", "");
    let mut build = come_to(&server, "/tags/list", &project);
    let step = "tags@repo=library/busybox";
    assert_says(&project.explain(step), &[": missing\n", "  running   20", ": a build asks its source now\n"]);
    build.signal(rustix::process::Signal::KILL);
    build.wait();
    let words =
        ["  interrupted 20", ": the build was killed while its source was asked\n", "it was asked because: first"];
    assert_says(&project.explain(step), &words);
    build = come_to(&server, "/tags/list", &project);
    build.signal(rustix::process::Signal::INT);
    build.wait().exits(exit::INTERRUPTED);
    assert_says(&project.explain(step), &["the build was interrupted while its source was asked\n"]);
    is_stuck.store(false, Ordering::SeqCst);
    project.build(&[]);
    assert!(!project.explain(step).contains("interrupted"));
    assert!(!project.exists(".layermill/failures.json") && !project.exists(".layermill/tmp"));
}

#[test]
fn what_is_got_of_a_source_is_told_as_what_runs() {
    let (server, is_stuck, project) = stuck("/blobs/", "");
    let build = come_to(&server, "/blobs/", &project);
    let step = "layers@repo=library/busybox,tag=latest";
    assert_says(&project.explain(step), &["  running   20", ": a build makes it now\n"]);
    // What has been answered is over.
    assert!(!project.explain("tags").contains("running"));
    build.signal(rustix::process::Signal::KILL);
    build.wait();
    assert_says(&project.explain(step), &[": the build was killed while it ran\n", "it ran because: first build\n"]);
    assert!(!project.explain("tags").contains("interrupted"));
    is_stuck.store(false, Ordering::SeqCst);
    project.build(&[]);
    assert!(!project.explain(step).contains("interrupted"));
}

#[test]
fn an_answer_that_was_as_before_is_not_told_as_cut_off_when_the_build_was_killed_later() {
    let (server, is_stuck, project) = stuck("/blobs/", ", fresh: always");
    is_stuck.store(false, Ordering::SeqCst);
    project.build(&[]);
    std::fs::remove_dir_all(project.path(".layermill/store")).expect("removed");
    project.remove("layers/library/busybox/latest.json");
    is_stuck.store(true, Ordering::SeqCst);
    let build = come_to(&server, "/blobs/", &project);
    build.signal(rustix::process::Signal::KILL);
    build.wait();
    assert!(!project.explain("tags").contains("interrupted"), "{}", project.explain("tags"));
}

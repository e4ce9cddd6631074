//! Asking that is under way, or was when its build ended, is told as running commands are.

use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::support::clock::Clock;
use crate::support::fault::{Server, Shelf, stalls};
use crate::support::images::Format;
use crate::support::project::{Project, Running};
use crate::support::stock;
use crate::support::words::exit;

use super::assert_says;

/// The words of paths that nothing is answered to.
struct Stuck(Arc<Mutex<Option<&'static str>>>);

impl Stuck {
    fn at(&self, words: Option<&'static str>) {
        *self.0.lock().expect("no one panicked") = words;
    }
}

/// A registry that answers nothing more to paths with these words, until it is told to; and who reads there.
fn stuck(words: &'static str, fresh: &str) -> (Server, Stuck, Project) {
    stuck_with(&["latest"], words, fresh)
}

fn stuck_with(tags: &[&str], words: &'static str, fresh: &str) -> (Server, Stuck, Project) {
    let mut shelf = Shelf::default();
    let image = stock::busybox().manifest(Format::Oci);
    tags.iter().for_each(|tag| shelf.put(&format!("library/busybox:{tag}"), &image));
    let stuck = Stuck(Arc::new(Mutex::new(Some(words))));
    let at = Arc::clone(&stuck.0);
    let server = Server::start(move |request| {
        let stays = at.lock().expect("no one panicked").is_some_and(|words| request.path.contains(words));
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
    (server, stuck, project)
}

/// A build that has come to what is not answered.
fn come_to(server: &Server, words: &str, project: &Project) -> Running {
    comes_to(server, words, project.command(&["build", "layers"]))
}

fn comes_to(server: &Server, words: &str, build: Command) -> Running {
    let asked = || server.seen().iter().filter(|seen| seen.path.contains(words)).count();
    let before = asked();
    let mut build = Running::spawn(build);
    build.until("it asks", |_| (asked() > before).then_some(()));
    build
}

#[test]
fn a_list_of_tags_that_is_asked_for_is_told_until_it_is_there() {
    let (server, at, project) = stuck("/tags/list", "");
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
    at.at(None);
    project.build(&[]);
    assert!(!project.explain(step).contains("interrupted"));
    assert!(!project.exists(".layermill/failures.json") && !project.exists(".layermill/tmp"));
}

#[test]
fn what_is_got_of_a_source_is_told_as_what_runs() {
    let (server, at, project) = stuck("/blobs/", "");
    let build = come_to(&server, "/blobs/", &project);
    let step = "layers@repo=library/busybox,tag=latest";
    assert_says(&project.explain(step), &["  running   20", ": a build makes it now\n"]);
    // What has been answered is over.
    assert!(!project.explain("tags").contains("running"));
    build.signal(rustix::process::Signal::KILL);
    build.wait();
    assert_says(&project.explain(step), &[": the build was killed while it ran\n", "it ran because: first build\n"]);
    assert!(!project.explain("tags").contains("interrupted"));
    at.at(None);
    project.build(&[]);
    assert!(!project.explain(step).contains("interrupted"));
}

#[test]
fn an_answer_that_was_as_before_is_not_told_as_cut_off_when_the_build_was_killed_later() {
    let (server, at, project) = stuck("/blobs/", ", fresh: always");
    at.at(None);
    project.build(&[]);
    std::fs::remove_dir_all(project.path(".layermill/store")).expect("removed");
    project.remove("layers/library/busybox/latest.json");
    at.at(Some("/blobs/"));
    let build = come_to(&server, "/blobs/", &project);
    build.signal(rustix::process::Signal::KILL);
    build.wait();
    assert!(!project.explain("tags").contains("interrupted"), "{}", project.explain("tags"));
}

#[test]
fn a_list_that_was_resumed_is_not_told_as_cut_off_when_the_build_was_killed_later() {
    let (server, at, project) = stuck_with(&["1.36", "latest"], "/blobs/", ", fresh: 24h");
    let clock = Clock::new();
    let build = |args: &[&str]| clock.of(project.command(&[&["build"], args].concat()));
    let explained = || Running::spawn(clock.of(project.command(&["explain", "tags"]))).wait().exits(exit::DONE).stdout;
    let kill = |build: Running| {
        build.signal(rustix::process::Signal::KILL);
        build.wait();
    };
    at.at(None);
    Running::spawn(build(&[])).wait().exits(exit::DONE);
    let times = ["unchanged", "changed"];
    for (n, time) in times.iter().enumerate() {
        if *time == "changed" {
            project.edit("rule: tags,", "rule: tags, omit: [\"1\"],");
        }
        clock.jump(25 * (1 + i64::try_from(n).expect("few")));
        at.at(Some("/manifests/latest"));
        // One of two is answered, twice, before the build is killed.
        for _ in 0..2 {
            let mut build = comes_to(&server, "/manifests/latest", build(&["tags"]));
            build.until("the other is learnt", |_| learnt(&project).then_some(()));
            kill(build);
            assert_says(&explained(), &["the build was killed while its source was asked"]);
        }
        // All of it is answered, and the build killed in what comes then.
        std::fs::remove_dir_all(project.path(".layermill/store")).expect("removed");
        let _ = std::fs::remove_file(project.path("layers/library/busybox/latest.json"));
        at.at(Some("/blobs/"));
        kill(comes_to(&server, "/blobs/", build(&["layers"])));
        let told = explained();
        assert!(!told.contains("interrupted") && !told.contains("killed"), "{time}: {told}");
    }
    at.at(None);
    Running::spawn(build(&[])).wait().exits(exit::DONE);
    assert!(!project.exists(".layermill/failures.json"));
}

/// Whether a part of a list of tags is kept for the next build.
fn learnt(project: &Project) -> bool {
    let mut found = false;
    crate::support::project::walk(&project.path(".layermill"), &mut |path| {
        found |= path.extension().is_some_and(|ending| ending == "tags");
    });
    found
}

#[test]
fn a_plan_of_questions_alone_says_so_and_tells_those_that_are_alike_in_one_line() {
    let project = Project::clone_of_the_repository("clone");
    project.edit("fresh: exists ", "fresh: digest ");
    let first = project.run(&["plan"]).stdout;
    assert!(
        !first.contains(" more)  ") && !first.contains("note "),
        "what was never asked is no question again\n{first}"
    );
    project.build(&[]);

    let one = "run      get_tag@repo=library/alpine (+7 more)  freshness: asked each time (digest)\n";
    let note = "note     all that is sure to be due is to ask again what was asked before\n";
    let plan = project.run(&["plan"]).stdout;
    assert_says(&plan, &[one, note, "8 to run, "]);
    assert_eq!(plan.matches("freshness: ").count(), 1, "{plan}");
    assert_eq!(project.run(&["plan", "-v"]).stdout.matches("freshness: asked each time").count(), 8);
    assert_eq!(project.plan(&[]).of("get_tag").len(), 8);

    project.remove("result/tags/library/nginx.json");
    let plan = project.run(&["plan"]).stdout;
    assert_says(
        &plan,
        &["run      get_tag@repo=library/nginx  missing output: ", "get_tag@repo=library/node (+4 more)  "],
    );
    assert!(!plan.contains(note), "{plan}");
}

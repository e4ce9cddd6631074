//! Registries that are not there, or not for a while.

use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::support::clock::Clock;
use crate::support::images::Format;
use crate::support::project::{Project, Running};
use crate::support::registry::{Mark, Registry};
use crate::support::stock;
use crate::support::until;
use crate::support::words::exit;

/// The address of a host at which nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}", listener.local_addr().expect("bound"))
}

fn of_many(url: &str, repositories: usize, keys: &str) -> Project {
    let names: Vec<String> = (0..repositories).map(|n| format!("team/r{n:02}")).collect();
    let project = Project::new(&stock::pipeline_for(url, &names.iter().map(String::as_str).collect::<Vec<_>>()));
    project.edit("    source: ours\n", &format!("    source: ours\n{keys}"));
    project
}

#[test]
fn a_host_that_is_down_costs_all_who_want_it_as_much_as_one_and_is_named_once() {
    let url = nobody();
    let project = of_many(&url, 60, "    retries: 3\n");
    let run = project.run(&["build", "--format", "json"]).exits(exit::FAILED);
    let report: Value = serde_json::from_str(&run.stdout).expect("a report");
    let failures = report["failures"].as_array().expect("failures");
    assert_eq!(failures.len(), 60, "programs are told of each");
    let messages: BTreeSet<&str> = failures.iter().filter_map(|f| f["message"].as_str()).collect();
    let says = format!("{url} cannot be reached: Connection refused");
    assert!(messages.len() == 1 && messages.iter().all(|message| message.starts_with(&says)), "{messages:?}");
    // One request with its retries; later ones now and then.
    assert!(report["requests"].as_u64().is_some_and(|n| (4..20).contains(&n)), "{}", report["requests"]);

    let names =
        "\n  get_tag@repo=team/r00, get_tag@repo=team/r01, get_tag@repo=team/r02 and 57 more\n  help: is its address";
    assert!(run.stderr.contains(&format!("failed 60 steps: {says}")) && run.stderr.contains(names), "{run}");
    assert_eq!(run.stderr.matches(&says).count(), 1, "{run}");
    assert!(run.stderr.contains("\n  61 steps wait for them\n"), "the statistics, for all of them: {run}");

    let mut command = project.command(&["build"]);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", project.path("summary.md"));
    let run = Running::spawn(command).wait().exits(exit::FAILED);
    assert!(run.stderr.contains(&format!("::error title=60 steps::{says}")), "{run}");
    assert_eq!(run.stderr.matches(&says).count(), 1, "{run}");
    let page = project.read("summary.md");
    assert!(
        page.contains("get\\_tag@repo=team/r02 and 57 more") && page.matches("cannot be reached").count() == 1,
        "{page}"
    );
}

#[test]
fn a_host_whose_name_is_none_fails_in_words() {
    let project = of_many("https://registry.invalid", 40, "    retries: 1\n");
    let run = project.run(&["build"]).exits(exit::FAILED);
    assert!(run.stderr.contains("failed 40 steps: https://registry.invalid cannot be reached: "), "{run}");
    assert!(run.stderr.contains("help: is its address right"), "{run}");
}

#[test]
fn a_host_from_which_nothing_comes_costs_as_much_as_one_request_too() {
    // So many connections wait for it that it takes no other.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let listener = socket.listen(0).expect("it listens");
    let address = listener.local_addr().expect("bound");
    let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(300));
    let waiting: Vec<_> = (0..8).map(connect).collect();
    assert!(waiting.iter().any(Result::is_err), "it is full");
    // Also where a step itself has less time than a connection has.
    for (of_source, of_target) in [("idle_timeout: 1s, ", ""), ("", "    timeout: 1s\n")] {
        let project = of_many(&format!("http://{address}"), 60, &format!("    retries: 1\n{of_target}"));
        project.edit("{kind: registry, ", &format!("{{kind: registry, concurrency: 8, {of_source}"));
        let run = project.run(&["build", "--format", "json"]).exits(exit::FAILED);
        let says = format!("failed 60 steps: http://{address} cannot be reached: it does not answer");
        assert!(run.stderr.contains(&says), "{run}");
        assert!(run.report(exit::FAILED).requests < 20);
    }
}

#[test]
fn few_failures_are_named_one_by_one() {
    let url = nobody();
    let run = of_many(&url, 3, "    retries: 0\n").run(&["build"]).exits(exit::FAILED);
    for repo in ["team/r00", "team/r01", "team/r02"] {
        assert!(run.stderr.contains(&format!("failed get_tag@repo={repo}: {url} cannot be reached")), "{run}");
    }
}

/// A registry with so many tags of one repository.
fn tags(n: usize) -> Registry {
    let registry = Registry::start();
    let image = stock::busybox().manifest(Format::Oci);
    (0..n).for_each(|n| registry.push(&format!("team/r00:{n}"), &image));
    registry
}

/// How many of them were asked about since.
fn heads(registry: &Registry, since: Mark) -> usize {
    let heads = registry.requests_since(since).into_iter().filter(|r| r.method == "HEAD" && r.status == 200);
    heads.map(|request| request.path).collect::<BTreeSet<_>>().len()
}

/// Kills a build of the tags in the middle: how many were answered by then.
fn killed(project: &Project, registry: &Registry, args: &[&str]) -> usize {
    let mark = registry.mark();
    let mut build = project.start(&[&["build", "get_tag"], args].concat());
    build.until("half of the tags were asked about", |_| (heads(registry, mark) > 180).then_some(()));
    build.signal(rustix::process::Signal::KILL);
    build.wait();
    heads(registry, mark)
}

const TAGS: usize = 400;
/// What may be under way, or answered to nobody.
const LOST: usize = 4 + 4;

#[test]
fn a_build_that_was_killed_in_a_list_of_tags_asks_for_the_rest() {
    let registry = tags(TAGS);
    let project = of_many(&registry.url(), 1, "");
    project.edit("{kind: registry, ", "{kind: registry, concurrency: 4, ");
    let before = killed(&project, &registry, &[]);
    let to_come = project.explain("get_tag");
    let plan = project.run(&["plan", "get_tag"]).exits(exit::DONE).stdout;
    let mark = registry.mark();
    project.build(&["get_tag"]);
    let again = heads(&registry, mark);
    assert!((TAGS - before..=TAGS - before + LOST).contains(&again), "{again} of {TAGS}, and {before} before");
    assert_eq!(project.json("result/tags/team/r00.json").as_object().map(serde_json::Map::len), Some(TAGS));
    // What was not asked for again is told, before and after, and as of when it is.
    let kept = TAGS - again;
    let told = format!(
        "its source for the tags of team/r00, but for {kept} digests that a try that did not end was told since "
    );
    let since = to_come.split_once(&told).unwrap_or_else(|| panic!("`{told}` is not said:\n{to_come}")).1;
    let since = since.lines().next().expect("a time");
    let planned = format!(
        "first build (interrupted when it was last tried; a try that did not end was told {kept} digests since {since})\n"
    );
    assert!(plan.contains(&planned), "`{planned}` is not said:\n{plan}");
    let asked = format!(
        "asked at  {since}: answered\n            from a try that did not end: {kept} digests, of then or later; all else was asked for after that\n            it was asked because: first build\n"
    );
    let explained = project.explain("get_tag");
    assert!(explained.contains(&asked), "`{asked}` is not said:\n{explained}");
    project.remove("result/tags/team/r00.json");
    project.build(&["get_tag"]);
    let explained = project.explain("get_tag");
    assert!(explained.contains(&asked), "it is the same answer: {explained}");
    project.build(&["get_tag", "--refresh"]);
    let explained = project.explain("get_tag");
    assert!(!explained.contains("did not end"), "{explained}");
    let left = |project: &Project| std::fs::read_dir(project.path(".layermill/pages")).map_or(0, Iterator::count);
    assert_eq!(left(&project), 0, "it is all known");

    // Who wants to know how it is now is not told how it was.
    killed(&project, &registry, &["--refresh"]);
    let mark = registry.mark();
    project.build(&["get_tag", "--refresh"]);
    assert_eq!(heads(&registry, mark), TAGS);
    let again = of_many(&registry.url(), 1, "");
    killed(&again, &registry, &[]);
    assert_eq!(left(&again), 1);
    again.build(&["get_tag", "--refresh"]);
    assert_eq!(left(&again), 0, "what is older than a whole list never comes after it");
    for fresh in ["digest", "always"] {
        let project = of_many(&registry.url(), 1, &format!("    fresh: {fresh}\n"));
        killed(&project, &registry, &[]);
        let mark = registry.mark();
        project.build(&["get_tag"]);
        assert_eq!(heads(&registry, mark), TAGS, "{fresh}");
    }
}

#[test]
fn what_was_learnt_before_a_build_was_killed_is_used_for_as_long_as_it_is_fresh() {
    let registry = tags(TAGS);
    let project = of_many(&registry.url(), 1, "    fresh: 24h\n");
    project.edit("{kind: registry, ", "{kind: registry, concurrency: 4, ");
    let clock = Clock::new();
    let build = |hours: i64| {
        clock.jump(hours);
        let mark = registry.mark();
        Running::spawn(clock.of(project.command(&["build", "get_tag"]))).wait().exits(exit::DONE);
        heads(&registry, mark)
    };
    let before = killed(&project, &registry, &[]);
    let again = build(23);
    assert!((TAGS - before..=TAGS - before + LOST).contains(&again), "{again} of {TAGS}, and {before} before");
    assert_eq!(build(25), TAGS, "the list is as old as the oldest of it");
    assert_eq!(build(25 + 23), 0);

    let project = of_many(&registry.url(), 1, "    fresh: 24h\n");
    killed(&project, &registry, &[]);
    clock.jump(25);
    let mark = registry.mark();
    Running::spawn(clock.of(project.command(&["build", "get_tag"]))).wait().exits(exit::DONE);
    assert_eq!(heads(&registry, mark), TAGS, "too old");
}

#[test]
fn a_build_that_fails_in_a_list_of_tags_leaves_the_next_one_the_rest() {
    let mut registry = tags(TAGS);
    let project = of_many(&registry.url(), 1, "    retries: 1\n");
    project.edit("{kind: registry, ", "{kind: registry, concurrency: 4, ");
    let mark = registry.mark();
    let mut build = project.start(&["build", "get_tag"]);
    build.until("half of the tags were asked about", |_| (heads(&registry, mark) > 180).then_some(()));
    registry.stop();
    build.wait().exits(exit::FAILED);
    let before = heads(&registry, mark);
    registry.resume();
    let mark = registry.mark();
    project.build(&["get_tag"]);
    let again = heads(&registry, mark);
    assert!((TAGS - before..=TAGS - before + 4).contains(&again), "{again} of {TAGS}, and {before} before");
    let told = project.explain("get_tag@repo=team/r00");
    assert!(!told.contains("failed"), "that is over: {told}");
}

#[test]
fn a_registry_that_is_started_again_in_mid_crawl_is_survived() {
    let mut registry = tags(TAGS);
    let project = of_many(&registry.url(), 1, "");
    project.edit("{kind: registry, ", "{kind: registry, concurrency: 4, ");
    let mark = registry.mark();
    let mut build = project.start(&["build", "get_tag", "--events", "events.ndjson"]);
    build.until("some tags were asked about", |_| (registry.requests_since(mark).len() > 60).then_some(()));
    registry.stop();
    // Until it was missed.
    let retries = || {
        let text = project.read("events.ndjson");
        let last: Value = text.lines().rev().find_map(|line| serde_json::from_str(line).ok())?;
        last["retries"].as_u64().filter(|n| *n > 1).map(drop)
    };
    until("requests were repeated", retries);
    registry.resume();
    build.wait().exits(exit::DONE);
    assert_eq!(project.json("result/tags/team/r00.json").as_object().map(serde_json::Map::len), Some(TAGS));
}

#[test]
fn in_an_outage_what_the_last_answers_gave_stands_and_is_counted() {
    let mut registry = Registry::start();
    let image = stock::busybox().manifest(Format::Oci);
    ["team/r00:1", "team/r00:2", "team/r01:1"].iter().for_each(|name| registry.push(name, &image));
    let project = of_many(&registry.url(), 2, "    retries: 0\n    fresh: digest\n");
    project.edit("inputs: [get_layer_all]", "inputs: [{target: get_layer_all, partial: true}]");
    project.build(&[]);
    let stat = project.read("result/stat/stat_layer.csv");
    assert_eq!(stat.lines().count(), 4, "{stat}");
    registry.stop();
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!(project.read("result/stat/stat_layer.csv"), stat);
    report.assert_only(&["get_tag@repo=team/r00", "get_tag@repo=team/r01"]);
    // What is gone of it waits for the list, and what goes on without it is made without it.
    project.remove("result/layers/team/r00/2.json");
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!(report.step("get_layer_all@repo=team/r00,tag=2").outcome, "blocked");
    assert_eq!(report.step("stat_layer").message.as_deref(), Some("made without 1 step that is blocked"));
    assert_eq!(project.read("result/stat/stat_layer.csv").lines().count(), 3);
    // What reads all of it waits for the lists.
    project.edit("inputs: [{target: get_layer_all, partial: true}]", "inputs: [get_layer_all]");
    assert_eq!(project.build_exits(exit::FAILED, &[]).step("stat_layer").outcome, "blocked");
    registry.resume();
    project.build(&[]);
    assert_eq!(project.read("result/stat/stat_layer.csv"), stat);
}

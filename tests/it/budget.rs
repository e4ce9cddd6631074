//! Budgets, set and announced: what is spent is not asked for, what needs it is deferred, and a later run goes on there.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::Value;

use crate::support::fault::{self, Seen, Server, Shelf};
use crate::support::front::{behind, with_headers};
use crate::support::images::{Format, Image};
use crate::support::project::{Project, Running, Snapshot};
use crate::support::registry::Registry;
use crate::support::stock;
use crate::support::words::{exit, outcome};

/// Manifests of the stock's registry that a whole build needs: busybox, two of nginx and an index, two of redis, one
/// artifact.
const PULLS: usize = 7;

fn is_pull(seen: &Seen) -> bool {
    seen.method == Method::GET && seen.path.contains("/manifests/")
}

fn pulls(server: &Server) -> Vec<String> {
    server.seen().into_iter().filter(is_pull).map(|s| s.path).collect()
}

fn assert_no_pull_repeated(server: &Server) {
    let pulls = pulls(server);
    let distinct: BTreeSet<&str> = pulls.iter().map(|path| path.rsplit('/').next().expect("a digest")).collect();
    assert_eq!(distinct.len(), pulls.len(), "{pulls:#?}");
}

fn project(server: &Server, keys: &str) -> Project {
    let project = Project::new(&stock::pipeline(&server.url()));
    project.edit("{kind: registry, ", &format!("{{kind: registry, {keys}"));
    project
}

/// A budget that needs no step to wait long for the next window.
fn spends(project: &Project, budget: &str) {
    let text = project.read("pipeline.yaml");
    let start = text.find("budget: ").expect("has one") + "budget: ".len();
    let end = start + text[start..].find(',').expect("more keys");
    project.write("pipeline.yaml", format!("{}{budget}{}", &text[..start], &text[end..]));
}

/// The deferrals that a build told for programs.
fn deferrals(stdout: &str) -> Vec<Value> {
    let report: Value = serde_json::from_str(stdout).expect("a report");
    report["deferrals"].as_array().expect("deferrals").clone()
}

#[test]
fn a_budget_that_is_spent_defers_and_some_runs_later_all_is_there_and_no_manifest_was_got_twice() {
    let server = behind(stock::registry(), |_| None);
    let project = project(&server, "budget: 3/1h, ");
    let run = project.run(&["build", "--format", "json"]).exits(exit::DEFERRED);
    assert_eq!(pulls(&server).len(), 3);
    assert!(run.stderr.contains("the budget of 3 pulls in 1h is spent"), "{run}");
    assert!(run.stderr.contains("build again at ") && run.stderr.contains(" UTC (in 60 min)"), "{run}");
    assert_eq!(deferrals(&run.stdout)[0]["why"], "the budget of 3 pulls in 1h is spent");
    let until = deferrals(&run.stdout)[0]["until"].as_str().expect("a time").to_owned();
    assert!(until.ends_with('Z') && until.starts_with("20"), "{until}");
    let report = run.report(exit::DEFERRED);
    assert!(report.deferred > 0 && report.failed + report.blocked == 0, "{}", report.listing());
    assert_eq!(report.step("stat_layer").outcome, outcome::DEFERRED, "what reads it waits too");
    assert_eq!(report.of("get_tag").len(), stock::REPOSITORIES.len(), "tags are not charged for");
    assert!(project.exists("result/tags/library/redis.json") && !project.exists("result/stat/stat_layer.csv"));

    // What was spent outlives the run.
    let before = server.seen().len();
    project.build_exits(exit::DEFERRED, &[]);
    assert_eq!(pulls(&server).len(), 3, "an hour has not passed");
    assert!(server.seen()[before..].iter().all(|s| !s.path.ends_with("/tags/list")), "tags are known");

    spends(&project, "5/1h");
    project.build_exits(exit::DEFERRED, &[]);
    assert_eq!(pulls(&server).len(), 5);
    spends(&project, "100/1h");
    assert_eq!(project.build(&[]).deferred, 0);
    assert_eq!(pulls(&server).len(), PULLS);
    assert_no_pull_repeated(&server);
    project.build(&[]).assert_nothing_done();

    let unlimited = Project::new(&stock::pipeline(&server.url()));
    unlimited.build(&[]);
    project.snapshot().assert_same_bytes(&unlimited.snapshot(), "result/");
}

#[test]
fn what_does_not_need_the_source_is_built_and_a_partial_aggregate_goes_on_without() {
    let server = behind(stock::registry(), |_| None);
    let project = project(&server, "budget: 1/1h, ");
    project.edit("default: [stat_layer]", "default: [stat_layer, some, other, after]");
    let more = "
  some:
    rule: stat
    inputs: [{target: get_layer_all, partial: true}]
    output: result/stat/some.csv

  other:
    rule: command
    run: \"echo done > {out}\"
    output: result/other.txt

  after:
    rule: command
    inputs: [stat_layer]
    run: \"cp {in} {out}\"
    output: result/after.txt
";
    project.write("pipeline.yaml", project.read("pipeline.yaml") + more);
    // One at a time, so that the one pull makes an image.
    project.edit("{kind: registry, ", "{kind: registry, concurrency: 1, ");
    let report = project.build_exits(exit::DEFERRED, &[]);
    assert_eq!(project.read("result/other.txt"), "done\n");
    assert_eq!(report.step("some").outcome, outcome::BUILT);
    assert!(report.stderr.contains("some: made without "), "the summary says how many: {}", report.stderr);
    let lines = project.read("result/stat/some.csv").lines().count();
    assert!((1..1 + stock::IMAGES.len()).contains(&lines), "{}", project.read("result/stat/some.csv"));
    assert_eq!(report.step("after").outcome, outcome::DEFERRED);
    assert_eq!(report.step("after").message.as_deref(), Some("stat_layer"));
    assert!(report.stderr.contains("2 steps behind them"), "{}", report.stderr);
    spends(&project, "9/1h");
    project.build(&[]);
    assert_eq!(project.read("result/stat/some.csv"), project.read("result/stat/stat_layer.csv"));
}

#[test]
fn a_failure_weighs_more_than_a_deferral() {
    let server = behind(stock::registry(), |seen| {
        (seen.path == "/v2/library/redis/tags/list").then(|| fault::error(StatusCode::BAD_REQUEST, "UNSUPPORTED"))
    });
    let project = project(&server, "budget: 1/1h, ");
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!(report.step("stat_layer").outcome, outcome::BLOCKED, "{}", report.listing());
    assert!(report.deferred > 0 && report.failed == 1, "{}", report.listing());
}

#[test]
fn a_build_waits_for_its_budget_where_it_is_told_to_and_shows_the_time_left() {
    let server = behind(stock::registry(), |_| None);
    let project = project(&server, "budget: 4/3s, ");
    let started = Instant::now();
    let run = project.run(&["build", "--wait-budget", "--events", "events.ndjson"]).exits(exit::DONE);
    assert!(started.elapsed() >= Duration::from_secs(3), "{run}");
    assert_eq!(pulls(&server).len(), PULLS);
    assert_no_pull_repeated(&server);
    let events = project.read("events.ndjson");
    let waits =
        events.lines().filter_map(|line| serde_json::from_str::<Value>(line).expect("JSON")["budget_wait"].as_f64());
    assert!(waits.into_iter().any(|wait| wait > 0.0 && wait <= 3.0), "{events}");
}

/// A registry that counts pulls in windows of its own, as hubs do, and refuses more.
fn counting(limit: usize, window: &'static str, starts: Mutex<(Option<Instant>, usize)>) -> Server {
    let registry = stock::registry();
    let lasts = Duration::from_secs(window.parse().expect("seconds"));
    let left = Arc::new(Mutex::new(limit));
    let seen_left = Arc::clone(&left);
    let announce = move |left: usize| {
        vec![("RateLimit-Limit", format!("{limit};w={window}")), ("RateLimit-Remaining", format!("{left};w={window}"))]
    };
    let first = move |seen: &Seen| {
        if !is_pull(seen) {
            return None;
        }
        let mut state = starts.lock().expect("no one panicked");
        let now = Instant::now();
        if state.0.is_none_or(|began| now.duration_since(began) >= lasts) {
            *state = (Some(now), 0);
        }
        state.1 += 1;
        *left.lock().expect("no one panicked") = limit.saturating_sub(state.1);
        (state.1 > limit).then(|| {
            let headers = announce(0);
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            fault::reply(StatusCode::TOO_MANY_REQUESTS, &headers, "You have reached your pull rate limit.")
        })
    };
    with_headers(registry, first, move |_| announce(*seen_left.lock().expect("no one panicked")))
}

#[test]
fn what_a_registry_announces_is_kept_to_and_not_overdrawn() {
    let server = counting(4, "3600", Mutex::default());
    let project = project(&server, "");
    let report = project.build_exits(exit::DEFERRED, &[]);
    assert_eq!(pulls(&server).len(), 4, "no pull was refused: {}", report.listing());
    let says = "the registry announces that no pulls of 4 in 1h are left";
    assert!(report.stderr.contains(says) && report.stderr.contains("(in 60 min)"), "{}", report.stderr);
    // The next run asks again, finds it out by a HEAD, and spends nothing.
    let report = project.build_exits(exit::DEFERRED, &["--refresh"]);
    assert!(report.deferred > 0);
    assert_eq!(pulls(&server).len(), 4);
}

#[test]
fn a_plan_says_what_the_registry_told_the_last_build_and_withholds_nothing() {
    let server = counting(1, "3600", Mutex::default());
    let project = project(&server, "");
    let before = project.build_exits(exit::DEFERRED, &[]).deferred;
    assert!(before > 1);
    let asked = server.seen().len();
    let plan = project.run(&["plan"]).exits(exit::DONE);
    let json: Value = serde_json::from_str(&project.run(&["plan", "--format", "json"]).stdout).expect("JSON");
    let (needed, told) = (&json["pulls"][0]["needed"], &json["pulls"][0]["told"]);
    let says =
        "; the last build that heard of it was told: the registry announces that no pulls of 1 in 1h are left, until ";
    assert!(plan.stdout.contains(&format!("pulls    {needed} or more of http://")), "{plan}");
    assert!(plan.stdout.contains(says) && plan.stdout.contains(" UTC (in 60 min); if that holds, done at "), "{plan}");
    assert!(plan.stdout.contains(&format!(" UTC (in {needed} h) at the soonest")), "one an hour: {plan}");
    let last = plan.stdout.lines().last().expect("a line");
    assert!(last.contains(" to run") && !last.contains("deferred"), "the next build asks: {plan}");
    assert_eq!(told["why"], "the registry announces that no pulls of 1 in 1h are left");
    assert!(told["until"].as_str().expect("a time") < told["done"].as_str().expect("a time"), "{json}");
    assert_eq!(server.seen().len(), asked, "nothing is asked");
    // What is over is not told any more.
    let kept = project.read(".layermill/failures.json");
    let until = kept.split("\"until\":").nth(1).and_then(|rest| rest.split(',').next()).expect("a time");
    project.write(".layermill/failures.json", kept.replace(until, "1"));
    assert!(!project.run(&["plan"]).stdout.contains("was told"));
}

#[test]
fn a_budget_that_ends_between_an_index_and_its_image_wastes_no_pull() {
    let registry = Registry::start();
    registry.push("library/nginx:latest", &stock::nginx_index("1.27.2", ""));
    let server = behind(registry, |_| None);
    let project = Project::new(&stock::pipeline_for(&server.url(), &["library/nginx"]));
    project.edit("{kind: registry, ", "{kind: registry, budget: 1/1h, ");
    project.build_exits(exit::DEFERRED, &[]);
    assert_eq!(pulls(&server).len(), 1, "the index");
    let plan = project.run(&["plan"]).exits(exit::DONE);
    assert!(plan.stdout.contains("pulls    1 or more of ") && !plan.stdout.contains("was told"), "{plan}");
    spends(&project, "2/1h");
    project.build(&[]);
    assert_eq!(pulls(&server).len(), 2, "its image");
    assert_no_pull_repeated(&server);
}

#[test]
fn a_build_waits_for_what_a_registry_announces() {
    let server = counting(4, "3", Mutex::default());
    let project = project(&server, "");
    project.run(&["build", "--wait-budget"]).exits(exit::DONE);
    let wanted: BTreeSet<_> = pulls(&server).into_iter().collect();
    assert_eq!(wanted.len(), PULLS);
}

#[test]
fn a_refusal_that_counts_defers_however_short_it_is() {
    let refusals: [fn() -> Response; 3] = [
        || fault::reply(StatusCode::TOO_MANY_REQUESTS, &[("Retry-After", "1"), ("RateLimit-Limit", "100")], ""),
        || fault::error(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS"),
        || fault::reply(StatusCode::TOO_MANY_REQUESTS, &[("RateLimit-Remaining", "0;w=21600")], "slow down"),
    ];
    let whens = ["(in 1 s)", "it does not say when", "(in 6 h)"];
    for (refusal, when) in refusals.into_iter().zip(whens) {
        let server = behind(stock::registry(), move |seen| is_pull(seen).then(refusal));
        let project = project(&server, "concurrency: 1, ");
        let report = project.build_exits(exit::DEFERRED, &[]);
        assert_eq!(pulls(&server).len(), 1, "{when}: nothing more is asked for");
        assert!(report.stderr.contains("its limit of requests is spent"), "{}", report.stderr);
        assert!(report.stderr.contains(when), "{when}: {}", report.stderr);
        assert_eq!(report.of("get_tag").len(), stock::REPOSITORIES.len(), "HEADs go on");
        assert_eq!(report.step("get_tag@repo=library/redis").outcome, outcome::BUILT);
    }
}

#[test]
fn a_refusal_of_the_moment_is_tried_again_and_not_deferred() {
    let refused = Mutex::new(0);
    let server = behind(stock::registry(), move |seen| {
        let mut refused = refused.lock().expect("no one panicked");
        *refused += usize::from(is_pull(seen));
        let slow = fault::reply(StatusCode::TOO_MANY_REQUESTS, &[("Retry-After", "1")], "slow down");
        (is_pull(seen) && *refused <= 2).then_some(slow)
    });
    let project = project(&server, "budget: 7/1h, ");
    let report = project.build(&[]);
    assert_eq!((report.deferred, report.failed), (0, 0), "{}", report.listing());
    assert_eq!(pulls(&server).len(), PULLS + 2, "what was refused is not charged to the budget");
}

#[test]
fn all_that_wait_for_a_host_are_deferred_when_it_asks_for_a_long_rest() {
    let mut shelf = Shelf::default();
    for n in 0..40 {
        shelf.put(&format!("a/b:t{n}"), &stock::busybox().env("TAG", &n.to_string()).manifest(Format::Oci));
    }
    let given = Mutex::new(0);
    let server = Server::start(move |seen| {
        let mut given = given.lock().expect("no one panicked");
        *given += usize::from(is_pull(seen));
        match is_pull(seen) && *given > 10 {
            true => fault::reply(StatusCode::TOO_MANY_REQUESTS, &[("Retry-After", "3600")], ""),
            false => shelf.answer(seen),
        }
    });
    let project = Project::new(&stock::pipeline_for(&server.url(), &["a/b"]));
    // Few are under way at once: others wait for their turn when the answer comes.
    project.edit("{kind: registry, ", "{kind: registry, concurrency: 4, ");
    let report = project.build_exits(exit::DEFERRED, &["get_layer_all"]);
    assert_eq!(report.failed, 0, "{}", report.listing());
    assert!(report.deferred >= 25, "{}", report.listing());
    assert!(report.stderr.contains("(in 60 min)"), "{}", report.stderr);
}

#[test]
fn nothing_is_deferred_offline() {
    let server = behind(stock::registry(), |_| None);
    let project = project(&server, "budget: 2/1h, ");
    project.build_exits(exit::DEFERRED, &[]);
    let asked = server.seen().len();
    let report = project.build_exits(exit::FAILED, &["--offline"]);
    assert_eq!(report.deferred, 0, "{}", report.listing());
    assert!(report.failed > 0 && report.stderr.contains("offline"), "{}", report.stderr);
    assert_eq!(server.seen().len(), asked);
}

#[test]
fn a_plan_says_how_many_pulls_are_needed_and_when_it_would_be_done() {
    let server = behind(stock::registry(), |_| None);
    let project = project(&server, "budget: 2/1h, ");
    project.build(&["get_tag"]);
    let before = (server.seen().len(), project.snapshot());
    let plan = project.run(&["plan"]).exits(exit::DONE);
    // An index is one until it is known.
    assert!(plan.stdout.contains("pulls    6 or more of http://"), "{plan}");
    assert!(plan.stdout.contains("; 2 of its budget of 2 pulls in 1h are left; done at "), "{plan}");
    assert!(plan.stdout.contains(" UTC (in 2 h) at the soonest"), "{plan}");
    assert!(plan.stdout.lines().last().expect("a line").contains(" deferred"), "{plan}");
    let json: Value = serde_json::from_str(&project.run(&["plan", "--format", "json"]).stdout).expect("JSON");
    assert_eq!((&json["pulls"][0]["needed"], &json["pulls"][0]["left"]), (&6.into(), &2.into()), "{json}");
    let status = project.run(&["status", "--format", "json"]).exits(exit::DONE);
    let status: Value = serde_json::from_str(&status.stdout).expect("JSON");
    let deferred = |target: &str| {
        let rows = status.as_array().expect("rows");
        rows.iter().find(|r| r["target"] == target).map(|r| r["deferred"].clone()).expect("a row")
    };
    assert_eq!((deferred("get_tag"), deferred("stat_layer")), (0.into(), 1.into()), "{status}");
    assert!(deferred("get_layer_all").as_u64() >= Some(4), "{status}");
    let explained = project.explain("stat_layer");
    assert!(explained.contains("deferred") && explained.contains("waits for"), "{explained}");
    assert_eq!((server.seen().len(), project.snapshot()), before, "nothing is asked or changed");

    spends(&project, "1/1h");
    let plan = project.run(&["plan"]).exits(exit::DONE);
    assert!(plan.stdout.contains("; 1 of its budget of 1 pull in 1h is left; done at "), "{plan}");
    spends(&project, "100/1h");
    let plan = project.run(&["plan"]).exits(exit::DONE);
    assert!(!plan.stdout.contains("done at") && !plan.stdout.contains("deferred"), "{plan}");
    project.build(&[]);
    assert!(!project.run(&["plan"]).stdout.contains("pulls"), "nothing is to be fetched");
}

#[test]
fn a_mirror_that_has_no_more_to_give_is_passed_over() {
    let mut shelf = Shelf::default();
    shelf.put("library/busybox:latest", &stock::busybox().manifest(Format::Oci));
    let own = Server::of(shelf);
    let mirror = Server::start(|_| fault::error(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS"));
    let project = Project::new(&stock::pipeline_for(&own.url(), &["library/busybox"]));
    project.edit("{kind: registry, ", &format!("{{kind: registry, mirrors: [\"{}\"], ", mirror.url()));
    assert_eq!(project.build(&["--wait-budget"]).deferred, 0);
    assert_eq!(mirror.seen().len(), 1, "it is not asked again for a while");
}

#[test]
fn a_budget_that_is_none_is_marked() {
    let server = Server::of(Shelf::default());
    for (budget, says) in [("lots", "pulls and a time are missing"), ("0/6h", "at least 1"), ("5/9x", "90s")] {
        let project = project(&server, &format!("budget: {budget}, "));
        project.run(&["build"]).exits(exit::WRONG).says("not a budget").says(says);
    }
    assert!(server.seen().is_empty());
}

#[test]
fn what_a_deferred_step_made_before_stays_as_it_is() {
    let shelf = Arc::new(Mutex::new(Shelf::default()));
    let put = |image: Image| shelf.lock().expect("no one panicked").put("a/b:latest", &image.manifest(Format::Oci));
    put(stock::busybox());
    let shown = Arc::clone(&shelf);
    let server = Server::start(move |seen| shown.lock().expect("no one panicked").answer(seen));
    let project = Project::new(&stock::pipeline_for(&server.url(), &["a/b"]));
    project.edit("{kind: registry, ", "{kind: registry, budget: 1/1h, ");
    project.build(&[]);
    let before = project.snapshot();
    put(stock::redis("7.4.1"));
    project.build_exits(exit::DEFERRED, &["--refresh"]);
    let after = project.snapshot();
    assert_eq!(before.changes(&after), ["result/tags/a/b.json"], "only what costs nothing has moved");
    let names = |s: &Snapshot| s.names().into_iter().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after));
    spends(&project, "2/1h");
    project.build(&[]);
    assert_eq!(project.json("result/layers/a/b/latest.json")[0]["repo"]["count"], stock::redis("7.4.1").count());
}

#[test]
fn a_build_that_waits_for_a_budget_can_be_interrupted() {
    let server = behind(stock::registry(), |_| None);
    let project = project(&server, "budget: 2/1h, ");
    let mut build = project.start(&["build", "--wait-budget", "--events", "events.ndjson"]);
    let waits = |_: &Running| {
        let events = std::fs::read_to_string(project.path("events.ndjson")).unwrap_or_default();
        events.contains("\"budget_wait\":3").then_some(())
    };
    build.until("it waits", waits);
    build.signal(rustix::process::Signal::INT);
    build.wait().exits(exit::INTERRUPTED);
    assert_eq!(pulls(&server).len(), 2);
}

#[test]
fn what_was_put_off_and_then_cut_off_is_told_as_put_off_before_however_often() {
    let server = behind(stock::registry(), |_| None);
    let project = project(&server, "budget: 2/1h, ");
    project.build_exits(exit::DEFERRED, &[]);
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::KILL] {
        let mut build = project.start(&["build", "--wait-budget", "--events", "events.ndjson"]);
        build.until("it waits", |_: &Running| {
            let events = std::fs::read_to_string(project.path("events.ndjson")).unwrap_or_default();
            events.contains("\"budget_wait\":3").then_some(())
        });
        build.signal(signal);
        build.wait();
        project.remove("events.ndjson");
        let plan = project.run(&["plan", "-v"]).stdout;
        assert!(plan.contains("(interrupted when it was last tried; it had been put off before that)"), "{plan}");
    }
}

#[test]
fn what_a_registry_told_outlasts_builds_that_hear_nothing_of_it() {
    let server = counting(1, "3600", Mutex::default());
    let project = project(&server, "");
    project.build_exits(exit::DEFERRED, &[]);
    let pulls = |plan: &str| {
        let told = plan.lines().find(|line| line.starts_with("pulls ")).expect("pulls").to_owned();
        let (before, rest) = told.split_once(", until ").unwrap_or_else(|| panic!("{plan}"));
        (before.to_owned(), rest.split_once(" UTC (in ").expect("a time").0.to_owned())
    };
    let told = pulls(&project.run(&["plan"]).stdout);
    let until = format!("{}Z", told.1.replace(' ', "T"));
    let put_off = project.run(&["explain", "get_layer_latest"]).stdout;
    assert!(
        put_off.contains(&format!("; build again at {until}\n")),
        "to one second in all places: {until}\n{put_off}"
    );
    // Offline, and then in an outage.
    let mut server = Some(server);
    for arguments in [&["--offline"][..], &["--offline"], &[]] {
        server = server.filter(|_| !arguments.is_empty());
        assert!(project.build_exits(exit::FAILED, arguments).failed > 0);
        let plan = project.run(&["plan", "-v"]).stdout;
        assert_eq!(pulls(&plan), told);
        let before = format!("it had been put off before that, until {until}");
        assert!(plan.contains(&format!("(failed when it was last tried; {before})")), "{plan}");
        let explained = project.run(&["explain", "get_layer_latest"]).stdout;
        assert!(explained.contains(&format!("            {before}\n")), "{explained}");
    }
}

#[test]
fn what_was_put_off_then_failed_and_then_was_cut_off_is_told_as_failed_before() {
    let mut shelf = Shelf::default();
    shelf.put("x/a:latest", &stock::busybox().manifest(Format::Oci));
    let phase = Arc::new(AtomicUsize::new(0));
    let server = Server::start({
        let phase = phase.clone();
        move |seen| match phase.load(Ordering::SeqCst) {
            _ if !is_pull(seen) => shelf.answer(seen),
            0 => fault::error(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS"),
            1 => fault::reply(StatusCode::BAD_REQUEST, &[], ""),
            _ => fault::stalls(),
        }
    });
    let project = Project::new(&stock::pipeline_for(&server.url(), &["x/a"]));
    project.build_exits(exit::DEFERRED, &["get_layer_latest"]);
    phase.store(1, Ordering::SeqCst);
    project.build_exits(exit::FAILED, &["get_layer_latest"]);
    let plan = project.run(&["plan", "-v", "get_layer_latest"]).stdout;
    assert!(!plan.contains("put off before") && !plan.contains("was told"), "it answered otherwise: {plan}");
    phase.store(2, Ordering::SeqCst);
    let asked = pulls(&server).len();
    let mut build = project.start(&["build", "get_layer_latest"]);
    build.until("its source is asked", |_: &Running| (pulls(&server).len() > asked).then_some(()));
    build.signal(rustix::process::Signal::KILL);
    build.wait();
    let plan = project.run(&["plan", "-v", "get_layer_latest"]).stdout;
    assert!(plan.contains("(interrupted when it was last tried; it had failed before that)"), "{plan}");
}

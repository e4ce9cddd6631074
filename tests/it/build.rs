//! How a build decides: what runs, what does not, and which requests are made.

use std::fs::File;
use std::time::SystemTime;

use crate::support::images::{Format, Image};
use crate::support::project::Project;
use crate::support::registry::{Registry, Request};
use crate::support::stock;
use crate::support::words::{exit, outcome};

/// A registry, and a project that was built from it.
fn built() -> (Registry, Project) {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline(&registry.url()));
    project.build(&[]);
    (registry, project)
}

fn fetches(requests: &[Request]) -> Vec<&Request> {
    requests.iter().filter(|r| r.fetches()).collect()
}

/// redis:latest with one more layer than the stock's.
fn moved_redis() -> Image {
    stock::redis("7.4.2")
        .add("COPY docker-entrypoint.sh /usr/local/bin/", &[("usr/local/bin/docker-entrypoint.sh", 120)])
}

#[test]
fn a_first_build_makes_all_outputs() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline(&registry.url()));
    let mark = registry.mark();
    let report = project.build(&[]);

    assert_eq!(
        project.snapshot().names(),
        [
            "pipeline.yaml",
            "result/layers/library/busybox/1.json",
            "result/layers/library/busybox/latest.json",
            "result/layers/library/nginx/1.26.json",
            "result/layers/library/nginx/latest.json",
            "result/layers/library/redis/6.json",
            "result/layers/library/redis/latest.json",
            "result/stat/stat_layer.csv",
            "result/tags/library/busybox.json",
            "result/tags/library/nginx.json",
            "result/tags/library/redis.json",
            "result/tags/library/sbom.json",
        ]
    );
    // 4 tag files, 6 layer files, the CSV; the artifact is no image.
    assert_eq!((report.built, report.absent, report.failed), (11, 1, 0), "{}", report.listing());
    assert_eq!(report.step("get_layer_all@repo=library/sbom,tag=latest").outcome, outcome::ABSENT);
    // What the program counts is what the registry saw.
    assert_eq!(report.requests, registry.requests_since(mark).len() as u64);
}

#[test]
fn what_is_addressed_by_digest_is_fetched_once() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline(&registry.url()));
    let mark = registry.mark();
    project.build(&[]);
    let requests = registry.requests_since(mark);
    let mut paths: Vec<_> = fetches(&requests).iter().map(|r| r.path.as_str()).collect();
    let all = paths.len();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), all, "something was fetched twice: {requests:#?}");
    // An index and its image; busybox under two tags; nginx 1.26; two of redis; the artifact: 7 manifests, 5 configs.
    assert_eq!(paths.iter().filter(|p| p.contains("/manifests/")).count(), 7, "{paths:#?}");
    assert_eq!(paths.iter().filter(|p| p.contains("/blobs/")).count(), 5, "{paths:#?}");
}

#[test]
fn a_second_build_makes_no_request_and_runs_no_step() {
    let (registry, project) = built();
    let (mark, before) = (registry.mark(), project.snapshot());
    let report = project.build(&[]);
    report.assert_nothing_done();
    assert_eq!(report.requests, 0);
    assert_eq!(report.up_to_date + report.absent, 12, "{}", report.listing());
    assert_eq!(registry.requests_since(mark), []);
    assert_eq!(before.changes(&project.snapshot()), [""; 0]);
}

#[test]
fn one_deleted_layer_file_rebuilds_that_step_only() {
    let (registry, project) = built();
    let (mark, before) = (registry.mark(), project.snapshot());
    project.remove("result/layers/library/nginx/latest.json");
    let report = project.build(&[]);
    report.assert_only(&["get_layer_all@repo=library/nginx,tag=latest"]);
    assert_eq!(registry.requests_since(mark), [], "all that it takes is in the store");
    let after = project.snapshot();
    assert_eq!(before.changes(&after), ["result/layers/library/nginx/latest.json"]);
    before.assert_same_bytes(&after, "result/");
}

#[test]
fn a_layer_file_overwritten_with_garbage_rebuilds_that_step_without_a_request_for_what_is_stored() {
    let (registry, project) = built();
    let (mark, before) = (registry.mark(), project.snapshot());
    project.write("result/layers/library/redis/6.json", "not json");
    let report = project.build(&[]);
    report.assert_only(&["get_layer_all@repo=library/redis,tag=6"]);
    assert_eq!(registry.requests_since(mark), []);
    let after = project.snapshot();
    assert_eq!(before.changes(&after), ["result/layers/library/redis/6.json"]);
    before.assert_same_bytes(&after, "result/");
}

#[test]
fn a_deleted_tag_file_is_made_again_from_the_recorded_answer() {
    let (registry, project) = built();
    let (mark, before) = (registry.mark(), project.snapshot());
    project.remove("result/tags/library/nginx.json");
    project.build(&[]).assert_only(&["get_tag@repo=library/nginx"]);
    assert_eq!(registry.requests_since(mark), []);
    before.assert_same_bytes(&project.snapshot(), "result/");
}

#[test]
fn a_touched_file_with_the_same_content_is_no_change() {
    let (_registry, project) = built();
    for file in
        ["result/tags/library/nginx.json", "result/layers/library/nginx/latest.json", "result/stat/stat_layer.csv"]
    {
        let touched = File::options().append(true).open(project.path(file)).expect("there");
        touched.set_modified(SystemTime::now()).expect("ours");
    }
    let before = project.snapshot();
    project.build(&[]).assert_nothing_done();
    assert_eq!(before.changes(&project.snapshot()), [""; 0]);
}

#[test]
fn one_moved_tag_refreshed_rebuilds_its_layer_file_and_the_csv() {
    let (registry, project) = built();
    let moved = moved_redis().manifest(Format::Docker);
    registry.push("library/redis:latest", &moved);

    let mark = registry.mark();
    project.build(&[]).assert_nothing_done();
    assert_eq!(registry.requests_since(mark), [], "without --refresh, an answer is kept");

    let before = project.snapshot();
    let report = project.build(&["--refresh"]);
    assert_eq!(report.of("get_layer_all"), ["get_layer_all@repo=library/redis,tag=latest"], "{}", report.listing());
    assert_eq!(report.of("stat_layer"), ["stat_layer"]);
    assert_eq!(
        before.changes(&project.snapshot()),
        ["result/layers/library/redis/latest.json", "result/stat/stat_layer.csv", "result/tags/library/redis.json"]
    );
    // Its manifest and its config; of all else, tags were looked at.
    let requests = registry.requests_since(mark);
    let fetched = fetches(&requests);
    assert_eq!(fetched.len(), 2, "{requests:#?}");
    assert!(fetched.iter().all(|r| r.path.starts_with("/v2/library/redis/")), "{requests:#?}");
}

#[test]
fn an_image_that_is_gone_gives_way_to_what_its_tag_points_at_and_that_is_said() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline(&registry.url()));
    project.build(&["get_tag"]);
    let gone = stock::redis("7.4.1").manifest(Format::Docker);
    registry.delete("library/redis", &gone);
    let now = moved_redis().manifest(Format::Docker);
    registry.push("library/redis:latest", &now);
    let report = project.build(&["get_layer_all"]);
    let said = report.step("get_layer_all@repo=library/redis,tag=latest").message.as_deref().unwrap_or_default();
    assert!(said.contains(gone.digest()) && said.contains(now.digest()), "{said}");
    assert!(project.read("result/layers/library/redis/latest.json").contains(now.digest()));
}

#[test]
fn a_tag_moved_to_an_index_with_the_same_platform_manifest_is_cut_off_early() {
    let (registry, project) = built();
    registry.push("library/nginx:latest", &stock::nginx_index("1.27.2", "rebuilt"));
    let (mark, before) = (registry.mark(), project.snapshot());
    let report = project.build(&["--refresh"]);
    assert_eq!(before.changes(&project.snapshot()), ["result/tags/library/nginx.json"]);
    assert_eq!(report.of("stat_layer"), [""; 0], "{}", report.listing());
    // The new index is all that is new.
    let requests = registry.requests_since(mark);
    assert_eq!(fetches(&requests).len(), 1, "{requests:#?}");
}

#[test]
fn refresh_of_one_target_asks_for_that_one_only() {
    let registry = stock::registry();
    let url = registry.url();
    let second = "
  others:
    rule: tags
    source: ours
    foreach: {repo: [library/busybox]}
    output: result/others/{repo}.json
";
    let project = Project::new(&(stock::pipeline_for(&url, &["library/nginx"]) + second));
    project.build(&["stat_layer", "others"]);
    let mark = registry.mark();
    project.build(&["--refresh=others", "stat_layer", "others"]);
    let requests = registry.requests_since(mark);
    assert!(!requests.is_empty() && requests.iter().all(|r| r.path.contains("library/busybox")), "{requests:#?}");
}

#[test]
fn freshness_digest_looks_each_time_and_fetches_only_what_moved() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline(&registry.url()));
    project.edit("    output: result/tags/{repo}.json\n", "    output: result/tags/{repo}.json\n    fresh: digest\n");
    project.build(&[]);

    let (mark, before) = (registry.mark(), project.snapshot());
    let report = project.build(&[]);
    let requests = registry.requests_since(mark);
    assert_eq!((report.failed, report.requests), (0, requests.len() as u64));
    assert!(!requests.is_empty(), "each build asks");
    assert_eq!(fetches(&requests), [&requests[0]; 0], "and fetches nothing");
    assert_eq!(before.changes(&project.snapshot()), [""; 0]);

    registry.push("library/redis:latest", &moved_redis().manifest(Format::Docker));
    let mark = registry.mark();
    project.build(&[]);
    assert_eq!(
        before.changes(&project.snapshot()),
        ["result/layers/library/redis/latest.json", "result/stat/stat_layer.csv", "result/tags/library/redis.json"]
    );
    assert_eq!(fetches(&registry.requests_since(mark)).len(), 2);
}

#[test]
fn freshness_always_asks_each_time_and_an_equal_answer_changes_nothing() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline(&registry.url()));
    project.edit("    output: result/tags/{repo}.json\n", "    output: result/tags/{repo}.json\n    fresh: always\n");
    project.build(&[]);
    let (mark, before) = (registry.mark(), project.snapshot());
    let report = project.build(&[]);
    let lists = registry.requests_since(mark).into_iter().filter(|r| r.path.contains("/tags/list")).count();
    assert_eq!(lists, 4);
    assert_eq!((report.of("get_layer_all"), report.of("stat_layer")), (vec![], vec![]), "{}", report.listing());
    assert_eq!(before.changes(&project.snapshot()), [""; 0]);
}

#[test]
fn a_young_answer_is_not_asked_for_again() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline(&registry.url()));
    project.edit("    output: result/tags/{repo}.json\n", "    output: result/tags/{repo}.json\n    fresh: 24h\n");
    project.build(&[]);
    let mark = registry.mark();
    project.build(&[]).assert_nothing_done();
    assert_eq!(registry.requests_since(mark), []);
}

#[test]
fn the_graph_grows_and_shrinks_with_the_tags() {
    let (registry, project) = built();
    let eight = stock::redis("8.0.0");
    registry.push("library/redis:8", &eight.manifest(Format::Oci));
    let report = project.build(&["--refresh"]);
    assert_eq!(report.of("get_layer_all"), ["get_layer_all@repo=library/redis,tag=8"], "{}", report.listing());
    let line = format!("library/redis,8,{},{},", eight.count(), eight.size());
    assert!(project.read("result/stat/stat_layer.csv").lines().any(|l| l == line), "{line}");

    registry.delete("library/redis", &eight.manifest(Format::Oci));
    let report = project.build(&["--refresh"]);
    assert_eq!(report.of("stat_layer"), ["stat_layer"], "{}", report.listing());
    assert!(!project.read("result/stat/stat_layer.csv").contains("library/redis,8,"));
}

#[test]
fn offline_builds_from_what_is_known_and_fails_what_would_have_to_ask() {
    let (registry, project) = built();
    project.remove("result/layers/library/nginx/latest.json");
    let mark = registry.mark();
    project.build(&["--offline"]).assert_only(&["get_layer_all@repo=library/nginx,tag=latest"]);

    project.edit("[library/busybox, ", "[library/alpine, library/busybox, ");
    let report = project.build_exits(exit::FAILED, &["--offline"]);
    assert_eq!(report.step("get_tag@repo=library/alpine").outcome, outcome::FAILED);
    assert_eq!(registry.requests_since(mark), []);
}

#[test]
fn what_does_not_exist_is_absent_and_no_failure() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/busybox", "library/nope"]));
    let report = project.build(&[]);
    let step = report.step("get_tag@repo=library/nope");
    assert_eq!(step.outcome, outcome::ABSENT, "{}", report.listing());
    assert!(!project.exists("result/tags/library/nope.json"));
    assert!(project.read("result/stat/stat_layer.csv").contains("library/busybox,latest,"));

    // The absence is an answer like any other: kept.
    let mark = registry.mark();
    project.build(&[]).assert_nothing_done();
    assert_eq!(registry.requests_since(mark), []);

    // Asked again, it may have come into being.
    registry.push("library/nope:latest", &stock::busybox().manifest(Format::Oci));
    project.build(&["--refresh"]);
    assert!(project.read("result/stat/stat_layer.csv").contains("library/nope,latest,2,"));
}

#[test]
fn what_became_absent_loses_its_old_file() {
    let (registry, project) = built();
    registry.push("library/redis:latest", &stock::artifact());
    project.build(&["--refresh"]);
    assert!(!project.exists("result/layers/library/redis/latest.json"));
    let csv = project.read("result/stat/stat_layer.csv");
    assert!(!csv.contains("library/redis,latest,") && csv.contains("library/redis,6,"), "{csv}");
}

#[test]
fn missing_error_makes_an_absence_a_failure() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/busybox", "library/nope"]));
    project.edit("    output: result/tags/{repo}.json\n", "    output: result/tags/{repo}.json\n    missing: error\n");
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!(report.step("get_tag@repo=library/nope").outcome, outcome::FAILED);
    assert_eq!(report.step("stat_layer").outcome, outcome::BLOCKED, "an aggregate waits for all of its inputs");
    assert!(project.exists("result/layers/library/busybox/latest.json"), "the others are built");
}

#[test]
fn two_targets_that_describe_the_same_step_share_it() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline(&registry.url()));
    let report = project.build(&["get_layer_latest", "get_layer_all"]);
    assert_eq!((report.built, report.absent), (10, 1), "4 tag files and 6 layer files\n{}", report.listing());
    project.build(&["get_layer_latest"]).assert_nothing_done();
}

#[test]
fn a_renamed_target_rebuilds_nothing() {
    let (registry, project) = built();
    project.edit("get_layer_all", "every_layer");
    project.edit("stat_layer:", "statistics:");
    project.edit("[stat_layer]", "[statistics]");
    let mark = registry.mark();
    project.build(&[]).assert_nothing_done();
    assert_eq!(registry.requests_since(mark), []);
}

#[test]
fn a_target_a_step_or_an_output_can_be_asked_for() {
    let registry = stock::registry();
    for (asked, files) in [
        ("get_tag", 4),
        ("get_tag@repo=library/nginx", 1),
        ("result/tags/library/nginx.json", 1),
        ("result/layers/library/nginx/latest.json", 2),
    ] {
        let project = Project::new(&stock::pipeline(&registry.url()));
        project.build(&[asked]);
        let snapshot = project.snapshot();
        assert_eq!(
            snapshot.names().iter().filter(|n| n.starts_with("result/")).count(),
            files,
            "{asked}: {snapshot:?}"
        );
    }
}

// Commands.

/// Each run of a step leaves a line in `runs.log`, which is no output.
const COMMANDS: &str = "version: 1
vars: {greeting: hello}
targets:
  piece:
    rule: command
    foreach: {n: {lines: numbers.lst}}
    inputs: [text.txt]
    run: \"echo piece {n} >> runs.log; (echo ${greeting} {n}; cat {in}) > {out}\"
    output: result/{n}.txt
  whole:
    rule: command
    inputs: [piece]
    run: \"echo whole >> runs.log; cat {in} > {out}\"
    output: result/whole.txt
";

fn commands() -> Project {
    let project = Project::new(COMMANDS);
    project.write("numbers.lst", "# three of them\n1\n\n2\n  3  \n2\n");
    project.write("text.txt", "text\n");
    project
}

/// The runs so far, sorted.
fn runs(project: &Project) -> Vec<String> {
    let mut runs: Vec<_> = project.read("runs.log").lines().map(str::to_owned).collect();
    runs.sort();
    runs
}

#[test]
fn a_command_runs_for_each_line_of_a_list_and_an_aggregate_takes_them_in_order() {
    let project = commands();
    let report = project.build(&[]);
    assert_eq!(report.built, 4);
    assert_eq!(runs(&project), ["piece 1", "piece 2", "piece 3", "whole"]);
    assert_eq!(project.read("result/whole.txt"), "hello 1\ntext\nhello 2\ntext\nhello 3\ntext\n");
    project.build(&[]).assert_nothing_done();
    assert_eq!(runs(&project).len(), 4);
}

#[test]
fn an_input_edited_within_the_clocks_tick_is_seen() {
    let project = commands();
    project.build(&[]);
    // At once, and of the same size: time and size alone might not tell.
    project.write("text.txt", "TEXT\n");
    let report = project.build(&[]);
    assert_eq!(report.built, 4, "{}", report.listing());
    assert!(project.read("result/whole.txt").contains("TEXT"));
}

#[test]
fn an_edited_parameter_runs_the_step_and_the_old_one_comes_back_from_the_store() {
    let project = commands();
    project.build(&[]);
    project.edit("greeting: hello", "greeting: good day");
    assert_eq!(project.build(&[]).built, 4);
    assert_eq!(runs(&project).len(), 8);

    project.edit("greeting: good day", "greeting: hello");
    let report = project.build(&[]);
    assert_eq!((report.built, report.restored), (0, 4), "{}", report.listing());
    assert_eq!(report.step("whole").outcome, outcome::RESTORED);
    assert_eq!(runs(&project).len(), 8, "nothing ran");
    assert!(project.read("result/whole.txt").starts_with("hello 1\n"));
}

#[test]
fn a_deleted_output_of_a_command_comes_back_from_the_store_unless_cache_is_false() {
    let project = commands();
    project.build(&[]);
    project.remove("result/2.txt");
    let report = project.build(&[]);
    assert_eq!((report.built, report.restored), (0, 1), "{}", report.listing());
    assert_eq!(runs(&project).len(), 4);

    project.edit("    output: result/{n}.txt\n", "    output: result/{n}.txt\n    cache: false\n");
    project.build(&[]);
    let before = runs(&project).len();
    project.remove("result/2.txt");
    let report = project.build(&[]);
    report.assert_only(&["piece@n=2"]);
    assert_eq!((report.built, report.restored), (1, 0), "{}", report.listing());
    assert_eq!(runs(&project).len(), before + 1);
}

#[test]
fn a_command_that_writes_the_same_again_stops_what_depends_on_it() {
    let project = commands();
    project.edit("cat {in}) > {out}", "tr A-Z a-z < text.txt) > {out}");
    project.build(&[]);
    let before = project.snapshot();
    project.write("text.txt", "Text\n");
    let report = project.build(&[]);
    assert_eq!(report.of("piece").len(), 3, "{}", report.listing());
    assert_eq!(report.of("whole"), [""; 0], "{}", report.listing());
    assert_eq!(before.changes(&project.snapshot()), ["runs.log", "text.txt"], "no output's mtime moves");
}

#[test]
fn force_runs_steps_regardless() {
    let project = commands();
    project.build(&[]);
    project.build(&["--force=whole"]).assert_only(&["whole"]);
    assert_eq!(runs(&project).len(), 5);
    assert_eq!(project.build(&["--force"]).built, 4);
    assert_eq!(runs(&project).len(), 9);
}

#[test]
fn a_failed_step_fails_what_depends_on_it_and_nothing_else() {
    let project = commands();
    project.edit("echo piece {n} >> runs.log;", "test {n} != 2 || exec sh -c 'echo the disk is on fire >&2; exit 7';");
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.built, report.failed, report.blocked), (2, 1, 1), "{}", report.listing());
    assert_eq!(report.step("piece@n=2").outcome, outcome::FAILED);
    assert_eq!(report.step("whole").outcome, outcome::BLOCKED);
    assert!(project.exists("result/1.txt") && project.exists("result/3.txt"));
    assert!(!project.exists("result/2.txt") && !project.exists("result/whole.txt"));
    for words in ["piece@n=2", "the disk is on fire"] {
        assert!(report.stderr.contains(words), "`{words}` is not said: {}", report.stderr);
    }

    // Mended, all is there.
    project.edit("test {n} != 2 ||", "test {n} != 0 ||");
    project.build(&[]);
    assert_eq!(project.read("result/whole.txt"), "hello 1\ntext\nhello 2\ntext\nhello 3\ntext\n");
}

#[test]
fn a_failed_step_keeps_its_old_output_and_leaves_no_half_one() {
    let project = commands();
    project.build(&[]);
    let before = project.snapshot();
    project.edit("cat {in}) > {out}", "cat {in}; echo more) > {out}; exit 1");
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.failed, report.blocked), (3, 1), "{}", report.listing());
    before.assert_same_bytes(&project.snapshot(), "result/");
}

#[test]
fn fail_fast_stops_at_the_first_failure() {
    let project = commands();
    project.write("numbers.lst", (1..=200).map(|n| format!("{n}\n")).collect::<String>());
    project.edit("echo piece {n} >> runs.log;", "echo piece {n} >> runs.log; exit 1;");
    project.build_exits(exit::FAILED, &["--fail-fast", "-j1"]);
    let ran = runs(&project).len();
    assert!((1..200).contains(&ran), "{ran} of 200 steps ran");
    project.build_exits(exit::FAILED, &["-j1"]);
    assert_eq!(runs(&project).len(), ran + 200, "without it the build goes on");
}

#[test]
fn values_are_quoted_for_the_shell_and_an_argv_list_needs_no_shell() {
    let project = Project::new(
        "version: 1
targets:
  shell:
    rule: command
    foreach: {n: [\"a b\", \"$(touch oops)\", \"it's\"]}
    run: \"printf %s {n} > {out}\"
    output: result/shell/{n}.txt
  argv:
    rule: command
    foreach: {n: [\"a b\", \"$(touch oops)\"]}
    run: [cp, \"in of {n}\", \"{out}\"]
    inputs: [\"./in of {n}\"]
    output: result/argv/{n}.txt
",
    );
    for value in ["a b", "$(touch oops)"] {
        project.write(&format!("in of {value}"), value);
    }
    project.build(&["shell", "argv"]);
    for value in ["a b", "$(touch oops)", "it's"] {
        assert_eq!(project.read(&format!("result/shell/{value}.txt")), value);
    }
    assert_eq!(project.read("result/argv/$(touch oops).txt"), "$(touch oops)");
    assert!(!project.exists("oops"));
}

#[test]
fn a_command_past_its_timeout_is_ended_and_retries_are_tried() {
    let project = Project::new(
        "version: 1
targets:
  slow:
    rule: command
    run: \"echo slow >> runs.log; sleep 600; echo > {out}\"
    output: result/slow.txt
    timeout: 1s
  flaky:
    rule: command
    run: \"echo flaky >> runs.log; test $(grep -c flaky runs.log) -ge 3 && cp runs.log {out}\"
    output: result/flaky.txt
    retries: 2
",
    );
    let report = project.build_exits(exit::FAILED, &["slow", "flaky"]);
    assert_eq!(report.step("slow").outcome, outcome::FAILED);
    assert_eq!(report.step("flaky").outcome, outcome::BUILT, "{}", report.listing());
    assert_eq!(runs(&project), ["flaky", "flaky", "flaky", "slow"], "a command is tried once unless said");
}

#[test]
fn a_pool_bounds_how_many_run_at_once() {
    let project = Project::new(
        "version: 1
pools: {narrow: 1}
targets:
  piece:
    rule: command
    foreach: {n: {lines: numbers.lst}}
    # Fails where another one is at work.
    run: \"mkdir busy && sleep 0.01 && rmdir busy && echo {n} > {out}\"
    output: result/{n}.txt
    pool: narrow
",
    );
    project.write("numbers.lst", (1..=20).map(|n| format!("{n}\n")).collect::<String>());
    assert_eq!(project.build(&["-j8"]).built, 20);
}

#[test]
fn an_output_can_be_a_folder_or_several_files() {
    let project = Project::new(
        "version: 1
targets:
  folder:
    rule: command
    run: \"mkdir -p {out}/deep && echo one > {out}/one && echo two > {out}/deep/two\"
    output: result/folder/
  files:
    rule: command
    run: \"echo a > {out.first}; echo b > {out.second}\"
    output: {first: result/first.txt, second: result/second.txt}
  after_folder:
    rule: command
    inputs: [folder, files]
    run: \"cat result/folder/deep/two result/first.txt result/second.txt > {out}\"
    output: result/after.txt
",
    );
    project.build(&[]);
    assert_eq!(project.read("result/after.txt"), "two\na\nb\n");
    project.build(&[]).assert_nothing_done();
    project.remove("result/folder/one");
    project.remove("result/second.txt");
    project.build(&[]).assert_only(&["files", "folder"]);
    assert_eq!((project.read("result/folder/one"), project.read("result/second.txt")), ("one\n".into(), "b\n".into()));
}

#[test]
fn axes_are_read_out_of_outputs_once_those_are_built() {
    let project = Project::new(
        "version: 1
targets:
  lines:
    rule: command
    run: \"printf 'x\\\\ny\\\\n' > {out}\"
    output: result/lines.txt
  table:
    rule: command
    run: \"printf 'name,size\\\\np,1\\\\nq,2\\\\n' > {out}\"
    output: result/list.csv
  json:
    rule: command
    run: [cp, shape.json, \"{out}\"]
    inputs: [shape.json]
    output: result/shape.json
  of_lines:
    rule: command
    foreach: {v: {lines: result/lines.txt}}
    run: \"echo {v} > {out}\"
    output: result/lines/{v}.txt
  of_array:
    rule: command
    foreach: {v: {from: json, json: /names}}
    run: \"echo {v} > {out}\"
    output: result/array/{v}.txt
  of_keys:
    rule: command
    foreach: {v: {from: json, json: /sizes}}
    run: \"echo {v} > {out}\"
    output: result/keys/{v}.txt
  of_csv:
    rule: command
    foreach: {v: {from: table, csv: name}}
    run: \"echo {v} > {out}\"
    output: result/csv/{v}.txt
",
    );
    project.write("shape.json", r#"{"names": ["a", "b"], "sizes": {"c": 1, "d": 2}}"#);
    let all = ["of_lines", "of_array", "of_keys", "of_csv"];
    project.build(&all);
    for file in ["lines/x", "lines/y", "array/a", "array/b", "keys/c", "keys/d", "csv/p", "csv/q"] {
        let value = &file[file.len() - 1..];
        assert_eq!(project.read(&format!("result/{file}.txt")), format!("{value}\n"));
    }
    project.build(&all).assert_nothing_done();

    // A step depends on its own value, not on the file that it was found in.
    project.write("shape.json", r#"{"names": ["a", "b", "e"], "sizes": {"c": 3}}"#);
    project.build(&all).assert_only(&["json", "of_array@v=e"]);
}

#[test]
fn two_different_steps_for_one_file_are_refused_before_anything_runs() {
    let project = Project::new(
        "version: 1
targets:
  one: {rule: command, run: \"echo 1 > {out}\", output: result/same.txt}
  other: {rule: command, run: \"echo 2 > {out}\", output: result/same.txt}
",
    );
    let run = project.run(&["build", "one", "other"]).exits(exit::WRONG).says("result/same.txt");
    assert!(run.stderr.contains("one") && run.stderr.contains("other"), "{run}");
    assert!(!project.exists("result"));
}

#[test]
fn partial_inputs_go_on_without_the_failed_ones() {
    let project = commands();
    project.edit("echo piece {n} >> runs.log;", "test {n} != 2 || exit 1;");
    project.edit("inputs: [piece]", "inputs: [{target: piece, partial: true}]");
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.built, report.failed, report.blocked), (3, 1, 0), "{}", report.listing());
    assert_eq!(project.read("result/whole.txt"), "hello 1\ntext\nhello 3\ntext\n");
}

#[test]
fn inputs_are_joined_on_the_bindings_that_both_have() {
    let project = Project::new(
        "version: 1
targets:
  one:
    rule: command
    foreach: {repo: [a, b], tag: [1, 2]}
    run: \"echo {repo} {tag} > {out}\"
    output: result/one/{repo}/{tag}.txt
  by_repo:
    rule: command
    foreach: {repo: [a, b]}
    inputs: [one]
    run: \"cat {in} > {out}\"
    output: result/by/{repo}.txt
  all:
    rule: command
    inputs: [by_repo]
    run: \"cat {in} > {out}\"
    output: result/all.txt
",
    );
    assert_eq!(project.build(&["all"]).built, 7);
    assert_eq!(project.read("result/by/a.txt"), "a 1\na 2\n");
    assert_eq!(project.read("result/all.txt"), "a 1\na 2\nb 1\nb 2\n");
    project.remove("result/one/a/2.txt");
    project.build(&["all"]).assert_only(&["one@repo=a,tag=2"]);
}

#[test]
fn a_command_takes_its_inputs_by_name_and_as_a_list_in_a_file() {
    let project = Project::new(
        "version: 1
targets:
  made:
    rule: command
    inputs: {first: ./one.txt, second: ./two.txt}
    run: \"cat {in.second} {in.first} > {out}; cat {in.list} >> {out}\"
    output: result/made.txt
",
    );
    project.write("one.txt", "one\n");
    project.write("two.txt", "two\n");
    project.build(&[]);
    assert_eq!(project.read("result/made.txt"), "two\none\none.txt\ntwo.txt\n");
}

#[test]
fn a_command_that_names_its_output_itself_loses_nothing_when_it_fails() {
    let project = Project::new(
        "version: 1
targets:
  made: {rule: command, inputs: [text.txt], run: \"cp text.txt result/made.txt\", output: result/made.txt}
",
    );
    project.write("text.txt", "good\n");
    project.build(&[]);
    project.edit("cp text.txt result/made.txt", "echo half > result/made.txt; exit 1");
    project.build_exits(exit::FAILED, &[]);
    assert_eq!(project.read("result/made.txt"), "good\n");
}

#[test]
fn a_command_that_does_not_make_its_output_fails() {
    let project = Project::new(
        "version: 1
targets:
  made: {rule: command, run: \"true\", output: result/made.txt}
",
    );
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!(report.step("made").outcome, outcome::FAILED);
    assert!(report.stderr.contains("result/made.txt"), "{}", report.stderr);
}

#[test]
fn a_missing_input_that_nobody_makes_fails_its_step_alone() {
    let project = Project::new(
        "version: 1
targets:
  made: {rule: command, inputs: [nobody/makes.it], run: \"cp {in} {out}\", output: result/made.txt}
  other: {rule: command, run: \"echo > {out}\", output: result/other.txt}
",
    );
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.built, report.failed), (1, 1), "{}", report.listing());
    assert!(report.stderr.contains("nobody/makes.it"), "{}", report.stderr);
}

#[test]
fn a_group_builds_its_members_and_after_orders_without_being_hashed() {
    let project = Project::new(
        "version: 1
targets:
  everything: {inputs: [first, second]}
  first: {rule: command, run: \"sleep 0.05; echo first >> runs.log; date +%N > {out}\", output: result/first.txt}
  second: {rule: command, after: [first], run: \"echo second >> runs.log; echo > {out}\", output: result/second.txt}
",
    );
    project.build(&["everything"]);
    assert_eq!(project.read("runs.log"), "first\nsecond\n");
    // Another content of the first is no reason for the second.
    project.build(&["--force=first", "everything"]).assert_only(&["first"]);
}

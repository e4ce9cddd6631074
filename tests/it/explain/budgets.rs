//! What is said of steps whose source has a budget is what comes of it, and when there is more is told as a build tells it.

use std::collections::BTreeSet;

use crate::support::images::Format;
use crate::support::project::Project;
use crate::support::registry::Registry;
use crate::support::stock;
use crate::support::words::{exit, outcome};

use super::assert_says;

/// Tags that the pipeline names, of a source that gives one pull in an hour.
fn project(registry: &Registry, tags: &str) -> Project {
    Project::new(&format!(
        "version: 1
sources: {{ours: {{kind: registry, url: \"{}\", budget: 1/1h, concurrency: 1}}}}
targets:
  one: {{rule: layers, source: ours, repo: a, foreach: {{tag: [{tags}]}}, output: \"l/{{tag}}.json\"}}
  copy: {{rule: command, foreach: {{tag: [{tags}]}}, inputs: [one], run: \"cp {{in}} {{out}}\", output: \"c/{{tag}}.json\"}}
",
        registry.url()
    ))
}

/// The time at which to build again.
fn again_at(text: &str) -> String {
    let (_, rest) = text.split_once("build again at ").unwrap_or_else(|| panic!("no time:\n{text}"));
    rest.replacen(' ', "T", 1).chars().take("2026-01-01T00:00:00".len()).collect()
}

#[test]
fn what_is_in_the_store_or_absent_is_not_deferred_for_certain_and_is_not_then() {
    let registry = Registry::start();
    let image = |n: &str| stock::busybox().env("N", n).manifest(Format::Oci);
    registry.push("a:1", &image("1"));
    registry.push("a:same", &image("1"));
    registry.push("a:other", &image("2"));
    let project = project(&registry, "'1', same, gone, other");
    project.build(&["one@tag=1"]);
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    for tag in ["same", "gone", "other"] {
        assert_says(
            &plan,
            &[&format!("deferred? one@tag={tag}  "), &format!("deferred? copy@tag={tag}  one@tag={tag}")],
        );
    }
    assert_says(&plan, &["the budget of 1 pull in 1h is spent; build again at "]);
    let explained = project.explain("one@tag=other");
    assert_says(
        &explained,
        &[
            "one@tag=other: deferred",
            "because   first build",
            "a build   may make it all the same",
            "may ask   its source for what a:other points at\n",
        ],
    );

    let run = project.run(&["build", "--format", "json"]).exits(exit::DEFERRED);
    let times = [&run.stderr, &plan, &explained].map(|text| again_at(text));
    assert_eq!(times.iter().collect::<BTreeSet<_>>().len(), 1, "{times:?}");
    let report = run.report(exit::DEFERRED);
    assert_eq!(report.step("one@tag=same").outcome, outcome::BUILT, "{}", report.listing());
    assert_eq!(report.step("one@tag=gone").outcome, outcome::ABSENT);
    assert_eq!(report.step("one@tag=other").outcome, outcome::DEFERRED);
}

#[test]
fn what_surely_pulls_is_deferred_and_what_was_absent_is_not() {
    let registry = Registry::start();
    registry.push("a:1", &stock::busybox().manifest(Format::Oci));
    let project = project(&registry, "'1', gone");
    project.build(&["one"]);
    project.remove("l/1.json");
    let digest = stock::busybox().manifest(Format::Oci).digest().to_owned();
    project.remove(&format!(".layermill/store/blobs/sha256/{}", &digest["sha256:".len()..]));
    let plan = project.run(&["plan", "--refresh=one@tag=gone"]).exits(exit::DONE).stdout;
    assert_says(
        &plan,
        &["deferred one@tag=1  http://", "deferred copy@tag=1  one@tag=1", "run      one@tag=gone  refreshed by hand"],
    );
    let report = project.build_exits(exit::DEFERRED, &["--refresh=one@tag=gone"]);
    assert_eq!(report.step("one@tag=1").outcome, outcome::DEFERRED);
    assert_eq!(report.step("one@tag=gone").outcome, outcome::ABSENT);
}

#[test]
fn whom_a_budget_reaches_that_does_not_reach_all_is_not_told_for_certain() {
    let registry = Registry::start();
    for n in ["1", "2"] {
        registry.push(&format!("a:{n}"), &stock::busybox().env("N", n).manifest(Format::Oci));
    }
    let project = project(&registry, "'1', '2'");
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(
        &plan,
        &["run?     one@tag=1  first build", "deferred? one@tag=2  ", "does not reach so far now; build again at "],
    );
    assert_says(
        &plan,
        &[
            "pulls    0 or more, most likely 2 or more, of ",
            "1 to run, 0 up to date, 0 absent, 1 that may run, 2 deferred",
        ],
    );
    // Whoever asks for one step is told so, too, and that by itself it is reached.
    for asked in ["one", "one@tag=1"] {
        assert_says(&project.explain(asked), &["one@tag=1: missing\n", "a build   may ask its source"]);
    }
    let by_itself = "alone     asked for by itself, it is missing: first build\n";
    let steps = [("one@tag=2", "again at "), ("copy@tag=2", "waits for one@tag=2\n")];
    for (step, why) in steps {
        assert_says(&project.explain(step), &[&format!("{step}: deferred\n"), why, by_itself]);
    }
    assert!(!project.explain("one").contains("alone"));
    let report = project.build_exits(exit::DEFERRED, &[]);
    assert_eq!((report.built, report.deferred), (2, 2), "{}", report.listing());
    project.edit("budget: 1/1h", "budget: 2/1h");
    assert_says(&project.explain("one@tag=2"), &["one@tag=2: deferred\n", "a build   asks its source"]);
    assert_says(&project.run(&["plan"]).stdout, &["run      one@tag=2  first build"]);
    project.build(&[]);
}

#[test]
fn what_goes_on_without_a_step_that_may_be_made_all_the_same_may_run() {
    let registry = Registry::start();
    for n in ["1", "2", "3"] {
        registry.push(&format!("a:{n}"), &stock::busybox().env("N", n).manifest(Format::Oci));
    }
    let project = Project::new(&format!(
        "version: 1
sources: {{ours: {{kind: registry, url: \"{}\", budget: 1/1h, concurrency: 1}}}}
targets:
  one: {{rule: layers, source: ours, repo: a, foreach: {{tag: ['1']}}, output: \"l/{{tag}}.json\"}}
  two: {{rule: layers, source: ours, repo: a, foreach: {{tag: ['2']}}, output: \"m/{{tag}}.json\"}}
  some: {{rule: stat, inputs: [{{target: two, partial: true}}], output: some.csv}}
",
        registry.url()
    ));
    project.build_exits(exit::DEFERRED, &[]);
    project.edit("1/1h", "2/1h");
    project.edit("['1']", "['1', '3']");
    let because =
        "upstream: two@tag=2 is tried again, and may fail or be put off as before; the last run did without m/2.json";
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["run?     one@tag=3  ", "deferred? two@tag=2  ", &format!("run?     some  {because}\n")]);
    assert_says(&project.explain("some"), &["some: stale\n", because, "a build   may make it\n"]);
    // By itself, it is reached.
    assert_says(
        &project.explain("two"),
        &["two@tag=2: deferred\n", "asked for by itself, it is missing: first build\n"],
    );
    assert_eq!(project.build(&["some"]).built, 2);
}

#[test]
fn a_failure_since_a_step_was_put_off_is_told_and_so_is_what_it_was_left_out_for() {
    let registry = Registry::start();
    for n in ["1", "2"] {
        registry.push(&format!("a:{n}"), &stock::busybox().env("N", n).manifest(Format::Oci));
    }
    let project = project(&registry, "'1', '2'");
    let all = "  all: {rule: stat, inputs: [{target: one, partial: true}], output: all.csv}\n";
    project.write("pipeline.yaml", project.read("pipeline.yaml") + all);
    let report = project.build_exits(exit::DEFERRED, &["all"]);
    let late = report.steps.iter().find(|step| step.outcome == outcome::DEFERRED).expect("one is put off").step.clone();
    let file = format!("l/{}.json", late.rsplit('=').next().expect("its tag"));
    let explained = project.explain(&late);
    assert!(!explained.contains("  failed "), "{explained}");
    // Without the network it fails; with it, it is put off as before.
    project.build_exits(exit::FAILED, &["all", "--offline"]);
    let explained = project.explain(&late);
    let offline = "offline, and this is not in the store\n            it ran because: first build\n";
    assert_says(
        &explained,
        &[&format!("{late}: deferred\n"), "  failed    ", &offline.replace("it ran", "it was asked")],
    );
    assert!(!explained.contains("what was made before stands"), "{explained}");
    project.edit("budget: 1/1h", "budget: 5/1h");
    let report = project.build(&["all"]);
    let why = format!("new input: {file} (left out before, since {late} was deferred)");
    assert_eq!(report.step("all").reason(), why);
}

#[test]
fn a_moved_tag_that_the_budget_did_not_reach_is_told_until_it_is_made_and_so_is_when_to_build_again() {
    let mut registry = Registry::start();
    let image = |n: &str| stock::busybox().env("N", n).manifest(Format::Oci);
    registry.push("a:1", &image("1"));
    let project = project(&registry, "'1'");
    project.edit("repo: a,", "repo: a, fresh: digest, retries: 0,");
    project.build(&[]);
    // Most are answered as before: what is asked for is not put off, and what is left is told.
    let spent =
        format!("pulls    0 or more of {}; 0 of its budget of 1 pull in 1h are left; one more at ", registry.url());
    assert_says(&project.run(&["plan"]).stdout, &["run      one@tag=1  freshness: asked each time (digest)\n", &spent]);
    registry.push("a:1", &image("2"));
    let moved = format!("(the tag moved from {} to {})", image("1").digest(), image("2").digest());
    let put_off = || {
        let run = project.run(&["build", "-v"]).exits(exit::DEFERRED);
        assert_says(&run.stderr, &["deferred one@tag=1 (changed answer: ", &moved]);
        run.stderr
    };
    let again = again_at(&put_off());
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(
        &plan,
        &[
            "deferred? one@tag=1  http",
            "deferred? copy@tag=1  one@tag=1",
            "pulls    0 or more, most likely 1 or more, of ",
        ],
    );
    let told = "(deferred when it was last tried; its source told that try: changed answer: from ";
    assert_says(&plan, &["(freshness: asked each time (digest))", told, &moved]);
    let explained = project.explain("one@tag=1");
    assert_says(
        &explained,
        &[
            "one@tag=1: deferred\n",
            "because   freshness: asked each time (digest)\n",
            "a build   may make it all the same",
            "it was asked because: freshness: asked each time (digest)\n            its source told: changed answer: from ",
            &moved,
        ],
    );
    let times = [&plan, &explained].map(|text| again_at(text));
    assert!(times.iter().all(|time| *time == again), "{times:?} {again}");
    put_off();
    // A try that hears nothing of its source leaves it at that.
    registry.stop();
    project.build_exits(exit::FAILED, &[]);
    registry.resume();
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(
        &plan,
        &[
            "deferred? one@tag=1  http",
            "it had been put off before that",
            &moved,
            "pulls    0 or more, most likely 1 or more, of ",
        ],
    );
    put_off();
    // Where there is more again, it runs, and what it was told stays told.
    project.edit("budget: 1/1h", "budget: 2/1h");
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["run      one@tag=1  ", told, &moved, "pulls    0 or more, most likely 1 or more, of "]);
    project.build(&[]).assert_only(&["one@tag=1", "copy@tag=1"]);
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert!(!plan.contains("deferred") && !plan.contains("changed answer"), "{plan}");
}

#[test]
fn what_the_store_has_by_now_of_a_moved_tag_that_was_put_off_is_put_off_no_more() {
    let registry = Registry::start();
    let image = |n: &str| stock::busybox().env("N", n).manifest(Format::Oci);
    ["1", "2"].iter().for_each(|n| registry.push(&format!("a:{n}"), &image("1")));
    let project = project(&registry, "'1', '2'");
    project.edit("repo: a,", "repo: a, fresh: digest,");
    project.build(&[]);
    // Both have moved to the same: that is one pull.
    ["1", "2"].iter().for_each(|n| registry.push(&format!("a:{n}"), &image("2")));
    project.build_exits(exit::DEFERRED, &[]);
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(
        &plan,
        &["deferred? one@tag=1  http", "deferred? one@tag=2  http", "pulls    0 or more, most likely 1 or more, of "],
    );
    project.edit("budget: 1/1h", "budget: 2/1h");
    project.build(&["one@tag=1"]);
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["run      one@tag=2  freshness: asked each time (digest) (deferred when it was last tried; "]);
    assert!(!plan.contains("deferred?"), "{plan}");
    project.build(&["one"]);
}

#[test]
fn a_source_at_another_address_is_not_told_to_need_pulls_of_what_is_in_the_store_and_puts_nothing_off() {
    let (former, now) = (Registry::start(), Registry::start());
    for (n, registry) in ["1", "2"].iter().flat_map(|n| [(n, &former), (n, &now)]) {
        registry.push(&format!("a:{n}"), &stock::busybox().env("N", n).manifest(Format::Oci));
    }
    let project = project(&former, "'1', '2'");
    project.edit("budget: 1/1h", "budget: 2/1h");
    project.build(&[]);
    project.edit(&former.url(), &now.url());
    project.edit("budget: 2/1h", "budget: 1/1h");
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(
        &plan,
        &["run      one@tag=1  changed question: source, ", "run      one@tag=2  changed question: source, "],
    );
    assert!(!plan.contains("deferred") && !plan.contains("pulls "), "{plan}");
    // Where nothing is left either; that a tag is another one there may put it off.
    let ledger = format!("{} {}\n", jiff::Timestamp::now().as_millisecond(), now.url());
    project.write(".layermill/budget", ledger);
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["run      one@tag=1  ", &format!("pulls    0 or more of {}; 0 of its budget ", now.url())]);
    assert!(!plan.contains("deferred"), "{plan}");
    assert_says(&project.explain("one@tag=2"), &["one@tag=2: stale\n"]);
    project.build(&[]).assert_nothing_done();
    // Another tag may be anything.
    project.edit("foreach: {tag: ['1', '2']}, output: \"l/{tag}.json\"", "tag: '2', output: l/1.json");
    project.edit(&now.url(), &former.url());
    project.write(".layermill/budget", format!("{} {}\n", jiff::Timestamp::now().as_millisecond(), former.url()));
    let plan = project.run(&["plan", "one"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["deferred? one  ", "pulls    0 or more, most likely 1 or more, of "]);
}

#[test]
fn a_pull_that_hangs_on_what_is_asked_first_is_told_as_likely_and_a_step_that_takes_it_as_perhaps_put_off() {
    let registry = Registry::start();
    let image = |n: &str| stock::busybox().env("N", n).manifest(Format::Oci);
    ["1", "2"].iter().for_each(|n| registry.push(&format!("a:{n}"), &image(n)));
    let project = project(&registry, "'1', '2'");
    let list = "  tags: {rule: tags, source: ours, repo: a, fresh: digest, output: tags.json}\n  one: ";
    project.edit("  one: ", list);
    project.edit(
        "repo: a, foreach: {tag: ['1', '2']}, output: \"l",
        "repo: a, foreach: {tag: {from: tags, select: all}}, output: \"l",
    );
    project.edit("budget: 1/1h", "budget: 2/1h");
    project.build(&["one"]);
    let digest = image("2").digest().to_owned();
    project.remove("l/2.json");
    project.remove(&format!(".layermill/store/blobs/sha256/{}", &digest["sha256:".len()..]));
    let plan = project.run(&["plan", "one"]).exits(exit::DONE).stdout;
    assert_says(
        &plan,
        &["deferred? one@tag=2  ", "pulls    0 or more, most likely 1 or more, of ", "; most likely done at "],
    );
    let json = project.run(&["plan", "one", "--format", "json"]).exits(exit::DONE).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["pulls"][0]["needed"], &json["pulls"][0]["likely"]), (&0.into(), &1.into()), "{json}");
    // By what the list says, it is sure.
    project.edit("fresh: digest, ", "");
    let plan = project.run(&["plan", "one"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["deferred one@tag=2  ", "pulls    1 or more of "]);
    project.edit("rule: tags, ", "rule: tags, fresh: digest, ");
    registry.delete("a", &image("2"));
    project.build(&["one"]);
}

#[test]
fn what_two_sources_are_to_give_is_a_pull_of_either_and_puts_nothing_off_for_certain() {
    let (a, b) = (Registry::start(), Registry::start());
    [&a, &b].iter().for_each(|registry| registry.push("a:1", &stock::busybox().manifest(Format::Oci)));
    for [first, second] in [["a", "b"], ["b", "a"]] {
        let layers = |source: &str| {
            format!(
                "  t{source}: {{rule: tags, source: {source}, repo: a, output: t{source}.json}}
  l{source}: {{rule: layers, source: {source}, repo: a, foreach: {{tag: {{from: t{source}, select: all}}}}, output: \"l{source}/{{tag}}.json\"}}
"
            )
        };
        let project = Project::new(&format!(
            "version: 1
sources:
  a: {{kind: registry, url: \"{}\", budget: 1/1h}}
  b: {{kind: registry, url: \"{}\"}}
targets:
{}{}  copy: {{rule: command, foreach: {{tag: {{from: ta, select: all}}}}, inputs: [la], run: \"cp {{in}} {{out}}\", output: \"c/{{tag}}.json\"}}
",
            a.url(),
            b.url(),
            layers(first),
            layers(second)
        ));
        project.build(&["ta", "tb"]);
        project.write(".layermill/budget", format!("{} {}\n", jiff::Timestamp::now().as_millisecond(), a.url()));
        let certain = project.run(&["plan", "la"]).exits(exit::DONE).stdout;
        assert_says(&certain, &["deferred la@tag=1  ", "pulls    1 or more of "]);
        let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
        let likely = |source: &Registry| format!("pulls    0 or more, most likely 1 or more, of {}", source.url());
        assert_says(&plan, &["deferred? la@tag=1  ", "deferred? copy@tag=1  ", &likely(&a), &likely(&b)]);
        assert_eq!(project.build(&[]).built, 3);
    }
}

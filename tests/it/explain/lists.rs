//! What is told of steps that are read out of lists, and of the lists.

use super::assert_says;
use crate::support::project::Project;
use crate::support::words::exit;
use crate::support::{sample, stock};

/// A list that a step makes of a file, and what comes of it.
fn listed() -> Project {
    let project = Project::new(
        "version: 1
targets:
  list: {rule: command, inputs: [seed.txt], run: \"cat {in} > {out}\", output: list.json}
  each: {rule: command, foreach: {n: {from: list, json: ''}}, run: \"echo {n} > {out}\", output: \"e/{n}.txt\"}
  all: {rule: command, inputs: [each], run: \"cat {in} > {out}\", output: all.txt}
",
    );
    project.write("seed.txt", "[\"1\", \"2\"]\n");
    project
}

#[test]
fn a_list_that_cannot_be_read_is_up_to_date_and_what_reads_it_is_failed() {
    let project = listed();
    project.build(&[]);
    project.write("seed.txt", "nonsense\n");
    project.build_exits(exit::FAILED, &[]);
    let why = "{n} cannot be read out of list.json, which list made: not JSON";
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &[&format!("failed   each  {why}"), "blocked  all  each"]);
    for asked in ["list", "list.json"] {
        assert_says(&project.explain(asked), &["list: up to date\n", &format!("note      each fails: {why}")]);
    }
    assert_says(&project.explain("all"), &["all: blocked\n", &format!("since     each: {why}")]);
}

#[test]
fn an_input_that_is_named_by_its_path_has_to_be_there() {
    let project = listed();
    let more = "  one: {rule: command, inputs: [e/9.txt], run: \"cat {in} > {out}\", output: one.txt}
  some: {rule: command, foreach: {m: [1, 9]}, inputs: [\"e/{m}.txt\"], run: \"cat {in} > {out}\", output: \"some/{m}.txt\"}
  late: {rule: command, foreach: {n: {from: list, json: ''}}, inputs: [e/9.txt], run: \"cat {in} > {out}\", output: \"late/{n}.txt\"}
";
    project.write("pipeline.yaml", project.read("pipeline.yaml") + more);
    let steps = ["one", "some@m=9", "late@n=1", "late@n=2"];
    let report = project.build_exits(exit::FAILED, &[]);
    for step in steps {
        assert_eq!(report.step(step).message.as_deref(), Some("the input e/9.txt is missing"));
        assert_says(
            &project.explain(step),
            &[": failed\n", "says      the input e/9.txt is missing", "input     e/9.txt (not there)"],
        );
    }
    assert_eq!((report.failed, project.read("some/1.txt")), (4, "1\n".to_owned()));
    // A file that someone put there is read, and so is what a step makes once there is one.
    project.write("e/9.txt", "by hand\n");
    project.build(&[]);
    assert_eq!(project.read("one.txt"), "by hand\n");
    project.write("seed.txt", "[\"1\", \"2\", \"9\"]\n");
    project.build(&[]);
    assert_eq!(project.read("one.txt"), "9\n");
    project.build(&[]).assert_nothing_done();
}

#[test]
fn a_list_that_is_too_large_is_not_read() {
    let project = listed();
    project.edit(
        "run: \"cat {in} > {out}\", output: list.json",
        "cache: false, run: \"truncate -s 257M {out}\", output: list.json",
    );
    let why = "{n} cannot be read out of list.json, which list made: larger than 256 MiB";
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!(report.step("each").message.as_deref(), Some(why));
    assert_says(&project.explain("list"), &["list: up to date\n", why]);
}

#[test]
fn an_input_that_is_gone_keeps_its_name_when_it_is_cleaned_away() {
    let project = listed();
    project.build(&[]);
    project.write("seed.txt", "[\"1\"]\n");
    project.build(&["list"]);
    let why = "because   an input is gone: e/2.txt\n";
    assert_says(&project.explain("all"), &[why]);
    project.run(&["clean", "--orphans", "--yes"]).exits(exit::DONE);
    assert!(!project.exists("e/2.txt"));
    assert_says(&project.explain("all"), &["all: stale\n", why]);
    // It is no orphan any more, and nothing else is left of it.
    assert_says(&project.run(&["clean", "--orphans", "-n"]).stdout, &["0 outputs would be removed"]);
    project.run(&["explain", "e/2.txt"]).exits(exit::WRONG).says("no step makes e/2.txt");
    project.build(&[]);
    assert_says(&project.explain("all"), &["last made an input is gone: e/2.txt\n"]);
}

#[test]
fn what_fails_as_of_the_last_build_of_a_list_is_told_as_that() {
    let project = listed();
    project.edit("run: \"echo {n} > {out}\"", "inputs: [\"in/{n}.txt\"], run: \"cp {in} {out}\"");
    for n in 1..=2 {
        project.write(&format!("in/{n}.txt"), "");
    }
    project.build(&[]);
    project.remove("in/2.txt");
    let plan = project.run(&["plan"]).stdout;
    assert_says(
        &plan,
        &["failed   each@n=2  the input in/2.txt is missing\n", "blocked  all  each@n=2\n", ", 2 cannot be made"],
    );
    // Once the list is to be built, it may have that step no more.
    project.write("seed.txt", "[\"1\"]\n");
    let plan = project.run(&["plan"]).stdout;
    assert_says(
        &plan,
        &[
            "failed?  each@n=2  the input in/2.txt is missing\n",
            "blocked? all  each@n=2 (upstream: list is made again)\n",
            "1 that may be blocked, 1 that may fail\n",
        ],
    );
    for (step, word) in [("each@n=2", "failed"), ("all", "blocked")] {
        assert_says(
            &project.explain(step),
            &[&format!("{step}: {word}\n"), "as of the last build of what values are read out of"],
        );
    }
    assert_says(project.build(&[]).step("all").reason(), &["an input is gone: e/2.txt"]);
}

#[test]
fn what_is_up_to_date_and_hangs_on_its_list_is_told_by_that_alone() {
    let project = listed();
    project.edit(
        "run: \"cat {in} > {out}\", output: list.json",
        "run: \"grep -q 1 {in} && cat {in} > {out}\", output: list.json",
    );
    let more = "  next: {rule: command, foreach: {n: {from: list, json: ''}}, inputs: [each], run: \"cp {in} {out}\", output: \"n/{n}.txt\"}\n";
    project.write("pipeline.yaml", project.read("pipeline.yaml") + more);
    project.build(&[]);
    project.write("seed.txt", "[\"2\"]\n");
    project.build_exits(exit::FAILED, &[]);
    let plan = project.run(&["plan"]).stdout;
    let risk = "(blocked? list is tried again, and may fail or be put off as before)\n";
    let more = format!("more     next  its steps are told once list is built {risk}");
    assert_says(&plan, &[&more, "(4 of them as of the last build)"]);
    assert!(!plan.contains("\nblocked?"), "{plan}");
    // Back as it was, it is well, and the attempt that was of something else tells nothing any more.
    project.write("seed.txt", "[\"1\", \"2\"]\n");
    let explained = project.explain("list");
    assert!(explained.contains("list: up to date\n") && !explained.contains("failed"), "{explained}");
    project.build(&[]).assert_nothing_done();
    assert!(!project.exists(".layermill/failures.json"));
}

#[test]
fn a_target_without_steps_is_told_with_the_list_that_has_nothing() {
    let project = Project::new(
        "version: 1
targets:
  lines: {rule: command, foreach: {n: {lines: names.lst}}, run: \"echo {n} > {out}\", output: \"l/{n}.txt\"}
  files: {rule: command, foreach: {f: {glob: \"in/*.txt\"}}, inputs: [\"{f}\"], run: \"cp {in} {out}\", output: \"f/{f}.out\"}
  list: {rule: command, run: \"echo '[]' > {out}\", output: list.json}
  each: {rule: command, foreach: {n: {from: list, json: ''}}, run: \"echo {n} > {out}\", output: \"e/{n}.txt\"}
  after: {rule: command, foreach: {m: {from: lines, lines: true}}, run: \"echo {m} > {out}\", output: \"a/{n}/{m}.txt\"}
",
    );
    project.write("names.lst", "");
    project.build(&["list"]);
    let cases = [
        ("lines", "no value is in names.lst"),
        ("files", "no file is there of in/*.txt"),
        ("each", "no value is read out of list"),
        ("after", "no value is in names.lst"),
    ];
    let status = project.run(&["status", "--format", "json"]).exits(exit::DONE).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let rows = status.as_array().expect("rows");
    for (target, why) in cases {
        let asked = project.run(&["explain", target]);
        asked.exits(exit::WRONG).says(&format!("no step of {target} now: {why}"));
        let row = rows.iter().find(|row| row["target"] == target).expect("a row");
        assert!(row.as_object().expect("numbers").values().filter_map(|v| v.as_u64()).all(|n| n == 0), "{row}");
    }
    // Only what was asked for has one.
    let status = project.run(&["status", "list", "each"]).exits(exit::DONE).stdout;
    assert!(status.lines().count() == 3 && status.contains("\neach "), "{status}");
    project.write("names.lst", "one\n");
    assert_says(&project.explain("lines"), &["lines@n=one: missing"]);
}

#[test]
fn a_list_that_failed_when_it_was_last_tried_is_told_of_all_that_is_read_out_of_it() {
    let mut registry = stock::registry();
    let url = registry.url();
    let project = Project::new(&format!(
        "version: 1
sources: {{ours: {{kind: registry, url: \"{url}\"}}}}
targets:
  repos: {{rule: repositories, source: ours, namespace: library, output: repos.json, fresh: always, retries: 0}}
  tags: {{rule: tags, source: ours, foreach: {{repo: {{from: repos, json: ''}}}}, output: \"tags/{{repo}}.json\", retries: 0}}
  layers: {{rule: layers, source: ours, foreach: {{tag: {{from: tags, select: all}}}}, output: \"layers/{{repo}}/{{tag}}.json\"}}
"
    ));
    let failed = |step: &str, list: &str| {
        let told = project.explain(step);
        let says = format!("            {list} failed when it was last tried: {url} cannot be reached");
        assert_eq!(told.matches(&says).count(), 1, "{step}: {told}");
    };
    registry.stop();
    project.build_exits(exit::FAILED, &[]);
    ["tags", "layers", "layers@repo=library/redis,tag=6"].iter().for_each(|step| failed(step, "repos"));
    registry.resume();
    project.build(&[]);
    let layers = "layers@repo=library/redis,tag=6";
    assert!(!project.explain(layers).contains("failed"), "{}", project.explain(layers));
    registry.stop();
    project.build_exits(exit::FAILED, &[]);
    ["tags@repo=library/redis", layers].iter().for_each(|step| failed(step, "repos"));
    // A list of tags is one, too, where it is to be asked for again.
    let list = "tags@repo=library/redis";
    project.edit("repo: {from: repos, json: ''}", "repo: [library/redis]");
    project.build_exits(exit::FAILED, &["tags", "--refresh=tags"]);
    let refreshed = project.run(&["explain", layers, "--refresh"]).exits(exit::DONE).stdout;
    assert_says(&refreshed, &[&format!("            {list} failed when it was last tried: {url} cannot be reached")]);
    // One that stands, or is made again from its answer, is not.
    let unasked = || {
        let told = project.explain(layers);
        assert!(!told.contains("failed when it was last tried"), "{told}");
    };
    unasked();
    project.remove("tags/library/redis.json");
    unasked();
    project.edit("output: \"tags/", "fresh: digest, output: \"tags/");
    failed(layers, list);
}

#[test]
fn what_a_list_that_is_asked_in_each_build_has_no_more_is_an_input_that_is_gone_while_another_blocks() {
    let project = Project::new(
        "version: 1
sources: {shelf: {kind: oci-layout, path: images}}
targets:
  tags: {rule: tags, source: shelf, fresh: digest, foreach: {repo: [library/redis, library/postgres]}, output: \"tags/{repo}.json\"}
  layers: {rule: layers, source: shelf, foreach: {tag: {from: tags, select: all}}, output: \"layers/{repo}/{tag}.json\"}
  gate: {rule: command, cache: false, inputs: [gate.txt], run: \"grep open {in} > {out}\", output: gate.out}
  all: {rule: command, cache: false, inputs: [layers, gate], run: \"cat {in} > {out}\", output: all.txt}
",
    );
    let shelve = |goes: &[&str]| {
        let _ = std::fs::remove_dir_all(project.path("images"));
        let images = sample::images().into_iter().filter(|(name, _)| !goes.iter().any(|gone| name.starts_with(gone)));
        project.layout("images", &images.collect::<Vec<_>>());
    };
    shelve(&[]);
    project.write("gate.txt", "open\n");
    project.build(&[]);
    // A tag and a whole repository go, in a build that does not come to what reads them.
    shelve(&["library/redis:6", "library/postgres:"]);
    project.write("gate.txt", "shut\n");
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!(report.step("all").outcome, "blocked", "{}", report.listing());
    let gone = ["library/postgres/16", "library/postgres/17", "library/postgres/latest", "library/redis/6"]
        .map(|tag| format!("an input is gone: layers/{tag}.json"));
    let causes: Vec<String> = gone.iter().map(|cause| format!("because   {cause}\n")).collect();
    let assert_told = |explained: &str| causes.iter().for_each(|cause| assert_says(explained, &[cause]));
    let explained = project.explain("all");
    assert_told(&explained);
    assert!(!explained.contains("pending"), "{explained}");
    let plan = project.run(&["plan", "-v"]).exits(exit::DONE).stdout;
    gone.iter().for_each(|cause| assert_says(&plan, &[cause]));
    // By the next answers they may be there again: then nothing is made of it.
    project.write("gate.txt", "open\n");
    assert_told(&project.explain("all"));
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &[&format!("run?     all  {}", gone[0])]);
    assert_eq!(project.build(&["all"]).step("all").reason(), gone[0]);
    let explained = project.explain("all");
    gone.iter().for_each(|cause| assert_says(&explained, &[cause]));
    assert!(!explained.contains("because   an input is gone"), "{explained}");
}

#[test]
fn a_step_that_is_to_come_names_all_lists_that_its_values_are_read_out_of() {
    let project = listed();
    project.edit("foreach: {n: {from: list, json: ''}}", "foreach: {n: {from: list, json: ''}, m: {lines: etc/m}}");
    project.edit("e/{n}.txt", "e/{n}-{m}.txt");
    project.write("etc/m", "x\n");
    project.build(&[]);
    project.remove("list.json");
    project.write("seed.txt", "[\"1\", \"3\"]\n");
    assert_says(&project.explain("e/1-x.txt"), &["each@n=1,m=x: pending\n", "out of    etc/m\n  out of    list\n"]);
}

#[test]
fn a_value_that_one_of_several_lists_has_no_more_is_gone_whatever_becomes_of_the_others() {
    let project = Project::new(
        "version: 1
targets:
  m1: {rule: command, inputs: [one.txt], run: \"cp {in} {out}\", output: m1.txt}
  m2: {rule: command, inputs: [two.txt], run: \"grep -v bad {in} > {out}\", output: m2.txt}
  d: {rule: command, foreach: {x: {from: m1, lines: true}, y: {from: m2, lines: true}}, run: \"echo {x} {y} > {out}\", output: \"d/{x}/{y}\"}
  e: {rule: command, inputs: [d], run: \"cat {in} > {out}\", output: e.txt}
",
    );
    project.write("one.txt", "p\nq\n");
    project.write("two.txt", "1\n");
    project.build(&[]);
    project.write("one.txt", "q\n");
    project.write("two.txt", "bad\n");
    project.build_exits(exit::FAILED, &[]);
    // The other may still have its values.
    project.remove("m2.txt");
    let words = ["d@x=p,y=1: orphan\n", "no step makes it any more: p is not in what m1 makes now\n"];
    assert_says(&project.explain("d/p/1"), &words);
    assert_says(&project.explain("d/q/1"), &["d@x=q,y=1: pending\n"]);
    assert_says(&project.explain("e"), &["because   an input is gone: d/p/1\n"]);
    let clean = project.run(&["clean", "--orphans", "-n"]).stdout;
    assert_says(&clean, &["remove  d/p/1\n", "1 output would be removed\n"]);
    project.write("two.txt", "1\n");
    assert_eq!(project.build(&[]).step("e").reason(), "an input is gone: d/p/1");
}

#[test]
fn a_step_of_an_empty_value_is_pending_while_its_list_is_to_be_made() {
    let project = listed();
    project.write("seed.txt", "[\"1\", \"\"]\n");
    project.build(&[]);
    assert_eq!(project.read("all.txt"), "1\n\n");
    project.remove("list.json");
    project.write("seed.txt", "[\"\", \"1\"]\n");
    assert_says(&project.explain("e/.txt"), &["each@n=: pending\n", "its values are read out of list: "]);
    let told = project.explain("all");
    assert_says(&told, &["input     e/.txt (", ") of each@n=, pending\n"]);
    assert!(!told.contains("is gone"), "{told}");
    assert_says(&project.run(&["clean", "--orphans", "-n"]).stdout, &["0 outputs would be removed"]);
    project.write("seed.txt", "[\"1\"]\n");
    project.build(&["list"]);
    assert_says(&project.explain("e/.txt"), &["each@n=: orphan\n"]);
    project.run(&["clean", "--orphans", "--yes"]).exits(exit::DONE);
    assert!(project.exists("e/1.txt") && !project.exists("e/.txt"));
}

#[test]
fn a_file_that_may_come_to_be_of_a_step_of_other_values_is_no_orphan() {
    let project = Project::new(
        "version: 1
targets:
  m: {rule: command, inputs: [m.txt], run: \"cp {in} {out}\", output: m}
  p: {rule: command, foreach: {a: {from: m, lines: true}, b: {lines: b.txt}}, run: \"echo {a} {b} > {out}\", output: \"p/{a}-{b}\"}
",
    );
    project.write("m.txt", "x-y\n");
    project.write("b.txt", "z\n");
    project.build(&[]);
    project.write("m.txt", "x\n");
    project.write("b.txt", "y-z\n");
    let told = project.explain("p/x-y-z");
    assert_says(
        &told,
        &["p@a=x,b=y-z: pending\n", "its values are read out of m: it is stale", "last made first build"],
    );
    assert_says(&project.run(&["clean", "--orphans", "-n"]).stdout, &["0 outputs would be removed"]);
    assert_eq!(project.build(&[]).step("p@a=x,b=y-z").outcome, "built");
    assert_eq!(project.read("p/x-y-z"), "x y-z\n");
    // Once no step can have these values, it is one.
    project.write("b.txt", "w\n");
    assert_says(&project.explain("p/x-y-z"), &["p@a=x,b=y-z: orphan\n"]);
}

#[test]
fn what_would_make_a_step_that_is_to_come_run_again_is_told_by_its_record() {
    let project = Project::new(
        "version: 1
targets:
  gen: {rule: command, inputs: [etc/l], run: \"cp {in} {out}\", output: o/gen}
  mid: {rule: command, foreach: {k: {lines: o/gen}}, inputs: [etc/m], run: \"cp {in} {out}\", output: \"o/mid/{k}\"}
  leaf: {rule: command, foreach: {v: {from: mid, lines: true}}, inputs: [etc/n], run: \"cp {in} {out}\", output: \"o/leaf/{k}/{v}\"}
",
    );
    project.write("etc/l", "a\n");
    ["etc/m", "etc/n"].iter().for_each(|file| project.write(file, "1\n"));
    project.build(&[]);
    let by_hand = "an output is changed or removed (it comes back from the store, where that has it)";
    let changes = [by_hand, "an input, a parameter or the rule's version changes"];
    let gone = ["a is no more in what gen makes", "1 is no more in what mid@k=a makes"];
    let gone = gone.map(|gone| format!("again if  {gone}: then there is no such step\n"));
    let told = [project.explain("mid@k=a"), project.explain("leaf@k=a,v=1")];
    assert_says(&told[0], &[&gone[0]]);
    assert_says(&told[1], &[&gone[0], &gone[1]]);
    let assert_changes = |told: &str, then: &str| {
        changes.iter().for_each(|change| assert_says(told, &[&format!("again if  {change}{then}\n")]));
    };
    told.iter().for_each(|told| assert_changes(told, ""));
    // So it is while a list is to be made, be it the step's own or that of its list.
    project.edit("etc/l], run: \"cp", "etc/l], run: \"cp -f");
    project.remove("o/gen");
    let told = [project.explain("mid@k=a"), project.explain("leaf@k=a,v=1")];
    assert_says(&told[0], &["mid@k=a: pending\n", &gone[0]]);
    assert_says(&told[1], &["leaf@k=a,v=1: pending\n", &gone[0], &gone[1]]);
    told.iter().for_each(|told| assert_changes(told, ", which is seen only once gen is built"));
    // What is known to be a cause is all that it takes.
    project.remove("o/mid/a");
    let told = project.explain("mid@k=a");
    let comes = "again if  a build comes, where there still is such a step once gen is built\n";
    assert_says(&told, &["because   missing output: o/mid/a\n", comes, &gone[0]]);
    assert!(!told.contains("again if  an "), "{told}");
    project.build(&[]).assert_only(&["gen", "mid@k=a"]);
}

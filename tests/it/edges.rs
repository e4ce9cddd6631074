//! The engine at its edges: what is only known while building, what two targets share, and what must never be written.

use std::time::Duration;

use crate::support::project::{Project, Running};
use crate::support::stock;
use crate::support::words::exit;

/// A list that is built, files that come of it, and an aggregate over what comes of those. `2` fails as long as `broken`
/// lies there.
const CHAIN: &str = r#"
version: 1
targets:
  names: {rule: command, run: "printf '1\n2\n3\n' > {out}", output: result/names.txt}
  first:
    rule: command
    foreach: {v: {from: names, lines: true}}
    run: "if [ {v} = 2 ] && [ -e broken ]; then exit 1; fi; printf '{v}a\n{v}b\n' > {out}"
    output: result/first/{v}.txt
  second:
    rule: command
    foreach: {w: {from: first, lines: true}}
    inputs: [first]
    run: "echo {w} > {out}; cat {in} >> {out}"
    output: result/second/{v}-{w}.txt
  all: {rule: command, inputs: [second], run: "cat {in} > {out}", output: result/all.txt}
  some:
    rule: command
    inputs: [{target: second, partial: true}]
    run: "cat {in} > {out}"
    output: result/some.txt
default: [all, some]
"#;

#[test]
fn a_step_that_reads_the_step_its_value_came_from_is_reached() {
    let project = Project::new(CHAIN);
    assert_eq!(project.build(&[]).built, 12);
    project.build(&[]).assert_nothing_done();
}

#[test]
fn an_aggregate_over_what_is_not_told_yet_is_not_up_to_date_in_a_plan() {
    let project = Project::new(CHAIN);
    project.write("broken", "");
    project.build_exits(exit::FAILED, &[]);
    let plan = project.plan(&[]);
    for (aggregate, why) in
        [("all", "first build"), ("some", "upstream: first@v=2 is tried again, and may fail or be put off as before")]
    {
        let step = plan.step(aggregate);
        assert_eq!((step.outcome.as_str(), step.reason()), ("stale", why), "{aggregate}");
    }
    let explained = project.explain("all");
    assert!(!explained.contains("in the store"), "it was never built:\n{explained}");
}

#[test]
fn a_lost_file_that_values_are_read_out_of_does_not_look_like_inputs_that_are_gone() {
    let project = Project::new(CHAIN);
    project.build(&[]);
    project.remove("result/first/2.txt");
    // What comes back from the store can be read there.
    project.plan(&[]).assert_only(&["first@v=2"]);
    std::fs::remove_dir_all(project.path(".layermill/store/blobs")).expect("removed");
    let plan = project.plan(&[]);
    assert!(plan.step("all").reason().contains("first@v=2"), "{}", plan.listing());
}

#[test]
fn what_a_partial_input_lacks_is_counted_and_what_cannot_be_counted_is_said() {
    let project = Project::new(
        r#"
version: 1
targets:
  list: {rule: command, foreach: {n: [a, b]}, run: "test {n} = a && printf '1\n2\n' > {out}", output: "result/{n}.lst"}
  piece: {rule: command, foreach: {v: {from: list, lines: true}}, run: "test {v} = 1 && echo {v} > {out}", output: "result/{n}/{v}"}
  all: {rule: command, inputs: [{target: piece, partial: true}], run: "cat {in} > {out}", output: result/all}
"#,
    );
    let report = project.build_exits(exit::FAILED, &[]);
    let said = report.step("all").message.as_deref();
    assert_eq!(said, Some("made without 1 step that failed, and without steps that cannot be told yet"));
    assert_eq!(project.read("result/all"), "1\n");
}

#[test]
fn inputs_in_another_order_are_not_a_first_build() {
    let project = Project::new(
        r#"
version: 1
targets:
  out: {rule: command, inputs: {p: ./x.txt, q: ./y.txt}, run: "cat {in.p} > {out}", output: result/out.txt}
"#,
    );
    project.write("x.txt", "x");
    project.write("y.txt", "y");
    project.build(&[]);
    project.edit("{p: ./x.txt, q: ./y.txt}", "{p: ./y.txt, q: ./x.txt}");
    let plan = project.plan(&[]);
    assert!(!plan.step("out").reason().contains("first build"), "{}", plan.listing());
    project.build(&[]);
    assert_eq!(project.read("result/out.txt"), "y");
}

/// Tag and layer files of the sample, some of the tag files broken and all without records.
fn without_records() -> Project {
    let project = Project::clone_of_the_repository("project");
    project.build(&["get_layer_all"]);
    std::fs::remove_dir_all(project.path(".layermill")).expect("removed");
    project.write("result/tags/library/busybox.json", "");
    project.write("result/tags/library/node.json", "<html>busy</html>");
    project
}

#[test]
fn a_plan_over_broken_tag_files_says_what_the_build_does() {
    let project = without_records();
    let plan = project.plan(&["get_layer_all"]);
    assert_eq!((plan.failed, plan.blocked), (0, 0), "{}", plan.listing());
    assert_eq!(plan.of("get_tag"), ["get_tag@repo=library/busybox", "get_tag@repo=library/node"]);
    project.build(&["get_layer_all"]);
}

#[test]
fn a_plan_over_an_overwritten_tag_file_says_what_the_build_does() {
    let project = Project::clone_of_the_repository("project");
    project.build(&["get_layer_all"]);
    project.write("result/tags/library/busybox.json", "not json");
    let plan = project.plan(&["get_layer_all"]);
    assert_eq!((plan.failed, plan.blocked), (0, 0), "{}", plan.listing());
    assert_eq!(plan.of("get_tag"), ["get_tag@repo=library/busybox"]);
}

#[test]
fn forcing_a_target_runs_the_steps_that_it_shares() {
    let project = Project::clone_of_the_repository("project");
    let both = ["get_layer_latest", "get_layer_all"];
    project.build(&both);
    let forced = project.build(&[&both[..], &["--force=get_layer_all"]].concat());
    assert_eq!(
        forced.built,
        29,
        "all steps of get_layer_all, in whichever target they are listed\n{}",
        forced.listing()
    );
}

#[test]
fn a_setting_of_another_target_does_not_run_steps_that_are_not_shared() {
    let project = Project::new(
        r#"
version: 1
targets:
  a: {rule: command, foreach: {v: [1, 2]}, run: "echo {v} > {out}", output: "result/{v}.txt"}
  b: {rule: command, foreach: {v: [2, 3]}, run: "echo {v} > {out}", output: "result/{v}.txt", fresh: always}
"#,
    );
    project.build(&[]);
    let names: Vec<String> = project.build(&[]).names().iter().map(|n| (*n).to_owned()).collect();
    assert!(!names.contains(&"a@v=1".to_owned()), "a@v=1 is only a's, whose answers are kept: {names:?}");
}

#[test]
fn missing_error_fails_on_an_absence_that_is_on_record() {
    let project = Project::clone_of_the_repository("project");
    project.write("etc/image.lst", "library/nope\nlibrary/redis\n");
    assert_eq!(project.build(&["get_tag"]).absent, 1);
    project.edit("    fresh: exists ", "    missing: error ");
    project.build_exits(exit::FAILED, &["get_tag"]);
    project.build_exits(exit::FAILED, &["get_tag"]);
}

#[test]
fn the_pipeline_file_is_no_output() {
    let text = "version: 1\ntargets:\n  a: {rule: command, run: \"echo gone > {out}\", output: pipeline.yaml}\n";
    let project = Project::new(text);
    project.run(&["build"]).exits(exit::WRONG);
    assert_eq!(project.read("pipeline.yaml"), text);
}

#[test]
fn a_list_that_an_axis_reads_is_no_output() {
    let project = Project::new(
        r#"
version: 1
targets:
  a: {rule: command, foreach: {v: {lines: names.txt}}, run: "echo {v} > {out}", output: "{v}.txt"}
"#,
    );
    project.write("names.txt", "names\nother\n");
    let run = project.run(&["build"]);
    assert_ne!(run.code, exit::DONE, "{run}");
    assert_eq!(project.read("names.txt"), "names\nother\n");
}

#[test]
fn what_a_pattern_of_files_matches_is_no_output() {
    let project = Project::new(
        r#"
version: 1
targets:
  each: {rule: command, foreach: {f: {glob: "in/*.txt"}}, inputs: ["./{f}"], run: "cp {in} {out}", output: "copies/{f}"}
  more: {rule: command, foreach: {v: [a, b]}, run: "echo {v} > {out}", output: "in/{v}.txt"}
"#,
    );
    project.write("in/c.txt", "c\n");
    let run = project.run(&["build"]);
    run.exits(exit::FAILED).says("in/a.txt is among the files that an axis goes over, {glob: \"in/*.txt\"}");
    assert!(project.exists("copies/in/c.txt") && !project.exists("in/a.txt"));
    project.edit(
        "foreach: {v: [a, b]}, run: \"echo {v} > {out}\", output: \"in/{v}.txt\"",
        "run: \"echo > {out}\", output: in/b.txt",
    );
    project.run(&["build"]).exits(exit::WRONG).says("among the files that an axis goes over");
}

#[test]
fn what_lies_in_a_folder_that_a_step_makes_is_no_list_and_among_no_files_that_an_axis_goes_over() {
    let dir = "dir: {rule: command, inputs: [etc/l], run: \"mkdir -p {out}; cp {in} {out}/l\", output: r/dir/}";
    let read_by = |axis: &str| {
        Project::new(&format!(
            "version: 1\ntargets:\n  {dir}\n  use: {{rule: command, foreach: {{v: {axis}}}, run: \"echo {{v}} > {{out}}\", \
             output: \"use/{{v}}\"}}\n"
        ))
    };
    let early = [
        ("{lines: r/dir/l}", "`r/dir/l` lies in a folder that `dir` makes"),
        ("{csv: r/dir/l, column: name}", "`r/dir/l` lies in a folder that `dir` makes"),
        ("{glob: r/dir/*}", "`r/dir/*` reaches into a folder that `dir` makes"),
        ("{glob: \"*/*/l\"}", "`*/*/l` reaches into a folder that `dir` makes"),
        ("{glob: r/**}", "`r/**` reaches into a folder that `dir` makes"),
    ];
    for (axis, why) in early {
        let project = read_by(axis);
        project.write("etc/l", "en\n");
        let run = project.run(&["build"]).exits(exit::WRONG).says(why);
        run.says("let `dir` write the list to an output of its own");
    }
    for axis in ["{glob: \"q/*\"}", "{glob: etc/**}", "{lines: r/dirs/l}"] {
        let project = read_by(axis);
        project.write("etc/l", "en\n");
        project.write("r/dirs/l", "en\n");
        project.build(&[]);
    }
    // As the help says.
    let project = read_by("{lines: r/list}");
    project.edit("cp {in} {out}/l\", output: r/dir/", "cp {in} {out.list}\", output: {dir: r/dir/, list: r/list}");
    project.edit("mkdir -p {out}", "mkdir -p {out.dir}");
    project.write("etc/l", "en\n");
    project.build(&[]).assert_only(&["dir", "use@v=en"]);
    project.write("etc/l", "fr\n");
    project.build(&[]).assert_only(&["dir", "use@v=fr"]);
}

#[test]
fn a_folder_with_values_in_its_path_is_refused_where_an_axis_reads_what_is_in_it() {
    let project = Project::new(
        r#"
version: 1
targets:
  dir: {rule: command, foreach: {n: [a, b]}, run: "mkdir -p {out}; echo {n} > {out}/l", output: "r/{n}/x/"}
  use: {rule: command, foreach: {f: {glob: "r/a/x/*"}}, run: "echo {f} > {out}", output: "use/{f}"}
"#,
    );
    let why = "the output r/a/x/ is a folder that an axis reaches into, {glob: \"r/a/x/*\"}";
    project.run(&["build"]).exits(exit::FAILED).says(why);
    assert!(project.exists("r/b/x/l") && !project.exists("r/a/x"));
    project.write("r/a/x/l", "en\n");
    project.edit("{glob: \"r/a/x/*\"}", "{lines: r/a/x/l}");
    let why = "the output r/a/x/ is a folder around r/a/x/l, which the pipeline itself is read from";
    project.run(&["build"]).exits(exit::FAILED).says(why);
}

#[test]
fn a_list_that_is_no_file_is_refused_and_not_waited_for() {
    let project = Project::new(
        r#"
version: 1
targets:
  a: {rule: command, foreach: {v: {lines: names}}, run: "echo {v} > {out}", output: "result/{v}.txt"}
"#,
    );
    let made = project.command_of("mkfifo").arg("names").status().expect("mkfifo runs");
    assert!(made.success());
    let mut running = project.start(&["plan"]);
    for _ in 0..100 {
        if running.ended() {
            assert_eq!(running.wait().code, exit::WRONG);
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    running.signal(rustix::process::Signal::KILL);
    panic!("it waits for a list that nobody writes");
}

#[test]
fn a_list_that_has_nothing_is_named_and_fails_nothing() {
    let project = Project::new(
        r#"
version: 1
targets:
  get: {rule: command, foreach: {v: {lines: etc/names.txt}}, run: "echo {v} > {out}", output: "get/{v}.txt"}
  same: {rule: command, foreach: {v: {lines: etc/names.txt}}, run: "echo {v} > {out}", output: "same/{v}.txt"}
  more: {rule: command, foreach: {w: {from: get, lines: true}}, run: "echo {w} > {out}", output: "more/{v}-{w}.txt"}
  files: {rule: command, foreach: {f: {glob: "etc/*.csv"}}, run: "echo {f} > {out}", output: "files/{f}"}
  list: {rule: command, run: "touch {out}", output: list.txt}
  listed: {rule: command, foreach: {w: {from: list, lines: true}}, run: "echo {w} > {out}", output: "listed/{w}.txt"}
  all: {rule: command, inputs: [get, same, more, files, listed], run: "cat {in} /dev/null > {out}", output: all.txt}
"#,
    );
    let empty =
        ["files has no step: no file is there of etc/*.csv", "get, same have no step: no value is in etc/names.txt"];
    project.write("etc/names.txt", "# none is left\n\n");
    let run = project.run(&["build"]).exits(exit::DONE);
    for words in empty.into_iter().chain(["listed has no step: no value is read out of list"]) {
        assert!(run.stderr.contains(words), "{run}");
    }
    // What has no step since `get` has none is not told of, too.
    assert_eq!(run.stderr.matches("warning ").count(), 3, "{run}");
    assert!(run.stderr.lines().last().is_some_and(|line| line.starts_with("built 2, ")), "{run}");
    let mut in_actions = project.command(&["build"]);
    in_actions.env("GITHUB_ACTIONS", "true");
    let run = Running::spawn(in_actions).wait().exits(exit::DONE);
    assert!(run.stderr.contains("::warning title=layermill::get, same have no step: no value is in etc/"), "{run}");
    let told = project.run(&["build", "--format", "json"]).exits(exit::DONE);
    let told: serde_json::Value = serde_json::from_str(&told.stdout).expect("a report");
    let named = serde_json::json!({"targets": ["get", "same"], "because": "no value is in etc/names.txt"});
    assert!(told["empty"].as_array().is_some_and(|empty| empty.contains(&named)), "{told}");
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert!(plan.contains("empty    get, same have no step: no value is in etc/names.txt\n"), "{plan}");

    project.write("etc/names.txt", "one\n");
    project.write("etc/x.csv", "");
    let run = project.run(&["build"]).exits(exit::DONE);
    assert_eq!(run.stderr.matches("warning ").count(), 1, "{run}");
    // What was not asked for is not missed.
    project.write("etc/names.txt", "");
    let run = project.run(&["build", "list"]).exits(exit::DONE);
    assert!(!run.stderr.contains("warning "), "{run}");
}

#[test]
fn what_reads_a_step_that_cannot_be_is_blocked_and_not_made_of_nothing() {
    for list in ["[library/nginx, Library/Nginx]", "{lines: names}", "{from: list, lines: true}"] {
        for by in ["tags", "\"tags/{repo}.json\""] {
            let project = Project::new(&format!(
                r#"version: 1
sources: {{s: {{kind: oci-layout, path: images}}}}
targets:
  list: {{rule: command, inputs: [./names], run: "cp {{in}} {{out}}", output: list}}
  tags: {{rule: tags, source: s, foreach: {{repo: {list}}}, output: "tags/{{repo}}.json"}}
  count: {{rule: command, foreach: {{repo: {list}}}, inputs: [{by}], run: "cat {{in}} < /dev/null | wc -l > {{out}}", output: "count/{{repo}}"}}
  all: {{rule: command, inputs: [count], run: "cat {{in}} > {{out}}", output: all}}
"#
            ));
            project.layout("images", &[("library/nginx:1".into(), stock::nginx_index("1.27.2", ""))]);
            project.write("names", "library/nginx\nLibrary/Nginx\n");
            let report = project.build_exits(exit::FAILED, &[]);
            assert_eq!((report.failed, report.blocked), (1, 2), "{list} {by}: {}", report.listing());
            assert!(!project.exists("count/Library/Nginx") && !project.exists("all"), "{list} {by}");
            assert!(project.exists("count/library/nginx"), "{list} {by}");
            assert!(project.explain("count@repo=Library/Nginx").contains("blocked by tags@repo=Library/Nginx"));
        }
    }
}

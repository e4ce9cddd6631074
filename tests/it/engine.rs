//! Corners of the engine: who shares a step, what joins find, what a record stands for.

use crate::support::images::{Format, Image};
use crate::support::project::Project;
use crate::support::words::exit;

fn project(targets: &str) -> Project {
    Project::new(&format!("version: 1\ntargets:\n{targets}"))
}

#[test]
fn what_a_command_makes_may_depend_on_its_outputs_name() {
    let project = project(
        "  csv: {rule: command, run: \"basename {out} > {out}\", output: r/x.csv}\n  \
         json: {rule: command, run: \"basename {out} > {out}\", output: r/x.json}\n",
    );
    project.build(&[]);
    project.remove("r/x.csv");
    project.remove("r/x.json");
    assert_eq!(project.build(&[]).restored, 2);
    assert_eq!((project.read("r/x.csv"), project.read("r/x.json")), ("x.csv\n".into(), "x.json\n".into()));
}

#[test]
fn a_file_that_another_step_has_written_since_is_made_again() {
    let two = "version: 1\ntargets: {t: {rule: command, run: \"echo a > {out.x}; echo b > {out.y}\", output: {x: r/a, y: r/b}}}\n";
    let one = "version: 1\ntargets: {u: {rule: command, run: \"echo other > {out}\", output: r/b}}\n";
    let project = Project::new(two);
    for _ in 0..2 {
        project.write("pipeline.yaml", two);
        project.build(&[]);
        assert_eq!(project.read("r/b"), "b\n");
        project.build(&[]).assert_nothing_done();
        project.write("pipeline.yaml", one);
        project.build(&[]);
        assert_eq!(project.read("r/b"), "other\n");
        project.build(&[]).assert_nothing_done();
    }
}

#[test]
fn steps_are_shared_only_between_targets_that_bind_alike() {
    let project = project(
        "  a: {rule: command, foreach: {x: [1-2, 1-3]}, run: \"echo x > {out}\", output: \"r/{x}\"}\n  \
         b: {rule: command, foreach: {p: [\"1\"], q: [\"2\", \"3\"]}, run: \"echo x > {out}\", output: \"r/{p}-{q}\"}\n  \
         c: {rule: command, foreach: {q: [\"2\", \"3\"]}, inputs: [b], run: \"cat {in} > {out}\", output: \"c/{q}\"}\n",
    );
    project.run(&["build"]).exits(exit::WRONG).says("two steps for one file");
}

#[test]
fn parents_without_rows_leave_nothing_to_wait_for() {
    let project = project(
        "  p: {rule: command, foreach: {k: {lines: none.lst}}, run: \"echo {k} > {out}\", output: \"r/p/{k}\"}\n  \
         q: {rule: command, foreach: {l: {lines: none.lst}}, run: \"echo {l} > {out}\", output: \"r/q/{l}\"}\n  \
         j: {rule: command, foreach: {a: {from: p, lines: true}, b: {from: q, lines: true}}, run: \"echo > {out}\", \
         output: \"r/j/{k}/{l}/{a}-{b}\"}\n  \
         all: {rule: command, inputs: [j], run: \"echo {in} | wc -w > {out}\", output: r/all}\n",
    );
    project.write("none.lst", "");
    assert_eq!(project.build(&[]).built, 1);
    assert_eq!(project.read("r/all").trim(), "0");
}

#[test]
fn an_aggregate_waits_for_what_an_unreadable_parent_would_have_given() {
    let project = project(
        "  p: {rule: command, foreach: {k: [\"1\", \"2\"]}, run: \"test {k} = 1 && echo '[1]' > {out} || echo no > {out}\", \
         output: \"r/p/{k}\"}\n  \
         q: {rule: command, run: \"echo '[\\\"x\\\"]' > {out}\", output: r/q}\n  \
         j: {rule: command, foreach: {a: {from: p, json: \"\"}, b: {from: q, json: \"\"}}, run: \"echo > {out}\", \
         output: \"r/j/{k}/{a}-{b}\"}\n  \
         all: {rule: command, inputs: [j], run: \"echo {in} > {out}\", output: r/all}\n",
    );
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.failed, report.step("j@k=2").outcome.as_str()), (1, "failed"), "{}", report.listing());
    assert!(!project.exists("r/all"), "{}", report.listing());
}

#[test]
fn a_recorded_absence_becomes_a_failure_where_it_is_an_error() {
    let project = Project::new(
        "version: 1\nsources: {s: {kind: oci-layout, path: etc/sample}}\ntargets:\n  \
         get_tag: {rule: tags, source: s, foreach: {repo: [library/none]}, output: \"r/{repo}.json\", missing: ok}\n",
    );
    crate::support::project::copy(
        std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/etc/sample")),
        &project.path("etc/sample"),
    );
    assert_eq!(project.build(&[]).absent, 1);
    project.edit("missing: ok", "missing: error");
    assert_eq!(project.build_exits(exit::FAILED, &[]).failed, 1);
}

#[test]
fn by_hand_means_every_step_that_the_target_describes() {
    let project = project(
        "  a: {rule: command, foreach: {k: [\"1\", \"2\"]}, run: \"echo {k} > {out}\", output: \"r/{k}\"}\n  \
         b: {rule: command, foreach: {k: [\"2\", \"3\"]}, run: \"echo {k} > {out}\", output: \"r/{k}\"}\n",
    );
    assert_eq!(project.build(&[]).built, 3);
    assert_eq!(project.build(&["--force=b"]).built, 2);
}

#[test]
fn a_join_with_a_target_that_chose_fewer_rows_finds_nothing_and_reads_nothing() {
    let project = project(
        "  n: {rule: command, run: \"echo '{\\\"a\\\": 1, \\\"b\\\": 2}' > {out}\", output: r/n.json}\n  \
         some: {rule: command, foreach: {k: {from: n, json: \"\"}}, run: \"echo {k} > {out}\", output: \"r/some/{k}\"}\n  \
         two: {rule: command, foreach: {k: [b, c]}, inputs: [some], run: \"cat {in} /dev/null > {out}\", output: \"r/two/{k}\"}\n  \
         one: {rule: command, foreach: {k: [a]}, run: \"echo {k} > {out}\", output: \"r/one/{k}\"}\n  \
         join: {rule: command, foreach: {k: [a, b]}, inputs: [one], run: \"cat {in} /dev/null > {out}\", output: \"r/join/{k}\"}\n",
    );
    project.write("r/one/b", "not a step's\n");
    project.build(&[]);
    assert_eq!((project.read("r/two/b"), project.read("r/two/c")), ("b\n".into(), String::new()));
    assert_eq!((project.read("r/join/a"), project.read("r/join/b")), ("a\n".into(), String::new()));
    project.build(&[]).assert_nothing_done();
}

#[test]
fn a_list_that_is_missing_is_told_before_anything_runs() {
    let project = project(
        "  p: {rule: command, run: \"echo x > {out}\", output: r/p}\n  \
         q: {rule: command, foreach: {v: {from: p, lines: true}, arch: {lines: arch.lst}}, run: \"echo > {out}\", \
         output: \"r/q/{v}/{arch}\"}\n",
    );
    project.run(&["plan"]).exits(exit::WRONG).says("arch.lst");
    project.run(&["build"]).exits(exit::WRONG).says("arch.lst");
    assert!(!project.exists("r/p"));
}

#[test]
fn an_output_may_become_a_file_where_it_was_a_folder() {
    let project = project("  a: {rule: command, run: \"echo 1 > {out}/x\", output: r/a/}\n");
    project.build(&[]);
    project.write("pipeline.yaml", "version: 1\ntargets: {a: {rule: command, run: \"echo 1 > {out}\", output: r/a}}\n");
    project.build(&[]);
    assert_eq!(project.read("r/a"), "1\n");
}

#[test]
fn steps_that_meet_on_one_file_while_building_both_fail() {
    let project = project(
        "  p: {rule: command, run: \"echo 1 > {out}\", output: r/p}\n  \
         a: {rule: command, foreach: {k: {from: p, lines: true}}, run: \"echo a > {out}\", output: \"r/o/{k}\"}\n  \
         b: {rule: command, foreach: {k: {from: p, lines: true}}, run: \"echo b > {out}\", output: \"r/o/{k}\"}\n",
    );
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!(report.failed, 2, "{}", report.listing());
    assert_eq!(project.build_exits(exit::FAILED, &[]).failed, 2);
}

#[test]
fn a_step_waits_for_the_list_that_tells_whether_another_target_describes_it() {
    let project = project(
        "  list: {rule: command, inputs: [etc/list], run: \"sleep 0.2; cp {in} {out}\", output: r/list}
  warm: {rule: command, inputs: [etc/warm], run: \"cp {in} {out}\", output: r/warm}
  pinned: {rule: command, foreach: {n: [a, p]}, run: \"date +%N > {out}\", output: \"r/n/{n}\"}
  all: {rule: command, foreach: {n: {lines: r/list}}, run: \"date +%N > {out}\", output: \"r/n/{n}\", fresh: always, after: [warm]}
  other: {rule: command, foreach: {n: {lines: r/list}}, run: \"echo {n} > {out}\", output: \"r/{n}/x\"}
  odd: {rule: command, foreach: {m: [b, d]}, run: \"echo {m} > {out}\", output: \"r/{m}/x\"}
",
    );
    project.write("etc/list", "a\nc\nd\n");
    project.write("etc/warm", "");
    // Two that are none are known to be so before either has run.
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.failed, report.built), (2, 9), "{}", report.listing());
    assert!(!project.exists("r/d"));
    project.write("etc/list", "a\nc\n");
    project.build(&[]);
    // What is asked for in each build is, whichever list came first.
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_eq!(plan.matches("  freshness: always").count(), 2, "{plan}");
    let (a, p) = (project.read("r/n/a"), project.read("r/n/p"));
    assert_eq!(project.build(&[]).built, 2);
    assert!(project.read("r/n/a") != a && project.read("r/n/p") == p);
    assert_eq!(project.build(&["--force=all"]).built, 2);
    // All that is to come before is before.
    project.edit("cp {in} {out}\", output: r/warm", "false\", output: r/warm");
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.failed, report.blocked), (1, 2), "{}", report.listing());
    // A list that cannot be made tells nothing, and holds up nobody.
    project.edit("sleep 0.2; cp {in} {out}", "false");
    std::fs::remove_dir_all(project.path("r/n")).unwrap();
    let report = project.build_exits(exit::FAILED, &["pinned", "all"]);
    assert!(project.exists("r/n/a") && project.exists("r/n/p"), "{}", report.listing());
}

#[test]
fn two_targets_of_one_step_have_one_timeout_pool_and_store_whichever_list_is_told_first() {
    for (first, second) in [("true", "sleep 0.3"), ("sleep 0.3", "true")] {
        let project = Project::new(&format!(
            "version: 1
pools: {{wide: 2, one: 1}}
targets:
  l: {{rule: command, run: \"{first}; echo b > {{out}}\", output: r/l}}
  m: {{rule: command, run: \"{second}; echo b > {{out}}\", output: r/m}}
  s: {{rule: command, foreach: {{n: {{lines: r/l}}}}, run: \"sleep 0.4; date +%N > {{out}}\", output: \"r/s/{{n}}\", timeout: 100ms, pool: one, cache: false}}
  t: {{rule: command, foreach: {{n: {{lines: r/m}}}}, run: \"sleep 0.4; date +%N > {{out}}\", output: \"r/s/{{n}}\", timeout: 30s, pool: {{wide: 2}}}}
"
        ));
        project.build(&[]);
        let (made, explained) = (project.read("r/s/b"), project.explain("r/s/b"));
        for holds in [
            "no cause  timeout: 30s",
            "no cause  pool: wide (2 of 2)",
            "timeout 30s holds, not timeout 100ms of s",
            "cache true holds",
        ] {
            assert!(explained.contains(holds), "{explained}");
        }
        project.remove("r/s/b");
        assert_eq!(project.build(&[]).restored, 1);
        assert_eq!(project.read("r/s/b"), made);
    }
}

#[test]
fn what_a_target_says_of_a_step_that_its_own_list_needs_does_not_hold_and_is_told_so() {
    let project = project(
        "  pinned: {rule: command, foreach: {n: [a]}, run: \"date +%N > {out}\", output: \"r/n/{n}\"}
  list: {rule: command, inputs: [pinned], run: \"printf 'a\\\\nb\\\\n' > {out}\", output: r/list}
  gate: {rule: command, run: \"false\", output: r/gate}
  all: {rule: command, foreach: {n: {lines: r/list}}, run: \"date +%N > {out}\", output: \"r/n/{n}\", fresh: always, after: [gate]}
",
    );
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.built, report.failed, report.blocked), (2, 1, 1), "{}", report.listing());
    let (made, explained) = (project.read("r/n/a"), project.explain("pinned"));
    assert!(explained.contains("pinned@n=a: up to date"), "{explained}");
    assert!(explained.contains("what all says of it does not hold, whose list needs it"), "{explained}");
    assert!(!explained.contains("always") && !explained.contains("after gate"), "{explained}");
    project.build_exits(exit::FAILED, &[]);
    assert_eq!(project.read("r/n/a"), made);
}

#[test]
fn what_is_described_as_well_by_a_list_that_is_asked_each_time_may_be_asked() {
    let project = Project::new(
        "version: 1
sources: {here: {kind: oci-layout, path: images}}
targets:
  pinned: {rule: tags, source: here, foreach: {repo: [team/app]}, output: \"r/{repo}.json\"}
  all: {rule: tags, source: here, foreach: {repo: {namespace: team}}, output: \"r/{repo}.json\", fresh: digest}
",
    );
    let image =
        |tag: &str| (format!("team/app:{tag}"), Image::scratch("amd64", "2024-01-01T00:00:00Z").manifest(Format::Oci));
    project.layout("images", &[image("1")]);
    // Before that list is there for the first time, it may be.
    let whole = project.read("pipeline.yaml");
    project.write("pipeline.yaml", &whole[..whole.find("  all:").expect("the second target")]);
    project.build(&[]);
    project.write("pipeline.yaml", &whole);
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert!(plan.contains("run?     pinned@repo=team/app  freshness: asked each time (digest)"), "{plan}");
    let note = "whether all describes this step, too, is seen only while building";
    assert!(project.explain("pinned").contains(note) && !project.explain("pinned").contains("up to date"));
    project.build(&[]);
    assert!(!project.explain("pinned").contains(note));
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert!(plan.contains("run?     pinned@repo=team/app  freshness: asked each time (digest)"), "{plan}");
    project.layout("images", &[image("1"), image("2")]);
    assert_eq!(project.build(&[]).built, 1);
    assert!(project.read("r/team/app.json").contains("\"2\""));
}

#[test]
fn targets_over_several_others_and_lists_go_over_every_combination() {
    let project = project(
        "  p: {rule: command, run: \"printf '1\\\\n2\\\\n' > {out}\", output: r/p}\n  \
         q: {rule: command, run: \"printf 'x\\\\ny\\\\n' > {out}\", output: r/q}\n  \
         j: {rule: command, foreach: {a: {from: p, lines: true}, b: {from: q, lines: true}, c: [u, v]}, \
         run: \"echo {a}{b}{c} > {out}\", output: \"r/j/{a}/{b}/{c}\"}\n  \
         deep: {rule: command, foreach: {d: {from: j, lines: true}}, inputs: [j], run: \"cat {in} > {out}\", \
         output: \"r/deep/{a}/{b}/{c}/{d}\"}\n  \
         all: {rule: command, inputs: [deep], run: \"cat {in} > {out}\", output: r/all}\n",
    );
    project.build(&["-j1"]);
    let expected = ["1xu", "1xv", "1yu", "1yv", "2xu", "2xv", "2yu", "2yv"].map(|l| format!("{l}\n")).concat();
    assert_eq!(project.read("r/all"), expected);
    project.build(&[]).assert_nothing_done();
}

#[test]
fn a_list_that_fails_holds_up_nothing_of_another_list() {
    let project = Project::new(
        "version: 1
targets:
  names: {rule: command, foreach: {set: [good, bad]}, run: \"test {set} = good && echo one > {out}\", output: 'n/{set}.txt'}
  each: {rule: command, foreach: {n: {from: names, lines: true}}, run: \"echo {n} > {out}\", output: 'e/{set}/{n}.txt'}
  both: {rule: command, foreach: {n: {from: names, lines: true}, side: [p, q]}, inputs: [each], run: \"cp {in} {out}\", output: 'b/{set}/{n}/{side}.txt'}
",
    );
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.failed, report.blocked, report.built), (1, 2, 4), "{}", report.listing());
    assert_eq!(project.read("b/good/one/q.txt"), "one\n");
}

#[test]
fn what_stands_in_line_when_its_input_fails_late_is_not_made_without_it() {
    let wait = |file: &str| format!("until test -e {file}; do sleep 0.01; done");
    let project = project(&format!(
        "  l: {{rule: command, inputs: [etc/l], run: \"cp {{in}} {{out}}\", output: r/l}}
  m: {{rule: command, inputs: [etc/m], timeout: 30s, run: \"{}; cp {{in}} {{out}}\", output: r/m}}
  p: {{rule: command, foreach: {{n: {{lines: r/l}}}}, run: \"echo {{n}} > {{out}}\", output: \"r/p/{{n}}\"}}
  q: {{rule: command, foreach: {{n: {{lines: r/m}}}}, run: \"echo {{n}} > {{out}}\", output: \"r/p/{{n}}/x\"}}
  sum: {{rule: command, foreach: {{k: [1, 2, 3]}}, inputs: [p], timeout: 30s, run: \"touch begun; {}; cat {{in}} > {{out}}\", output: \"r/sum/{{k}}\"}}
  top: {{rule: command, inputs: [sum], run: \"cat {{in}} > {{out}}\", output: r/top}}
  some: {{rule: command, inputs: [{{target: p, partial: true}}], run: \"cat {{in}} > {{out}}\", output: r/some}}
",
        wait("begun"),
        wait("r/p/d/x"),
    ));
    project.write("etc/l", "a\nc\n");
    project.write("etc/m", "a\nd\n");
    let report = project.build_exits(exit::FAILED, &["-j2"]);
    assert_eq!((report.failed, report.blocked), (2, 4), "{}", report.listing());
    // The first had begun, and read both; of the others, what may do without it did.
    assert_eq!(project.read("r/sum/1"), "a\nc\n");
    assert!(["r/sum/2", "r/sum/3", "r/top"].iter().all(|path| !project.exists(path)));
    assert_eq!(project.read("r/some"), "c\n");
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert!(
        plan.contains("blocked  sum@k=1  p@n=a\n") && plan.contains("blocked  sum@k=2  p@n=a (first build)\n"),
        "{plan}"
    );
    project.write("etc/m", "d\n");
    project.build(&[]);
    let both = "a\nc\n";
    assert!(["r/sum/1", "r/sum/2", "r/sum/3", "r/some"].iter().all(|path| project.read(path) == both));
    assert_eq!(project.read("r/top"), both.repeat(3));
}

//! What is told of a step that reads from targets that make one file.

use super::assert_says;
use crate::support::images::Format;
use crate::support::project::Project;
use crate::support::stock;
use crate::support::words::exit;

#[test]
fn what_reads_rivals_names_them_both() {
    let project = Project::new(
        "version: 1
targets:
  a: {rule: command, foreach: {n: [one, two]}, run: \"echo a{n} > {out}\", output: \"x/{n}.txt\"}
  b: {rule: command, foreach: {n: [two, three]}, run: \"echo b{n} > {out}\", output: \"x/{n}.txt\"}
  both: {rule: command, inputs: [a, b], run: \"cat {in} > {out}\", output: both.txt}
  next: {rule: command, inputs: [both], run: \"cat {in} > {out}\", output: next.txt}
  list: {rule: command, run: \"echo two > {out}\", output: list.txt}
  c: {rule: command, foreach: {n: {from: list, lines: true}}, run: \"echo c > {out}\", output: \"y/{n}.txt\"}
  d: {rule: command, foreach: {m: [two]}, run: \"echo d > {out}\", output: \"y/{m}.txt\"}
  later: {rule: command, inputs: [c, d], run: \"cat {in} > {out}\", output: later.txt}
",
    );
    let two = ["a@n=two: two steps for one file: x/two.txt (the other is b@n=two)", "b@n=two: two steps for one file"];
    for asked in ["both", "next", "both.txt"] {
        assert_says(
            &project.explain(asked),
            &[": blocked", "since     ", two[0], two[1], "what is at fault is mended"],
        );
    }
    // Beside a target that can be told by itself, too.
    let explained = project.run(&["explain", "both", "a"]).exits(exit::DONE).stdout;
    assert_says(&explained, &["both: blocked", "a@n=one: missing"]);
    assert_says(&project.explain("a@n=two"), &["a@n=two: failed", two[0].split_once(": ").expect("a step").1]);
    // Of those that are still to come, that it may be so; and then it is.
    assert_says(&project.explain("later"), &["note      d@m=two and `c` may make one file, y/two.txt: then both fail"]);
    project.build_exits(exit::FAILED, &["later"]);
    let explained = project.explain("later");
    assert_says(&explained, &["c@n=two: two steps for one file: y/two.txt (the other is d@m=two)", "later: blocked"]);
    assert!(!explained.contains("may make one file"), "{explained}");
}

/// Two targets of one file, each with a list of its own that is built.
fn dynamic() -> Project {
    Project::new(
        "version: 1
targets:
  one: {rule: command, run: \"echo two > {out}\", output: one.txt}
  two: {rule: command, run: \"echo two > {out}\", output: two.txt}
  c: {rule: command, foreach: {n: {from: one, lines: true}}, run: \"echo c > {out}\", output: \"y/{n}.txt\"}
  d: {rule: command, foreach: {n: {from: two, lines: true}}, run: \"echo d > {out}\", output: \"y/{n}.txt\"}
  lone: {rule: command, foreach: {m: [two]}, run: \"echo > {out}\", output: \"z/{m}.txt\"}
  late: {rule: command, foreach: {n: {from: one, lines: true}}, run: \"echo late > {out}\", output: \"z/{n}.txt\"}
",
    )
}

#[test]
fn plan_explain_and_build_say_the_same_of_rivals() {
    let project = dynamic();
    project.build(&["one", "two"]);
    let clash = |path: &str, other: &str| format!("two steps for one file: {path} (the other is {other})");
    let pairs = [("c@n=two", "d@n=two", "y/two.txt"), ("lone@m=two", "late@n=two", "z/two.txt")];
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    for (a, b, path) in pairs {
        for (step, other) in [(a, b), (b, a)] {
            assert_says(&plan, &[&format!("failed   {step}  {}", clash(path, other))]);
            let words = [
                &*format!("{step}: failed\n"),
                &clash(path, other),
                "alone     asked for without the other, it is missing",
            ];
            assert_says(&project.explain(step), &words);
            assert_says(&project.explain(path), &words);
        }
    }
    // Neither of them runs.
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.failed, report.built), (4, 0), "{}", report.listing());
    assert!(!project.exists("y") && !project.exists("z"));
    // Alone, each is made, and no failure of its own is told.
    project.build(&["c"]);
    assert_eq!(project.read("y/two.txt"), "c\n");
    assert_says(&project.explain("c@n=two"), &["c@n=two: failed\n", "it is up to date\n", "last made first build"]);
    let other = project.explain("d@n=two");
    assert_says(&other, &["it is stale: made by another target: y/two.txt was last made by c"]);
    assert!(!other.contains("tried"), "{other}");
}

#[test]
fn rivals_that_are_still_to_come_are_told() {
    let project = dynamic();
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    for (target, rival) in [("c", "d"), ("d", "c"), ("late", "lone")] {
        assert_says(&plan, &[&format!("; where it comes to make a file of {rival}, too, both fail\n")]);
        assert_says(&project.explain(target), &[&format!("rival     {rival} may make this file, too, and otherwise")]);
    }
    project.build(&["one", "two"]);
    let plan = project.run(&["plan", "c", "late"]).exits(exit::DONE).stdout;
    assert!(!plan.contains("both fail"), "{plan}");
}

/// Two layouts, and targets that put the tags of both, and the layers of these, in the same folders.
fn of_two_sources(ours: &str, theirs: &str) -> Project {
    let target = |name: &str, tags: &str, layers: &str| {
        format!(
            "  {name}_tags: {{rule: tags, source: {name}, {tags}, output: \"r/tags/{{repo}}.json\"}}
  {name}_layers: {{rule: layers, source: {name}, {layers}, foreach: {{tag: {{from: {name}_tags, select: all}}}}, output: \"r/layers/{{repo}}/{{tag}}.json\"}}\n"
        )
    };
    let (ours, theirs) = (target("ours", ours, "sizes: compressed"), target("theirs", theirs, "sizes: uncompressed"));
    let project = Project::new(&format!(
        "version: 1\nsources: {{ours: {{kind: oci-layout, path: ours}}, theirs: {{kind: oci-layout, path: theirs}}}}\ntargets:\n{ours}{theirs}"
    ));
    let image = || stock::busybox().manifest(Format::Oci);
    project.layout("ours", &[("app/shop:1".to_owned(), image())]);
    project.layout("theirs", &[("app/shop:2".to_owned(), image()), ("vendor/fw:7".to_owned(), image())]);
    project
}

#[test]
fn targets_whose_lists_have_no_value_in_common_are_no_rivals() {
    for (theirs, is_rival) in [
        ("[vendor/fw]", false),
        ("{lines: theirs.lst}", false),
        ("{namespace: vendor}", false),
        ("[vendor/fw, app/shop]", true),
        ("{namespace: [vendor, app]}", true),
    ] {
        let tags = |repos: &str| format!("foreach: {{repo: {repos}}}, fresh: digest");
        let project = of_two_sources(&tags("{namespace: app}"), &tags(theirs));
        project.write("theirs.lst", "vendor/fw\n");
        for _ in 0..2 {
            let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
            assert_eq!(plan.contains("both fail"), is_rival, "{theirs}\n{plan}");
            let explained = project.explain("theirs_layers");
            assert_eq!(explained.contains("rival     ours_layers"), is_rival, "{theirs}\n{explained}");
            project.run(&["build"]).exits(if is_rival { exit::FAILED } else { exit::DONE });
            if is_rival {
                break;
            }
        }
    }
}

#[test]
fn steps_that_ask_other_sources_are_never_one() {
    let tags = |fresh: &str| format!("foreach: {{repo: [app/shop]}}, fresh: {fresh}");
    let project = of_two_sources(&tags("exists"), &tags("digest"));
    // What both lists name is seen before anything is asked.
    project.run(&["build"]).exits(exit::WRONG).says("two steps for one file: r/tags/app/shop.json");

    // Of a list that is still to be read, neither takes what the other says.
    let project = of_two_sources(&tags("exists"), "foreach: {repo: {from: names, lines: true}}, fresh: digest");
    project
        .edit("targets:\n", "targets:\n  names: {rule: command, run: \"echo vendor/fw > {out}\", output: names.lst}\n");
    project.build(&["ours_tags"]);
    let explained = project.explain("ours_tags");
    assert_says(&explained, &["ours_tags@repo=app/shop: up to date", "fresh     exists", "rival     theirs_tags"]);
    assert!(!project.plan(&[]).names().contains(&"ours_tags@repo=app/shop"));
    project.build(&[]);
    assert!(!project.plan(&[]).names().contains(&"ours_tags@repo=app/shop"));
}

#[test]
fn targets_of_one_step_say_what_holds_of_them_together() {
    let project = Project::new(
        "version: 1
targets:
  a: {rule: command, foreach: {n: [1]}, fresh: 24h, retries: 1, missing: error, after: [w1], run: \"echo >> ran; echo > {out}\", output: \"y/{n}.txt\"}
  b: {rule: command, foreach: {n: [1]}, fresh: 1ms, retries: 3, after: [w2], run: \"echo >> ran; echo > {out}\", output: \"y/{n}.txt\"}
  w1: {rule: command, run: \"test ! -e y && echo > {out}\", output: w1.txt}
  w2: {rule: command, run: \"sleep 0.2; test ! -e y && echo > {out}\", output: w2.txt}
  all: {inputs: [a, b]}
",
    );
    // One step, which comes after what both name.
    assert_eq!(project.build(&[]).built, 3);
    assert_eq!(project.read("ran").lines().count(), 1);
    let held = "fresh 1ms holds, not fresh 24h of a; missing error holds, not missing ok of b; retries 3 holds, not retries 1 of a; after w1, w2\n";
    for (name, other) in [("a", "b"), ("b", "a")] {
        let words = [
            &*format!("{name}@n=1: stale\n"),
            "because   freshness: made ",
            ", limit 1ms\n",
            &*format!("also of   {other}: the same step\n"),
            held,
            "after     w1\n",
            "after     w2\n",
        ];
        assert_says(&project.explain(name), &words);
    }
    assert!(project.plan(&[]).step("a@n=1").reason().contains("limit 1ms"));
    // A group says what it waits for, too.
    assert_says(&project.explain("all"), &["all: stale\n", "again if  one of its targets is made again"]);
}

#[test]
fn one_step_for_two_targets_that_would_wait_for_itself_is_told_before_a_build() {
    let told = |targets: &str| {
        let project = Project::new(&format!(
            "version: 1
targets:
  a: {{rule: command, run: \"echo > {{out}}\", output: one.txt}}
{targets}  all: {{inputs: [a, b]}}
"
        ));
        project.run(&["build"]).exits(exit::WRONG).says("two steps for one file: one.txt: as one step, by `after`");
        project.build(&["a"]);
    };
    let b =
        |after: &str| format!("  b: {{rule: command, run: \"echo > {{out}}\", output: one.txt, after: [{after}]}}\n");
    told(&b("a"));
    told(&format!("  x: {{rule: command, inputs: [a], run: \"cp {{in}} {{out}}\", output: x.txt}}\n{}", b("x")));
}

#[test]
fn a_file_where_another_step_needs_a_folder_is_told_of_both() {
    let project = Project::new(
        "version: 1
targets:
  list: {rule: command, run: \"echo a > {out}\", output: list.txt}
  file: {rule: command, run: \"echo > {out}\", output: x/y}
  inner: {rule: command, foreach: {n: {from: list, lines: true}}, run: \"echo > {out}\", output: \"x/y/{n}.txt\"}
",
    );
    project.build(&["list"]);
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    for step in ["file", "inner@n=a"] {
        assert_says(&plan, &[&format!("failed   {step}  a file where another step needs a folder")]);
        assert_says(
            &project.explain(step),
            &[&format!("{step}: failed\n"), "says      a file where another step needs a folder"],
        );
    }
    assert_eq!(project.build_exits(exit::FAILED, &[]).failed, 2);
}

#[test]
fn what_reads_either_of_two_rivals_is_told_with_its_inputs() {
    let project = Project::new(
        "version: 1
targets:
  a: {rule: command, foreach: {n: [x, y]}, run: \"echo a > {out}\", output: \"result/{n}\"}
  b: {rule: command, foreach: {n: [y]}, run: \"echo b > {out}\", output: \"result/{n}\"}
  u: {rule: command, inputs: [a], run: \"cat {in} > {out}\", output: u.txt}
  v: {rule: command, inputs: [b], run: \"cat {in} > {out}\", output: v.txt}
",
    );
    for (reader, rival) in [("u", "a@n=y"), ("v", "b@n=y")] {
        let told = |explained: &str| {
            let line = explained.lines().find(|line| line.starts_with("  input     result/y ("));
            assert!(line.is_some_and(|line| line.contains(&format!(" of {rival}, "))), "{explained}");
        };
        told(&project.explain(reader));
        project.build(&[reader]);
        let explained = project.explain(reader);
        told(&explained);
        let alone = "alone     asked for without the other, it is up to date\n";
        assert_says(&explained, &[&format!("{reader}: blocked\n"), alone, "again if  an input, "]);
    }
}

#[test]
fn a_step_that_several_targets_describe_is_not_told_as_made_by_another_of_them() {
    let project = Project::new(
        "version: 1
targets:
  one: {rule: command, foreach: {v: {lines: l1}}, inputs: [a.txt], run: \"cat {in} > {out}\", output: \"out/{v}.txt\"}
  two: {rule: command, foreach: {v: {lines: l2}}, inputs: [a.txt], run: \"cat {in} > {out}\", output: \"out/{v}.txt\"}
",
    );
    for (file, text) in [("l1", "x\ny\n"), ("l2", "y\n"), ("a.txt", "1\n")] {
        project.write(file, text);
    }
    project.build(&[]);
    // Asked for alone, or the only one that still has it.
    let assert_input_only = |args: &[&str]| {
        let report = project.build(args);
        let reason = report.step("two@v=y").reason();
        assert!(reason.starts_with("changed input: a.txt, from "), "{reason}");
        let told = project.explain("two@v=y");
        assert!(told.contains("last made changed input: a.txt, from ") && !told.contains("another target"), "{told}");
    };
    project.write("a.txt", "2\n");
    assert_input_only(&["two"]);
    project.write("a.txt", "3\n");
    project.build(&[]);
    project.write("l1", "x\n");
    project.write("a.txt", "4\n");
    assert_input_only(&[]);
    // Nor where the other one describes something else by now.
    project.write("l1", "x\ny\n");
    project.write("a.txt", "5\n");
    project.build(&[]);
    project.edit(
        "  one: {rule: command, foreach: {v: {lines: l1}}, inputs: [a.txt]",
        "  one: {rule: command, foreach: {v: {lines: l1}}, inputs: [./l1]",
    );
    project.write("a.txt", "6\n");
    assert_input_only(&["two"]);
}

#[test]
fn a_step_of_two_targets_names_the_lists_of_both() {
    let project = Project::new(
        "version: 1
targets:
  one: {rule: command, foreach: {v: {lines: etc/one}}, run: \"echo {v} > {out}\", output: \"o/{v}\"}
  two: {rule: command, foreach: {v: {lines: etc/two}}, run: \"echo {v} > {out}\", output: \"o/{v}\"}
  both: {rule: command, foreach: {v: {lines: etc/one}}, run: \"echo {v} > {out}\", output: \"o/{v}\"}
",
    );
    project.write("etc/one", "p\nq\n");
    project.write("etc/two", "p\n");
    project.build(&[]);
    let words = [
        "out of    etc/one\n  out of    etc/two\n",
        "again if  p is no more in etc/one: then it is no step of one and both any more\n",
        "again if  p is no more in etc/two: then it is no step of two any more\n",
    ];
    assert_says(&project.explain("o/p"), &words);
    let told = project.explain("o/q");
    assert_says(&told, &["again if  q is no more in etc/one: then there is no such step\n"]);
    assert!(!told.contains("etc/two"), "{told}");
}

#[test]
fn what_is_read_out_of_a_step_of_two_targets_hangs_on_the_lists_of_the_one_it_reads() {
    let project = Project::new(
        "version: 1
targets:
  one: {rule: command, foreach: {n: {lines: etc/one}}, run: \"echo {n} > {out}\", output: \"o/{n}\"}
  two: {rule: command, foreach: {n: {lines: etc/two}}, run: \"echo {n} > {out}\", output: \"o/{n}\"}
  x: {rule: command, foreach: {z: {from: two, lines: true}}, run: \"echo {z} > {out}\", output: \"x/{n}/{z}\"}
",
    );
    project.write("etc/one", "b\n");
    project.write("etc/two", "b\nc\n");
    project.build(&[]);
    let told = project.explain("x@n=b,z=b");
    let words = [
        "again if  b is no more in etc/two: then there is no such step\n",
        "again if  b is no more in what two@n=b makes: then there is no such step\n",
    ];
    assert_says(&told, &words);
    assert!(!told.contains("etc/one"), "{told}");
    // It says so: the other target's list changes nothing, this one's ends it.
    project.write("etc/one", "#\n");
    assert_says(&project.explain("x@n=b,z=b"), &["x@n=b,z=b: up to date\n"]);
    project.write("etc/one", "b\n");
    project.write("etc/two", "c\n");
    assert_says(&project.explain("x@n=b,z=b"), &["x@n=b,z=b: orphan\n"]);
}

#[test]
fn what_is_read_out_of_one_target_hangs_on_its_list_whoever_else_describes_the_step() {
    let project = Project::new(
        "version: 1
targets:
  m: {rule: command, inputs: [etc/m], run: \"! grep -q FAIL {in} && cp {in} {out}\", output: r/m}
  s1: {rule: command, foreach: {n: [b]}, inputs: [\"etc/{n}\"], run: \"cp {in} {out}\", output: \"r/s/{n}\"}
  s2: {rule: command, foreach: {n: {lines: r/m}}, inputs: [\"etc/{n}\"], run: \"cp {in} {out}\", output: \"r/s/{n}\"}
  x: {rule: command, foreach: {z: {from: s2, lines: true}}, run: \"echo {z} > {out}\", output: \"r/x/{n}/{z}\"}
  some: {rule: command, inputs: [{target: x, partial: true}], run: \"echo {in} > {out}\", output: r/some}
",
    );
    project.write("etc/m", "b\n");
    project.write("etc/b", "b\n");
    project.build(&[]);
    project.write("etc/m", "FAIL\n");
    project.build_exits(exit::FAILED, &[]);
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["run?     some  upstream: m is tried again"]);
    // What is read out of it is made anew, too, once there is one for the target that is read.
    project.write("etc/b", "c\n");
    project.build_exits(exit::FAILED, &[]);
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["run?     x@n=b,z=c  first build (blocked? m is tried again", "run?     some  "]);
    let waits = "m is failed: whether there still is such a step is seen once that is built";
    assert_says(
        &project.explain("x@n=b,z=c"),
        &["a build   may make it", "m failed when it was last tried: the command failed", waits],
    );
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.built, report.failed, report.up_to_date), (0, 1, 2), "{}", report.listing());
    project.write("etc/m", "b\n");
    assert_eq!(project.build(&[]).built, 2);
}

#[test]
fn a_step_that_fails_blocks_what_reads_it_of_a_target_only_as_long_as_it_is_one_of_that() {
    let project = Project::new(
        "version: 1
targets:
  m: {rule: command, inputs: [etc/m], run: \"cp {in} {out}\", output: r/m}
  s1: {rule: command, foreach: {n: {lines: r/m}}, inputs: [\"etc/{n}\"], run: \"cp {in} {out}\", output: \"r/s/{n}\"}
  s2: {rule: command, foreach: {n: [b]}, inputs: [\"etc/{n}\"], run: \"cp {in} {out}\", output: \"r/s/{n}\"}
  all: {rule: command, inputs: [s1], run: \"cat {in} > {out}\", output: r/all}
",
    );
    project.write("etc/m", "b\nc\n");
    project.write("etc/c", "c\n");
    project.build_exits(exit::FAILED, &[]);
    project.write("etc/m", "c\n");
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["failed   s2@n=b  the input etc/b is missing", "blocked? all  s2@n=b (first build)\n"]);
    let list = "as of the last build of what values are read out of: that is built first, and may have others";
    assert_says(&project.explain("all"), &["blocked by s2@n=b\n", list]);
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.step("all").outcome.as_str(), report.blocked), ("built", 0), "{}", report.listing());
}

#[test]
fn what_two_steps_come_to_make_is_not_gone_for_what_reads_it() {
    let project = Project::new(
        "version: 1
targets:
  list: {rule: command, inputs: [./in.txt], run: \"cp {in} {out}\", output: list.txt}
  p: {rule: command, foreach: {k: {from: list, lines: true}}, run: \"echo p > {out}\", output: \"r/{k}\"}
  q: {rule: command, run: \"echo q > {out}\", output: r/c}
  use: {rule: command, inputs: [r/c], run: \"cp {in} {out}\", output: use.txt}
  all: {rule: command, inputs: [q], run: \"cat {in} > {out}\", output: all.txt}
",
    );
    project.write("in.txt", "a\n");
    project.build(&[]);
    project.write("in.txt", "a\nc\n");
    project.build_exits(exit::FAILED, &[]);
    for reader in ["use", "all"] {
        let told = project.explain(reader);
        assert_says(&told, &[": blocked\n", "two steps for one file: r/c", "  input     r/c ("]);
        assert!(!told.contains("an input is gone"), "{told}");
    }
}

#[test]
fn steps_of_one_target_that_keep_each_other_from_being_made_are_told_as_they_are_made_alone() {
    let project = Project::new(
        "version: 1
targets:
  lst: {rule: command, inputs: [etc/l], run: \"cp {in} {out}\", output: r/l}
  per: {rule: command, foreach: {n: {lines: r/l}}, run: \"echo {n} > {out}\", output: \"r/per/{n}\"}
",
    );
    project.write("etc/l", "b\na\na/b\na/b/c\n");
    project.build_exits(exit::FAILED, &[]);
    let steps = ["per@n=a", "per@n=a/b", "per@n=a/b/c"];
    let all = project.explain("per");
    for step in steps {
        let told = [
            &*format!("{step}: failed\n"),
            "alone     asked for without the other, it is missing: first build\n",
            &format!("`layermill build {step}` makes it without the other\n"),
        ];
        assert_says(&project.explain(step), &told);
        assert_eq!(all.matches(told[1]).count(), steps.len(), "{all}");
    }
    assert_eq!(project.build(&["per@n=a"]).built, 1);
    assert_says(&project.explain("per@n=a"), &["alone     asked for without the other, it is up to date\n"]);
    // What the first of them made lies in the way of the others, which are not made then.
    let in_the_way = [
        "alone     asked for without the other, it fails as long as r/per/a lies in its way\n",
        "once r/per/a is removed, `layermill build per@n=a/b` makes it",
    ];
    assert_says(&project.explain("per@n=a/b"), &in_the_way);
    project.build_exits(exit::FAILED, &["per@n=a/b"]);
    project.remove("r/per/a");
    assert_eq!(project.build(&["per@n=a/b"]).built, 1);
}

#[test]
fn what_was_built_before_its_rival_came_to_be_known_fails_with_all_that_reads_it_as_in_the_next_build() {
    let project = Project::new(
        "version: 1
targets:
  l: {rule: command, inputs: [etc/l], run: \"cp {in} {out}\", output: r/l}
  m: {rule: command, inputs: [etc/m], timeout: 60s, run: \"until test -e r/sum; do sleep 0.01; done; cp {in} {out}\", output: r/m}
  p1: {rule: command, foreach: {n: {lines: r/l}}, run: \"echo 1 > {out}\", output: \"r/p/{n}\"}
  p2: {rule: command, foreach: {n: {lines: r/m}}, run: \"echo 2 > {out}\", output: \"r/p/{n}/b\"}
  r1: {rule: command, foreach: {n: {lines: r/l}}, inputs: [p1], run: \"cp {in} {out}\", output: \"r/r1/{n}.txt\"}
  sum: {rule: command, inputs: [r1], run: \"cat {in} > {out}\", output: r/sum}
",
    );
    project.write("etc/l", "a\nc\n");
    project.write("etc/m", "a\nd\n");
    let run = project.run(&["build"]).exits(exit::FAILED).says("it was made before that was known");
    assert!(run.stderr.contains("built 5, up to date 0, failed 2, blocked 2 "), "{run}");
    let clash = "a file where another step needs a folder: r/p/a/b, r/p/a (the other is ";
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    let told = [
        &*format!("failed   p1@n=a  {clash}p2@n=a)\n"),
        &format!("failed   p2@n=a  {clash}p1@n=a)\n"),
        "blocked  r1@n=a  p1@n=a\n",
        "0 to run, 5 up to date, 0 absent, 4 cannot be made\n",
    ];
    assert_says(&plan, &told);
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.up_to_date, report.failed, report.blocked), (5, 2, 2), "{}", report.listing());
    // By itself, each is told as it is among all.
    for (step, word) in [("p1@n=a", "failed"), ("p2@n=a", "failed"), ("r1@n=a", "blocked"), ("sum", "blocked")] {
        assert_says(&project.explain(step), &[&format!("{step}: {word}\n")]);
    }
}

#[test]
fn a_path_that_the_list_of_one_target_may_come_to_have_is_blocked_only_perhaps_by_another_that_cannot_be_read() {
    let project = Project::new(
        "version: 1
targets:
  list: {rule: command, inputs: [l.txt], run: \"cp {in} {out}\", output: list.txt}
  each: {rule: command, foreach: {n: {from: list, lines: true}}, run: \"echo {n} > {out}\", output: \"r/{n}\"}
  more: {rule: command, inputs: [l.txt], run: \"cp {in} {out}\", output: more.txt}
  twin: {rule: command, foreach: {n: {from: more, json: /x}}, run: \"echo {n} > {out}\", output: \"r/{n}\"}
  path: {rule: command, inputs: [r/x], run: \"cp {in} {out}\", output: path.txt}
",
    );
    project.write("l.txt", "x\n");
    project.build_exits(exit::FAILED, &["more", "twin"]);
    let plan = project.run(&["plan"]).stdout;
    assert_says(&plan, &["failed   twin  ", "blocked? path  twin (first build)\n"]);
    assert_says(&project.explain("path"), &["path: blocked\n", "as of the last build of what values are read out of"]);
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.failed, report.blocked), (1, 0), "{}", report.listing());
    assert_eq!(project.read("path.txt"), "x\n");
}

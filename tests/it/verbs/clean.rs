//! `clean --orphans`: outputs that no step makes any more, listed before they go.

use super::*;

#[test]
fn orphans_are_listed_before_they_go() {
    let project = project();
    project.build(&[]);
    project.write("result/part/mine.txt", "not layermill's\n");
    project.write("numbers.lst", "2\n");
    project.edit("result/copies/copy.txt", "result/copy.txt");
    project.build(&[]);
    let before = project.snapshot();
    for args in [&["clean", "--orphans", "-n"][..], &["clean", "--orphans"]] {
        let run = project.run(args);
        assert_eq!(run.code, if args.contains(&"-n") { exit::DONE } else { exit::WRONG }, "{run}");
        assert!(run.stdout.contains("remove  result/part/1.txt"), "{run}");
        assert!(run.stdout.contains("remove  result/copies/copy.txt"), "{run}");
        assert!(!run.stdout.contains("mine.txt") && !run.stdout.contains("part/2"), "{run}");
        assert_eq!(before.changes(&project.snapshot()), [""; 0]);
    }
    project.run(&["clean", "--orphans"]).exits(exit::WRONG).says("--yes");
    project.run(&["clean", "--orphans", "--yes"]).exits(exit::DONE);
    assert_eq!(before.changes(&project.snapshot()), ["result/copies/copy.txt", "result/part/1.txt"]);
    assert!(!project.exists("result/copies"), "an empty folder goes too");
    assert!(project.exists("result/part/mine.txt"));
    let run = project.run(&["clean", "--orphans"]).exits(exit::DONE);
    assert!(run.stdout.contains("0 outputs"), "{run}");
    project.build(&[]).assert_nothing_done();
}

#[test]
fn orphans_are_listed_beside_a_step_that_was_refused() {
    let project = Project::new(
        "version: 1
targets:
  lst: {rule: command, inputs: [./l], run: \"cp {in} {out}\", output: r/l}
  each: {rule: command, foreach: {n: {from: lst, lines: true}}, inputs: [./l], run: \"echo {n} > {out}\", output: \"r/{n}/f\"}
  part: {rule: command, foreach: {n: {lines: m}}, run: \"echo {n} > {out}\", output: \"r/part/{n}\"}
",
    );
    project.write("l", "x\n..\n");
    project.write("m", "1\n2\n");
    project.run(&["build"]).exits(exit::FAILED).says("each@n=..");
    project.write("m", "2\n");
    let listed = project.run(&["clean", "--orphans", "-n"]).exits(exit::DONE).stdout;
    assert!(listed.starts_with("remove  r/part/1\n"), "{listed}");
}

#[test]
fn what_was_changed_since_is_kept_unless_forced() {
    let project = project();
    project.build(&[]);
    project.write("numbers.lst", "2\n");
    project.write("result/part/1.txt", "my own work\n");
    project.write("result/whole.txt", "mine too\n");
    let run = project.run(&["clean", "--orphans", "--yes"]).exits(exit::DONE);
    assert!(run.stdout.contains("kept result/part/1.txt: changed"), "{run}");
    let run = project.run(&["clean", "whole"]).exits(exit::DONE);
    assert!(run.stdout.contains("kept result/whole.txt: changed"), "{run}");
    assert!(project.exists("result/part/1.txt") && project.exists("result/whole.txt"));
    project.run(&["clean", "--orphans", "--yes", "--force"]).exits(exit::DONE);
    project.run(&["clean", "whole", "--force"]).exits(exit::DONE);
    assert!(!project.exists("result/part/1.txt") && !project.exists("result/whole.txt"));
}

#[test]
fn what_is_gone_already_is_no_output_to_remove() {
    let project = project();
    project.build(&[]);
    project.write("numbers.lst", "2\n");
    assert!(project.run(&["status"]).exits(exit::DONE).stdout.contains("1 output that no step makes any more"));
    project.remove("result/part/1.txt");
    assert!(!project.run(&["status"]).exits(exit::DONE).stdout.contains("no step makes any more"));
}

#[test]
fn what_cannot_be_told_now_is_no_orphan() {
    let project = images();
    project.build(&[]);
    // The tags have to be asked for again: which layer files come of them is not known.
    project.edit("rule: tags", "rule: tags\n    only: [\"*\"]");
    let run = project.run(&["clean", "--orphans", "-n"]).exits(exit::DONE);
    assert!(!run.stdout.contains("remove  "), "{run}");
    assert!(run.stdout.contains("what get_layer_all may make"), "{run}");
    assert!(run.stdout.contains("--offline"), "{run}");
}

#[test]
fn at_a_terminal_it_asks_before_anything_goes() {
    let project = project();
    project.build(&[]);
    project.write("numbers.lst", "2\n");
    let before = project.snapshot();
    for (answer, goes) in [("n\n", false), ("\n", false), ("\u{4}", false), ("yes, why not\n", false), ("y\n", true)] {
        let mut terminal = Running::attended(project.at_a_terminal("clean --orphans"));
        let shown = terminal.until("it asks", |it| Some(it.stdout()).filter(|shown| shown.contains("[y/N]")));
        assert!(
            shown.contains("remove  result/part/1.txt\r\n") && shown.contains("remove 1 output? [y/N] "),
            "{shown:?}"
        );
        assert_eq!(before.changes(&project.snapshot()), [""; 0], "it waits for the answer");
        terminal.types(answer);
        let run = terminal.wait().exits(exit::DONE);
        assert!(run.stdout.ends_with(if goes { "1 output removed\r\n" } else { "nothing was removed\r\n" }), "{run}");
        let gone: &[&str] = if goes { &["result/part/1.txt"] } else { &[] };
        assert_eq!(before.changes(&project.snapshot()), gone, "{answer:?}");
    }
    // Where nothing is to go, nothing is asked.
    let run = Running::attended(project.at_a_terminal("clean --orphans")).wait().exits(exit::DONE);
    assert!(!run.stdout.contains("[y/N]"), "{run}");
}

#[test]
fn a_step_of_two_targets_stands_alike_in_both() {
    let project = images();
    project.build(&["get_layer_latest", "get_layer_all"]);
    project.run(&["clean", "get_layer_latest"]).exits(exit::DONE);
    let status = json(&project, exit::DONE, &["status", "get_layer_latest", "get_layer_all", "--format", "json"]);
    let rows = status.as_array().expect("rows").iter();
    let rows: Vec<_> = rows.map(|row| (row["target"].as_str(), &row["stale"], &row["missing"])).collect();
    let (none, two) = (Value::from(0), Value::from(2));
    assert_eq!(
        rows,
        [
            (Some("get_tag"), &none, &none),
            (Some("get_layer_latest"), &none, &two),
            (Some("get_layer_all"), &none, &two)
        ]
    );
    for step in ["get_layer_latest", "get_layer_all"].map(|t| format!("{t}@repo=library/redis,tag=latest")) {
        assert!(project.explain(&step).contains("library/redis,tag=latest: missing"), "{}", project.explain(&step));
    }
}

#[test]
fn what_was_cleaned_is_still_known_to_have_been_made() {
    let project = images();
    project.edit(
        "targets:",
        "targets:\n  two: {rule: command, run: \"echo a > {out.a}; echo b > {out.b}\", output: {a: a.txt, b: b.txt}}",
    );
    project.build(&[]);
    project.build(&["two"]);
    project.run(&["clean", "get_tag", "two"]).exits(exit::DONE);
    for (step, path) in [("get_tag@repo=library/redis", "result/tags/library/redis.json"), ("two", "a.txt")] {
        let explained = project.explain(step);
        assert!(explained.contains(&format!("{step}: missing\n")), "{explained}");
        assert!(explained.contains(&format!("because   missing output: {path}")), "{explained}");
        assert!(explained.contains("last made first build") && !explained.contains("not recorded"), "{explained}");
    }
    // Nothing is damaged, nothing is left to clean or to free.
    project.run(&["verify"]).exits(exit::DONE);
    let run = project.run(&["clean", "get_tag", "two"]).exits(exit::DONE);
    assert!(run.stdout.contains("0 outputs removed"), "{run}");
    project.run(&["gc"]).exits(exit::DONE);
    let images = project.path("images");
    fs::rename(&images, project.path("elsewhere")).expect("renamed");
    let names = ["get_tag@repo=library/busybox", "get_tag@repo=library/redis", "two"];
    project.build(&["get_tag", "two", "--offline"]).assert_only(&names);
    fs::rename(project.path("elsewhere"), images).expect("renamed back");
    project.build(&[]).assert_nothing_done();
    // Of what no step makes any more nothing stays.
    project.edit("output: {a: a.txt, b: b.txt}", "output: {a: c.txt, b: d.txt}");
    project.build(&["two"]);
    project.run(&["clean", "--orphans", "--yes"]).exits(exit::DONE);
    let run = project.run(&["clean", "--orphans"]).exits(exit::DONE);
    assert!(run.stdout.contains("0 outputs"), "{run}");
}

#[test]
fn an_orphan_is_removed_by_what_its_explanation_says() {
    let project = images();
    project.edit("output: result/tags/{repo}.json", "output: result/tags/{repo}.json\n    fresh: digest");
    project.edit(
        "    foreach: {tag: {from: get_tag, select: all}}\n    output: result/layers/{repo}/{tag}.json",
        "    foreach: {tag: {from: get_tag, select: all}}\n    platform: all\n    output: result/all/{repo}/{tag}/{platform}.json",
    );
    let both = ("library/busybox:latest".to_owned(), stock::nginx_index("1.27.2", ""));
    let other = ("library/redis:latest".to_owned(), stock::redis("7.4.1").manifest(Format::Oci));
    project.layout("images", &[both, other.clone()]);
    project.build(&[]);
    // A platform goes from an index, and a repository from the list.
    fs::remove_dir_all(project.path("images")).expect("removed");
    let one = stock::nginx("amd64", "1.27.2").manifest(Format::Oci);
    let one = Manifest::index(Format::Oci, &[&one], false, "");
    project.layout("images", &[("library/busybox:latest".to_owned(), one), other]);
    project.edit("[library/busybox, library/redis]", "[library/busybox]");
    project.build(&[]);
    let of_the_list = ["result/all/library/redis/latest/linux/amd64.json", "result/tags/library/redis.json"];
    let of_the_index = "result/all/library/busybox/latest/linux/arm64.json";
    for path in of_the_list {
        let explained = project.explain(path);
        assert!(
            explained.contains(": orphan\n") && explained.contains("`layermill clean --orphans` removes it"),
            "{explained}"
        );
    }
    let explained = project.explain(of_the_index);
    let asked = "as of the last build: get_tag@repo=library/busybox is asked in each";
    let help = "`layermill clean --orphans --offline` goes by the last answer and removes it";
    assert!(explained.contains(": orphan\n") && explained.contains(asked) && explained.contains(help), "{explained}");
    let run = project.run(&["clean", "--orphans", "--yes"]).exits(exit::DONE);
    assert!(of_the_list.iter().all(|path| !project.exists(path)), "{run}");
    assert!(project.exists(of_the_index), "{run}");
    project.run(&["clean", "--orphans", "--yes", "--offline"]).exits(exit::DONE);
    assert!(!project.exists(of_the_index));
    project.build(&[]).assert_nothing_done();
}

#[test]
fn what_is_made_with_an_output_that_was_named_is_told_before_it_goes() {
    let project = Project::new(
        "version: 1
targets:
  two: {rule: command, foreach: {k: [x, y]}, run: \"echo 1 > {out.c}; echo 2 > {out.h}\", output: {c: \"r/{k}.c\", h: \"r/{k}.h\"}}
",
    );
    project.build(&[]);
    let both = "remove  r/x.c, which is made with r/x.h\nremove  r/x.h\n2 outputs would be removed\n";
    assert_eq!(project.run(&["clean", "-n", "r/x.h"]).exits(exit::DONE).stdout, both);
    let run = project.run(&["clean", "r/x.h"]).exits(exit::DONE);
    assert!(run.stdout.starts_with("remove  r/x.c, which is made with r/x.h\n2 outputs"), "{run}");
    project.build(&[]);
    // Who names both, or the step, knows.
    for named in [&["r/x.h", "r/x.c"][..], &["two@k=x"], &["two@k=x", "r/x.h"]] {
        let run = project.run(&[&["clean", "-n"], named].concat()).exits(exit::DONE);
        assert_eq!(run.stdout, "remove  r/x.c\nremove  r/x.h\n2 outputs would be removed\n");
    }
    assert!(project.exists("r/y.c") && project.exists("r/x.c"));
}

#[test]
fn what_was_kept_of_several_outputs_since_it_was_edited_is_told_as_that_once_its_step_is_back() {
    let project = Project::new(
        "version: 1
targets:
  p: {rule: command, foreach: {k: {lines: list.txt}}, run: \"echo {k} | tee {out.l} > {out.n}\", output: {l: \"r/{k}.l\", n: \"r/{k}.n\"}}
",
    );
    project.write("list.txt", "a\nb\n");
    project.build(&[]);
    project.write("r/b.n", "by hand\n");
    project.write("list.txt", "a\n");
    project.build(&[]);
    project.run(&["clean", "--orphans", "--yes"]).exits(exit::DONE);
    assert!(!project.exists("r/b.l") && project.exists("r/b.n"));
    project.write("list.txt", "a\nb\n");
    let told = project.explain("p@k=b");
    assert!(told.contains("  because   missing output: r/b.l\n  because   changed output: r/b.n, "), "{told}");
    assert!(!told.contains("changed parameter"), "{told}");
    // That its list is in another order is told as that, all the same.
    project.edit("{l: \"r/{k}.l\", n: \"r/{k}.n\"}", "{n: \"r/{k}.n\", l: \"r/{k}.l\"}");
    let told = project.explain("p@k=b");
    assert!(told.contains("changed parameter: output, from \"r/b.l, r/b.n\" to \"r/b.n, r/b.l\""), "{told}");
}

#[test]
fn of_an_orphan_of_several_outputs_nothing_is_left_once_they_are_gone() {
    let project = Project::new(
        "version: 1
targets:
  p: {rule: command, foreach: {k: {lines: list.txt}}, run: \"echo {k} | tee {out.l} {out.m} > {out.n}\", output: {l: \"r/{k}.l\", m: \"r/{k}.m\", n: \"r/{k}.n\"}}
  q: {rule: command, run: \"echo 1 | tee {out.a} > {out.b}\", output: {a: r/q.a, b: r/q.b}}
",
    );
    project.write("list.txt", "a\nb\n");
    project.build(&[]);
    project.write("list.txt", "a\n");
    project.edit("b: r/q.b", "b: r/q.c");
    project.write("r/b.n", "by hand\n");
    let clean =
        |flags: &[&str]| project.run(&[&["clean", "--orphans", "--yes"], flags].concat()).exits(exit::DONE).stdout;
    let gone =
        "remove  r/b.l\nremove  r/b.m\nkeep    r/b.n  changed since it was made; --force removes it\nremove  r/q.b\n";
    let told = clean(&[]);
    assert!(told.starts_with(gone) && told.ends_with("\n3 outputs removed\n"), "{told}");
    // What is forgotten is not listed again, neither beside what is kept nor beside what its step still makes.
    let told = clean(&[]);
    assert!(told.starts_with("keep    r/b.n  changed") && told.ends_with("\n0 outputs removed\n"), "{told}");
    assert!(project.explain("r/b.l").contains("p@k=b: orphan"), "{}", project.explain("r/b.l"));
    assert!(project.explain("q").contains("removed parameter: output, was \"r/q.b\""), "{}", project.explain("q"));
    let told = clean(&["--force"]);
    assert!(told.starts_with("remove  r/b.n") && told.ends_with("\n1 output removed\n"), "{told}");
    assert_eq!(clean(&[]), "0 outputs removed\n");
    for path in ["r/b.l", "r/b.m", "r/b.n"] {
        let run = project.run(&["explain", path]).exits(exit::WRONG);
        assert!(run.stderr.contains(&format!("no step makes {path}")), "{run}");
    }
    project.write("list.txt", "a\nb\n");
    let told = project.explain("p@k=b");
    assert!(told.contains("  because   first build\n"), "{told}");
    // So it is of what a person has removed.
    project.build(&[]);
    project.write("list.txt", "a\n");
    ["r/b.l", "r/b.m", "r/b.n"].iter().for_each(|path| project.remove(path));
    assert!(clean(&[]).ends_with("\n0 outputs, 3 records of what is not there removed\n"));
    assert_eq!(clean(&[]), "0 outputs removed\n");
}

#[test]
fn beside_a_step_that_is_refused_its_target_has_orphans_all_the_same_and_what_that_would_make_is_none() {
    let project = Project::new(
        "version: 1
targets:
  k: {rule: command, inputs: [./k], run: \"cp {in} {out}\", output: l/k}
  m: {rule: command, inputs: [./m], run: \"cp {in} {out}\", output: l/m}
  below: {rule: command, foreach: {n: {lines: l/k}}, run: \"echo {n} > {out}\", output: \"r/{n}/x\"}
  here: {rule: command, foreach: {n: {lines: l/m}}, run: \"echo {n} > {out}\", output: \"r/{n}\"}
",
    );
    project.write("k", "9\n");
    project.write("m", "1\n2\n3\n");
    project.build(&[]);
    // `r/3` is to be a folder from now on, and `here@n=3` cannot make its file.
    project.write("k", "3\n");
    project.write("m", "2\n3\n");
    project.build_exits(exit::FAILED, &[]);
    assert!(project.run(&["plan"]).stdout.contains("failed   here@n=3  a file where another step needs a folder"));
    for (file, standing) in [("r/1", "here@n=1: orphan\n"), ("r/3", "here@n=3: failed\n")] {
        let told = project.explain(file);
        assert!(told.starts_with(standing), "{told}");
    }
    let status = project.run(&["status"]).stdout;
    assert!(status.contains("2 outputs that no step makes any more"), "{status}");
    let run = project.run(&["clean", "--orphans", "-n"]).exits(exit::DONE);
    assert_eq!(run.stdout, "remove  r/1\nremove  r/9/x\n2 outputs would be removed\n", "{run}");
}

//! What a step that is kept from being made has of its own: why it would run, and what goes before that.

use super::assert_says;
use crate::support::project::Project;
use crate::support::words::exit;

const MENDED: &str = "again if  a build comes once what is at fault is mended";

/// After a build of all; then an input is gone, and what needs that was edited.
fn project() -> Project {
    let project = Project::new(
        "version: 1
targets:
  a: {rule: command, inputs: [i.txt], run: \"cp {in} {out}\", output: a.txt}
  edited: {rule: command, inputs: [a, j.txt, k.txt], run: \"cat {in} > {out}\", output: edited.txt}
  same: {rule: command, inputs: [a], run: \"cp {in} {out}\", output: same.txt}
  each: {rule: command, foreach: {n: [1, 2]}, inputs: [a], run: \"cp {in} {out}\", output: \"each/{n}.txt\"}
  all: {rule: command, inputs: [each, j.txt], run: \"cat {in} > {out}\", output: all.txt}
  some: {rule: command, inputs: [{target: each, partial: true}, a], run: \"cat {in} > {out}\", output: some.txt}
",
    );
    for name in ["i", "j", "k", "l"] {
        project.write(&format!("{name}.txt"), name);
    }
    project.build(&[]);
    project.remove("i.txt");
    project.write("k.txt", "other");
    project.edit("[a, j.txt, k.txt], run: \"cat {in}", "[a, k.txt, l.txt], run: \"cat {in} {in}");
    project
}

#[test]
fn a_blocked_step_tells_its_own_causes_and_those_alone() {
    let project = project();
    let causes = [
        "changed parameter: run, from \"cat {in} > {out}\" to \"cat {in} {in} > {out}\"",
        "changed input: k.txt, from ",
        "new input: l.txt",
        "an input is gone: j.txt",
    ];
    let explained = project.explain("edited");
    assert_says(&explained, &["edited: blocked\n", "blocked by a\n", &format!("{MENDED}\n")]);
    assert_says(&explained, &causes.map(|cause| format!("because   {cause}")).each_ref().map(String::as_str));
    assert_eq!(explained.matches("because   ").count(), causes.len(), "{explained}");
    assert!(!explained.contains("without 1 of the steps"), "a new input was left out by no run: {explained}");
    let plan = project.run(&["plan", "-v"]).exits(exit::DONE).stdout;
    assert_says(&plan, &[&format!("blocked  edited  a ({})\n           and changed input: k.txt", causes[0])]);
    // Once that is mended, it runs for these.
    project.write("i.txt", "i");
    let report = project.build(&[]);
    report.assert_only(&["edited"]);
    assert_eq!(report.step("edited").reason(), causes[0], "{}", report.listing());
}

#[test]
fn a_blocked_step_that_is_as_it_was_has_no_cause() {
    let project = project();
    for step in ["same", "each@n=1", "all", "some"] {
        let explained = project.explain(step);
        assert_says(
            &explained,
            &[&format!("{step}: blocked\n"), &format!("{MENDED}, and beside that one of these:\n")],
        );
        assert!(!explained.contains("because"), "{explained}");
    }
    project.write("j.txt", "other");
    let explained = project.explain("all");
    assert_says(&explained, &["because   changed input: j.txt, from "]);
    assert_eq!(explained.matches("because   ").count(), 1, "what is to be made is not gone: {explained}");
}

#[test]
fn what_is_blocked_by_what_is_only_kept_back_itself_tells_what_it_has_not_read_yet() {
    let project = Project::new(
        "version: 1
targets:
  lint: {rule: command, inputs: [l.txt], run: \"cat l.txt > {out}\", output: lint.txt}
  a: {rule: command, inputs: [i.txt, lint], run: \"cat {in} > {out}\", output: a.txt}
  b: {rule: command, inputs: [a], run: \"test ! -e no && cat {in} > {out}\", output: b.txt}
  both: {rule: command, inputs: [a, lint, a], run: \"test ! -e no && cat {in} > {out}\", output: both.txt}
",
    );
    project.write("i.txt", "1");
    project.write("l.txt", "1");
    project.build(&[]);
    project.write("i.txt", "2");
    project.write("no", "");
    project.run(&["build", "-q"]).exits(exit::FAILED);
    project.remove("no");
    project.edit("inputs: [l.txt]", "inputs: [l.txt, x.txt]");
    for step in ["b", "both"] {
        let explained = project.explain(step);
        assert_says(
            &explained,
            &[&format!("{step}: blocked\n"), "because   changed input: a.txt, from ", "blocked by "],
        );
        assert_eq!(explained.matches("because   ").count(), 1, "{explained}");
    }
    assert_says(&project.run(&["plan"]).stdout, &["blocked  b  a (changed input: a.txt, from "]);
    // What is made again itself, as soon as it can be, may come out as what was read.
    project.write("i.txt", "3");
    let explained = project.explain("b");
    assert!(!explained.contains("because   "), "{explained}");
    project.write("i.txt", "2");
    project.write("x.txt", "");
    let report = project.build(&[]);
    report.assert_only(&["lint", "b", "both"]);
    assert!(report.step("b").reason().starts_with("changed input: a.txt, from "), "{}", report.listing());
}

#[test]
fn what_an_input_that_is_missing_keeps_from_running_tells_its_own_causes() {
    let project = project();
    project.edit("run: \"cp {in} {out}\", output: a.txt", "run: \"cat {in} > {out}\", output: a.txt");
    let explained = project.explain("a");
    assert_says(&explained, &["a: failed\n", "because   changed parameter: run, from ", &format!("{MENDED}\n")]);
    assert_says(&project.run(&["plan"]).stdout, &["failed   a  the input i.txt is missing (changed parameter: run, "]);
}

#[test]
fn what_waits_for_what_is_put_off_tells_its_own_causes() {
    let registry = crate::support::stock::registry();
    let project = Project::new(&format!(
        "version: 1
sources:
  ours: {{kind: registry, budget: 1/1h, url: \"{}\"}}
targets:
  l: {{rule: layers, source: ours, foreach: {{repo: [library/nginx]}}, tag: latest, output: 'l/{{repo}}.json'}}
  s: {{rule: command, inputs: [l, j.txt], run: \"cat {{in}} > {{out}}\", output: s.csv}}
",
        registry.url()
    ));
    project.write("j.txt", "j");
    project.build_exits(exit::DEFERRED, &[]);
    let explained = project.explain("s");
    assert_says(&explained, &["s: deferred\n", "because   first build\n", "waits for l@repo=library/nginx\n"]);
    assert_says(&explained, &["again if  a build comes once what it waits for can be had, which `plan` tells\n"]);
}

#[test]
fn what_is_sure_to_block_is_named_before_what_may_come_to_have_nothing_to_run() {
    let project = Project::new(
        "version: 1
targets:
  src: {rule: command, foreach: {s: {lines: s.txt}}, inputs: [\"in/{s}\"], run: \"grep -v '^#' {in} > {out}\", output: \"r/src/{s}\"}
  lib: {rule: command, foreach: {s: {lines: s.txt}}, inputs: [src, \"conf/{s}\"], run: \"cat {in} > {out}\", output: \"r/lib/{s}\"}
  test: {rule: command, foreach: {s: {lines: s.txt}}, inputs: [lib], run: \"cp {in} {out}\", output: \"r/test/{s}\"}
  deploy: {rule: command, foreach: {s: {lines: s.txt}}, inputs: [lib], after: [test], run: \"cp {in} {out}\", output: \"r/deploy/{s}\"}
  release: {inputs: [deploy]}
  pair: {inputs: [r/deploy/api, r/deploy/shop]}
  pack: {rule: command, inputs: [r/deploy/api, r/deploy/shop], run: \"cat {in} > {out}\", output: r/pack}
",
    );
    let groups = ["release", "pair", "pack"];
    project.write("s.txt", "api\n");
    ["in/api", "conf/api", "in/shop"].iter().for_each(|file| project.write(file, "1\n"));
    project.build(&["deploy"]);
    // `r/lib/api` is made again and comes out as it was; `lib@s=shop` lacks its `conf/shop`, and `test` fails with it.
    project.write("in/api", "1\n#\n");
    project.write("s.txt", "api\nshop\n");
    let plan = project.run(&["plan"]).stdout;
    assert_says(&plan, &["blocked? deploy@s=api  ", "blocked  deploy@s=shop  ", "blocked  pack  deploy@s=shop"]);
    let by = "  blocked by deploy@s=shop\n";
    groups.iter().for_each(|group| assert_says(&project.explain(group), &[by]));
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.failed, report.blocked), (1, 3), "{}", report.listing());
    assert_says(&project.explain("deploy@s=api"), &[": up to date\n"]);
    groups.iter().for_each(|group| assert_says(&project.explain(group), &[by]));
}

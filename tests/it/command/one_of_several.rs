//! A path to one of a step's outputs reads that one, and not the others that the step makes.

use std::fs;

use super::project;
use crate::support::project::Project;
use crate::support::words::{exit, outcome};

/// `both` makes two files of one step; what names one of them by its path reads that one.
fn parts(more: &str) -> Project {
    let p = project(&format!(
        r#"  both: {{rule: command, foreach: {{n: [x, y]}}, inputs: ["in/{{n}}", "size/{{n}}"], run: "cp in/{{n}} {{out.bin}}; cp size/{{n}} {{out.size}}", output: {{bin: "o/{{n}}.bin", size: "o/{{n}}.size"}}}}
  one: {{rule: command, inputs: [o/x.bin], run: "cat {{in}} > {{out}}; echo {{in}} >> log", output: o/one}}
  named: {{rule: command, inputs: {{s: o/y.size, b: o/x.bin}}, run: "cat {{in.s}} {{in.b}} > {{out}}", output: o/named}}
  each: {{rule: command, foreach: {{n: [x, y]}}, inputs: ["o/{{n}}.size"], run: "cat {{in}} > {{out}}", output: "o/each/{{n}}"}}
  whole: {{rule: command, inputs: [both], run: "cat {{in}} > {{out}}", output: o/whole}}
{more}"#
    ));
    ["x", "y"].iter().for_each(|n| {
        p.write(&format!("in/{n}"), format!("{n}\n"));
        p.write(&format!("size/{n}"), format!("{n} size\n"));
    });
    p
}

#[test]
fn a_path_to_one_of_several_outputs_reads_that_one_alone() {
    let p = parts("");
    p.build(&[]);
    assert_eq!([p.read("o/one"), p.read("o/named")], ["x\n", "y size\nx\n"]);
    assert_eq!([p.read("o/each/x"), p.read("o/each/y")], ["x size\n", "y size\n"]);
    assert_eq!(p.read("o/whole"), "x\nx size\ny\ny size\n", "a target is all of its files");
    assert_eq!(p.read("log"), "o/x.bin\n");
    let told = p.explain("one");
    assert!(told.contains("input     o/x.bin") && !told.contains("o/x.size"), "{told}");
    p.build(&[]).assert_nothing_done();

    p.write("size/x", "other\n");
    let plan = p.plan(&[]);
    let built = p.build(&[]);
    assert!(
        plan.names().contains(&"one"),
        "whether its input moves is seen once its maker has run: {}",
        plan.listing()
    );
    built.assert_only(&["both@n=x", "each@n=x", "whole"]);
    assert_eq!(
        built.step("each@n=x").reason(),
        "upstream rebuilt: o/x.size by both@n=x, from 4957ae0809c19c38 to c0d6c8281a3879ca"
    );
    assert_eq!([p.read("log"), p.read("o/each/x")], ["o/x.bin\n", "other\n"]);
}

#[test]
fn what_another_target_reads_of_the_same_step_makes_another_step_for_one_file_an_error() {
    let p = parts(
        r#"  a: {rule: command, inputs: [o/x.bin], run: "cat {in} > {out}", output: o/same}
  b: {rule: command, inputs: [o/x.size], run: "cat {in} > {out}", output: o/same}
"#,
    );
    let said = p.run(&["build"]).exits(exit::WRONG);
    assert!(said.stderr.contains("o/same"), "{}", said.stderr);
}

#[test]
fn of_values_read_while_building_one_of_several_outputs_is_read_alone() {
    let p = project(
        r#"  list: {rule: command, inputs: [./names], run: "cp {in} {out}", output: o/list}
  both: {rule: command, foreach: {n: {from: list, lines: true}}, run: "echo {n} > {out.bin}; echo size > {out.size}", output: {bin: "o/{n}.bin", size: "o/{n}.size"}}
  each: {rule: command, foreach: {n: {from: list, lines: true}}, inputs: ["o/{n}.bin"], run: "cat {in} > {out}", output: "o/each/{n}"}
  fixed: {rule: command, inputs: [o/a.size, o/b.bin], run: "cat {in} > {out}", output: o/fixed}
"#,
    );
    p.write("names", "a\nb\n");
    p.build(&[]);
    assert_eq!([p.read("o/each/a"), p.read("o/each/b"), p.read("o/fixed")], ["a\n", "b\n", "size\nb\n"]);
    p.build(&[]).assert_nothing_done();
    let told = p.explain("fixed");
    assert!(told.contains("o/a.size") && told.contains("o/b.bin"), "{told}");
    assert!(!told.contains("o/a.bin") && !told.contains("o/b.size"), "{told}");
    p.remove("o/list");
    fs::remove_dir_all(p.path(".layermill")).expect("ours");
    let told = p.explain("fixed");
    assert!(!told.contains("o/a.bin") && !told.contains("o/b.size"), "{told}");
    p.build(&[]);
    p.build(&[]).assert_nothing_done();
}

#[test]
fn what_a_command_read_of_the_other_outputs_is_to_be_named_too() {
    let p = parts(
        r#"  found: {rule: command, inputs: [o/x.bin], run: "cat o/x.bin o/x.size > {out}; echo 'x: o/x.size' > {out}.d", depfile: "{out}.d", output: o/found}
"#,
    );
    let said = p.run(&["build"]).exits(exit::FAILED);
    said.says("the command read o/x.size, which both@n=x makes, and its target does not say so")
        .says("help: add `o/x.size` to the `inputs` of this target");
    p.edit("inputs: [o/x.bin], run: \"cat o/x.bin o", "inputs: [o/x.bin, o/x.size], run: \"cat o/x.bin o");
    p.build(&[]);
    p.build(&[]).assert_nothing_done();
    p.write("size/x", "other\n");
    let built = p.build(&[]);
    assert_eq!(built.step("found").outcome, outcome::BUILT, "{}", built.listing());
    assert_eq!(p.read("o/found"), "x\nother\n");
}

#[test]
fn values_are_read_out_of_the_output_that_is_named() {
    let p = project(
        r#"  want: {rule: command, inputs: [./list], run: "(echo name; cat {in}) > {out.all}; grep -v no {in} > {out.some}; (echo name; grep no {in}) > {out.rest}", output: {all: o/all, some: o/some, rest: o/rest.csv}}
  some: {rule: command, foreach: {n: {lines: o/some}}, run: "echo {n} > {out}", output: "o/s/{n}"}
  rest: {rule: command, foreach: {n: {csv: o/rest.csv, column: name}}, run: "echo {n} > {out}", output: "o/r/{n}"}
  both: {rule: command, foreach: {n: {lines: o/some}, m: {lines: o/all}}, run: "echo {n} {m} > {out}", output: "o/b/{n}-{m}"}
"#,
    );
    p.write("list", "a\nno-b\nc\n");
    assert!(p.explain("some").contains("each line of o/some"), "{}", p.explain("some"));
    p.build(&[]);
    let files: Vec<String> =
        p.snapshot().names().iter().filter(|n| n.starts_with("o/")).map(|n| n.to_string()).collect();
    let under =
        |folder: &str| files.iter().filter_map(|f| f.strip_prefix(folder).map(str::to_owned)).collect::<Vec<_>>();
    assert_eq!([under("o/s/"), under("o/r/")], [vec!["a", "c"], vec!["no-b"]]);
    assert_eq!(under("o/b/").len(), 2 * 4);
    p.build(&[]).assert_nothing_done();
    p.write("list", "a\nno-b\nno-c\n");
    p.build(&[]);
    let told = p.explain("some");
    assert!(told.contains("some@n=a: up to date") && !told.contains("n=c: up to date"), "{told}");
}

/// Who reads one step of a target by its path needs that one alone.
#[test]
fn a_bare_build_makes_all_of_a_target_of_which_others_name_single_files() {
    let p = parts("");
    p.build(&[]);
    p.edit("  whole: {rule: command, inputs: [both]", "  whole: {rule: command, inputs: [o/each/x]");
    p.write("in/y", "other\n");
    p.write("size/y", "other\n");
    let built = p.build(&[]);
    assert_eq!(built.step("both@n=y").outcome, outcome::BUILT, "{}", built.listing());
    assert_eq!(p.read("o/each/y"), "other\n", "{}", built.listing());
}

//! `graph`: what a step needs, what needs it, and who writes where.

use super::parts::{json, project, said};
use super::{Project, exit};

/// The names of the nodes, as they are drawn: producers first.
fn nodes(project: &Project, args: &[&str]) -> Vec<String> {
    let graph = json(project, &[&["graph"], args].concat(), exit::DONE);
    let nodes = graph["nodes"].as_array().expect("nodes");
    nodes.iter().map(|n| n["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn a_step_is_drawn_with_what_it_needs_or_what_needs_it() {
    let project = project();
    for built in [false, true] {
        if built {
            project.build(&[]);
        }
        assert_eq!(nodes(&project, &["part@name=a"]), ["in/a.txt", "names.lst", "part@name=a"]);
        assert_eq!(nodes(&project, &["result/parts/a.txt", "--needed-by"]), ["part@name=a", "whole"]);
        assert_eq!(
            nodes(&project, &["part@name=a", "--needs", "--needed-by"]),
            ["in/a.txt", "names.lst", "part@name=a", "whole"]
        );
        assert_eq!(nodes(&project, &["whole", "--steps", "--depth", "1"]), ["part@name=a", "part@name=b", "whole"]);
        assert_eq!(nodes(&project, &["whole", "--steps", "--depth", "0"]), ["whole"]);
    }
}

#[test]
fn a_file_that_no_step_makes_is_a_node_too() {
    let project = project();
    assert_eq!(nodes(&project, &["in/a.txt", "--needed-by"]), ["in/a.txt", "part@name=a", "whole"]);
    let read_by_all = ["names.lst", "part@name=a", "part@name=b"];
    assert_eq!(nodes(&project, &["names.lst", "--needed-by", "--depth", "1"]), read_by_all);
    let graph = json(&project, &["graph", "in/a.txt", "--needed-by", "--depth", "1"], exit::DONE);
    assert_eq!(graph["nodes"][0]["kind"], "file");
    assert_eq!(graph["nodes"][0]["asked"], true);
    assert_eq!(graph["nodes"][1]["rule"], "command");
    assert_eq!(graph["edges"][0], serde_json::json!({"from": "in/a.txt", "to": "part@name=a", "kind": "input"}));
}

#[test]
fn the_steps_that_write_under_a_folder() {
    let project = project();
    assert_eq!(nodes(&project, &["--under", "result/parts"]), ["part@name=a", "part@name=b"]);
    assert_eq!(nodes(&project, &["--under", "result/"]), ["part@name=a", "part@name=b", "whole"]);
    assert_eq!(nodes(&project, &["--under", "other", "--needs"]), ["note.txt", "side"]);
    let below = project.path("result/parts").display().to_string();
    assert_eq!(nodes(&project, &["--under", &below]), ["part@name=a", "part@name=b"]);
    let none = project.run(&["graph", "--under", "res"]).exits(exit::WRONG);
    assert!(none.stderr.contains("no step writes under res"), "{none}");
}

#[test]
fn values_that_were_read_out_of_an_output_are_an_edge() {
    let project = Project::new(
        "version: 1
targets:
  names: {rule: command, run: \"printf 'x\\\\ny\\\\n' > {out}\", output: gen/names.txt}
  each: {rule: command, foreach: {n: {from: names, lines: true}}, run: \"echo {n} > {out}\", output: 'gen/{n}.out'}
",
    );
    project.build(&[]);
    assert_eq!(nodes(&project, &["each@n=x"]), ["names", "each@n=x"]);
    assert_eq!(nodes(&project, &["names", "--steps", "--needed-by"]), ["names", "each@n=x", "each@n=y"]);
    let graph = json(&project, &["graph", "gen/y.out"], exit::DONE);
    assert_eq!(graph["edges"][0]["kind"], "axis");
}

#[test]
fn one_of_several_outputs_is_needed_by_what_reads_that_one() {
    let project = Project::new(
        "version: 1
targets:
  gen: {rule: command, run: \"echo c > {out.c}; echo h > {out.h}\", output: {c: r/x.c, h: r/x.h}}
  c: {rule: command, inputs: [r/x.c], run: \"cp {in} {out}\", output: r/c}
  h: {rule: command, inputs: [r/x.h], run: \"cp {in} {out}\", output: r/h}
  both: {rule: command, inputs: [gen], run: \"cat {in} > {out}\", output: r/both}
  then: {rule: command, after: [gen], run: \"echo > {out}\", output: r/then}
  each: {rule: command, foreach: {v: {from: gen, lines: true}}, run: \"echo {v} > {out}\", output: 'r/each/{v}'}
  each_h: {rule: command, foreach: {v: {lines: r/x.h}}, run: \"echo {v} > {out}\", output: 'r/each_h/{v}'}
  of_c: {rule: command, inputs: [r/c], run: \"cp {in} {out}\", output: r/of_c}
  of_h: {rule: command, inputs: [r/h], run: \"cp {in} {out}\", output: r/of_h}
",
    );
    project.build(&[]);
    let needed_by = |args: &[&str]| {
        let mut found = nodes(&project, &[args, &["--needed-by", "--steps"]].concat());
        found.sort();
        found
    };
    let whole = ["both", "gen", "then"];
    let with = |more: &[&str]| {
        let mut all: Vec<String> = whole.iter().chain(more).map(|name| (*name).to_owned()).collect();
        all.sort();
        all
    };
    assert_eq!(needed_by(&["r/x.h"]), with(&["each_h@v=h", "h", "of_h"]));
    assert_eq!(needed_by(&["r/x.h", "--depth", "1"]), with(&["each_h@v=h", "h"]));
    assert_eq!(needed_by(&["r/x.h", "--depth", "0"]), ["gen"]);
    assert_eq!(needed_by(&["r/x.c", "--depth", "1"]), with(&["c", "each@v=c"]));
    for all in [&["gen"][..], &["r/x.c", "r/x.h"], &["r/x.h", "gen"], &["r/x.h", "--under", "r"]] {
        assert!(
            with(&["c", "each@v=c", "h", "of_c", "of_h"]).iter().all(|name| needed_by(all).contains(name)),
            "{all:?}"
        );
    }
}

#[test]
fn targets_have_a_neighbourhood_as_well() {
    let project = project();
    assert_eq!(nodes(&project, &[]), ["part", "whole", "side"]);
    assert_eq!(nodes(&project, &["part", "--needed-by"]), ["part", "whole"]);
    assert_eq!(nodes(&project, &["whole", "--depth", "0"]), ["whole"]);
}

#[test]
fn every_format_draws_the_same() {
    let project = project();
    let drawn = |format: &str| said(&project, &["graph", "part@name=a", "--needed-by", "--format", format]);
    assert_eq!(
        drawn("text"),
        "part@name=a (command) -> result/parts/a.txt\nwhole (command) -> result/whole.txt\n  input part@name=a\n"
    );
    assert!(drawn("dot").contains("\"part@name=a\" -> \"whole\";"));
    assert!(drawn("mermaid").contains("n0 --> n1"));
    let svg = drawn("svg");
    assert!(svg.starts_with("<svg") && svg.contains("part@name=a") && svg.trim_end().ends_with("</svg>"), "{svg}");
}

#[test]
fn what_is_not_there_is_the_callers_mistake() {
    let project = project();
    for wrong in ["prt", "part@name=zz", "result/parts/zz.txt", "part@nme=a"] {
        project.run(&["graph", wrong]).exits(exit::WRONG);
    }
    project.write("unread.txt", "");
    project.run(&["graph", "unread.txt"]).exits(exit::WRONG).says("no step makes or reads unread.txt");
}

#[test]
fn steps_and_output_paths_are_taken_wherever_a_target_is() {
    let project = project();
    project.build(&["part@name=a"]).assert_only(&["part@name=a"]);
    project.build(&["result/parts/b.txt"]).assert_only(&["part@name=b"]);
    project.plan(&["part@name=a"]).assert_nothing_done();
    let status = json(&project, &["status", "part@name=a"], exit::DONE);
    assert_eq!((&status[0]["target"], &status[0]["up_to_date"]), (&"part".into(), &1.into()));
    project.build(&[]);
    project.plan(&["--force=part@name=a,side"]).assert_only(&["part@name=a", "side", "whole"]);
    project.build(&["--force=result/parts/b.txt"]).assert_only(&["part@name=b"]);
    project.run(&["build", "--force=part@name=zz"]).exits(exit::WRONG).says("no step part@name=zz");
    project.run(&["clean", "part@name=a", "other/side.txt"]).exits(exit::DONE);
    assert!(!project.exists("result/parts/a.txt") && !project.exists("other/side.txt"));
    assert!(project.exists("result/parts/b.txt") && project.exists("result/whole.txt"));
}

#[test]
fn an_input_that_was_found_while_running_is_an_edge() {
    let project = Project::new(
        "version: 1
targets:
  object:
    rule: command
    inputs: [src/a.c]
    run: \"cat src/a.c src/a.h > {out}; echo 'x: src/a.c src/a.h' > {out}.d\"
    depfile: \"{out}.d\"
    output: a.o
",
    );
    project.write("src/a.c", "c\n");
    project.write("src/a.h", "h\n");
    project.build(&[]);
    assert_eq!(nodes(&project, &["a.o", "--needs"]), ["src/a.c", "src/a.h", "object"]);
    let graph = json(&project, &["graph", "src/a.h", "--needed-by"], exit::DONE);
    assert_eq!(graph["edges"][0], serde_json::json!({"from": "src/a.h", "to": "object", "kind": "found"}));
}

#[test]
fn what_no_step_makes_any_more_is_named_with_who_tells_of_it() {
    let project = Project::new(
        "version: 1
targets:
  each: {rule: command, foreach: {v: {lines: list.txt}}, run: \"echo {v} > {out}\", output: \"o/{v}\"}
",
    );
    project.write("list.txt", "p\nq\n");
    project.build(&[]);
    project.write("list.txt", "p\n");
    for asked in ["o/q", "each@v=q"] {
        let run = project.run(&["graph", asked]).exits(exit::WRONG);
        run.says(&format!("it was made before, and no step makes it now: `layermill explain {asked}` tells of it"));
        assert!(project.explain(asked).contains(": orphan\n"));
    }
}

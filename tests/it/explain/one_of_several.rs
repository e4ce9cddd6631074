//! What is told of values that are read out of one of several files that a step makes: it is that file which is named.

use serde_json::Value;

use super::assert_says;
use crate::support::project::Project;
use crate::support::sample;
use crate::support::words::exit;

/// A step that makes three lists, of which a target goes over two.
fn lists() -> Project {
    let project = Project::new(
        "version: 1
targets:
  lists:
    rule: command
    inputs: [./own]
    run: |
      cut -d' ' -f1 {in} > {out.all}
      (grep shop {in} || true) | cut -d' ' -f1 > {out.shop}
      (echo team; cut -d' ' -f2 {in}) > {out.team}
    output: {all: r/all.lst, shop: r/shop.lst, team: r/team.csv}
  pay:
    rule: command
    foreach: {s: {lines: r/shop.lst}, t: {csv: r/team.csv, column: team}}
    inputs: [./f]
    run: \"cp {in} {out}\"
    output: \"r/pay/{s}-{t}\"
",
    );
    project.write("own", "a core\nb shop\n");
    project.write("f", "f\n");
    project
}

const OUT_OF: &str = "  out of    r/shop.lst of lists\n  out of    r/team.csv of lists\n";

fn json(project: &Project, args: &[&str]) -> Value {
    serde_json::from_str(&project.run(args).stdout).expect("JSON")
}

#[test]
fn the_file_that_a_value_is_read_out_of_is_named_where_its_step_makes_several() {
    let project = lists();
    project.build(&[]);
    let told = project.explain("pay@s=b,t=core");
    let ends = "again if  b is no more in r/shop.lst of lists: then there is no such step
  again if  core is no more in r/team.csv of lists: then there is no such step\n";
    assert_says(&told, &[OUT_OF, ends]);
    assert!(!told.contains("what lists makes"), "{told}");
    let told = json(&project, &["explain", "pay@s=b,t=core", "--format", "json"]);
    assert_eq!(told[0]["read_out_of"], serde_json::json!(["r/shop.lst of lists", "r/team.csv of lists"]));

    // It stays in another file of that step, and goes from this one.
    project.write("own", "a core\nb core\nc shop\n");
    project.build(&[]);
    let told = project.explain("pay@s=b,t=core");
    assert_says(&told, &["pay@s=b,t=core: orphan\n", "any more: b is not in r/shop.lst of lists now\n", OUT_OF]);
    assert_eq!(told.matches("out of ").count(), 2, "{told}");
}

#[test]
fn the_list_that_has_nothing_is_the_one_that_is_named() {
    let project = lists();
    project.write("own", "a core\nb core\n");
    let why = "no value is read out of r/shop.lst of lists";
    let built = project.build(&[]);
    assert!(built.stderr.contains(&format!("warning pay has no step: {why}\n")), "{}", built.stderr);
    let empty = json(&project, &["build", "--format", "json"]);
    assert_eq!(empty["empty"][0]["because"], why);
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert!(plan.contains(why), "{plan}");
    project.run(&["explain", "pay"]).exits(exit::WRONG).says(&format!("no step of pay now: {why}"));

    // Where all are empty, all are.
    project.write("own", "");
    let built = project.build(&[]);
    let both = "no value is read out of r/shop.lst of lists and r/team.csv of lists";
    assert!(built.stderr.contains(&format!("warning pay has no step: {both}\n")), "{}", built.stderr);
}

#[test]
fn a_pending_step_names_the_file_and_each_once() {
    let project = lists();
    project.build(&[]);
    project.write("own", "a core\nb shop\nc shop\n");
    std::fs::remove_dir_all(project.path(".layermill/store")).expect("removed");
    project.remove("r/shop.lst");
    let told = project.explain("r/pay/b-core");
    assert_says(
        &told,
        &[
            "pay@s=b,t=core: pending\n",
            "says      its values are read out of r/shop.lst of lists: it is missing",
            OUT_OF,
        ],
    );
    assert_eq!(told.matches("out of    ").count(), 2, "{told}");
}

#[test]
fn of_lists_that_come_along_with_values_the_file_is_named_with_these() {
    let project = Project::new(
        "version: 1
targets:
  lists: {rule: command, foreach: {d: [x, y]}, inputs: [./own], run: \"cp {in} {out.names}; touch {out.log}\", output: {log: \"r/{d}/log\", names: \"r/{d}/names\"}}
  each: {rule: command, foreach: {n: {lines: \"r/{d}/names\"}}, run: \"echo {n} > {out}\", output: \"r/{d}/each/{n}\"}
  next: {rule: command, foreach: {m: {from: each, lines: true}}, run: \"echo {m} > {out}\", output: \"r/next/{d}/{n}/{m}\"}
",
    );
    project.write("own", "a\n");
    project.build(&[]);
    let told = project.explain("each@d=x,n=a");
    assert_says(
        &told,
        &["out of    r/x/names of lists@d=x\n", "again if  a is no more in r/x/names of lists@d=x: then"],
    );
    let told = project.explain("next@d=y,n=a,m=a");
    assert_says(&told, &["out of    each@d=y,n=a\n", "again if  a is no more in r/y/names of lists@d=y: then"]);
    project.write("own", "b\n");
    project.build(&[]);
    assert_says(&project.explain("r/x/each/a"), &["each@d=x,n=a: orphan\n", "out of    r/x/names of lists@d=x\n"]);
    project.write("own", "");
    let built = project.build(&[]);
    assert!(
        built.stderr.contains("each has no step: no value is read out of r/{d}/names of lists\n"),
        "{}",
        built.stderr
    );
}

#[test]
fn a_tag_is_told_with_the_file_that_has_its_digest() {
    let project = Project::new(
        "version: 1
sources: {shelf: {kind: oci-layout, path: images}}
targets:
  tags: {rule: tags, source: shelf, foreach: {repo: [library/redis]}, output: \"t/{repo}.json\"}
  both: {rule: command, foreach: {repo: [library/redis]}, inputs: [tags], run: \"cp {in} {out.tags}; touch {out.log}\", output: {tags: \"r/{repo}.json\", log: \"r/{repo}.log\"}}
  layers: {rule: layers, source: shelf, foreach: {tag: {from: both, select: latest}}, output: \"l/{repo}/{tag}.json\"}
",
    );
    project.layout("images", &sample::images());
    project.build(&[]);
    let told = project.explain("layers@repo=library/redis,tag=latest");
    let file = "r/library/redis.json of both@repo=library/redis";
    let says = [
        format!("out of    {file}\n"),
        format!("again if  the tag latest has another digest in {file}\n"),
        format!("again if  latest is no more chosen out of {file}: then there is no such step\n"),
    ];
    assert_says(&told, &says.each_ref().map(String::as_str));
}

#[test]
fn a_value_that_a_missing_input_would_need_is_missed_in_the_file_that_is_read() {
    let project = lists();
    let more = "  one: {rule: command, inputs: [r/pay/a-core], run: \"cp {in} {out}\", output: one}\n  lists:\n";
    project.edit("  lists:\n", more);
    let built = project.build_exits(exit::FAILED, &[]);
    let help = "`pay` makes such files, but a is not in r/shop.lst of lists: have it there, or correct the path";
    assert!(built.stderr.contains(help), "{}", built.stderr);
    assert_says(&project.explain("one"), &[help]);
}

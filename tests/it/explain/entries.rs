//! Of which entry under `inputs:` an input is, and which step makes it: told where that is another one than before.

use super::assert_says;
use crate::support::project::Project;
use crate::support::sample;
use crate::support::words::exit;

/// Fails unless `plan`, `explain` and a build tell these causes of the step, and a build after that has nothing to do.
fn assert_causes(project: &Project, step: &str, causes: &[&str]) {
    assert_says(&project.run(&["plan", "-v"]).stdout, causes);
    let told = |mark: &str, other: &str| {
        let lines =
            causes.iter().enumerate().map(|(n, cause)| format!("  {}{cause}\n", if n == 0 { mark } else { other }));
        assert_says(&project.explain(step), &[&lines.collect::<String>()]);
    };
    told("because   ", "because   ");
    let build = project.run(&["build", "-v"]).exits(exit::DONE);
    assert_says(&build.stderr, &[&format!("built {step} ({}) ", causes.join("; "))]);
    told("last made ", "          ");
    project.build(&[]).assert_nothing_done();
}

#[test]
fn what_is_named_by_its_path_is_the_same_input_whoever_makes_it() {
    let project = Project::new(
        "version: 1
targets:
  list: {rule: command, inputs: [./ds], run: \"cp {in} {out}\", output: list}
  d: {rule: command, cache: false, foreach: {v: {from: list, lines: true}}, run: \"echo {v} > {out}\", output: \"d/{v}\"}
  r: {rule: command, cache: false, inputs: [d/a, d/b, d/c, ./t], run: \"cat {in} > {out}\", output: r}
",
    );
    project.write("t", "");
    project.write("ds", "a\nb\nc\n");
    project.build(&[]);
    for list in ["a\n", "c\n", "a\nb\nc\n"] {
        project.write("ds", list);
        project.build(&["list"]);
        assert_says(&project.explain("r"), &["r: up to date\n"]);
        project.build(&[]);
        assert_eq!(project.read("r"), "a\nb\nc\n");
    }
    // Only what it holds counts, also where no step makes it any more.
    project.write("ds", "a\nb\n");
    project.build(&[]);
    project.write("d/c", "mine\n");
    assert_says(&project.run(&["plan", "-v"]).stdout, &["run      r  changed input: d/c, from "]);
    assert_eq!(project.build(&[]).built, 1);
    assert_eq!(project.read("r"), "a\nb\nmine\n");
}

#[test]
fn what_is_named_by_its_path_is_the_same_input_whichever_way_its_step_is_listed() {
    let project = Project::new(
        "version: 1
targets:
  list: {rule: command, inputs: [./ds], run: \"cp {in} {out}\", output: list}
  d: {rule: command, foreach: {v: {from: list, lines: true}}, run: \"echo {v} > {out}\", output: \"d/{v}\"}
  m: {rule: command, foreach: {v: {from: list, lines: true}}, run: \"echo {v} | tee {out.x} > {out.y}\", output: {x: \"m/{v}.x\", y: \"m/{v}.y\"}}
  ill: {rule: command, foreach: {v: [1, 2]}, run: \"false\", output: \"ill/{v}\"}
  one: {rule: command, inputs: [d/a], run: \"cat {in} > {out}\", output: one}
  r: {rule: command, inputs: [d/a, m/a.x, ./t], run: \"cat {in} > {out}\", output: r}
  part: {rule: command, inputs: {i: {target: ill, partial: true}, x: m/a.x, d: d/a}, run: \"cat {in} > {out}\", output: part}
",
    );
    project.write("t", "");
    project.write("ds", "a\nb\n");
    project.run(&["build"]).exits(exit::FAILED);
    let (from, lines) = ("{from: list, lines: true}", "{lines: ds}");
    for (was, is) in [(from, lines), (lines, from)] {
        project.edit(was, is);
        let plan = project.run(&["plan", "-v"]).stdout;
        assert!(!plan.contains("inputs") && !plan.contains("  r  ") && !plan.contains("  one  "), "{plan}");
        // What may come of the steps that fail is all that there is to say.
        assert_says(&plan, &["run?     part  upstream: ill@v=1 is tried again"]);
        let build = project.run(&["build", "-v"]).exits(exit::FAILED).stderr;
        assert!(build.contains("built 0, ") && !build.contains("restored"), "{build}");
    }
    // Another cause is told alone.
    project.edit(from, lines);
    project.write("t", "t\n");
    let plan = project.run(&["plan", "-v"]).stdout;
    assert_says(&plan, &["run      r  changed input: t, from "]);
    assert!(!plan.contains("inputs"), "{plan}");
}

#[test]
fn a_file_that_is_of_another_entry_now_is_told_with_both() {
    let project = Project::new(
        "version: 1
targets:
  d: {rule: command, foreach: {v: {lines: ds}}, run: \"echo {v} > {out}\", output: \"d/{v}\"}
  e: {rule: command, foreach: {v: {lines: es}}, run: \"echo {v} > {out}\", output: \"d/{v}\"}
  named: {rule: command, inputs: {p: d, q: e}, run: \"echo p {in.p} q {in.q} > {out}\", output: named}
  listed: {rule: command, inputs: [d, e], run: \"cat {in} > {out}\", output: listed}
",
    );
    let lists = |d: &str, e: &str| {
        project.write("ds", d);
        project.write("es", e);
    };
    lists("a\nb\n", "c\n");
    project.build(&[]);
    lists("a\n", "b\nc\n");
    let listed = r#"changed parameter: inputs, from "d/b of d" to "d/b of e""#;
    let cause = r#"changed parameter: inputs, from "{in.p} d/b of d" to "{in.q} d/b of e""#;
    assert_says(&project.run(&["plan"]).stdout, &[&format!("listed  {listed}\n"), &format!("named  {cause}\n")]);
    assert_says(&project.explain("listed"), &[&format!("because   {listed}\n")]);
    assert_causes(&project, "named", &[cause]);
    assert_eq!(project.read("named"), "p d/a q d/b d/c\n");
    assert_says(&project.explain("listed"), &[&format!("last made {listed}\n")]);
}

#[test]
fn an_entry_that_is_edited_is_told_as_that_and_not_file_by_file() {
    let project = Project::new(
        "version: 1
targets:
  d: {rule: command, foreach: {v: [a, b]}, run: \"echo {v} > {out}\", output: \"d/{v}\"}
  r: {rule: command, inputs: [d/a, d/b], run: \"cat {in} > {out}\", output: r}
",
    );
    project.build(&[]);
    project.edit("inputs: [d/a, d/b]", "inputs: [d]");
    assert_causes(&project, "r", &[r#"changed parameter: inputs, from "d/a, d/b" to "d""#]);
}

#[test]
fn an_entry_that_is_edited_is_told_also_where_something_else_moved() {
    let project = Project::new(
        "version: 1
targets:
  d: {rule: command, foreach: {v: [a, b]}, run: \"echo {v} > {out}\", output: \"d/{v}\"}
  r: {rule: command, inputs: [d/a, d/b, ./t], run: \"cat {in} > {out}\", output: r}
",
    );
    project.write("t", "1\n");
    project.build(&[]);
    project.write("t", "2\n");
    project.edit("inputs: [d/a, d/b, ./t]", "inputs: [d, ./t]");
    let edited = r#"changed parameter: inputs, from "d/a, d/b, t" to "d, t""#;
    let causes = ["changed input: t, from ", edited];
    assert_says(&project.run(&["plan", "-v"]).stdout, &causes);
    assert_says(&project.run(&["build", "-v"]).exits(exit::DONE).stderr, &causes);
    assert_says(&project.explain("r"), &causes);
    project.build(&[]).assert_nothing_done();
    // What comes with the edit is told by itself.
    project.edit("inputs: [d, ./t]", "inputs: [d/a, ./t]");
    let plan = project.run(&["plan", "-v"]).stdout;
    assert_says(&plan, &["an input is gone: d/b"]);
    assert!(!plan.contains("changed parameter"), "{plan}");
}

#[test]
fn a_file_that_lies_where_a_step_may_come_to_make_it_has_its_place_among_the_inputs() {
    let project = Project::new(
        "version: 1
targets:
  list: {rule: command, inputs: [./ds], run: \"grep -v '#' {in} > {out}\", output: list}
  d: {rule: command, foreach: {v: {from: list, lines: true}}, run: \"echo {v} > {out}\", output: \"d/{v}\"}
  r: {rule: command, inputs: [d/mine, ./z], run: \"cat {in} > {out}\", output: r}
",
    );
    ["d/mine", "z"].iter().for_each(|path| project.write(path, "1\n"));
    project.write("ds", "a\n");
    project.build(&[]);
    project.write("ds", "a\n#\n");
    let plan = project.run(&["plan", "-v"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["run?     r  upstream: list is made again\n"]);
    assert!(!plan.contains("another order") && !plan.contains("changed parameter"), "{plan}");
    project.build(&[]).assert_only(&["list"]);
}

/// Tag lists that can be asked for again, and what reads layers of them by a selection and by their paths.
fn selected() -> Project {
    let project = Project::new(
        "version: 1
sources: {shelf: {kind: oci-layout, path: images}}
targets:
  get_tag: {rule: tags, source: shelf, repo: library/redis, output: tags.json}
  get_layer: {rule: layers, source: shelf, repo: library/redis, foreach: {tag: {from: get_tag, select: all}}, output: \"layers/{tag}.json\"}
  new: {rule: layers, source: shelf, repo: library/redis, foreach: {tag: {from: get_tag, select: {newest: 2}}}, output: \"new/{tag}.json\"}
  table: {rule: stat, inputs: [new], output: table.csv}
  two: {rule: command, inputs: {p: layers/latest.json, q: layers/6.json}, run: \"cat {in.p} {in.q} > {out}\", output: two.txt}
",
    );
    project.layout("images", &sample::images());
    project.build(&[]);
    project
}

#[test]
fn a_path_that_is_named_no_more_is_gone_also_while_its_list_is_to_be_asked_again() {
    let project = selected();
    project.edit("q: layers/6.json", "q: layers/7.json");
    let plan = project.run(&["plan", "-v", "--refresh"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["run      two  new input: layers/7.json\n", "and an input is gone: layers/6.json\n"]);
    let told = project.explain("two");
    let refreshed = project.run(&["explain", "two", "--refresh"]).exits(exit::DONE).stdout;
    for told in [told, refreshed] {
        assert_says(&told, &["because   an input is gone: layers/6.json\n"]);
        assert!(!told.contains("{in.p} layers/6.json") && !told.contains("input     {in.q} layers/6.json"), "{told}");
    }
}

#[test]
fn what_is_selected_no_more_is_gone_as_of_the_last_answer_while_the_list_is_to_be_asked_again() {
    let project = selected();
    project.edit("newest: 2", "newest: 1");
    let plan = project.run(&["plan", "-v", "--refresh=get_tag"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["run?     table  an input is gone: new/7.4.json\n"]);
    let built = project.build(&["--refresh=get_tag"]);
    assert_says(built.step("table").reason(), &["an input is gone: new/7.4.json"]);
}

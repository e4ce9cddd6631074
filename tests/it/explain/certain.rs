//! What is certain is told as that, whatever else is still to be seen.

use super::assert_says;
use crate::support::project::Project;
use crate::support::sample;
use crate::support::words::exit;

#[test]
fn what_is_read_once_more_is_a_cause_also_while_another_input_is_to_be_made() {
    let project = Project::new(
        "version: 1
targets:
  y: {rule: command, fresh: always, run: \"date +%N > {out}\", output: y.txt}
  i: {rule: command, foreach: {n: {lines: n.txt}}, run: \"echo {n} > {out}\", output: \"i/{n}.txt\"}
  read: {rule: command, inputs: [y, i, i/x.txt], run: \"cat {in} > {out}\", output: read.txt}
",
    );
    project.write("n.txt", "a\nx\n");
    project.build(&[]);
    project.write("n.txt", "a\n");
    project.build(&[]);
    project.write("n.txt", "a\nx\n");
    let cause = r#"changed parameter: inputs, from "…, i/x.txt" to "…, i/x.txt, i/x.txt""#;
    let assert_certain = || {
        let plan = project.run(&["plan", "-v", "read"]).exits(exit::DONE).stdout;
        assert_says(&plan, &[&format!("run      read  {cause}\n           and upstream: y is made again")]);
        assert_says(&project.explain("read"), &[&format!("because   {cause}\n"), "a build   makes it\n"]);
    };
    assert_certain();
    // Also where what is to be made again was so meanwhile.
    project.build(&["y"]);
    assert_certain();
    let reasons = project.run(&["build", "read", "-v"]).exits(exit::DONE).stderr;
    assert_says(&reasons, &[cause]);
    assert!(!project.explain("read").contains(&format!("because   {cause}")));
}

#[test]
fn what_is_read_by_its_path_and_no_more_as_a_list_is_a_cause_also_while_it_is_to_be_made() {
    let project = Project::new(
        "version: 1
targets:
  i: {rule: command, fresh: always, foreach: {n: [a, b]}, run: \"echo {n} > {out}\", output: \"i/{n}.txt\"}
  read: {rule: command, cache: false, inputs: [i], run: \"cat {in} > {out}\", output: read.txt}
",
    );
    project.build(&[]);
    assert_says(&project.run(&["plan", "read"]).stdout, &["run?     read  upstream: i@n=a is made again"]);
    project.edit("inputs: [i]", "inputs: [i/a.txt, i/b.txt]");
    let cause = r#"changed parameter: inputs, from "i" to "i/a.txt, i/b.txt""#;
    assert_says(&project.run(&["plan", "read"]).stdout, &[&format!("run      read  {cause} (+2 more causes)")]);
    assert_eq!(project.build(&["read"]).step("read").reason(), cause);
}

#[test]
fn what_another_target_makes_is_no_sure_input_where_a_list_may_have_it_no_more() {
    let project = Project::new(
        "version: 1
targets:
  list: {rule: command, cache: false, inputs: [l.txt], run: \"cp {in} {out}\", output: list.txt}
  each: {rule: command, foreach: {n: {from: list, lines: true}}, run: \"echo {n} > {out}\", output: \"each/{n}.txt\"}
  same: {rule: command, foreach: {n: [x]}, run: \"echo {n} > {out}\", output: \"each/{n}.txt\"}
  all: {rule: command, inputs: [each], run: \"cat {in} > {out}\", output: all.txt}
",
    );
    project.write("l.txt", "y\n");
    project.build(&[]);
    project.write("l.txt", "x\ny\n");
    project.build(&["list"]);
    assert_says(&project.run(&["plan"]).stdout, &["run      all  new input: each/x.txt"]);
    // It is there whatever the list says, and an input only where that says so.
    project.write("l.txt", "y\n");
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["run?     all  new input: each/x.txt", "1 to run, ", ", 1 that may run"]);
    assert_says(&project.explain("all"), &["a build   may "]);
    project.build(&[]).assert_only(&["list"]);
}

#[test]
fn rivals_as_of_the_last_build_of_a_list_may_be_none() {
    let project = Project::new(
        "version: 1
targets:
  list: {rule: command, inputs: [l.txt], run: \"cp {in} {out}\", output: list.txt}
  each: {rule: command, foreach: {n: {from: list, lines: true}}, run: \"echo {n} > {out}\", output: \"each/{n}.txt\"}
  other: {rule: command, foreach: {n: [x]}, run: \"echo other > {out}\", output: \"each/{n}.txt\"}
",
    );
    project.write("l.txt", "x\n");
    project.build(&["list"]);
    project.write("l.txt", "y\n");
    assert_says(&project.run(&["plan"]).stdout, &["failed?  each@n=x  ", "failed?  other@n=x  "]);
    for step in ["each@n=x", "other@n=x"] {
        assert_says(&project.explain(step), &[": failed\n", "as of the last build of what values are read out of"]);
    }
    project.build(&[]);
}

#[test]
fn what_a_value_can_be_no_path_of_fails_for_sure_only_as_long_as_its_list_stays() {
    let project = Project::new(
        "version: 1
targets:
  list: {rule: command, inputs: [l.txt], run: \"cp {in} {out}\", output: list.txt}
  each: {rule: command, foreach: {n: {from: list, lines: true}}, run: \"echo {n} > {out}\", output: \"each/{n}.txt\"}
  all: {rule: command, inputs: [each], run: \"cat {in} > {out}\", output: all.txt}
",
    );
    project.write("l.txt", "a\n../b\n");
    project.build_exits(exit::FAILED, &[]);
    let why = "the output path \"each/../b.txt\": a path has a part `..`; paths stay in the pipeline's folder";
    let told = |mark: &str| {
        let [failed, blocked] = ["failed", "blocked"].map(|word| format!("{word}{mark}"));
        [format!("{failed:<9}each@n=../b  {why}"), format!("{blocked:<9}all  each@n=../b")]
    };
    let plan = || project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan(), &told("").each_ref().map(String::as_str));
    project.write("l.txt", "a\nc\n");
    assert_says(&plan(), &told("?").each_ref().map(String::as_str));
    assert_says(
        &project.explain("each@n=../b"),
        &[": failed\n", "as of the last build of what values are read out of"],
    );
    assert_eq!(project.build(&[]).built, 3);
}

#[test]
fn an_input_that_no_list_has_any_more_is_gone_also_while_others_are_to_come() {
    let project = Project::new(
        "version: 1
targets:
  gen: {rule: command, inputs: [gen.txt], run: \"cat {in} > {out}\", output: gen/all.txt}
  dyn: {rule: command, foreach: {v: {from: gen, lines: true}}, run: \"echo {v} > {out}\", output: \"dyn/{v}\"}
  st: {rule: command, foreach: {n: {lines: n.txt}}, run: \"echo {n} > {out}\", output: \"st/{n}\"}
  sum: {rule: command, inputs: [st, dyn], run: \"cat {in} > {out}\", output: sum.txt}
",
    );
    project.write("gen.txt", "a\nb\n");
    project.write("n.txt", "1\n2\n");
    project.build(&[]);
    project.write("n.txt", "1\n");
    project.edit("cat {in} > {out}\", output: gen", "cat {in} | cat > {out}\", output: gen");
    let gone = "an input is gone: st/2";
    let plan = project.run(&["plan", "-v", "sum"]).exits(exit::DONE).stdout;
    assert_says(&plan, &[&format!("run      sum  {gone}\n")]);
    assert_says(&project.explain("sum"), &[gone, "upstream: gen is made again"]);
    assert!(project.build(&[]).step("sum").reason().contains(gone));
}

#[test]
fn each_list_that_is_asked_is_a_cause_of_what_reads_what_comes_of_them() {
    let project = Project::new(
        "version: 1
targets:
  list: {rule: command, fresh: always, foreach: {l: [a, b]}, inputs: [\"{l}.txt\"], run: \"cp {in} {out}\", output: \"list/{l}\"}
  each: {rule: command, foreach: {n: {from: list, lines: true}}, run: \"echo {n} > {out}\", output: \"each/{l}/{n}\"}
  all: {rule: command, inputs: [each], run: \"cat {in} > {out}\", output: all.txt}
",
    );
    project.write("a.txt", "1\n");
    project.write("b.txt", "2\n");
    project.build(&[]);
    project.write("b.txt", "2\n3\n");
    let plan = project.run(&["plan", "-v", "all"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["upstream: list@l=a is made again", "upstream: list@l=b is made again"]);
}

#[test]
fn that_a_partial_input_comes_which_is_to_be_made_first_is_not_certain() {
    let project = Project::new(
        "version: 1
targets:
  list: {rule: command, inputs: [./ns], run: \"cp {in} {out}\", output: list}
  a: {rule: command, foreach: {n: {from: list, lines: true}}, run: \"test ! -e no-{n} && echo {n} > {out}\", output: \"a/{n}\"}
  rival: {rule: command, foreach: {n: [\"1\"]}, run: \"echo rival > {out}\", output: \"rival/{n}\"}
  some: {rule: command, inputs: [{target: a, partial: true}], run: \"cat /dev/null {in} > {out}\", output: some}
  all: {rule: command, inputs: [a], run: \"cat /dev/null {in} > {out}\", output: all}
",
    );
    project.write("ns", "1\n");
    // First it cannot be made, since another step makes that file; then it can, and fails.
    project.edit("rival/{n}", "a/{n}");
    project.build_exits(exit::FAILED, &[]);
    project.edit("output: \"a/{n}\"}\n  some", "output: \"rival/{n}\"}\n  some");
    project.write("no-1", "");
    assert_says(&project.run(&["plan"]).stdout, &["run?     some  "]);
    assert_eq!(project.build_exits(exit::FAILED, &[]).step("all").outcome, "blocked");
    project.remove("no-1");
    project.build(&[]);
    // The same of one that was never tried, while what is there is certain.
    project.write("ns", "1\n2\n");
    project.build(&["list"]);
    project.write("no-2", "");
    let plan = project.run(&["plan"]).stdout;
    assert_says(&plan, &["run?     some  new input: a/2\n", "run      all  new input: a/2\n"]);
    assert_says(&project.explain("some"), &["because   new input: a/2\n", "a build   may make it\n"]);
    let report = project.build_exits(exit::FAILED, &[]);
    assert!(!report.names().contains(&"some"), "{}", report.listing());
    project.remove("no-2");
    project.build(&["a"]);
    assert_says(&project.run(&["plan"]).stdout, &["run      some  new input: a/2\n"]);
}

#[test]
fn an_output_of_another_name_is_a_new_input_before_the_build_as_after_it() {
    let project = Project::new(
        "version: 1
targets:
  s: {rule: command, inputs: [a.txt], run: \"cp {in} {out.p}; cp {in} {out.q}\", output: {p: o/p, q: o/q}}
  read: {rule: command, inputs: [s], run: \"cat {in} > {out}\", output: o/read}
  part: {rule: command, inputs: [{target: s, partial: true}], run: \"cat {in} > {out}\", output: o/part}
",
    );
    project.write("a.txt", "1\n");
    project.build(&[]);
    project.edit("q: o/q", "q: o/r");
    let causes = ["new input: o/r", "an input is gone: o/q"];
    let plan = project.run(&["plan", "-v"]).exits(exit::DONE).stdout;
    for step in ["read", "part"] {
        assert_says(&plan, &[&format!("run      {step}  {}\n           and {}\n", causes[0], causes[1])]);
    }
    let told = project.run(&["build", "-v"]).exits(exit::DONE).stderr;
    for step in ["read", "part"] {
        assert_says(&told, &[&format!("built {step} ({}) ", causes.join("; "))]);
    }
}

#[test]
fn an_output_of_another_name_was_not_left_out_before() {
    for cache in ["", "cache: false, "] {
        let project = Project::new(&format!(
            "version: 1
targets:
  g: {{rule: command, inputs: [g.txt], run: \"grep -v bad {{in}} > {{out}}\", output: o/g}}
  a: {{rule: command, {cache}inputs: [g], run: \"cp {{in}} {{out.p}}; cp {{in}} {{out.q}}\", output: {{p: o/p, q: o/q}}}}
  some: {{rule: command, inputs: [{{target: a, partial: true}}, n.txt], run: \"cat {{in}} > {{out}}\", output: o/some}}
"
        ));
        project.write("g.txt", "1\n");
        project.write("n.txt", "1\n");
        project.build(&[]);
        project.write("g.txt", "bad\n");
        project.build_exits(exit::FAILED, &[]);
        project.write("g.txt", "2\n");
        project.edit("q: o/q", "q: o/r");
        let told = project.run(&["build", "-v"]).exits(exit::DONE).stderr;
        let causes = "built some (new input: o/p (left out before, since a was blocked); new input: o/r) ";
        assert_says(&told, &[causes]);
    }
}

#[test]
fn an_input_that_was_made_otherwise_since_is_a_cause_also_while_it_may_be_made_again() {
    let project = Project::new(
        "version: 1
sources: {shelf: {kind: oci-layout, path: images}}
targets:
  tags: {rule: tags, source: shelf, fresh: digest, foreach: {repo: [library/redis]}, output: \"o/{repo}.json\"}
  card: {rule: command, inputs: [tags, etc/c], run: \"cat {in} > {out}; mkdir -p {out.d}; cp {in} {out.d}\", output: {f: o/card, d: o/cards/}}
  gate: {rule: command, cache: false, inputs: [etc/g], run: \"cp {in} {out}\", output: o/gate}
  site: {rule: command, cache: false, inputs: [o/card, gate, etc/s], run: \"cat {in} > {out}\", output: o/site}
  list: {rule: command, cache: false, inputs: [tags, gate], run: \"cat {in} > {out}\", output: o/list}
  all: {rule: command, cache: false, inputs: [o/cards, gate], run: \"ls {in} > {out}\", output: o/all}
  top: {rule: command, inputs: [site], run: \"cp {in} {out}\", output: o/top}
",
    );
    let shelve = |gone: &str| {
        let _ = std::fs::remove_dir_all(project.path("images"));
        let images = sample::images().into_iter().filter(|(name, _)| !name.starts_with(gone));
        project.layout("images", &images.collect::<Vec<_>>());
    };
    shelve("none");
    ["etc/c", "etc/g", "etc/s"].iter().for_each(|file| project.write(file, "1\n"));
    project.build(&[]);
    // What both read is made otherwise by a build that does not come to them.
    shelve("library/redis:6");
    project.remove("etc/g");
    project.build_exits(exit::FAILED, &[]);
    let moved = ["o/card", "o/library/redis.json", "o/cards"].map(|input| format!("changed input: {input}, from "));
    let because = moved.clone().map(|cause| format!("because   {cause}"));
    let fault = "again if  a build comes once what is at fault is mended, and beside that one of these:";
    assert_says(&project.explain("site"), &[&because[0], fault]);
    project.write("etc/g", "1\n");
    let plan = project.run(&["plan", "-v"]).exits(exit::DONE).stdout;
    let (card, tags) =
        ("upstream: card may be made again\n", "upstream: tags@repo=library/redis is asked, and may be ");
    for (step, cause, upstream) in [("site", 0, card), ("list", 1, tags), ("all", 2, card)] {
        assert_says(&plan, &[&format!("run?     {step}  {}", moved[cause]), &format!("           and {upstream}")]);
        let told = project.explain(step);
        assert_says(&told, &[&because[cause], &format!("because   {upstream}"), "a build   may make it\n"]);
    }
    assert_says(&plan, &["run?     top  upstream: site may be made again\n"]);
    let json = project.run(&["plan", "--format", "json"]).exits(exit::DONE).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let site = json["steps"].as_array().expect("a list").iter().find(|step| step["step"] == "site").expect("planned");
    assert_eq!(site["perhaps"], true, "{site}");
    // What else moved makes it run for sure.
    project.write("etc/s", "2\n");
    assert_says(&project.run(&["plan"]).stdout, &["run      site  changed input: "]);
    project.write("etc/s", "1\n");
    // Made again, it may come out as what was read.
    shelve("none");
    project.build(&[]).assert_only(&["tags@repo=library/redis", "card"]);
    shelve("library/redis:6");
    project.build(&["card"]);
    let report = project.build(&[]);
    report.assert_only(&["site", "list", "all", "top"]);
    for (step, cause) in [("site", 0), ("list", 1), ("all", 2)] {
        assert!(report.step(step).reason().starts_with(&moved[cause]), "{}", report.listing());
    }
}

#[test]
fn what_comes_back_from_the_store_only_as_one_target_has_it_is_not_told_as_certain_where_that_may_lose_it() {
    let project = |own: &str, joiner: &str| {
        let project = Project::new(&format!(
            "version: 1
targets:
  list: {{rule: command, inputs: [l.txt], run: \"! grep FAIL {{in}} && cp {{in}} {{out}}\", output: list.txt}}
  joiner: {{rule: command, foreach: {{n: {{from: list, lines: true}}}}, run: \"echo {{n}} > {{out}}\", output: \"s/{{n}}\"{joiner}}}
  own: {{rule: command, foreach: {{n: [b]}}, run: \"echo {{n}} > {{out}}\", output: \"s/{{n}}\"{own}}}
"
        ));
        project.write("l.txt", "b\n");
        project.build(&[]);
        project.write("l.txt", "FAIL\n");
        project.build_exits(exit::FAILED, &[]);
        project.remove("s/b");
        project
    };
    let kept = "the store, where that has it";
    for (own, joiner, comes) in [(", cache: false", "", "built"), ("", ", fresh: always", "restored")] {
        let project = project(own, joiner);
        assert_says(&project.run(&["plan"]).stdout, &["run?     own@n=b  ", "1 that may run"]);
        let told = project.explain("s/b");
        let note = "note      whether joiner still describes this step is seen only while building";
        assert_says(&told, &["because   missing output: s/b", "a build   may make it", note]);
        assert!(!told.contains(kept), "{told}");
        assert_eq!(project.build_exits(exit::FAILED, &[]).step("own@n=b").outcome, comes);
    }
    // Where it comes back whoever describes it, that is certain.
    let project = project("", ", cache: false");
    assert_says(&project.run(&["plan"]).stdout, &["restore  own@n=b  "]);
    assert_says(&project.explain("s/b"), &["a build   restores its outputs", kept]);
    assert_eq!(project.build_exits(exit::FAILED, &[]).step("own@n=b").outcome, "restored");
}

#[test]
fn what_a_list_of_an_input_is_read_out_of_is_no_input_itself() {
    let project = Project::new(
        "version: 1
targets:
  lst: {rule: command, inputs: [etc/l], run: \"cp {in} {out}\", output: r/l}
  part: {rule: command, fresh: always, foreach: {n: {from: lst, lines: true}}, run: \"echo {n} > {out}\", output: \"r/part/{n}\"}
  deep: {rule: command, foreach: {z: {from: part, lines: true}}, run: \"echo {n} {z} > {out}\", output: \"r/deep/{n}.{z}\"}
  read: {rule: command, inputs: [r/part/x, deep], run: \"cat {in} > {out}\", output: r/read}
",
    );
    project.write("etc/l", "x\ny\n");
    project.build(&[]);
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["run?     read  upstream: part@n=x is made again"]);
    assert!(!plan.contains("new input"), "{plan}");
    project.run(&["build"]).exits(exit::DONE).says("built 2, up to date 4");
}

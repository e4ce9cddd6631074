//! What is told of a step that was tried in vain, and of what reads what it makes.

use super::assert_says;
use crate::support::images::Format;
use crate::support::project::Project;
use crate::support::stock;
use crate::support::words::exit;

/// A step that fails where its input says so, and one that reads what it makes.
fn read_by_another() -> Project {
    let project = Project::new(
        "version: 1
targets:
  c: {rule: command, inputs: [b.txt], run: \"cat {in} > {out}; ! grep -q bad {in}\", output: c.txt}
  d: {rule: command, inputs: [c], run: \"cp {in} {out}\", output: d.txt}
",
    );
    project.write("b.txt", "1\n");
    project.build(&[]);
    project
}

#[test]
fn what_is_mended_before_it_was_tried_is_no_risk_to_what_reads_it() {
    let project = read_by_another();
    project.remove("b.txt");
    project.build_exits(exit::FAILED, &[]);
    project.write("b.txt", "2\n");
    assert_says(&project.run(&["plan"]).stdout, &["run?     d  upstream: c is made again\n"]);
    assert_says(&project.explain("d"), &[") of c, stale\n"]);
}

#[test]
fn a_failure_before_a_step_was_taken_over_is_no_risk_to_what_reads_it() {
    let project = read_by_another();
    project.write("b.txt", "bad\n");
    project.build_exits(exit::FAILED, &[]);
    let risk = "run?     d  upstream: c is tried again, and may fail or be put off as before\n";
    assert_says(&project.run(&["plan"]).stdout, &[risk]);
    project.run(&["adopt", "c"]).exits(exit::DONE);
    project.write("b.txt", "2\n");
    assert_says(&project.run(&["plan"]).stdout, &["run?     d  upstream: c is made again\n"]);
}

#[test]
fn a_step_that_lacks_an_output_is_missing_whatever_else_moved() {
    let project = read_by_another();
    project.edit("  d:", "  e: {rule: command, foreach: {n: {from: c, lines: true}}, run: \"echo {n} > {out}\", output: \"e/{n}.txt\"}\n  d:");
    project.build(&[]);
    project.remove("c.txt");
    project.write("b.txt", "2\n");
    assert_says(
        &project.explain("c"),
        &["c: missing\n", "because   changed input: b.txt", "because   missing output: c.txt"],
    );
    let json = project.run(&["status", "c", "--format", "json"]).stdout;
    let rows: serde_json::Value = serde_json::from_str(&json).expect("rows");
    assert_eq!((&rows[0]["missing"], &rows[0]["stale"]), (&1.into(), &0.into()));
    // What hangs on it tells the same of it, and once it failed, that.
    assert_says(&project.explain("e/1.txt"), &["its values are read out of c: it is missing (changed input: b.txt, "]);
    project.write("b.txt", "bad\n");
    project.build_exits(exit::FAILED, &[]);
    assert_says(&project.explain("c"), &["c: failed\n"]);
    // Why it failed, and not why it would run now, which was never tried.
    for input in ["bad\n", "3\n"] {
        project.write("b.txt", input);
        assert_says(
            &project.explain("e/1.txt"),
            &["its values are read out of c: it failed (the command failed: exit status: 1)\n"],
        );
    }
}

#[test]
fn a_young_output_comes_back_from_the_store_only_where_that_has_it() {
    let project = read_by_another();
    project.edit("inputs: [c], run", "inputs: [c], fresh: 24h, run");
    project.build(&[]);
    let words = "(while it is young, it comes back from the store, where that has it)";
    assert_says(&project.explain("d"), &[words]);
    project.run(&["adopt", "d"]).exits(exit::DONE);
    std::fs::remove_dir_all(project.path(".layermill/store")).expect("removed");
    project.remove("d.txt");
    assert_says(&project.explain("d"), &["d: missing\n", "a build   makes it\n", words]);
}

#[test]
fn build_v_names_all_causes_of_a_step_that_failed() {
    let project = read_by_another();
    project.edit("grep -q bad {in}", "grep -q bad {in} ");
    project.write("b.txt", "bad\n");
    let causes = |flag: &[&str]| {
        let failed = project.run(&[&["build"][..], flag].concat()).exits(exit::FAILED).stderr;
        failed.lines().find_map(|line| line.trim().strip_prefix("it ran because: ").map(str::to_owned)).expect("why")
    };
    assert!(causes(&[]).ends_with("(+1 more cause)"));
    let all = causes(&["-v"]);
    assert!(all.starts_with("changed parameter: run, ") && all.contains("; changed input: b.txt, from "), "{all}");
    assert!(!all.contains("more cause"), "{all}");
}

/// A step that reads the layers of one tag by their path; the list of tags is asked for in each build.
fn of_a_tag_by_path() -> (Project, impl Fn(&Project, &[&str])) {
    let project = Project::new(
        "version: 1
sources: {shelf: {kind: oci-layout, path: images}}
targets:
  tags: {rule: tags, source: shelf, repo: library/redis, output: r/tags.json, fresh: digest}
  img: {rule: layers, source: shelf, repo: library/redis, foreach: {tag: {from: tags, select: all}}, output: \"r/img/{tag}.json\"}
  cmp: {rule: command, inputs: [r/img/9.json], run: \"cp {in} {out}\", output: r/cmp}
  rep: {rule: command, inputs: [{target: cmp, partial: true}, r/tags.json], run: \"cat {in} > {out}\", output: r/rep}
",
    );
    let shelve = |project: &Project, tags: &[&str]| {
        let _ = std::fs::remove_dir_all(project.path("images"));
        let image = |tag: &&str| (format!("library/redis:{tag}"), stock::redis(tag).manifest(Format::Oci));
        project.layout("images", &tags.iter().map(image).collect::<Vec<_>>());
    };
    (project, shelve)
}

#[test]
fn a_file_that_was_missing_and_may_still_come_is_told_as_what_failed() {
    let (project, shelve) = of_a_tag_by_path();
    shelve(&project, &["7"]);
    let failed = project.run(&["build"]).exits(exit::FAILED);
    let help = "`img` makes such files, but 9 is not in what tags makes: have it there, or correct the path";
    assert_says(&failed.stderr, &["failed cmp: the input r/img/9.json is missing\n", help]);
    let plan = project.run(&["plan"]).stdout;
    let risk = "cmp is tried again, and may fail or be put off as before; the last run did without r/cmp";
    assert_says(
        &plan,
        &["run?     cmp  first build (failed when it was last tried)\n", "run?     rep  upstream: ", risk],
    );
    let told = project.explain("cmp");
    assert_says(&told, &["cmp: failed\n", "  a build   may make it\n", "Z: the input r/img/9.json is missing\n"]);
    assert_says(&project.explain("rep"), &[risk, " of cmp, failed when it was last tried\n"]);
    let json = project.run(&["status", "cmp", "--format", "json"]).stdout;
    let rows: serde_json::Value = serde_json::from_str(&json).expect("rows");
    let row = rows.as_array().and_then(|rows| rows.iter().find(|row| row["target"] == "cmp")).expect("a row of cmp");
    assert_eq!((&row["failed"], &row["missing"]), (&1.into(), &0.into()));
    // Once it is there, nothing of that is told any more.
    project.write("r/img/9.json", "by hand\n");
    let plan = project.run(&["plan"]).stdout;
    assert!(!plan.contains("failed when it was last tried"), "{plan}");
    project.remove("r/img/9.json");
    shelve(&project, &["7", "9"]);
    project.build(&[]);
    let told = project.explain("cmp");
    assert!(!told.contains("failed"), "{told}");
    // The same of one that was made before that.
    shelve(&project, &["7"]);
    std::fs::remove_dir_all(project.path("r")).expect("removed");
    project.build_exits(exit::FAILED, &[]);
    let told = project.explain("cmp");
    assert_says(&told, &["cmp: failed\n", "  because   an input is gone: r/img/9.json\n", "r/img/9.json is missing\n"]);
    assert!(!told.contains("has changed since"), "{told}");
}

#[test]
fn another_target_is_named_for_a_missing_file_only_where_its_list_may_have_that() {
    let project = Project::new(
        "version: 1
targets:
  l: {rule: command, inputs: [l.txt], run: \"cp {in} {out}\", output: r/l}
  m: {rule: command, inputs: [m.txt], run: \"cp {in} {out}\", output: r/m}
  own: {rule: command, foreach: {n: {lines: r/l}}, run: \"echo {n} > {out}\", output: \"r/own/{n}\"}
  bak: {rule: command, foreach: {n: {lines: r/m}}, run: \"echo {n} > {out}\", output: \"r/own/{n}\"}
  p: {rule: command, inputs: [r/own/core], run: \"cp {in} {out}\", output: r/p}
",
    );
    ["l.txt", "m.txt"].iter().for_each(|list| project.write(list, "web\n"));
    let help = "`own` makes such files, but core is not in what l makes; `bak` makes such files, but core is not in \
                what m makes: have it there, or correct the path";
    project.run(&["build"]).exits(exit::FAILED).says(help);
    assert_says(&project.run(&["plan", "-v"]).stdout, &["failed   p  the input r/own/core is missing", help]);
    assert_says(&project.explain("p"), &[help]);
}

#[test]
fn what_makes_such_files_as_are_missing_is_named_with_the_list_that_lacks_the_value() {
    let project = Project::new(
        "version: 1
targets:
  t: {rule: command, foreach: {k: {lines: list.txt}}, run: \"echo {k} > {out}\", output: \"t/{k}\"}
  d: {rule: command, foreach: {k: {lines: made.txt}, j: [p, q]}, run: \"echo {k} > {out}\", output: \"d/{k}/{j}\"}
  e: {rule: command, foreach: {v: {from: d, lines: true}}, run: \"echo {v} > {out}\", output: \"e/{k}/{j}/{v}\"}
  l: {rule: command, run: \"echo a > {out}\", output: made.txt}
  use: {rule: command, inputs: [t/z], run: \"cp {in} {out}\", output: use.txt}
",
    );
    project.write("list.txt", "a\n");
    let cases = [
        ("t/z", "`t` makes such files, but z is not in list.txt: "),
        ("d/z/p", "`d` makes such files, but z is not in what l makes: "),
        ("d/a/z", "`d` makes such files, but z is not in the list of `j`: "),
        ("e/a/p/z", "`e` makes such files, but z is not in what d@k=a,j=p makes: "),
        ("e/z/p/a", "`e` makes such files, but z is not in what l makes: "),
        ("own/z", "no step makes it; put it there, or correct the path\n"),
    ];
    let mut before = "t/z";
    for (path, help) in cases {
        project.edit(&format!("inputs: [{before}]"), &format!("inputs: [{path}]"));
        before = path;
        let failed = project.run(&["build"]).exits(exit::FAILED);
        assert_says(&failed.stderr, &[&format!("failed use: the input {path} is missing\n  help: {help}")]);
    }
}

#[test]
fn of_several_readings_of_a_missing_path_that_is_told_of_which_the_most_values_are_in_their_lists() {
    let project = Project::new(
        "version: 1
sources: {shelf: {kind: oci-layout, path: images}}
targets:
  repos: {rule: command, inputs: [etc/r], run: \"cp {in} {out}\", output: r/repos}
  tags: {rule: tags, source: shelf, foreach: {repo: {lines: r/repos}}, output: \"r/tags/{repo}.json\", fresh: digest}
  img: {rule: layers, source: shelf, foreach: {tag: {from: tags, select: all}}, platform: all, output: \"r/img/{repo}/{tag}/{platform}.json\"}
  names: {rule: command, inputs: [etc/n], run: \"cp {in} {out}\", output: r/names}
  pair: {rule: command, foreach: {repo: {lines: r/repos}, name: {lines: r/names}}, run: \"echo > {out}\", output: \"r/pair/{repo}/{name}\"}
  one: {rule: command, inputs: [r/img/library/redis/9/linux/amd64.json], run: \"cp {in} {out}\", output: r/one}
  two: {rule: command, inputs: [r/pair/library/redis/a/b], run: \"cp {in} {out}\", output: r/two}
",
    );
    project.layout("images", &[("library/redis:7".to_owned(), stock::redis("7").manifest(Format::Oci))]);
    project.write("etc/r", "library/redis\n");
    project.write("etc/n", "a\n");
    // What is a platform by its words is one, also before any list is there.
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    let may_lack =
        "r/img/library/redis/9/linux/amd64.json may be missing: library/redis may not be in what repos makes)";
    assert_says(&plan, &[may_lack]);
    let failed = project.run(&["build"]).exits(exit::FAILED);
    let lacks = [
        "`img` makes such files, but 9 is not in what tags@repo=library/redis makes: have it there",
        "`pair` makes such files, but a/b is not in what names makes: have it there",
    ];
    assert_says(&failed.stderr, &lacks);
    // The same of what is seen only once it is asked again.
    project.edit("redis/a/b]", "redis/a]");
    project.layout(
        "images",
        &["7", "9"].map(|tag| (format!("library/redis:{tag}"), stock::redis(tag).manifest(Format::Oci))),
    );
    project.build(&[]);
    let may_lack = "amd64.json may be missing: 9 may not be in what tags@repo=library/redis makes)";
    project.remove("r/img/library/redis/9/linux/amd64.json");
    assert_says(&project.run(&["plan"]).exits(exit::DONE).stdout, &[may_lack]);
    project.build(&[]);
    project.layout("images", &[("library/redis:7".to_owned(), stock::redis("7").manifest(Format::Oci))]);
    project.build(&["tags"]);
    project.remove("r/img/library/redis/9/linux/amd64.json");
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &[may_lack]);
}

#[test]
fn a_failure_is_told_whichever_of_its_outputs_a_step_has_under_another_name_since() {
    let targets = |outputs: &str| {
        format!(
            "version: 1
targets:
  w: {{rule: command, inputs: [./p], run: \"echo ran; cp p {{out.a}}; cp p {{out.b}}; ! grep -q bad p\", output: {outputs}}}
  rx: {{rule: command, inputs: [w], run: \"cat {{in}} > {{out}}\", output: rx}}
"
        )
    };
    for (made, name) in [(true, "w"), (false, "w"), (true, "z")] {
        for outputs in ["{a: new, b: y}", "{a: x, b: new}", "{a: y, b: x}", "{a: new, b: x}", "{a: y, b: new}"] {
            let project = Project::new(&targets("{a: x, b: y}"));
            if made {
                project.write("p", "1\n");
                project.build(&[]);
            }
            project.write("p", "bad\n");
            project.build_exits(exit::FAILED, &[]);
            let renamed = targets(outputs).replace("  w:", &format!("  {name}:")).replace("[w]", &format!("[{name}]"));
            project.write("pipeline.yaml", renamed);
            let plan = project.run(&["plan"]).stdout;
            let w = plan.lines().find(|line| line.starts_with(&format!("run      {name}  ")));
            assert!(w.is_some_and(|w| w.ends_with(" (failed when it was last tried)")), "{outputs}: {plan}");
            assert!(
                plan.contains(&format!("{name} is tried again, and may fail or be put off as before")),
                "{outputs}: {plan}"
            );
            let told = [
                &*format!("{name}: failed\n"),
                "Z: the command failed: exit status: 1\n",
                ".log (by the run that failed)\n",
            ];
            assert_says(&project.explain(name), &told);
            // Also once it failed by its new name. It is forgotten when it is made.
            project.build_exits(exit::FAILED, &[]);
            assert_says(&project.explain(name), &[&format!("{name}: failed\n")]);
            project.write("p", "2\n");
            project.build(&[]);
            assert!(!project.exists(".layermill/failures.json"), "{outputs}");
            project.write("p", "3\n");
            let told = project.explain(name);
            assert!(told.starts_with(&format!("{name}: stale\n")) && !told.contains("failed"), "{outputs}: {told}");
        }
    }
}

#[test]
fn a_group_that_lacked_a_file_which_may_still_come_is_told_as_what_failed() {
    let (project, shelve) = of_a_tag_by_path();
    project.edit("  rep: ", "  rel: {inputs: [r/img/9.json]}\n  rep: ");
    shelve(&project, &["7"]);
    let plan = project.run(&["plan", "rel"]).stdout;
    assert_says(&plan, &["failed?  rel  the input r/img/9.json may be missing: "]);
    // However often it is built, by itself or with all.
    for asked in [&["rel"][..], &["rel"], &[]] {
        project.build_exits(exit::FAILED, asked);
        let plan = project.run(&["plan", "rel"]).stdout;
        assert_says(&plan, &["failed?  rel  the input r/img/9.json is missing\n", ", 1 that may fail\n"]);
        let told = project.explain("rel");
        assert_says(&told, &["rel: failed\n", "r/img/9.json is missing\n"]);
        let json = project.run(&["status", "rel", "--format", "json"]).stdout;
        let rows: serde_json::Value = serde_json::from_str(&json).expect("rows");
        let row =
            rows.as_array().and_then(|rows| rows.iter().find(|row| row["target"] == "rel")).expect("a row of rel");
        assert_eq!(row["failed"], 1);
    }
    // Once it is there, nothing of that is told any more.
    shelve(&project, &["7", "9"]);
    project.build(&[]);
    shelve(&project, &["7", "8", "9"]);
    let plan = project.run(&["plan", "rel"]).stdout;
    assert!(!plan.contains("failed"), "{plan}");
    let kept = std::fs::read_to_string(project.path(".layermill/failures.json")).unwrap_or_default();
    assert!(!kept.contains("rel"), "{kept}");
}

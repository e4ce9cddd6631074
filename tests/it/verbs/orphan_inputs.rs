//! Files that a step reads, that another one made, and that no step makes any more.

use super::*;

/// After a build of `m` of two values, one of which left the list then; `n` and `o` read what that made.
fn read_by_others(of: &str) -> Project {
    let project = Project::new(&format!(
        "version: 1
targets:
  lst: {{rule: command, inputs: [etc/l], run: \"grep . {{in}} > {{out}}\", output: r/l}}
  m: {{rule: command, foreach: {{k: {of}}}, inputs: [\"etc/{{k}}\"], run: \"cp {{in}} {{out.p}}; cp {{in}} {{out.q}}\", output: {{p: \"r/{{k}}.p\", q: \"r/{{k}}.q\"}}}}
  n: {{rule: command, inputs: [r/y.p, etc/n], run: \"cat {{in}} > {{out}}\", output: r/n}}
  o: {{rule: command, inputs: [r/y.p, r/y.q], run: \"cat {{in}} > {{out}}\", output: r/o}}
"
    ));
    ["etc/x", "etc/y", "etc/n"].iter().for_each(|file| project.write(file, "1\n"));
    project.write("etc/l", "x\ny\n");
    project.build(&["lst", "m", "n", "o"]);
    assert_eq!(warnings(&project.run(&["build", "lst", "m", "n", "o"])), [""; 0]);
    project
}

fn warnings(run: &crate::support::project::Run) -> Vec<String> {
    run.stderr.lines().filter_map(|line| line.strip_prefix("warning ").map(str::to_owned)).collect()
}

const N: &str = "n reads r/y.p, which m@k=y made and no step makes any more: a fresh checkout does not have it";
const O: &str = "o reads r/y.p, which m@k=y made and no step makes any more, and another such file: a fresh checkout does not have them";

#[test]
fn what_reads_an_orphan_is_warned_of_for_a_fresh_checkout_does_not_have_that() {
    for of in ["{lines: etc/l}", "{from: lst, lines: true}"] {
        let project = read_by_others(of);
        project.write("etc/l", "x\n");
        for asked in [&["lst", "m", "n", "o"][..], &["n", "o"], &[]] {
            let run = project.run(&[&["build"], asked].concat()).exits(exit::DONE);
            assert_eq!(warnings(&run), [N, O], "{run}");
            assert_eq!(run.stderr.matches("  help: `layermill clean --orphans` removes ").count(), 1, "{run}");
        }
        let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
        assert!(plan.contains(&format!("orphan   {N}\norphan   {O}\n           help: ")), "{plan}");
        let told = project.explain("n");
        assert!(told.contains(&format!("warning: {N}\n")) && told.contains("clean --orphans"), "{told}");
        let told = project.run(&["build", "--format", "json"]).exits(exit::DONE).stdout;
        let told: Value = serde_json::from_str(&told).expect("a report");
        let file = |file: &str| serde_json::json!({"file": file, "made_by": "m@k=y"});
        let both = serde_json::json!([
            {"step": "n", "files": [file("r/y.p")]},
            {"step": "o", "files": [file("r/y.p"), file("r/y.q")]},
        ]);
        assert_eq!(told["reads_orphans"], both);
        let mut in_actions = project.command(&["build"]);
        in_actions.env("GITHUB_ACTIONS", "true");
        let run = Running::spawn(in_actions).wait().exits(exit::DONE);
        assert!(run.stderr.contains(&format!("::warning title=layermill::{N}%0Ahelp: ")), "{run}");
    }
}

#[test]
fn what_may_still_be_made_is_no_orphan_that_is_read() {
    let project = read_by_others("{from: lst, lines: true}");
    project.remove("etc/l");
    let run = project.run(&["build", "lst", "m", "n", "o"]).exits(exit::FAILED);
    assert_eq!(warnings(&run), [""; 0], "{run}");
    assert!(!project.run(&["plan"]).stdout.contains("orphan"));
}

#[test]
fn an_orphan_that_was_edited_is_the_users_own_also_once_a_step_has_read_it() {
    let project = read_by_others("{lines: etc/l}");
    project.write("etc/l", "x\n");
    for (file, left) in
        [("r/y.q", "remove  r/y.p, which n and another step read\n1 output would"), ("r/y.p", "0 outputs would")]
    {
        project.write(file, "my own work\n");
        // Who only looks says what a build then does.
        let planned = project.run(&["plan"]).stdout.matches("orphan   ").count();
        let run = project.run(&["build"]).exits(exit::DONE);
        assert_eq!(warnings(&run).len(), planned, "{run}");
        let listed = project.run(&["clean", "--orphans", "-n"]).stdout;
        assert!(listed.starts_with(left), "{listed}");
    }
    assert_eq!(warnings(&project.run(&["build"])), [""; 0]);
    project.run(&["clean", "--orphans", "--yes"]).exits(exit::DONE);
    assert!(project.exists("r/y.p") && project.exists("r/y.q"));
    project.build(&[]).assert_nothing_done();
}

#[test]
fn many_that_read_orphans_are_told_by_the_first_and_their_number() {
    let project = Project::new(
        "version: 1
targets:
  m: {rule: command, foreach: {k: {lines: l}}, run: \"echo {k} > {out}\", output: \"r/{k}.p\"}
  n: {rule: command, foreach: {i: [a, b, c, d, e, f, g, h, i, j, k, l]}, inputs: [r/y.p], run: \"cp {in} {out}\", output: \"n/{i}\"}
",
    );
    project.write("l", "x\ny\n");
    project.build(&[]);
    project.write("l", "x\n");
    let run = project.run(&["build"]).exits(exit::DONE);
    let told = warnings(&run);
    assert_eq!(
        (told.len(), told[10].as_str()),
        (11, "2 more steps read such files (layermill plan names them)"),
        "{run}"
    );
    assert_eq!(project.run(&["plan"]).stdout.matches("orphan   n@i=").count(), 12);
}

#[test]
fn an_orphan_that_a_step_reads_is_marked_before_it_goes() {
    let project = read_by_others("{lines: etc/l}");
    project.write("etc/l", "x\n");
    let list = "remove  r/y.p, which n and another step read\nremove  r/y.q, which o reads\n";
    for flag in ["-n", "--yes"] {
        let run = project.run(&["clean", "--orphans", flag]).exits(exit::DONE);
        assert!(run.stdout.starts_with(list), "{run}");
    }
    assert!(!project.exists("r/y.p"));
}

#[test]
fn an_output_that_its_step_has_no_more_is_an_orphan_that_is_read_before_that_is_made_again_too() {
    let project = Project::new(
        "version: 1
targets:
  two: {rule: command, run: \"echo 1 > {out.p}; echo 2 > {out.q}\", output: {p: r/p, q: r/q}}
  n: {rule: command, inputs: [r/q], run: \"cp {in} {out}\", output: r/n}
",
    );
    project.build(&[]);
    project.edit("q: r/q", "q: r/q2");
    let told = "n reads r/q, which two made and no step makes any more: a fresh checkout does not have it";
    for _ in 0..2 {
        assert!(project.run(&["plan"]).stdout.contains(&format!("orphan   {told}\n")));
        assert!(project.explain("n").contains(told));
        let listed = project.run(&["clean", "--orphans", "-n"]).stdout;
        assert_eq!(listed, "remove  r/q, which n reads\n1 output would be removed\n");
        assert_eq!(warnings(&project.run(&["build"]).exits(exit::DONE)), [told]);
    }
}

#[test]
fn a_list_that_no_step_makes_any_more_is_warned_of_until_it_is_edited() {
    let list = "  lst: {rule: command, run: \"echo x > {out}\", output: r/l.txt}\n";
    let project = Project::new(&format!(
        "version: 1
targets:
{list}  m: {{rule: command, foreach: {{k: {{lines: r/l.txt}}}}, run: \"echo {{k}} > {{out}}\", output: \"r/{{k}}.p\"}}
"
    ));
    project.build(&[]);
    project.edit(list, "");
    let told = "m reads r/l.txt, which lst made and no step makes any more: a fresh checkout does not have it";
    assert_eq!(warnings(&project.run(&["build"]).exits(exit::DONE)), [told]);
    assert!(project.run(&["plan"]).stdout.contains(&format!("orphan   {told}\n")));
    let listed = project.run(&["clean", "--orphans", "-n"]).stdout;
    assert!(listed.starts_with("remove  r/l.txt, which m reads\n"), "{listed}");
    project.write("r/l.txt", "x\ny\n");
    assert_eq!(warnings(&project.run(&["build"]).exits(exit::DONE)), [""; 0]);
}

#[test]
fn what_reads_an_orphan_is_warned_of_whatever_is_named_beside_it() {
    let project = Project::new(
        "version: 1
sources: {s: {kind: oci-layout, path: images}}
targets:
  repos: {rule: command, inputs: [etc/repos], run: \"cp {in} {out}\", output: r/repos}
  tags: {rule: tags, source: s, foreach: {repo: {lines: r/repos}}, output: \"r/tags/{repo}.json\", fresh: digest}
  img: {rule: layers, source: s, foreach: {tag: {from: tags, select: all}}, output: \"r/img/{repo}/{tag}.json\"}
  pin: {rule: command, inputs: [r/img/t/a/1.json], run: \"cat {in} > {out}\", output: r/pin}
  as: {rule: command, inputs: [etc/as], run: \"cp {in} {out}\", output: r/as}
  bs: {rule: command, inputs: [etc/bs], run: \"cp {in} {out}\", output: r/bs}
  ab: {rule: command, foreach: {a: {from: as, lines: true}, b: {from: bs, json: \"\"}}, run: \"echo {a} {b} > {out}\", output: \"r/ab/{a}{b}\"}
  two: {rule: command, inputs: [r/ab/xy], run: \"cat {in} > {out}\", output: r/two}
",
    );
    // `t` has no tag `a/1`, and `as` not the value `xy`, which an empty one of `bs` would make the path with.
    project.write("etc/repos", "t\nt/a\n");
    project.write("etc/as", "x\n");
    project.write("etc/bs", "[\"y\"]\n");
    let image = |name: &str| (name.to_owned(), stock::redis("7.4.1").manifest(Format::Oci));
    project.layout("images", &[image("t:1"), image("t/a:1"), image("t/a:2")]);
    project.build(&[]);
    fs::remove_dir_all(project.path("images")).expect("removed");
    project.layout("images", &[image("t:1"), image("t/a:2")]);
    project.write("etc/bs", "[\"z\"]\n");
    let of_pin = "pin reads r/img/t/a/1.json, which img@repo=t/a,tag=1 made and no step makes any more: a fresh checkout does not have it";
    let of_two =
        "two reads r/ab/xy, which ab@a=x,b=y made and no step makes any more: a fresh checkout does not have it";
    for (step, told) in [("pin", of_pin), ("two", of_two)] {
        for _ in 0..2 {
            assert_eq!(warnings(&project.run(&["build", step]).exits(exit::DONE)), [told]);
        }
        let told = format!("warning: {told}\n");
        let explained = project.explain(step);
        assert!(explained.contains(&told) && explained.contains("), which no step makes any more"), "{explained}");
    }
    assert_eq!(warnings(&project.run(&["build"]).exits(exit::DONE)), [of_pin, of_two]);
    // Who goes by the lists that are there plans so, too.
    for (step, told) in [("pin", of_pin), ("two", of_two)] {
        let plan = project.run(&["plan", "--offline", step]).exits(exit::DONE).stdout;
        assert!(plan.contains(&format!("orphan   {told}\n")), "{plan}");
    }
    assert!(!project.run(&["plan", "pin"]).exits(exit::DONE).stdout.contains("orphan"));
}

#[test]
fn a_first_output_that_was_edited_is_no_orphan_of_the_record_that_goes_on_beside_it() {
    let project = read_by_others("{lines: etc/l}");
    project.write("etc/l", "x\n");
    project.write("r/y.p", "my own work\n");
    project.build(&["n"]);
    // By the second further output, all records are gone through.
    project
        .edit("targets:", "targets:\n  w: {rule: command, run: \"touch {out.a} {out.b}\", output: {a: r/wa, b: r/wb}}");
    project.build(&["w"]);
    project.edit("b: r/wb", "b: r/wc");
    let listed = project.run(&["clean", "--orphans", "-n"]).exits(exit::DONE).stdout;
    assert_eq!(listed, "remove  r/wb\nremove  r/y.q, which o reads\n2 outputs would be removed\n");
    let run = project.run(&["build", "n"]).exits(exit::DONE);
    assert_eq!(warnings(&run), [""; 0], "{run}");
}

#[test]
fn an_orphan_in_a_folder_that_a_step_reads_is_warned_of_as_one_that_is_read_by_itself() {
    let project = Project::new(
        "version: 1
targets:
  gen: {rule: command, inputs: [etc/a], run: \"cp {in} {out.h}; cp {in} {out.c}\", output: {h: svc/a/gen.h, c: svc/a/src/gen.c}}
",
    );
    ["etc/a", "svc/a/main", "svc/ab/main"].iter().for_each(|file| project.write(file, "1\n"));
    project.build(&[]);
    // It is made elsewhere now, as who reads the folder is told to have it.
    project.edit(
        "{h: svc/a/gen.h, c: svc/a/src/gen.c}}\n",
        "{h: gen/gen.h, c: gen/gen.c}}
  pack: {rule: command, inputs: [svc/a, svc/a/src/gen.c, svc/ab, gen], run: \"ls -R svc > {out}\", output: r/pack}
",
    );
    let told = |more: &str, has: &str| {
        format!("pack reads {more}, which gen made and no step makes any more{has}: a fresh checkout does not have ")
    };
    let both = told("svc/a/gen.h", ", and another such file") + "them";
    for _ in 0..2 {
        let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
        assert!(plan.contains(&format!("orphan   {both}\n           help: ")), "{plan}");
        assert!(project.explain("pack").contains(&format!("warning: {both}\n")));
        let listed = project.run(&["clean", "--orphans", "-n"]).stdout;
        let list = "remove  svc/a/gen.h, which pack reads\nremove  svc/a/src/gen.c, which pack reads\n";
        assert!(listed.starts_with(list), "{listed}");
        assert_eq!(warnings(&project.run(&["build"]).exits(exit::DONE)), [both.as_str()]);
    }
    project.write("svc/a/gen.h", "my own work\n");
    let one = told("svc/a/src/gen.c", "") + "it";
    assert_eq!(warnings(&project.run(&["build"]).exits(exit::DONE)), [one.as_str()]);
    project.run(&["clean", "--orphans", "--yes"]).exits(exit::DONE);
    assert!(project.exists("svc/a/gen.h") && !project.exists("svc/a/src/gen.c"));
    project.edit("svc/a/src/gen.c, ", "");
    assert_eq!(warnings(&project.run(&["build"]).exits(exit::DONE)), [""; 0]);
}

#[test]
fn a_group_that_names_an_orphan_which_no_step_reads_is_warned_of() {
    let project = Project::new(
        "version: 1
default: [release]
targets:
  lst: {rule: command, inputs: [etc/l], run: \"cp {in} {out}\", output: r/lst}
  conf: {rule: command, foreach: {k: {lines: r/lst}}, run: \"echo {k} > {out}\", output: \"r/{k}.y\"}
  release: {inputs: [r/a.y, r/b.y]}
  also: {inputs: [release]}
",
    );
    project.write("etc/l", "a\nb\n");
    assert_eq!(warnings(&project.run(&["build"]).exits(exit::DONE)), [""; 0]);
    project.write("etc/l", "a\n");
    let told = "release names r/b.y, which conf@k=b made and no step makes any more: a fresh checkout does not have it";
    for _ in 0..2 {
        assert_eq!(warnings(&project.run(&["build"]).exits(exit::DONE)), [told]);
    }
    assert!(project.run(&["plan"]).exits(exit::DONE).stdout.contains(&format!("orphan   {told}\n")));
    assert!(project.explain("release").contains(&format!("warning: {told}\n")));
    let listed = || project.run(&["clean", "--orphans", "-n"]).stdout;
    assert_eq!(listed(), "remove  r/b.y, which release and another group name\n1 output would be removed\n");
    // Of a step that reads it, it is told by that.
    project.edit(
        "  also: {inputs: [release]}",
        "  n: {rule: command, inputs: [release], run: \"ls r > {out}\", output: n}",
    );
    project.edit("default: [release]", "default: [release, n]");
    assert_eq!(warnings(&project.run(&["build"]).exits(exit::DONE)), [told.replace("release names", "n reads")]);
    assert_eq!(listed(), "remove  r/b.y, which n reads\n1 output would be removed\n");
}

#[test]
fn a_file_that_a_step_names_twice_is_told_of_once() {
    let project = Project::new(
        "version: 1
targets:
  m: {rule: command, foreach: {k: {lines: etc/l}}, inputs: [etc/n], run: \"cp {in} {out}\", output: \"r/{k}\"}
  rel: {inputs: [r/x, r/y]}
  pub: {rule: command, inputs: {main: r/y, all: rel}, run: \"cat {in} > {out}\", output: r/pub}
",
    );
    project.write("etc/n", "1\n");
    project.write("etc/l", "x\ny\n");
    project.build(&[]);
    project.write("etc/l", "x\n");
    let told = "pub reads r/y, which m@k=y made and no step makes any more: a fresh checkout does not have it";
    assert_eq!(warnings(&project.run(&["build"]).exits(exit::DONE)), [told]);
    project.run(&["clean", "--orphans", "--yes"]).exits(exit::DONE);
    let report = project.build_exits(exit::FAILED, &["pub"]);
    assert_eq!(report.step("pub").message.as_deref(), Some("the input r/y is missing"));
}

#[test]
fn an_orphan_that_a_depfile_names_or_a_list_holds_is_warned_of_alike_by_build_plan_and_explain() {
    let project = Project::new(
        "version: 1
targets:
  lst: {rule: command, inputs: [etc/l], run: \"cp {in} {out}\", output: r/lst}
  per: {rule: command, foreach: {k: {lines: r/lst}}, run: \"echo {k} > {out}\", output: \"r/per/{k}\"}
  gen: {rule: command, inputs: [etc/l], run: \"cp {in} {out}\", output: docs/gen.md}
",
    );
    project.write("etc/l", "a\n");
    project.write("docs/intro.md", "i\n");
    project.build(&[]);
    project.edit("output: r/lst", "output: r/list");
    project.edit("output: docs/gen.md", "output: r/gen.md");
    let more = "  html: {rule: command, foreach: {f: {glob: \"docs/*.md\"}}, run: \"echo {f} > {out}\", output: \"r/html/{f}\"}
  dep: {rule: command, run: \"cat docs/gen.md > {out}; echo 'x: docs/gen.md' > {out}.d\", depfile: \"{out}.d\", output: r/dep}
  depf: {rule: command, run: \"cat docs/* > {out}; echo 'x: docs' > {out}.d\", depfile: \"{out}.d\", output: r/depf}
";
    project.write("pipeline.yaml", project.read("pipeline.yaml") + more);
    project.build(&[]);
    let of = |reader: &str, file: &str, made_by: &str| {
        format!(
            "{reader} reads {file}, which {made_by} made and no step makes any more: a fresh checkout does not have it"
        )
    };
    let mut told = [
        of("per", "r/lst", "lst"),
        of("html", "docs/gen.md", "gen"),
        of("dep", "docs/gen.md", "gen"),
        of("depf", "docs/gen.md", "gen"),
    ];
    told.sort();
    let mut warned = warnings(&project.run(&["build"]).exits(exit::DONE));
    warned.sort();
    assert_eq!(warned, told);
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert!(told.iter().all(|line| plan.contains(&format!("orphan   {line}\n"))), "{plan}");
    for (step, line) in [
        ("per@k=a", of("per@k=a", "r/lst", "lst")),
        ("html@f=docs/gen.md", of("html@f=docs/gen.md", "docs/gen.md", "gen")),
        ("dep", of("dep", "docs/gen.md", "gen")),
        ("depf", of("depf", "docs/gen.md", "gen")),
    ] {
        let explained = project.explain(step);
        assert!(explained.contains(&format!("warning: {line}\n")), "{explained}");
    }
    assert!(!project.explain("html@f=docs/intro.md").contains("warning"));
}

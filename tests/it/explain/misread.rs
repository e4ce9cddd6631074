//! What is told of a target that cannot read its values out of what a step made.

use super::assert_says;
use crate::support::project::Project;
use crate::support::words::{exit, outcome};

const MISREAD: &str = "{t} cannot be read out of r/m.csv, which lst made: no column `taem`; there is `name`, `team`";

/// Two readers of one list, a group of them, and what needs one, the other or both.
fn two_readers() -> Project {
    let project = Project::new(
        "version: 1
targets:
  lst: {rule: command, inputs: [etc/m.csv], run: \"cp {in} {out}\", output: r/m.csv}
  per: {rule: command, foreach: {n: {csv: r/m.csv, column: name}}, run: \"echo {n} > {out}\", output: \"r/per/{n}\"}
  team: {rule: command, foreach: {t: {csv: r/m.csv, column: taem}}, run: \"echo {t} > {out}\", output: \"r/team/{t}\"}
  sub: {rule: command, foreach: {u: {from: team, lines: true}}, run: \"echo {u} > {out}\", output: \"r/sub/{t}-{u}\"}
  use: {rule: command, inputs: [r/m.csv], run: \"cp {in} {out}\", output: r/use}
  sum: {rule: command, inputs: [per], run: \"cat {in} > {out}\", output: r/sum}
  both: {inputs: [per, team]}
  rep: {rule: command, inputs: [both], run: \"cat {in} > {out}\", output: r/rep}
  aft: {rule: command, after: [team], inputs: [r/m.csv], run: \"cp {in} {out}\", output: r/aft}
  pth: {rule: command, inputs: [r/team/x], run: \"cp {in} {out}\", output: r/pth}
  part: {rule: command, cache: false, inputs: [{target: team, partial: true}], run: \"cat /dev/null {in} > {out}\", output: r/part}
",
    );
    project.write("etc/m.csv", "name,team\na,x\nb,y\n");
    project
}

#[test]
fn a_target_that_misreads_a_list_fails_and_what_made_the_list_and_its_other_readers_do_not() {
    let project = two_readers();
    let blocked = ["aft", "pth", "rep", "sub"];
    for _ in 0..2 {
        let built = project.build_exits(exit::FAILED, &[]);
        assert_says(&built.stderr, &[&format!("failed team: {MISREAD}\n  4 steps wait for it\n")]);
        for step in blocked {
            assert_eq!(built.step(step).outcome, outcome::BLOCKED, "{}", built.listing());
        }
        assert_eq!(built.step("team").outcome, outcome::FAILED);
        assert!(["per@n=a", "per@n=b", "use", "sum"].iter().all(|made| !built.stderr.contains(&format!("{made} ("))));
        // It is told alike without a build.
        let plan = project.run(&["plan", "-v"]).exits(exit::DONE).stdout;
        assert_says(
            &plan,
            &[
                &format!("failed   team  {MISREAD}\n"),
                "blocked  rep  team (first build)\n",
                "blocked  pth  team (first build)\n",
                "blocked  aft  team (first build)\n",
                "blocked  sub  its values are read out of team, which failed\n",
                "more     sub  its steps cannot be told: team failed\n",
                "0 to run, 6 up to date, 0 absent, 5 cannot be made\n",
            ],
        );
        assert!(!plan.contains("told once"), "{plan}");
        let status = project.run(&["status"]).stdout;
        assert_says(
            &status,
            &[
                "lst              1      0        0       0       0        0         0\n",
                "per              2      0        0       0       0        0         0\n",
                "team             0      0        0       0       1        0         0\n",
                "sub              0      0        0       0       0        1         0  its steps cannot be told: team failed\n",
                "rep              0      0        0       0       0        1         0\n",
            ],
        );
    }
    assert_says(&project.explain("lst"), &["lst: up to date\n", &format!("note      team fails: {MISREAD}\n")]);
    let told = [&format!("says      {MISREAD}\n"), "out of    lst\n", "again if  a build comes once what is at fault"];
    assert_says(&project.explain("team"), &[&["team: failed\n"], &told[..]].concat());
    let since = format!("since     team: {MISREAD}\n");
    let more = format!("more      team: its steps cannot be told: {MISREAD} (r/team/x)\n");
    assert_says(&project.explain("pth"), &["pth: blocked\n", "blocked by team\n", &since, &more]);
    assert_says(&project.explain("rep"), &["rep: blocked\n", "blocked by team\n", &since]);
    assert_says(&project.explain("sub"), &["sub: blocked\n", "blocked by team\n", &since, "out of    team\n"]);
    let pending = format!("says      its steps cannot be told: {MISREAD}\n");
    for asked in ["team@t=x", "r/team/x"] {
        assert_says(&project.explain(asked), &["team@t=x: pending\n", &pending]);
        project.run(&["build", asked]).exits(exit::FAILED).says(&format!("failed team: {MISREAD}"));
        project.run(&["build", "--offline", asked]).exits(exit::FAILED).says(&format!("failed team: {MISREAD}"));
        assert_says(&project.run(&["plan", asked]).exits(exit::DONE).stdout, &[&format!("failed   team  {MISREAD}\n")]);
    }
    project.run(&["build", "per", "use"]).exits(exit::DONE);
}

#[test]
fn once_a_target_reads_its_list_again_its_steps_and_what_needs_them_are_built_and_nothing_else() {
    let project = two_readers();
    project.edit("taem", "team");
    project.build(&[]);
    project.edit("team}}", "taem}}");
    // What it made stays, as it may be told again, and what the other reader lost is an orphan.
    project.write("etc/m.csv", "name,team\na,x\nc,z\n");
    project.build_exits(exit::FAILED, &[]);
    assert_says(&project.explain("per@n=b"), &["per@n=b: orphan\n"]);
    assert_says(&project.explain("rep"), &["rep: blocked\n", "new input: r/per/c\n"]);
    assert!(!project.explain("rep").contains("gone: r/team"), "what is not told is not gone");
    let pending = format!("says      its steps cannot be told: {MISREAD}\n");
    assert_says(&project.explain("team@t=x"), &["team@t=x: pending\n", &pending, "last made first build\n"]);
    assert_says(&project.explain("r/sub/x-x"), &["its steps cannot be told: team: ", MISREAD]);
    let orphans = project.run(&["clean", "--orphans", "-n"]).exits(exit::DONE).stdout;
    let keep = format!("keep    what team may make: its steps cannot be told: {MISREAD}\n");
    assert_says(&orphans, &["remove  r/per/b\n", &keep, "1 output would be removed"]);
    project.edit("taem", "team");
    let left_out = "left out before, since team@t=x failed";
    assert_says(&project.run(&["plan", "-v"]).stdout, &["run      team@t=z  first build\n", left_out]);
    let built = project.build(&[]);
    built.assert_only(&["aft", "part", "rep", "sub@t=z,u=z", "team@t=z"]);
    project.build(&[]).assert_nothing_done();
    assert_says(&project.explain("team@t=y"), &["team@t=y: orphan\n"]);
}

#[test]
fn what_is_read_out_of_other_steps_goes_on_beside_a_row_that_is_misread() {
    let project = Project::new(
        "version: 1
targets:
  src: {rule: command, foreach: {k: [one, two]}, inputs: [\"etc/{k}\"], run: \"cp {in} {out}\", output: \"r/src/{k}\"}
  row: {rule: command, foreach: {v: {from: src, json: /l}}, run: \"echo {v} > {out}\", output: \"r/row/{k}/{v}\"}
  of: {rule: command, foreach: {k: [one, two]}, inputs: [row], run: \"cat {in} > {out}\", output: \"r/of/{k}\"}
  all: {rule: command, inputs: [row], run: \"cat {in} > {out}\", output: r/all}
  num: {rule: command, inputs: [etc/num], run: \"cp {in} {out}\", output: r/num}
  prod: {rule: command, foreach: {n: {from: num, lines: true}, v: {from: src, json: /l}}, run: \"echo > {out}\", output: \"r/prod/{n}-{k}-{v}\"}
  end: {rule: command, inputs: [prod], run: \"cat {in} > {out}\", output: r/end}
",
    );
    project.write("etc/one", "{\"l\": [\"p\", \"q\"]}");
    project.write("etc/two", "{\"m\": [\"r\"]}");
    project.write("etc/num", "1\n");
    let why = "{v} cannot be read out of r/src/two, which src@k=two made: nothing is at `/l`";
    let built = project.build_exits(exit::FAILED, &[]);
    let outcomes = |step: &str| built.step(step).outcome.clone();
    assert_says(&built.stderr, &[&format!("failed row@k=two: {why}\n"), &format!("failed prod@k=two: {why}\n")]);
    assert_eq!(
        ["row@k=one,v=p", "row@k=one,v=q", "of@k=one", "prod@n=1,k=one,v=q"].map(outcomes),
        [outcome::BUILT; 4].map(str::to_owned)
    );
    assert_eq!(["of@k=two", "all", "end"].map(outcomes), [outcome::BLOCKED; 3].map(str::to_owned));
    let plan = project.run(&["plan", "-v"]).stdout;
    assert_says(
        &plan,
        &[&format!("failed   row@k=two  {why}\n"), "blocked  of@k=two  row@k=two", "blocked  all  row@k=two"],
    );
    assert_says(&project.explain("row@k=two,v=r"), &["row@k=two,v=r: pending\n", why]);
    // Who asks for the others alone does not come upon it.
    for asked in ["row@k=one", "of@k=one", "r/row/one/q"] {
        project.run(&["build", asked]).exits(exit::DONE);
    }
    project.write("etc/two", "{\"l\": [\"r\"]}");
    project.build(&[]);
    project.build(&[]).assert_nothing_done();
}

#[test]
fn a_list_that_is_made_in_each_build_is_told_to_be_misread_as_of_the_last() {
    let project = two_readers();
    project.edit("lst: {rule: command,", "lst: {rule: command, fresh: always,");
    project.build_exits(exit::FAILED, &[]);
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    let told = ["run      lst  freshness: always\n", &format!("failed?  team  {MISREAD}\n"), "blocked? rep  team "];
    assert_says(&plan, &told);
    assert_says(&project.explain("lst"), &["lst: stale\n", &format!("note      team may fail: {MISREAD}\n")]);
    // Where it is made otherwise, what it will have is not known.
    project.edit("inputs: [etc/m.csv]", "inputs: [etc/n.csv]");
    project.write("etc/n.csv", "taem\nx\n");
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["more     team  its steps are told once lst is built\n"]);
    assert!(!plan.contains("cannot be read"), "{plan}");
}

#[test]
fn many_rows_that_are_misread_alike_are_told_as_one_failure() {
    let project = Project::new(
        "version: 1
targets:
  src: {rule: command, foreach: {k: {lines: etc/n}}, run: \"echo '[]' > {out}\", output: \"r/src/{k}\"}
  row: {rule: command, foreach: {v: {from: src, json: /l}}, run: \"echo {v} > {out}\", output: \"r/row/{k}/{v}\"}
  all: {rule: command, inputs: [row], run: \"cat {in} > {out}\", output: r/all}
",
    );
    // Those that are made last stand first all the same.
    project.edit("run: \"echo '[]' > {out}\"", "run: \"test {k} -gt 12 || sleep 0.1; echo '[]' > {out}\"");
    project.write("etc/n", (10..30).map(|n| format!("{n}\n")).collect::<String>());
    let told = "failed 20 steps: {v} cannot be read out of r/src/{k}, which src made: nothing is at `/l`
  row@k=10, row@k=11, row@k=12 and 17 more
  1 step waits for them
";
    let built = project.build_exits(exit::FAILED, &[]);
    assert_says(&built.stderr, &[told]);
    assert_eq!((built.failed, built.blocked), (20, 1));
}

#[test]
fn what_reads_steps_behind_a_list_that_cannot_be_read_is_told_so_with_what_its_last_run_read() {
    let project = Project::new(
        "version: 1
targets:
  scan: {rule: command, inputs: [etc/m.csv], run: \"cp {in} {out}\", output: r/m.csv}
  deps: {rule: command, foreach: {p: {csv: r/m.csv, column: name}}, run: \"echo z > {out}\", output: \"r/deps/{p}.lst\"}
  lib: {rule: command, foreach: {d: {from: deps, lines: true}}, run: \"echo {d} > {out}\", output: \"r/lib/{p}/{d}.a\"}
  far: {rule: command, foreach: {e: {from: lib, lines: true}}, run: \"echo {e} > {out}\", output: \"r/far/{p}/{d}-{e}\"}
  img: {rule: command, foreach: {p: [core]}, inputs: {l: lib, f: far}, run: \"cat {in.l} {in.f} > {out}\", output: \"r/img/{p}\"}
  path: {rule: command, inputs: [r/lib/core/z.a, r/deps/core.lst], run: \"cat {in} > {out}\", output: r/path}
",
    );
    project.write("etc/m.csv", "name\ncore\nui\n");
    project.build(&[]);
    project.edit("column: name", "column: nmae");
    let misread = "{p} cannot be read out of r/m.csv, which scan made: no column `nmae`; there is `name`";
    let more = |target: &str| format!("  more      {target}: its steps cannot be told: deps failed (");
    for build in [false, true] {
        if build {
            project.build_exits(exit::FAILED, &[]);
        }
        let img = project.explain("img@p=core");
        assert_says(&img, &["img@p=core: blocked\n", &more("lib"), &more("far")]);
        assert_says(&img, &["  input     {in.l} r/lib/core/z.a (", ") of lib@p=core,d=z, pending\n"]);
        assert_says(&img, &["  input     {in.f} r/far/core/z-z (", ") of far@p=core,d=z,e=z, pending\n"]);
        let path = project.explain("path");
        let own = format!("  more      deps: its steps cannot be told: {misread} (r/deps/core.lst)\n");
        assert_says(&path, &["path: blocked\n", &more("lib"), &own, ") of lib@p=core,d=z, pending\n"]);
        assert!(!img.contains("none, since") && !path.contains("none, since"), "{img}{path}");
    }
    project.edit("column: nmae", "column: name");
    project.build(&[]).assert_nothing_done();
}

//! An output that no step makes any more is told as that of the step that made it, with how that last fared.

use super::assert_says;
use crate::support::images::Format;
use crate::support::project::Project;
use crate::support::stock;
use crate::support::words::exit;

#[test]
fn an_output_whose_pattern_was_edited_is_told_as_that_of_the_step_that_made_it_and_why_none_does_now() {
    let project = Project::new(
        "version: 1
targets:
  img: {rule: command, run: \"echo arm > {out}\", output: r/img/arm.json}
  rep: {rule: command, foreach: {team: [web]}, run: \"echo hi > {out}\", output: \"r/rep/{team}/all.txt\"}
  l: {rule: command, foreach: {repo: [team/app]}, run: \"echo {repo} > {out}\", output: \"r/l/{repo}.json\"}
",
    );
    project.build(&[]);
    project.edit("{rule: command, run: \"echo arm", "{rule: command, foreach: {p: [x]}, run: \"echo arm");
    project.edit("r/img/arm.json", "\"r/img/{p}.json\"");
    project.edit("team: [web]", "month: [jan, feb], team: [web]");
    project.edit("all.txt", "{month}.txt");
    project.edit("repo: [team/app]", "repo: [team/app], tag: [v1]");
    project.edit("r/l/{repo}", "r/l/{repo}/{tag}");
    let orphans = [
        ("r/img/arm.json", "img", "the output of img was r/img/arm.json, and is r/img/{p}.json now"),
        ("r/rep/web/all.txt", "rep@team=web", "rep was r/rep/{team}/all.txt, and is r/rep/{team}/{month}.txt now"),
        ("r/l/team/app.json", "l@repo=team/app", "l was r/l/{repo}.json, and is r/l/{repo}/{tag}.json now"),
    ];
    let told = || {
        for (path, step, why) in orphans {
            let explained = project.explain(path);
            let made_by = format!("made by   {step}\n");
            assert_says(&explained, &[&format!("{path}: orphan\n"), "no step makes it any more: ", why, &made_by]);
            assert!(!explained.contains("month     ") && !explained.contains("tag       "), "{explained}");
        }
        let never = ["img@p=arm", "rep@team=web,month=all", "rep@month=all", "l@repo=team,tag=app"];
        for step in never {
            let run = project.run(&["explain", step]).exits(exit::WRONG).says("no step ");
            assert!(!run.stdout.contains("orphan") && !run.stderr.contains("was made before"), "{run}");
        }
    };
    told();
    project.build(&[]);
    told();
    // A step of now that comes to have what another one made says which that was.
    project.edit("month: [jan, feb]", "month: [jan, all]");
    project.build(&["rep"]).assert_nothing_done();
    let step = "rep@month=all,team=web";
    assert_says(&project.explain("r/rep/web/all.txt"), &[&format!("{step}: up to date\n"), "made by   rep@team=web\n"]);
    assert!(!project.explain("r/rep/web/jan.txt").contains("made by"));
    // Where the target is gone, and another one has such paths.
    project.edit("  l: ", "  m: ");
    let gone = "no step makes it any more: there is no target l, which made it";
    assert_says(&project.explain("r/l/team/app.json"), &[gone, "made by   l@repo=team/app\n", "repo      team/app\n"]);
}

#[test]
fn how_a_step_failed_is_told_also_once_its_value_left_the_list() {
    let project = Project::new(
        "version: 1
targets:
  m: {rule: command, foreach: {k: {lines: l}}, inputs: [\"etc/{k}\"], run: \"cat {in}; ! grep bad {in} && cp {in} {out}\", output: \"r/{k}\"}
",
    );
    project.write("l", "x\ny\n");
    ["etc/x", "etc/y"].iter().for_each(|file| project.write(file, "1\n"));
    project.build(&[]);
    project.write("etc/y", "bad\n");
    project.build_exits(exit::FAILED, &[]);
    project.write("l", "x\n");
    project.build(&[]);
    for asked in ["r/y", "m@k=y"] {
        let told = project.explain(asked);
        let ran = "            it ran because: changed input: etc/y, from ";
        assert_says(&told, &["m@k=y: orphan\n", "\n  failed    ", ": the command failed: exit status: 1\n", ran]);
        assert_says(&told, &["            what was made before stands\n", " (by the run that failed)\n"]);
    }
}

#[test]
fn a_value_that_its_list_has_no_more_may_come_back_with_that_while_it_is_to_be_made_again() {
    let project = Project::new(
        "version: 1
targets:
  l: {rule: command, inputs: [l.txt], run: \"cp {in} {out}\", output: r/l}
  own: {rule: command, foreach: {n: {lines: r/l}}, run: \"echo {n} > {out}\", output: \"r/own/{n}\"}
",
    );
    let gone = "no step makes it any more: ops is not in what l makes now";
    project.write("l.txt", "core\nops\n");
    project.build(&[]);
    project.write("l.txt", "core\n");
    project.build(&[]);
    assert_says(&project.explain("own@n=ops"), &["own@n=ops: orphan\n", &format!("{gone}\n")]);
    let told = |standing: &str, help: &str| {
        for asked in ["own@n=ops", "r/own/ops"] {
            let told = project.explain(asked);
            let says = format!("says      {gone}, as of the last build of l: it is {standing} (");
            let back = "again if  ops is in what l makes again: it is a step again then, and is made if something of it changed\n";
            let leaves = "help      `layermill clean --orphans` leaves it, since l may have it again; ";
            assert_says(&told, &["own@n=ops: orphan\n", &says, &format!("{leaves}{help}"), back]);
            assert_eq!(told.matches("again if").count(), 1, "{told}");
        }
        let own = project.explain("own");
        assert!(own.contains("own@n=core: ") && !own.contains("ops"), "{own}");
        project.run(&["clean", "--orphans", "--yes"]).exits(exit::DONE);
        assert!(project.exists("r/own/ops"));
    };
    project.write("l.txt", "core\n\n");
    told("stale", "`layermill build l` builds that\n");
    // What cannot be made has it no more either.
    project.remove("l.txt");
    assert_says(&project.explain("own@n=ops"), &["own@n=ops: orphan\n", ", as of the last build of l: it failed ("]);
    project.write("l.txt", "ops\ncore\n");
    told("stale", "`layermill build l` builds that\n");
    project.build(&[]);
    assert_says(&project.explain("own@n=ops"), &["own@n=ops: up to date\n"]);
}

#[test]
fn a_steps_name_is_taken_as_it_was_when_its_target_is_gone_or_goes_by_another() {
    let project = Project::new(
        "version: 1
targets:
  list: {rule: command, inputs: [etc/l], run: \"cp {in} {out}\", output: r/list}
  layers: {rule: command, foreach: {n: {from: list, lines: true}}, run: \"echo {n} > {out}\", output: \"r/n/{n}\"}
  extra: {rule: command, run: \"echo > {out}\", output: r/extra}
",
    );
    project.write("etc/l", "a\nb\n");
    project.build(&[]);
    project.edit("  layers:", "  fresh_ones:");
    project.edit("  extra: {rule: command, run: \"echo > {out}\", output: r/extra}\n", "");
    project.write("etc/l", "a\n");
    project.build(&[]);
    // As `made by` tells it, of what is an orphan now, a step of another target, or no target's at all.
    assert_says(&project.explain("r/n/b"), &["fresh_ones@n=b: orphan\n", "made by   layers@n=b\n"]);
    assert_eq!(project.explain("layers@n=b"), project.explain("r/n/b"));
    assert_eq!(project.explain("layers@n=a"), project.explain("r/n/a"));
    assert_says(&project.explain("layers@n=a"), &["fresh_ones@n=a: up to date\n"]);
    assert_says(&project.explain("r/extra"), &["r/extra: orphan\n", "made by   extra\n"]);
    assert_eq!(project.explain("extra"), project.explain("r/extra"));
    project.run(&["build", "layers@n=a"]).exits(exit::DONE);
    project.run(&["explain", "layers@n=c"]).exits(exit::WRONG).says("no target, step or output `layers@n=c`");
}

#[test]
fn an_output_of_a_target_that_is_gone_or_renamed_is_not_laid_to_another() {
    let project = Project::new(
        "version: 1
targets:
  names: {rule: command, run: \"printf 'm\\nn\\n' > {out}\", output: names}
  web: {rule: command, foreach: {x: [a, b]}, run: \"echo {x} > {out}\", output: \"r/{x}.txt\"}
  job: {rule: command, foreach: {x: {from: names, lines: true}}, run: \"echo job {x} > {out}\", output: \"r/{x}.txt\"}
",
    );
    project.build(&[]);
    let says = |lacks: &str| {
        format!("no step makes it any more: job, which made it, is no target now, and m is not in {lacks} now\n")
    };
    // By another name, it has one value less.
    project.edit("  job:", "  jobs:");
    project.edit("'m\\n", "'");
    project.build(&[]);
    assert_says(&project.explain("r/m.txt"), &["jobs@x=m: orphan\n", &says("what names makes"), "made by   job@x=m\n"]);
    let rest = project.read("pipeline.yaml");
    project.write("pipeline.yaml", &rest[..rest.find("  jobs:").expect("there")]);
    assert_says(
        &project.explain("r/m.txt"),
        &[": orphan\n", &says("the list of `x` in the pipeline file"), "made by   job@x=m\n"],
    );
}

#[test]
fn what_clean_does_with_an_output_that_its_step_has_no_more_is_told_of_that_one() {
    let project = Project::new(
        "version: 1
targets:
  two: {rule: command, inputs: [./in], run: \"cat {in} > r/one; cat {in} > r/day\", output: [r/one, r/day]}
",
    );
    project.write("in", "1\n");
    project.build(&[]);
    project.edit("[r/one, r/day]", "[r/one]");
    project.remove("r/one");
    assert_says(&project.explain("r/day"), &["r/day: orphan\n", "help      `layermill clean --orphans` removes it, "]);
    assert_says(&project.run(&["clean", "--orphans", "-n"]).stdout, &["remove  r/day\n"]);
}

#[test]
fn a_path_that_may_be_read_in_several_ways_is_told_as_the_step_that_made_it_while_its_list_is_to_be_asked_again() {
    let project = Project::new(
        "version: 1
sources: {shelf: {kind: oci-layout, path: images}}
targets:
  t: {rule: tags, source: shelf, foreach: {name: [my, my-app]}, repo: \"co/{name}\", output: \"t/{name}.json\"}
  l: {rule: layers, source: shelf, foreach: {tag: {from: t, select: all}}, repo: \"co/{name}\", output: \"l/{name}-{tag}.json\"}
  m: {rule: layers, source: shelf, foreach: {tag: {from: t, select: all}}, repo: \"co/{name}\", platform: all, output: \"m/{name}/{tag}/{platform}.json\"}
  one: {rule: command, inputs: [l/my-app-1.json], run: \"cp {in} {out}\", output: one}
",
    );
    let shelve = |images: &[&str]| {
        let image = |name: &&str| (format!("co/{name}"), stock::redis("7").manifest(Format::Oci));
        project.layout("images", &images.iter().map(image).collect::<Vec<_>>());
    };
    shelve(&["my:2", "my-app:1", "my-app:2"]);
    project.build(&[]);
    // Of a file that is lost, the list is told that has its value.
    project.edit("output: \"t/", "omit: [old], output: \"t/");
    project.remove("l/my-app-1.json");
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["l/my-app-1.json may be missing: 1 may not be in what t@name=my-app makes)"]);
    project.build(&[]);
    shelve(&["my:2", "my-app:2"]);
    project.build(&["t", "--refresh"]);
    let orphans = [
        ("l/my-app-1.json", "l@name=my-app,tag=1"),
        ("m/my-app/1/linux/amd64.json", "m@name=my-app,tag=1,platform=linux/amd64"),
    ];
    let assert_told = |again: &str| {
        for (path, step) in orphans {
            let told = project.explain(path);
            assert_says(&told, &[&format!("{step}: orphan\n"), &format!("made by   {step}\n"), again]);
            assert!(
                !told.contains("neither its path") && !told.contains("app-1 ") && !told.contains("1/linux "),
                "{told}"
            );
            assert_eq!(told, project.explain(step));
        }
    };
    assert_told("again if  ");
    project.edit("omit: [old]", "omit: [older]");
    assert_told("again if  1 is in what t@name=my-app makes again: ");
}

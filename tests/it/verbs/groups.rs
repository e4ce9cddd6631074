//! A group stands for what it names wherever a target may stand.

use super::*;

/// A group of a target and of one step of another, by its path, in another group.
fn grouped() -> Project {
    let project = Project::new(
        "version: 1
targets:
  note: {rule: command, inputs: [text.txt], run: \"cp {in} {out}\", output: r/note}
  part: {rule: command, foreach: {n: [1, 2]}, inputs: [text.txt], run: \"(cat {in}; echo {n}) > {out}\", output: \"r/part/{n}\"}
  inner: {inputs: [r/part/1, text.txt]}
  release: {inputs: [note, inner]}
  pub: {rule: command, inputs: [release], run: \"cat {in} > {out}\", output: r/pub}
",
    );
    project.write("text.txt", "text\n");
    project
}

const MEMBERS: [&str; 2] = ["note", "part@n=1"];

#[test]
fn verify_reads_and_mends_what_a_group_names() {
    let project = grouped();
    project.build(&[]);
    ["r/note", "r/part/1", "r/part/2"].iter().for_each(|file| project.write(file, "damaged\n"));
    let run = project.run(&["verify", "release"]).exits(exit::FAILED);
    assert!(run.stdout.contains("damaged  r/note\n") && run.stdout.contains("damaged  r/part/1\n"), "{run}");
    assert!(run.stdout.contains("2 outputs and 0 blobs read, 2 damaged\n"), "{run}");
    let run = project.run(&["verify", "--repair", "release"]).exits(exit::DONE);
    assert!(run.stdout.contains("2 were damaged and are mended"), "{run}");
    assert_eq!(["r/note", "r/part/1", "r/part/2"].map(|file| project.read(file)), ["text\n", "text\n1\n", "damaged\n"]);
    assert_eq!(
        project.run(&["verify", "inner"]).exits(exit::DONE).stdout,
        "1 output and 0 blobs read, none is damaged\n"
    );
}

#[test]
fn clean_removes_what_a_group_names() {
    let project = grouped();
    project.build(&["release", "part"]);
    let run = project.run(&["clean", "-n", "release"]).exits(exit::DONE);
    assert_eq!(run.stdout, "remove  r/note\nremove  r/part/1\n2 outputs would be removed\n");
    project.run(&["clean", "release"]).exits(exit::DONE);
    let left = ["r/note", "r/part/1", "r/part/2", "text.txt"].map(|file| project.exists(file));
    assert_eq!(left, [false, false, true, true]);
}

#[test]
fn force_makes_again_what_a_group_names() {
    let project = grouped();
    project.build(&[]);
    for asked in [&["--force=release", "release"][..], &["--force=release", "note", "part"]] {
        project.plan(asked).assert_only(&MEMBERS);
        let built = project.build(asked);
        built.assert_only(&MEMBERS);
        assert_eq!(built.step("part@n=1").reason(), "forced by hand");
    }
    project.build(&["--force=inner", "part"]).assert_only(&MEMBERS[1..]);
    project.edit("targets:\n", "targets:\n  files: {inputs: [text.txt]}\n");
    let run = project.run(&["plan", "--force=files", "files", "note"]).exits(exit::DONE);
    assert!(run.stdout.contains("`--force=files` does nothing: no step makes what it names"), "{run}");
    let run = project.run(&["plan", "--force=inner", "note"]).exits(exit::DONE);
    assert!(run.stdout.contains("`--force=inner` does nothing: it is not among what is built"), "{run}");
}

#[test]
fn refresh_asks_again_for_what_a_group_names() {
    let project = images();
    project.edit(
        "targets:\n",
        "targets:\n  all: {inputs: [get_tag]}\n  one: {inputs: [result/tags/library/redis.json]}\n",
    );
    project.build(&[]);
    let redis = ["get_tag@repo=library/redis"];
    for (asked, asks) in
        [(&["get_tag", "--refresh=all"][..], 2), (&["all", "--refresh=all"], 2), (&["get_tag", "--refresh=one"], 1)]
    {
        let plan = project.plan(asked);
        assert_eq!(plan.of("get_tag").len(), asks, "{asked:?}: {}", plan.listing());
        assert!(plan.of("get_tag").ends_with(&redis), "{}", plan.listing());
    }
    let run = project.run(&["plan", "--refresh=all", "get_layer_latest"]).exits(exit::DONE);
    assert!(!run.stdout.contains("does nothing"), "{run}");
}

#[test]
fn the_other_verbs_take_a_group_for_what_it_names() {
    let project = grouped();
    ["r/note", "r/part/1", "r/part/2"].iter().for_each(|file| project.write(file, "by hand\n"));
    let run = project.run(&["adopt", "release"]).exits(exit::DONE);
    assert_eq!(run.stdout, "adopted note\nadopted part@n=1\nadopted 2, up to date 0, still to run 0\n");
    project.build(&["release"]).assert_nothing_done();
    project.plan(&["part"]).assert_only(&["part@n=2"]);
    let run = project.run(&["status", "release"]).exits(exit::DONE);
    let rows: Vec<&str> = run.stdout.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(rows, ["note", "part"], "{run}");

    // It is told of by itself where a step is told of, with what it reads.
    let told = project.explain("release");
    assert!(told.starts_with("release: up to date\n") && told.contains("input     r/part/1"), "{told}");
    assert!(!told.contains("r/part/2"), "{told}");
    let run = project.run(&["graph", "release", "--steps", "--needed-by"]).exits(exit::DONE);
    assert!(run.stdout.contains("pub") && !run.stdout.contains("part@n=2"), "{run}");
}

#[test]
fn of_several_outputs_a_group_names_the_one_whose_path_is_in_it() {
    let project = Project::new(
        "version: 1
targets:
  both: {rule: command, run: \"echo h > {out.h}; echo c > {out.c}\", output: {h: r/x.h, c: r/x.c}}
  heads: {inputs: [r/x.h]}
  whole: {inputs: [heads, both]}
  reads_h: {rule: command, inputs: [r/x.h], run: \"cp {in} {out}\", output: r/h}
  reads_c: {rule: command, inputs: [r/x.c], run: \"cp {in} {out}\", output: r/c}
",
    );
    project.build(&["reads_h", "reads_c", "whole"]);
    let clean = |asked: &str| project.run(&["clean", "-n", asked]).exits(exit::DONE).stdout;
    let others = "remove  r/x.c, which is made with r/x.h\nremove  r/x.h\n2 outputs would be removed\n";
    assert_eq!([clean("heads"), clean("r/x.h")], [others; 2]);
    assert_eq!(clean("whole"), "remove  r/x.c\nremove  r/x.h\n2 outputs would be removed\n");
    let needed_by = |asked| nodes(&project, &["--steps", "--needed-by", asked]);
    assert!(needed_by("heads").contains(&"reads_h".to_owned()) && !needed_by("heads").contains(&"reads_c".to_owned()));
    assert!(needed_by("whole").contains(&"reads_c".to_owned()));
}

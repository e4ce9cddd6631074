//! What is told of steps that are none now, of those that several targets make, and of what a step reads.

use axum::http::StatusCode;

use super::assert_says;
use crate::support::fault::{self, Server};
use crate::support::project::Project;
use crate::support::sample;
use crate::support::words::exit;

fn images() -> Project {
    let project = Project::new(
        "version: 1
sources: {shelf: {kind: oci-layout, path: images}}
targets:
  get_tag: {rule: tags, source: shelf, foreach: {repo: {lines: repos.txt}}, output: \"tags/{repo}.json\"}
  get_layer: {rule: layers, source: shelf, foreach: {tag: {from: get_tag, select: latest}}, output: \"layers/{repo}/{tag}.json\"}
",
    );
    project.write("repos.txt", "library/redis\nlibrary/busybox\n");
    project.layout("images", &sample::images());
    project
}

#[test]
fn a_step_whose_tag_file_is_gone_is_explained_from_its_record() {
    let project = images();
    project.build(&[]);
    project.remove("tags/library/redis.json");
    let words = [
        "get_layer@repo=library/redis,tag=latest: pending",
        "its values are read out of get_tag@repo=library/redis",
        "missing output: tags/library/redis.json",
        "`layermill build get_tag@repo=library/redis` builds that",
        "rule      layers",
        "source    oci-layout images",
        "last made first build",
        "repo      library/redis",
        "tag       latest",
        "output    layers/library/redis/latest.json",
    ];
    for asked in ["get_layer@repo=library/redis,tag=latest", "layers/library/redis/latest.json", "get_layer"] {
        assert_says(&project.explain(asked), &words);
    }
    assert_says(&project.explain("get_layer"), &["get_layer@repo=library/busybox,tag=latest: up to date"]);
    // What it says helps.
    project.build(&["get_tag@repo=library/redis"]);
    assert_says(&project.explain("layers/library/redis/latest.json"), &["latest: up to date"]);
}

#[test]
fn a_step_two_levels_below_what_is_gone_is_explained() {
    let project = Project::new(
        "version: 1
targets:
  a: {rule: command, cache: false, run: \"echo x > {out}\", output: a.txt}
  b: {rule: command, foreach: {n: {from: a, lines: true}}, run: \"echo {n}y > {out}\", output: 'b/{n}.txt'}
  c: {rule: command, foreach: {m: {from: b, lines: true}}, run: \"echo {m} > {out}\", output: 'c/{n}/{m}.txt'}
",
    );
    project.build(&[]);
    project.remove("a.txt");
    assert_says(&project.explain("c/x/xy.txt"), &["c@n=x,m=xy: pending", "read out of b@n=x", "`layermill build a`"]);
    project.run(&["build", "a"]).exits(exit::DONE);
    assert_says(&project.explain("c/x/xy.txt"), &["up to date"]);
}

#[test]
fn a_path_that_can_be_read_in_several_ways_is_explained_as_it_was_made() {
    let project = Project::new(
        "version: 1
targets:
  sets: {rule: command, cache: false, foreach: {set: [x/y]}, run: \"echo p/q > {out}\", output: 'sets/{set}.txt'}
  each: {rule: command, foreach: {n: {from: sets, lines: true}}, run: \"echo {set} {n} > {out}\", output: 'gen/{set}/{n}.out'}
",
    );
    project.build(&[]);
    project.remove("sets/x/y.txt");
    for asked in ["each", "gen/x/y/p/q.out", "each@set=x/y,n=p/q"] {
        assert_says(&project.explain(asked), &["each@set=x/y,n=p/q: pending", "read out of sets@set=x/y"]);
    }
    project.write("sets/x/y.txt", "p\n");
    project.edit("echo p/q", "echo p");
    project.build(&[]);
    assert_says(&project.explain("gen/x/y/p/q.out"), &["each@set=x/y,n=p/q: orphan"]);
}

#[test]
fn a_step_whose_list_is_gone_is_explained_from_its_record() {
    let project = images();
    project.build(&[]);
    project.remove("repos.txt");
    for asked in ["get_tag@repo=library/redis", "tags/library/redis.json", "get_tag"] {
        let words = ["get_tag@repo=library/redis: pending", "its steps cannot be told", "repos.txt", "asked at"];
        assert_says(&project.explain(asked), &words);
    }
    // What has no record is still a mistake of the pipeline.
    project.run(&["explain", "tags/library/none.json"]).exits(exit::WRONG).says("repos.txt");
}

#[test]
fn where_a_list_cannot_be_read_what_needs_it_is_told_apart_from_what_does_not() {
    let project = Project::new(
        "version: 1
targets:
  x: {rule: command, foreach: {l: {lines: etc/l}}, run: \"echo {l} > {out}\", output: \"x/{l}\"}
  y: {rule: command, inputs: [etc/a], run: \"cat {in} > {out}\", output: y}
  use: {rule: command, inputs: [x, y], run: \"cat {in} > {out}\", output: use}
",
    );
    project.write("etc/l", "a\n");
    project.write("etc/a", "1\n");
    project.build(&[]);
    project.remove("etc/l");
    let told = project.explain("use");
    assert_says(&told, &["use: pending\n", "says      what it needs cannot be told: ", "it is seen where it stands"]);
    let step = |path: &str, of: &str| told.lines().any(|line| line.contains(path) && line.ends_with(of));
    assert!(step("input     x/a (", ") of x@l=a, pending") && step("input     y (", ") of y"), "{told}");
    let again =
        "again if  what it reads or what it made was changed, which is seen only once what is at fault is mended";
    assert_says(&told, &[again]);
    let told = project.explain("x@l=a");
    assert_says(&told, &["x@l=a: pending\n", "says      its steps cannot be told: ", "out of    etc/l\n", again]);
    // What needs no such list has nothing the matter with it.
    assert_says(&project.explain("y"), &["y: up to date\n"]);
    project.write("etc/a", "2\n");
    assert!(project.explain("use").lines().any(|line| line.ends_with(") of y, stale")), "{}", project.explain("use"));
}

#[test]
fn an_orphan_says_who_made_it_and_how_it_goes() {
    let project = images();
    project.build(&[]);
    // Of a value that is gone: by path and by name.
    project.write("repos.txt", "library/busybox\n");
    for asked in ["tags/library/redis.json", "get_tag@repo=library/redis"] {
        assert_says(
            &project.explain(asked),
            &[
                "get_tag@repo=library/redis: orphan",
                "no step makes it any more: library/redis is not in repos.txt now\n",
                "made by   get_tag@repo=library/redis",
                "repo      library/redis",
                "out of    repos.txt\n",
                "clean --orphans",
            ],
        );
    }
    // Of a target that is gone: by path alone.
    project.edit("  get_layer:", "  other:");
    project.edit("layers/{repo}", "others/{repo}");
    assert_says(
        &project.explain("layers/library/busybox/latest.json"),
        &[
            "layers/library/busybox/latest.json: orphan",
            "made by   get_layer@repo=library/busybox,tag=latest",
            "rule      layers",
            "clean --orphans",
        ],
    );
    assert_says(
        &project.explain("layers/library/busybox/latest.json"),
        &["repo      library/busybox", "tag       latest"],
    );
    project.run(&["clean", "--orphans", "--yes"]).exits(exit::DONE);
    project
        .run(&["explain", "layers/library/busybox/latest.json"])
        .exits(exit::WRONG)
        .says("no target, step or output");
    project.run(&["explain", "tags/library/redis.json"]).exits(exit::WRONG).says("no step makes");
}

#[test]
fn two_targets_of_one_file_name_each_other() {
    let project = Project::new(
        "version: 1
targets:
  left: {rule: command, foreach: {n: [1, 2]}, run: \"echo left > {out}\", output: 'out/{n}.txt'}
  right: {rule: command, foreach: {n: [2, 3]}, run: \"echo right > {out}\", output: 'out/{n}.txt'}
",
    );
    project.build(&["left"]);
    assert_says(&project.explain("left@n=2"), &["rival     right may make this file"]);
    let plan = project.run(&["plan", "right"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["right@n=2  made by another target: out/2.txt was last made by left (+1 more cause)"]);
    project.build(&["right"]);
    assert_says(&project.explain("right@n=2"), &["last made made by another target: out/2.txt was last made by left"]);
    assert_says(
        &project.explain("left@n=2"),
        &[
            "left@n=2: failed",
            "says      two steps for one file: out/2.txt (the other is right@n=2)",
            "alone     asked for without the other, it is stale: made by another target: out/2.txt was last made by right",
            "made by   right",
        ],
    );
}

#[test]
fn targets_that_cannot_be_built_together_are_told_one_by_one() {
    let project = Project::new(
        "version: 1
targets:
  left: {rule: command, foreach: {n: [1, both]}, run: \"echo left > {out}\", output: 'out/{n}.txt'}
  right: {rule: command, foreach: {n: [2, both]}, run: \"echo right > {out}\", output: 'out/{n}.txt'}
  lone: {rule: command, run: \"echo > {out}\", output: out/lone.txt}
  all: {rule: command, inputs: [left, right], run: \"cat {in} > {out}\", output: all.txt}
",
    );
    for target in ["left", "right", "lone"] {
        project.build(&[target]);
    }
    // One file of both, by its path, and both of them by name.
    let words = [
        "left@n=both: failed",
        "it is stale: made by another target: out/both.txt was last made by right",
        "right@n=both: failed",
        "asked for without the other, it is up to date",
    ];
    assert_says(&project.explain("out/both.txt"), &words);
    let both = project.run(&["explain", "left", "right"]).exits(exit::DONE).stdout;
    assert_says(&both, &[&words[..], &["left@n=1: up to date", "right@n=2: up to date"]].concat());
    assert!(!both.contains("cannot be told"), "{both}");
    // Only those that have the value are rivals, and only their steps are told.
    assert_says(&project.explain("left@n=both"), &["rival     right "]);
    for (step, other) in [("lone", "left"), ("left@n=1", "right"), ("out/lone.txt", "left@n=lone")] {
        let explained = project.explain(step);
        assert!(!explained.contains("rival") && !explained.contains(other), "{explained}");
    }
    let status = project.run(&["status"]).exits(exit::DONE).stdout;
    let rows = ["left ", "right"].map(|t| status.lines().find(|l| l.starts_with(t)).expect("a row"));
    assert!(
        rows.iter().all(|row| row.ends_with("two steps for one file: out/both.txt (left@n=both and right@n=both)"))
    );
    assert!(!status.lines().any(|line| line.starts_with("lone") && line.contains("two")), "{status}");
    let json = project.run(&["status", "--format", "json"]).exits(exit::DONE).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    // In the words of `explain`.
    for (row, up_to_date, failed, blocked) in [(0, 1, 1, 0), (1, 1, 1, 0), (2, 1, 0, 0), (3, 0, 0, 1)] {
        let row = &json[row];
        let told = (&row["up_to_date"], &row["failed"], &row["blocked"], &row["stale"]);
        assert_eq!(told, (&up_to_date.into(), &failed.into(), &blocked.into(), &0.into()), "{row}");
    }
    // Where they cannot be told by themselves, what they never make is not told of them.
    let all = project.run(&["explain", "all", "left"]).exits(exit::DONE).stdout;
    assert!(!all.contains("n=lone"), "{all}");
}

#[test]
fn a_renamed_target_rebuilds_nothing_and_says_what_it_was() {
    let project = super::project();
    project.build(&["part"]);
    project.edit("  part:", "  piece:");
    project.edit("inputs: [part]", "inputs: [piece]");
    project.build(&["piece"]).assert_nothing_done();
    assert_says(&project.explain("piece"), &["up to date", "made by   part"]);
}

#[test]
fn targets_that_describe_the_same_step_name_each_other() {
    let project = images();
    project.edit(
        "targets:",
        "targets:
  every_layer: {rule: layers, source: shelf, foreach: {tag: {from: get_tag, select: all}}, output: \"layers/{repo}/{tag}.json\"}",
    );
    project.build(&[]);
    assert_says(&project.explain("get_layer@repo=library/redis,tag=latest"), &["also of   every_layer: the same step"]);
    // What the other makes is no orphan of this one.
    project.run(&["explain", "get_layer@repo=library/redis,tag=7"]).exits(exit::WRONG).says("no step get_layer@");
    let told = project.explain("layers/library/redis/7.json");
    assert_says(&told, &["every_layer@repo=library/redis,tag=7: up to date"]);
    // Nor does one describe it that does not choose its tag.
    assert!(!told.contains("also of"), "{told}");
}

#[test]
fn inputs_are_told_with_the_name_that_they_go_by() {
    let project = Project::new(
        "version: 1
targets:
  part: {rule: command, foreach: {n: [1, 2]}, run: \"test {n} = 1 && echo {n} > {out}\", output: 'part/{n}.txt'}
  whole:
    rule: command
    inputs: {left: a.txt, parts: {target: part, partial: true}}
    run: \"cat {in.left} {in.parts} > {out}; echo '{out}: found.h' > d.mk\"
    depfile: d.mk
    output: whole.txt
",
    );
    project.write("a.txt", "a\n");
    project.write("found.h", "f\n");
    project.run(&["build", "whole"]).exits(exit::FAILED);
    let explained = project.explain("whole");
    assert_says(
        &explained,
        &[
            "input     {in.left} a.txt (",
            "input     {in.parts} part/1.txt (",
            ") of part@n=1\n",
            "input     {in.parts} part/2.txt (not there, not read by the last run) of part@n=2, failed when it was last tried",
            "input     found.h (",
            ") found while it ran",
        ],
    );
    let json = project.run(&["explain", "whole", "--format", "json"]).exits(exit::DONE).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let input = &json[0]["inputs"][1];
    assert_eq!(
        (&input["path"], &input["name"], &input["step"]),
        (&"part/1.txt".into(), &"parts".into(), &"part@n=1".into())
    );
}

#[test]
fn an_input_that_no_step_makes_is_told_as_one() {
    let project = super::project();
    project.build(&["part"]);
    project.run(&["explain", "text.txt"]).exits(exit::WRONG).says("`layermill graph text.txt --needed-by`");
}

#[test]
fn what_would_make_a_step_run_again() {
    let project = images();
    project.edit(
        "targets:",
        "targets:
  often: {rule: command, fresh: always, run: \"echo > {out}\", output: often.txt}
  aged: {rule: command, fresh: 3h, cache: false, run: \"echo > {out}\", output: aged.txt}
  group: {inputs: [aged, often]}",
    );
    project.build(&[]);
    let again = |step: &str, words: &[&str]| {
        let explained = project.explain(step);
        let lines: Vec<&str> = explained.lines().filter(|l| l.contains("again if")).collect();
        assert_says(&lines.join("\n"), words);
    };
    again("get_tag@repo=library/redis", &["`--refresh`", "a parameter or the rule's version changes", "an output"]);
    again(
        "get_layer@repo=library/redis,tag=latest",
        &["the tag latest has another digest in what get_tag@repo=library/redis makes"],
    );
    again("often", &["never fresh", "an output is changed or removed"]);
    assert!(!project.explain("often").contains("comes back from the store"), "it is made in each build");
    again("aged", &["a build comes after 20", "it was made 3h before"]);
    project.edit("  aged:", "  none: {rule: command, run: \"echo > {out}\", output: none.txt}\n  aged:");
    again("none", &["a build comes: it is not recorded as made"]);
    assert_says(&project.explain("aged"), &["fresh     3h"]);
    assert_says(&project.explain("group"), &["rule      group", "upstream: often is made again", "of aged"]);
}

#[test]
fn what_was_taken_over_is_not_told_as_made() {
    let project = images();
    project.build(&[]);
    std::fs::remove_dir_all(project.path(".layermill")).expect("removed");
    assert_says(
        &project.explain("get_tag"),
        &["get_tag@repo=library/redis: up to date\n", "a build   takes over what is there"],
    );
    project.build(&[]);
    let explained = project.explain("get_tag@repo=library/redis");
    assert_says(&explained, &["up to date", "taken over with the file", "over as it was, without being made"]);
    assert!(!explained.contains("last made"), "{explained}");
    let json = project.run(&["explain", "get_tag", "--format", "json"]).exits(exit::DONE).stdout;
    let told: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(told[0]["last_made"]["adopted"], true);
}

#[test]
fn a_step_that_was_put_off_says_so_and_until_when() {
    let spent = [("RateLimit-Limit", "1;w=21600"), ("RateLimit-Remaining", "0;w=21600"), ("Retry-After", "600")];
    let server = Server::start(move |_| fault::reply(StatusCode::TOO_MANY_REQUESTS, &spent, ""));
    let project = Project::new(&format!(
        "version: 1
sources: {{net: {{kind: registry, url: \"{}\"}}}}
targets:
  tags: {{rule: tags, source: net, foreach: {{repo: [library/redis]}}, output: \"tags/{{repo}}.json\"}}
  copy: {{rule: command, inputs: [tags], run: \"cp {{in}} {{out}}\", output: copy.json}}
  last: {{rule: command, after: [tags], run: \"echo > {{out}}\", output: last.txt}}
",
        server.url()
    ));
    project.run(&["build"]).exits(exit::DEFERRED);
    assert_says(&project.explain("tags"), &["deferred  20", "its limit of requests is spent; build again at 20"]);
    assert_says(&project.explain("copy"), &["(not there) of tags@repo=library/redis, deferred when it was last tried"]);
    assert_says(&project.explain("last"), &["after     tags (deferred when it was last tried)"]);
    let rows = project.run(&["status", "tags", "--format", "json"]).exits(exit::DONE).stdout;
    let rows: serde_json::Value = serde_json::from_str(&rows).expect("JSON");
    assert_eq!((&rows[0]["deferred"], &rows[0]["failed"], &rows[0]["missing"]), (&1.into(), &0.into(), &0.into()));
}

#[test]
fn the_digest_of_a_tag_is_that_of_the_tag_file_whatever_passes_it_on() {
    let project = images();
    project.edit(
        "select: latest}}, output: \"layers/{repo}/{tag}.json\"",
        "select: latest}}, platform: all, output: \"layers/{repo}/{tag}/{platform}.json\"",
    );
    project.build(&[]);
    let explained = project.explain("get_layer");
    let told = "the tag latest has another digest in what get_tag@repo=library/redis makes";
    assert_says(&explained, &[told, "out of    get_layer.platform@"]);
    assert!(!explained.contains("digest in what get_layer.platform"), "{explained}");
}

#[test]
fn a_step_that_is_there_as_of_the_last_build_says_so() {
    let project = Project::new(
        "version: 1
targets:
  lst: {rule: command, inputs: [list.txt], run: \"cp {in} {out}\", output: lst.txt}
  c: {rule: command, foreach: {y: {from: lst, lines: true}}, run: \"echo {y}y > {out}\", output: \"c/{y}.txt\"}
  d: {rule: command, foreach: {z: {from: c, lines: true}}, run: \"echo {z} > {out}\", output: \"d/{y}/{z}.txt\"}
",
    );
    project.write("list.txt", "k1\nk2\n");
    project.build(&[]);
    let doubted = "whether there still is such a step is seen once that is built";
    let explained = project.explain("c@y=k1");
    assert_says(&explained, &["again if  k1 is no more in what lst makes: then there is no such step"]);
    assert!(!explained.contains(doubted), "{explained}");
    let status = project.run(&["status"]).exits(exit::DONE).stdout;
    assert!(!status.contains("lst is built") && !status.contains("last build"), "{status}");
    project.write("list.txt", "k2\n");
    for step in ["c@y=k1", "d@y=k1,z=k1y"] {
        assert_says(&project.explain(step), &[&format!("{step}: up to date"), "lst is stale: ", doubted]);
    }
    assert_says(
        &project.run(&["plan"]).exits(exit::DONE).stdout,
        &[
            "run      lst",
            "more     c  its",
            "more     d  its",
            "1 to run, 4 up to date (4 of them as of the last build), 0 absent",
        ],
    );
    let status = project.run(&["status"]).exits(exit::DONE).stdout;
    assert_eq!(
        status.matches("  2 up to date as of the last build; its steps are told once lst is built\n").count(),
        2,
        "{status}"
    );
    project.write("lst.txt", "k9\n");
    let status = project.run(&["status"]).exits(exit::DONE).stdout;
    assert_eq!(status.matches("  its steps are told once lst is built\n").count(), 2, "{status}");
    project.build(&[]);
    assert_says(&project.explain("c@y=k1"), &["c@y=k1: orphan"]);
}

#[test]
fn what_a_list_that_is_asked_in_each_build_has_no_more_is_an_orphan_as_of_the_last_build() {
    let project = images();
    project.edit("rule: tags,", "rule: tags, fresh: digest,");
    project.edit(
        "targets:",
        "targets:
  lst: {rule: command, fresh: always, inputs: [list.txt], run: \"cp {in} {out}\", output: lst.txt}
  c: {rule: command, foreach: {y: {from: lst, lines: true}}, run: \"echo {y} > {out}\", output: \"c/{y}.txt\"}",
    );
    project.write("list.txt", "k1\nk2\n");
    project.build(&[]);
    assert_says(
        &project.explain("c@y=k1"),
        &["c@y=k1: up to date", "lst is asked in each build: whether there still is"],
    );
    project.write("list.txt", "k2\n");
    project.build(&[]);
    assert_says(
        &project.explain("c@y=k1"),
        &["c@y=k1: orphan", "as of the last build: lst is asked in each", "leaves it"],
    );
    project.run(&["clean", "--orphans", "--yes"]).exits(exit::DONE);
    assert!(project.exists("c/k1.txt"));

    project.edit("select: latest", "select: {glob: \"6\"}");
    project.build(&[]);
    let gone = "get_layer@repo=library/redis,tag=latest";
    let words =
        ["tag=latest: orphan", "get_tag@repo=library/redis is asked in each", "`layermill clean --orphans --offline`"];
    assert_says(&project.explain(gone), &words);
    project.run(&["clean", "--orphans", "--offline", "--yes"]).exits(exit::DONE);
    assert!(!project.exists("layers/library/redis/latest.json"));
}

#[test]
fn what_a_repository_had_that_is_gone_is_an_orphan_as_of_the_last_build() {
    let project = images();
    project.edit("rule: tags,", "rule: tags, fresh: digest,");
    project.edit("select: latest", "select: all");
    project.edit(
        "targets:",
        "targets:\n  copy: {rule: command, foreach: {n: {from: get_tag, select: all}}, run: \"echo > {out}\", output: \"c/{repo}/{n}\"}",
    );
    project.build(&[]);
    let keep = |kept: &dyn Fn(&str) -> bool| {
        std::fs::remove_dir_all(project.path("images")).expect("removed");
        project.layout("images", &sample::images().into_iter().filter(|(name, _)| kept(name)).collect::<Vec<_>>());
        project.build(&[]);
    };
    let gone = ["get_layer@repo=library/redis,tag=6", "copy@repo=library/redis,n=6", "layers/library/redis/6.json"];
    let words = [
        ",tag=6: orphan\n",
        " now, as of the last build: get_tag@repo=library/redis is asked in each\n",
        "`layermill clean --orphans --offline` goes by the last answer and removes it",
    ];
    // First the tag, and then all of them.
    keep(&|name| name != "library/redis:6");
    assert_says(&project.explain(gone[0]), &words);
    assert_says(&project.explain(gone[0]), &["any more: 6 is not in what get_tag@repo=library/redis makes now, "]);
    keep(&|name| !name.starts_with("library/redis:"));
    assert_says(&project.explain(gone[0]), &words);
    assert_says(&project.explain(gone[2]), &words);
    assert!(project.explain(gone[1]).contains(",n=6: orphan\n"), "{}", project.explain(gone[1]));
    // What is said of it is what is done.
    let kept = project.run(&["clean", "--orphans", "--yes"]).exits(exit::DONE).stdout;
    assert_says(&kept, &["what get_layer may make", "0 outputs removed\n"]);
    assert!(project.exists(gone[2]));
    project.run(&["clean", "--orphans", "--offline", "--yes"]).exits(exit::DONE);
    assert!(!project.exists("layers/library/redis") && !project.exists("c/library/redis"));
    assert!(project.exists("layers/library/busybox/latest.json"));
}

#[test]
fn targets_that_differ_in_what_they_read_are_rivals_and_each_has_its_own_failures() {
    let project = Project::new(
        "version: 1
targets:
  t1: {rule: command, foreach: {n: {lines: ./l1}}, inputs: [src/1], run: \"cp {in} {out}\", output: \"r/{n}.txt\"}
  t2: {rule: command, foreach: {n: {lines: ./l2}}, inputs: [src/2], run: \"cp {in} {out}\", output: \"r/{n}.txt\"}
  ax: {rule: command, inputs: [./gone], run: \"cp {in} {out}\", output: ax.txt}
  c: {rule: command, foreach: {y: {from: ax, lines: true}}, run: \"echo {y} > {out}\", output: \"c/{y}.txt\"}
",
    );
    for (file, text) in [("l1", "k\n"), ("l2", "k\n"), ("src/1", "1\n"), ("src/2", "2\n")] {
        project.write(file, text);
    }
    project.build(&["t1"]);
    let explained = project.explain("t2");
    assert_says(
        &explained,
        &["rival     t1 may make this file", "made by another target: r/k.txt was last made by t1"],
    );
    assert!(!explained.contains("the same step"), "{explained}");
    project.run(&["build", "t1", "t2"]).exits(exit::WRONG);
    for (step, other) in [("t1@n=k", "t1@n=k)"), ("t2@n=k", "t2@n=k)")] {
        let explained = project.explain(step);
        assert!(!explained.contains(&format!("the other is {other}")), "{explained}");
    }
    // A target whose list cannot be made is told of, too.
    let status = project.run(&["status", "c"]).exits(exit::DONE).stdout;
    assert!(status.contains("c  ") && status.contains("its steps are told once ax is built"), "{status}");
}

#[test]
fn each_value_says_where_it_goes_when_its_step_goes() {
    let project = images();
    project.edit(
        "  get_layer:",
        "  part: {rule: command, foreach: {file: {glob: 'in/*.txt'}, w: [a]}, run: \"echo {file} {w} > {out}\", output: 'out/{w}/{file}'}
  col: {rule: command, foreach: {c: {csv: t.csv, column: name}}, run: \"echo {c} > {out}\", output: 'col/{c}'}
  get_layer:",
    );
    project.write("in/x.txt", "");
    project.write("t.csv", "name\none\n");
    project.build(&[]);
    let ends = |text: &str, from: &str| format!("again if  {text} is no more {from}: then there is no such step");
    let redis = ends("library/redis", "in repos.txt");
    let latest = ends("latest", "chosen out of what get_tag@repo=library/redis makes");
    assert_says(&project.explain("tags/library/redis.json"), &[&redis]);
    assert_says(&project.explain("layers/library/redis/latest.json"), &[&redis, &latest, "the tag latest has another"]);
    let of_glob = project.explain("part");
    assert_says(&of_glob, &[&ends("in/x.txt", "among the files of in/*.txt")]);
    assert_eq!(of_glob.matches("no such step").count(), 1, "{of_glob}");
    assert_says(&project.explain("col"), &[&ends("one", "in t.csv")]);
    project.edit("select: latest", "select: all");
    assert_says(
        &project.explain("layers/library/redis/latest.json"),
        &[&ends("latest", "in what get_tag@repo=library/redis makes")],
    );
    // And so it is.
    project.write("repos.txt", "library/busybox\n");
    assert_says(&project.explain("layers/library/redis/latest.json"), &["latest: orphan"]);
}

#[test]
fn an_orphan_whose_path_is_read_in_several_ways_is_told_as_the_step_that_made_it() {
    let project = Project::new(
        "version: 1
targets:
  g: {rule: command, foreach: {f: {glob: \"src/*.txt\"}, name: {lines: n.txt}}, inputs: [\"{f}\"], run: \"cat {in} > {out}\", output: \"o/{name}/{f}\"}
  h: {rule: command, foreach: {f: {glob: \"src/*.txt\"}, name: {lines: n.txt}}, run: \"echo > {out}\", output: \"p/{name}/{f}\"}
",
    );
    project.write("src/a.txt", "a\n");
    project.write("n.txt", "x\ny\n");
    project.build(&[]);
    project.write("n.txt", "y\n");
    let told = |target: &str, path: &str| {
        let explained = project.explain(path);
        let step = format!("{target}@f=src/a.txt,name=x");
        assert_says(&explained, &[&format!("{step}: orphan\n"), &format!("made by   {step}\n")]);
        assert_says(&project.explain(&step), &[&format!("{step}: orphan\n")]);
    };
    // By what it read, and by the lists that still have a value of it.
    told("g", "o/x/src/a.txt");
    told("h", "p/x/src/a.txt");
    let never = project.run(&["explain", "g@f=a.txt,name=x/src"]).exits(exit::WRONG);
    assert!(!never.stdout.contains("orphan"), "{}", never.stdout);
    project.remove("src/a.txt");
    told("g", "o/x/src/a.txt");
}

#[test]
fn an_orphan_names_the_list_that_its_values_came_from_and_not_the_one_of_now() {
    let project = Project::new(
        "version: 1
vars: {list: one.lst}
profiles: {other: {vars: {list: two.lst}}}
targets:
  t: {rule: command, foreach: {repo: {lines: \"${list}\"}}, run: \"echo {repo} > {out}\", output: \"r/{repo}\"}
  u: {rule: command, foreach: {n: {from: t, lines: true}}, run: \"echo {n} > {out}\", output: \"u/{repo}/{n}\"}
",
    );
    project.write("one.lst", "a\n");
    project.write("two.lst", "a\nb\n");
    project.build(&["--profile", "other"]);
    let told = project.explain("r/b");
    assert_says(&told, &["t@repo=b: orphan\n", "any more: b is not in one.lst now\n", "out of    two.lst\n"]);
    // What reads its values out of another step names that as it was.
    assert_says(&project.explain("u/b/b"), &["u@repo=b,n=b: orphan\n", "out of    t@repo=b\n"]);
    project.edit("{lines: \"${list}\"}", "[a]");
    let gone = "any more: b is not in the list of `repo` in the pipeline file now\n";
    assert_says(&project.explain("r/b"), &[gone, "out of    two.lst\n"]);
    // It is told as it was made, whatever target has its path now.
    project.edit("  t: ", "  s: ");
    project.edit("from: t", "from: s");
    assert_says(&project.explain("r/b"), &["s@repo=b: orphan\n", "out of    two.lst\n", "made by   t@repo=b\n"]);
    // Where the value went from the list of now, there is but one.
    project.edit("foreach: {repo: [a]}", "foreach: {repo: {lines: two.lst}}");
    project.build(&[]);
    project.write("two.lst", "a\n");
    let told = project.explain("r/b");
    assert_says(&told, &["t, which made it, is no target now, and b is not in two.lst now\n", "out of    two.lst\n"]);
}

#[test]
fn an_orphan_tells_its_inputs_whatever_else_is_asked_for() {
    let project = Project::new(
        "version: 1
vars: {day: mon}
targets:
  j: {rule: command, inputs: [etc/j], run: \"cp {in} {out}\", output: r/j}
  l: {rule: command, inputs: [etc/l], run: \"cp {in} {out}\", output: r/l}
  b: {rule: command, foreach: {r: {from: l, lines: true}}, run: \"echo {r} > {out}\", output: \"r/b/{r}\"}
  m: {rule: command, inputs: {x: r/b/eu, y: j, z: etc/j}, run: \"cat {in} > {out}\", output: \"r/m/${day}\"}
",
    );
    project.write("etc/j", "j\n");
    project.write("etc/l", "eu\nus\n");
    project.build(&[]);
    project.write("etc/l", "us\nEU\n");
    project.edit("r/b/eu", "r/b/EU");
    project.edit("mon", "tue");
    project.build(&[]);
    let inputs = |told: &str| {
        let of_orphan = told.split_once("r/m/mon: orphan\n").expect("an orphan").1;
        let lines = of_orphan.lines().take_while(|line| !line.is_empty());
        lines.filter_map(|line| line.strip_prefix("  input     ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let alone = inputs(&project.explain("r/m/mon"));
    let ends = ["which no step makes any more", "of j", "etc/j (88585b2e47081f3c)"];
    assert_eq!(alone.len(), ends.len(), "{alone:?}");
    for ((line, end), start) in alone.iter().zip(ends).zip(["{in.x} r/b/eu (", "{in.y} r/j (", "{in.z} etc/j ("]) {
        assert!(line.starts_with(start) && line.ends_with(end), "{alone:?}");
    }
    for other in ["j", "r/b/us", "b", "m"] {
        let told = project.run(&["explain", "r/m/mon", other]).exits(exit::DONE).stdout;
        assert_eq!(inputs(&told), alone, "{other}");
    }
}

#[test]
fn what_a_list_has_no_more_that_is_made_of_one_asked_in_each_build_is_an_orphan_as_of_the_last_build() {
    let project = Project::new(
        "version: 1
sources: {shelf: {kind: oci-layout, path: images}}
targets:
  tags: {rule: tags, source: shelf, repo: library/redis, output: r/tags.json, fresh: digest}
  names: {rule: command, inputs: [tags], run: \"grep -o '[0-9]*\\\":' {in} | tr -d '\\\":' > {out}\", output: r/names}
  sort: {rule: command, inputs: [names], run: \"sort {in} > {out}\", output: r/sorted}
  per: {rule: command, foreach: {t: {lines: r/sorted}}, run: \"echo {t} > {out}\", output: \"r/per/{t}\"}
  sub: {rule: command, foreach: {s: {from: per, lines: true}}, run: \"echo {t} > {out}\", output: \"r/sub/{t}/{s}\"}
",
    );
    let shelve = |kept: &dyn Fn(&str) -> bool| {
        let _ = std::fs::remove_dir_all(project.path("images"));
        project.layout("images", &sample::images().into_iter().filter(|(name, _)| kept(name)).collect::<Vec<_>>());
    };
    shelve(&|_| true);
    project.build(&[]);
    assert!(project.exists("r/sub/6/6"));
    shelve(&|name| name != "library/redis:6");
    project.build(&[]);
    let asked = "as of the last build: tags is asked in each\n";
    let help = "  help      `layermill clean --orphans --offline` goes by the last answer and removes it";
    for gone in ["per@t=6", "r/per/6", "sub@t=6,s=6"] {
        assert_says(&project.explain(gone), &[": orphan\n", asked, help]);
    }
    project.run(&["clean", "--orphans", "--yes"]).exits(exit::DONE);
    assert!(project.exists("r/per/6"));
    // Once the list is to be made for a reason of its own, it is seen then.
    project.edit("sort {in}", "sort -u {in}");
    let told = project.explain("per@t=6");
    assert_says(
        &told,
        &["per@t=6: orphan\n", ", as of the last build of sort: ", "`layermill build sort` builds that"],
    );
    project.build(&[]);
    project.run(&["clean", "--orphans", "--offline", "--yes"]).exits(exit::DONE);
    assert!(!project.exists("r/per/6") && !project.exists("r/sub/6/6"));
}

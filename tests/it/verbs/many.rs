//! Targets with several rows, and images: the graph, `adopt` and names of steps.

use super::*;

#[test]
fn a_graph_shows_what_a_step_needs_and_what_needs_it() {
    let project = project();
    assert_eq!(nodes(&project, &["whole"]), ["part", "whole"]);
    assert_eq!(nodes(&project, &["part", "--needed-by"]), ["part", "whole", "copy"]);
    assert_eq!(nodes(&project, &["part", "--needed-by", "--depth", "1"]), ["part", "whole"]);
    assert_eq!(nodes(&project, &["part@n=1"]), ["numbers.lst", "text.txt", "part@n=1"]);
    assert_eq!(nodes(&project, &["part@n=1", "--needed-by"]), ["part@n=1", "whole", "copy"]);
    assert_eq!(nodes(&project, &["part@n=1", "--needed-by", "--depth", "1"]), ["part@n=1", "whole"]);
    let both = ["result/whole.txt", "--needs", "--needed-by", "--depth", "1"];
    assert_eq!(nodes(&project, &both), ["part@n=1", "part@n=2", "whole", "copy"]);
    assert_eq!(nodes(&project, &["text.txt", "--needed-by", "--depth", "1"]), ["text.txt", "part@n=1", "part@n=2"]);
    assert_eq!(
        nodes(&project, &["numbers.lst", "--needed-by"]),
        ["numbers.lst", "part@n=1", "part@n=2", "whole", "copy"]
    );
    assert!(!project.exists(".layermill"), "looking writes nothing");
}

#[test]
fn a_graph_shows_which_steps_write_under_a_folder() {
    let project = project();
    assert_eq!(nodes(&project, &["--under", "result/part"]), ["part@n=1", "part@n=2"]);
    assert_eq!(nodes(&project, &["--under", "result/copies/"]), ["copy"]);
    // A folder, not the beginning of a name.
    project.run(&["graph", "--under", "result/cop"]).exits(exit::WRONG);
    assert_eq!(nodes(&project, &["--under", "result/part", "--needed-by", "--depth", "1"]).len(), 3);
    let mut deep = project.command(&["graph", "--under", "part", "--format", "json"]);
    fs::create_dir_all(project.path("result/part")).expect("made");
    deep.current_dir(project.path("result"));
    let run = Running::spawn(deep).wait().exits(exit::DONE);
    assert!(run.stdout.contains("part@n=1"), "paths are seen from where one stands\n{run}");
}

#[test]
fn a_neighbourhood_comes_in_every_format() {
    let project = project();
    let graph = |format: &str| {
        project.run(&["graph", "part@n=1", "--needs", "--needed-by", "--format", format]).exits(exit::DONE).stdout
    };
    let text = graph("text");
    assert!(
        text.contains("text.txt (file)") && text.contains("  input text.txt") && text.contains("axis numbers.lst"),
        "{text}"
    );
    let dot = graph("dot");
    assert!(dot.contains("\"text.txt\" -> \"part@n=1\"") && dot.contains("shape=note"), "{dot}");
    let mermaid = graph("mermaid");
    assert!(mermaid.contains("([\"text.txt\"])") && mermaid.contains("-->"), "{mermaid}");
    let svg = graph("svg");
    assert!(svg.starts_with("<svg") && svg.contains("part@n=1") && svg.ends_with("</svg>\n"), "{svg}");
    let json: Value = serde_json::from_str(&graph("json")).expect("JSON");
    let kinds: Vec<_> = json["nodes"].as_array().expect("nodes").iter().map(|n| n["kind"].as_str()).collect();
    assert_eq!(kinds, ["file", "file", "step", "step", "step"].map(Some));
}

#[test]
fn a_graph_follows_values_that_were_read_out_of_outputs() {
    let project = images();
    project.build(&[]);
    let found = nodes(&project, &["get_tag@repo=library/busybox", "--needed-by", "--depth", "1"]);
    assert!(found.iter().any(|n| n.ends_with("@repo=library/busybox,tag=latest")), "{found:?}");
    assert!(found.iter().all(|n| !n.contains("redis")), "{found:?}");
}

#[test]
fn a_graph_of_nothing_known_is_the_callers_mistake() {
    let project = project();
    project.run(&["graph", "nowhere.txt"]).exits(exit::WRONG).says("nowhere.txt");
    project.run(&["graph", "part@n=3"]).exits(exit::WRONG).says("part@n=3");
    project.write("unread.txt", "");
    project.run(&["graph", "unread.txt"]).exits(exit::WRONG).says("no step makes or reads");
}

#[test]
fn steps_and_paths_are_taken_wherever_a_target_is() {
    let project = project();
    project.build(&["part@n=1"]);
    assert!(project.exists("result/part/1.txt") && !project.exists("result/part/2.txt"));
    project.build(&["result/part/2.txt"]);
    project.plan(&["result/part/2.txt"]).assert_nothing_done();
    project.plan(&["part@n=1"]).assert_nothing_done();
    for args in [&["status", "part@n=1"][..], &["status", "result/part/1.txt"]] {
        let run = project.run(args).exits(exit::DONE);
        assert!(run.stdout.contains("part") && !run.stdout.contains("whole"), "{run}");
    }
    project.run(&["verify", "part@n=1", "result/part/2.txt"]).exits(exit::DONE);
    project.build(&["part", "--force=part@n=1"]).assert_only(&["part@n=1"]);
    project.build(&["part", "--force=result/part/2.txt"]).assert_only(&["part@n=2"]);
    project.build(&["part", "--force=part@n=1,result/part/2.txt"]).assert_only(&["part@n=1", "part@n=2"]);
    project.plan(&["part", "--force=part@n=2"]).assert_only(&["part@n=2"]);
    project.run(&["build", "part", "--force=part@n=7"]).exits(exit::WRONG).says("part@n=7");
    project.run(&["build", "part", "--force=prat"]).exits(exit::WRONG).says("part");
    project.run(&["clean", "part@n=1"]).exits(exit::DONE);
    assert!(!project.exists("result/part/1.txt") && project.exists("result/part/2.txt"));
    project.write("result/part/1.txt", "by hand\n");
    project.run(&["adopt", "result/part/1.txt"]).exits(exit::DONE);
    project.build(&["part"]).assert_nothing_done();
}

#[test]
fn one_question_is_asked_again() {
    let project = images();
    project.build(&[]);
    let report = project.plan(&["get_tag", "--refresh=get_tag@repo=library/redis"]);
    assert_eq!(report.of("get_tag"), ["get_tag@repo=library/redis"]);
    let report = project.plan(&["get_tag", "--refresh=get_tag"]);
    assert_eq!(report.of("get_tag").len(), 2);
}

#[test]
fn outputs_that_are_there_are_adopted() {
    let project = project();
    project.write("result/part/1.txt", "by hand\n");
    project.write("result/whole.txt", "all by hand\n");
    let run = project.run(&["adopt"]).exits(exit::DONE);
    assert!(run.stdout.contains("adopted part@n=1"), "which is said\n{run}");
    assert!(!run.stdout.contains("adopted part@n=2"), "{run}");
    // What is missing stays to run, and so does what reads it.
    project.plan(&["whole"]).assert_only(&["part@n=2", "whole"]);

    project.write("result/part/2.txt", "by hand too\n");
    project.write("result/copies/copy.txt", "a copy\n");
    let run = project.run(&["adopt"]).exits(exit::DONE);
    assert!(run.stdout.contains("adopted whole") && run.stdout.contains("still to run 0"), "{run}");
    project.build(&[]).assert_nothing_done();
    assert_eq!(project.read("result/whole.txt"), "all by hand\n");

    // An edit runs what it concerns, and no more.
    project.edit("cat {in} > {out}\", output: result/whole", "cat {in} | sort > {out}\", output: result/whole");
    project.build(&[]).assert_only(&["copy", "whole"]);
    project.write("numbers.lst", "1\n2\n3\n");
    project.build(&[]).assert_only(&["copy", "part@n=3", "whole"]);
    assert_eq!(project.read("result/part/1.txt"), "by hand\n");
}

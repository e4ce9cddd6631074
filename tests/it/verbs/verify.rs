//! `verify`: everything is read again, and what is damaged is mended.

use super::*;

#[test]
fn verify_finds_what_is_damaged_and_repairs_it() {
    let project = project();
    project.build(&[]);
    let run = project.run(&["verify"]).exits(exit::DONE);
    assert!(run.stdout.contains("4 outputs") && run.stdout.contains("none is damaged"), "{run}");
    let undamaged = project.read("result/part/1.txt");
    damage(&project.path("result/part/1.txt"));

    let before = files(&project.path("."));
    let report = json(&project, exit::FAILED, &["verify", "--format", "json"]);
    assert_eq!(report["damaged"].as_array().expect("a list").len(), 1, "{report}");
    let damaged = &report["damaged"][0];
    assert_eq!(damaged["path"], "result/part/1.txt");
    assert_ne!(damaged["recorded"], damaged["found"]);
    assert!(damaged["recorded"].as_str().is_some_and(|d| d.starts_with("blake3:")), "{report}");
    let changed: Vec<_> = files(&project.path(".")).into_iter().filter(|f| !before.contains(f)).collect();
    assert!(changed.iter().all(|(path, ..)| path.ends_with(".layermill/lock")), "verify only looks");
    project.run(&["verify", "whole"]).exits(exit::DONE);
    project.run(&["verify", "part"]).exits(exit::FAILED);

    let run = project.run(&["verify", "--repair"]).exits(exit::DONE);
    assert!(run.stdout.contains("repaired result/part/1.txt"), "{run}");
    assert_eq!(project.read("result/part/1.txt"), undamaged);
    project.build(&[]).assert_nothing_done();
    project.run(&["verify"]).exits(exit::DONE);
}

#[test]
fn verify_leaves_a_folder_in_which_nothing_was_built_as_it_is() {
    let project = project();
    project.run(&["verify"]).exits(exit::DONE);
    assert!(!project.exists(".layermill"));
}

#[test]
fn verify_names_what_is_missing_and_repair_brings_it_back() {
    let project = project();
    project.build(&[]);
    project.remove("result/whole.txt");
    let report = json(&project, exit::FAILED, &["verify", "--format", "json"]);
    assert_eq!(report["damaged"][0]["found"], "missing");
    project.run(&["verify", "--repair"]).exits(exit::DONE);
    assert!(project.exists("result/whole.txt"));
    project.build(&[]).assert_nothing_done();
}

#[test]
fn verify_reads_the_store_too() {
    let project = images();
    project.build(&[]);
    let blob = blobs(&project).into_iter().next().expect("a blob");
    damage(&blob);
    let report = json(&project, exit::FAILED, &["verify", "--format", "json"]);
    assert_eq!(report["damaged"][0]["kind"], "blob");
    assert_eq!(report["damaged"].as_array().expect("a list").len(), 1, "{report}");
    project.run(&["verify", "stat_layer"]).exits(exit::DONE);
    project.run(&["verify", "--repair"]).exits(exit::DONE);
    assert!(!blob.exists(), "a damaged blob is removed");
    project.run(&["verify"]).exits(exit::DONE);
    project.build(&[]).assert_nothing_done();
    // All that it was needed for is fetched or derived again.
    for (path, ..) in files(&project.path("result")) {
        fs::remove_file(path).expect("removed");
    }
    project.build(&[]);
    project.run(&["verify"]).exits(exit::DONE);
}

#[test]
fn damage_that_no_step_mends_stays_said() {
    let project = project();
    project.build(&[]);
    project.write("numbers.lst", "1\n");
    project.write("result/part/2.txt", "other\n");
    let run = project.run(&["verify", "--repair"]).exits(exit::FAILED);
    assert!(run.stdout.contains("damaged  result/part/2.txt"), "{run}");
}

#[test]
fn verify_names_the_damaged_files_in_a_folder() {
    let project = Project::new(
        "version: 1
targets:
  f: {rule: command, run: \"mkdir {out} {out}/sub; for n in $(seq 50); do echo $n > {out}/$n; done; touch {out}/sub/x\", output: f/}
  g: {rule: command, cache: false, run: \"mkdir {out}; touch {out}/x\", output: g/}
",
    );
    project.build(&[]);
    project.write("f/33", "X\n");
    let damaged = |project: &Project| json(project, exit::FAILED, &["verify", "--format", "json"])["damaged"].clone();
    let found = damaged(&project);
    assert_eq!((found.as_array().map(Vec::len), &found[0]["path"]), (Some(1), &"f".into()), "{found}");
    assert_eq!(found[0]["inside"].as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!(found[0]["inside"][0]["path"], "33");
    assert!(found[0]["inside"][0]["found"].as_str().is_some_and(|now| now.starts_with("sha256:")), "{found}");
    let shown = project.run(&["verify"]).exits(exit::FAILED).stdout;
    assert!(shown.contains("damaged  f\n") && shown.contains("  in it    33: sha256:"), "{shown}");

    fs::remove_file(project.path("f/sub/x")).expect("removed");
    project.write("f/more", "");
    let inside = damaged(&project)[0]["inside"].clone();
    let told = |n: usize| (inside[n]["path"].as_str(), inside[n]["found"].as_str());
    assert_eq!(told(1), (Some("more"), Some("it was not made with the others")));
    assert_eq!(told(2), (Some("sub/x"), Some("missing")));
    project.run(&["verify", "--repair"]).exits(exit::DONE);
    assert_eq!(project.read("f/33"), "33\n");

    // What is not in the store is only known to be damaged.
    project.write("g/x", "X\n");
    assert_eq!(damaged(&project)[0].get("inside"), None);
}

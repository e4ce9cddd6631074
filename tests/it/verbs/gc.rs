//! `gc`: what nothing needs is freed, and a build afterwards has nothing to do.

use super::*;

#[test]
fn gc_frees_what_nothing_needs_and_a_build_still_does_nothing() {
    let project = images();
    project.build(&[]);
    let live = blobs(&project);
    let run = project.run(&["gc"]).exits(exit::DONE);
    assert!(run.stdout.starts_with("freed 0 B: 0 blobs"), "{run}");
    assert_eq!(blobs(&project), live);

    // One image is not wanted any more.
    project.write("images.lst", "library/busybox\n");
    let text = project.read("pipeline.yaml");
    let wanted = text.lines().find(|l| l.contains("repo:")).expect("a list of images").to_owned();
    project.edit(&wanted, "    foreach: {repo: {lines: images.lst}}");
    project.build(&[]);
    project.run(&["clean", "--orphans", "--yes"]).exits(exit::DONE);
    let dry = json(&project, exit::DONE, &["gc", "-n", "--format", "json"]);
    assert_eq!(blobs(&project), live, "-n removes nothing");
    let freed = json(&project, exit::DONE, &["gc", "--format", "json"]);
    assert_eq!(dry, freed);
    assert!(
        freed["blobs"].as_u64().is_some_and(|n| n > 0) && freed["bytes"].as_u64().is_some_and(|n| n > 0),
        "{freed}"
    );
    assert_eq!(blobs(&project).len() as u64, freed["kept_blobs"].as_u64().expect("a number"));
    assert!(project.exists(".layermill/store/oci-layout") && project.exists(".layermill/store/index.json"));

    project.build(&[]).assert_nothing_done();
    project.run(&["verify"]).exits(exit::DONE);
    // Everything that is left can be made again without the source.
    fs::remove_dir_all(project.path("images")).expect("removed");
    fs::remove_dir_all(project.path("result")).expect("removed");
    project.build(&["--offline"]);
    assert!(project.exists("result/tags/library/busybox.json"));
}

#[test]
fn gc_forgets_old_results_by_age_and_by_size() {
    let project = project();
    project.build(&[]);
    let first = blobs(&project);
    project.write("text.txt", "another text\n");
    project.build(&[]);
    let all = blobs(&project);
    assert!(all.len() > first.len());
    project.run(&["gc"]).exits(exit::DONE);
    assert_eq!(blobs(&project), all, "earlier results are kept, to come back to");
    let long_ago = SystemTime::now() - Duration::from_secs(40 * 24 * 3600);
    for blob in &all {
        fs::File::options().write(true).open(blob).and_then(|f| f.set_modified(long_ago)).expect("set");
    }
    let freed = json(&project, exit::DONE, &["gc", "--older-than", "30d", "--format", "json"]);
    assert_eq!(freed["actions"], 4, "{freed}");
    assert_eq!(blobs(&project).len(), all.len() - first.len(), "what is there now can be restored still");
    project.build(&[]).assert_nothing_done();
    project.remove("result/whole.txt");
    assert_eq!(project.build(&[]).restored, 1);

    let run = project.run(&["gc", "--max-size", "0"]).exits(exit::DONE);
    assert!(run.stdout.contains("4 step results"), "{run}");
    assert_eq!(blobs(&project).len(), 0);
    project.build(&[]).assert_nothing_done();
    project.remove("result/whole.txt");
    project.build(&[]).assert_only(&["whole"]);
    project.run(&["gc", "--max-size", "lots"]).exits(exit::WRONG);
}

#[test]
fn a_blob_that_is_used_is_young_again() {
    let project = project();
    project.build(&[]);
    let long_ago = SystemTime::now() - Duration::from_secs(40 * 24 * 3600);
    for blob in blobs(&project) {
        fs::File::options().write(true).open(blob).and_then(|f| f.set_modified(long_ago)).expect("set");
    }
    project.remove("result/whole.txt");
    assert_eq!(project.build(&[]).restored, 1);
    let young = |blob: &std::path::PathBuf| {
        fs::metadata(blob).and_then(|m| m.modified()).is_ok_and(|t| t > long_ago + Duration::from_secs(3600))
    };
    assert_eq!(blobs(&project).iter().filter(|b| young(b)).count(), 1);
}

#[test]
fn gc_forgets_the_records_of_orphans_that_are_gone() {
    let project = project();
    project.build(&[]);
    project.write("numbers.lst", "1\n");
    project.build(&[]);
    let freed = json(&project, exit::DONE, &["gc", "--format", "json"]);
    assert_eq!((&freed["records"], &freed["orphans"]), (&0.into(), &1.into()), "a file that is there has its record");
    project.remove("result/part/2.txt");
    let freed = json(&project, exit::DONE, &["gc", "--format", "json"]);
    assert_eq!((&freed["records"], &freed["orphans"]), (&1.into(), &0.into()));
    project.build(&[]).assert_nothing_done();
    let run = project.run(&["clean", "--orphans"]).exits(exit::DONE);
    assert!(run.stdout.contains("0 outputs removed"), "{run}");
}

#[test]
fn a_store_that_was_named_is_only_cleaned_by_age() {
    let project = images();
    project.build(&["--store", "shared"]);
    project.run(&["gc", "--store", "shared"]).exits(exit::WRONG).says("--older-than");
    let foreign = project.path("shared/blobs/sha256").join("0".repeat(64));
    fs::write(&foreign, "another pipeline's").expect("written");
    project.run(&["gc", "--store", "shared", "--older-than", "30d"]).exits(exit::DONE);
    assert!(foreign.exists());
}

#[test]
fn gc_keeps_what_the_record_of_an_output_that_is_there_needs_also_where_no_step_makes_it_now() {
    let registry = Registry::start();
    registry.push("a:1", &stock::nginx_index("1", ""));
    registry.push("a:2", &stock::busybox().manifest(Format::Oci));
    let pipeline = format!(
        "version: 1
sources: {{ours: {{kind: registry, url: \"{}\"}}}}
targets:
  tags: {{rule: tags, source: ours, repo: a, fresh: digest, output: tags.json}}
  one: {{rule: layers, source: ours, repo: a, foreach: {{tag: {{from: tags, select: all}}}}, platform: all, output: \"l/{{tag}}/{{platform}}.json\"}}
",
        registry.url()
    );
    let project = Project::new(&pipeline);
    project.build(&[]);
    let told = project.explain("l/1/linux/amd64.json");
    assert!(told.contains(" (the index)\n") && told.contains(" (its config)\n"), "{told}");
    // The tag may come back, as long as its list is asked in each build; for another pipeline file, no step makes any of it.
    project.edit("rule: tags, ", "rule: tags, omit: ['1'], ");
    project.build(&[]);
    let clean = project.run(&["clean", "--orphans", "--yes"]).exits(exit::DONE);
    assert!(
        clean.stdout.contains("keep    what one may make") && clean.stdout.contains("0 outputs removed"),
        "{clean}"
    );
    let other = "version: 1\ntargets: {o: {rule: command, run: \"echo > {out}\", output: o.txt}}\n";
    project.write("other.yaml", other);
    for arguments in [&["gc"][..], &["gc", "-f", "other.yaml"]] {
        project.run(arguments).exits(exit::DONE);
    }
    project.edit("omit: ['1'], ", "");
    project.build(&[]);
    let read = |told: &str| -> Vec<String> {
        told.lines().filter(|line| line.starts_with("  read ")).map(str::to_owned).collect()
    };
    assert_eq!(read(&project.explain("l/1/linux/amd64.json")), read(&told));
    fs::remove_dir_all(project.path("l")).expect("removed");
    let mark = registry.mark();
    project.build(&[]);
    let fetched: Vec<_> = registry.requests_since(mark).into_iter().filter(|request| request.fetches()).collect();
    assert!(fetched.is_empty(), "{fetched:?}");
    // Once the files are gone, and no step makes them, nothing of theirs is needed.
    project.edit("rule: tags, ", "rule: tags, omit: ['1'], ");
    project.build(&[]);
    let before = blobs(&project).len();
    project.run(&["clean", "--orphans", "--offline", "--yes"]).exits(exit::DONE);
    project.run(&["gc"]).exits(exit::DONE);
    assert!(blobs(&project).len() < before);
}

#[test]
fn gc_keeps_what_was_looked_behind_in_place_of_an_id_of_another_kind() {
    let registry = Registry::start();
    registry.push("a:1", &stock::nginx_index("1", ""));
    let project = Project::new(&format!(
        "version: 1
sources: {{ours: {{kind: registry, url: \"{}\"}}}}
targets:
  tags: {{rule: tags, source: ours, repo: a, output: tags.json}}
  one: {{rule: layers, source: ours, repo: a, foreach: {{tag: {{from: tags, select: all}}}}, output: \"l/{{tag}}.json\"}}
",
        registry.url()
    ));
    project.write("tags.json", format!("{{\n  \"1\": \"{}\"\n}}\n", "a".repeat(64)));
    project.build(&[]);
    let told = project.explain("one@tag=1");
    assert!(told.contains(" (the index") && told.contains(" (its config)\n"), "{told}");
    project.run(&["gc"]).exits(exit::DONE);
    assert_eq!(project.explain("one@tag=1"), told);
}

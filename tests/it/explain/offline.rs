//! With `--offline`, those who look say what an offline build does.

use crate::support::project::Project;
use crate::support::stock;
use crate::support::words::{exit, outcome};

use super::{assert_says, tags_of};

/// One row of `status`: stale and missing together, failed, blocked.
fn row(project: &Project, args: &[&str], target: &str) -> [u64; 3] {
    let run = project.run(&[&["status", "--format", "json"], args].concat()).exits(exit::DONE);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&run.stdout).expect("rows");
    let row = rows.into_iter().find(|row| row["target"] == target).expect("a row");
    let count = |name: &str| row[name].as_u64().expect("a number");
    [count("stale") + count("missing"), count("failed"), count("blocked")]
}

#[test]
fn what_is_old_is_kept_and_what_was_never_asked_fails() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/busybox"]));
    project.edit("result/tags/{repo}.json\n", "result/tags/{repo}.json\n    fresh: digest\n");
    project.build(&[]);
    let (step, offline) = ("get_tag@repo=library/busybox", ["--offline"]);
    assert_says(&project.run(&["plan"]).stdout, &[&format!("run      {step}  freshness: asked each time (digest)")]);
    assert_says(&project.run(&["plan", "--offline"]).stdout, &["all 4 steps are up to date"]);
    assert_says(
        &project.run(&["explain", step, "--offline"]).stdout,
        &[
            &format!("{step}: up to date"),
            "fresh     digest (offline: an answer is kept, however old)",
            "again if  its source, asked in each build without `--offline`, answers otherwise",
        ],
    );
    assert_eq!((row(&project, &[], "get_tag"), row(&project, &offline, "get_tag")), ([1, 0, 0], [0, 0, 0]));
    project.build(&["--offline"]).assert_nothing_done();

    // Never asked, or without what it is made from.
    project.edit("[library/busybox]", "[library/busybox, library/redis]");
    let new = "get_tag@repo=library/redis";
    let source = format!("registry {}", registry.url());
    let why = format!("offline, and what it asks of {source} is not in the store");
    assert_says(&project.run(&["plan"]).stdout, &[&format!("run      {new}  first build")]);
    let plan = project.run(&["plan", "--offline"]).exits(exit::DONE).stdout;
    assert_says(&plan, &[&format!("failed   {new}  {why} (first build)"), &format!("blocked  stat_layer  {new}")]);
    let explained = project.run(&["explain", new, "--offline"]).stdout;
    assert_says(&explained, &[&format!("{new}: failed"), &format!("says      {why}"), "without `--offline`"]);
    assert!(!explained.contains("a build   "), "{explained}");
    assert_says(&project.run(&["explain", "stat_layer", "--offline"]).stdout, &["stat_layer: blocked", new]);
    assert_eq!(row(&project, &offline, "get_tag"), [0, 1, 0]);
    assert_eq!(row(&project, &offline, "stat_layer"), [0, 0, 1]);
    let report = project.build_exits(exit::FAILED, &["--offline"]);
    assert_eq!(report.step(new).outcome, outcome::FAILED);
    assert_eq!(report.step("stat_layer").outcome, outcome::BLOCKED);
}

#[test]
fn what_is_made_again_from_the_store_is_and_what_the_store_lacks_fails() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/nginx"]));
    project.build(&[]);
    let step = "get_layer_all@repo=library/nginx,tag=1.26";
    project.remove("result/layers/library/nginx/1.26.json");
    assert_says(&project.run(&["plan", "--offline"]).stdout, &[&format!("run      {step}  missing output")]);
    project.build(&["--offline"]).assert_only(&[step]);

    // Its manifest, then its config.
    let manifest = stock::nginx("amd64", "1.26.2").manifest(crate::support::images::Format::Oci);
    let config: serde_json::Value = serde_json::from_slice(&manifest.blob.bytes).expect("JSON");
    let config = config["config"]["digest"].as_str().expect("a digest").to_owned();
    for (digest, what) in [(manifest.digest().to_owned(), "manifest"), (config, "config")] {
        let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/nginx"]));
        project.build(&[]);
        project.remove("result/layers/library/nginx/1.26.json");
        project.remove(&format!(".layermill/store/blobs/sha256/{}", &digest["sha256:".len()..]));
        let why = format!("offline, and the {what} {digest} of library/nginx:1.26 is not in the store");
        assert_says(&project.run(&["plan"]).stdout, &[&format!("run      {step}  missing output")]);
        assert_says(
            &project.run(&["plan", "--offline"]).stdout,
            &[&format!("failed   {step}  {why}"), "blocked  stat_layer"],
        );
        let report = project.build_exits(exit::FAILED, &["--offline"]);
        assert_eq!(report.step(step).outcome, outcome::FAILED);
    }

    // What is there and damaged is not told as if nothing were.
    let digest = manifest.digest();
    project.remove("result/layers/library/nginx/1.26.json");
    project.write(&format!(".layermill/store/blobs/sha256/{}", &digest["sha256:".len()..]), "damaged");
    let why =
        format!("offline, and an undamaged copy of the manifest {digest} of library/nginx:1.26 is not in the store");
    assert_says(&project.run(&["plan", "--offline"]).stdout, &[&format!("failed   {step}  {why}")]);
    assert_says(&project.explain(step), &[&format!("read      {digest} (what the tag had, damaged in the store)\n")]);
    project.build(&[]);
    assert_says(&project.explain(step), &[&format!("read      {digest} (the manifest)\n")]);
}

#[test]
fn a_size_that_nobody_has_asked_for_is_not_told_as_known() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/redis"]));
    project.build(&[]);
    project.edit(
        "result/layers/{repo}/{tag}.json\n\n  stat",
        "result/layers/{repo}/{tag}.json\n    sizes: uncompressed\n\n  stat",
    );
    let step = "get_layer_all@repo=library/redis,tag=6";
    let why = "offline, and the unpacked size of the layer sha256:";
    assert_says(
        &project.run(&["plan", "--offline"]).stdout,
        &[&format!("failed   {step}  {why}"), "blocked  stat_layer"],
    );
    // How many there are is told, too.
    let layers = stock::redis("6.2.16").layers().count();
    assert_says(&project.explain(step), &[&format!(" (and of {} more) of library/redis:6\n", layers - 1)]);
    assert_eq!(project.build_exits(exit::FAILED, &["--offline"]).step(step).outcome, outcome::FAILED);
    project.build(&[]);
    project.remove("result/layers/library/redis/6.json");
    assert_says(&project.run(&["plan", "--offline"]).stdout, &[&format!("run      {step}  missing output")]);
    project.build(&["--offline"]).assert_only(&[step]);
}

#[test]
fn a_layout_needs_no_network() {
    let project = super::tags_of("library/nginx");
    assert_says(&project.run(&["plan", "--offline"]).stdout, &["run      tags@repo=library/nginx  first build"]);
    assert_eq!(project.build(&["--offline"]).failed, 0);
}

#[test]
fn an_absence_that_failed_offline_is_told_as_failed_until_its_source_is_asked_again() {
    let project = tags_of("library/none");
    project.edit("foreach", "fresh: digest, missing: ok, foreach");
    let more = "  copy: {rule: command, inputs: [tags], run: \"cat /dev/null {in} > {out}\", output: copy.json}\n";
    project.write("pipeline.yaml", project.read("pipeline.yaml") + more);
    project.build(&[]);
    project.edit("missing: ok", "missing: error");
    let step = "tags@repo=library/none";
    assert_says(&project.explain(step), &[&format!("{step}: stale\n")]);
    project.build_exits(exit::FAILED, &["--offline"]);
    assert_says(
        &project.explain(step),
        &[&format!("{step}: failed\n"), "  failed    20", "no repository library/none"],
    );
    assert_eq!(row(&project, &[], "tags"), [0, 1, 0]);
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["(failed when it was last tried)\n", &format!("copy  upstream: {step} is tried again")]);
    project.edit("missing: error", "missing: ok");
    assert_says(&project.explain(step), &[&format!("{step}: stale\n")]);
    project.build(&[]);
    assert!(!project.exists(".layermill/failures.json"));
}

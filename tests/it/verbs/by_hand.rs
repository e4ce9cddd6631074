//! `--refresh=` and `--force=` that do nothing say so.

use crate::support::project::Project;
use crate::support::sample;
use crate::support::words::exit;

#[test]
fn what_is_named_in_vain_is_told_with_why() {
    let project = Project::new(
        "version: 1
sources: {shelf: {kind: oci-layout, path: images}}
targets:
  tags: {rule: tags, source: shelf, foreach: {repo: [library/redis]}, output: \"tags/{repo}.json\"}
  layers: {rule: layers, source: shelf, foreach: {tag: {from: tags, select: latest}}, output: \"layers/{repo}/{tag}.json\"}
  csv: {rule: stat, inputs: [layers], output: stat.csv}
  other: {rule: command, foreach: {n: [1, 2]}, run: \"echo {n} > {out}\", output: \"other/{n}.txt\"}
",
    );
    project.layout("images", &sample::images());
    project.build(&[]);
    let note = |args: &[&str]| {
        let planned = project.run(&[&["plan"], args].concat()).exits(exit::DONE).stdout;
        let built = project.run(&[&["build"], args].concat()).exits(exit::DONE).stderr;
        let [planned, built] = [planned, built].map(|text| {
            let in_vain = |line: &&str| line.contains("does nothing");
            let line = text.lines().filter_map(|line| line.strip_prefix("note ")).find(in_vain);
            line.map(|line| line.trim().to_owned())
        });
        assert_eq!(planned, built, "{args:?}");
        planned.unwrap_or_default()
    };
    let apart = "does nothing: it is not among what is built";
    for chosen in ["other", "other@n=1", "other/2.txt"] {
        assert_eq!(note(&["csv", &format!("--force={chosen}")]), format!("`--force={chosen}` {apart}"));
        assert_eq!(note(&["csv", &format!("--refresh={chosen}")]), format!("`--refresh={chosen}` {apart}"));
    }
    assert_eq!(note(&["other@n=1", "--force=other@n=2"]), format!("`--force=other@n=2` {apart}"));
    let asks_nothing = "does nothing: it asks no source by itself; `--force` makes it again";
    for chosen in ["csv", "layers"] {
        assert_eq!(note(&[&format!("--refresh={chosen}")]), format!("`--refresh={chosen}` {asks_nothing}"));
    }
    let offline = "`--refresh` does nothing: with `--offline`, no source is asked";
    assert_eq!(note(&["--refresh", "--offline"]), offline);
    // What does something is no matter for a note, also where there is none of it yet.
    assert_eq!(note(&["csv", "--refresh=tags", "--force=layers"]), "");
    project.run(&["clean", "tags", "layers"]);
    std::fs::remove_dir_all(project.path(".layermill")).expect("removed");
    let plan = project.run(&["plan", "csv", "--force=layers@repo=library/redis,tag=latest"]).exits(exit::DONE).stdout;
    assert!(!plan.contains("note "), "{plan}");
    let json = project.run(&["plan", "csv", "--force=other", "--format", "json"]).exits(exit::DONE).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["in_vain"], serde_json::json!([format!("`--force=other` {apart}")]));
}

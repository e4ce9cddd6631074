//! The examples of the documentation: each is a whole file that works as it stands.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::project::{Project, Running};
use crate::support::words::exit;

/// The pipeline files that a page shows.
pub fn examples(page: &str) -> Vec<&str> {
    page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn each_example_of_a_pipeline_file_is_one_that_works() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages =
        fs::read_dir(repository.join("docs")).expect("the documentation").map(|page| page.expect("a page").path());
    let pages = pages.filter(|page| page.extension().is_some_and(|ending| ending == "md"));
    let mut shown = 0;
    for page in pages.chain([repository.join("README.md")]) {
        for example in examples(&fs::read_to_string(&page).expect("read")) {
            let first = example.lines().find(|line| !line.starts_with('#'));
            assert_eq!(first, Some("version: 1"), "{}: an example is no whole file:\n{example}", page.display());
            let project = Project::new(example);
            project.write("etc/image.lst", "library/busybox\n");
            project.write("etc/image.csv", "name\nlibrary/busybox\n");
            let mut command = project.command(&["plan"]);
            command.env("REGISTRY_PASSWORD", "unused");
            Running::spawn(command).wait().exits(exit::DONE);
            shown += 1;
        }
    }
    assert!(shown > 15, "{shown} examples");
}

const MANUAL: &str = include_str!("../../docs/pipeline.md");

/// What the first column of the table with this heading names.
fn named_in_table(heading: &str) -> BTreeSet<String> {
    let (_, table) = MANUAL.split_once(&format!("| {heading} | what it is")).expect("the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let names = rows.flat_map(|row| row.split('|').nth(1).expect("a cell").split(','));
    names.map(|name| name.trim().trim_matches('`').to_owned()).collect()
}

#[test]
fn each_example_of_a_file_is_what_the_sample_gives() {
    let project = Project::clone_of_the_repository("clone");
    let more = "  platforms: {rule: platforms, source: sample, foreach: {repo: [library/nginx], tag: [latest]}, \
                output: \"result/platforms/{repo}/{tag}.json\"}
  list: {rule: repositories, source: sample, namespace: library, output: result/owners/library.json}
";
    project.write("pipeline.yaml", project.read("pipeline.yaml") + more);
    project.build(&["get_tag", "stat_layer", "platforms", "list"]);
    let mut shown = 0;
    for (before, rest) in MANUAL.match_indices(" of the sample:\n\n```").map(|(at, _)| MANUAL.split_at(at)) {
        let path = before.rsplit('`').nth(1).expect("a path");
        let text = rest.split("```").nth(1).and_then(|block| block.split_once('\n')).expect("an example").1;
        assert_eq!(text, project.read(path), "{path}");
        shown += 1;
    }
    assert_eq!(shown, 5);
}

#[test]
fn the_table_of_the_layer_file_names_every_field_that_is_written_and_no_other() {
    let project = Project::clone_of_the_repository("clone");
    project.edit(
        "output: result/layers/{repo}/{tag}.json\n\n  get_layer_all",
        "sizes: uncompressed\n    output: result/layers/{repo}/{tag}.json\n\n  get_layer_all",
    );
    // A blob that the source does not have is one whose unpacked size is not to be had.
    project.remove("etc/sample/blobs/sha256/220a10fb287399447aba45b8c34959d1943d614bf99a579f5aaafa9252bca418");
    project.build(&["get_layer_latest"]);
    let file = project.json("result/layers/library/alpine/latest.json");
    let fields = |at: &str, value: &Value| -> Vec<String> {
        value.as_object().expect("an object").keys().map(|key| format!("{at}{key}")).collect()
    };
    let image = &file[0];
    let layers = image["layers"].as_array().expect("layers");
    let of_layers = layers.iter().flat_map(|layer| fields("layers[].", layer));
    let of_image = fields("", image).into_iter().filter(|field| field != "repo");
    let written: BTreeSet<_> = fields("repo.", &image["repo"]).into_iter().chain(of_image).chain(of_layers).collect();
    assert_eq!(named_in_table("field"), written);
}

#[test]
fn the_table_of_columns_names_all_that_stat_takes() {
    let project = Project::clone_of_the_repository("clone");
    project.write(
        "pipeline.yaml",
        project.read("pipeline.yaml") + "  s: {rule: stat, inputs: [get_tag], columns: [none], output: r/s}\n",
    );
    let run = project.run(&["plan"]).exits(exit::WRONG);
    let expected = run.stderr.split_once("expected").and_then(|(_, rest)| rest.split_once("found")).expect("said").0;
    let taken: BTreeSet<_> = expected.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    assert_eq!(named_in_table("column"), taken);
}

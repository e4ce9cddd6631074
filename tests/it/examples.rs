//! The examples of the documentation: each is a whole file that works as it stands.

use std::fs;
use std::path::Path;

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

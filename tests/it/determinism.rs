//! The same inputs give the same bytes.

use crate::support::fault::{self, Server, Shelf};
use crate::support::images::Format;
use crate::support::project::Project;
use crate::support::{sample, stock};

/// The sample's repositories, in no order.
const REPOSITORIES: [&str; 8] = [
    "library/redis",
    "library/alpine",
    "library/python",
    "library/node",
    "library/busybox",
    "library/registry",
    "library/postgres",
    "library/nginx",
];

fn over_sample(name: &str) -> Project {
    let project = Project::named(name, &stock::pipeline_for("unused", &REPOSITORIES));
    project.edit("{kind: registry, url: \"unused\"}", "{kind: oci-layout, path: images}");
    project.layout("images", &sample::images());
    project
}

#[test]
fn any_number_of_jobs_gives_the_same_bytes() {
    let registry = stock::registry();
    let [one, many] = ["-j1", "-j16"].map(|jobs| {
        let project = Project::new(&stock::pipeline(&registry.url()));
        project.build(&[jobs]);
        project.snapshot()
    });
    one.assert_same_bytes(&many, "result/");

    let [one, many] = ["-j1", "-j16"].map(|jobs| {
        let project = over_sample("project");
        project.build(&[jobs]);
        project.snapshot()
    });
    one.assert_same_bytes(&many, "result/");
}

#[test]
fn two_clones_give_the_same_bytes() {
    let [one, other] = ["a", "another folder of another length"].map(|name| {
        let project = over_sample(name);
        project.build(&[]);
        project.snapshot()
    });
    one.assert_same_bytes(&other, "result/");
}

#[test]
fn the_order_of_lists_changes_no_bytes() {
    let project = over_sample("project");
    project.build(&[]);
    let mut sorted = REPOSITORIES;
    sorted.sort_unstable();
    let other = over_sample("project");
    other.edit(&REPOSITORIES.join(", "), &sorted.join(", "));
    other.build(&[]);
    project.snapshot().assert_same_bytes(&other.snapshot(), "result/");
}

#[test]
fn the_order_in_which_a_registry_answers_changes_no_bytes() {
    let tags: Vec<String> = (0..30).map(|n| format!("1.{n}")).collect();
    let snapshots = [false, true].map(|reversed| {
        let mut shelf = Shelf::default();
        for tag in &tags {
            shelf.put(&format!("library/redis:{tag}"), &stock::redis(tag).manifest(Format::Oci));
        }
        let server = Server::start(move |request| {
            if request.path.ends_with("/tags/list") {
                let mut tags = shelf.tags("library/redis");
                if reversed {
                    tags.reverse();
                }
                return fault::tag_list("library/redis", tags);
            }
            shelf.answer(request)
        });
        let project = Project::new(&stock::pipeline_for(&server.url(), &["library/redis"]));
        project.build(&["-j16"]);
        project.snapshot()
    });
    snapshots[0].assert_same_bytes(&snapshots[1], "result/");
}

#[test]
fn a_warm_build_and_a_cold_one_give_the_same_bytes() {
    let registry = stock::registry();
    let warm = Project::new(&stock::pipeline(&registry.url()));
    warm.build(&[]);
    registry.push("library/redis:latest", &stock::redis("8.0.0").manifest(Format::Oci));
    registry.push("library/nginx:latest", &stock::nginx_index("1.29.0", ""));
    warm.build(&["--refresh"]);
    let cold = Project::new(&stock::pipeline(&registry.url()));
    cold.build(&[]);
    warm.snapshot().assert_same_bytes(&cold.snapshot(), "result/");
}

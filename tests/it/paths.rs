//! Inputs that are named by a path which may be read as that of several steps.

use crate::support::project::Project;
use crate::support::stock;
use crate::support::words::exit;

const COVER: &str =
    "  cover: {rule: command, foreach: {lang: [en, de]}, run: \"echo {lang} > {out}\", output: \"r/{lang}.html\"}\n";

fn page(chapters: &str) -> String {
    format!(
        "  page: {{rule: command, foreach: {{lang: [en, de], ch: {chapters}}}, inputs: [\"src/{{ch}}\"], \
         run: \"cat {{in}} > {{out}}\", output: \"r/{{lang}}/{{ch}}.html\"}}\n"
    )
}

const HOME: &str = "  home: {rule: command, inputs: [r/en/intro.html], run: \"cat {in} > {out}\", output: home.html}\n";

fn project(targets: &[&str]) -> Project {
    let project = Project::new(&format!("version: 1\ntargets:\n{}", targets.concat()));
    project.write("src/intro", "1\n");
    project
}

#[test]
fn a_path_is_of_the_target_whose_lists_have_its_values() {
    let toc = "  toc: {rule: command, run: \"echo intro > {out}\", output: toc}\n";
    for page in [page("[intro]"), toc.to_owned() + &page("{from: toc, lines: true}")] {
        let project = project(&[COVER, &page, HOME]);
        let report = project.build(&[]);
        assert_eq!(report.failed, 0, "{}", report.listing());
        assert!(project.exists("r/en.html"), "nobody needs it, so that it is asked for");
        project.write("src/intro", "2\n");
        project.build(&[]);
        assert_eq!(project.read("home.html"), "2\n");
    }
}

#[test]
fn the_order_of_targets_does_not_make_a_circle() {
    let cover = COVER.replace("run:", "inputs: [r/en/intro.html], run:");
    for targets in [[&page("[intro]"), &cover], [&cover, &page("[intro]")]] {
        let project = project(&targets.map(String::as_str));
        assert_eq!(project.build(&[]).failed, 0);
        assert!(project.exists("r/en/intro.html"));
    }
}

#[test]
fn the_file_of_one_platform_is_an_input_by_its_path() {
    let project = Project::new(
        "version: 1
sources: {s: {kind: oci-layout, path: images}}
targets:
  t: {rule: tags, source: s, foreach: {repo: [library/nginx]}, output: \"t/{repo}.json\"}
  l: {rule: layers, source: s, foreach: {tag: {from: t, select: all}}, platform: all, output: \"l/{repo}/{tag}/{platform}.json\"}
  pick: {rule: command, inputs: [l/library/nginx/latest/linux/arm64.json], run: \"cp {in} {out}\", output: pick}
",
    );
    project.layout("images", &[("library/nginx:latest".into(), stock::nginx_index("1.27.2", ""))]);
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert!(!plan.contains("failed"), "{plan}");
    project.build(&[]);
    assert_eq!(project.read("pick"), project.read("l/library/nginx/latest/linux/arm64.json"));
}

#[test]
fn a_path_that_is_taken_for_another_target_s_says_which_one_to_name() {
    let read = |text: &str| text.replace("[en, de]", "{lines: langs}");
    let toc = "  toc: {rule: command, run: \"echo intro > {out}\", output: toc}\n";
    let project = project(&[toc, &read(COVER), &read(&page("{from: toc, lines: true}")), HOME]);
    project.write("langs", "en\nde\n");
    let run = project.run(&["build"]).exits(exit::FAILED);
    run.says("no step of `cover` makes it; where it is one of `page`, name that target");
    project.edit("inputs: [r/en/intro.html]", "inputs: [page]");
    assert_eq!(project.build(&[]).failed, 0);
}

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
    // Nothing is sure to fail; whether there is such a platform is still to be seen.
    assert!(!plan.contains("failed ") && plan.contains("run?     pick"), "{plan}");
    project.build(&[]);
    assert_eq!(project.read("pick"), project.read("l/library/nginx/latest/linux/arm64.json"));
}

#[test]
fn a_path_of_a_target_that_waits_for_its_reader_says_which_target_it_fits() {
    let read = |text: &str| text.replace("[en, de]", "{lines: langs}");
    let toc = "  toc: {rule: command, inputs: [home.html], run: \"echo intro > {out}\", output: toc}\n";
    let project = project(&[toc, &read(COVER), &read(&page("{from: toc, lines: true}")), HOME]);
    project.write("langs", "en\nde\n");
    let run = project.run(&["build"]).exits(exit::FAILED);
    run.says("no step of `cover` makes it; where it is one of `page`, name that target");
}

/// A list of values by name: written in the pipeline, in a file, or made by a step.
fn lists(kind: &str) -> (String, String, String) {
    let list = |name: &str, values: &str| match kind {
        "written" => values.to_owned(),
        "file" => format!("{{lines: etc/{name}}}"),
        _ => format!("{{from: {name}, lines: true}}"),
    };
    let maker = |name: &str| {
        format!("  {name}: {{rule: command, inputs: [etc/{name}], run: \"cp {{in}} {{out}}\", output: list/{name}}}\n")
    };
    (maker("svc") + &maker("env"), list("svc", "[web-front, web]"), list("env", "[eu-west, us]"))
}

#[test]
fn a_path_is_the_file_of_the_step_that_makes_it_in_whatever_way_it_may_be_read() {
    for kind in ["written", "file", "made"] {
        let (makers, svc, env) = lists(kind);
        let step = |name: &str, foreach: &str, output: &str| {
            format!(
                "  {name}: {{rule: command, foreach: {{{foreach}}}, inputs: [etc/text], \
                 run: \"echo {name} | cat - {{in}} > {{out}}\", output: \"{output}\"}}\n"
            )
        };
        let of_each = format!("svc: {svc}, env: {env}");
        let conf = step("conf", &of_each, "r/{svc}/{env}");
        let head = step("head", &format!("svc: {svc}"), "r/{svc}");
        let dash = step("dash", &of_each, "r/{svc}-{env}");
        for (targets, path, maker) in [
            (vec![&dash], "r/web-eu-west", "dash@svc=web,env=eu-west"),
            (vec![&dash], "r/web-front-eu-west", "dash@svc=web-front,env=eu-west"),
            (vec![&conf, &head], "r/web/eu-west", "conf@svc=web,env=eu-west"),
            (vec![&head, &conf], "r/web/eu-west", "conf@svc=web,env=eu-west"),
        ] {
            let targets: String = targets.into_iter().map(String::as_str).collect();
            // Of what makes a folder where another makes a file, both would fail.
            let targets = targets.replace("output: \"r/{svc}\"", "output: \"r/{svc}/all\"");
            let project = Project::new(&format!(
                "version: 1\ntargets:\n{makers}{targets}  use: {{rule: command, inputs: [{path}], run: \"cp {{in}} {{out}}\", output: use}}\n"
            ));
            project.write("etc/svc", "web-front\nweb\n");
            project.write("etc/env", "eu-west\nus\n");
            let case = format!("{kind}, {path}");
            for text in ["1\n", "2\n"] {
                project.write("etc/text", text);
                let plan = project.plan(&["use"]);
                assert!(kind == "made" && text == "1\n" || plan.names().contains(&maker), "{case}: {}", plan.listing());
                let report = project.build(&["use"]);
                assert_eq!(report.failed, 0, "{case}: {}", report.listing());
                assert_eq!(project.read("use").lines().last(), text.lines().last(), "{case}");
                let others = report.names().into_iter().filter(|name| name.contains('@') && *name != maker).count();
                assert_eq!(others, 0, "{case}: what is not needed is not made: {}", report.listing());
                project.build(&["use"]).assert_nothing_done();
            }
            assert!(project.explain("use").contains(&format!("of {maker}")), "{case}");
            project.build(&[]);
            project.write("etc/text", "3\n");
            project.build(&[]);
            assert!(project.read("use").ends_with("3\n"), "{case}");
        }
    }
}

#[test]
fn a_list_that_cannot_be_made_keeps_nobody_from_a_file_that_is_made_without_it() {
    let (_, _, env) = lists("written");
    let other = "  list: {rule: command, run: \"false\", output: list}
  head: {rule: command, foreach: {svc: {from: list, lines: true}}, run: \"echo > {out}\", output: \"r/{svc}.y\"}\n";
    let conf = format!(
        "  conf: {{rule: command, foreach: {{env: {env}}}, run: \"echo {{env}} > {{out}}\", output: \"r/conf/{{env}}.y\"}}\n"
    );
    let project = project(&[
        other,
        &conf,
        "  use: {rule: command, inputs: [r/conf/us.y], run: \"cp {in} {out}\", output: use}\n",
    ]);
    project.build_exits(exit::FAILED, &[]);
    assert_eq!(project.read("use"), "us\n");
}

#[test]
fn a_folder_in_which_a_step_writes_is_no_input_wherever_its_values_come_from() {
    for kind in ["written", "file", "made"] {
        let (makers, svc, _) = lists(kind);
        let project = Project::new(&format!(
            "version: 1\ntargets:\n{makers}  page: {{rule: command, foreach: {{svc: {svc}}}, run: \"sleep .1; echo > {{out}}\", \
             output: \"r/{{svc}}/x\"}}
  use: {{rule: command, inputs: [r/web], run: \"cat {{in}}/x > {{out}}\", output: use}}
  mine: {{rule: command, inputs: [./etc], run: \"ls {{in}} > {{out}}\", output: mine}}\n"
        ));
        project.write("etc/svc", "web-front\nweb\n");
        project.write("etc/env", "eu-west\nus\n");
        // Also where the folder is there already, and where only its reader is asked for.
        for asked in [&["mine", "page", "use"][..], &["use"], &[]] {
            let report = project.build_exits(exit::FAILED, asked);
            let says = report.step("use").message.clone().unwrap_or_default();
            assert!(says.contains("the input r/web is a folder that page@svc=web writes in"), "{kind}: {says}");
            assert_eq!(report.failed, 1, "{kind}: {}", report.listing());
        }
        assert!(project.explain("use").contains("name the target, `page`"), "{kind}");
        assert_eq!(project.read("mine"), "env\nsvc\n");
    }
}

#[test]
fn a_folder_of_steps_is_no_input_either_where_its_path_fits_a_pattern_or_ends_within_a_value() {
    for kind in ["written", "file", "made"] {
        let (makers, svc, _) = lists(kind);
        let project = Project::new(&format!(
            "version: 1\ntargets:\n{makers}  bin: {{rule: command, foreach: {{svc: {svc}, platform: [linux/amd64, linux/arm64]}}, \
             inputs: [etc/text], run: \"cp {{in}} {{out}}\", output: \"r/{{svc}}/{{platform}}\"}}
  use: {{rule: command, inputs: [r/web/linux], run: \"cat {{in}}/* > {{out}}\", output: use}}\n"
        ));
        project.write("etc/svc", "web-front\nweb\n");
        project.write("etc/env", "");
        project.write("etc/text", "1\n");
        // Who reads it alone is told the same as who builds all.
        for asked in [&["bin"][..], &["use"], &[], &["use"]] {
            let report = project.run(&[&["build"], asked].concat());
            if asked != ["bin"] {
                let folder = "the input r/web/linux is a folder that bin@svc=web,platform=linux/amd64 writes in";
                report.exits(exit::FAILED).says(folder);
                assert!(project.explain("use").contains(folder), "{kind}");
            }
        }
    }
}

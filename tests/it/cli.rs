//! The command line: verbs, flags, exit codes.

use serde_json::Value;

use crate::support::project::Project;
use crate::support::words::{self, exit, outcome};
use crate::support::{sample, stock};

const PIPELINE: &str = "version: 1
default: [whole]
vars: {word: plain}
profiles:
  loud: {vars: {word: LOUD}}
targets:
  part: {rule: command, foreach: {n: [1, 2]}, run: \"echo ${word} {n} > {out}\", output: \"result/part/{n}.txt\"}
  whole: {rule: command, inputs: [part], run: \"cat {in} > {out}\", output: result/whole.txt}
";

#[test]
fn without_a_verb_or_with_a_wrong_one_the_usage_is_shown() {
    let project = Project::new(PIPELINE);
    let help = project.run(&["--help"]).exits(exit::DONE);
    for verb in ["build", "plan", "explain", "status", "graph", "clean", "init", "schema", "completions"] {
        assert!(help.stdout.contains(verb), "{verb} is not in the help\n{help}");
    }
    project.run(&["biuld"]).exits(exit::WRONG).says("build");
    project.run(&["build", "--no-such-flag"]).exits(exit::WRONG).says("--no-such-flag");
    assert_eq!(project.run(&["help", "build"]).exits(exit::DONE).stdout, project.run(&["build", "--help"]).stdout);
    let version = project.run(&["--version"]).exits(exit::DONE);
    assert_eq!(version.stdout.trim(), concat!("layermill ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_plan_says_what_would_run_and_writes_nothing() {
    let project = Project::new(PIPELINE);
    let plan = project.plan(&[]);
    plan.assert_only(&["part@n=1", "part@n=2", "whole"]);
    let run = project.run(&["plan"]).exits(exit::DONE);
    assert!(run.stdout.contains("part@n=1") && run.stdout.contains("whole"), "{run}");
    assert_eq!(project.snapshot().names(), ["pipeline.yaml"]);
    assert!(!project.exists("result"));

    project.build(&[]);
    project.plan(&[]).assert_nothing_done();
    project.remove("result/part/1.txt");
    // It comes back from the store as it was: `whole` need not run.
    project.plan(&[]).assert_only(&["part@n=1"]);
    // Where it has to be made, that it comes out the same is not known before it has run.
    std::fs::remove_dir_all(project.path(".layermill/store/blobs")).expect("removed");
    project.plan(&[]).assert_only(&["part@n=1", "whole"]);
}

#[test]
fn a_plan_takes_dynamic_axes_from_the_outputs_that_are_there() {
    let project = Project::new(&stock::pipeline_for("unused", &["library/busybox"]));
    project.edit("{kind: registry, url: \"unused\"}", "{kind: oci-layout, path: images}");
    project.layout("images", &sample::images());
    assert_eq!(project.plan(&[]).of("get_layer_all"), [""; 0], "the tags are not known yet");
    let run = project.run(&["plan"]).exits(exit::DONE);
    assert!(run.stdout.contains("get_layer_all"), "that there may be more is not said\n{run}");
    project.build(&["get_tag"]);
    assert_eq!(project.plan(&[]).of("get_layer_all").len(), 4);
}

#[test]
fn status_counts_by_target() {
    let project = Project::new(PIPELINE);
    project.build(&[]);
    project.remove("result/part/1.txt");
    let status = project.run(&["status"]).exits(exit::DONE);
    assert!(status.stdout.contains("part") && status.stdout.contains("whole"), "{status}");
    let json = project.run(&["status", "--format", "json"]).exits(exit::DONE);
    let json: Value = serde_json::from_str(&json.stdout).unwrap_or_else(|e| panic!("{e}\n{json}"));
    let part = json.as_array().and_then(|t| t.iter().find(|t| t["target"] == "part")).expect("the target part");
    assert_eq!((&part["up_to_date"], &part["missing"]), (&Value::from(1), &Value::from(1)), "{json}");
}

#[test]
fn the_graph_is_drawn_in_several_forms() {
    let project = Project::new(PIPELINE);
    let graph = |args: &[&str]| project.run(&[&["graph"], args].concat()).exits(exit::DONE).stdout;
    let text = graph(&[]);
    assert!(text.contains("part") && text.contains("whole"), "{text}");
    let dot = graph(&["--format", "dot"]);
    assert!(dot.starts_with("digraph") && dot.contains("part") && dot.contains("->"), "{dot}");
    let mermaid = graph(&["--format", "mermaid"]);
    assert!(mermaid.starts_with("flowchart") || mermaid.starts_with("graph"), "{mermaid}");
    assert!(mermaid.contains("-->"), "{mermaid}");
    let json: Value = serde_json::from_str(&graph(&["--format", "json"])).expect("JSON");
    assert!(json.to_string().contains("whole"), "{json}");
    let steps = graph(&["--steps", "--format", "dot"]);
    assert!(steps.contains("part@n=1") && steps.contains("part@n=2"), "{steps}");
    assert_eq!(project.snapshot().names(), ["pipeline.yaml"]);
}

#[test]
fn clean_removes_outputs_and_nothing_else() {
    let project = Project::new(PIPELINE);
    project.build(&[]);
    project.write("result/mine.txt", "not layermill's\n");
    project.run(&["clean", "whole"]).exits(exit::DONE);
    assert!(!project.exists("result/whole.txt") && project.exists("result/part/1.txt"));
    let before = project.snapshot();
    let run = project.run(&["clean"]).exits(exit::WRONG).says("--yes removes them");
    assert!(run.stdout.contains("remove  result/part/1.txt") && !run.stdout.contains("mine.txt"), "{run}");
    assert_eq!(before.changes(&project.snapshot()), [""; 0]);
    project.run(&["clean", "--yes"]).exits(exit::DONE);
    project.run(&["clean"]).exits(exit::DONE);
    assert_eq!(project.snapshot().names(), ["pipeline.yaml", "result/mine.txt"]);
    project.build(&[]);
    assert!(project.exists("result/whole.txt"));
}

#[test]
fn init_writes_a_pipeline_that_works_and_never_over_another() {
    let project = Project::new("");
    project.remove("pipeline.yaml");
    project.run(&["init"]).exits(exit::DONE);
    project.run(&["plan"]).exits(exit::DONE);
    project.write("pipeline.yaml", PIPELINE);
    let run = project.run(&["init"]);
    assert_ne!(run.code, exit::DONE, "{run}");
    assert_eq!(project.read("pipeline.yaml"), PIPELINE);
}

#[test]
fn the_schema_is_json_schema_and_knows_the_rules() {
    let project = Project::new(PIPELINE);
    let run = project.run(&["schema"]).exits(exit::DONE);
    let schema: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}\n{run}"));
    assert!(schema["$schema"].as_str().is_some_and(|s| s.contains("json-schema.org")), "{schema}");
    assert_eq!(schema["type"], "object");
    for key in ["version", "default", "vars", "sources", "profiles", "targets"] {
        assert!(schema["properties"][key].is_object(), "{key} is not in the schema");
    }
    for rule in ["tags", "layers", "stat", "command"] {
        assert!(run.stdout.contains(&format!("\"{rule}\"")), "{rule} is not in the schema");
    }
}

#[test]
fn the_schema_that_editors_find_is_the_one_that_is_printed() {
    let printed = Project::new("").run(&["schema"]).exits(exit::DONE).stdout;
    let shipped = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/pipeline.schema.json"));
    assert_eq!(printed, shipped.expect("docs/pipeline.schema.json"), "layermill schema > docs/pipeline.schema.json");
    let pipeline =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/pipeline.yaml")).expect("pipeline.yaml");
    assert!(pipeline.starts_with("# yaml-language-server: $schema=docs/pipeline.schema.json\n"));
}

#[test]
fn completions_are_there_for_shells() {
    let project = Project::new(PIPELINE);
    for shell in ["bash", "zsh", "fish"] {
        let run = project.run(&["completions", shell]).exits(exit::DONE);
        assert!(run.stdout.contains("layermill") && run.stdout.contains("explain"), "{shell}\n{run}");
    }
}

#[test]
fn the_pipeline_can_be_elsewhere_and_paths_are_relative_to_it() {
    let project = Project::new("");
    project.remove("pipeline.yaml");
    project.write("deep/other.yaml", PIPELINE);
    project.run(&["build", "-f", "deep/other.yaml"]).exits(exit::DONE);
    assert!(project.exists("deep/result/whole.txt") && project.exists("deep/.layermill"));
    project.write("deeper/pipeline.yaml", PIPELINE);
    project.run(&["-C", "deeper", "build"]).exits(exit::DONE);
    assert!(project.exists("deeper/result/whole.txt"));
    project.write("deeper/still/here", "");
    for output in ["../result/whole.txt", "../still/../result/whole.txt"] {
        project.run(&["-C", "deeper/still", "build", output]).exits(exit::DONE);
    }
    assert!(!project.exists("result") && !project.exists(".layermill"));
}

#[test]
fn variables_are_set_by_flags_and_profiles() {
    let project = Project::new(PIPELINE);
    project.build(&["--profile", "loud"]);
    assert_eq!(project.read("result/whole.txt"), "LOUD 1\nLOUD 2\n");
    project.build(&["--set", "word=said"]);
    assert_eq!(project.read("result/whole.txt"), "said 1\nsaid 2\n");
    project.build(&["--profile", "loud", "--set", "word=last"]);
    assert_eq!(project.read("result/whole.txt"), "last 1\nlast 2\n", "what is set by hand wins");
    project.run(&["build", "--profile", "lout"]).exits(exit::WRONG).says("did you mean `loud`?");
    project.run(&["build", "--set", "wrod=x"]).exits(exit::WRONG).says("wrod");
}

#[test]
fn the_store_can_be_elsewhere() {
    let project = Project::new(&stock::pipeline_for("unused", &["library/busybox"]));
    project.edit("{kind: registry, url: \"unused\"}", "{kind: oci-layout, path: images}");
    project.layout("images", &sample::images());
    project.build(&["--store", "store"]);
    assert!(project.exists("store/blobs/sha256") && project.exists("store/oci-layout"));
    project.build(&["--store", "store"]).assert_nothing_done();
}

#[test]
fn an_unknown_target_is_the_callers_mistake() {
    let project = Project::new(PIPELINE);
    project.run(&["build", "hwole"]).exits(exit::WRONG).says("did you mean `whole`?");
    assert!(!project.exists("result"));
}

#[test]
fn an_unknown_step_is_the_callers_mistake() {
    let project = Project::new(PIPELINE);
    project.run(&["build", "part@n=3"]).exits(exit::WRONG).says("part@n=3");
    assert!(!project.exists("result"));
}

#[test]
fn a_build_ends_with_a_summary_and_quiet_says_nothing() {
    let project = Project::new(PIPELINE);
    let quiet = project.run(&["build", "-q"]).exits(exit::DONE);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    let run = project.run(&["build"]).exits(exit::DONE);
    let last = run.stderr.lines().last().expect("a summary");
    assert!(last.starts_with(&(words::all_up_to_date(3) + words::NO_REQUESTS)), "{run}");
    assert_eq!(run.stdout, "", "what is for people goes to stderr");
}

#[test]
fn colour_is_for_terminals_unless_it_is_asked_for() {
    let project = Project::new(PIPELINE);
    project.edit("cat {in}", "exit 3; cat {in}");
    let plain = project.run(&["build"]).exits(exit::FAILED);
    assert!(!plain.stderr.contains('\u{1b}'), "{plain}");
    let colourful = project.run(&["build", "--color", "always"]).exits(exit::FAILED);
    assert!(colourful.stderr.contains('\u{1b}'), "{colourful}");
}

#[test]
fn a_secret_is_used_and_never_shown_or_kept() {
    let project = Project::new(
        "version: 1
targets:
  made:
    rule: command
    env: {WORD: \"${secret.BED_SECRET}\"}
    run: \"test -n \\\"$WORD\\\" && echo fine > {out}\"
    output: result/made.txt
",
    );
    let build = |value: &str, args: &[&str]| {
        let mut command = project.command(&[&["build", "-v", "--format", "json"], args].concat());
        command.env("BED_SECRET", value);
        crate::support::project::Running::spawn(command).wait()
    };
    let run = build("hunter2", &[]);
    assert!(!format!("{run}").contains("hunter2"), "{run}");
    let report = run.report(exit::DONE);
    assert_eq!(report.step("made").outcome, outcome::BUILT);
    crate::support::project::walk(&project.path(".layermill"), &mut |path| {
        let bytes = std::fs::read(path).expect("read");
        assert!(!bytes.windows(7).any(|w| w == b"hunter2"), "kept in {}", path.display());
    });
    build("another", &[]).report(exit::DONE).assert_nothing_done();
}

#[test]
fn exit_codes_have_an_order() {
    // The call is wrong before anything can fail.
    let project = Project::new(PIPELINE);
    project.edit("cat {in}", "exit 3; cat {in}");
    project.run(&["build"]).exits(exit::FAILED);
    project.run(&["build", "nothing"]).exits(exit::WRONG);
    let status = project.run(&["status"]).exits(exit::DONE);
    assert!(status.stdout.contains("whole"), "{status}");
    assert!(project.explain("whole").contains("whole"));
    assert!(!project.explain("part@n=1").contains("because"));
}

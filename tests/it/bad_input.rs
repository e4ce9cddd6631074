//! Bad input: what is said, and the exit code. What registries send is in `hostile`.

use std::fs;

use crate::support::images::Format;
use crate::support::project::{PROGRAM, Project, Run, Running, walk};
use crate::support::stock;
use crate::support::words::{self, exit, outcome};

/// Builds from a pipeline file that is wrong. It has to be refused with each of these words, and nothing touched.
fn refused(pipeline: &str, says: &[&str]) -> Run {
    let project = Project::new(pipeline);
    let mut run = project.run(&["build"]).exits(exit::WRONG);
    for words in says {
        run = run.says(words);
    }
    assert_eq!(project.snapshot().names(), ["pipeline.yaml"], "something was written");
    assert!(!project.exists(".layermill"), "something was written");
    run
}

const GOOD: &str = "version: 1
sources:
  hub: {kind: registry, url: http://127.0.0.1:9}
targets:
  get_tag:
    rule: tags
    source: hub
    foreach: {repo: [library/busybox]}
    output: result/tags/{repo}.json
  get_layer:
    rule: layers
    source: hub
    foreach: {tag: {from: get_tag, select: latest}}
    output: result/layers/{repo}/{tag}.json
  stat_layer:
    rule: stat
    inputs: [get_layer]
    output: result/stat.csv
";

/// [`GOOD`] with a piece replaced.
fn with(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old), "{old}");
    GOOD.replacen(old, new, 1)
}

#[test]
fn the_pipeline_that_the_others_are_made_from_is_good() {
    let project = Project::new(GOOD);
    project.run(&["plan"]).exits(exit::DONE);
}

#[test]
fn yaml_syntax() {
    refused(&with("foreach: {repo: [library/busybox]}", "foreach: {repo: [library/busybox}"), &["pipeline.yaml:8"]);
    refused("targets:\n\t- x\n", &["pipeline.yaml:2", "YAML is indented with blanks"]);
    refused("vars: {a: \"x}\n", &["pipeline.yaml:1", "a quote within quotes"]);
    refused("", &["pipeline.yaml"]);
}

#[test]
fn an_unknown_key() {
    refused(
        &with("inputs: [get_layer]", "input: [get_layer]"),
        &["pipeline.yaml:17", "input", "did you mean `inputs`?"],
    );
    refused(&with("version: 1", "version: 1\ntarget: {}"), &["pipeline.yaml:2", "target", "did you mean `targets`?"]);
    refused(&with("url: http", "uri: http"), &["pipeline.yaml:3", "uri", "did you mean `url`?"]);
}

#[test]
fn a_duplicate_key() {
    refused(&with("  get_layer:", "  get_tag:"), &[words::DUPLICATE, "`get_tag`", "10 get_tag:"]);
    refused(&with("    rule: stat", "    rule: stat\n    rule: stat"), &[words::DUPLICATE, "`rule`", "17 rule: stat"]);
}

#[test]
fn a_command_that_runs_nothing() {
    let command = |run: &str| format!("version: 1\ntargets:\n  t: {{rule: command, output: o, run: {run}}}\n");
    for run in ["[]", "''", "' '"] {
        refused(&command(run), &["pipeline.yaml:3", "nothing to run"]);
    }
}

#[test]
fn a_wrong_type() {
    refused(&with("inputs: [get_layer]", "inputs: 12"), &["pipeline.yaml:17", "inputs"]);
    refused(&with("rule: stat", "rule: stat\n    retries: many"), &["pipeline.yaml:17", "many"]);
    refused(&with("rule: stat", "rule: stat\n    timeout: soon"), &["pipeline.yaml:17", "soon"]);
    refused(&with("version: 1", "version: 99"), &["pipeline.yaml:1", "99"]);
}

#[test]
fn an_unknown_target_source_binding_rule_variable_or_axis() {
    refused(&with("[get_layer]", "[get_layers]"), &["pipeline.yaml:17", "get_layers", "did you mean `get_layer`?"]);
    refused(&with("from: get_tag", "from: get_tags"), &["pipeline.yaml:13", "did you mean `get_tag`?"]);
    refused(&with("source: hub", "source: hob"), &["pipeline.yaml:7", "hob", "did you mean `hub`?"]);
    refused(&with("tags/{repo}.json", "tags/{rep}.json"), &["pipeline.yaml:9", "rep", "did you mean `repo`?"]);
    refused(&with("rule: layers", "rule: layer"), &["pipeline.yaml:11", "did you mean `layers`?"]);
    refused(&with("kind: registry", "kind: registri"), &["pipeline.yaml:3", "did you mean `registry`?"]);
    refused(&with("result/stat.csv", "${resutl}/stat.csv"), &["pipeline.yaml:18", "resutl"]);
    refused(&with("select: latest", "select: newst"), &["pipeline.yaml:13", "newst"]);
}

#[test]
fn a_cycle() {
    let pipeline = "version: 1
targets:
  one: {rule: command, inputs: [three], run: \"cp {in} {out}\", output: result/1}
  two: {rule: command, inputs: [one], run: \"cp {in} {out}\", output: result/2}
  three: {rule: command, inputs: [two], run: \"cp {in} {out}\", output: result/3}
";
    let run = refused(pipeline, &[words::CYCLE]);
    for name in ["one", "two", "three"] {
        assert!(run.stderr.contains(name), "{run}");
    }
}

#[test]
fn an_alias_bomb() {
    let mut bomb = "version: 1\nvars:\n  a0: &a0 x\n".to_owned();
    for n in 1..12 {
        let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
        bomb += &format!("  a{n}: &a{n} [{aliases}]\n");
    }
    refused(&bomb, &["pipeline.yaml"]);
}

#[test]
fn what_a_rule_or_a_source_says_of_its_keys_is_shown_with_what_is_wrong_with_their_shapes() {
    let pipeline = "version: 1
sources:
  hub: {kind: registry, url: ftp://127.0.0.1, budget: many, concurrency: none}
  near: {kind: registry, url: http://127.0.0.1:9, pasword: x, username: me}
targets:
  get_tag:
    rule: tags
    source: near
    retries: many
    foreach: {repo: [library/busybox]}
    repo: library/{rep}
    only: ['[']
    output: result/tags/{repo}.json
  get_layer:
    rule: layers
    source: near
    foreach: {tag: {from: get_tag, selct: latest}}
    platform: linux/amd64/v1/v2
    repo: '{repo}/{nope}'
    output: result/layers/{repo}/{tag}.json
  stat_layer:
    rule: stat
    columns: [repo, repo]
    input: [get_layer]
    output: result/stat.csv
  last: {rule: command, run: 'cat {in.csv} > {out}', sandbox: yes, inputz: {csv: stat_layer}, output: result/last.txt}
  empty: {rule: command, run: '', timeout: soon, output: result/empty.txt}
";
    let shown = refused(
        pipeline,
        &[
            "pipeline.yaml has 15 problems",
            "unknown binding `rep`",
            "not a glob",
            "not a platform",
            "a column is named twice",
        ],
    );
    for line in [
        "ftp",
        "budget: many",
        "concurrency: none",
        "pasword",
        "retries: many",
        "selct",
        "input: [get",
        "inputz",
        "timeout: soon",
        "run: ''",
        "sandbox: yes",
    ] {
        assert!(shown.stderr.contains(line), "the line is not shown: {line}\n{shown}");
    }
    // What comes of another mistake is no mistake of its own.
    for consequence in ["without `password`", "`nope`", "nothing is called `in.csv`"] {
        assert!(!shown.stderr.contains(consequence), "{shown}");
    }
}

#[test]
fn all_errors_are_shown_at_once_each_with_its_line() {
    let pipeline = with("rule: layers", "rule: layer")
        .replace("inputs: [get_layer]", "inputs: [get_leyer]")
        .replace("source: hub\n    foreach: {repo", "source: hab\n    foreach: {repo");
    let run = refused(&pipeline, &["pipeline.yaml:7", "pipeline.yaml:11", "pipeline.yaml:17"]);
    for line in ["source: hab", "rule: layer", "inputs: [get_leyer]"] {
        assert!(run.stderr.contains(line), "the line is not shown: {line}\n{run}");
    }
}

#[test]
fn a_path_that_leaves_the_pipelines_folder() {
    refused(&with("result/stat.csv", "../stat.csv"), &["pipeline.yaml:18", "../stat.csv"]);
    refused(&with("result/stat.csv", "/tmp/stat.csv"), &["pipeline.yaml:18", "/tmp/stat.csv"]);
    refused(&with("result/stat.csv", "result/../../stat.csv"), &["pipeline.yaml:18"]);
}

#[test]
fn a_value_that_would_leave_the_pipelines_folder_fails_its_step() {
    let project = Project::new(
        "version: 1
targets:
  made:
    rule: command
    foreach: {n: {lines: names.lst}}
    run: \"echo > {out}\"
    output: result/{n}
",
    );
    project.write("names.lst", "good\n../../outside\n..\n");
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.built, report.failed), (1, 2), "{}", report.listing());
    let outside: Vec<_> =
        fs::read_dir(project.around()).expect("there").map(|e| e.expect("an entry").file_name()).collect();
    assert_eq!(outside.len(), 2, "the project and the home folder: {outside:?}");
}

#[test]
fn no_pipeline_file() {
    let project = Project::new("");
    project.remove("pipeline.yaml");
    let run = project.run(&["build"]).exits(exit::WRONG).says("pipeline.yaml");
    assert!(run.stderr.contains("init"), "what to do is not said\n{run}");
}

#[test]
fn a_list_that_is_missing_or_not_text() {
    let pipeline = with("repo: [library/busybox]", "repo: {lines: etc/image.lst}");
    let project = Project::new(&pipeline);
    project.run(&["build"]).exits(exit::WRONG).says("etc/image.lst");
    project.write("etc/image.lst", [0xff, 0xfe, b'\n']);
    project.run(&["build"]).exits(exit::WRONG).says("etc/image.lst");
}

#[test]
fn a_repository_or_tag_outside_the_grammar_in_a_list() {
    let registry = stock::registry();
    let names = ["library/busybox", "\"../../etc/passwd\"", "Library/Nginx", "\"library/x y\"", "\"-x\""];
    let project = Project::new(&stock::pipeline_for(&registry.url(), &names));
    let mark = registry.mark();
    let report = project.build_exits(exit::FAILED, &["get_tag"]);
    assert_eq!((report.built, report.failed), (1, 4), "{}", report.listing());
    for name in ["../../etc/passwd", "Library/Nginx", "library/x y", "-x"] {
        assert!(report.stderr.contains(name), "`{name}` is not named: {}", report.stderr);
    }
    let asked = registry.requests_since(mark);
    assert!(asked.iter().all(|r| r.path.starts_with("/v2/library/busybox/")), "{asked:#?}");
    let snapshot = project.snapshot();
    assert_eq!(snapshot.names(), ["pipeline.yaml", "result/tags/library/busybox.json"]);

    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/busybox"]));
    project.edit(
        "foreach: {tag: {from: get_tag, select: all}}",
        "foreach: {repo: [library/busybox], tag: [latest, \"../x\", \".x\"]}",
    );
    let report = project.build_exits(exit::FAILED, &["get_layer_all"]);
    assert_eq!((report.built, report.failed), (1, 2), "{}", report.listing());
}

#[test]
fn a_file_where_a_folder_has_to_be() {
    let project = Project::new(
        "version: 1
targets:
  blocked: {rule: command, run: \"echo 1 > {out}\", output: result/deep/blocked.txt}
  fine: {rule: command, run: \"echo 2 > {out}\", output: result/fine.txt}
",
    );
    project.write("result/deep", "a file\n");
    let report = project.build_exits(exit::FAILED, &["blocked", "fine"]);
    assert_eq!(report.step("blocked").outcome, outcome::FAILED);
    assert_eq!((project.read("result/deep").as_str(), project.read("result/fine.txt").as_str()), ("a file\n", "2\n"));
    assert!(report.stderr.contains(words::CANNOT_WRITE) && report.stderr.contains("result/deep"), "{}", report.stderr);
}

#[test]
fn a_full_disk_fails_the_step_and_leaves_what_was_there() {
    // 3,000 tags make a tag file of more than 200 KB; no file may grow past 64 KiB.
    let small = stock::busybox().manifest(Format::Oci);
    let mut images: Vec<_> = (0..3000).map(|n| (format!("x/big:{n:04}"), small.clone())).collect();
    images.push(("x/small:latest".to_owned(), small));
    let project = Project::new(&stock::pipeline_for("unused", &["x/big", "x/small"]));
    project.edit("{kind: registry, url: \"unused\"}", "{kind: oci-layout, path: images}");
    project.layout("images", &images);
    project.write("result/tags/x/big.json", "{}x");
    let mut limited = project.command_of("/bin/sh");
    let build = format!("trap '' XFSZ; ulimit -f 128; exec '{PROGRAM}' build --format json get_tag");
    limited.args(["-c", &build]);
    let report = Running::spawn(limited).wait().report(exit::FAILED);
    assert_eq!((report.built, report.failed), (1, 1), "{}", report.listing());
    assert_eq!(report.step("get_tag@repo=x/big").outcome, outcome::FAILED);
    assert!(report.stderr.contains("File too large"), "{}", report.stderr);
    assert_eq!(project.read("result/tags/x/big.json"), "{}x", "what was there is intact");

    // With room again, it goes on.
    project.build(&["get_tag"]).assert_only(&["get_tag@repo=x/big"]);
    assert_eq!(project.json("result/tags/x/big.json").as_object().expect("tags").len(), 3000);
}

#[test]
fn a_damaged_state_is_set_aside_and_never_a_wrong_answer() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline(&registry.url()));
    project.build(&[]);
    let good = project.snapshot();
    type Damage = fn(&[u8]) -> Vec<u8>;
    let damages: [(&str, Damage); 4] = [
        ("garbage", |_| b"garbage".repeat(40)),
        ("empty", |_| Vec::new()),
        ("cut", |bytes| bytes[..bytes.len() / 2].to_vec()),
        ("a flipped bit", |bytes| {
            let mut bytes = bytes.to_vec();
            let middle = bytes.len() / 2;
            if let Some(byte) = bytes.get_mut(middle) {
                *byte ^= 0x10;
            }
            bytes
        }),
    ];
    for (name, damage) in damages {
        let mut files = 0;
        walk(&project.path(".layermill/state"), &mut |path| {
            fs::write(path, damage(&fs::read(path).expect("read"))).expect("written");
            files += 1;
        });
        assert!(files > 0, "no state in .layermill/state");
        // The layer file tells whether answers survive: it is made again from what is known, or asked for.
        project.remove("result/layers/library/nginx/latest.json");
        let report = project.build(&[]);
        assert_eq!(report.failed, 0, "{name}: {}", report.listing());
        good.assert_same_bytes(&project.snapshot(), "result/");
        if name == "garbage" {
            assert!(report.stderr.contains(words::SET_ASIDE), "{name}: {}", report.stderr);
        }
        project.build(&[]).assert_nothing_done();
    }
}

#[test]
fn a_damaged_blob_is_fetched_again() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline(&registry.url()));
    project.build(&[]);
    let good = project.snapshot();
    let manifest = stock::redis("6.2.16").manifest(Format::Docker);
    let blob = find_blob(&project, manifest.id());
    fs::write(&blob, "damaged").expect("written");
    project.remove("result/layers/library/redis/6.json");
    let mark = registry.mark();
    project.build(&[]).assert_only(&["get_layer_all@repo=library/redis,tag=6"]);
    good.assert_same_bytes(&project.snapshot(), "result/");
    assert_eq!(registry.requests_since(mark).iter().filter(|r| r.fetches()).count(), 1, "the damaged one and no other");
    assert_eq!(fs::read(blob).expect("there again"), *manifest.blob.bytes);
}

/// Where the store has a blob: it is an OCI layout.
fn find_blob(project: &Project, hex: &str) -> std::path::PathBuf {
    let mut found = None;
    walk(&project.path(".layermill"), &mut |path| {
        if path.ends_with(format!("blobs/sha256/{hex}")) {
            found = Some(path.to_owned());
        }
    });
    found.unwrap_or_else(|| panic!("{hex} is not in the store"))
}

#[test]
fn the_store_is_an_oci_layout() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline(&registry.url()));
    project.build(&[]);
    let blob = find_blob(&project, stock::redis("6.2.16").manifest(Format::Docker).id());
    let root = blob.ancestors().nth(3).expect("above blobs/sha256");
    let text = |name: &str| fs::read_to_string(root.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let json = |name: &str| serde_json::from_str::<serde_json::Value>(&text(name)).expect("JSON");
    assert_eq!(json("oci-layout")["imageLayoutVersion"], "1.0.0");
    assert_eq!(json("index.json")["schemaVersion"], 2);
    assert!(json("index.json")["manifests"].is_array());
}

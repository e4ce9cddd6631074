//! Whether a file can be executed is part of what it is, as an output and as an input.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::project::Project;
use crate::support::words::exit;

const TOOL: &str = "version: 1
targets:
  tool: {rule: command, inputs: [./tool.in], run: \"cp {in} {out}\", output: result/tool}
  use: {rule: command, inputs: [result/tool], run: \"result/tool > {out}\", output: result/use}
";

fn project(pipeline: &str) -> Project {
    let project = Project::new(pipeline);
    project.write("tool.in", "#!/bin/sh\necho hi\n");
    project
}

fn can_be_executed(project: &Project, path: &str) -> bool {
    fs::metadata(project.path(path)).expect("it is there").permissions().mode() & 0o111 != 0
}

fn chmod(project: &Project, path: &str, mode: u32) {
    fs::set_permissions(project.path(path), fs::Permissions::from_mode(mode)).expect("ours");
}

#[test]
fn what_a_command_made_lies_there_as_it_made_it_also_where_only_its_mode_is_another() {
    let p = project(TOOL);
    p.build_exits(exit::FAILED, &[]);
    assert!(!can_be_executed(&p, "result/tool"));
    p.edit("cp {in} {out}\"", "cp {in} {out}; chmod +x {out}\"");
    p.build(&[]).assert_only(&["tool", "use"]);
    assert!(can_be_executed(&p, "result/tool"));
    assert_eq!(p.read("result/use"), "hi\n");
    p.build(&[]).assert_nothing_done();

    // The other way round it comes from the store, and is told by those who look as it will be.
    p.edit("; chmod +x {out}\"", "\"");
    let planned = p.plan(&[]);
    let told = "changed input: result/tool, from executable to not executable";
    assert_eq!(planned.step("use").reason(), told, "{}", planned.listing());
    let built = p.build_exits(exit::FAILED, &[]);
    assert_eq!(built.step("use").reason(), told, "{}", built.listing());
    assert!(!can_be_executed(&p, "result/tool"));
}

#[test]
fn of_several_outputs_each_has_its_own_mode() {
    let p = project(
        "version: 1
targets:
  two:
    rule: command
    inputs: [./tool.in]
    run: \"cp {in} {out.p}; cp {in} {out.q}; chmod +x {out.q}\"
    output: {p: result/p, q: result/q}
",
    );
    let modes = |p: &Project| ["result/p", "result/q"].map(|path| can_be_executed(p, path));
    p.build(&[]);
    assert_eq!(modes(&p), [false, true]);
    p.edit("chmod +x {out.q}", "chmod +x {out.p}");
    p.build(&[]).assert_only(&["two"]);
    assert_eq!(modes(&p), [true, false]);
    p.edit("chmod +x {out.p}", "chmod +x {out.q}");
    p.build(&[]).assert_only(&["two"]);
    assert_eq!(modes(&p), [false, true]);
    p.edit("output: {p: result/p, q: result/q}", "output: {p: result/q, q: result/p}");
    p.build(&[]).assert_only(&["two"]);
    assert_eq!(modes(&p), [true, false]);
    p.build(&[]).assert_nothing_done();
}

#[test]
fn a_mode_changed_by_hand_is_a_changed_output_and_a_changed_input() {
    let p = project(
        "version: 1
targets:
  copy: {rule: command, inputs: [./tool.in], run: \"cat {in} > {out}\", output: result/copy}
  found:
    rule: command
    inputs: [result/copy]
    run: \"cat {in} found.txt > {out}; echo 'x: found.txt' > {out}.d\"
    depfile: \"{out}.d\"
    output: result/found
",
    );
    p.write("found.txt", "found\n");
    p.build(&[]);
    for (mode, told) in [(0o755, "from not executable to executable"), (0o644, "from executable to not executable")] {
        for (path, step) in [("tool.in", "copy"), ("found.txt", "found")] {
            chmod(&p, path, mode);
            let planned = p.plan(&[]);
            assert_eq!(planned.step(step).reason(), format!("changed input: {path}, {told}"), "{}", planned.listing());
            // The same was made: what reads it stays.
            p.build(&[]).assert_only(&[step]);
            p.build(&[]).assert_nothing_done();
        }
    }
    chmod(&p, "result/copy", 0o755);
    let told = "changed output: result/copy, from not executable to executable";
    assert_eq!(p.plan(&[]).step("copy").reason(), told);
    let verified = p.run(&["verify"]).exits(exit::FAILED);
    assert!(verified.stdout.contains("found    the same bytes, and it can be executed\n"), "{verified}");
    p.build(&[]).assert_only(&["copy"]);
    assert!(!can_be_executed(&p, "result/copy"));
    p.run(&["verify"]).exits(exit::DONE);
    // What else a mode says is no change.
    ["tool.in", "found.txt", "result/copy"].iter().for_each(|path| chmod(&p, path, 0o600));
    p.build(&[]).assert_nothing_done();
}

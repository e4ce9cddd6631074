//! A project whose steps note that they ran, and what verbs print of it.

use serde_json::Value;

use crate::support::project::Project;
use crate::support::words::exit;

/// Two parts, a whole made of them, and a file to itself. Each run of a step leaves a line in `runs.log`, which is no output.
const PIPELINE: &str = "version: 1
targets:
  part:
    rule: command
    foreach: {name: {lines: names.lst}}
    inputs: [\"in/{name}.txt\"]
    run: \"echo part {name} >> runs.log; cp {in} {out}\"
    output: result/parts/{name}.txt
  whole: {rule: command, inputs: [part], run: \"echo whole >> runs.log; cat {in} > {out}\", output: result/whole.txt}
  side: {rule: command, inputs: [note.txt], run: \"echo side >> runs.log; cp {in} {out}\", output: other/side.txt}
";

pub fn project() -> Project {
    let project = Project::new(PIPELINE);
    project.write("names.lst", "a\nb\n");
    project.write("in/a.txt", "A\n");
    project.write("in/b.txt", "B\n");
    project.write("note.txt", "note\n");
    project
}

/// What a verb prints with `--format json`, after an exit with `code`.
pub fn json(project: &Project, args: &[&str], code: i32) -> Value {
    let run = project.run(&[args, &["--format", "json"]].concat()).exits(code);
    serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("not JSON: {e}\n{run}"))
}

/// What a verb that has to succeed prints.
pub fn said(project: &Project, args: &[&str]) -> String {
    project.run(args).exits(exit::DONE).stdout
}

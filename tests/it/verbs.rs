//! The verbs beside `build`: what they answer, what they leave alone, and that a build afterwards agrees with them.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::images::{Format, Manifest};
use crate::support::project::{Project, Running};
use crate::support::registry::Registry;
use crate::support::words::exit;
use crate::support::{sample, stock};

mod adopt;
mod by_hand;
mod clean;
mod gc;
mod graph;
mod groups;
mod many;
mod orphan_inputs;
mod parts;
mod verify;
mod watch;

const PIPELINE: &str = "version: 1
targets:
  part: {rule: command, foreach: {n: {lines: numbers.lst}}, inputs: [text.txt], run: \"cat {in} > {out}; echo {n} >> {out}\", output: \"result/part/{n}.txt\"}
  whole: {rule: command, inputs: [part], run: \"cat {in} > {out}\", output: result/whole.txt}
  copy: {rule: command, inputs: [whole], run: \"cp {in} {out}\", output: result/copies/copy.txt}
";

fn project() -> Project {
    let project = Project::new(PIPELINE);
    project.write("numbers.lst", "1\n2\n");
    project.write("text.txt", "text\n");
    project
}

/// Tags and layers of the sample, from a folder, so that nothing has to be started.
fn images() -> Project {
    let project = Project::new(&stock::pipeline_for("unused", &["library/busybox", "library/redis"]));
    project.edit("{kind: registry, url: \"unused\"}", "{kind: oci-layout, path: images}");
    project.layout("images", &sample::images());
    project
}

fn json(project: &Project, code: i32, args: &[&str]) -> Value {
    let run = project.run(args).exits(code);
    serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}\n{run}"))
}

/// The names of the nodes that a graph has.
fn nodes(project: &Project, args: &[&str]) -> Vec<String> {
    let graph = json(project, exit::DONE, &[&["graph", "--format", "json"], args].concat());
    let nodes = graph["nodes"].as_array().expect("nodes");
    nodes.iter().map(|n| n["name"].as_str().expect("a name").to_owned()).collect()
}

/// Every file below a folder with its content and time of last change.
fn files(folder: &Path) -> Vec<(String, Vec<u8>, SystemTime)> {
    let mut found = Vec::new();
    crate::support::project::walk(folder, &mut |path| {
        let changed = fs::metadata(path).and_then(|m| m.modified()).expect("looked at");
        found.push((path.display().to_string(), fs::read(path).expect("read"), changed));
    });
    found
}

fn blobs(project: &Project) -> Vec<std::path::PathBuf> {
    let found = files(&project.path(".layermill/store/blobs"));
    found.into_iter().map(|(path, ..)| path.into()).collect()
}

/// Makes a file look as it did, but for one byte that is another one.
fn damage(path: &Path) {
    let changed = fs::metadata(path).and_then(|m| m.modified()).expect("looked at");
    let mut bytes = fs::read(path).expect("read");
    *bytes.last_mut().expect("not empty") ^= 1;
    fs::write(path, bytes).expect("written");
    fs::File::options().write(true).open(path).and_then(|f| f.set_modified(changed)).expect("set");
}

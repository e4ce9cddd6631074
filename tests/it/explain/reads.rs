//! What a step reads, as it is now beside what its last run read.

use super::assert_says;
use crate::support::project::Project;
use crate::support::words::exit;

const PIPELINE: &str = "version: 1
targets:
  part: {rule: command, inputs: [text.txt], run: \"cp {in} {out}\", output: part.txt}
  whole: {rule: command, inputs: [part, side.txt], run: \"cat {in} > {out}; echo '{out}: found.h' > d.mk\", depfile: d.mk, output: whole.txt}
";

fn built() -> Project {
    let project = Project::new(PIPELINE);
    for file in ["text.txt", "side.txt", "found.h"] {
        project.write(file, "first\n");
    }
    project.build(&[]);
    project
}

/// What `explain` says of an input between its brackets.
fn input(project: &Project, step: &str, path: &str) -> String {
    let explained = project.explain(step);
    let said = |line: &str| {
        let line = line.trim().strip_prefix("input")?.trim().strip_prefix(path)?;
        Some(line.split_once('(')?.1.split_once(')')?.0.to_owned())
    };
    explained.lines().find_map(said).unwrap_or_else(|| panic!("{path} is not said:\n{explained}"))
}

#[test]
fn what_moved_is_told_with_what_it_was() {
    let project = built();
    let [text, side, found] =
        [("part", "text.txt"), ("whole", "side.txt"), ("whole", "found.h")].map(|(s, p)| input(&project, s, p));
    assert!(text.bytes().all(|b| b.is_ascii_hexdigit()) && text == side && side == found, "{text} {side} {found}");
    for file in ["text.txt", "side.txt", "found.h"] {
        project.write(file, "second\n");
    }
    let now = input(&project, "part", "text.txt");
    assert!(now.ends_with(&format!(", was {text}")) && !now.starts_with(&text), "{now}");
    assert_eq!([input(&project, "whole", "side.txt"), input(&project, "whole", "found.h")], [now.clone(), now]);
    // What a step makes is told as it lies there.
    assert_eq!(input(&project, "whole", "part.txt"), text);
    for file in ["text.txt", "side.txt", "found.h"] {
        project.remove(file);
    }
    let gone = format!("gone, was {text}");
    assert_eq!(input(&project, "part", "text.txt"), gone);
    assert_eq!([input(&project, "whole", "side.txt"), input(&project, "whole", "found.h")], [gone.clone(), gone]);
    // One that waits for what cannot be made: its input is there all the same.
    assert_says(&project.explain("whole"), &["whole: blocked"]);
    assert_eq!(input(&project, "whole", "part.txt"), text);
    let json = project.run(&["explain", "part", "--format", "json"]).exits(exit::DONE).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let read = &json[0]["inputs"][0];
    assert_eq!(
        (&read["digest"], &read["was"], &read["there"]),
        (&serde_json::Value::Null, &text.as_str().into(), &false.into())
    );
}

#[test]
fn what_no_build_has_seen_is_told_as_there() {
    let project = built();
    std::fs::remove_dir_all(project.path(".layermill/state")).expect("removed");
    assert_eq!(input(&project, "whole", "part.txt"), "there, not known yet");
    project.remove("part.txt");
    assert_eq!(input(&project, "whole", "part.txt"), "not there");
}

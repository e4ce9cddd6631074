//! A command must leave its inputs as they are, and so must everybody else while it runs.

use std::fs;
use std::time::{Duration, SystemTime};

use super::{fails, project};
use crate::support::words::{exit, outcome};

/// Both ways: written where it lies, and by another file that is moved there, with the mtime of the first one or not.
#[test]
fn of_an_input_that_was_another_one_for_a_while_nothing_is_made_or_kept() {
    for back in ["cp old in/a", "cp old new; mv new in/a", "cp old new; touch -d 2001-01-01 new; mv new in/a"] {
        for input in ["in/a", "in"] {
            if input == "in" && back.contains("touch") {
                // Of the files in a folder, one that is as it was, and old, is not told from one that was linked.
                continue;
            }
            let p = project(&format!(
                r#"  t: {{rule: command, inputs: [./{input}], run: "test -e ran || echo other > in/a; cat in/a > {{out}}; test -e ran || {{{{ {back}; touch ran; }}}}", output: o/t}}
  use: {{rule: command, inputs: [t], run: "cp {{in}} {{out}}", output: o/use}}
"#
            ));
            p.write("in/a", "mine\n");
            p.write("old", "mine\n");
            let said = fails(&p);
            let words = format!("the input {input} was changed while the command ran, and is as it was again");
            assert_eq!(said, words, "{back}");
            assert!(!p.exists("o/t"), "{back}");

            let report = p.build(&[]);
            assert_eq!(report.step("t").outcome, outcome::BUILT, "{back}: {}", report.listing());
            p.remove("o/t");
            let report = p.build(&[]);
            assert_eq!(report.step("t").outcome, outcome::RESTORED, "{back}: {}", report.listing());
            assert_eq!([p.read("o/t"), p.read("o/use")], ["mine\n", "mine\n"], "{back}");
        }
    }
}

#[test]
fn all_inputs_that_were_others_for_a_while_are_named_beside_one_that_is_gone() {
    let p = project(
        r#"  t: {rule: command, inputs: [in/a, in/b, in/c], run: "touch in/a in/b {out}; rm in/c", output: t}
"#,
    );
    ["in/a", "in/b", "in/c"].iter().for_each(|path| p.write(path, "x"));
    let words = "the input in/c was deleted while the command ran; the inputs in/a, in/b were changed while the command \
                 ran, and are as they were again";
    assert_eq!(fails(&p), words);
}

/// Links and modes move a ctime; what was put in place just before may have an mtime of the same tick.
#[test]
fn an_input_that_is_linked_or_gets_another_mode_while_the_command_runs_was_not_changed() {
    for run in ["ln {in} link; cp {in} {out}", "chmod 400 {in}; chmod 644 {in}; cp {in} {out}"] {
        let p = project(&format!(
            r#"  made: {{rule: command, run: "echo 1 > {{out}}", output: made}}
  late: {{rule: command, run: "echo 1 > {{out}}; touch -d '1 hour' {{out}}", output: late}}
  of_made: {{rule: command, inputs: [made], run: "{run}", output: o/made}}
  of_late: {{rule: command, inputs: [late], run: "{late}", output: o/late}}
  of_old: {{rule: command, inputs: [in/old], run: "{old}", output: o/old}}
  of_folder: {{rule: command, inputs: [./folder], run: "chmod 400 folder/x; cp folder/x {{out}}", output: o/folder}}
"#,
            late = run.replace("link", "link-2"),
            old = run.replace("link", "link-3"),
        ));
        p.write("in/old", "1\n");
        p.write("folder/x", "1\n");
        for path in ["in/old", "folder/x"] {
            let file = fs::File::options().append(true).open(p.path(path)).expect("there");
            file.set_modified(SystemTime::now() - Duration::from_secs(90)).expect("ours");
        }
        p.build(&[]);
        p.build(&[]).assert_nothing_done();
    }
}

#[test]
fn an_input_that_is_written_anew_before_the_command_begins_and_is_the_same_was_not_changed() {
    let p = project(
        r#"  first: {rule: command, run: "cp in/a new; mv new in/a; echo x > in/b; sleep 0.05; touch {out}", output: o/first}
  t: {rule: command, inputs: [first, in/a, in/b], run: "cat {in} > {out}", output: o/t}
"#,
    );
    p.write("in/a", "a\n");
    p.write("in/b", "x\n");
    p.build(&[]);
    assert_eq!(p.read("o/t"), "a\nx\n");
}

#[test]
fn an_input_that_was_changed_after_it_was_looked_at_is_told_as_changed_before_the_command_began() {
    let p = project(
        r#"  gen: {rule: command, run: "echo g > {out}", output: o/gen}
  slow: {rule: command, after: [gen], run: "echo other > o/gen; sleep 0.05; touch {out}", output: o/slow}
  t: {rule: command, inputs: [slow, gen], run: "cat {in} > {out}", output: o/t}
"#,
    );
    let run = p.run(&["build"]).exits(exit::FAILED);
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(said.contains("failed t: the input o/gen was changed before the command began\n"), "{said}");
    assert!(!said.contains("must leave its inputs"), "{said}");
    assert!(!p.exists("o/t"));
}

#[test]
fn a_folder_in_which_steps_write_is_no_input_but_their_target_is() {
    let p = project(
        r#"  part: {rule: command, foreach: {k: [a, b]}, run: "echo {k} > {out}", output: "r/parts/{k}"}
  all: {rule: command, inputs: [./r/parts], run: "cat r/parts/* > {out}", output: r/all}
"#,
    );
    let said = p.run(&["build"]).exits(exit::WRONG);
    said.says("`part` writes in `r/parts`").says("name the target: `part`");
    p.edit("[./r/parts]", "[part]");
    p.build(&[]);
    assert_eq!(p.read("r/all"), "a\nb\n");
}

#[test]
fn a_link_in_a_folder_is_told_as_one_with_the_way_out() {
    let p = project(
        r#"  named: {rule: command, inputs: [./src], run: "cat {in}/* > {out}", output: o/named}
  found: {rule: command, run: "cat src/* > {out}; echo 'x: src' > {out}.d", depfile: "{out}.d", output: o/found}
  made: {rule: command, inputs: [made.sh], run: "sh {in} {out}", output: o/made/}
"#,
    );
    p.write("src/a", "1\n");
    p.write("made.sh", "echo 1 > $1/a\n");
    p.build(&[]);
    std::os::unix::fs::symlink("a", p.path("src/b")).expect("linked");
    std::os::unix::fs::symlink("a", p.path("o/made/b")).expect("linked");
    let unread = "what cannot be read: b in it is a symbolic link\n";
    let not_followed = "help: links in folders are not followed: ";
    let plan = p.run(&["plan", "-v"]).exits(exit::DONE).stdout;
    for says in [
        "failed   named  cannot read the input src: b in it is a symbolic link",
        not_followed,
        "run      found  changed input: src, from ",
        &format!(" to {unread}"),
        &format!("restore  made  changed output: o/made, from what was recorded to {unread}"),
    ] {
        assert!(plan.contains(says), "{says}: {plan}");
    }
    // What lies beside what was made is removed as ever; what the command itself links is not kept.
    p.write("made.sh", "echo 1 > $1/a; ln -s a $1/b\n");
    let told = p.run(&["build"]).exits(exit::FAILED).stderr;
    for says in [
        "failed found: the depfile names src, which cannot be read: b in it is a symbolic link\n",
        not_followed,
        "failed made: the output o/made cannot be read: b in it is a symbolic link\n",
        "help: links in folders are not kept: ",
    ] {
        assert!(told.contains(says), "{says}: {told}");
    }
    assert_eq!(told.matches(not_followed).count(), 2, "{told}");
}

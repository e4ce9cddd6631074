//! What is told of files in folders: those that a step makes, and those that it reads.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::assert_says;
use crate::support::project::{Project, Report};
use crate::support::words::exit;

fn project() -> Project {
    let project = Project::new(
        "version: 1
targets:
  made: {rule: command, inputs: [seed.txt], run: \"mkdir {out}/sub; cp {in} {out}/sub/inner.txt; echo > {out}/more.txt; echo > {out}/$(cat {in})\", output: result/folder/}
  reads: {rule: command, inputs: [made, ./src], run: \"ls {in} > {out}\", output: reads.txt}
",
    );
    project.write("seed.txt", "one\n");
    for file in ["changes", "stays", "deep/goes"] {
        project.write(&format!("src/{file}"), "1\n");
    }
    project.build(&[]);
    project
}

#[test]
fn what_moved_in_a_folder_that_a_depfile_names_is_named_as_of_one_that_is_declared() {
    let project = Project::new(
        "version: 1
targets:
  dep: {rule: command, inputs: [./src], run: \"ls -R {in} inc > {out}; echo 'x: inc' > {out}.d\", depfile: \"{out}.d\", output: dep.txt}
",
    );
    for file in ["src/a", "inc/changes", "inc/stays", "inc/deep/goes"] {
        project.write(file, "1\n");
    }
    // What was written just now may have been written while it was read.
    std::thread::sleep(std::time::Duration::from_millis(50));
    project.build(&[]);
    project.build(&[]).assert_nothing_done();
    project.write("inc/changes", "2\n");
    project.write("inc/deep/comes", "2\n");
    project.remove("inc/deep/goes");
    let words = [
        "changed input: inc, from ",
        "changed input: inc/changes, from ",
        "new input: inc/deep/comes",
        "an input is gone: inc/deep/goes",
    ];
    for told in [project.explain("dep"), project.run(&["plan", "-v"]).stdout] {
        assert_says(&told, &words);
        assert!(!told.contains("inc/stays") && !told.contains("//"), "{told}");
    }
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_says(project.build(&[]).step("dep").reason(), &words[..1]);
    project.build(&[]).assert_nothing_done();
}

#[test]
fn a_file_in_a_folder_is_of_the_step_that_makes_the_folder() {
    let project = project();
    for path in ["result/folder/sub/inner.txt", "result/folder", "result/folder/not-there"] {
        assert_says(&project.explain(path), &["made: up to date\n", "output    result/folder\n"]);
    }
    project.build(&["result/folder/more.txt"]).assert_nothing_done();
    project.run(&["explain", "result/other/sub/inner.txt"]).exits(exit::WRONG).says("no target, step or output");
}

#[test]
fn of_a_file_in_a_folder_it_is_told_whether_it_is_there_and_was_made() {
    let project = project();
    let told = |path: &str, words: &str| {
        let line = format!("output    result/folder\n            result/folder/{path} {words}\n");
        assert_says(&project.explain(&format!("result/folder/{path}")), &["made: up to date\n", &line]);
    };
    told("sub/inner.txt", "is there, as it was made");
    told("sub", "is there, a folder that was made with the others");
    told("not-there", "is not there, and was not made");
    assert!(!project.explain("result/folder").contains("is there"));
    let stale = |path: &str, words: &str| {
        assert_says(&project.explain(&format!("result/folder/{path}")), &[&format!("result/folder/{path} {words}\n")]);
    };
    project.write("result/folder/foreign.txt", "");
    stale("foreign.txt", "is there, and was not made with the others");
    project.write("result/folder/sub/inner.txt", "other\n");
    stale("sub/inner.txt", "is there, but is not what was made");
    project.remove("result/folder/more.txt");
    stale("more.txt", "is not there: it was made, and is gone");
    std::fs::remove_dir_all(project.path(".layermill/store")).expect("removed");
    stale("more.txt", "is not there; the store does not tell whether it was made");
    project.edit("output: result/folder/", "output: result/other/");
    // Of one that no step makes any more, too.
    stale("not-there", "is not there; the store does not tell whether it was made");
    let never = "result/other/any is not there, and nothing is recorded of what was made\n";
    assert_says(&project.explain("result/other/any"), &[never]);
}

#[test]
fn what_moved_in_a_folder_that_is_read_is_named() {
    let project = project();
    project.write("src/changes", "2\n");
    project.write("src/deep/comes", "2\n");
    project.remove("src/deep/goes");
    let words = [
        "changed input: src, from ",
        "changed input: src/changes, from ",
        "new input: src/deep/comes",
        "an input is gone: src/deep/goes",
    ];
    let explained = project.explain("reads");
    assert_says(&explained, &words);
    assert!(!explained.contains("src/stays"), "{explained}");
    assert_says(&project.run(&["plan", "-v"]).stdout, &words);
    assert_says(project.build(&[]).step("reads").reason(), &words[..1]);
    assert_says(
        &project.explain("reads"),
        &["reads: up to date", "last made changed input: src, from ", words[1], words[2], words[3]],
    );
    project.build(&[]).assert_nothing_done();
    // The same of what a step makes: before it is made again, that it will be; afterwards, what came of it.
    project.write("seed.txt", "two\n");
    assert_says(&project.explain("reads"), &["because   upstream: made is made again\n"]);
    project.build(&[]);
    let made = [
        "upstream rebuilt: result/folder by made",
        "upstream rebuilt: result/folder/sub/inner.txt by made, from ",
        "upstream rebuilt: result/folder/two by made, from nothing to a file\n",
        "upstream rebuilt: result/folder/one by made, from a file to nothing\n",
    ];
    assert_says(&project.explain("reads"), &made);
}

#[test]
fn of_an_output_that_turns_from_a_file_into_a_folder_what_reads_it_names_the_files_in_it() {
    let file = "cp {in} {out}\", output: result/made}";
    let folder = "mkdir {out}/sub; cp {in} {out}/sub/x; cp {in} {out}/y\", output: result/made/}";
    let project = Project::new(&format!(
        "version: 1
targets:
  made: {{rule: command, inputs: [seed.txt], run: \"{file}
  reads: {{rule: command, inputs: [made], run: \"ls -R {{in}} > {{out}}\", output: reads.txt}}
"
    ));
    project.write("seed.txt", "one\n");
    project.build(&[]);
    project.edit(file, folder);
    project.build(&[]);
    let made = [
        "upstream rebuilt: result/made by made, from ",
        "upstream rebuilt: result/made/sub/x by made, from nothing to a file\n",
        "upstream rebuilt: result/made/y by made, from nothing to a file\n",
    ];
    assert_says(&project.explain("reads"), &made);
    project.edit(folder, file);
    project.build(&[]);
    // What comes back from the store is known before.
    project.edit(file, folder);
    let back = ["changed input: result/made, from ", "new input: result/made/sub/x\n", "new input: result/made/y\n"];
    assert_says(&project.explain("reads"), &back);
    let report = project.build(&[]);
    assert_eq!(report.restored, 2, "{}", report.listing());
    assert_says(&project.explain("reads"), &back);
}

#[test]
fn of_a_file_in_a_folder_it_is_told_that_it_can_be_executed_or_no_more() {
    let project = project();
    let chmod =
        |path: &str, mode| fs::set_permissions(project.path(path), fs::Permissions::from_mode(mode)).expect("ours");
    chmod("src/stays", 0o600);
    project.build(&[]).assert_nothing_done();
    for (mode, told) in [(0o755, "from not executable to executable"), (0o644, "from executable to not executable")] {
        chmod("src/changes", mode);
        let words = ["changed input: src, from ", &format!("changed input: src/changes, {told}\n")];
        assert_says(&project.explain("reads"), &words);
        project.build(&[]).assert_only(&["reads"]);
        let explained = project.explain("reads");
        assert_says(&explained, &["reads: up to date", "last made changed input: src, from ", words[1]]);
    }
    chmod("result/folder/more.txt", 0o755);
    assert_says(
        &project.explain("made"),
        &["changed output: result/folder/more.txt, from what was made to another mode\n"],
    );
}

#[test]
fn what_was_changed_in_a_folder_that_a_step_made_is_named() {
    let project = project();
    project.write("result/folder/sub/inner.txt", "by hand\n");
    project.write("result/folder/foreign", "");
    project.remove("result/folder/more.txt");
    let words = [
        "changed output: result/folder, from ",
        "changed output: result/folder/sub/inner.txt, from ",
        "missing output: result/folder/more.txt",
        "changed output: result/folder/foreign, from nothing to a file that was not made with the others",
    ];
    assert_says(&project.explain("made"), &words);
    // It comes back as it was: what reads it stays.
    assert_says(&project.explain("reads"), &["reads: up to date"]);
    let report = project.build(&[]);
    assert_eq!((report.restored, report.built), (1, 0), "{}", report.listing());
    assert_says(&project.explain("made"), &["made: up to date", words[1], words[2], words[3]]);
}

#[test]
fn of_a_folder_that_many_steps_read_not_each_keeps_what_was_in_it() {
    let project = Project::new(
        "version: 1
targets:
  reads: {rule: command, foreach: {n: {lines: list}}, inputs: [./src], run: \"echo {n} > {out}\", output: \"out/{n}.txt\"}
",
    );
    let list: String = (0..100).map(|n| format!("{n}\n")).collect();
    project.write("list", &list);
    (0..250).for_each(|n| project.write(&format!("src/{n}"), ""));
    project.build(&[]);
    project.write("src/7", "2\n");
    let explained = project.explain("reads@n=1");
    assert_says(&explained, &["changed input: src, from "]);
    assert!(!explained.contains("src/7"), "{explained}");
    assert_says(&explained, &["note      which files in src change is not told: it holds too many "]);
}

#[test]
fn a_file_in_a_folder_that_no_step_makes_any_more_tells_who_made_that() {
    let project = Project::new(
        "version: 1
targets:
  f: {rule: command, foreach: {n: {lines: ns}}, run: \"mkdir -p {out}/sub; echo > {out}/sub/in\", output: \"f/{n}/\"}
",
    );
    project.write("ns", "1\n2\n");
    project.build(&[]);
    project.write("ns", "1\n");
    let removed = "`layermill clean --orphans` removes it, with all others of its kind";
    for _ in 0..2 {
        for path in ["f/1", "f/1/sub", "f/1/sub/in"] {
            let told = project.explain(path);
            assert!(told.starts_with("f@n=1: up to date\n") && !told.contains("orphan"), "{told}");
        }
        for path in ["f/2", "f/2/sub", "f/2/sub/in"] {
            let told = project.explain(path);
            assert_says(&told, &["f@n=2: orphan\n", "made by   f@n=2\n", "output    f/2\n", "out of    ns\n", removed]);
        }
        project.build(&[]);
    }
    // Nothing is removed that somebody changed, and nothing that is gone.
    project.write("f/2/sub/in", "by hand\n");
    let left =
        "`layermill clean --orphans` leaves it, since it was changed since it was made; with `--force`, it goes, too\n";
    assert_says(&project.explain("f/2"), &["output    f/2 (changed since)\n", left]);
    project.run(&["clean", "--orphans", "--yes"]).exits(exit::DONE);
    assert_eq!(project.read("f/2/sub/in"), "by hand\n");
    fs::remove_dir_all(project.path("f/2")).expect("removed");
    let told = project.explain("f/2");
    assert_says(&told, &["output    f/2 (gone)\n", "`layermill clean --orphans` forgets it"]);
    project.run(&["clean", "--orphans", "--yes"]).exits(exit::DONE);
    project.run(&["explain", "f/2"]).exits(exit::WRONG).says("no step makes f/2");
}

#[test]
fn a_file_in_a_folder_that_a_step_makes_is_not_read_by_itself() {
    let project = Project::new(
        "version: 1
targets:
  f: {rule: command, foreach: {n: [a, b]}, run: \"mkdir -p {out}; echo {n} > {out}/in\", output: \"f/{n}/\"}
  r: {rule: command, inputs: [f/a/in], run: \"cp {in} {out}\", output: r.txt}
  whole: {rule: command, inputs: [f/a], run: \"cp {in}/in {out}\", output: whole.txt}
",
    );
    let why = "the input f/a/in lies in a folder that f@n=a makes";
    for asked in [&["r"][..], &[]] {
        let report = project.build_exits(exit::FAILED, asked);
        assert_eq!((report.failed, report.step("r").message.as_deref()), (1, Some(why)));
    }
    assert_eq!(project.read("whole.txt"), "a\n");
    assert_says(&project.explain("r"), &["r: failed\n", why, "help      name the target: `f`\n"]);
    // What no step makes is read as it lies there.
    project.edit("[a, b]", "[b]");
    project.build(&[]);
    assert_eq!(project.read("r.txt"), "a\n");
}

#[test]
fn a_file_in_a_folder_that_a_step_makes_whose_values_are_read_is_not_read_by_itself_either() {
    let project = Project::new(
        "version: 1
targets:
  lst: {rule: command, inputs: [./names], run: \"cp {in} {out}\", output: lst.txt}
  f: {rule: command, foreach: {n: {from: lst, lines: true}}, run: \"mkdir -p {out}; echo {n} > {out}/in\", output: \"f/{n}/\"}
  r: {rule: command, inputs: [f/a/in], run: \"cp {in} {out}\", output: r.txt}
  each: {rule: command, foreach: {k: [a]}, inputs: [\"f/{k}/in\"], run: \"cp {in} {out}\", output: \"each/{k}.txt\"}
",
    );
    project.write("names", "a\n");
    let why = "the input f/a/in lies in a folder that f@n=a makes";
    // At first it is not there, and then as the build before left it.
    for asked in [&["r", "each"][..], &["f"], &[]] {
        let failed = if asked == ["f"] { 0 } else { 2 };
        let report = project.build_exits(if failed > 0 { exit::FAILED } else { exit::DONE }, asked);
        assert_eq!(report.failed, failed, "{}", report.listing());
        for step in ["r", "each@k=a"].into_iter().filter(|_| failed > 0) {
            assert_eq!(report.step(step).message.as_deref(), Some(why));
        }
    }
    for step in ["r", "each"] {
        assert_says(&project.explain(step), &[": failed\n", why, "help      name the target: `f`\n"]);
    }
    // What no step makes is read as it lies there, until one does.
    project.write("names", "b\n");
    project.build(&[]);
    assert_eq!(project.read("r.txt"), "a\n");
    project.write("names", "a\nb\n");
    assert_eq!(project.build_exits(exit::FAILED, &[]).step("r").message.as_deref(), Some(why));
}

#[test]
fn what_may_be_a_file_in_a_folder_waits_until_it_is_seen_whether_a_step_makes_that() {
    let project = Project::new(
        "version: 1
targets:
  lst: {rule: command, foreach: {repo: [x, x/z]}, inputs: [./names], run: \"cp {in} {out}\", output: \"lst/{repo}.txt\"}
  f: {rule: command, foreach: {n: {from: lst, lines: true}}, run: \"mkdir -p {out}; echo {n} > {out}/in\", output: \"f/{repo}/{n}/\"}
  one: {rule: command, inputs: [f/x/y/in], run: \"cp {in} {out}\", output: one.txt}
  two: {rule: command, inputs: [f/x/z/y/in], run: \"cp {in} {out}\", output: two.txt}
  mine: {rule: command, inputs: [f/x/mine/in], run: \"cp {in} {out}\", output: mine.txt}
",
    );
    project.write("names", "y\n");
    project.write("f/x/mine/in", "mine\n");
    let why = |repo: &str| format!("the input f/{repo}/y/in lies in a folder that f@repo={repo},n=y makes");
    let failed = |report: &Report| {
        for (step, repo) in [("one", "x"), ("two", "x/z")] {
            assert_eq!(report.step(step).message.as_deref(), Some(&*why(repo)), "{}", report.listing());
        }
    };
    for names in ["y\n", "y\nw\n"] {
        project.write("names", names);
        // The folder is there the second time, and its list is to be made again.
        failed(&project.build_exits(exit::FAILED, &[]));
        failed(&project.plan(&[]));
    }
    failed(&project.build_exits(exit::FAILED, &["one", "two"]));
    assert_eq!(project.read("mine.txt"), "mine\n");
    // While the list cannot be made, neither can what may lie in such a folder.
    project.edit("cp {in} {out}\", output: \"lst", "false\", output: \"lst");
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.failed, report.blocked), (2, 5), "{}", report.listing());
}

#[test]
fn an_empty_folder_in_a_folder_counts_and_comes_back() {
    let project = Project::new(
        "version: 1
targets:
  made: {rule: command, inputs: [a.txt], run: \"mkdir -p {out}/deep/empty; cp {in} {out}/f\", output: made/}
  reads: {rule: command, inputs: [made, ./src], run: \"find {in} | sort > {out}\", output: reads.txt}
",
    );
    project.write("a.txt", "1\n");
    project.write("src/f", "");
    project.build(&[]);
    let found = project.read("reads.txt");
    assert!(found.contains("made/deep/empty\n"), "{found}");
    // Removed, or moved away by one beside it, it comes back, and what reads it has nothing to do.
    let goes = || fs::remove_dir(project.path("made/deep/empty")).expect("removed");
    for (meddle, told) in [
        (&goes as &dyn Fn(), "missing output: made/deep/empty/\n"),
        (
            &|| fs::create_dir(project.path("made/more")).expect("made"),
            "changed output: made/more/, from nothing to an empty folder that was not made with the others\n",
        ),
    ] {
        meddle();
        assert_says(&project.explain("made"), &[told]);
        let report = project.build(&[]);
        assert_eq!((report.restored, report.built), (1, 0), "{}", report.listing());
        assert!(project.path("made/deep/empty").is_dir() && !project.exists("made/more"));
    }
    fs::remove_dir_all(project.path("made")).expect("removed");
    assert_eq!(project.build(&[]).restored, 1);
    project.build(&["--force=reads"]);
    assert_eq!(project.read("reads.txt"), found);
    project.run(&["verify"]).exits(exit::DONE);
    // The same of one that is read.
    fs::create_dir_all(project.path("src/sub/empty")).expect("made");
    assert_says(&project.explain("reads"), &["changed input: src, from ", "new input: src/sub/empty/\n"]);
    project.build(&[]).assert_only(&["reads"]);
    fs::remove_dir_all(project.path("src/sub")).expect("removed");
    assert_says(&project.explain("reads"), &["an input is gone: src/sub/empty/\n"]);
    // What is in a folder tells that it is not empty, or was not.
    project.write("src/sub/empty/file", "");
    let filled = project.run(&["plan", "-v"]).stdout;
    assert_says(&filled, &["new input: src/sub/empty/file\n"]);
    assert!(!filled.contains("empty/\n"), "{filled}");
    project.build(&[]);
    project.remove("src/sub/empty/file");
    project.write("made/deep/empty/file", "");
    project.remove("made/f");
    let emptied = project.run(&["plan", "-v"]).stdout;
    assert_says(&emptied, &["an input is gone: src/sub/empty/file\n", "made/deep/empty/file, from nothing to a file"]);
    assert!(!emptied.contains("empty/\n"), "{emptied}");
}

#[test]
fn a_folder_that_comes_back_from_the_store_is_told_alike_before_and_after() {
    let project = project();
    let seed = project.read("seed.txt");
    project.write("seed.txt", "two\n");
    project.build(&[]);
    project.write("seed.txt", seed);
    project.edit("inputs: [made, ./src]", "cache: false, inputs: [made, ./src]");
    project.build(&["reads"]);
    project.write("seed.txt", "two\n");
    let plan = project.run(&["plan", "-v"]).stdout;
    let words = [
        "changed input: result/folder, from ",
        "changed input: result/folder/sub/inner.txt, from ",
        "new input: result/folder/two",
        "an input is gone: result/folder/one",
    ];
    assert_says(&plan, &["restore  made  ", &format!("run      reads  {}", words[0]), words[1], words[2], words[3]]);
    let built = project.run(&["build", "-v"]).exits(exit::DONE).stderr;
    let line = built.lines().find(|line| line.starts_with("built reads")).unwrap_or_else(|| panic!("{built}"));
    assert_says(line, &words);
    assert!(!line.contains("rebuilt"), "{line}");
}

#[test]
fn an_empty_folder_that_comes_back_within_another_is_told_as_it_was() {
    let project = Project::new(
        "version: 1
targets:
  made: {rule: command, inputs: [a.txt], run: \"mkdir {out}/empty; cp {in} {out}/f\", output: made/}
  reads: {rule: command, inputs: [made/], run: \"find {in} | sort > {out}; cat {in}/f >> {out}\", output: reads.txt}
",
    );
    for seed in ["1\n", "2\n"] {
        project.write("a.txt", seed);
        project.build(&[]);
    }
    project.write("a.txt", "1\n");
    for told in [project.run(&["plan", "-v"]).stdout, project.explain("reads")] {
        assert_says(&told, &["changed input: made, from ", "changed input: made/f, from "]);
        assert!(!told.contains("empty"), "{told}");
    }
    assert_eq!(project.build(&[]).restored, 2);
}

#[test]
fn of_a_folder_that_holds_too_much_to_be_told_by_its_files_none_is_told_as_gone() {
    let project = project();
    (0..1000).for_each(|n| project.write(&format!("src/new/{n}"), ""));
    let told = project.explain("reads");
    assert_says(&told, &["because   changed input: src, from "]);
    assert!(!told.contains("gone") && !told.contains("src/"), "{told}");
    let untold = "note      which files in src change is not told: it holds too many for that, or too large ones";
    assert_says(&told, &[untold]);
    project.build(&[]);
    project.write("src/new/0", "2");
    assert_says(&project.explain("reads"), &["because   changed input: src, from ", untold]);
    fs::remove_dir_all(project.path("src/new")).unwrap();
    project.build(&[]);
    assert!(!project.explain("reads").contains("is not told"), "{}", project.explain("reads"));
}

#[test]
fn an_output_that_was_a_folder_is_made_again_as_a_file_and_never_brought_back_as_the_other() {
    for more in ["", "cache: false, "] {
        let project = Project::new(&format!(
            "version: 1
targets:
  one: {{rule: command, {more}inputs: [a.txt], run: \"cp {{in}} {{out}}\", output: one/}}
  two: {{rule: command, {more}inputs: [a.txt], run: \"cp {{in}} {{out.a}}; cp {{in}} {{out.b}}\", output: {{a: two.a, b: two.b/}}}}
"
        ));
        project.write("a.txt", "1\n");
        project.build(&[]);
        assert_eq!((project.read("one/a.txt"), project.read("two.b/a.txt")), ("1\n".to_owned(), "1\n".to_owned()));
        let turn = |from: &str, to: &str| {
            project.edit(&format!("output: one{from}}}"), &format!("output: one{to}}}"));
            project.edit(&format!("b: two.b{from}}}"), &format!("b: two.b{to}}}"));
            ["one", "two.b"].map(|path| format!("changed parameter: output, from \"{path}{from}\" to \"{path}{to}\""))
        };
        for (from, to) in [("/", ""), ("", "/")] {
            let [one, two] = turn(from, to);
            let plan = project.run(&["plan", "-v"]).stdout;
            if to.is_empty() || !more.is_empty() {
                assert_says(&plan, &[&format!("run      one  {one}\n"), &format!("run      two  {two}\n")]);
                project.build(&[]).assert_only(&["one", "two"]);
            } else {
                assert_says(&plan, &[&format!("restore  one  {one}\n"), &format!("restore  two  {two}\n")]);
                assert_eq!(project.build(&[]).restored, 2);
            }
            for path in ["one", "two.b"] {
                let file = if to.is_empty() { path.to_owned() } else { format!("{path}/a.txt") };
                assert_eq!(project.read(&file), "1\n");
            }
            project.build(&[]).assert_nothing_done();
        }
        // Also where nothing is there to be seen.
        turn("/", "");
        fs::remove_dir_all(project.path("one")).expect("removed");
        project.build(&[]);
        assert_eq!(project.read("one"), "1\n");
    }
}

#[test]
fn an_empty_folder_is_another_input_than_an_empty_file() {
    let project = Project::new(
        "version: 1
targets:
  kind: {rule: command, inputs: [./x], run: \"stat -c %F {in} > {out}\", output: kind.txt}
  made: {rule: command, inputs: [./x], run: \"true {out}\", output: made/}
  reads: {rule: command, inputs: [made], run: \"stat -c %F {in} > {out}\", output: reads.txt}
",
    );
    project.write("x", "");
    project.build(&[]);
    project.build(&[]).assert_nothing_done();
    assert_eq!(
        (project.read("kind.txt"), project.read("reads.txt")),
        ("regular empty file\n".into(), "directory\n".into())
    );
    project.remove("x");
    fs::create_dir(project.path("x")).expect("made");
    assert_says(&project.explain("kind"), &["changed input: x, from "]);
    project.build(&[]).assert_only(&["kind", "made"]);
    assert_eq!(project.read("kind.txt"), "directory\n");
    project.build(&[]).assert_nothing_done();
    fs::remove_dir(project.path("x")).expect("removed");
    project.write("x", "");
    project.build(&[]);
    assert_eq!(project.read("kind.txt"), "regular empty file\n");
    // The same of one that a step makes.
    project.edit("true {out}\", output: made/", "cp {in} {out}\", output: made");
    project.build(&[]).assert_only(&["made", "reads"]);
    assert_eq!(project.read("reads.txt"), "regular empty file\n");
}

#[test]
fn what_may_be_a_file_in_a_folder_of_another_target_waits_until_it_is_seen_whether_that_is_made() {
    let project = Project::new(
        "version: 1
targets:
  lst: {rule: command, inputs: [./names], run: \"cp {in} {out}\", output: lst.txt}
  slow: {rule: command, cache: false, inputs: [./others], run: \"sleep 0.4; cp {in} {out}\", output: slow.txt}
  d: {rule: command, foreach: {v: {from: lst, lines: true}}, run: \"echo {v} > {out}\", output: \"d/{v}/in\"}
  f: {rule: command, foreach: {w: {from: slow, lines: true}}, run: \"mkdir -p {out}; echo {w} > {out}/in\", output: \"d/{w}/\"}
  r: {rule: command, inputs: [d/c/in], run: \"cp {in} {out}\", output: r.txt}
",
    );
    project.write("names", "a\n");
    project.write("others", "c\n");
    project.write("d/c/in", "by hand\n");
    let why = "the input d/c/in lies in a folder that f@w=c makes";
    // From the first build on, whatever is made first.
    for _ in 0..2 {
        let report = project.build_exits(exit::FAILED, &[]);
        assert_eq!(report.step("r").message.as_deref(), Some(why), "{}", report.listing());
        project.remove("slow.txt");
        project.write("others", "b\nc\n");
    }
    // What no step makes is read as it lies there.
    project.write("others", "b\n");
    project.build(&[]);
    assert_eq!(project.read("r.txt"), "c\n");
    project.write("others", "b\nc\n");
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["run?     r  upstream: slow is made again\n"]);
    assert_eq!(project.build_exits(exit::FAILED, &[]).step("r").message.as_deref(), Some(why));
    project.write("others", "c\n");
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &[&format!("failed?  r  {why} ")]);
    // While the list cannot be made, neither can what may lie in such a folder.
    project.edit("sleep 0.4; cp {in} {out}", "false");
    assert_eq!(project.build_exits(exit::FAILED, &[]).step("r").message.as_deref(), Some("slow"));
    project.remove("others");
    for report in [project.plan(&[]), project.build_exits(exit::FAILED, &[])] {
        let r = report.step("r");
        assert_eq!((r.outcome.as_str(), r.message.as_deref()), ("blocked", Some("slow")), "{}", report.listing());
    }
    project.write("others", "b\nc\n");
    // What is made of it is not waited for.
    project.edit("inputs: [./others], run: \"false\"", "inputs: [./others, r], run: \"cat others > {out}\"");
    std::fs::remove_dir_all(project.path("d/c")).expect("removed");
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!(report.step("r").message.as_deref(), Some("the input d/c/in is missing"));
    project.write("d/c/in", "by hand\n");
    project.build(&[]);
    assert_eq!(project.read("r.txt"), "by hand\n");
}

#[test]
fn what_comes_back_from_the_store_keeps_what_was_in_the_folders_that_it_reads() {
    let project = project();
    project.write("src/changes", "2\n");
    project.build(&[]);
    project.write("src/changes", "1\n");
    assert_eq!(project.build(&[]).step("reads").outcome, "restored");
    project.write("src/changes", "3\n");
    let words = ["changed input: src, from ", "changed input: src/changes, from "];
    assert_says(&project.run(&["plan", "-v"]).stdout, &words);
}

#[test]
fn of_a_file_that_turns_into_a_folder_what_reads_it_names_the_files_in_it() {
    let project = Project::new(
        "version: 1
targets:
  reads: {rule: command, inputs: [./src], run: \"ls {in} > {out}\", output: reads.txt}
",
    );
    project.write("src", "1\n");
    project.build(&[]);
    project.remove("src");
    ["a", "deep/b"].iter().for_each(|file| project.write(&format!("src/{file}"), "1\n"));
    let words = ["changed input: src, from ", "new input: src/a", "new input: src/deep/b"];
    let told = |words: &[&str]| {
        assert_says(&project.run(&["plan", "-v"]).stdout, words);
        assert_says(&project.run(&["build", "-v"]).exits(exit::DONE).stderr, words);
        project.build(&[]).assert_nothing_done();
    };
    told(&words);
    // What held too much to be told by its files is not taken for a file.
    (0..1000).for_each(|n| project.write(&format!("src/new/{n}"), ""));
    project.build(&[]);
    fs::remove_dir_all(project.path("src/new")).expect("removed");
    let plan = project.run(&["plan", "-v"]).stdout;
    assert!(plan.contains("changed input: src, from ") && !plan.contains("new input"), "{plan}");
}

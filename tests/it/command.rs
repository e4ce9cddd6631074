//! Commands: what they are given, what they may do, and what is kept of them.

mod depfile;
mod groups;
mod inputs;
mod one_of_several;
mod places;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::examples::examples;
use crate::support::project::{Project, Report, walk};
use crate::support::words::{exit, outcome};

const SECRET: &str = "hunter2-Zq81";

fn project(targets: &str) -> Project {
    Project::new(&format!("version: 1\ntargets:\n{targets}"))
}

/// The message of the only step that failed.
fn failure(report: &Report) -> String {
    let failed: Vec<_> = report.steps.iter().filter(|s| s.outcome == outcome::FAILED).collect();
    assert_eq!(failed.len(), 1, "{}", report.listing());
    failed[0].message.clone().unwrap_or_default()
}

fn fails(project: &Project) -> String {
    failure(&project.build_exits(exit::FAILED, &[]))
}

#[test]
fn words_and_text_get_each_file_as_one_word() {
    let p = project(
        r#"  words:
    rule: command
    foreach: {b: ["$(x) it's"]}
    inputs: {one: "in/a b.txt", two: in/c.txt}
    run: [sh, -c, 'out=$1; shift; printf "<%s>" "$@" > $out', sh, "{out}", "{in}", "{in.two}", "b={b}", "x{in.one}"]
    output: "words-{b}.txt"
  text:
    rule: command
    foreach: {b: ["$(x) it's"]}
    inputs: {one: "in/a b.txt", two: in/c.txt}
    run: "printf '<%s>' {in} {in.two} b={b} x{in.one} > {out}"
    output: "text-{b}.txt"
"#,
    );
    p.write("in/a b.txt", "");
    p.write("in/c.txt", "");
    p.build(&[]);
    for form in ["words", "text"] {
        assert_eq!(
            p.read(&format!("{form}-$(x) it's.txt")),
            "<in/a b.txt><in/c.txt><in/c.txt><b=$(x) it's><xin/a b.txt>"
        );
    }
}

#[test]
fn more_inputs_than_a_command_line_takes_go_through_a_list() {
    let p = project(
        r#"  each: {rule: command, foreach: {n: [a, b]}, run: [touch, "{out}"], output: "out/{n}"}
  list: {rule: command, inputs: [each, names.txt], run: "cat {in.list} > {out}", output: list.txt}
"#,
    );
    p.write("names.txt", "");
    p.build(&[]);
    assert_eq!(p.read("list.txt"), "out/a\nout/b\nnames.txt\n");

    let long = "x".repeat(200);
    let values: Vec<String> = (0..700).map(|n| format!("{long}{n}")).collect();
    let p = project(&format!(
        "  many:\n    rule: command\n    foreach: {{n: [{}]}}\n    run: [cp, seed, \"{{out}}\"]\n    inputs: [./seed]\n    output: \"o/{{n}}\"\n  all:\n    rule: command\n    inputs: [many]\n    run: \"cat {{in}} | cat > {{out}}\"\n    output: all.txt\n",
        values.join(", "),
    ));
    p.write("seed", "1");
    let said = fails(&p);
    assert!(said.contains("{in.list}"), "{said}");
    p.edit("cat {in} | cat >", "xargs cat < {in.list} >");
    p.build(&[]);
    assert_eq!(p.read("all.txt").len(), 700);
}

#[test]
fn several_outputs_maps_and_folders_come_whole() {
    let p = project(
        r#"  map:
    rule: command
    run: "echo data > {out.data} && echo index > {out.index}"
    output: {data: result/a.dat, index: result/a.idx}
  list:
    rule: command
    run: "for o in {out}; do echo $o > $o; done"
    output: [result/1.txt, result/2.txt]
  folder:
    rule: command
    inputs: [map]
    run: "cp {in} {out}"
    output: result/both/
"#,
    );
    p.build(&[]);
    assert_eq!((p.read("result/a.dat").as_str(), p.read("result/both/a.idx").as_str()), ("data\n", "index\n"));
    assert!(p.read("result/2.txt").ends_with("2.txt\n"));
    p.build(&[]).assert_nothing_done();
    p.remove("result/both/a.dat");
    p.build(&[]).assert_only(&["folder"]);
}

#[test]
fn env_is_filled_and_hashed_and_nothing_else_is_passed_but_what_is_documented() {
    let p = project(
        r#"  env:
    rule: command
    foreach: {b: [x, y]}
    run: "env | cut -d= -f1 | sort > {out} && echo $GREETING >> {out}"
    env: {GREETING: "hello {b}", LANG: C}
    output: "{b}.txt"
"#,
    );
    let mut command = p.command(&["build"]);
    command.env("LEAK", "1").env("TZ", "UTC");
    assert!(command.status().expect("runs").success());
    let seen = p.read("x.txt");
    let names: Vec<&str> = seen.lines().filter(|n| !["PWD", "OLDPWD", "SHLVL", "_"].contains(n)).collect();
    assert_eq!(names, ["GREETING", "HOME", "LANG", "PATH", "TMPDIR", "TZ", "hello x"]);
    p.build(&[]).assert_nothing_done();
    p.edit("hello {b}", "bye {b}");
    let why = p.explain("env@b=x");
    assert!(why.contains("env.GREETING"), "{why}");
    p.build(&[]);
    assert!(p.read("y.txt").ends_with("bye y\n"));
}

#[test]
fn a_secret_is_used_and_never_left_behind() {
    let p = project(
        r#"  key:
    rule: command
    run: "echo ${secret.PASSWORD} $KEY; echo ${secret.PASSWORD} > $TMPDIR/left; test $KEY = ${secret.PASSWORD} && echo ok > {out}"
    env: {KEY: "${secret.PASSWORD}"}
    output: result/key.txt
  bad:
    rule: command
    run: [sh, -c, "echo $KEY >&2; exit 3", "{out}"]
    env: {KEY: "${secret.PASSWORD}"}
    output: result/bad.txt
"#,
    );
    let mut command = p.command(&["build", "--verbose"]);
    let out = command.env("PASSWORD", SECRET).output().expect("runs");
    assert_eq!(out.status.code(), Some(exit::FAILED));
    assert_eq!(p.read("result/key.txt"), "ok\n");
    let said = [out.stdout, out.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("${secret.PASSWORD}") && !said.contains(SECRET), "{said}");
    walk(&p.path("."), &mut |path| {
        let bytes = fs::read(path).expect("read");
        assert!(!bytes.windows(SECRET.len()).any(|w| w == SECRET.as_bytes()), "{}", path.display());
    });
}

#[test]
fn a_pool_bounds_the_weights_of_what_runs_at_once() {
    let p = Project::new(
        r#"version: 1
pools: {heavy: 3}
targets:
  t:
    rule: command
    foreach: {n: [1, 2, 3, 4, 5]}
    run: "mkdir -p run; touch run/{n}; ls run | wc -l > {out}; sleep 0.1; rm run/{n}"
    pool: {heavy: 2}
    output: "o/{n}"
"#,
    );
    p.build(&["-j", "5"]);
    for n in 1..=5 {
        assert_eq!(p.read(&format!("o/{n}")).trim(), "1");
    }
}

#[test]
fn a_timeout_ends_the_whole_group_though_a_grandchild_ignores_the_signal() {
    let p = project(
        r#"  slow:
    rule: command
    run: "(trap '' TERM; echo $$ > child.pid; exec sleep 1000) & echo $! > child.pid; sleep 1000; touch {out}"
    timeout: 300ms
    output: slow.txt
"#,
    );
    let said = fails(&p);
    assert!(said.contains("longer than 300ms"), "{said}");
    let stat = fs::read_to_string(format!("/proc/{}/stat", p.read("child.pid").trim()));
    assert!(stat.is_err() || stat.is_ok_and(|s| s.contains(") Z ")), "the grandchild still runs");
}

#[test]
fn an_output_that_is_not_written_is_named() {
    let p = project("  t:\n    rule: command\n    run: \"touch {out.a}\"\n    output: {a: a.txt, b: b.txt}\n");
    let said = fails(&p);
    assert!(said.contains("the output b.txt was not written"), "{said}");
    assert!(!p.exists("a.txt"), "all or nothing");
    p.edit("touch {out.a}", "true");
    let said = fails(&p);
    assert!(said.contains("the outputs a.txt, b.txt were not written"), "{said}");
}

#[test]
fn an_input_that_a_command_deletes_or_changes_is_named() {
    for (run, what) in [("rm in/a.txt; touch {out}", "deleted"), ("echo more >> in/a.txt; touch {out}", "changed")] {
        let p = project(&format!(
            "  t:\n    rule: command\n    inputs: [in/a.txt, in/b.txt]\n    run: \"{run}\"\n    output: o.txt\n"
        ));
        p.write("in/a.txt", "a");
        p.write("in/b.txt", "b");
        let said = fails(&p);
        assert!(said.contains(&format!("the input in/a.txt was {what}")), "{said}");
        assert!(!p.exists("o.txt"));
    }
}

/// A folder's time tells that a file in it is gone, and not that one was written where it lies: each input is looked at
/// after the command, however many there are, and however short a time before it they were written.
#[test]
fn of_many_inputs_the_one_that_a_command_meddles_with_is_named_wherever_it_lies() {
    let names: Vec<String> = (0..40).map(|n| format!("in/{}/deep/{n:02}.txt", n % 4)).collect();
    for (run, what) in [
        ("rm in/3/deep/39.txt", "deleted"),
        ("mv in/3/deep/39.txt in/39.txt", "deleted"),
        (
            "mv in/3 in/4 && mkdir -p in/3/deep && cp in/4/deep/0* in/4/deep/1* in/4/deep/2* in/3/deep && cp in/4/deep/31.txt \
          in/4/deep/35.txt in/3/deep",
            "deleted",
        ),
        ("printf edited >> in/3/deep/39.txt", "changed"),
        ("printf edited > new && mv new in/3/deep/39.txt", "changed"),
        ("printf edited > new && touch -r in/3/deep/39.txt new && mv new in/3/deep/39.txt", "changed"),
        ("ln -sf /dev/null in/3/deep/39.txt", "made unreadable"),
    ] {
        let p = project(&format!(
            "  t:\n    rule: command\n    inputs: [{}]\n    run: \"{run}; touch {{out}}\"\n    output: o.txt\n",
            names.join(", ")
        ));
        names.iter().for_each(|name| p.write(name, "text"));
        let said = fails(&p);
        assert!(said.contains(&format!("the input in/3/deep/39.txt was {what}")), "{run}: {said}");
        assert!(!p.exists("o.txt"), "{run}");
    }
}

#[test]
fn all_inputs_that_a_command_deletes_or_changes_are_named_up_to_some() {
    let many: Vec<String> = (10..28).map(|n| format!("in/m/{n}")).collect();
    let step = |name: &str, more: &str, run: &str| {
        format!(
            "  {name}:\n    rule: command\n    inputs: [in/a, in/b, in/d/x{more}]\n    run: \"{run}; touch {{out}}\"\n    output: o/{name}\n"
        )
    };
    let few = step("few", "", "rm in/a in/d/x; echo more >> in/b");
    let lots = step("lots", &format!(", {}", many.join(", ")), "rm in/a in/d/x in/m/1*; echo more >> in/b");
    for (text, deleted) in
        [(few, "in/a, in/d/x".to_owned()), (lots, format!("in/a, in/d/x, {} and 2 more", many[..8].join(", ")))]
    {
        let p = project(&text);
        ["in/a", "in/b", "in/d/x"].iter().for_each(|path| p.write(path, "x"));
        many.iter().for_each(|path| p.write(path, "x"));
        let said = fails(&p);
        let words = format!("the inputs {deleted} were deleted, and the input in/b was changed while the command ran");
        assert_eq!(said, words);
    }
}

#[test]
fn a_log_is_there_only_where_something_was_printed() {
    let p = project(
        r#"  quiet: {rule: command, run: "touch {out}", output: q.txt}
  loud: {rule: command, run: "echo said; touch {out}", output: l.txt}
"#,
    );
    p.build(&[]);
    let mut logs = Vec::new();
    walk(&p.path(".layermill/logs"), &mut |path| logs.push(fs::read_to_string(path).expect("read")));
    assert_eq!(logs, ["said\n"]);
}

#[test]
fn what_is_printed_by_way_of_dev_stderr_empties_nothing_and_is_in_the_log_while_the_command_runs() {
    let p = project(
        r#"  out:
    rule: command
    run: "echo one; echo two > /dev/stderr; until grep -qs two .layermill/logs/*; do sleep 0.01; done; echo three; echo {b} > {out}"
    foreach: {b: [x]}
    timeout: 20s
    output: "{b}.txt"
"#,
    );
    p.build(&[]);
    let mut logs = Vec::new();
    walk(&p.path(".layermill/logs"), &mut |path| logs.push(fs::read_to_string(path).expect("read")));
    assert_eq!(logs, ["one\ntwo\nthree\n"]);
}

#[test]
fn a_script_without_a_first_line_and_a_program_that_is_not_there_go_as_in_a_shell() {
    let p = project("  t: {rule: command, run: \"./script {out}\", output: o.txt}\n");
    p.write("script", "echo hi > $1\n");
    fs::set_permissions(p.path("script"), fs::Permissions::from_mode(0o755)).expect("ours");
    p.build(&[]);
    assert_eq!(p.read("o.txt"), "hi\n");
    p.edit("./script", "no-such-program-here");
    let said = fails(&p);
    assert!(said.contains("127"), "{said}");
    p.edit("\"no-such-program-here {out}\"", "[no-such-program-here, \"{out}\"]");
    let said = fails(&p);
    assert!(said.contains("cannot start `no-such-program-here`"), "{said}");
}

/// Reads `in/main.txt` and each file that it names; says so in make's format.
const INCLUDES: &str = r#"  main:
    rule: command
    inputs: [in/main.txt]
    run: "cat {in} $(cat {in}) > {out} && { printf 'x: {in} '; tr '\\n' ' ' < {in}; } > {out}.d"
    depfile: "{out}.d"
    output: result/main.txt
"#;

/// Writes a file as if so many seconds ago: what is written in the moment in which a command starts counts as written
/// while it ran, and makes its step run once more.
fn write_ago(seconds: u64, path: &Path, content: &str) {
    fs::write(path, content).expect("written");
    let file = fs::File::options().append(true).open(path).expect("there");
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).expect("ours");
    // Its ctime is no earlier: a build that begins within the same tick of the clock could not tell.
    std::thread::sleep(Duration::from_millis(20));
}

#[test]
fn inputs_found_while_running_are_part_of_the_record() {
    let p = project(INCLUDES);
    let outside = p.around().join("outside.txt");
    fs::create_dir(p.path("in")).expect("created");
    write_ago(90, &outside, "o");
    write_ago(90, &p.path("in/a.txt"), "a");
    write_ago(90, &p.path("in/b.txt"), "b");
    p.write("in/main.txt", format!("in/a.txt\n./in/../in/b.txt\n{}\n", outside.display()));
    p.build(&[]);
    assert!(p.read("result/main.txt").ends_with("abo"));
    assert!(!p.exists("result/main.txt.d"));
    p.build(&[]).assert_nothing_done();

    write_ago(60, &p.path("in/b.txt"), "B");
    let why = p.explain("main");
    assert!(why.contains("changed input: in/b.txt, from "), "{why}");
    p.build(&[]).assert_only(&["main"]);
    assert!(p.read("result/main.txt").ends_with("aBo"));

    write_ago(60, &outside, "O");
    p.build(&[]).assert_only(&["main"]);
    p.build(&[]).assert_nothing_done();

    // What is not read any more is no input any more.
    p.write("in/main.txt", "in/a.txt\n");
    p.build(&[]).assert_only(&["main"]);
    p.remove("in/b.txt");
    p.build(&[]).assert_nothing_done();
    p.remove("in/a.txt");
    let why = p.explain("main");
    assert!(why.contains("in/a.txt") && why.contains("to nothing"), "{why}");
    fails(&p);
}

#[test]
fn a_found_input_that_is_written_while_the_command_runs_makes_it_run_once_more() {
    let p = project(
        r#"  t:
    rule: command
    inputs: [in/main.txt]
    run: "cp in/a.txt {out}; test -e ran || { touch ran; echo new > in/a.txt; }; echo 'x: in/a.txt' > {out}.d"
    depfile: "{out}.d"
    output: t.txt
"#,
    );
    p.write("in/main.txt", "");
    p.write("in/a.txt", "old\n");
    p.build(&[]);
    assert_eq!(p.read("t.txt"), "old\n");
    let why = p.explain("t");
    assert!(why.contains("in/a.txt, from what no one can tell"), "{why}");
    assert!(why.contains(", was what no one can tell) found while it ran\n"), "{why}");
    p.build(&[]).assert_only(&["t"]);
    assert_eq!(p.read("t.txt"), "new\n");
}

#[test]
fn a_found_folder_in_which_anything_is_written_while_the_command_runs_makes_it_run_once_more() {
    for meddles in ["echo new > in/sub/a.txt", "echo new > in/sub/b.txt", "rm in/sub/a.txt"] {
        let p = project(&format!(
            r#"  t: {{rule: command, run: "cat in/sub/* > {{out}}; test -e ran || {{{{ touch ran; {meddles}; }}}}; echo 'x: in' > {{out}}.d", depfile: "{{out}}.d", output: t.txt}}
"#
        ));
        fs::create_dir_all(p.path("in/sub")).expect("created");
        for (name, content) in [("a.txt", "old\n"), ("z.txt", "z\n")] {
            write_ago(90, &p.path("in/sub").join(name), content);
        }
        for folder in ["in/sub", "in"] {
            let opened = fs::File::open(p.path(folder)).expect("there");
            opened.set_modified(SystemTime::now() - Duration::from_secs(90)).expect("ours");
        }
        p.build(&[]);
        assert_eq!(p.read("t.txt"), "old\nz\n");
        let why = p.explain("t");
        assert!(why.contains("changed input: in, from what no one can tell"), "{meddles}: {why}");
        p.build(&[]).assert_only(&["t"]);
        assert_ne!(p.read("t.txt"), "old\nz\n", "{meddles}");
        p.build(&[]).assert_nothing_done();
    }
}

#[test]
fn a_found_file_in_a_folder_that_is_declared_was_not_written_while_the_command_ran() {
    let p = project(
        r#"  made: {rule: command, run: "echo 1 > {out}/x; touch -d '1 hour' {out}/x", output: made/}
  t: {rule: command, inputs: [made], run: "cat made/x > {out}; echo 'x: made/x' > {out}.d", depfile: "{out}.d", output: t.txt}
"#,
    );
    p.build(&[]);
    p.build(&[]).assert_nothing_done();
}

#[test]
fn a_found_input_that_another_step_makes_has_to_be_declared() {
    let p = project(&format!(
        "{INCLUDES}    after: [made]\n  made: {{rule: command, run: \"echo m > {{out}}\", output: result/m.txt}}\n"
    ));
    p.write("in/main.txt", "result/m.txt\n");
    let said = fails(&p);
    assert!(said.contains("result/m.txt, which made makes"), "{said}");
    // Also where this build was not asked for the other step.
    p.edit("    after: [made]\n", "");
    let said = failure(&p.build_exits(exit::FAILED, &["main"]));
    assert!(said.contains("result/m.txt, which made makes"), "{said}");
    p.edit(
        "    inputs: [in/main.txt]\n    run: \"cat {in} $(cat {in})",
        "    inputs: {main: in/main.txt, m: made}\n    run: \"cat {in} $(cat {in.main})",
    );
    p.edit("printf 'x: {in} '; tr '\\\\n' ' ' < {in}", "printf 'x: {in} '; tr '\\\\n' ' ' < {in.main}");
    p.build(&[]);
    p.build(&[]).assert_nothing_done();
}

#[test]
fn a_step_that_names_an_undeclared_input_keeps_its_record() {
    let p = project(
        r#"  g: {rule: command, run: "echo gen > {out}", output: gen.h}
  d: {rule: command, inputs: [./src], run: 'cp {in} {out}; echo "x: $(cat deps)" > {out}.d', depfile: "{out}.d", output: d.txt}
"#,
    );
    p.write("src", "1\n");
    p.write("deps", "src");
    p.build(&[]);
    p.write("deps", "gen.h");
    p.write("src", "2\n");
    let said = fails(&p);
    assert!(said.contains("gen.h, which g makes"), "{said}");
    let why = p.explain("d");
    assert!(why.contains("changed input: src") && why.contains("last made first build"), "{why}");
    assert!(!why.contains("because   first build") && !why.contains("never made"), "{why}");
    let planned = p.plan(&[]);
    assert!(planned.step("d").reason().contains("changed input: src"), "{}", planned.listing());

    // What it wrote when it failed did not take its place.
    p.write("deps", "src");
    p.write("src", "1\n");
    p.build(&[]).assert_nothing_done();
    assert_eq!(p.read("d.txt"), "1\n");
}

#[test]
fn a_depfile_that_is_not_there_or_no_rule_fails_its_step() {
    let p = project("  t: {rule: command, run: \"echo 1 > {out}\", depfile: \"{out}.d\", output: o.txt}\n");
    let said = fails(&p);
    assert!(said.contains("the depfile o.txt.d was not written"), "{said}");
    p.edit("echo 1 > {out}", "echo 1 > {out}; echo words > {out}.d");
    let said = fails(&p);
    assert!(said.contains("line 1 of the depfile o.txt.d is no rule"), "{said}");
    p.edit("echo words", "echo x: not-there.h");
    let said = fails(&p);
    assert!(said.contains("the depfile names not-there.h, which is not there"), "{said}");
}

#[test]
fn in_a_sandbox_only_outputs_and_a_private_tmp_can_be_written() {
    let p = project(
        r#"  good:
    rule: command
    inputs: [in/a.txt]
    run: "cat {in} > $TMPDIR/x && cp $TMPDIR/x {out} && echo noise > /dev/null"
    sandbox: true
    output: good.txt
  plain:
    rule: command
    inputs: [in/a.txt]
    run: "cp {in} {out}"
    sandbox: true
    output: plain.txt
"#,
    );
    p.write("in/a.txt", "a");
    let report = p.run(&["build", "--format", "json"]);
    if report.stdout.contains("cannot confine commands") {
        assert!(report.stdout.contains("it takes Landlock") && !report.stdout.contains("BitFlags"), "{report}");
        return;
    }
    assert_eq!(report.code, exit::DONE, "{report}");
    assert_eq!((p.read("good.txt").as_str(), p.read("plain.txt").as_str()), ("a", "a"));
    for bad in ["echo x > in/a.txt", "touch stray", "rm in/a.txt", "mkdir m", "mv in/a.txt in/b.txt", "echo x > ../out"]
    {
        let p = project(&format!(
            "  t:\n    rule: command\n    inputs: [in/a.txt]\n    run: \"touch {{out}}; {bad}\"\n    sandbox: true\n    output: t.txt\n"
        ));
        p.write("in/a.txt", "a");
        let before = p.snapshot();
        let said = fails(&p);
        assert!(said.contains("exit status"), "{said}");
        assert_eq!(before.changes(&p.snapshot()), [""; 0], "{bad}");
    }
}

#[test]
fn in_a_sandbox_only_its_own_processes_can_be_signalled() {
    let mut other = std::process::Command::new("sleep").arg("60").spawn().expect("sleep runs");
    let p = project(&format!(
        r#"  own: {{rule: command, run: "sleep 60 & kill $! && touch {{out}}", sandbox: true, output: own.txt}}
  other: {{rule: command, run: "kill -0 {} && touch {{out}}", sandbox: true, output: other.txt}}
"#,
        other.id()
    ));
    let run = p.run(&["build"]);
    other.kill().expect("it still runs");
    other.wait().expect("it ends");
    if run.stderr.contains("cannot confine commands") {
        return;
    }
    assert!(p.exists("own.txt"), "{run}");
    // Older systems confine the files alone.
    assert_eq!(p.exists("other.txt"), !signals_can_be_confined(), "{run}");
}

fn signals_can_be_confined() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("Linux tells its release");
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(12))
}

#[test]
fn a_sandbox_needs_an_output_of_its_own_to_write_to() {
    let p = project("  t: {rule: command, run: \"touch t.txt\", sandbox: true, output: t.txt}\n");
    let run = p.run(&["build"]);
    assert_eq!(run.code, exit::WRONG);
    assert!(run.stderr.contains("a sandbox without `{out}`"), "{run}");
}

#[test]
fn the_examples_of_the_manual_do_what_they_say() {
    let examples = examples(include_str!("../../docs/commands.md"));
    assert_eq!(examples.len(), 6);
    let has_a_compiler =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|d| d.join("cc").exists());
    for example in examples {
        let p = Project::new(example);
        p.write("etc/sizes.csv", "b,1\na,2\n");
        p.write("etc/counts.txt", "1\n");
        p.write("etc/names.csv", "n\n");
        p.write("src/a.c", "#include \"a.h\"\nint a = A;\n");
        p.write("src/a.h", "#define A 1\n");
        // What needs a network, or what is not here, is looked at only.
        if example.contains("curl") || example.contains("cc -M") && !has_a_compiler {
            p.plan(&[]);
            continue;
        }
        let run = p.run(&["build"]);
        assert!(run.code == exit::DONE || run.stderr.contains("cannot confine commands"), "{run}");
        if example.contains("depfile") {
            write_ago(90, &p.path("src/a.h"), "#define A 3\n");
            p.build(&[]).assert_only(&["object@name=a"]);
            p.build(&[]).assert_nothing_done();
            p.write("src/a.h", "#define A 2\n");
            p.build(&[]).assert_only(&["object@name=a"]);
        }
    }
}

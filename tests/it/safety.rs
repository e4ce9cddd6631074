//! A kill in the middle of a state write, a full disk, a folder that cannot be written, bytes that flipped, clocks that lie:
//! the next build says what it lost, makes that again, and ends with the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use crate::support::project::{PROGRAM, Project, Run, Running, walk};
use crate::support::words::{self, exit};

const PIECES: usize = 12;

/// Every run of a step leaves a line in a file of its own below `runs/`. The long names fill the journal soon.
fn pieces() -> Project {
    let long = "x".repeat(200);
    let numbers: Vec<String> = (1..=PIECES).map(|n| n.to_string()).collect();
    let project = Project::new(&format!(
        "version: 1
vars: {{round: one}}
targets:
  piece:
    rule: command
    foreach: {{n: [{}]}}
    run: \"echo ran >> runs/{{n}}; echo piece {{n}} of ${{round}} > {{out}}\"
    output: result/{long}/{long}/{{n}}.txt
  whole: {{rule: command, inputs: [piece], run: \"cat {{in}} > {{out}}\", output: result/whole.txt}}
",
        numbers.join(", ")
    ));
    fs::create_dir(project.path("runs")).expect("created");
    project
}

/// How often each step has run.
fn runs(project: &Project) -> BTreeMap<String, usize> {
    let lines = |n: usize| fs::read_to_string(project.path(&format!("runs/{n}"))).map_or(0, |log| log.lines().count());
    (1..=PIECES).map(|n| (format!("piece@n={n}"), lines(n))).collect()
}

/// The order of the pieces in the whole is that of their paths.
fn whole(round: &str) -> BTreeSet<String> {
    (1..=PIECES).map(|n| format!("piece {n} of {round}")).collect()
}

/// After whatever befell it: the next build ends well and does nothing that is recorded as done, the one after it nothing.
fn recovers(project: &Project, round: &str) -> String {
    let set = format!("round={round}");
    let to_do: BTreeSet<String> =
        project.plan(&["whole", "--set", &set]).names().into_iter().map(str::to_owned).collect();
    let before = runs(project);
    let report = project.build(&["whole", "--set", &set]);
    for (step, count) in runs(project) {
        assert!(to_do.contains(&step) || count == before[&step], "{step} was recorded as done, and ran again");
    }
    let content: BTreeSet<String> = project.read("result/whole.txt").lines().map(str::to_owned).collect();
    assert_eq!(content, whole(round));
    project.build(&["whole", "--set", &set]).assert_nothing_done();
    report.stderr
}

/// The files of the state, snapshots and journals, sorted.
fn state_files(project: &Project) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if !project.exists(".layermill/state") {
        return found;
    }
    walk(&project.path(".layermill/state"), &mut |path| {
        let name = path.file_name().and_then(|n| n.to_str()).expect("plain names");
        if name.starts_with("snapshot-") || name.starts_with("journal-") {
            found.push(path.to_owned());
        }
    });
    found
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("read");
    bytes[at] ^= 0x10;
    fs::write(path, bytes).expect("written");
}

/// A damaged journal is folded into a new snapshot by the next build.
fn damage_the_journal(project: &Project) {
    let files = state_files(project);
    if let Some(journal) = files.iter().find(|path| path.to_string_lossy().contains("/journal-")) {
        let len = fs::metadata(journal).expect("there").len() as usize;
        if len > 0 {
            flip(journal, len - 1);
        }
    }
}

#[test]
fn killed_at_two_hundred_random_moments_each_next_build_ends_the_same() {
    let project = pieces();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut killed, mut n) = (0, 0);
    while killed < 200 {
        n += 1;
        assert!(n < 2000, "only {killed} were still at work");
        let round = format!("r{n}");
        if n % 4 == 3 {
            damage_the_journal(&project);
        }
        let running = project.start(&["build", "whole", "--set", &format!("round={round}")]);
        std::thread::sleep(Duration::from_micros(random.u64(0..60_000)));
        running.signal(Signal::KILL);
        if running.wait().code == -Signal::KILL.as_raw() {
            killed += 1;
            recovers(&project, &round);
        }
    }
}

/// A build that is killed by the system once it writes past this many bytes of one file.
fn with_limit(project: &Project, bytes: usize, round: &str) -> Run {
    let mut command = project.command_of("prlimit");
    command.arg(format!("--fsize={bytes}")).arg("--core=0").arg(PROGRAM);
    command.args(["build", "whole", "--set", &format!("round={round}")]);
    Running::spawn(command).wait()
}

#[test]
fn killed_in_the_middle_of_a_journal_write_the_next_build_continues() {
    let (mut killed, mut said) = (0, 0);
    for limit in (400..16_000).step_by(520) {
        let project = pieces();
        killed += usize::from(with_limit(&project, limit, "one").code == -Signal::XFSZ.as_raw());
        said += usize::from(recovers(&project, "one").contains("was not written to its end"));
    }
    assert!(killed >= 10, "only {killed} were killed in a write");
    assert!(said >= 10, "what was lost was told of {said} times only");
}

#[test]
fn damage_is_told_by_every_verb_that_looks_and_nothing_is_touched() {
    let looks: [&[&str]; 10] = [
        &["plan"],
        &["plan", "--format", "json"],
        &["explain", "piece@n=1"],
        &["explain", "whole", "--format", "json"],
        &["status"],
        &["status", "--format", "json"],
        &["graph", "--steps"],
        &["clean", "-n"],
        &["clean", "--orphans", "-n"],
        &["gc", "-n", "--format", "json"],
    ];
    let flipped: fn(&Path) = |path| flip(path, 60);
    let cut: fn(&Path) = |path| File::options().write(true).open(path).and_then(|f| f.set_len(2000)).expect("cut");
    for (harm, words) in [(flipped, " (a build sets it aside); "), (cut, "was not written to its end")] {
        let project = pieces();
        let journal = project.path(".layermill/state/journal-1");
        project.build(&["whole"]);
        harm(&journal);
        let before = fs::read(&journal).expect("read");
        for args in looks {
            let run = project.run(args).exits(exit::DONE);
            assert_eq!(run.stderr.matches("the journal journal-1 of the state ").count(), 1, "{args:?}\n{run}");
            assert!(run.stderr.contains(words), "{args:?}\n{run}");
            if args.contains(&"json") {
                serde_json::from_str::<serde_json::Value>(&run.stdout).expect("JSON alone");
            }
        }
        assert_eq!(fs::read(&journal).expect("read"), before);
        // One who writes records says where it is kept.
        let run = project.run(&["verify"]);
        assert!(run.stderr.contains(words), "{run}");
        let said = project.build(&["whole"]).stderr;
        assert!(said.contains("the journal journal-1 of the state "), "{said}");
        project.build(&["whole"]).assert_nothing_done();
    }
}

#[test]
fn what_a_build_is_just_writing_is_no_damage() {
    let project = pieces();
    project.build(&["whole"]);
    let journal = project.path(".layermill/state/journal-1");
    File::options().write(true).open(&journal).and_then(|f| f.set_len(2000)).expect("cut");
    let path = project.path(".layermill/lock");
    fs::write(&path, format!("pid {}\nsince 1\n", std::process::id())).expect("written");
    // Who builds holds it, and who was killed does not any more.
    let lock = File::open(&path).expect("there");
    lock.lock().expect("no one has it");
    let run = project.run(&["status"]).exits(exit::DONE);
    assert_eq!(run.stderr, "", "{run}");
    drop(lock);
    project.run(&["status"]).exits(exit::DONE).says("was not written to its end");
}

#[test]
fn killed_in_the_middle_of_a_snapshot_the_next_build_continues() {
    let project = pieces();
    recovers(&project, "one");
    let mut killed = 0;
    for n in 0..24 {
        damage_the_journal(&project);
        let round = format!("r{n}");
        killed += usize::from(with_limit(&project, 600 + n * 650, &round).code == -Signal::XFSZ.as_raw());
        recovers(&project, &round);
    }
    assert!(killed >= 5, "only {killed} were killed in a write");
}

#[test]
fn a_flipped_or_torn_byte_anywhere_in_the_state_is_said_and_made_good() {
    let project = pieces();
    recovers(&project, "one");
    let mut said = 0;
    for n in 0..104usize {
        let round = format!("r{}", n / 2);
        let files = state_files(&project);
        let path = &files[n % files.len()];
        let len = fs::metadata(path).expect("there").len() as usize;
        let at = n * 7919 % len;
        if n % 8 == 7 {
            File::options().write(true).open(path).and_then(|f| f.set_len(at as u64)).expect("cut");
        } else {
            flip(path, at);
        }
        said += usize::from(recovers(&project, &round).contains(words::SET_ASIDE));
    }
    assert!(said >= 60, "damage was told of {said} times only");
}

/// Mounts a small disk of its own, builds there, leaves so much room, builds more than fits, makes room and builds again.
const FULL: &str = r#"
set -eu
mount -t tmpfs -o size=8m none disk
cp pipeline.yaml disk; cd disk
"$1" build --set v=1 >&2
used=$(df -k --output=used . | tail -1)
mount -o remount,size=$((used + $2))k "$PWD"
code=0; "$1" build -j 1 --set v=2 >&2 || code=$?
for n in 1 2 3 4 5 6; do
    head -c 8 result/$n.txt; echo " $(wc -c < result/$n.txt)"
done | sort | uniq -c | awk '{print "left", $2, $3}'
echo "code $code"
mount -o remount,size=8m "$PWD"
"$1" build --set v=2 >&2; echo "then $?"
"$1" build --set v=2 >&2
cat result/*.txt | cksum | sed 's/^/sum /'
"#;

#[test]
fn a_full_disk_is_said_loses_nothing_and_once_there_is_room_the_build_ends_the_same() {
    let project = Project::new(
        "version: 1
vars: {v: '0'}
targets:
  big:
    rule: command
    foreach: {n: [1, 2, 3, 4, 5, 6]}
    run: \"yes version${v} {n} | head -c 9000 > {out}\"
    output: result/{n}.txt
",
    );
    fs::create_dir(project.path("disk")).expect("created");
    let (mut failed, mut sums) = (0, BTreeSet::new());
    for room in (0..160).step_by(8) {
        let mut command = project.command_of("unshare");
        command.args(["-Urm", "sh", "-c", FULL, "sh", PROGRAM, &room.to_string()]);
        let run = Running::spawn(command).wait().exits(exit::DONE);
        for line in run.stdout.lines() {
            match line.split_once(' ').expect("two words") {
                ("left", file) => assert!(["version1 9000", "version2 9000"].contains(&file), "{room}: {file}\n{run}"),
                ("code", code) => {
                    assert!(["0", "1"].contains(&code), "{room} KiB left: exit {code}\n{run}");
                    if code == "1" {
                        failed += 1;
                        assert!(run.stderr.contains("No space left"), "{room} KiB left: it does not say why\n{run}");
                    }
                }
                ("then", code) => assert_eq!(code, "0", "{run}"),
                ("sum", sum) => drop(sums.insert(sum.to_owned())),
                other => panic!("{other:?}\n{run}"),
            }
        }
    }
    assert!(failed >= 5, "the disk was full {failed} times only");
    assert_eq!(sums.len(), 1, "the same bytes however full it was: {sums:?}");
}

const NOBODY: u32 = 65534;

/// The program as one whom permissions bind: root is bound by none.
fn bound(project: &Project, args: &[&str]) -> Run {
    if !rustix::process::geteuid().is_root() {
        return project.run(args);
    }
    walk_folders(project, |path| std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).expect("given away"));
    let mut command = project.command_of("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", PROGRAM]).args(args);
    Running::spawn(command).wait()
}

fn walk_folders(project: &Project, mut each: impl FnMut(&Path)) {
    let listed = Command::new("find").arg(project.around()).output().expect("find runs");
    String::from_utf8(listed.stdout).expect("plain names").lines().for_each(|path| each(path.as_ref()));
}

fn chmod(project: &Project, mode: &str, path: &str) {
    let done = Command::new("chmod").args(["-R", mode]).arg(project.path(path)).status().expect("chmod runs");
    assert!(done.success());
}

#[test]
fn what_cannot_be_written_or_read_is_named_and_mended_permissions_are_enough() {
    for (closed, open) in [("result", "u+w"), (".layermill", "u+w"), (".layermill/state", "u+rwX")] {
        let project = pieces();
        bound(&project, &["build", "whole"]).exits(exit::DONE);
        chmod(&project, if closed.ends_with("state") { "a-rwx" } else { "a-w" }, closed);
        let run = bound(&project, &["build", "whole", "--set", "round=two"]).exits(exit::FAILED);
        assert!(run.stderr.contains("ermission denied") && run.stderr.contains(closed), "{closed}: {run}");
        chmod(&project, open, closed);
        let content: BTreeSet<String> = project.read("result/whole.txt").lines().map(str::to_owned).collect();
        assert_eq!(content, whole("one"), "what was there is intact");
        bound(&project, &["build", "whole"]).exits(exit::DONE);
        bound(&project, &["build", "whole", "--set", "round=two"]).exits(exit::DONE);
    }
}

#[test]
fn verbs_that_look_work_where_nothing_can_be_written() {
    let project = pieces();
    bound(&project, &["build", "whole"]).exits(exit::DONE);
    chmod(&project, "a-w", "");
    for verb in [&["plan"][..], &["status"], &["explain", "whole"], &["graph"], &["verify"]] {
        bound(&project, verb).exits(exit::DONE);
    }
    chmod(&project, "u+w", "");
}

#[test]
fn files_from_the_future_or_the_past_or_of_the_same_tick_never_give_a_stale_answer() {
    let project = Project::new(
        "version: 1
targets:
  copy: {rule: command, inputs: [./in.txt], run: \"cat {in} > {out}\", output: result/out.txt}
",
    );
    let now = SystemTime::now();
    let day = Duration::from_secs(86_400);
    for (n, time) in [now + day, now + day, now - day, now - 2 * day, now + 3 * day, now].into_iter().enumerate() {
        // All of one size and one inode; two of one time.
        for piece in ["a", "b"] {
            let text = format!("{piece}{n}");
            project.write("in.txt", &text);
            if piece == "a" {
                let file = File::options().append(true).open(project.path("in.txt")).expect("there");
                file.set_modified(time).expect("ours");
            }
            project.build(&[]);
            assert_eq!(project.read("result/out.txt"), text);
        }
    }
    // An output that was rewritten, with a time that has not come yet.
    for n in 0..3 {
        project.write("result/out.txt", format!("x{n}"));
        let file = File::options().append(true).open(project.path("result/out.txt")).expect("there");
        file.set_modified(now + day).expect("ours");
        project.build(&[]);
        assert_eq!(project.read("result/out.txt"), "b5");
    }
}

#[test]
fn a_file_that_was_rewritten_and_given_its_old_time_is_seen() {
    let project = Project::new(
        "version: 1
targets:
  copy: {rule: command, inputs: [./in.txt], run: \"cat {in} > {out}\", output: result/out.txt}
  pack: {rule: command, inputs: [./folder], run: \"cat {in}/* > {out}\", output: result/pack.txt}
",
    );
    project.write("in.txt", "one");
    project.write("folder/in.txt", "one");
    project.build(&[]);
    // Nothing is left to be looked at twice since it is too new.
    std::thread::sleep(Duration::from_millis(50));
    project.build(&[]).assert_nothing_done();
    let rewrite = |path: &str, text: &str| {
        let file = File::options().write(true).open(project.path(path)).expect("there");
        let time = file.metadata().and_then(|meta| meta.modified()).expect("looked at");
        std::io::Write::write_all(&mut &file, text.as_bytes()).expect("in place, and as long");
        file.set_modified(time).expect("ours");
    };
    rewrite("in.txt", "two");
    rewrite("folder/in.txt", "two");
    project.build(&[]).assert_only(&["copy", "pack"]);
    assert_eq!((project.read("result/out.txt"), project.read("result/pack.txt")), ("two".into(), "two".into()));
    std::thread::sleep(Duration::from_millis(50));
    project.build(&[]).assert_nothing_done();
    rewrite("result/out.txt", "own");
    project.build(&[]).assert_only(&["copy"]);
    assert_eq!(project.read("result/out.txt"), "two");
}

#[test]
fn what_moves_no_content_runs_nothing() {
    let project = Project::new(
        "version: 1
targets:
  copy: {rule: command, inputs: [./in.txt], run: \"cat {in} > {out}\", output: result/out.txt}
",
    );
    project.write("in.txt", "one");
    project.build(&[]);
    for file in ["in.txt", "result/out.txt"] {
        for change in ["chmod o-r", "ln F other;:", "mv F away; mv away F;:", "cp -p F copy; mv copy F;:", "touch"] {
            let line = format!("{change} F; rm -f other").replace('F', file);
            let done = project.command_of("sh").args(["-ec", &line]).status().expect("a shell");
            assert!(done.success(), "{line}");
            project.build(&[]).assert_nothing_done();
        }
    }
}

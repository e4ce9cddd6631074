//! A folder with a pipeline in it, and the program run there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde::Deserialize;
use tempfile::TempDir;

use super::images::{self, Manifest};
use super::until;
use super::words::{exit, outcome};

/// What is tested.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_layermill");

pub struct Project {
    /// Holds the project's folder and, beside it, the home folder that the program sees.
    around: TempDir,
    root: PathBuf,
}

impl Project {
    /// A folder with this `pipeline.yaml`.
    pub fn new(pipeline: &str) -> Self {
        Self::named("project", pipeline)
    }

    /// The same, with a folder name of one's own.
    pub fn named(name: &str, pipeline: &str) -> Self {
        let around = TempDir::new().expect("a temporary folder");
        let root = around.path().join(name);
        fs::create_dir_all(&root).expect("created");
        fs::create_dir(around.path().join("home")).expect("created");
        let project = Self { around, root };
        project.write("pipeline.yaml", pipeline);
        project
    }

    /// A copy of what a clone of the repository has and a build reads.
    pub fn clone_of_the_repository(name: &str) -> Self {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        let pipeline = fs::read_to_string(repository.join("pipeline.yaml")).expect("the shipped pipeline.yaml");
        let project = Self::named(name, &pipeline);
        copy(&repository.join("etc"), &project.path("etc"));
        project
    }

    /// An OCI layout of these images in a folder of the project.
    pub fn layout(&self, folder: &str, images: &[(String, Manifest)]) {
        fs::create_dir_all(self.path(folder)).expect("created");
        images::write_layout(&self.path(folder), images).expect("written");
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The folder that the project lies in: nothing is ever written there.
    pub fn around(&self) -> &Path {
        self.around.path()
    }

    pub fn exists(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    pub fn json(&self, path: &str) -> serde_json::Value {
        serde_json::from_str(&self.read(path)).unwrap_or_else(|e| panic!("{path}: {e}\n{}", self.read(path)))
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("inside the project")).expect("created");
        fs::write(path, content).expect("written");
    }

    /// Replaces a piece of the pipeline's text.
    pub fn edit(&self, old: &str, new: &str) {
        let text = self.read("pipeline.yaml");
        assert!(text.contains(old), "`{old}` is not in the pipeline");
        self.write("pipeline.yaml", text.replace(old, new));
    }

    pub fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    }

    /// The program in this folder, on its own: no settings of the person who runs the tests reach it.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.command_of(PROGRAM);
        command.args(args);
        command
    }

    /// Another program in this folder, on its own in the same way.
    pub fn command_of(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.root)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.around.path().join("home"));
        command
    }

    /// The program on a terminal of its own, 100 columns wide; what it draws is `stdout`.
    pub fn at_a_terminal(&self, args: &str) -> Command {
        let mut script = self.command_of("script");
        let line = format!("stty cols 100 rows 24; exec {PROGRAM} {args}");
        script.args(["-qefc", &line, "/dev/null"]).env("TERM", "xterm");
        script
    }

    pub fn run(&self, args: &[&str]) -> Run {
        Running::spawn(self.command(args)).wait()
    }

    /// Starts the program and leaves it running.
    pub fn start(&self, args: &[&str]) -> Running {
        Running::spawn(self.command(args))
    }

    /// A build that has to succeed.
    pub fn build(&self, args: &[&str]) -> Report {
        self.build_exits(exit::DONE, args)
    }

    /// A build that has to exit with `code`.
    pub fn build_exits(&self, code: i32, args: &[&str]) -> Report {
        self.run(&[&["build", "--format", "json"], args].concat()).report(code)
    }

    /// What `plan` would run.
    pub fn plan(&self, args: &[&str]) -> Report {
        self.run(&[&["plan", "--format", "json"], args].concat()).report(exit::DONE)
    }

    /// What `explain` says of a step.
    pub fn explain(&self, step: &str) -> String {
        let run = self.run(&["explain", step]);
        assert_eq!(run.code, exit::DONE, "explain exits 0 whatever it finds\n{run}");
        run.stdout
    }

    /// All files of the project but those in `.layermill/`.
    pub fn snapshot(&self) -> Snapshot {
        let mut files = BTreeMap::new();
        walk(&self.root, &mut |path| {
            let name = path.strip_prefix(&self.root).expect("below the root").to_str().expect("plain names");
            if !name.starts_with(".layermill/") {
                let mtime = fs::metadata(path).and_then(|m| m.modified()).expect("looked at");
                files.insert(name.to_owned(), (fs::read(path).expect("read"), mtime));
            }
        });
        Snapshot(files)
    }
}

/// Files: content and time of last change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<String, (Vec<u8>, std::time::SystemTime)>);

impl Snapshot {
    pub fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// The names of files that were made, removed, or touched: any difference in content or time.
    pub fn changes(&self, later: &Self) -> Vec<String> {
        let all: std::collections::BTreeSet<_> = self.0.keys().chain(later.0.keys()).collect();
        all.into_iter().filter(|name| self.0.get(*name) != later.0.get(*name)).cloned().collect()
    }

    /// Fails, naming the files, where the two do not hold the same names with the same bytes below a folder.
    pub fn assert_same_bytes(&self, other: &Self, folder: &str) {
        let below = |s: &Self| -> BTreeMap<String, Vec<u8>> {
            let inside = s.0.iter().filter(|(name, _)| name.starts_with(folder));
            inside.map(|(name, (bytes, _))| (name.clone(), bytes.clone())).collect()
        };
        let (ours, theirs) = (below(self), below(other));
        assert!(!ours.is_empty(), "nothing below {folder}");
        assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
        for (name, bytes) in &ours {
            assert!(
                *bytes == theirs[name],
                "{name} differs:\n{}\n{}",
                String::from_utf8_lossy(bytes),
                String::from_utf8_lossy(&theirs[name])
            );
        }
    }
}

/// Calls `each` for every file below a folder.
pub fn walk(folder: &Path, each: &mut impl FnMut(&Path)) {
    let mut entries: Vec<_> = fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            walk(&path, each);
        } else {
            each(&path);
        }
    }
}

pub fn copy(from: &Path, to: &Path) {
    walk(from, &mut |path| {
        let to = to.join(path.strip_prefix(from).expect("below it"));
        fs::create_dir_all(to.parent().expect("below it")).expect("created");
        fs::copy(path, to).expect("copied");
    });
}

/// The program at work.
pub struct Running {
    child: Option<Child>,
    stdout: Pipe,
    stderr: Pipe,
}

impl Running {
    pub fn spawn(command: Command) -> Self {
        Self::fed(command, Stdio::null())
    }

    /// The same, with someone who [types](Self::types).
    pub fn attended(command: Command) -> Self {
        Self::fed(command, Stdio::piped())
    }

    fn fed(mut command: Command, stdin: Stdio) -> Self {
        let mut child =
            command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let stdout = Pipe::drain(child.stdout.take().expect("piped"));
        let stderr = Pipe::drain(child.stderr.take().expect("piped"));
        Self { child: Some(child), stdout, stderr }
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("still running").id()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
        rustix::process::kill_process(pid, signal).expect("it runs, and is ours");
    }

    pub fn ended(&mut self) -> bool {
        self.child.as_mut().expect("still ours").try_wait().expect("our child").is_some()
    }

    /// Waits until something holds while it runs; fails, with what it said, where it ends before.
    pub fn until<T>(&mut self, what: &str, mut holds: impl FnMut(&Self) -> Option<T>) -> T {
        until(what, || {
            let ended = self.ended();
            let found = holds(self);
            assert!(found.is_some() || !ended, "it ended before: {what}\n{}", self.stderr());
            found
        })
    }

    pub fn types(&mut self, text: &str) {
        let stdin = self.child.as_mut().and_then(|child| child.stdin.as_mut()).expect("it is attended");
        stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush()).expect("it listens");
    }

    /// What it has printed so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has said so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Run {
        let status = until("the program ends", || self.child.as_mut().expect("ours").try_wait().expect("our child"));
        self.child = None;
        let code = status.code().unwrap_or_else(|| -status.signal().unwrap_or(0));
        // Where a signal ended the program, its children may live on and hold the pipes.
        if status.signal().is_none() {
            self.stdout.close();
            self.stderr.close();
        }
        Run { code, stdout: self.stdout.text(), stderr: self.stderr.text() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // A test failed while it ran.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A pipe that is read all along, so that a full one never stops the program.
struct Pipe {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Pipe {
    fn drain(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let ours = Arc::clone(&bytes);
        let thread = std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(n @ 1..) = pipe.read(&mut piece) {
                ours.lock().expect("no one panicked").extend_from_slice(&piece[..n]);
            }
        });
        Self { bytes, thread: Some(thread) }
    }

    /// Waits for its end.
    fn close(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("reading does not panic");
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("no one panicked")).into_owned()
    }
}

/// What came of a run of the program.
#[derive(Debug)]
pub struct Run {
    /// The exit code; minus the signal's number where one ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// Fails unless it exited with this code.
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "the exit code\n{self}");
        self
    }

    /// Fails unless the words stand in its messages.
    pub fn says(self, words: &str) -> Self {
        assert!(self.unwrapped().contains(&flat(words)), "`{words}` is not said\n{self}");
        self
    }

    /// Its messages as one line: where they were wrapped, and what drew the marks, is left out.
    fn unwrapped(&self) -> String {
        flat(&self.stderr)
    }

    /// What `--format json` printed, after an exit with `code`.
    pub fn report(self, code: i32) -> Report {
        let run = self.exits(code);
        let mut report: Report =
            serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("not a report: {e}\n{run}"));
        report.stderr = run.stderr;
        report
    }
}

fn flat(text: &str) -> String {
    let plain = text.replace(['│', '×', '╭', '╰', '─', '▶', '├', '·', '┬'], " ");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// What a build (or a plan) came to: `--format json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Report {
    pub built: u64,
    pub up_to_date: u64,
    pub restored: u64,
    pub absent: u64,
    pub failed: u64,
    pub blocked: u64,
    pub deferred: u64,
    pub requests: u64,
    pub bytes: u64,
    /// Those that are not up to date.
    pub steps: Vec<Step>,
    #[serde(skip)]
    pub stderr: String,
}

#[derive(Debug, Deserialize)]
pub struct Step {
    pub step: String,
    #[serde(default)]
    pub outcome: String,
    /// Why it was not up to date.
    reason: Option<String>,
    /// Why it failed, or is absent.
    pub message: Option<String>,
}

impl Step {
    /// Why it was not up to date; empty where it says nothing.
    pub fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or("")
    }
}

impl Report {
    /// The names of the steps that something was done for, or was tried, sorted: neither those that are absent nor those
    /// whose files were adopted as they are.
    pub fn names(&self) -> Vec<&str> {
        let done = self.steps.iter().filter(|s| ![outcome::ABSENT, outcome::ADOPTED].contains(&s.outcome.as_str()));
        let mut names: Vec<_> = done.map(|s| s.step.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// The same of one target.
    pub fn of(&self, target: &str) -> Vec<&str> {
        let ours = |name: &&str| name.split('@').next() == Some(target);
        self.names().into_iter().filter(ours).collect()
    }

    /// The step of this name, which was not up to date.
    pub fn step(&self, name: &str) -> &Step {
        let missing = || panic!("{name} is not among the steps that were not up to date:\n{}", self.listing());
        self.steps.iter().find(|s| s.step == name).unwrap_or_else(missing)
    }

    /// Fails unless all was up to date.
    pub fn assert_nothing_done(&self) {
        assert!(self.names().is_empty(), "not up to date:\n{}", self.listing());
        assert_eq!((self.built, self.restored, self.failed, self.blocked), (0, 0, 0, 0), "{}", self.listing());
    }

    /// Fails unless exactly these steps were not up to date.
    pub fn assert_only(&self, names: &[&str]) {
        let mut names = names.to_vec();
        names.sort_unstable();
        assert_eq!(self.names(), names, "{}", self.listing());
    }

    pub fn listing(&self) -> String {
        let mut text = String::new();
        for s in &self.steps {
            writeln!(text, "{} {} ({})", s.step, s.outcome, s.reason()).expect("written to memory");
        }
        text + &self.stderr
    }
}

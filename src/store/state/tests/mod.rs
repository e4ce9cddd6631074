//! Laws of the state as a whole, and what the tests share.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::store::Sha256;

mod damage;
mod generations;
mod kill;
mod laws;

/// What a test put, by path; and by key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Model {
    pub files: BTreeMap<String, FileRecord>,
    pub steps: BTreeMap<String, StepRecord>,
    pub actions: BTreeMap<Digest, Vec<StoredOutput>>,
}

/// Paths of which some are the beginning of others, one is empty and one is not ASCII.
pub(super) const PATHS: [&str; 8] = ["", "a", "a/b", "a/bc", "result/tags/library/nginx.json", "ü/ß", "x y", "long"];
pub(super) const TEMPLATES: [&str; 3] = ["rule: tags 1", "rule: layers 1", ""];

pub(super) fn digest(n: u8) -> Digest {
    Digest([n; 32])
}

pub(super) fn file_record(n: u8) -> FileRecord {
    let stamp = Stamp { size: u64::from(n) << 50, times: -i64::from(n), inode: u64::from(n) };
    FileRecord { stamp, content: digest(n), settled: n.is_multiple_of(2) }
}

/// A record of every shape: each bit of `n` is one of its optional fields.
pub(super) fn step_record(n: u8) -> StepRecord {
    let some = |bit: u8| n & bit != 0;
    StepRecord {
        key: digest(n),
        absent: some(1).then(|| "no such repository ü".repeat(usize::from(n % 3))),
        question: if some(2) { digest(n) } else { Digest::default() },
        answer: some(4).then_some(Sha256([n; 32])),
        asked_at: if some(8) { -i64::from(n) } else { 0 },
        made_at: if some(128) { i64::from(n) } else { 0 },
        template: Digest::of(TEMPLATES[usize::from(n % 3)].as_bytes()),
        parts: (0..n / 16).map(|i| KeyPart { name: [i; 8], value: [n; 8] }).collect(),
        found: if some(32) {
            vec![FoundInput { path: "/usr/include/ü.h".into(), content: digest(n) }, FoundInput::default()]
        } else {
            vec![]
        },
        why: some(64).then(|| "an input moved ".repeat(usize::from(n % 3))),
        more_outputs: if some(16) { vec!["b".into(), "ü".into()] } else { vec![] },
        why_asked: if n % 3 == 1 { "by hand ü\nold".into() } else { String::new() },
        asking: Asking {
            unchanged: n % 7 == 1,
            before: (n % 7 == 2).then_some(-i64::from(n)),
            by: if n % 7 > 4 { "a mirror ü".into() } else { String::new() },
            notes: if n % 7 == 6 { "one left out\nmore".into() } else { String::new() },
        },
        before: if n % 5 == 1 { "made then".into() } else { String::new() },
    }
}

pub(super) fn outputs(n: u8) -> Vec<StoredOutput> {
    let one = |i| StoredOutput {
        content: digest(n),
        blob: Sha256([i; 32]),
        size: u64::from(i) << 33,
        executable: i % 2 == 0,
        made_at: i64::from(i) << 48,
    };
    (0..n % 4).map(one).collect()
}

pub(super) fn open(dir: &Path, access: Access) -> (State, Vec<SetAside>) {
    State::open(dir, access).unwrap()
}

/// Opens what must be whole.
pub(super) fn open_whole(dir: &Path, access: Access) -> State {
    let (state, set_aside) = open(dir, access);
    assert_eq!(set_aside, []);
    state
}

/// Everything that the state tells, by every way of asking.
pub(super) fn told(state: &State) -> Model {
    let mut model = Model::default();
    for number in 0..state.path_count() {
        let id = PathId(number as u32);
        let path = state.path(id);
        assert_eq!(state.find(path), Some(id));
        assert_eq!(state.find_near(path, PathId(0)), Some(id));
        assert_eq!(state.file(path), state.file_at(id));
        model.files.extend(state.file_at(id).map(|f| (path.to_owned(), f)));
        let step = state.step_at(id);
        assert_eq!(state.step_key_at(id), step.as_ref().map(|s| s.key));
        assert_eq!(state.step(path), step);
        model.steps.extend(step.map(|s| (path.to_owned(), s)));
    }
    let paths: BTreeSet<_> = state.step_paths().into_iter().collect();
    assert!(paths.iter().eq(model.steps.keys()));
    for n in 0..=u8::MAX {
        model.actions.extend(state.action(&digest(n)).map(|a| (digest(n), a)));
    }
    model
}

/// Puts something of every kind into state and model: different for each `n`.
pub(super) fn put_some(state: &mut State, model: &mut Model, n: u8) {
    let path = PATHS[usize::from(n) % PATHS.len()];
    let (file, step, outputs) = (file_record(n), step_record(n), outputs(n));
    for text in TEMPLATES {
        state.put_template(text);
    }
    state.put_file(path, file);
    state.put_step(path, &step);
    state.put_action(digest(n), &outputs);
    model.files.insert(path.to_owned(), file);
    model.steps.insert(path.to_owned(), step);
    model.actions.insert(digest(n), outputs);
    if n % 5 == 4 {
        let gone = PATHS[usize::from(n / 2) % PATHS.len()];
        state.remove(gone);
        model.files.remove(gone);
        model.steps.remove(gone);
    }
}

/// A folder in memory where there is one: thousands of snapshots wait for the disk thousands of times.
pub(super) fn home() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Every byte of a folder.
pub(super) fn bytes_in(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(|e| e.unwrap());
    entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect()
}

pub(super) fn names_in(dir: &Path) -> Vec<String> {
    bytes_in(dir).into_keys().collect()
}

/// Makes the folder hold these files and no others.
pub(super) fn set_bytes(dir: &Path, files: &BTreeMap<String, Vec<u8>>) {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir).unwrap();
    for (name, bytes) in files {
        fs::write(dir.join(name), bytes).unwrap();
    }
}

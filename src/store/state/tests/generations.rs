//! What a kill leaves between two generations, and who looks while they change.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

#[test]
fn every_constellation_between_two_generations_tells_the_same() {
    let home = home();
    let dir = home.path();
    let (mut state, mut model) = (open_whole(dir, Access::Write), Model::default());
    put_some(&mut state, &mut model, 3);
    state.sync().unwrap();
    state.write_snapshot().unwrap();
    put_some(&mut state, &mut model, 20);
    state.sync().unwrap();
    let old = bytes_in(dir);
    state.write_snapshot().unwrap();
    let new = bytes_in(dir);
    assert!(old.keys().eq(["journal-2", "snapshot-2"]) && new.keys().eq(["snapshot-3"]));
    let snapshot = &new["snapshot-3"];

    let with = |name: &str, bytes: &[u8]| {
        let mut files = old.clone();
        files.insert(name.to_owned(), bytes.to_vec());
        files
    };
    let without = |name: &str| {
        let mut files = with("snapshot-3", snapshot);
        files.remove(name);
        files
    };
    let constellations = [
        old.clone(),
        with("snapshot-3.tmp", b""),
        with("snapshot-3.tmp", &snapshot[..snapshot.len() / 2]),
        with("snapshot-3.tmp", snapshot),
        with("snapshot-3", snapshot),
        without("journal-2"),
        without("snapshot-2"),
        new.clone(),
    ];
    for files in constellations {
        set_bytes(dir, &files);
        assert_eq!(told(&open_whole(dir, Access::Look)), model);
        assert_eq!(bytes_in(dir), files);
        let mut state = open_whole(dir, Access::Write);
        assert_eq!(told(&state), model);
        let base = if files.contains_key("snapshot-3") { vec!["snapshot-3"] } else { vec!["journal-2", "snapshot-2"] };
        assert_eq!(names_in(dir), base, "what is left over goes");
        let mut more = model.clone();
        put_some(&mut state, &mut more, 9);
        state.flush().unwrap();
        drop(state);
        let mut state = open_whole(dir, Access::Write);
        assert_eq!(told(&state), more);
        state.write_snapshot().unwrap();
        assert_eq!(told(&open_whole(dir, Access::Look)), more);
    }
}

#[test]
fn names_that_are_not_generations_are_left_alone() {
    let home = home();
    let names =
        ["damaged-snapshot-1", "journal-", "journal-0", "journal-01", "journal-99999999999999999999", "notes.tmp"];
    names.iter().for_each(|name| fs::write(home.path().join(name), "mine").unwrap());
    let (mut state, mut model) = (open_whole(home.path(), Access::Write), Model::default());
    put_some(&mut state, &mut model, 3);
    state.sync().unwrap();
    state.write_snapshot().unwrap();
    assert_eq!(told(&open_whole(home.path(), Access::Write)), model);
    assert_eq!(names_in(home.path()), [&names[..], &["snapshot-2"]].concat());
}

#[test]
fn a_journal_is_folded_into_a_snapshot_once_it_is_long() {
    let home = home();
    let mut state = open_whole(home.path(), Access::Write);
    let long = |n: u8| StepRecord { absent: Some("x".repeat(SMALL_JOURNAL as usize / 2)), ..step_record(n) };
    state.put_step("a", &long(1));
    state.compact().unwrap();
    assert_eq!(names_in(home.path()), ["journal-1"]);
    state.put_step("a", &long(2));
    state.compact().unwrap();
    assert_eq!(names_in(home.path()), ["snapshot-2"]);
    // What was replaced is not in it.
    assert!(fs::metadata(home.path().join("snapshot-2")).unwrap().len() < SMALL_JOURNAL * 3 / 4);
    state.put_step("a", &long(3));
    state.compact().unwrap();
    assert_eq!(names_in(home.path()), ["journal-2", "snapshot-2"]);
    assert_eq!(told(&open_whole(home.path(), Access::Look)), told(&state));
}

#[test]
fn one_who_looks_sees_a_whole_state_while_generations_change() {
    let home = home();
    let dir = home.path();
    let mut state = open_whole(dir, Access::Write);
    let record = |n| FileRecord { stamp: Stamp { size: n, ..Stamp::default() }, ..file_record(0) };
    state.put_file("a", record(0));
    state.flush().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..200 {
                state.put_file("a", record(n));
                state.put_file("b", record(n));
                state.flush().unwrap();
                state.write_snapshot().unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut last = 0;
        while !done.load(Ordering::Relaxed) {
            let look = open_whole(dir, Access::Look);
            let n = look.file("a").unwrap().stamp.size;
            assert!(n >= last && (n == 0 || look.file("b").unwrap().stamp.size == n), "{last} then {n}");
            last = n;
        }
    });
    assert_eq!(open_whole(dir, Access::Look).file("a"), Some(record(199)));
}

#[test]
fn two_states_see_what_the_other_flushed_before_they_were_opened() {
    let home = home();
    let (mut writer, mut model) = (open_whole(home.path(), Access::Write), Model::default());
    put_some(&mut writer, &mut model, 3);
    writer.flush().unwrap();
    let (early, told_early) = (open_whole(home.path(), Access::Look), model.clone());
    put_some(&mut writer, &mut model, 20);
    assert_eq!(told(&open_whole(home.path(), Access::Look)), told_early);
    writer.flush().unwrap();
    writer.write_snapshot().unwrap();
    assert_eq!(told(&open_whole(home.path(), Access::Look)), model);
    assert_eq!(told(&early), told_early);
}

#[test]
fn a_flush_that_failed_is_made_good_by_the_next() {
    let home = home();
    let dir = home.path();
    let (mut state, mut model) = (open_whole(dir, Access::Write), Model::default());
    let obstacle = dir.join("journal-1");
    fs::create_dir(&obstacle).unwrap();
    put_some(&mut state, &mut model, 3);
    let error = state.flush().unwrap_err();
    assert!(matches!(error, StateError::Io { action: "write", .. }));
    put_some(&mut state, &mut model, 20);
    fs::remove_dir(&obstacle).unwrap();
    state.flush().unwrap();
    // The rest of a write that failed lies behind the good frames.
    let journal = fs::read(&obstacle).unwrap();
    fs::write(&obstacle, [&journal[..], b"half a frame"].concat()).unwrap();
    put_some(&mut state, &mut model, 9);
    state.flush().unwrap();
    assert_eq!(told(&open_whole(dir, Access::Look)), model);
}

#[test]
fn a_snapshot_that_cannot_be_written_loses_nothing() {
    let home = home();
    let dir = home.path();
    let (mut state, mut model) = (open_whole(dir, Access::Write), Model::default());
    put_some(&mut state, &mut model, 3);
    state.sync().unwrap();
    fs::create_dir(dir.join("snapshot-2.tmp")).unwrap();
    let error = state.write_snapshot().unwrap_err();
    assert!(matches!(error, StateError::Io { action: "compact", .. }));
    put_some(&mut state, &mut model, 20);
    state.sync().unwrap();
    assert_eq!(told(&open_whole(dir, Access::Look)), model);
    fs::remove_dir(dir.join("snapshot-2.tmp")).unwrap();
    state.write_snapshot().unwrap();
    assert_eq!(told(&open_whole(dir, Access::Look)), model);
}

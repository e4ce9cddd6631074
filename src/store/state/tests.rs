//! Laws of the state as a whole.

use super::*;

fn digest(n: u8) -> Digest {
    Digest([n; 32])
}

#[test]
fn what_was_flushed_is_there_again() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("state");
    let (mut state, set_aside) = State::open(&dir, Access::Write).unwrap();
    assert!(set_aside.is_empty());
    let file = FileRecord { stamp: Stamp { size: 5, mtime: -7, inode: 9 }, content: digest(1), settled: true };
    let template = state.put_template("rule: tags");
    let step = StepRecord {
        key: digest(2),
        absent: Some("no such repository".into()),
        question: digest(3),
        answer: Some(crate::store::Sha256([4; 32])),
        asked_at: 1_700_000_000_000,
        template,
        parts: vec![KeyPart { name: [1; 8], value: [2; 8] }],
        more_outputs: vec!["b".into(), "c".into()],
    };
    state.put_file("a", file);
    state.put_step("a", &step);
    state.put_step("z", &StepRecord { template, ..StepRecord::default() });
    state.put_file("gone", file);
    state.remove("gone");
    let output = StoredOutput { content: digest(5), blob: crate::store::Sha256([6; 32]), size: 7, executable: true };
    state.put_action(digest(2), &[output, output]);
    state.put_action(digest(8), &[]);
    state.flush().unwrap();

    let check = |state: &State| {
        assert_eq!(state.file("a"), Some(file));
        assert_eq!(state.step("a").as_ref(), Some(&step));
        assert_eq!(state.step_key("a"), Some(digest(2)));
        assert_eq!(state.step("z"), Some(StepRecord { template, ..StepRecord::default() }));
        assert_eq!(state.file("z"), None);
        assert_eq!(state.file("gone"), None);
        assert_eq!(state.template(&template), Some("rule: tags"));
        assert_eq!(state.action(&digest(2)), Some(vec![output, output]));
        assert_eq!(state.action(&digest(8)), Some(vec![]));
        assert_eq!(state.action(&digest(9)), None);
        let mut paths = state.step_paths();
        paths.sort();
        assert_eq!(paths, ["a", "z"]);
    };
    check(&state);
    drop(state);
    let (mut state, set_aside) = State::open(&dir, Access::Write).unwrap();
    assert_eq!(set_aside, []);
    check(&state);
    state.write_snapshot().unwrap();
    check(&state);
    state.put_action(digest(9), &[output]);
    state.flush().unwrap();
    drop(state);
    let (mut state, set_aside) = State::open(&dir, Access::Look).unwrap();
    assert_eq!(set_aside, []);
    assert_eq!(state.action(&digest(9)), Some(vec![output]));
    state.actions = Actions::default();
    drop(state);
    let (mut state, _) = State::open(&dir, Access::Write).unwrap();
    state.write_snapshot().unwrap();
    drop(state);
    let (state, _) = State::open(&dir, Access::Look).unwrap();
    assert_eq!(state.action(&digest(9)), Some(vec![output]));
    assert_eq!(state.action(&digest(2)), Some(vec![output, output]));
}

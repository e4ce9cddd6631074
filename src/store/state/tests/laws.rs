//! Whatever is done to a state, it tells what was put last, and a new one tells what was flushed last.

use super::*;

#[derive(Clone, Debug)]
enum Op {
    PutFile(usize, u8),
    PutStep(usize, u8),
    PutAction(u8, u8),
    Remove(usize),
    Flush,
    Sync,
    Snapshot,
    /// The process ends; what was not flushed is lost.
    Die,
    Look,
}

fn op() -> impl Strategy<Value = Op> {
    let path = 0..PATHS.len();
    prop_oneof![
        4 => (path.clone(), any::<u8>()).prop_map(|(p, n)| Op::PutFile(p, n)),
        4 => (path.clone(), any::<u8>()).prop_map(|(p, n)| Op::PutStep(p, n)),
        2 => (0u8..8, any::<u8>()).prop_map(|(k, n)| Op::PutAction(k, n)),
        2 => path.prop_map(Op::Remove),
        2 => Just(Op::Flush),
        1 => Just(Op::Sync),
        1 => Just(Op::Snapshot),
        1 => Just(Op::Die),
        1 => Just(Op::Look),
    ]
}

fn templates(state: &mut State) {
    for text in TEMPLATES {
        assert_eq!(state.put_template(text), Digest::of(text.as_bytes()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_state_tells_what_was_put_and_keeps_what_was_flushed(ops in prop::collection::vec(op(), 1..60)) {
        let home = home();
        let dir = home.path().join("state");
        let (mut now, mut flushed) = (Model::default(), Model::default());
        let mut state = open_whole(&dir, Access::Write);
        templates(&mut state);
        for op in ops {
            match op {
                Op::PutFile(p, n) => {
                    state.put_file(PATHS[p], file_record(n));
                    now.files.insert(PATHS[p].into(), file_record(n));
                }
                Op::PutStep(p, n) => {
                    state.put_step(PATHS[p], &step_record(n));
                    now.steps.insert(PATHS[p].into(), step_record(n));
                }
                Op::PutAction(k, n) => {
                    state.put_action(digest(k), &outputs(n));
                    now.actions.insert(digest(k), outputs(n));
                }
                Op::Remove(p) => {
                    state.remove(PATHS[p]);
                    now.files.remove(PATHS[p]);
                    now.steps.remove(PATHS[p]);
                }
                Op::Flush => state.flush().unwrap(),
                Op::Sync => state.sync().unwrap(),
                Op::Snapshot => {
                    state.sync().unwrap();
                    state.write_snapshot().unwrap();
                }
                Op::Die => {
                    drop(state);
                    state = open_whole(&dir, Access::Write);
                    templates(&mut state);
                    now = flushed.clone();
                }
                Op::Look => prop_assert_eq!(&told(&open_whole(&dir, Access::Look)), &flushed),
            }
            if matches!(op, Op::Flush | Op::Sync | Op::Snapshot) {
                flushed = now.clone();
                let look = open_whole(&dir, Access::Look);
                for step in flushed.steps.values() {
                    prop_assert!(look.template(&step.template).is_some());
                }
            }
            prop_assert_eq!(&told(&state), &now);
        }
        state.close().unwrap();
        prop_assert_eq!(told(&open_whole(&dir, Access::Look)), now);
    }
}

#[test]
fn what_is_the_same_again_is_not_written_again() {
    let home = home();
    let (mut state, mut model) = (open_whole(home.path(), Access::Write), Model::default());
    put_some(&mut state, &mut model, 77);
    state.flush().unwrap();
    let before = bytes_in(home.path());
    put_some(&mut state, &mut model, 77);
    state.remove("never there");
    state.close().unwrap();
    assert_eq!(bytes_in(home.path()), before);
}

#[test]
fn what_is_made_once_more_was_made_when_it_first_was() {
    let home = home();
    let mut state = open_whole(home.path(), Access::Write);
    let at = |made_at| outputs(3).into_iter().map(|o| StoredOutput { made_at, ..o }).collect::<Vec<_>>();
    state.put_action(digest(1), &at(5));
    state.put_action(digest(1), &at(6));
    assert_eq!(state.action(&digest(1)), Some(at(5)));
    state.sync().unwrap();
    state.write_snapshot().unwrap();
    state.put_action(digest(1), &at(7));
    assert_eq!(open_whole(home.path(), Access::Look).action(&digest(1)), Some(at(5)));
    assert_eq!(state.action(&digest(1)), Some(at(5)));
}

#[test]
fn a_template_that_no_step_names_is_forgotten_by_a_later_snapshot() {
    let home = home();
    let mut state = open_whole(home.path(), Access::Write);
    let (used, unused) = (state.put_template("used"), state.put_template("unused"));
    state.put_step("a", &StepRecord { template: used, ..StepRecord::default() });
    state.sync().unwrap();
    state.write_snapshot().unwrap();
    drop(state);
    let mut state = open_whole(home.path(), Access::Write);
    assert_eq!((state.template(&used), state.template(&unused)), (Some("used"), Some("unused")));
    state.write_snapshot().unwrap();
    let look = open_whole(home.path(), Access::Look);
    assert_eq!((look.template(&used), look.template(&unused)), (Some("used"), None));
}

#[test]
fn a_look_writes_nothing_and_keeps_what_is_put_to_itself() {
    let home = home();
    let dir = home.path().join("state");
    let mut look = open_whole(&dir, Access::Look);
    put_some(&mut look, &mut Model::default(), 3);
    assert!(look.file(PATHS[3]).is_some());
    look.flush().unwrap();
    look.sync().unwrap();
    look.close().unwrap();
    assert!(!dir.exists());
    open_whole(&dir, Access::Write).close().unwrap();
    assert!(!dir.exists(), "a build that changes nothing writes nothing");
}

#[test]
fn many_threads_may_ask_at_once() {
    fn shared<T: Send + Sync>() {}
    shared::<State>();
}

//! Torn and flipped bytes: never a panic, never a record that was not written, and what is lost is said.

use super::*;

/// Bytes of a journal's header.
const HEADER: usize = 40;

/// A journal of several frames, and the model after each, the empty one first.
fn journal(dir: &Path) -> (Vec<u8>, Vec<Model>, Vec<usize>) {
    let (mut state, mut model) = (open_whole(dir, Access::Write), Model::default());
    let (mut models, mut ends) = (vec![model.clone()], vec![0]);
    for n in [3, 20, 9, 47] {
        put_some(&mut state, &mut model, n);
        state.flush().unwrap();
        models.push(model.clone());
        ends.push(fs::metadata(dir.join("journal-1")).unwrap().len() as usize);
    }
    (fs::read(dir.join("journal-1")).unwrap(), models, ends)
}

/// The journal can be written on, and then is whole.
fn goes_on(dir: &Path, mut state: State, mut model: Model) {
    put_some(&mut state, &mut model, 60);
    state.flush().unwrap();
    drop(state);
    assert_eq!(told(&open_whole(dir, Access::Write)), model);
}

#[test]
fn a_journal_torn_anywhere_is_what_was_written_before() {
    let home = home();
    let dir = home.path();
    let (whole, models, ends) = journal(dir);
    for len in 0..whole.len() {
        let torn = BTreeMap::from([("journal-1".to_owned(), whole[..len].to_vec())]);
        set_bytes(dir, &torn);
        let frames = ends.iter().filter(|end| **end <= len).count() - 1;
        let good = if len < HEADER { 0 } else { ends[frames].max(HEADER) };
        let told_of = |set_aside: &[SetAside]| match set_aside {
            [] => len == good,
            [one] => one.0.contains(&format!("its last {} bytes were not used", len - good)),
            _ => false,
        };
        let (look, set_aside) = open(dir, Access::Look);
        assert!(told(&look) == models[frames] && told_of(&set_aside), "{len}: {set_aside:?}");
        assert_eq!(bytes_in(dir), torn);
        let (state, set_aside) = open(dir, Access::Write);
        assert!(told(&state) == models[frames] && told_of(&set_aside), "{len}: {set_aside:?}");
        goes_on(dir, state, models[frames].clone());
    }
}

#[test]
fn a_journal_flipped_anywhere_is_what_was_written_before_and_the_rest_is_kept_aside() {
    let home = home();
    let dir = home.path();
    let (whole, models, ends) = journal(dir);
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        let files = BTreeMap::from([("journal-1".to_owned(), flipped.clone())]);
        set_bytes(dir, &files);
        let frames = ends.iter().filter(|end| **end <= at).count() - 1;

        let (look, set_aside) = open(dir, Access::Look);
        assert_eq!((told(&look), set_aside.len()), (models[frames].clone(), 1), "{at}");
        assert_eq!(bytes_in(dir), files);

        let (state, set_aside) = open(dir, Access::Write);
        assert_eq!((told(&state), set_aside.len()), (models[frames].clone(), 1), "{at}");
        let from = if at < HEADER { 0 } else { ends[frames].max(HEADER) };
        assert_eq!(fs::read(dir.join("damaged-journal-1")).unwrap(), flipped[from..]);
        assert!(set_aside[0].0.contains(&format!("its last {} bytes", whole.len() - from)), "{set_aside:?}");
        goes_on(dir, state, models[frames].clone());
    }
}

#[test]
fn a_frame_in_another_place_is_not_read() {
    let home = home();
    let (whole, models, ends) = journal(home.path());
    // The second frame again at the end; and the second left out.
    let again = [&whole[..], &whole[ends[1]..ends[2]]].concat();
    let left_out = [&whole[..ends[1]], &whole[ends[2]..]].concat();
    for (bytes, frames) in [(again, 4), (left_out, 1)] {
        fs::write(home.path().join("journal-1"), bytes).unwrap();
        let (state, set_aside) = open(home.path(), Access::Look);
        assert_eq!((told(&state), set_aside.len()), (models[frames].clone(), 1));
    }
    // A journal under another generation's name.
    fs::rename(home.path().join("journal-1"), home.path().join("journal-2")).unwrap();
    let (state, set_aside) = open(home.path(), Access::Look);
    assert_eq!((told(&state), set_aside.len()), (Model::default(), 1));
}

/// A snapshot, its journal, and the whole generation before it, as a kill leaves them.
fn two_generations(dir: &Path) -> (Model, BTreeMap<String, Vec<u8>>) {
    let (mut state, mut model) = (open_whole(dir, Access::Write), Model::default());
    let put_pair = |state: &mut State, model: &mut Model, file, step| {
        state.put_file("pair", file_record(file));
        state.put_step("pair", &step_record(step));
        model.files.insert("pair".into(), file_record(file));
        model.steps.insert("pair".into(), step_record(step));
    };
    put_some(&mut state, &mut model, 3);
    put_pair(&mut state, &mut model, 3, 3);
    state.sync().unwrap();
    state.write_snapshot().unwrap();
    put_some(&mut state, &mut model, 20);
    state.flush().unwrap();
    put_pair(&mut state, &mut model, 20, 20);
    state.sync().unwrap();
    let mut files = bytes_in(dir);
    state.write_snapshot().unwrap();
    put_some(&mut state, &mut model, 9);
    put_pair(&mut state, &mut model, 9, 20);
    state.sync().unwrap();
    files.extend(bytes_in(dir));
    assert!(files.keys().eq(["journal-2", "journal-3", "snapshot-2", "snapshot-3"]));
    (model, files)
}

/// The file and the step of `pair` as they once were together: of two moments, they would pass for up to date and not be.
fn are_of_one_moment(found: &Model) -> bool {
    let n = |d: Option<Digest>| d.map(|d| d.0[0]);
    let file = n(found.files.get("pair").map(|f| f.content));
    let step = n(found.steps.get("pair").map(|s| s.key));
    file.is_none() || step.is_none() || [(3, 3), (20, 20), (9, 20)].contains(&(file.unwrap_or(0), step.unwrap_or(0)))
}

#[test]
fn records_from_before_a_gap_are_not_mixed_with_those_behind_it() {
    let home = home();
    let dir = home.path();
    let (_, files) = two_generations(dir);
    let journal = &files["journal-2"];
    let frame = HEADER + 24 + u64::from_le_bytes(journal[HEADER..HEADER + 8].try_into().unwrap()) as usize;
    assert!(frame < journal.len(), "it has a second one");
    // Gone, cut between two frames, torn, flipped.
    let gaps = [None, Some(0), Some(HEADER), Some(frame), Some(frame + 30), Some(journal.len())];
    for gap in gaps {
        let mut harmed = files.clone();
        harmed.get_mut("snapshot-3").unwrap()[100] ^= 1;
        match gap {
            None => drop(harmed.remove("journal-2")),
            Some(len) if len == journal.len() => harmed.get_mut("journal-2").unwrap()[frame + 30] ^= 1,
            Some(len) => harmed.get_mut("journal-2").unwrap().truncate(len),
        }
        set_bytes(dir, &harmed);
        for access in [Access::Look, Access::Write, Access::Write, Access::Look] {
            let (state, set_aside) = open(dir, access);
            let found = told(&state);
            assert!(are_of_one_moment(&found), "{gap:?}");
            assert_eq!(found.files["pair"], file_record(9));
            assert!(set_aside.iter().any(|s| s.0.contains("before journal-3 is incomplete")), "{set_aside:?}");
        }
        let mut state = open(dir, Access::Write).0;
        state.put_file("more", file_record(1));
        state.close().unwrap();
        assert_eq!(open_whole(dir, Access::Look).file("more"), Some(file_record(1)));
    }
}

/// The rows of actions, at the end, have checks of their own.
fn hashed_len(snapshot: &[u8], dir: &Path) -> usize {
    let file = dir.join("probe");
    fs::write(&file, snapshot).unwrap();
    let header = super::super::snapshot::actions_start(&fs::File::open(&file).unwrap());
    fs::remove_file(file).unwrap();
    header as usize
}

#[test]
fn a_flipped_snapshot_falls_back_on_the_generation_before_it() {
    let home = home();
    let dir = home.path();
    let (model, mut files) = two_generations(dir);
    let whole = files["snapshot-3"].clone();
    for at in 0..hashed_len(&whole, dir) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        files.insert("snapshot-3".into(), flipped.clone());
        set_bytes(dir, &files);
        let (look, set_aside) = open(dir, Access::Look);
        assert_eq!((told(&look), set_aside.len()), (model.clone(), 1));
        assert_eq!(bytes_in(dir), files);
        if at % 16 == 0 {
            let (state, set_aside) = open(dir, Access::Write);
            assert_eq!((told(&state), set_aside.len()), (model.clone(), 1));
            state.close().unwrap();
            assert_eq!(told(&open_whole(dir, Access::Write)), model);
            assert_eq!(names_in(dir), ["damaged-snapshot-3", "snapshot-4"]);
            assert_eq!(fs::read(dir.join("damaged-snapshot-3")).unwrap(), flipped);
        }
    }
}

#[test]
fn a_flipped_snapshot_alone_leaves_what_its_journal_tells() {
    let home = home();
    let dir = home.path();
    let (_, files) = two_generations(dir);
    fs::remove_file(dir.join("snapshot-3")).unwrap();
    fs::write(dir.join("snapshot-3"), &files["snapshot-3"][1..]).unwrap();
    let mut expected = Model::default();
    put_some(&mut State::open(&dir.join("nowhere"), Access::Look).unwrap().0, &mut expected, 9);
    expected.files.insert("pair".into(), file_record(9));
    for _ in 0..2 {
        let (state, set_aside) = open(dir, Access::Write);
        assert_eq!(told(&state), expected);
        drop(state);
        drop(set_aside);
    }
    open_whole(dir, Access::Write);
}

#[test]
fn a_flipped_action_is_one_that_is_not_there() {
    let home = home();
    let dir = home.path();
    let (mut state, mut model) = (open_whole(dir, Access::Write), Model::default());
    (0..40).for_each(|n| put_some(&mut state, &mut model, n));
    state.sync().unwrap();
    state.write_snapshot().unwrap();
    drop(state);
    let whole = fs::read(dir.join("snapshot-2")).unwrap();
    for at in (hashed_len(&whole, dir)..whole.len()).step_by(11) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(dir.join("snapshot-2"), flipped).unwrap();
        let mut state = open_whole(dir, Access::Write);
        let found = told(&state);
        assert_eq!((&found.files, &found.steps), (&model.files, &model.steps));
        assert!(found.actions.iter().all(|(key, outputs)| model.actions[key] == *outputs));
        if at % 5 == 0 {
            state.write_snapshot().unwrap();
            let kept = told(&open_whole(dir, Access::Look)).actions;
            assert!(kept.iter().all(|(key, outputs)| model.actions[key] == *outputs));
            assert_eq!(kept.len(), model.actions.len() - 1);
            set_bytes(dir, &BTreeMap::new());
        }
    }
}

#[test]
fn a_newer_format_is_refused_and_left_alone_and_a_flipped_version_is_damage() {
    let home = home();
    let dir = home.path();
    let (_, files) = two_generations(dir);
    for name in ["snapshot-3", "journal-3"] {
        let mut newer = files.clone();
        let bytes = newer.get_mut(name).unwrap();
        bytes[8] = 7;
        let check = blake3::hash(&bytes[..12]);
        bytes[12..16].copy_from_slice(&check.as_bytes()[..4]);
        set_bytes(dir, &newer);
        for access in [Access::Look, Access::Write] {
            let error = State::open(dir, access).unwrap_err();
            assert!(matches!(error, StateError::Newer { found: 7, known: 6, .. }), "{error}");
            assert_eq!(bytes_in(dir), newer);
        }
        let mut flipped = files.clone();
        flipped.get_mut(name).unwrap()[8] = 7;
        set_bytes(dir, &flipped);
        assert_eq!(open(dir, Access::Look).1.len(), 1);
    }
}

#[test]
fn an_older_format_is_read_and_written_as_the_newest_by_the_first_build() {
    /// Bytes of a snapshot's header before its hash.
    const HEADER: usize = 368;
    let home = home();
    let dir = home.path();
    let (model, mut files) = two_generations(dir);
    let bytes = files.get_mut("snapshot-3").unwrap();
    bytes[8] = 1;
    let check = blake3::hash(&bytes[..12]);
    bytes[12..16].copy_from_slice(&check.as_bytes()[..4]);
    let hash = blake3::hash(&bytes[..HEADER]);
    bytes[HEADER..HEADER + 32].copy_from_slice(hash.as_bytes());
    set_bytes(dir, &files);
    let (state, set_aside) = open(dir, Access::Look);
    assert_eq!(set_aside, []);
    assert_eq!(told(&state), model);
    assert_eq!(bytes_in(dir), files, "one who looks changes nothing");
    let (state, set_aside) = open(dir, Access::Write);
    assert_eq!(set_aside, []);
    assert_eq!(told(&state), model);
    let now = bytes_in(dir);
    assert_eq!(now.keys().collect::<Vec<_>>(), ["snapshot-4"]);
    assert_eq!(now["snapshot-4"][8], 6);
}

#[derive(Clone, Debug)]
enum Harm {
    Flip(usize),
    Cut(usize),
    Zero(usize, usize),
    Insert(usize, Vec<u8>),
    Replace(Vec<u8>),
    Remove,
}

impl Harm {
    fn act(&self, files: &mut BTreeMap<String, Vec<u8>>, name: &str) {
        let Some(bytes) = files.get_mut(name) else { return };
        let place = |at: usize| at % (bytes.len() + 1);
        match self {
            Self::Flip(at) => {
                let at = place(*at);
                bytes.get_mut(at).into_iter().for_each(|b| *b ^= 0x10);
            }
            Self::Cut(at) => bytes.truncate(place(*at)),
            Self::Zero(at, len) => {
                let at = place(*at);
                bytes[at..].iter_mut().take(*len).for_each(|b| *b = 0);
            }
            Self::Insert(at, more) => {
                let at = place(*at);
                bytes.splice(at..at, more.iter().copied());
            }
            Self::Replace(other) => *bytes = other.clone(),
            Self::Remove => drop(files.remove(name)),
        }
    }
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        4 => any::<usize>().prop_map(Harm::Flip),
        2 => any::<usize>().prop_map(Harm::Cut),
        1 => (any::<usize>(), 0usize..200).prop_map(|(at, len)| Harm::Zero(at, len)),
        1 => (any::<usize>(), prop::collection::vec(any::<u8>(), 1..80)).prop_map(|(at, b)| Harm::Insert(at, b)),
        1 => prop::collection::vec(any::<u8>(), 0..600).prop_map(Harm::Replace),
        1 => Just(Harm::Remove),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn whatever_happens_to_the_files_only_what_was_written_is_told(
        harms in prop::collection::vec((0usize..4, harm()), 1..5)
    ) {
        let home = home();
        let dir = home.path();
        let (_, mut files) = two_generations(dir);
        let names: Vec<String> = files.keys().cloned().collect();
        harms.iter().for_each(|(name, harm)| harm.act(&mut files, &names[*name]));
        set_bytes(dir, &files);
        for access in [Access::Look, Access::Write, Access::Write] {
            let (state, _) = open(dir, access);
            let found = told(&state);
            // Paths and keys tell which `n` it was that put them.
            let written = |n: &u8| [3, 20, 9].contains(n);
            prop_assert!(are_of_one_moment(&found));
            prop_assert!(found.files.values().all(|f| written(&f.content.0[0]) && *f == file_record(f.content.0[0])));
            prop_assert!(found.steps.values().all(|s| written(&s.key.0[0]) && *s == step_record(s.key.0[0])));
            prop_assert!(found.actions.iter().all(|(k, o)| written(&k.0[0]) && *o == outputs(k.0[0])));
            if access == Access::Look {
                prop_assert_eq!(bytes_in(dir), files.clone());
            }
            state.close().unwrap();
        }
        open_whole(dir, Access::Look);
    }

    #[test]
    fn any_bytes_are_opened_without_panic(
        snapshot in prop::collection::vec(any::<u8>(), 0..900), journal in prop::collection::vec(any::<u8>(), 0..300)
    ) {
        let home = home();
        fs::write(home.path().join("snapshot-1"), snapshot).unwrap();
        fs::write(home.path().join("journal-1"), journal).unwrap();
        prop_assert_eq!(told(&open(home.path(), Access::Write).0), Model::default());
        open_whole(home.path(), Access::Write);
    }
}

//! What is edited of pipelines of commands between two builds, and how that is drawn and done.

use std::path::Path;

use super::*;

/// A pipeline as it is drawn, of which pieces may be edited.
pub(super) trait Edited {
    type Piece: Clone + std::fmt::Debug;

    fn text(&self) -> String;

    fn edit(&mut self, piece: &Self::Piece);
}

#[derive(Clone, Debug)]
pub(super) enum Edit<P> {
    Pipeline(P),
    List(&'static str, Vec<&'static str>),
    Write(&'static str, u8),
    Fail(&'static str),
    Work(&'static str),
    Remove(prop::sample::Index),
    Spoil(prop::sample::Index),
    Build(prop::sample::Index),
    Stopped(usize),
}

/// The files that a pipeline reads, beside `l.txt` and `m.txt`, which hold lists.
pub(super) struct Read {
    /// What the lists may have.
    pub listed: &'static [&'static str],
    pub files: &'static [&'static str],
    /// What makes steps fail: by being there, or, of a file, by being away.
    pub flags: &'static [&'static str],
}

/// `often` weighs an edit of the pipeline against the others.
pub(super) fn edit<P: Clone + std::fmt::Debug>(
    often: u32,
    pieces: impl Strategy<Value = P> + 'static,
    read: &Read,
) -> impl Strategy<Value = Edit<P>> {
    let index = any::<prop::sample::Index>;
    let listed = prop::sample::subsequence(read.listed, 1..=read.listed.len());
    let one_of = |names: &'static [&'static str]| prop::sample::select(names);
    prop_oneof![
        often => pieces.prop_map(Edit::Pipeline),
        3 => (one_of(&["l.txt", "m.txt"]), listed).prop_map(|(list, names)| Edit::List(list, names)),
        2 => (one_of(read.files), 0..2u8).prop_map(|(file, n)| Edit::Write(file, n)),
        3 => one_of(read.flags).prop_map(Edit::Fail),
        2 => one_of(read.flags).prop_map(Edit::Work),
        2 => index().prop_map(Edit::Remove),
        2 => index().prop_map(Edit::Spoil),
        2 => index().prop_map(Edit::Build),
        1 => (0..30usize).prop_map(Edit::Stopped),
    ]
}

/// A folder as it is before the first edit: all files are there, and both lists have two values.
pub(super) fn bed(read: &Read) -> Bed {
    let bed = Bed::new(Arc::new(Fake::default()));
    let folders = read.files.iter().filter_map(|file| Path::new(file).parent());
    folders.for_each(|folder| std::fs::create_dir_all(bed.dir.path().join(folder)).unwrap());
    bed.write("l.txt", b"x\ny\n");
    bed.write("m.txt", b"y\nx\n");
    read.files.iter().for_each(|file| bed.write(file, b"1\n"));
    bed
}

pub(super) fn apply<E: Edited>(bed: &Bed, edit: &Edit<E::Piece>, drawn: &mut E) {
    let root = bed.dir.path();
    let made = made(root);
    let chosen = |i: &prop::sample::Index| (!made.is_empty()).then(|| root.join(&made[i.index(made.len())]));
    match edit {
        Edit::Pipeline(piece) => drawn.edit(piece),
        Edit::List(list, names) => bed.write(list, (names.join("\n") + "\n").as_bytes()),
        Edit::Write(file, n) => bed.write(file, &[b'0' + n, b'\n']),
        Edit::Fail(name) => set(root, name, false),
        Edit::Work(name) => set(root, name, true),
        Edit::Remove(i) => chosen(i).iter().for_each(|path| std::fs::remove_file(path).unwrap()),
        Edit::Spoil(i) => chosen(i).iter().for_each(|path| std::fs::write(path, "spoilt").unwrap()),
        Edit::Build(i) => {
            let session = bed.session(&drawn.text());
            let target = i.index(session.pipeline.targets.len());
            build_anyway(&session, vec![request::Asked::Target(target)], &mut Silence, watch::channel(false));
        }
        Edit::Stopped(at) => {
            let session = bed.session(&drawn.text());
            let (send, stop) = watch::channel(false);
            let everything = request::everything(&session.pipeline);
            build_anyway(&session, everything, &mut StopAt(*at, send.clone()), (send, stop));
        }
    }
}

/// The files that steps made, by path.
pub(super) fn made(root: &Path) -> Vec<String> {
    let mut made: Vec<_> = super::super::files::files_in(&root.join("o")).into_iter().flatten().collect();
    made.retain(|(_, meta)| meta.is_file());
    let mut paths: Vec<String> = made.into_iter().map(|(path, _)| format!("o/{path}")).collect();
    paths.sort();
    paths
}

/// A step fails where its file is there, and an input that is to be there is taken away; the other way round it works.
fn set(root: &Path, name: &str, works: bool) {
    let path = root.join(name);
    if name.starts_with("no-") != works {
        std::fs::write(path, "1").unwrap();
    } else if path.exists() {
        std::fs::remove_file(path).unwrap();
    }
}

/// Builds this, whatever comes of it.
fn build_anyway(
    session: &Session,
    asked: Vec<request::Asked>,
    listener: &mut dyn Listener,
    (_keep, stop): (watch::Sender<bool>, watch::Receiver<bool>),
) {
    let order = Order { asked, jobs: 2, ..Order::default() };
    let _ = build(session, &order, stop, listener);
}

//! The same of pipelines of commands: lists that are built, products of them, folders, joins, what waits for what.

use std::path::Path;

use super::told::{misled, unlike};
use super::*;
use crate::build::look;

/// What may be edited of the pipeline.
#[derive(Clone, Debug)]
struct Drawn {
    cached: [bool; 3],
    fresh: [bool; 3],
    partial: [bool; 2],
    word: u8,
    /// What `read` names.
    reads: u8,
    /// Whether `rival` makes a file of `each`, or describes the same step.
    rival: u8,
    missing: bool,
}

const NAMES: [&str; 3] = ["x", "y", "z"];

impl Drawn {
    fn text(&self) -> String {
        let cache = |n: usize| if self.cached[n] { "" } else { "cache: false, " };
        let fresh = |n: usize| if self.fresh[n] { "fresh: always, " } else { "" };
        let reads = ["each, pair", "each, pair, o/each/x.txt", "pair, each", "o/each/x.txt, o/each/y.txt", "each"];
        let rival = match self.rival {
            0 => format!("run: \"test ! -e no-{{n}} && echo {} {{n}} > {{out}}\"", self.word),
            1 => "run: \"echo rival > {out}\"".to_owned(),
            _ => "run: \"echo rival > {out}\", description: elsewhere".to_owned(),
        };
        let rivals = if self.rival < 2 { "o/each/{n}.txt" } else { "o/rival/{n}.txt" };
        format!(
            "version: 1
targets:
  list: {{rule: command, {}{}inputs: [l.txt], run: \"test ! -e no-list && cat {{in}} > {{out}}\", output: o/list.txt}}
  other: {{rule: command, {}inputs: [m.txt], run: \"test ! -e no-other && cat {{in}} > {{out}}\", output: o/other.txt}}
  each: {{rule: command, {}foreach: {{n: {{from: list, lines: true}}}}, run: \"test ! -e no-{{n}} && echo {} {{n}} > {{out}}\", output: \"o/each/{{n}}.txt\"}}
  rival: {{rule: command, foreach: {{n: [x]}}, {rival}, output: \"{rivals}\"}}
  pair: {{rule: command, foreach: {{a: {{from: list, lines: true}}, b: {{from: other, lines: true}}}}, run: \"echo {{a}} {{b}} > {{out}}\", output: \"o/pair/{{a}}-{{b}}.txt\"}}
  join: {{rule: command, foreach: {{n: {{from: list, lines: true}}}}, inputs: [each, \"in/{{n}}.txt\"], run: \"cat {{in}} > {{out}}\", output: \"o/join/{{n}}.txt\"}}
  read: {{rule: command, inputs: [time, {}], run: \"cat /dev/null {{in}} > {{out}}\", output: o/read.txt}}
  some: {{rule: command, {}inputs: [{{target: each, partial: {}}}, {{target: join, partial: {}}}], run: \"cat /dev/null {{in}} > {{out}}\", output: o/some.txt}}
  time: {{rule: command, {}inputs: [t.txt], run: \"cat {{in}} > {{out}}\", output: o/time.txt}}
  folder: {{rule: command, inputs: [some], run: \"mkdir -p {{out}} && cp {{in}} {{out}}/f\", output: o/folder/}}
  inner: {{rule: command, inputs: [folder], run: \"cat {{in}}/f > {{out}}\", output: o/inner.txt}}
  late: {{rule: command, after: [join], inputs: [t.txt{}], run: \"cat {{in}} > {{out}}\", output: o/late.txt}}
  last: {{rule: command, inputs: [late], run: \"cp {{in}} {{out}}\", output: o/last.txt}}
  group: {{inputs: [some, late]}}
",
            cache(0),
            fresh(0),
            cache(1),
            fresh(1),
            self.word,
            reads[usize::from(self.reads)],
            cache(2),
            self.partial[0],
            self.partial[1],
            fresh(2),
            if self.missing { ", gone.txt" } else { "" },
        )
    }
}

#[derive(Clone, Debug)]
enum Edit {
    List(&'static str, Vec<&'static str>),
    Write(&'static str, u8),
    Fail(&'static str),
    Work(&'static str),
    Remove(prop::sample::Index),
    Spoil(prop::sample::Index),
    Pipeline(Box<Drawn>),
    Build(prop::sample::Index),
    Stopped(usize),
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let some = || prop::bool::weighted(0.3);
    (any::<[bool; 3]>(), [some(), some(), some()], any::<[bool; 2]>(), 0..2u8, 0..5u8, 0..6u8, some()).prop_map(
        |(cached, fresh, partial, word, reads, rival, missing)| Drawn {
            cached,
            fresh,
            partial,
            word,
            reads,
            rival,
            missing,
        },
    )
}

fn edit() -> impl Strategy<Value = Edit> {
    let index = any::<prop::sample::Index>;
    let names = || prop::sample::subsequence(NAMES.to_vec(), 1..=NAMES.len());
    let files = prop::sample::select(vec!["t.txt", "in/x.txt", "in/y.txt", "in/z.txt", "gone.txt"]);
    let flags = || prop::sample::select(vec!["no-list", "no-other", "no-x", "no-y", "t.txt", "in/x.txt", "gone.txt"]);
    prop_oneof![
        3 => (prop::sample::select(vec!["l.txt", "m.txt"]), names()).prop_map(|(list, names)| Edit::List(list, names)),
        2 => (files, 0..2u8).prop_map(|(file, n)| Edit::Write(file, n)),
        2 => flags().prop_map(Edit::Fail),
        2 => flags().prop_map(Edit::Work),
        2 => index().prop_map(Edit::Remove),
        2 => index().prop_map(Edit::Spoil),
        3 => drawn().prop_map(|d| Edit::Pipeline(Box::new(d))),
        2 => index().prop_map(Edit::Build),
        1 => (0..30usize).prop_map(Edit::Stopped),
    ]
}

/// What is edited before a build, and the target that is forced then.
type Round = (Vec<Edit>, Option<prop::sample::Index>);

fn forced() -> impl Strategy<Value = Option<prop::sample::Index>> {
    prop::option::weighted(0.2, any::<prop::sample::Index>())
}

/// A step fails where its file is there, and an input that is to be there is taken away; the other way round it works.
pub(super) fn set(root: &Path, name: &str, works: bool) {
    let path = root.join(name);
    if name.starts_with("no-") != works {
        std::fs::write(path, "1").unwrap();
    } else if path.exists() {
        std::fs::remove_file(path).unwrap();
    }
}

fn apply(bed: &Bed, edit: &Edit, drawn: &mut Drawn) {
    let root = bed.dir.path();
    let mut made: Vec<_> = super::super::files::files_in(&root.join("o")).into_iter().flatten().collect();
    made.retain(|(_, meta)| meta.is_file());
    made.sort_by(|a, b| a.0.cmp(&b.0));
    let chosen =
        |i: &prop::sample::Index| (!made.is_empty()).then(|| root.join("o").join(&made[i.index(made.len())].0));
    match edit {
        Edit::List(list, names) => bed.write(list, (names.join("\n") + "\n").as_bytes()),
        Edit::Write(file, n) => bed.write(file, &[b'0' + n, b'\n']),
        Edit::Fail(name) => set(root, name, false),
        Edit::Work(name) => set(root, name, true),
        Edit::Remove(i) => chosen(i).iter().for_each(|path| std::fs::remove_file(path).unwrap()),
        Edit::Spoil(i) => chosen(i).iter().for_each(|path| std::fs::write(path, "spoilt").unwrap()),
        Edit::Pipeline(now) => *drawn = (**now).clone(),
        Edit::Build(i) => {
            let session = bed.session(&drawn.text());
            let target = i.index(session.pipeline.targets.len());
            build_anyway(&session, vec![request::Asked::Target(target)], &mut Silence, watch::channel(false));
        }
        Edit::Stopped(at) => {
            let (send, stop) = watch::channel(false);
            let session = bed.session(&drawn.text());
            let everything = request::everything(&session.pipeline);
            build_anyway(&session, everything, &mut StopAt(*at, send.clone()), (send, stop));
        }
    }
}

/// Builds this, whatever comes of it.
pub(super) fn build_anyway(
    session: &Session,
    asked: Vec<request::Asked>,
    listener: &mut dyn Listener,
    (_keep, stop): (watch::Sender<bool>, watch::Receiver<bool>),
) {
    let order = Order { asked, jobs: 2, ..Order::default() };
    let _ = build(session, &order, stop, listener);
}

fn told_history(mut drawn: Drawn, rounds: &[Round], one: &prop::sample::Index) -> Result<(), TestCaseError> {
    let bed = Bed::new(Arc::new(Fake::default()));
    std::fs::create_dir(bed.dir.path().join("in")).unwrap();
    ["l.txt", "m.txt"].iter().for_each(|list| bed.write(list, b"x\ny\n"));
    ["t.txt", "in/x.txt", "in/y.txt", "in/z.txt", "gone.txt"].iter().for_each(|file| bed.write(file, b"1\n"));
    for (edits, forced) in rounds {
        for edit in edits {
            apply(&bed, edit, &mut drawn);
        }
        let session = bed.session(&drawn.text());
        let targets = session.pipeline.targets.len();
        let force = match forced {
            Some(index) => Selection::Named(vec![request::Asked::Target(index.index(targets))]),
            None => Selection::None,
        };
        let order = Order { asked: request::everything(&session.pipeline), jobs: 2, force, ..Order::default() };
        let (_keep, stop) = watch::channel(false);
        let Ok(plan) = look(&session, &order, &mut Silence) else {
            prop_assert!(build(&session, &order, stop, &mut Silence).is_err(), "a build that the plan refused");
            continue;
        };
        prop_assert_eq!(unlike(&session, &order, &plan, one), Vec::<String>::new());
        let built = build(&session, &order, stop, &mut Silence).unwrap();
        prop_assert_eq!(misled(&plan, &built), Vec::<String>::new());
    }
    Ok(())
}

proptest! {
    #![proptest_config(config(10))]

    #[test]
    fn what_a_plan_says_of_commands_is_what_the_build_after_it_does(
        drawn in drawn(),
        rounds in prop::collection::vec((prop::collection::vec(edit(), 1..5), forced()), 1..6),
        one in any::<prop::sample::Index>(),
    ) {
        told_history(drawn, &rounds, &one)?;
    }
}

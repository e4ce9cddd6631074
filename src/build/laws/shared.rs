//! The same of two targets that make, or come to make, the same files, and of what reads these, waits for them, and takes
//! its values out of them.

use super::edits::{self, Edit, Edited, Read, made};
use super::told::{Told, misled, unlike, unwarned};
use super::*;
use crate::build::look;
use crate::build::outcome::Account;

/// What the pipeline has of each piece: its number among those that there are of that kind.
type Drawn = [u8; 12];

const READ: Read = Read {
    listed: &["x", "y", "z"],
    files: &["g.txt", "t.txt", "in/x.txt", "in/y.txt", "in/z.txt"],
    flags: &["no-gate", "no-one", "no-two", "no-x", "in/x.txt"],
};

impl Edited for Drawn {
    /// The piece, and its number from now on.
    type Piece = (usize, u8);

    fn text(&self) -> String {
        text(self)
    }

    fn edit(&mut self, &(piece, now): &(usize, u8)) {
        self[piece] = now;
    }
}

fn text(drawn: &Drawn) -> String {
    let of = |piece: usize, all: &[&'static str]| all[usize::from(drawn[piece]) % all.len()];
    let settings = ["", "", "after: [gate], ", "cache: false, ", "fresh: always, ", "after: [wait], "];
    // Where a group names a file by its path that may be of the target which waits for it, nothing could come first.
    let in_circle =
        ["", "", "after: [gate], ", "cache: false, ", "fresh: always, ", "after: [wait], ", "after: [grp], "];
    let (own, bak) = (of(0, &settings), of(1, &in_circle));
    // Either list may be made first.
    let (one, two) = (of(11, &["", "", ", gate"]), of(11, &["", ", gate", ""]));
    // By the last of these, the two describe different steps.
    let run = of(2, &["cat {in}", "cat {in}", "cat {in}", "cat {in} {in}"]);
    let path = of(3, &["o/s/x", "o/s/x", "o/s/y", "o/s/x, o/s/y"]);
    let wait = of(4, &["grp", "grp", "own", "bak", "path", "gate"]);
    let from = of(5, &["bak", "own"]);
    let read = of(6, &["grp", "bak", "deep", "own, bak", "grp, deep"]);
    let partial = |piece| of(piece, &["false", "true"]);
    let grp = of(9, &["o/s/x, gate", "path, o/s/x", "own"]);
    let deep = of(10, &["", "after: [own], "]);
    // What waits for the targets cannot be waited for by them.
    let wait = if own.contains("wait") || bak.contains("wait") { "gate" } else { wait };
    format!(
        "version: 1
targets:
  gate: {{rule: command, inputs: [g.txt], run: \"test ! -e no-gate && cat {{in}} > {{out}}\", output: o/gate}}
  one: {{rule: command, inputs: [l.txt{one}], run: \"test ! -e no-one && cat l.txt > {{out}}\", output: o/one}}
  two: {{rule: command, inputs: [m.txt{two}], run: \"test ! -e no-two && cat m.txt > {{out}}\", output: o/two}}
  own: {{rule: command, {own}foreach: {{n: {{from: one, lines: true}}}}, inputs: [\"in/{{n}}.txt\"], run: \"test ! -e no-{{n}} && cat {{in}} > {{out}}\", output: \"o/s/{{n}}\"}}
  bak: {{rule: command, {bak}foreach: {{n: {{from: two, lines: true}}}}, inputs: [\"in/{{n}}.txt\"], run: \"test ! -e no-{{n}} && {run} > {{out}}\", output: \"o/s/{{n}}\"}}
  path: {{rule: command, inputs: [t.txt, {path}], run: \"cat {{in}} > {{out}}\", output: o/path}}
  grp: {{inputs: [{grp}]}}
  wait: {{rule: command, after: [{wait}], inputs: [t.txt], run: \"cat {{in}} > {{out}}\", output: o/wait}}
  deep: {{rule: command, {deep}foreach: {{z: {{from: {from}, lines: true}}}}, inputs: [t.txt], run: \"cat {{in}} > {{out}}; echo {{n}} {{z}} >> {{out}}\", output: \"o/deep/{{n}}.{{z}}\"}}
  some: {{rule: command, inputs: [{{target: own, partial: {}}}, {{target: deep, partial: {}}}], run: \"cat /dev/null {{in}} > {{out}}\", output: o/some}}
  read: {{rule: command, inputs: [g.txt, {read}], run: \"cat {{in}} > {{out}}\", output: o/read}}
  last: {{rule: command, inputs: [wait, read], run: \"cat {{in}} > {{out}}\", output: o/last}}
",
        partial(7),
        partial(8),
    )
}

/// A step that both targets describe goes by the one whose list is known first.
fn by_one_name(mut summary: Summary) -> Summary {
    summary.accounts.iter_mut().for_each(|account| account.step = account.step.replace("bak@", "own@"));
    summary
}

/// The steps for whose files there are others.
fn clashes(summary: &Summary) -> BTreeSet<&str> {
    let clashes =
        |account: &&Account| account.message.as_ref().is_some_and(|why| why.contains("two steps for one file"));
    summary.accounts.iter().filter(clashes).map(|account| account.step.as_str()).collect()
}

/// What fails, and why, and what is blocked: which of several that block it is named goes by the names of these, and which of
/// two names a step goes by is not the same in each build.
fn at_fault(summary: &Summary) -> BTreeSet<(&str, &str, Option<String>)> {
    let failed = |account: &&Account| account.status == Status::Failed;
    let why = |account: &Account| Some(account.message.as_ref()?.replace("bak@", "own@"));
    let at_fault = summary.accounts.iter().filter(|account| account.status.fails());
    at_fault.map(|a| (a.step.as_str(), a.status.word(), Some(a).filter(failed).and_then(why))).collect()
}

fn shared_history(
    mut drawn: Drawn,
    rounds: &[Vec<Edit<(usize, u8)>>],
    one: &prop::sample::Index,
) -> Result<(), TestCaseError> {
    let bed = edits::bed(&READ);
    for edits in rounds {
        for edit in edits {
            edits::apply(&bed, edit, &mut drawn);
        }
        let session = bed.session(&text(&drawn));
        let order = Order { asked: request::everything(&session.pipeline), jobs: 2, ..Order::default() };
        let (_keep, stop) = watch::channel(false);
        let Ok(plan) = look(&session, &order, &mut Silence) else {
            prop_assert!(build(&session, &order, stop, &mut Silence).is_err(), "a build that the plan refused");
            continue;
        };
        // Where a step is told without the others that make files of its target, what it waits for may be told without them, too.
        if clashes(&plan).is_empty() || !text(&drawn).contains("after: [grp]") {
            prop_assert_eq!(unlike(&session, &order, &plan, one), Vec::<String>::new());
        }
        let told = Told::of(&session, &order, &made(bed.dir.path()));
        let built = build(&session, &order, stop, &mut Silence).unwrap();
        let (plan, built) = (by_one_name(plan), by_one_name(built));
        // Of lists that are made again, it is not told that steps for one file may come of them, but only which targets may make
        // the same: what such a clash undoes, and blocks, is then told otherwise.
        if clashes(&built).is_subset(&clashes(&plan)) {
            prop_assert_eq!(misled(&plan, &built), Vec::<String>::new());
            let after = Told::of(&session, &order, &[]);
            prop_assert_eq!(told.belied_by(&built, &after), Vec::<String>::new());
            prop_assert_eq!(unwarned(&plan, &built), Vec::<String>::new());
        }
        let again = Bed::build(&session, 1, Selection::None);
        // A step may have to run each time for either target.
        let needless: Vec<String> =
            needless(&again, &session).into_iter().filter(|ran| !ran.contains("NotFresh")).collect();
        prop_assert_eq!(needless, Vec::<String>::new(), "a build after a build");
        let again = by_one_name(again);
        prop_assert_eq!(at_fault(&again), at_fault(&built), "what fails in the next build");
    }
    Ok(())
}

proptest! {
    #![proptest_config(config(6))]

    #[test]
    fn what_is_told_of_files_of_two_targets_is_what_builds_do(
        drawn in any::<Drawn>(),
        rounds in prop::collection::vec(prop::collection::vec(edits::edit(5, (0..12usize, 0..60u8), &READ), 1..4), 1..6),
        one in any::<prop::sample::Index>(),
    ) {
        shared_history(drawn, &rounds, &one)?;
    }
}

//! The same of a pipeline that is edited a piece at a time: what steps wait for, how outputs are named, which axes there are.

use super::edits::{self, Edit, Edited, Read, made};
use super::told::{Told, misled, never_left_out, unlike, unwarned};
use super::*;
use crate::build::look;

/// What the pipeline has of each piece: its number among those that there are of that kind.
type Drawn = [u8; 14];

const READ: Read = Read {
    listed: &["x", "y", "z", "x-y"],
    files: &["g.txt", "t.txt", "in/x.txt", "in/y.txt", "in/z.txt", "in/x-y.txt"],
    flags: &["no-gate", "no-gate", "no-list", "no-more", "no-multi", "no-x", "g.txt", "in/x.txt"],
};

/// What makes steps of two targets the same.
const EACH: &str = "inputs: [\"in/{n}.txt\"], run: \"echo 'each@n={n}: {in}' >> log.txt; test ! -e no-{n} && cat {in} > {out}\", output: \"o/each/{n}.txt\"";

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
    let of = |piece: usize, all: &[&str]| all[usize::from(drawn[piece]) % all.len()].to_owned();
    let after = |piece, all: &[&str]| of(piece, all);
    let gated = ["", "after: [gate], "];
    let multi = of(0, &["{p: o/p.txt, q: o/q.txt}", "{p: o/p.txt, q: o/q2.txt}", "{p: o/q.txt, q: o/p.txt}"]);
    let partial = |piece| of(piece, &["false", "true"]);
    let grid = of(1, &["", ", b: [p, q]", ", b: [p]"]);
    // What is read out of a list may read what cannot be made, and not be there once the list is made again.
    let before = of(9, &["", "after: [gate], ", "inputs: [gate], "]);
    let given = if before.starts_with("inputs") { "{in}" } else { "" };
    let cell = if grid.is_empty() { "o/grid/{n}.txt" } else { "o/grid/{n}.{b}.txt" };
    let (axes, var) = match drawn[2] % 4 {
        0 => ("", "o/var/x.txt"),
        1 => ("foreach: {n: [x]}, ", "o/var/{n}.txt"),
        2 => ("foreach: {n: [x, y]}, ", "o/var/{n}.txt"),
        _ => ("", "o/var/y.txt"),
    };
    let path = of(3, &["o/p.txt", "o/q.txt", "o/each/x.txt", "o/var/x.txt", "o/grid/x.txt"]);
    let named = of(3, &["", "", ", o/each/x.txt", ", o/each/z.txt", ""]);
    let read = of(4, &["all, var", "multi, grid", "all", "some, pair", "grid, each, t.txt"]);
    // By a mistake, a target reads its list as what it is not: by this, it has no steps, and what needs these is blocked.
    let (lines, json) = ("lines: true", "json: /x");
    let by = [[lines, lines], [lines, lines], [lines, lines], [json, lines], [lines, json]];
    let [each, pair] = by[usize::from(drawn[12]) % by.len()];
    // The same steps by another list, which may fail, be read as what it is not, or have other values.
    let twin = match drawn[13] % 4 {
        0 | 1 => String::new(),
        by => format!(
            "  more: {{rule: command, inputs: [m.txt], run: \"echo 'more: {{in}}' >> log.txt; test ! -e no-more && cat {{in}} > {{out}}\", output: o/more.txt}}
  twin: {{rule: command, foreach: {{n: {{from: more, {}}}}}, {EACH}}}\n",
            if by == 2 { lines } else { json }
        ),
    };
    let cache = of(5, &["", "cache: false, "]);
    let (square, one) = (of(1, &["{n}", "{n},b={b}", "{n},b={b}"]), if axes.is_empty() { "var" } else { "var@n={n}" });
    format!(
        "version: 1
targets:
  gate: {{rule: command, inputs: [g.txt], run: \"echo 'gate: {{in}}' >> log.txt; test ! -e no-gate && cat {{in}} > {{out}}\", output: o/gate.txt}}
  list: {{rule: command, {}inputs: [l.txt], run: \"echo 'list: {{in}}' >> log.txt; test ! -e no-list && cat {{in}} > {{out}}\", output: o/list.txt}}
  each: {{rule: command, {}foreach: {{n: {{from: list, {each}}}}}, {EACH}}}
{twin}  multi: {{rule: command, {}{cache}inputs: [t.txt], run: \"echo 'multi: {{in}}' >> log.txt; test ! -e no-multi && cat {{in}} > {{out.p}} && echo q > {{out.q}}\", output: {multi}}}
  all: {{inputs: [multi, each{named}]}}
  grid: {{rule: command, {}foreach: {{n: {{from: list, lines: true}}{grid}}}, run: \"echo 'grid@n={square}: {given}' >> log.txt; echo {{n}} > {{out}}\", output: \"{cell}\"}}
  var: {{rule: command, {axes}inputs: [t.txt], run: \"echo '{one}: {{in}}' >> log.txt; cat {{in}} > {{out}}\", output: \"{var}\"}}
  pair: {{rule: command, foreach: {{a: {{from: list, {pair}}}, b: {{lines: m.txt}}}}, run: \"echo 'pair@a={{a}},b={{b}}:' >> log.txt; echo {{a}} {{b}} > {{out}}\", output: \"o/pair/{{a}}-{{b}}.txt\"}}
  some: {{rule: command, {cache}inputs: [{{target: each, partial: {}}}, {{target: multi, partial: {}}}], run: \"echo 'some: {{in}}' >> log.txt; cat /dev/null {{in}} > {{out}}\", output: o/some.txt}}
  path: {{rule: command, {}inputs: [t.txt, {path}], run: \"echo 'path: {{in}}' >> log.txt; cat {{in}} > {{out}}\", output: o/path.txt}}
  read: {{rule: command, inputs: [g.txt, {read}], run: \"echo 'read: {{in}}' >> log.txt; cat {{in}} > {{out}}\", output: o/read.txt}}
  last: {{rule: command, inputs: [path, some], run: \"echo 'last: {{in}}' >> log.txt; cat {{in}} > {{out}}\", output: o/last.txt}}
",
        after(6, &gated),
        after(7, &gated),
        after(8, &["", "after: [gate], ", "after: [each], "]),
        before,
        partial(10),
        partial(11),
        after(8, &["", "after: [all], ", "after: [gate, grid], "]),
    )
}

/// What each command of a build was given to read, by the step's name: the last, where it ran more often.
fn given(bed: &Bed) -> BTreeMap<String, Vec<String>> {
    let log = std::fs::read_to_string(bed.dir.path().join("log.txt")).unwrap_or_default();
    let words = |inputs: &str| inputs.split_whitespace().map(str::to_owned).collect();
    log.lines().filter_map(|line| line.split_once(':')).map(|(out, rest)| (out.to_owned(), words(rest))).collect()
}

/// A step of two targets goes by the one that is told of it first, which may be another one in a build.
fn by_one_name(name: &mut String) {
    *name = name.replace("twin@", "each@");
}

fn renamed(mut summary: Summary) -> Summary {
    for account in &mut summary.accounts {
        by_one_name(&mut account.step);
        account.message.iter_mut().for_each(by_one_name);
    }
    summary
}

fn edited_history(
    mut drawn: Drawn,
    rounds: &[Vec<Edit<(usize, u8)>>],
    one: &prop::sample::Index,
) -> Result<(), TestCaseError> {
    let bed = edits::bed(&READ);
    // What the steps of the builds before make, as long as all of these were builds of everything.
    let mut known = Some(BTreeSet::new());
    for edits in rounds {
        known = known.filter(|_| !edits.iter().any(|edit| matches!(edit, Edit::Build(_) | Edit::Stopped(_))));
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
        prop_assert_eq!(unlike(&session, &order, &plan, one), Vec::<String>::new());
        let plan = renamed(plan);
        let told = Told::of(&session, &order, &made(bed.dir.path())).renamed(by_one_name);
        let _ = std::fs::remove_file(bed.dir.path().join("log.txt"));
        let built = renamed(build(&session, &order, stop, &mut Silence).unwrap());
        prop_assert_eq!(misled(&plan, &built), Vec::<String>::new());
        let after = Told::of(&session, &order, &[]).renamed(by_one_name);
        prop_assert_eq!(told.belied_by(&built, &after), Vec::<String>::new());
        prop_assert_eq!(unwarned(&plan, &built), Vec::<String>::new());
        if let Some(known) = &mut known {
            prop_assert_eq!(never_left_out(&plan, known), Vec::<String>::new());
            prop_assert_eq!(never_left_out(&built, known), Vec::<String>::new());
            known.extend(after.outputs().cloned());
        }
        prop_assert_eq!(after.misread(&built, &given(&bed)), Vec::<String>::new());
    }
    Ok(())
}

proptest! {
    #![proptest_config(config(6))]

    #[test]
    fn what_is_told_of_a_pipeline_that_is_edited_piece_by_piece_is_what_its_builds_do(
        drawn in any::<Drawn>(),
        rounds in prop::collection::vec(prop::collection::vec(edits::edit(6, (0..14usize, 0..60u8), &READ), 1..5), 1..6),
        one in any::<prop::sample::Index>(),
    ) {
        edited_history(drawn, &rounds, &one)?;
    }
}

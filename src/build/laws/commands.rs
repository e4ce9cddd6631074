//! The same of pipelines of commands: lists that are built, products of them, folders, joins, what waits for what.

use super::edits::{self, Edit, Edited, Read};
use super::told::{misled, unlike};
use super::*;
use crate::build::look;

/// What may be edited of the pipeline.
#[derive(Clone, Debug)]
struct Drawn {
    cached: [bool; 5],
    fresh: [bool; 3],
    partial: [bool; 2],
    word: u8,
    /// What `read` names.
    reads: u8,
    /// Whether `rival` makes a file of `each`, or describes the same step.
    rival: u8,
    missing: bool,
}

const READ: Read = Read {
    listed: &["x", "y", "z"],
    files: &["t.txt", "in/x.txt", "in/y.txt", "in/z.txt", "gone.txt"],
    flags: &["no-list", "no-other", "no-x", "no-y", "t.txt", "in/x.txt", "gone.txt"],
};

impl Edited for Drawn {
    /// All of it is drawn anew.
    type Piece = Box<Self>;

    fn edit(&mut self, now: &Box<Self>) {
        *self = (**now).clone();
    }

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
  each: {{rule: command, {}{}foreach: {{n: {{from: list, lines: true}}}}, run: \"test ! -e no-{{n}} && echo {} {{n}} > {{out}}\", output: \"o/each/{{n}}.txt\"}}
  rival: {{rule: command, {}foreach: {{n: [x]}}, {rival}, output: \"{rivals}\"}}
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
            cache(3),
            fresh(1),
            self.word,
            cache(4),
            reads[usize::from(self.reads)],
            cache(2),
            self.partial[0],
            self.partial[1],
            fresh(2),
            if self.missing { ", gone.txt" } else { "" },
        )
    }
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let some = || prop::bool::weighted(0.3);
    (any::<[bool; 5]>(), [some(), some(), some()], any::<[bool; 2]>(), 0..2u8, 0..5u8, 0..6u8, some()).prop_map(
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

/// What is edited before a build, and the target that is forced then.
type Round = (Vec<Edit<Box<Drawn>>>, Option<prop::sample::Index>);

fn forced() -> impl Strategy<Value = Option<prop::sample::Index>> {
    prop::option::weighted(0.2, any::<prop::sample::Index>())
}

fn told_history(mut drawn: Drawn, rounds: &[Round], one: &prop::sample::Index) -> Result<(), TestCaseError> {
    let bed = edits::bed(&READ);
    for (edits, forced) in rounds {
        for edit in edits {
            edits::apply(&bed, edit, &mut drawn);
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
        rounds in prop::collection::vec((prop::collection::vec(edits::edit(3, drawn().prop_map(Box::new), &READ), 1..5), forced()), 1..6),
        one in any::<prop::sample::Index>(),
    ) {
        told_history(drawn, &rounds, &one)?;
    }
}

//! What holds of every pipeline after every history: a build followed by a build runs nothing, what was built is what a
//! clean build makes, and neither depends on the number of jobs.

use std::collections::BTreeMap;
use std::fmt::Write;

use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::project::Project;

/// A target as it is drawn; it reads from leaves and from targets before it.
#[derive(Clone, Debug)]
struct Drawn {
    /// Reads its values out of this earlier target, if there is one.
    axis: Option<Index>,
    /// Also goes over these values.
    product: bool,
    inputs: Vec<Index>,
    leaf: Index,
    /// What stands before each line of its output.
    word: u8,
    in_place: bool,
    cache: bool,
}

/// What happens to a project between two builds.
#[derive(Clone, Debug)]
enum Edit {
    Leaf(Index, Vec<u8>),
    /// A leaf as it was at first.
    Back(Index),
    Remove(Index),
    Overwrite(Index),
    Touch(Index),
    Word(Index, u8),
    Kill,
}

const LEAVES: usize = 3;
const LETTERS: [&str; 5] = ["a", "b", "c", "d", "e"];

fn drawn() -> impl Strategy<Value = Drawn> {
    let axis = proptest::option::weighted(0.5, any::<Index>());
    let inputs = proptest::collection::vec(any::<Index>(), 0..3);
    (axis, proptest::bool::weighted(0.2), inputs, any::<Index>(), 0..3u8, any::<bool>(), any::<bool>()).prop_map(
        |(axis, product, inputs, leaf, word, in_place, cache)| Drawn {
            axis,
            product,
            inputs,
            leaf,
            word,
            in_place,
            cache,
        },
    )
}

fn edit() -> impl Strategy<Value = Edit> {
    let letters = proptest::collection::vec(0..5u8, 0..4);
    prop_oneof![
        3 => (any::<Index>(), letters).prop_map(|(i, l)| Edit::Leaf(i, l)),
        1 => any::<Index>().prop_map(Edit::Back),
        2 => any::<Index>().prop_map(Edit::Remove),
        2 => any::<Index>().prop_map(Edit::Overwrite),
        1 => any::<Index>().prop_map(Edit::Touch),
        2 => (any::<Index>(), 0..3u8).prop_map(|(i, w)| Edit::Word(i, w)),
        1 => Just(Edit::Kill),
    ]
}

/// The pipeline of some targets. Every output is a list of letters, so that any of them can be an axis.
fn pipeline(targets: &[Drawn]) -> String {
    let mut text = "version: 1\nvars: {none: ''}\ntargets:\n".to_owned();
    let mut bindings: Vec<Vec<String>> = Vec::new();
    for (n, target) in targets.iter().enumerate() {
        let mut mine = Vec::new();
        let mut foreach = Vec::new();
        if let Some(parent) = target.axis.as_ref().filter(|_| n > 0).map(|i| i.index(n))
            // Every level multiplies the steps.
            && bindings[parent].len() < 2
        {
            mine.clone_from(&bindings[parent]);
            mine.push(format!("x{n}"));
            foreach.push(format!("x{n}: {{from: t{parent}, lines: true}}"));
        }
        if target.product {
            mine.push(format!("y{n}"));
            foreach.push(format!("y{n}: [p, q]"));
        }
        let mut inputs = vec![format!("./leaf{}", target.leaf.index(LEAVES))];
        inputs.extend(target.inputs.iter().filter(|_| n > 0).map(|i| format!("t{}", i.index(n))));
        inputs.dedup();
        let path =
            std::iter::once(format!("r/t{n}")).chain(mine.iter().map(|b| format!("{{{b}}}"))).collect::<Vec<_>>();
        let path = format!("{}/out.txt", path.join("/"));
        let own = format!("r/t{n}{}/out.txt", mine.iter().map(|b| format!("/{{{b}}}")).collect::<String>());
        let out = if target.in_place { own.as_str() } else { "{out}" };
        let word = ["", "; echo d", "; echo e"][target.word as usize];
        let spoken: String = mine.iter().map(|b| format!("{{{b}}} ")).collect();
        // A name of its own in the text keeps the keys of two targets apart.
        write!(
            text,
            "  t{n}:\n    rule: command\n    foreach: {{{}}}\n    inputs: [{}]\n    cache: {}\n    output: '{path}'\n    \
             run: 'mkdir -p \"$(dirname {out})\"; (cat {{in}}{word}) | sort -u > {out}; : t{n} {spoken}'\n",
            foreach.join(", "),
            inputs.join(", "),
            target.cache,
        )
        .expect("a String takes all");
        if foreach.is_empty() {
            text = text.replace("    foreach: {}\n", "");
        }
        bindings.push(mine);
    }
    text
}

fn leaf(letters: &[u8]) -> String {
    letters.iter().fold(String::new(), |text, l| text + LETTERS[*l as usize] + "\n")
}

fn outputs(project: &Project) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for name in project.snapshot().names().iter().filter(|n| n.starts_with("r/")) {
        found.insert((*name).to_owned(), project.read(name).into_bytes());
    }
    found
}

/// One history: builds with edits between them. Gives the words of the first law that it breaks.
fn history(mut targets: Vec<Drawn>, leaves: &[Vec<u8>], edits: &[Vec<Edit>], jobs: &[u8]) -> Result<(), TestCaseError> {
    let project = Project::new(&pipeline(&targets));
    let mut now: Vec<String> = leaves.iter().map(|l| leaf(l)).collect();
    let write = |project: &Project, now: &[String]| {
        now.iter().enumerate().for_each(|(n, text)| project.write(&format!("leaf{n}"), text));
    };
    write(&project, &now);
    for (round, edits) in std::iter::once(&Vec::new()).chain(edits).enumerate() {
        let mut killed = false;
        for edit in edits {
            let there = outputs(&project);
            let some =
                |i: &Index| (!there.is_empty()).then(|| there.keys().nth(i.index(there.len())).expect("in it").clone());
            match edit {
                Edit::Leaf(i, letters) => now[i.index(LEAVES)] = leaf(letters),
                Edit::Back(i) => now[i.index(LEAVES)] = leaf(&leaves[i.index(LEAVES)]),
                Edit::Remove(i) => some(i).iter().for_each(|path| project.remove(path)),
                Edit::Overwrite(i) => some(i).iter().for_each(|path| project.write(path, "z\n")),
                Edit::Touch(i) => some(i).iter().for_each(|path| project.write(path, &there[path])),
                Edit::Word(i, word) => {
                    let n = i.index(targets.len());
                    targets[n].word = *word;
                }
                Edit::Kill => killed = true,
            }
        }
        project.write("pipeline.yaml", pipeline(&targets));
        write(&project, &now);
        if killed {
            let running = project.start(&["build"]);
            std::thread::sleep(std::time::Duration::from_millis(fastrand::u64(1..40)));
            running.signal(rustix::process::Signal::KILL);
            running.wait();
        }
        let job = format!("-j{}", jobs[round % jobs.len()]);
        project.build(&[&job]);
        let again = project.build(&[]);
        prop_assert_eq!(
            (again.built, again.restored, again.failed),
            (0, 0, 0),
            "a build after a build: {}",
            again.listing()
        );
    }
    let clean = Project::new(&pipeline(&targets));
    write(&clean, &now);
    clean.build(&["-j3"]);
    let there = outputs(&project);
    for (path, bytes) in outputs(&clean) {
        prop_assert_eq!(there.get(&path), Some(&bytes), "{} is not what a clean build makes", path);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_any_history_a_build_is_idle_and_its_results_are_those_of_a_clean_one(
        targets in proptest::collection::vec(drawn(), 1..6),
        leaves in proptest::collection::vec(proptest::collection::vec(0..5u8, 0..4), LEAVES),
        edits in proptest::collection::vec(proptest::collection::vec(edit(), 1..4), 1..4),
        jobs in proptest::collection::vec(prop_oneof![Just(1u8), Just(4), Just(16)], 1..3),
    ) {
        history(targets, &leaves, &edits, &jobs)?;
    }
}

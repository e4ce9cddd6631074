//! What else a path may turn out to be that is named as an input: which it is, is seen by the lists of values.

use std::collections::{BTreeMap, BTreeSet};

use super::backwards;
use super::makers::{Join, Maker, Makers, shorter};
use super::model::{InputKind, Meets, Other, Part, Pattern, TargetId, Text};
use super::pattern::{REST, below, joined, plain, start};
use super::problem::Span;
use super::values;

/// So many outputs are tried that may lie around or in a path: of more, it is seen only once their steps are there.
const MOST_AROUND: usize = 100;

impl Makers<'_> {
    /// What else the path of an input may turn out to be, where it is not sure to be what it is taken for: other files, or
    /// the same one by other values, and what lies around or in it.
    pub fn others(&self, path: &Pattern, reader: TargetId, taken_for: &InputKind) -> Vec<Other> {
        let taken_for = match taken_for {
            InputKind::Target { target, on, .. } if values::is_sure(self.targets, *target, on) => return Vec::new(),
            InputKind::Target { target, on, .. } => Some((*target, on)),
            InputKind::Path(_) => None,
        };
        let mut others = Vec::new();
        let mut add = |target: TargetId, on: Join, meets: Meets| {
            let is_known = taken_for.is_some_and(|(known, by)| known == target && *by == on && meets == Meets::AsOne);
            let other = Other { target, on, meets };
            // Those of one target come together.
            let is_there =
                others.iter().rev().take_while(|known: &&Other| known.target == target).any(|known| *known == other);
            if (target != reader || meets == Meets::AsOne) && !is_known && !is_there {
                others.push(other);
            }
        };
        for (target, output) in self.candidates(path) {
            self.ways(target, path, &output.pattern).into_iter().for_each(|on| add(target, on, Meets::AsOne));
        }
        // Of values that stand in the pipeline or in files, the steps tell, which are all there.
        let start = start(path);
        for &(target, output) in shorter(&self.read_out, &start).flatten().take(MOST_AROUND) {
            let around = if output.folder { self.ways(target, path, &below(&output.pattern)) } else { Vec::new() };
            let folders = folders_of(&output.pattern);
            let inside = folders.iter().flat_map(|folder| self.ways(target, path, folder));
            around.into_iter().chain(inside).for_each(|on| add(target, on, Meets::InFolder));
        }
        others
    }

    /// The steps that write in a folder at this path, as far as it tells their values.
    pub fn writing_below(&self, path: &str) -> Vec<Writer> {
        let folder = plain(path, Span::default());
        let inside = below(&folder);
        let all = shorter(&self.outputs, path).flat_map(BTreeMap::values).flatten();
        let found = all.flat_map(|&(target, output)| {
            let folders = folders_of(&output.pattern).into_iter().flat_map(|of| self.ways(target, &folder, &of));
            // A value may hold a `/`, and go on below the folder.
            let values = up_to_values(&output.pattern).flat_map(|of| self.ways(target, &inside, &of));
            folders.chain(values).map(move |on| writer(target, &on)).collect::<Vec<_>>()
        });
        found.collect()
    }

    /// What may make a path, or a folder around it, and, where it is a folder, write in it, as far as patterns tell: each
    /// target with the values that its bindings have then, where those are known.
    pub fn at(&self, path: &str, is_folder: bool) -> BTreeSet<Maker> {
        let pattern = plain(path, Span::default());
        let sure = self.writing_in(path).into_iter().filter(|_| is_folder);
        let whole = self.folders_around(&pattern).into_iter().chain(sure).map(|target| (target, Vec::new()));
        let below = if is_folder { self.writing_below(path) } else { Vec::new() };
        let below = below.into_iter().map(|writer| (writer.target, writer.values));
        self.of(path).into_iter().chain(whole).chain(below).collect()
    }

    /// The values by which a target may have an output of this pattern at `path`.
    fn ways(&self, target: TargetId, path: &Pattern, output: &Pattern) -> Vec<Join> {
        let mut ways = Vec::new();
        backwards::each_unified(path, output, &mut |mut on| {
            if values::rank(self.targets, target, &on).is_some() {
                on.retain(|(binding, _)| *binding != REST);
                ways.push(on);
            }
            true
        });
        ways
    }
}

/// A target of which steps may write in a folder.
pub struct Writer {
    pub target: TargetId,
    /// The values that such a step has.
    pub values: Vec<(usize, String)>,
    /// What a value of it begins with that holds a `/` and goes on below the folder.
    pub begins: Option<(usize, String)>,
}

fn writer(target: TargetId, on: &Join) -> Writer {
    let (rest, whole): (Join, Join) =
        on.iter().cloned().partition(|(_, value)| value.parts.contains(&Part::Binding(REST)));
    let begins = rest.into_iter().next().map(|(binding, value)| (binding, start(&value)));
    Writer { target, values: joined(&whole, &[]), begins }
}

/// The folders that a file lies in, whose ends stand in its pattern.
fn folders_of(file: &Pattern) -> Vec<Pattern> {
    let mut folders = Vec::new();
    for (at, part) in file.parts.iter().enumerate() {
        let Part::Text(text) = part else { continue };
        let text = text.public();
        for (end, _) in text.match_indices('/') {
            let parts = file.parts[..at].iter().cloned().chain([Part::Text(Text::plain(&text[..end]))]);
            folders.push(Pattern { parts: parts.collect(), span: file.span });
        }
    }
    folders
}

/// A file's path up to the end of each value in it.
fn up_to_values(file: &Pattern) -> impl Iterator<Item = Pattern> {
    let ends = file.parts.iter().enumerate().filter(|(_, part)| matches!(part, Part::Binding(_))).map(|(at, _)| at);
    ends.map(|end| Pattern { parts: file.parts[..=end].to_vec(), span: file.span })
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn what_else_a_path_may_turn_out_to_be_is_found() {
        let others = |targets: &str, path: &str| {
            let reads = format!("  reads: {{rule: command, inputs: ['{path}'], run: x, output: o}}\n");
            let list = "  list: {rule: command, run: x, output: list}\n";
            let pipeline = good(&format!("version: 1\ntargets:\n{list}{targets}{reads}"));
            let of = pipeline.targets.iter().find(|t| t.name == "reads").expect("it is there");
            let told = of.inputs[0].others.iter().map(|other| {
                let theirs = &pipeline.targets[other.target];
                let on = other.on.iter().map(|(b, value)| {
                    format!(" {}={}", theirs.bindings[*b].name, super::super::pattern::template(value, &of.bindings))
                });
                let meets = if other.meets == Meets::AsOne { "" } else { " around or in it" };
                format!("{}{}{meets}", theirs.name, on.collect::<String>())
            });
            told.collect::<Vec<_>>()
        };
        let target = |name: &str, list: &str, output: &str| {
            format!("  {name}: {{rule: command, foreach: {{a: {list}, b: {list}}}, run: x, output: '{output}'}}\n")
        };
        let (read, written) = ("{from: list, lines: true}", "[x, y, z, x-y, y/z]");
        assert_eq!(others(&target("t", read, "r/{a}-{b}"), "r/x-y-z"), ["t a=x b=y-z"]);
        let none: [&str; 0] = [];
        assert_eq!(others(&target("t", written, "r/{a}-{b}"), "r/x-y-z"), none, "it is sure to be a=x-y b=z");
        assert_eq!(others(&target("t", read, "r/{a}-{b}"), "r/x"), none);
        let two = target("t", read, "r/{a}.{b}.t") + &target("u", read, "r/{a}.{b}");
        let told = others(&two, "r/x.y.t");
        assert_eq!(told, ["u a=x.y b=t", "u a=x b=y.t"]);
        let folder = target("t", read, "r/{a}/{b}/") + &target("u", read, "r/{a}/{b}.t");
        assert!(others(&folder, "r/x/y/z.t").contains(&"t a=x b=y around or in it".to_owned()));
        let told = others(&target("t", read, "r/{a}/{b}/c"), "r/x/y");
        assert_eq!(told, ["t a=x/y around or in it", "t a=x b=y around or in it"]);
        assert_eq!(others(&target("t", written, "r/{a}/{b}/c"), "r/x/w"), none);
        assert_eq!(others(&target("t", read, "q/{a}/{b}"), "r/x/y"), none);
    }

    #[test]
    fn what_needs_the_reader_of_a_path_is_no_way_to_make_it() {
        let pipeline = good(
            "version: 1\ntargets:\n  a: {rule: command, foreach: {n: {lines: l}}, run: x, output: 'r/{n}.t'}
  b: {rule: command, foreach: {n: {lines: l}}, inputs: [reads], run: x, output: 'r/x/{n}.t'}
  reads: {rule: command, inputs: [r/x/y.t], run: x, output: o}\n",
        );
        assert!(target(&pipeline, "reads").inputs[0].others.iter().all(|other| other.meets != Meets::AsOne));
    }

    #[test]
    fn what_makes_a_path_or_writes_in_it_is_found_as_far_as_patterns_tell() {
        let outputs = ["gen/{k}/x", "gen/a/y", "gen/a{k}", "gen/{k}", "made/", "made/{k}/", "o/x"];
        let target = |(at, output): (usize, &&str)| {
            let each = if output.contains('{') { "foreach: {k: {lines: l}}, " } else { "" };
            format!("  t{at}: {{rule: command, {each}run: \"true\", output: \"{output}\"}}\n")
        };
        let targets: String = outputs.iter().enumerate().map(target).collect();
        let pipeline = good(&format!("version: 1\ntargets:\n{targets}"));
        let makers = Makers::new(&pipeline.targets);
        let at = |path: &str, is_folder| {
            let told = makers.at(path, is_folder).into_iter().map(|(target, values)| {
                let values: String = values.into_iter().map(|(_, value)| format!(" {value}")).collect();
                format!("{}{values}", outputs[target])
            });
            told.collect::<Vec<_>>().join(", ")
        };
        assert_eq!(at("gen/a", false), "gen/{k} a");
        // A value may hold a `/`.
        assert_eq!(at("gen/a", true), "gen/{k}/x, gen/{k}/x a, gen/a/y, gen/a{k}, gen/{k}, gen/{k} a");
        assert_eq!(at("gen/b/x", false), "gen/{k}/x b, gen/{k} b/x");
        assert_eq!(at("made/b/x", false), "made/, made/{k}/, made/{k}/ b/x");
        assert_eq!(at("o", true), "o/x");
        assert_eq!(at("o", false), "");
    }
}

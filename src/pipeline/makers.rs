//! Which targets make a path, and which may make the paths of another.
//!
//! Pipelines may be generated, with many thousands of targets and paths between them: outputs are found by the text
//! that they start and end with, not by trying them all.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::backwards;
use super::model::{AxisKind, Binding, Output, Pattern, Read, Target, TargetId, is_read_out_of};
use super::pattern::{below, end_backwards, literal, start};
use super::values;

/// So many outputs are tried that may be files of another target, too: of more, it is seen only once their steps are there.
const MOST_MEETING: usize = 100;

/// The outputs of all targets, by the text before their first binding, and by that behind their last one, read backwards.
pub struct Makers<'a> {
    pub(super) targets: &'a [Target],
    pub(super) outputs: BTreeMap<String, BTreeMap<String, Vec<Candidate<'a>>>>,
    /// Those of targets whose values are read out of outputs, by the text before their first binding.
    pub(super) read_out: BTreeMap<String, Vec<Candidate<'a>>>,
}

pub(super) type Candidate<'a> = (TargetId, &'a Output);

/// Bindings of a target, and what each must be for a path.
pub type Join = Vec<(usize, Pattern)>;

/// A target that may make a path, and the values that its bindings have then.
pub type Maker = (TargetId, Vec<(usize, String)>);

impl<'a> Makers<'a> {
    pub fn new(targets: &'a [Target]) -> Self {
        let mut outputs: BTreeMap<String, BTreeMap<String, Vec<Candidate>>> = BTreeMap::new();
        let mut read_out: BTreeMap<String, Vec<Candidate>> = BTreeMap::new();
        for (id, target) in targets.iter().enumerate() {
            for output in &target.outputs {
                let (start, end) = (start(&output.pattern), end_backwards(&output.pattern));
                if target.parents().next().is_some() {
                    read_out.entry(start.clone()).or_default().push((id, output));
                }
                outputs.entry(start).or_default().entry(end).or_default().push((id, output));
            }
        }
        Self { targets, outputs, read_out }
    }

    /// The target that makes `path`, and what its bindings must be for that. Of several, the one that chooses the
    /// least: what another makes, it makes, too. What can be no step is taken only where nothing else fits, and a target
    /// that reads the path, which would wait for itself, only where no other does.
    pub fn find(&self, path: &Pattern, reader: TargetId) -> Option<(TargetId, Join)> {
        let found = self.candidates(path).filter_map(|(id, output)| {
            let (rank, on) = self.likeliest(id, path, &output.pattern)?;
            // What it cannot make itself, it may read.
            let order = (rank.is_none(), id == reader, self.targets[id].narrowness, id);
            (rank.is_some() || id != reader).then_some((order, on))
        });
        found.min_by_key(|(order, _)| *order).map(|((.., id), on)| (id, on))
    }

    /// How an output of a target is at `path`: of several ways, the first of those that are the likeliest, or, where no
    /// step can be so, the first. With how likely that is.
    fn likeliest(&self, target: TargetId, path: &Pattern, output: &Pattern) -> Option<(Option<usize>, Join)> {
        let mut best: Option<(Option<usize>, Join)> = None;
        backwards::each_unified(path, output, &mut |on| {
            let rank = values::rank(self.targets, target, &on);
            let is_better = match (&best, rank) {
                (None, _) | (Some((None, _)), Some(_)) => true,
                (Some((Some(known), _)), Some(rank)) => rank < *known,
                (Some(_), None) => false,
            };
            if is_better {
                best = Some((rank, on));
            }
            rank != Some(0)
        });
        best
    }

    /// The targets that may make a folder in which `path` lies.
    pub fn folders_around(&self, path: &Pattern) -> Vec<TargetId> {
        let start = start(path);
        let candidates = shorter(&self.outputs, &start).flat_map(BTreeMap::values).flatten();
        let around = candidates.filter(|(_, output)| output.folder && lies_in(path, &output.pattern));
        let mut targets: Vec<TargetId> = around.map(|(id, _)| *id).collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }

    /// The targets that are sure to write in a folder of this path.
    pub fn writing_in(&self, path: &str) -> Vec<TargetId> {
        let inside = format!("{path}/");
        let found = longer(&self.outputs, &inside).flat_map(BTreeMap::values).flatten();
        let mut targets: Vec<TargetId> = found.map(|(id, _)| *id).collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }

    /// The folders whose paths are known as they are written, of those that begin with a text, or that it begins with.
    pub fn known_folders(&self, text: &str) -> Vec<(TargetId, String)> {
        let all = shorter(&self.outputs, text).chain(longer(&self.outputs, text));
        let folders = all.flat_map(BTreeMap::values).flatten().filter(|(_, output)| output.folder);
        let mut known: Vec<_> = folders.filter_map(|(id, output)| Some((*id, literal(&output.pattern)?))).collect();
        known.sort_unstable();
        known.dedup();
        known
    }

    /// The targets that may make a file, with the values that their bindings have then.
    pub fn of(&self, path: &str) -> Vec<Maker> {
        let reversed: String = path.chars().rev().collect();
        let mut found: Vec<Candidate> =
            shorter(&self.outputs, path).flat_map(|ends| shorter(ends, &reversed)).flatten().copied().collect();
        found.sort_by_key(|(id, _)| *id);
        let values = |(id, output): Candidate| {
            readings(self.targets, id, &output.pattern, path).into_iter().map(move |values| (id, values))
        };
        found.into_iter().flat_map(values).collect()
    }

    /// The other targets of which an output may be one file with one of this target's, as far as their patterns tell.
    pub fn meeting(&self, target: TargetId) -> Vec<TargetId> {
        let ours = self.targets[target].outputs.iter();
        others(target, ours.flat_map(|ours| self.near(ours).filter(|(_, theirs)| may_meet(ours, theirs))))
    }

    /// For each target that has such, those of [`Makers::meeting`] whose values are read out of outputs, but not out of its
    /// own, nor its own out of theirs: of the first that come into question.
    pub fn meeting_later(&self) -> Vec<(TargetId, Vec<TargetId>)> {
        let all = (0..self.targets.len()).filter(|_| !self.read_out.is_empty()).map(|target| {
            let parents = |target: TargetId| self.targets[target].parents();
            // What is read out of the same is told at once.
            let is_read_out = |&(other, _): &Candidate| {
                other != target && parents(other).next().is_some() && !parents(other).eq(parents(target))
            };
            let met = self.targets[target].outputs.iter().flat_map(|ours| {
                let near = self.near(ours).filter(is_read_out).take(MOST_MEETING);
                near.filter(|&(other, _)| !is_read_out_of(self.targets, other, target))
                    .filter(|&(other, _)| !is_read_out_of(self.targets, target, other))
                    .filter(|(_, theirs)| may_meet(ours, theirs))
            });
            (target, others(target, met))
        });
        all.filter(|(_, others)| !others.is_empty()).collect()
    }

    /// The outputs that begin and end so that they may be one file with this one.
    fn near(&self, ours: &Output) -> impl Iterator<Item = Candidate<'a>> {
        let (start, end) = (start(&ours.pattern), end_backwards(&ours.pattern));
        let longer = longer(&self.outputs, &start).flat_map(|ends| longer(ends, &end)).flatten().copied();
        longer.chain(self.candidates(&ours.pattern)).collect::<Vec<_>>().into_iter()
    }

    /// The other targets of which an output may need a folder where one of this target's is a file, or the other way round,
    /// as far as their patterns tell.
    pub fn nesting(&self, target: TargetId) -> Vec<TargetId> {
        let found = self.targets[target].outputs.iter().flat_map(|ours| {
            let start = start(&ours.pattern);
            let longer = longer(&self.outputs, &start).flat_map(BTreeMap::values).flatten();
            let all = longer.chain(shorter(&self.outputs, &start).flat_map(BTreeMap::values).flatten());
            all.filter(|(_, theirs)| may_nest(ours, theirs)).copied().collect::<Vec<_>>()
        });
        others(target, found)
    }

    /// Those of [`Makers::meeting`] and [`Makers::nesting`] whose values are read out of outputs: of the first that come into
    /// question.
    pub fn undoing_later(&self, target: TargetId) -> Vec<TargetId> {
        let found = self.targets[target].outputs.iter().flat_map(|ours| {
            let start = start(&ours.pattern);
            let near = longer(&self.read_out, &start).chain(shorter(&self.read_out, &start)).flatten().copied();
            let near = near.filter(|&(other, _)| other != target).take(MOST_MEETING);
            near.filter(|(_, theirs)| may_meet(ours, theirs) || may_nest(ours, theirs)).collect::<Vec<_>>()
        });
        others(target, found)
    }

    /// The outputs that start and end as `path` does.
    pub(super) fn candidates(&self, path: &Pattern) -> impl Iterator<Item = Candidate<'a>> {
        let (start, end) = (start(path), end_backwards(path));
        let found: Vec<Candidate> =
            shorter(&self.outputs, &start).flat_map(|ends| shorter(ends, &end)).flatten().copied().collect();
        found.into_iter()
    }
}

/// The values by which an output of a target may be at this path, the likeliest first: also empty ones, where its lists may
/// have such. What no list can have by its grammar is one of them only where nothing else fits; what the pipeline does not
/// say, or says no more, comes last: the file may have been made by it.
pub fn readings(targets: &[Target], target: TargetId, output: &Pattern, path: &str) -> Vec<Vec<(usize, String)>> {
    let mut all = backwards::match_with_empty(output, path, &|binding| may_be_empty(targets, target, binding));
    if all.len() > 1 {
        if all.iter().any(|values| values::are_spelt(targets, target, values)) {
            all.retain(|values| values::are_spelt(targets, target, values));
        }
        all.sort_by_cached_key(|values| values::rank_of_known(targets, target, values).unwrap_or(usize::MAX));
    }
    all
}

/// Whether a binding may have an empty value: blank lines and cells are skipped, and no tag or file has an empty name.
fn may_be_empty(targets: &[Target], target: TargetId, binding: usize) -> bool {
    let Binding { axis, parent, .. } = targets[target].bindings[binding];
    match (&targets[target].axes[axis].kind, parent) {
        (AxisKind::From { target: of, .. }, Some(theirs)) => may_be_empty(targets, *of, theirs),
        (AxisKind::From { read, .. }, None) => matches!(read, Read::Json(_)),
        (AxisKind::List(values), _) => values.iter().any(String::is_empty),
        (AxisKind::Lines(_) | AxisKind::Csv { .. } | AxisKind::Glob(_), _) => false,
    }
}

/// What is kept under a text that this one begins with.
pub(super) fn shorter<'m, T>(map: &'m BTreeMap<String, T>, text: &str) -> impl Iterator<Item = &'m T> {
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    ends.filter_map(|end| map.get(&text[..end])).collect::<Vec<_>>().into_iter()
}

/// What is kept under a text that begins with this one.
fn longer<'m, T>(map: &'m BTreeMap<String, T>, text: &str) -> impl Iterator<Item = &'m T> {
    map.range::<str, _>((Bound::Included(text), Bound::Unbounded))
        .take_while(move |(key, _)| key.starts_with(text))
        .map(|(_, value)| value)
}

/// Whether two outputs may be one file, as far as their patterns tell.
fn may_meet(one: &Output, other: &Output) -> bool {
    backwards::unify(&one.pattern, &other.pattern).is_some() || backwards::unify(&other.pattern, &one.pattern).is_some()
}

/// Whether one of two outputs may need a folder where the other is a file.
fn may_nest(one: &Output, other: &Output) -> bool {
    lies_in(&one.pattern, &other.pattern) || lies_in(&other.pattern, &one.pattern)
}

/// Whether a path may lie below a file: also where it has a value that goes through it and beyond.
fn lies_in(inner: &Pattern, file: &Pattern) -> bool {
    let below = below(file);
    backwards::unify(inner, &below).is_some() || backwards::unify(&below, inner).is_some()
}

/// Each once, in their order, without the target itself.
fn others<'a>(target: TargetId, found: impl Iterator<Item = Candidate<'a>>) -> Vec<TargetId> {
    let mut all: Vec<TargetId> = found.map(|(id, _)| id).filter(|&id| id != target).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    const OUTPUTS: [&str; 10] = [
        "r/{n}.txt",
        "r/x/{n}.txt",
        "r/x/{n}",
        "r/{n}/a",
        "r/{n}/b",
        "r/x/1.txt",
        "r/y",
        "s/{n}.txt",
        "r/x-{n}.txt",
        "r/é{n}é",
    ];

    fn targets() -> Vec<Target> {
        let target = |(at, output)| {
            let each = if str::contains(output, '{') { "foreach: {n: [1, 2]}, " } else { "" };
            format!("  t{at}: {{rule: command, {each}run: \"true\", output: \"{output}\"}}\n")
        };
        let targets: String = OUTPUTS.iter().copied().enumerate().map(target).collect();
        good(&format!("version: 1\ntargets:\n{targets}")).targets
    }

    /// Which target the first path of `reads` is taken for, and with which values.
    fn taken(targets: &str) -> String {
        let pipeline = good(&format!("version: 1\nsources: {{s: {{kind: dockerhub}}}}\ntargets:\n{targets}"));
        let target = pipeline.targets.iter().find(|t| t.name == "reads").expect("it is there");
        let crate::pipeline::model::InputKind::Target { target: of, on, .. } = &target.inputs[0].kind else {
            return "a file".into();
        };
        let (theirs, ours) = (&pipeline.targets[*of], &target.bindings);
        let on = on
            .iter()
            .map(|(b, value)| format!("{}={}", theirs.bindings[*b].name, super::super::pattern::template(value, ours)));
        format!("{} {}", theirs.name, on.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_path_is_not_taken_for_a_step_that_can_never_be() {
        const TAGS: &str = "  t: {rule: tags, source: s, foreach: {repo: {lines: l}}, output: 't/{repo}.json'}
  c: {rule: tags, source: s, foreach: {repo: [team/app]}, output: 'c/{repo}.json'}\n";
        const COVER: &str = "  cover: {rule: command, foreach: {lang: [en, de]}, run: x, output: 'r/{lang}.html'}\n";
        const PAGE: &str = "  page: {rule: command, foreach: {lang: [en, de], ch: {lines: l}}, run: x, output: 'r/{lang}/{ch}.html'}\n";
        let reads = |path: &str, more: &str| {
            format!("  reads: {{rule: command, {more}inputs: ['{path}'], run: x, output: 'o{}'}}\n", {
                if more.is_empty() { "" } else { "/{n}" }
            })
        };
        let layers = |from: &str, select: &str, output: &str| {
            let foreach = format!("foreach: {{tag: {{from: {from}, select: {select}}}}}");
            format!("{TAGS}  l: {{rule: layers, source: s, {foreach}, output: 'l/{output}'}}\n")
        };
        let all = |output: &str| layers("t", "all", output).replace("}, output: 'l", "}, platform: all, output: 'l");
        let each = "foreach: {n: [intro]}, ";
        for (targets, path, more, says) in [
            // A static list.
            ([COVER, PAGE].concat(), "r/en/intro.html", "", "page lang=en ch=intro"),
            ([COVER, PAGE].concat(), "r/en/{n}.html", each, "page lang=en ch={n}"),
            ([COVER, PAGE].concat(), "r/{n}.html", each, "cover lang={n}"),
            ([COVER, PAGE].concat(), "r/en/a/b.html", "", "page lang=en ch=a/b"),
            // Of what none can be, the choice is as it was.
            ([COVER, PAGE].concat(), "r/fr/intro.html", "", "cover lang=fr/intro"),
            // The grammars of tags, of platforms and of repositories.
            (
                all("{repo}/{tag}/{platform}"),
                "l/up/core/1.0/linux/amd64",
                "",
                "l repo=up/core tag=1.0 platform=linux/amd64",
            ),
            (
                all("{repo}/{tag}/{platform}"),
                "l/up/core/1.0/linux/arm/v7",
                "",
                "l repo=up/core tag=1.0 platform=linux/arm/v7",
            ),
            (all("{repo}/{tag}/{platform}"), "l/{n}/1.0/linux/amd64", each, "l repo={n} tag=1.0 platform=linux/amd64"),
            (
                all("{platform}/{repo}/{tag}"),
                "l/linux/amd64/up/core/1.0",
                "",
                "l platform=linux/amd64 repo=up/core tag=1.0",
            ),
            (layers("t", "{glob: 'v*'}", "{repo}-{tag}"), "l/a-b-v1-2", "", "l repo=a-b tag=v1-2"),
            (layers("t", "all", "{repo}{tag}"), "l/UP", "", "l repo=U tag=P"),
            (layers("t", "all", "{repo}{tag}"), "l/upUP", "", "l repo=up tag=UP"),
            // Values that come along from another target's list.
            (
                layers("c", "all", "{repo}/{tag}")
                    + &layers("t", "all", "{repo}/{tag}")[TAGS.len()..].replace("  l:", "  m:"),
                "l/up/core/1.0",
                "",
                "m repo=up/core tag=1.0",
            ),
        ] {
            assert_eq!(taken(&format!("{targets}{}", reads(path, more))), says, "{path} of\n{targets}");
        }
    }

    #[test]
    fn a_target_is_not_its_own_input_where_another_makes_the_path() {
        for list in ["[en, de]", "{lines: l}"] {
            let page = format!(
                "  page: {{rule: command, foreach: {{lang: {list}, ch: {{lines: l}}}}, run: x, output: 'r/{{lang}}/{{ch}}.html'}}\n"
            );
            let reads = format!(
                "  reads: {{rule: command, foreach: {{lang: {list}}}, inputs: [r/en/intro.html], run: x, output: 'r/{{lang}}.html'}}\n"
            );
            for targets in [[&*page, &reads].concat(), [&*reads, &page].concat()] {
                assert_eq!(taken(&targets), "page lang=en ch=intro", "{targets}");
            }
        }
        // What it can never make itself, it may read.
        let alone =
            "  reads: {rule: command, foreach: {lang: [en]}, inputs: [r/en/a.html], run: x, output: 'r/{lang}.html'}\n";
        assert_eq!(taken(alone), "a file");
    }

    #[test]
    fn what_is_found_by_its_start_and_end_is_what_fits_of_all() {
        let targets = targets();
        let makers = Makers::new(&targets);
        let pattern = |target: TargetId| &targets[target].outputs[0].pattern;
        let all = |fits: &dyn Fn(TargetId) -> bool| (0..targets.len()).filter(|&b| fits(b)).collect::<Vec<_>>();
        let mut pairs = 0;
        for (a, output) in OUTPUTS.iter().enumerate() {
            let fits = |a, b| backwards::unify(pattern(a), pattern(b)).is_some();
            let meeting = all(&|b| a != b && (fits(a, b) || fits(b, a)));
            pairs += meeting.len();
            assert_eq!(makers.meeting(a), meeting, "{output}");
            let within = |a, b| lies_in(pattern(a), pattern(b));
            assert_eq!(makers.nesting(a), all(&|b| a != b && (within(a, b) || within(b, a))), "{output}");
        }
        assert!(pairs > 8, "{pairs}");
        for path in ["r/x/1.txt", "r/y", "r/é1é", "r/x/a", "none", ""] {
            let fits = all(&|target| !backwards::match_path(pattern(target), path).is_empty());
            let mut found: Vec<TargetId> = makers.of(path).into_iter().map(|(target, _)| target).collect();
            found.dedup();
            assert_eq!(found, fits, "{path}");
        }
    }
}

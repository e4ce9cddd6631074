//! What is asked for: targets, steps (`target@binding=value,…`), output paths. And what that needs of other targets.

use std::collections::HashSet;

use crate::pipeline::backwards;
use crate::pipeline::makers::{Maker, Makers};
use crate::pipeline::model::{AxisKind, InputKind, Meets, Part, Pattern, Pipeline, StepsOf, Target, TargetId};
use crate::pipeline::pattern;
use crate::pipeline::problem::{meant, nearest, suggest};

use super::files::folders;

/// Which steps of a target are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub all: bool,
    /// Bindings that a step must have; a step that has all of any one of these is wanted.
    pub only: Vec<Vec<(usize, String)>>,
}

impl Wanted {
    pub fn is_wanted(&self) -> bool {
        self.all || !self.only.is_empty()
    }

    /// Whether a step with these values is wanted.
    pub fn takes<'a>(&self, value: impl Fn(usize) -> &'a str) -> bool {
        self.all || self.only.iter().any(|only| only.iter().all(|(b, v)| value(*b) == v))
    }

    /// Whether a step may be of which these values are known.
    pub fn may_take(&self, values: &[(usize, String)]) -> bool {
        let has = |(b, wanted): &(usize, String)| values.iter().all(|(known, value)| known != b || value == wanted);
        self.all || self.only.iter().any(|only| only.iter().all(has))
    }

    /// Whether each step with these values is.
    pub fn takes_all(&self, values: &[(usize, String)]) -> bool {
        self.all || self.only.iter().any(|only| only.iter().all(|value| values.contains(value)))
    }
}

/// One thing that was asked for by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    Target(TargetId),
    /// Steps of a target with these values.
    Steps(TargetId, Vec<(usize, String)>),
    /// The step that makes this file, and the values that it may have.
    Output(String, Vec<Maker>),
}

impl Asked {
    /// What it may be of, target by target.
    pub fn each(&self) -> Vec<Self> {
        match self {
            Self::Target(_) | Self::Steps(..) => vec![self.clone()],
            Self::Output(path, makers) => makers.iter().map(|m| Self::Output(path.clone(), vec![m.clone()])).collect(),
        }
    }

    /// The steps that it may be, each as its target and the values that are known.
    pub fn steps(&self) -> Vec<Maker> {
        match self {
            Self::Target(target) => vec![(*target, Vec::new())],
            Self::Steps(target, values) => vec![(*target, values.clone())],
            Self::Output(_, makers) => makers.clone(),
        }
    }

    /// The targets that it may be of.
    pub fn targets(&self) -> Vec<TargetId> {
        match self {
            Self::Target(target) | Self::Steps(target, _) => vec![*target],
            Self::Output(_, makers) => makers.iter().map(|(target, _)| *target).collect(),
        }
    }
}

/// Every target, for verbs that without a name mean all.
pub fn everything(pipeline: &Pipeline) -> Vec<Asked> {
    (0..pipeline.targets.len()).map(Asked::Target).collect()
}

/// What was asked for cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unknown {
    pub message: String,
    pub help: Option<String>,
}

/// Understands one argument of the command line.
pub fn parse(pipeline: &Pipeline, argument: &str) -> Result<Asked, Unknown> {
    if let Some(target) = pipeline.targets.iter().position(|t| t.name == argument) {
        return Ok(Asked::Target(target));
    }
    if let Some((name, values)) = argument.split_once('@')
        && let Some(target) = pipeline.targets.iter().position(|t| t.name == name)
    {
        return parse_values(pipeline, target, values).map(|values| Asked::Steps(target, values));
    }
    let path = argument.strip_prefix("./").unwrap_or(argument);
    let path = path.trim_end_matches('/');
    let all = Makers::new(&pipeline.targets);
    let around = folder_makers(pipeline, &all, path);
    let mut makers = all.of(path);
    let path = around.first().filter(|_| makers.is_empty()).map_or(path, |(folder, _)| folder);
    // A value may hold a `/`: which of them it is, is seen by the steps.
    makers.extend(around.into_iter().map(|(_, maker)| maker));
    if makers.is_empty() {
        let names = pipeline.targets.iter().map(|t| t.name.as_str());
        let near = near_step(pipeline, argument).or_else(|| {
            let name = argument.split('@').next().unwrap_or(argument);
            nearest(name, names.clone()).map(str::to_owned)
        });
        let near = near.or_else(|| near_path(pipeline, argument));
        let help =
            near.map_or_else(|| format!("targets: {}", names.collect::<Vec<_>>().join(", ")), |near| meant(&near));
        return Err(Unknown { message: format!("no target, step or output `{argument}`"), help: Some(help) });
    }
    Ok(Asked::Output(path.to_owned(), makers))
}

/// The name of a step with that of the nearest target which has such bindings.
pub fn near_step(pipeline: &Pipeline, argument: &str) -> Option<String> {
    let (name, values) = argument.split_once('@')?;
    let has_them = |(target, _): &(TargetId, &Target)| parse_values(pipeline, *target, values).is_ok();
    let fitting = pipeline.targets.iter().enumerate().filter(has_them).map(|(_, target)| target.name.as_str());
    nearest(name, fitting).map(|name| format!("{name}@{values}"))
}

/// The nearest path that some target may make, where one is misspelt that begins otherwise than its folders, or ends
/// otherwise than its names do.
fn near_path(pipeline: &Pipeline, path: &str) -> Option<String> {
    let outputs = || pipeline.targets.iter().flat_map(|target| &target.outputs).map(|output| &output.pattern);
    let near: Vec<String> = outputs()
        .flat_map(|pattern| match pattern::literal(pattern) {
            Some(path) => vec![path],
            None => {
                let near = in_folders(pattern, path).into_iter().flat_map(|near| with_ends(pattern, near));
                near.filter(|near| !backwards::match_path(pattern, near).is_empty()).collect()
            }
        })
        .collect();
    nearest(path, near.iter().map(String::as_str)).map(str::to_owned)
}

/// A path with the folders that a pattern begins with, in place of as many of its own.
fn in_folders(pattern: &Pattern, path: &str) -> Option<String> {
    let start = pattern::start(pattern);
    let folders = start.rfind('/').map_or("", |end| &start[..=end]);
    let rest = path.splitn(folders.matches('/').count() + 1, '/').last()?;
    Some(format!("{folders}{rest}"))
}

/// A path, and the same with the text that a pattern ends with in place of what may be that, misspelt.
fn with_ends(pattern: &Pattern, path: String) -> Vec<String> {
    /// No more letters are taken to be too many, or missing.
    const OFF: usize = 2;
    let end: String = pattern::end_backwards(pattern).chars().rev().collect();
    let lengths = end.len().saturating_sub(OFF)..=end.len() + OFF;
    let cut = lengths.filter_map(|length| path.get(..path.len().checked_sub(length)?));
    let mut all: Vec<String> = cut.map(|head| format!("{head}{end}")).collect();
    all.push(path);
    all
}

/// The folders that a file lies in and that some target may make, the innermost first, each with that.
fn folder_makers<'p>(pipeline: &Pipeline, all: &Makers<'_>, path: &'p str) -> Vec<(&'p str, Maker)> {
    let is_folder = |folder: &str, (target, _): &Maker| {
        let outputs = pipeline.targets[*target].outputs.iter().filter(|output| output.folder);
        outputs.into_iter().any(|output| !backwards::match_path(&output.pattern, folder).is_empty())
    };
    let makers =
        folders::around(path).rev().flat_map(|folder| all.of(folder).into_iter().map(move |maker| (folder, maker)));
    makers.filter(|(folder, maker)| is_folder(folder, maker)).collect()
}

/// `repo=a,tag=b`: a comma only ends a value where a binding's name and `=` follow.
fn parse_values(pipeline: &Pipeline, target: TargetId, text: &str) -> Result<Vec<(usize, String)>, Unknown> {
    let this = &pipeline.targets[target];
    let mut values: Vec<(usize, String)> = Vec::new();
    for piece in text.split(',') {
        let named = piece
            .split_once('=')
            .and_then(|(name, value)| this.bindings.iter().position(|b| b.name == name).map(|b| (b, value.to_owned())));
        let twice = named.as_ref().map(|(binding, _)| *binding).filter(|b| values.iter().any(|(given, _)| given == b));
        if let Some(binding) = twice {
            let message = format!("`{}` is given twice in `{}@{text}`", this.bindings[binding].name, this.name);
            return Err(Unknown { message, help: None });
        }
        match (named, values.last_mut()) {
            (Some(named), _) => values.push(named),
            (None, Some((_, value))) if !piece.contains('=') => {
                value.push(',');
                value.push_str(piece);
            }
            (None, _) => {
                let names: Vec<&str> = this.bindings.iter().map(|b| b.name.as_str()).collect();
                let name = piece.split_once('=').map_or(piece, |(name, _)| name);
                return Err(Unknown {
                    message: format!("`{}` has no binding `{name}`", this.name),
                    help: suggest(name, names.iter().copied())
                        .or_else(|| (!names.is_empty()).then(|| format!("its bindings: {}", names.join(", ")))),
                });
            }
        }
    }
    Ok(values)
}

/// What has to be looked at of every target, so that what was asked for can be made.
pub fn wanted(pipeline: &Pipeline, asked: &[Asked]) -> Vec<Wanted> {
    let mut wanted = vec![Wanted::default(); pipeline.targets.len()];
    for one in asked {
        match one {
            Asked::Target(target) => want(pipeline, &mut wanted, *target, &[]),
            Asked::Steps(target, values) => want(pipeline, &mut wanted, *target, values),
            Asked::Output(_, makers) => {
                for (target, values) in makers {
                    want(pipeline, &mut wanted, *target, values);
                }
            }
        }
    }
    wanted
}

/// What was asked for, and what may come in its way, or in that of what it needs, in a build of all targets: those that
/// may make the same files, and those that read values out of them.
pub fn around(pipeline: &Pipeline, asked: &[Asked]) -> Vec<Asked> {
    let wanted = wanted(pipeline, asked);
    let makers = Makers::new(&pipeline.targets);
    let mut around = Around { asked: asked.to_vec(), whole: HashSet::new() };
    for (target, wanted) in wanted.iter().enumerate().filter(|(_, wanted)| wanted.is_wanted()) {
        let some: &[Vec<(usize, String)>] = if wanted.all { &[Vec::new()] } else { &wanted.only };
        for values in some {
            around.add(readers(pipeline, target, values));
            around.add(other_makers(pipeline, &makers, target, values));
        }
        around.add(makers.nesting(target).into_iter().map(|other| (other, Vec::new())));
    }
    around.asked
}

/// What is asked for beside what a person did, each once.
struct Around {
    asked: Vec<Asked>,
    /// Targets of which every step is.
    whole: HashSet<TargetId>,
}

impl Around {
    fn add(&mut self, steps: impl IntoIterator<Item = Maker>) {
        for (target, values) in steps {
            let is_new = if values.is_empty() { self.whole.insert(target) } else { !self.whole.contains(&target) };
            if is_new {
                self.asked.push(Asked::Steps(target, values));
            }
        }
    }
}

/// The steps whose values are read out of those of a target that have these values.
fn readers<'p>(
    pipeline: &'p Pipeline,
    of: TargetId,
    values: &'p [(usize, String)],
) -> impl Iterator<Item = Maker> + 'p {
    let targets = pipeline.targets.iter().enumerate();
    targets.flat_map(move |(reader, this)| {
        let axes = this.axes.iter().enumerate();
        let reads = axes.filter(move |(_, axis)| matches!(axis.kind, AxisKind::From { target, .. } if target == of));
        reads.map(move |(position, _)| {
            let ours = this.bindings.iter().enumerate().filter(|(_, binding)| binding.axis == position);
            let value = |theirs: usize| values.iter().find(|(b, _)| *b == theirs).map(|(_, value)| value.clone());
            (reader, ours.filter_map(|(i, binding)| Some((i, value(binding.parent?)?))).collect())
        })
    })
}

/// The steps of other targets that may make what the steps of a target that have these values make.
fn other_makers(pipeline: &Pipeline, makers: &Makers<'_>, target: TargetId, values: &[(usize, String)]) -> Vec<Maker> {
    let value = |binding: usize| values.iter().find(|(b, _)| *b == binding).map(|(_, value)| value.as_str());
    let paths = pipeline.targets[target].outputs.iter().map(|output| fill_known(&output.pattern, &value));
    match paths.collect::<Option<Vec<String>>>() {
        Some(paths) => {
            let all = paths.iter().flat_map(|path| makers.of(path));
            all.filter(|(maker, _)| *maker != target).collect()
        }
        None => makers.meeting(target).into_iter().map(|other| (other, Vec::new())).collect(),
    }
}

fn want(pipeline: &Pipeline, wanted: &mut [Wanted], target: TargetId, only: &[(usize, String)]) {
    let now = &mut wanted[target];
    if now.all || !only.is_empty() && now.only.iter().any(|o| o == only) {
        return;
    }
    if only.is_empty() {
        *now = Wanted { all: true, only: Vec::new() };
    } else {
        now.only.push(only.to_vec());
    }
    let this = &pipeline.targets[target];
    let value_of = |binding: usize| only.iter().find(|(b, _)| *b == binding).map(|(_, v)| v.as_str());
    for input in &this.inputs {
        if let InputKind::Target { target: of, on, .. } = &input.kind {
            let theirs: Vec<(usize, String)> =
                on.iter().filter_map(|(b, mine)| Some((*b, fill_known(mine, &value_of)?))).collect();
            want(pipeline, wanted, *of, &theirs);
        }
    }
    // What lies in a circle with this is made for others only.
    let others = this.inputs.iter().flat_map(|input| &input.others).filter(|other| other.meets != Meets::InCircle);
    for other in others {
        let known = |(b, mine): &(usize, Pattern)| Some((*b, fill_known(mine, &value_of)?));
        let theirs: Vec<(usize, String)> = other.on.iter().filter_map(known).collect();
        // All steps of a target are not made for what may be one of them.
        if !theirs.is_empty() || pipeline.targets[other.target].bindings.is_empty() {
            want(pipeline, wanted, other.target, &theirs);
        }
    }
    for StepsOf { target: of, values, .. } in &this.after {
        want(pipeline, wanted, *of, values);
    }
    for (position, axis) in this.axes.iter().enumerate() {
        if let AxisKind::From { target: of, .. } = axis.kind {
            let theirs: Vec<(usize, String)> = this
                .bindings
                .iter()
                .enumerate()
                .filter(|(_, b)| b.axis == position)
                .filter_map(|(i, b)| Some((b.parent?, value_of(i)?.to_owned())))
                .collect();
            want(pipeline, wanted, of, &theirs);
        }
    }
}

/// The pattern filled, where every binding in it is known.
fn fill_known<'a>(pattern: &Pattern, value_of: &impl Fn(usize) -> Option<&'a str>) -> Option<String> {
    pattern
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => Some(text.public()),
            Part::Binding(b) => value_of(*b).map(str::to_owned),
            Part::Special(..) => None,
        })
        .collect()
}

//! What is asked for: targets, steps (`target@binding=value,…`), output paths. And what that needs of other targets.

use crate::pipeline::model::{AxisKind, InputKind, Output, Part, Pattern, Pipeline, TargetId, Text};
use crate::pipeline::problem::suggest;
use crate::pipeline::{backwards, pattern};

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
}

/// A target that may make a file, and the values that its bindings have then.
type Maker = (TargetId, Vec<(usize, String)>);

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
    let (path, makers) = match makers(pipeline, path) {
        none if none.is_empty() => folder_makers(pipeline, path).unwrap_or((path, none)),
        makers => (path, makers),
    };
    if makers.is_empty() {
        let names = pipeline.targets.iter().map(|t| t.name.as_str());
        return Err(Unknown {
            message: format!("no target, step or output `{argument}`"),
            help: suggest(argument, names.clone())
                .or_else(|| Some(format!("targets: {}", names.collect::<Vec<_>>().join(", ")))),
        });
    }
    Ok(Asked::Output(path.to_owned(), makers))
}

/// The folder that a file lies in and that some target makes, with the targets that may make it.
fn folder_makers<'p>(pipeline: &Pipeline, path: &'p str) -> Option<(&'p str, Vec<Maker>)> {
    let folders = path.rmatch_indices('/').map(|(end, _)| &path[..end]);
    let is_folder = |folder: &str, (target, _): &Maker| {
        let outputs = pipeline.targets[*target].outputs.iter().filter(|output| output.folder);
        outputs.into_iter().any(|output| !backwards::match_path(&output.pattern, folder).is_empty())
    };
    folders.map(|folder| (folder, makers(pipeline, folder))).find_map(|(folder, mut makers)| {
        makers.retain(|maker| is_folder(folder, maker));
        (!makers.is_empty()).then_some((folder, makers))
    })
}

/// The targets that may make a file, with the values that their bindings have then.
pub(super) fn makers(pipeline: &Pipeline, path: &str) -> Vec<Maker> {
    let outputs = pipeline.targets.iter().enumerate().flat_map(|(t, this)| this.outputs.iter().map(move |o| (t, o)));
    let values = |(target, output): (TargetId, &Output)| {
        backwards::match_path(&output.pattern, path).into_iter().map(move |values| (target, values))
    };
    outputs.flat_map(values).collect()
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
    let mut around = asked.to_vec();
    for (target, wanted) in wanted.iter().enumerate().filter(|(_, wanted)| wanted.is_wanted()) {
        let some: &[Vec<(usize, String)>] = if wanted.all { &[Vec::new()] } else { &wanted.only };
        for values in some {
            around.extend(readers(pipeline, target, values));
            around.extend(other_makers(pipeline, target, values));
        }
    }
    around
}

/// The steps whose values are read out of those of a target that have these values.
fn readers<'p>(
    pipeline: &'p Pipeline,
    of: TargetId,
    values: &'p [(usize, String)],
) -> impl Iterator<Item = Asked> + 'p {
    let targets = pipeline.targets.iter().enumerate();
    targets.flat_map(move |(reader, this)| {
        let axes = this.axes.iter().enumerate();
        let reads = axes.filter(move |(_, axis)| matches!(axis.kind, AxisKind::From { target, .. } if target == of));
        reads.map(move |(position, _)| {
            let ours = this.bindings.iter().enumerate().filter(|(_, binding)| binding.axis == position);
            let value = |theirs: usize| values.iter().find(|(b, _)| *b == theirs).map(|(_, value)| value.clone());
            Asked::Steps(reader, ours.filter_map(|(i, binding)| Some((i, value(binding.parent?)?))).collect())
        })
    })
}

/// The steps of other targets that may make what the steps of a target that have these values make.
fn other_makers(pipeline: &Pipeline, target: TargetId, values: &[(usize, String)]) -> Vec<Asked> {
    let value = |binding: usize| values.iter().find(|(b, _)| *b == binding).map(|(_, value)| value.as_str());
    let mut others = Vec::new();
    for output in &pipeline.targets[target].outputs {
        match fill_known(&output.pattern, &value) {
            Some(path) => others.extend(makers(pipeline, &path).into_iter().filter(|(maker, _)| *maker != target)),
            None => others.extend(rivals(pipeline, target, meet).map(|rival| (rival, Vec::new()))),
        }
    }
    others.extend(rivals(pipeline, target, nest).map(|rival| (rival, Vec::new())));
    others.into_iter().map(|(maker, values)| Asked::Steps(maker, values)).collect()
}

/// The other targets of which an output may meet one of a target in this way, as far as their patterns tell.
pub fn rivals(
    pipeline: &Pipeline,
    target: TargetId,
    meet: fn(&Pattern, &Pattern) -> bool,
) -> impl Iterator<Item = TargetId> + '_ {
    let outputs = |of: TargetId| pipeline.targets[of].outputs.iter().map(|output| &output.pattern);
    let ours: Vec<(String, &Pattern)> = outputs(target).map(|ours| (pattern::start(ours), ours)).collect();
    let others = (0..pipeline.targets.len()).filter(move |&other| other != target);
    others.filter(move |&other| {
        outputs(other).any(|theirs| {
            // There may be many targets, and most of them write elsewhere.
            let start = pattern::start(theirs);
            let is_near = |ours: &str| ours.starts_with(&start) || start.starts_with(ours);
            ours.iter().any(|(text, ours)| is_near(text) && meet(ours, theirs))
        })
    })
}

/// Two outputs may be one file.
pub fn meet(a: &Pattern, b: &Pattern) -> bool {
    backwards::unify(a, b).is_some() || backwards::unify(b, a).is_some()
}

/// One output may need a folder where the other is a file.
fn nest(a: &Pattern, b: &Pattern) -> bool {
    let lies_in = |inner: &Pattern, file: &Pattern| {
        let mut below = file.clone();
        // A binding of nobody's stands for the rest of the path.
        below.parts.extend([Part::Text(Text::plain("/")), Part::Binding(usize::MAX)]);
        backwards::unify(inner, &below).is_some()
    };
    lies_in(a, b) || lies_in(b, a)
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
    for &of in &this.after {
        want(pipeline, wanted, of, &[]);
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

//! The checked pipeline: what the floors above work with.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use petgraph::algo::has_path_connecting;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeFiltered;

pub use super::node::{Name, Node, Value};
use super::problem::Span;
pub use super::secrets::{Piece, Text};

/// A position in [`Pipeline::targets`].
pub type TargetId = usize;
/// A position in [`Pipeline::sources`].
pub type SourceId = usize;

/// A pipeline file, checked.
#[derive(Debug)]
pub struct Pipeline {
    /// The file, as it was named on the command line.
    pub file: PathBuf,
    /// The file's folder, absolute: every path of the pipeline is relative to it.
    pub root: PathBuf,
    /// The file's text, for marks.
    pub text: Arc<str>,
    pub sources: Vec<SourceEntry>,
    /// `pools:`, name and size.
    pub pools: Vec<(String, u32)>,
    pub targets: Vec<Target>,
    /// What a bare `layermill build` builds.
    pub default: Vec<TargetId>,
    /// Producer to consumer; has no cycle. Node weights are target ids, node indices equal them.
    pub graph: DiGraph<TargetId, Edge>,
    /// Target ids, producers first.
    pub order: Vec<TargetId>,
}

impl Pipeline {
    /// Whether a target is sure to be made after another, whatever paths turn out to be.
    pub fn comes_after(&self, later: TargetId, earlier: TargetId) -> bool {
        let sure = EdgeFiltered::from_fn(&self.graph, |edge| *edge.weight() != Edge::Perhaps);
        has_path_connecting(&sure, NodeIndex::new(earlier), NodeIndex::new(later), None)
    }
}

/// Why one target waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// An entry of `inputs:`.
    Input,
    /// An axis reads its values out of the producer's outputs.
    Axis,
    /// `after:` orders and is not hashed.
    After,
    /// What the producer makes may turn out to be a path that the consumer names, or to be around or in it, or to tell who
    /// else makes a file of the consumer, or of what it goes on without where that fails.
    Perhaps,
}

/// An entry under `sources:`.
#[derive(Clone, Debug)]
pub struct SourceEntry {
    pub name: String,
    pub kind: String,
    /// The keys of its kind, shape-checked; `kind` itself is left out.
    pub keys: Node,
    pub span: Span,
    /// Something in it has been reported.
    pub faulty: bool,
    /// That is not in values of single keys alone: what else it says may be meant in another way.
    pub loose: bool,
}

/// An entry under `targets:`: a template for steps.
#[derive(Debug)]
pub struct Target {
    pub name: String,
    /// The name's place.
    pub span: Span,
    pub description: Option<String>,
    /// `None` is a group: inputs under one name.
    pub rule: Option<String>,
    /// The keys of its rule, shape-checked; those that every target takes are left out.
    pub keys: Node,
    /// Every binding that a step has: for each axis in file order, those of the axis's target first, then its own.
    pub bindings: Vec<Binding>,
    pub axes: Vec<Axis>,
    /// How many axes leave something out, those of the targets that values are read from included.
    pub narrowness: usize,
    /// Targets that may come to describe steps of this one, too, by values that are read out of outputs: these come first.
    pub joined_by: Vec<TargetId>,
    /// Those of which the values are read out of what needs this one: what they say of its steps comes too late.
    pub joined_late_by: Vec<TargetId>,
    /// Where it goes on without what fails, or comes after it: what it needs of that, each with a target that may turn out to undo
    /// it, by values that are read out of outputs. These come first.
    pub undone_before: Vec<(TargetId, TargetId)>,
    pub inputs: Vec<Input>,
    pub after: Vec<StepsOf>,
    pub outputs: Vec<Output>,
    pub fresh: Freshness,
    /// `missing: error`: an absent answer fails the step.
    pub missing_is_error: bool,
    /// Attempts after the first; `None` is the rule's default.
    pub retries: Option<u32>,
    pub timeout: Option<Duration>,
    /// A position in [`Pipeline::pools`] and how much of it a step takes.
    pub pool: Option<(usize, u32)>,
    pub env: Vec<(String, Text)>,
    /// `cache: false` keeps outputs out of the store.
    pub cache: bool,
    /// Something in it has been reported: what it says is incomplete.
    pub faulty: bool,
    /// That is not in values of single keys alone, or in what its texts may name: its bindings, inputs and outputs.
    pub loose: bool,
}

impl Target {
    /// The targets that its axes read values from.
    pub fn parents(&self) -> impl Iterator<Item = TargetId> + '_ {
        self.axes.iter().filter_map(|axis| match axis.kind {
            AxisKind::From { target, .. } => Some(target),
            _ => None,
        })
    }

    /// Whether it goes on without what fails of something that it reads.
    pub fn goes_on_in_part(&self) -> bool {
        self.inputs.iter().any(|input| matches!(input.kind, InputKind::Target { partial: true, .. }))
    }
}

/// Whether the values of a target, or those that they come with, are read out of steps of another.
pub fn is_read_out_of(targets: &[Target], target: TargetId, of: TargetId) -> bool {
    targets[target].parents().any(|parent| parent == of || is_read_out_of(targets, parent, of))
}

/// A name that a target's steps are parametrised by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    pub name: String,
    /// The axis that gives it, a position in [`Target::axes`].
    pub axis: usize,
    /// `Some(b)`: it is binding `b` of the axis's target; `None`: it is the axis's own value.
    pub parent: Option<usize>,
}

/// Where a binding's values come from.
#[derive(Clone, Debug)]
pub struct Axis {
    /// Position of its own binding in [`Target::bindings`].
    pub binding: usize,
    pub kind: AxisKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AxisKind {
    List(Vec<String>),
    /// One value a line of this file.
    Lines(String),
    /// One value a row of this file, from the column of this name.
    Csv {
        path: String,
        column: String,
    },
    /// The paths of the files that match.
    Glob(String),
    /// Values read out of each output of a target, once it is built.
    From {
        target: TargetId,
        read: Read,
        /// The place of that output among those of the target.
        output: usize,
    },
}

/// How values are read out of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// From a tag file: pairs of tag and digest.
    Tags(Select),
    Lines,
    /// The column's name.
    Csv(String),
    /// A JSON pointer to an array of scalars, or to an object, whose keys are taken.
    Json(String),
}

/// Which tags of a tag file.
#[derive(Clone, Debug)]
pub enum Select {
    All,
    /// `latest` where there is one, otherwise the last in name order.
    Latest,
    Glob(globset::GlobMatcher),
    Regex(regex::Regex),
    /// The last N in version order.
    Newest(usize),
    Semver(semver::VersionReq),
}

/// By what was written: expressions have no equality of their own.
impl PartialEq for Select {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, Self::All) | (Self::Latest, Self::Latest) => true,
            (Self::Glob(a), Self::Glob(b)) => a.glob() == b.glob(),
            (Self::Regex(a), Self::Regex(b)) => a.as_str() == b.as_str(),
            (Self::Newest(a), Self::Newest(b)) => a == b,
            (Self::Semver(a), Self::Semver(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Select {}

/// One entry of `inputs:`.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its name where `inputs:` is a map.
    pub name: Option<String>,
    /// The path that it was named by, also where some target makes that.
    pub path: Option<Pattern>,
    pub kind: InputKind,
    /// What else the path may turn out to be: which it is, is seen by the lists of values.
    pub others: Vec<Other>,
    /// The group that was named, of which this is a part.
    pub group: Option<TargetId>,
    pub span: Span,
}

/// Another way in which steps of a target may come to make a path that is named as an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    pub target: TargetId,
    /// The values that such a step has, as far as the path tells them.
    pub on: Vec<(usize, Pattern)>,
    pub meets: Meets,
}

/// How an output and a path that is named meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meets {
    /// They are one file.
    AsOne,
    /// The same, where the target waits for the one that names the path, or is that itself: it is no way to make it.
    InCircle,
    /// The path lies in a folder that is the output, or the output in a folder at the path.
    InFolder,
}

#[derive(Clone, Debug)]
pub enum InputKind {
    Target {
        target: TargetId,
        /// The join: a binding of `target`, and what it must equal, filled from this step's bindings. All steps of
        /// `target` where it is empty.
        on: Vec<(usize, Pattern)>,
        /// Go on without its failed or deferred steps.
        partial: bool,
    },
    /// A file that no target makes.
    Path(Pattern),
}

/// What a target names with others, in `after:` or as a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepsOf {
    pub target: TargetId,
    /// The values of the steps that are meant: of all of them, unless one was named by the path of a file that it makes.
    pub values: Vec<(usize, String)>,
    pub path: Option<String>,
}

/// One output of a target.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its name where `output:` is a map.
    pub name: Option<String>,
    pub pattern: Pattern,
    /// Written with a `/` at its end: a whole folder is the output. The pattern has no `/` at its end.
    pub folder: bool,
    pub span: Span,
}

/// How old an answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Kept for ever.
    Exists,
    /// Asked again when older.
    Within(Duration),
    /// Asked each time, in the cheapest way.
    Digest,
    Always,
}

/// Text with `{names}` to be filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    pub parts: Vec<Part>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Text(Text),
    /// A binding, by its position in [`Target::bindings`].
    Binding(usize),
    /// `{in}`, `{out.NAME}` and the like: the rule's own to fill. The span is that of the braces.
    Special(String, Span),
}

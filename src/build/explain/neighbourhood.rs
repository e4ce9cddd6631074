//! The neighbourhood of steps: what they need and what needs them, so many steps away.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::pipeline::model::{AxisKind, Target, TargetId};
use crate::store::state::PathId;

use super::graph::{Edge, Graph, Node, Reach};
use crate::build::engine::Engine;
use crate::build::events::Silence;
use crate::build::request::{self, Unknown};
use crate::build::session::{BuildError, Order, Session, looked};
use crate::build::steps::StepId;
use crate::build::steps::expand::parent_of;
use crate::build::steps::values::list_of;
use crate::build::steps::waits::{GroupId, Wait};

/// What is drawn of the steps.
#[derive(Clone, Debug, Default)]
pub struct Neighbourhood {
    pub reach: Reach,
    /// Start also from the steps that write under this folder.
    pub under: Option<String>,
    /// Start also from these files that no step makes.
    pub files: Vec<String>,
}

/// A node: a step, or a file that no step makes. Files come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Spot {
    File(PathId),
    Step(StepId),
}

/// The steps (and files) that were asked for, with as much around them as the reach says, as far as they can be told now.
pub fn steps(session: &Session, order: &Order, around: &Neighbourhood) -> Result<Graph, BuildError> {
    // What needs a step is known only once every target is expanded.
    let all = around.reach.needed_by || around.under.is_some() || !around.files.is_empty();
    let asked = if all { request::everything(&session.pipeline) } else { order.asked.clone() };
    let (mut engine, _) = looked(session, &Order { asked, ..order.clone() }, &mut Silence)?;
    for axis in session.pipeline.targets.iter().flat_map(|t| &t.axes) {
        if let Some(path) = list_of(&axis.kind) {
            engine.state.intern(path);
        }
    }
    if let Some(unknown) = engine.not_found(order) {
        return Err(unknown.into());
    }
    let links = Links::of(&engine);
    let is_under =
        |id| around.under.as_ref().is_some_and(|folder| engine.paths(id).any(|path| lies_under(path, folder)));
    let mut start = Vec::new();
    for id in 0..u32::try_from(engine.steps.len()).unwrap_or(u32::MAX) {
        let asked = order.asked.iter().any(|a| engine.is_asked(a, id));
        if asked || is_under(id) {
            start.push(Spot::Step(id));
        }
    }
    for file in &around.files {
        let spot = engine.state.find(file).map(Spot::File).filter(|spot| links.readers.contains_key(spot));
        start.push(spot.ok_or_else(|| Unknown {
            message: format!("no step makes or reads {file}"),
            help: Some("`layermill graph --steps` names all that can be told now".to_owned()),
        })?);
    }
    let mut found: HashSet<Spot> = start.iter().copied().collect();
    if around.reach.needs {
        found.extend(walk(&start, around.reach.depth, |spot| links.needs(&engine, spot)));
    }
    if around.reach.needed_by {
        let depth = around.reach.depth;
        let needed_by = |spot| links.needed_by(spot);
        let by_paths: HashMap<StepId, HashSet<&str>> = start
            .iter()
            .filter_map(|&spot| match spot {
                Spot::Step(id) if !is_under(id) => Some((id, outputs_asked(&engine, order, id)?)),
                _ => None,
            })
            .collect();
        let is_whole = |spot: &Spot| !matches!(spot, Spot::Step(id) if by_paths.contains_key(id));
        let whole: Vec<Spot> = start.iter().copied().filter(is_whole).collect();
        found.extend(walk(&whole, depth, needed_by));
        if depth != Some(0) {
            let readers = by_paths.iter().flat_map(|(&id, paths)| links.readers_of(&engine, id, paths));
            found.extend(walk(&readers.collect::<Vec<_>>(), depth.map(|depth| depth - 1), needed_by));
        }
    }
    Ok(drawn(&engine, &links, &found, &start.into_iter().collect()))
}

fn lies_under(path: &str, folder: &str) -> bool {
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Those of a step's several outputs that were asked for, where it was asked for by these alone.
fn outputs_asked<'e>(engine: &'e Engine<'_>, order: &Order, id: StepId) -> Option<HashSet<&'e str>> {
    let named = engine.paths_asked(&order.asked, id)?;
    // Where one is not found, the step is taken as a whole: nothing is left out by mistake.
    let outputs = named.iter().map(|path| engine.paths(id).find(|output| lies_under(path, output)));
    let all: HashSet<&str> = outputs.collect::<Option<_>>()?;
    (engine.paths(id).nth(1).is_some() && !all.is_empty()).then_some(all)
}

/// All that is met from `start`, at most `depth` steps away.
fn walk(start: &[Spot], depth: Option<usize>, next: impl Fn(Spot) -> Vec<Spot>) -> HashSet<Spot> {
    let mut met: HashSet<Spot> = start.iter().copied().collect();
    let mut ring = start.to_vec();
    let mut left = depth.unwrap_or(usize::MAX);
    while !ring.is_empty() && left > 0 {
        ring = ring.iter().flat_map(|&spot| next(spot)).filter(|&spot| met.insert(spot)).collect();
        left -= 1;
    }
    met
}

/// What the steps keep only in one direction, or not at all.
#[derive(Default)]
struct Links {
    /// Who reads a step or a file by itself.
    readers: HashMap<Spot, Vec<StepId>>,
    /// Who reads a group.
    group_readers: HashMap<GroupId, Vec<StepId>>,
    /// The groups that are read, by their steps.
    groups_of: HashMap<StepId, Vec<GroupId>>,
    /// What a step's values were read out of: steps, and files of lists.
    axes: HashMap<StepId, Vec<Spot>>,
    /// What a step found that it reads, when it last ran.
    found: HashMap<StepId, Vec<Spot>>,
}

impl Links {
    fn of(engine: &Engine<'_>) -> Self {
        let mut links = Self::default();
        for slot in &engine.steps.slots {
            match slot.wait {
                Wait::Step(step) => links.readers.entry(Spot::Step(step)).or_default().push(slot.owner),
                Wait::Group(group) => links.group_readers.entry(group).or_default().push(slot.owner),
                Wait::File(file) => {
                    if let Some(&path) = engine.steps.files.get(file as usize) {
                        links.readers.entry(Spot::File(path)).or_default().push(slot.owner);
                    }
                }
                Wait::None => {}
            }
        }
        for &group in links.group_readers.keys() {
            for step in engine.steps.ordered(group) {
                links.groups_of.entry(step).or_default().push(group);
            }
        }
        for target in 0..engine.pipeline.targets.len() {
            links.add_axes(engine, target);
        }
        for id in (0..).take(engine.steps.len()).filter(|&id| engine.finds(id)) {
            links.add_found(engine, id);
        }
        links
    }

    fn add_found(&mut self, engine: &Engine<'_>, id: StepId) {
        let record = engine.record_of(id);
        for found in record.into_iter().flat_map(|r| r.found) {
            let Some(path) = engine.state.find(&found.path) else { continue };
            let spot = engine.steps.find_path(&engine.state, &found.path).map_or(Spot::File(path), Spot::Step);
            self.found.entry(id).or_default().push(spot);
            self.readers.entry(spot).or_default().push(id);
        }
    }

    fn add_axes(&mut self, engine: &Engine<'_>, target: TargetId) {
        let (this, rows) = (&engine.pipeline.targets[target], &engine.steps.rows[target]);
        let lists = this.axes.iter().filter_map(|axis| list_of(&axis.kind));
        let lists: Vec<Spot> = lists.filter_map(|path| engine.state.find(path).map(Spot::File)).collect();
        let parent = parent_of(this);
        let joined: Vec<Joined> = if parent.is_some() { Vec::new() } else { Joined::all(engine, this) };
        for (position, &id) in rows.steps.iter().enumerate() {
            let mut from = lists.clone();
            if let (Some(parent), Some(&row)) = (parent, rows.parents.get(position)) {
                from.push(Spot::Step(engine.steps.rows[parent].steps[row as usize]));
            }
            let values = engine.steps.values_of(id);
            from.extend(joined.iter().flat_map(|j| j.of(&values)).map(|&step| Spot::Step(step)));
            for &spot in &from {
                self.readers.entry(spot).or_default().push(id);
            }
            if !from.is_empty() {
                self.axes.entry(id).or_default().extend(from);
            }
        }
    }

    fn needs(&self, engine: &Engine<'_>, spot: Spot) -> Vec<Spot> {
        let Spot::Step(id) = spot else { return Vec::new() };
        let mut found = self.axes.get(&id).cloned().unwrap_or_default();
        found.extend(self.found.get(&id).into_iter().flatten());
        found.extend(engine.steps.slots_of(id).iter().flat_map(|slot| behind(engine, slot.wait)));
        found
    }

    fn needed_by(&self, spot: Spot) -> Vec<Spot> {
        let mut found: Vec<Spot> = self.readers.get(&spot).into_iter().flatten().map(|&id| Spot::Step(id)).collect();
        if let Spot::Step(id) = spot {
            let readers = self.groups_of.get(&id).into_iter().flatten().filter_map(|g| self.group_readers.get(g));
            found.extend(readers.flatten().map(|&id| Spot::Step(id)));
        }
        found
    }

    /// What needs a step for some of its outputs: an input that is named by a path reads that one alone.
    fn readers_of(&self, engine: &Engine<'_>, id: StepId, paths: &HashSet<&str>) -> Vec<Spot> {
        let mut readers = self.needed_by(Spot::Step(id));
        readers.retain(|&spot| match spot {
            Spot::Step(reader) => self.reads(engine, reader, id, paths),
            Spot::File(_) => true,
        });
        readers
    }

    fn reads(&self, engine: &Engine<'_>, reader: StepId, id: StepId, paths: &HashSet<&str>) -> bool {
        let comes_by = |wait: Wait| match wait {
            Wait::Step(step) => step == id,
            Wait::Group(group) => self.groups_of.get(&id).is_some_and(|groups| groups.contains(&group)),
            Wait::File(_) | Wait::None => false,
        };
        let reads_by = |position, wait| match engine.named_output(reader, position, wait) {
            Some(path) => paths.contains(path.as_str()),
            // Also what it waits for under `after`.
            None => true,
        };
        let mut slots = engine.steps.slots_of(reader).iter().enumerate().map(|(position, slot)| (position, slot.wait));
        let by_slot = slots.any(|(position, wait)| comes_by(wait) && reads_by(position, wait));
        let is_axis = || self.axes.get(&reader).is_some_and(|axes| axes.contains(&Spot::Step(id)));
        let by_axis = || {
            let mut places = engine.steps.target(reader).axes.iter().filter_map(|axis| match axis.kind {
                AxisKind::From { output, .. } => engine.paths(id).nth(output),
                _ => None,
            });
            places.any(|path| paths.contains(path)) && is_axis()
        };
        // What a command found while running is named under `inputs`, too, where a step makes it: this was a file then.
        let finds = || self.found.get(&reader).is_some_and(|found| found.contains(&Spot::Step(id)));
        by_slot || by_axis() || finds()
    }
}

/// The rows that one axis of several was read out of, by the values that came along.
struct Joined {
    /// Ours.
    bindings: Vec<usize>,
    steps: BTreeMap<Vec<String>, Vec<StepId>>,
}

impl Joined {
    fn all(engine: &Engine<'_>, target: &Target) -> Vec<Self> {
        if target.parents().next().is_none() {
            return Vec::new();
        }
        let axes = target.axes.iter().enumerate().filter_map(|(position, axis)| match axis.kind {
            AxisKind::From { target: from, .. } => Some((position, from)),
            _ => None,
        });
        axes.map(|(position, from)| {
            let ours = target.bindings.iter().enumerate().filter(|(_, b)| b.axis == position);
            let (bindings, theirs): (Vec<usize>, Vec<usize>) = ours.filter_map(|(i, b)| Some((i, b.parent?))).unzip();
            let mut steps: BTreeMap<Vec<String>, Vec<StepId>> = BTreeMap::new();
            for &id in &engine.steps.rows[from].steps {
                let values = engine.steps.values_of(id);
                steps.entry(theirs.iter().map(|&b| values[b].to_owned()).collect()).or_default().push(id);
            }
            Self { bindings, steps }
        })
        .collect()
    }

    fn of(&self, values: &[&str]) -> &[StepId] {
        let mine: Vec<String> = self.bindings.iter().map(|&b| values[b].to_owned()).collect();
        self.steps.get(&mine).map_or(&[], Vec::as_slice)
    }
}

fn behind(engine: &Engine<'_>, wait: Wait) -> Vec<Spot> {
    match wait {
        Wait::Step(step) => vec![Spot::Step(step)],
        Wait::Group(group) => engine.steps.ordered(group).into_iter().map(Spot::Step).collect(),
        Wait::None => Vec::new(),
        Wait::File(file) => engine.steps.files.get(file as usize).map(|&path| Spot::File(path)).into_iter().collect(),
    }
}

/// Files first, then steps in the order of the targets and their rows: producers before what needs them.
fn drawn(engine: &Engine<'_>, links: &Links, found: &HashSet<Spot>, start: &HashSet<Spot>) -> Graph {
    let mut spots: Vec<Spot> = found.iter().copied().filter(|s| matches!(s, Spot::File(_))).collect();
    spots.sort_by_key(|spot| match spot {
        Spot::File(path) => engine.state.path(*path),
        Spot::Step(_) => "",
    });
    let mut seen = HashSet::new();
    for &target in &engine.pipeline.order {
        let steps = engine.steps.rows[target].steps.iter().map(|&id| Spot::Step(id));
        spots.extend(steps.filter(|spot| found.contains(spot) && seen.insert(*spot)));
    }
    let node_of: HashMap<Spot, usize> = spots.iter().enumerate().map(|(i, &s)| (s, i)).collect();
    let mut graph = Graph::default();
    for &spot in &spots {
        let asked = start.contains(&spot);
        graph.nodes.push(match spot {
            Spot::File(path) => {
                Node { name: engine.state.path(path).to_owned(), rule: None, outputs: Vec::new(), asked }
            }
            Spot::Step(id) => Node {
                name: engine.steps.label(id),
                rule: Some(engine.steps.target(id).rule.clone().unwrap_or_else(|| "group".to_owned())),
                outputs: engine.paths(id).map(str::to_owned).collect(),
                asked,
            },
        });
    }
    for (to, &spot) in spots.iter().enumerate() {
        let Spot::Step(id) = spot else { continue };
        let mut add = |from: Spot, kind| graph.edges.extend(node_of.get(&from).map(|&from| Edge { from, to, kind }));
        let inputs = engine.steps.target(id).inputs.len();
        for (position, slot) in engine.steps.slots_of(id).iter().enumerate() {
            let kind = if position < inputs { "input" } else { "after" };
            behind(engine, slot.wait).into_iter().for_each(|from| add(from, kind));
        }
        links.axes.get(&id).into_iter().flatten().for_each(|&from| add(from, "axis"));
        links.found.get(&id).into_iter().flatten().for_each(|&from| add(from, "found"));
    }
    graph.sorted()
}

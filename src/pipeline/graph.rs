//! The graph of targets: what waits for what, in which order, and whether that can be.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::{Dfs, EdgeRef, VisitMap};

use super::inputs::{Wants, join};
use super::makers::Makers;
use super::model::{AxisKind, Edge, Input, InputKind, Meets, Pipeline, StepsOf, Target, TargetId};
use super::problem::{Problems, Span};

/// Fills in the graph, the order, the default, and each target's inputs. Where there is a circle, it is reported, and
/// the order is that of the file.
pub(super) fn build(
    pipeline: &mut Pipeline,
    mut wants: Vec<Wants>,
    default: Option<Vec<TargetId>>,
    problems: &mut Problems,
) {
    let mut graph: DiGraph<TargetId, Edge> = DiGraph::new();
    (0..pipeline.targets.len()).for_each(|id| {
        graph.add_node(id);
    });
    // Where a target names another: the first place of each pair.
    let mut places: HashMap<(TargetId, TargetId), Span> = HashMap::new();
    let mut seen = HashSet::new();
    let mut add = |from: TargetId, to: TargetId, edge: Edge, span: Span| {
        places.entry((from, to)).or_insert(span);
        if seen.insert((from, to, edge as u8)) {
            graph.add_edge(NodeIndex::new(from), NodeIndex::new(to), edge);
        }
    };
    // Who needs one step of a target, which it names by a path, does not need the others.
    let mut needed: HashSet<TargetId> = HashSet::new();
    for (id, (target, wants)) in pipeline.targets.iter().zip(&wants).enumerate() {
        for axis in &target.axes {
            if let AxisKind::From { target: from, .. } = axis.kind {
                add(from, id, Edge::Axis, axis.span);
                needed.insert(from);
            }
        }
        for input in &wants.inputs {
            if let InputKind::Target { target: from, .. } = input.kind {
                add(from, id, Edge::Input, input.span);
                if input.path.is_none() || pipeline.targets[from].bindings.is_empty() {
                    needed.insert(from);
                }
            }
        }
        wants.after.iter().for_each(|(from, span)| {
            add(*from, id, Edge::After, *span);
            needed.insert(*from);
        });
    }
    circles(&graph, &places, &pipeline.targets, problems);
    other_ways(&mut graph, &mut wants, &pipeline.targets);
    joiners(&mut graph, &mut pipeline.targets);
    pipeline.order = order(&graph);
    expand_groups(pipeline, wants);
    undoing(&mut graph, &mut pipeline.targets, &pipeline.order);
    pipeline.order = order(&graph);
    pipeline.default =
        default.unwrap_or_else(|| (0..pipeline.targets.len()).filter(|id| !needed.contains(id)).collect());
    pipeline.default.dedup();
    pipeline.graph = graph;
}

/// Adds what has to come first where a path may be made in several ways: the target that makes it, or what it is seen by
/// whether there is a folder. What needs the target that names the path cannot come before that, and is no way; whether it
/// makes the path all the same is seen by what its values are read out of, where that can come first.
fn other_ways(graph: &mut DiGraph<TargetId, Edge>, wants: &mut [Wants], targets: &[Target]) {
    for (id, wants) in wants.iter_mut().enumerate() {
        if wants.inputs.iter().all(|input| input.others.is_empty()) {
            continue;
        }
        let this = NodeIndex::new(id);
        // What is added is before this target: what comes after it stays the same.
        let mut later = Dfs::new(&*graph, this);
        while later.next(&*graph).is_some() {}
        let mut earlier: HashSet<NodeIndex> = graph.neighbors_directed(this, petgraph::Incoming).collect();
        for input in &mut wants.inputs {
            input.others.retain_mut(|other| {
                if other.meets == Meets::AsOne && later.discovered.is_visited(&NodeIndex::<u32>::new(other.target)) {
                    other.meets = Meets::InCircle;
                }
                let first: Vec<NodeIndex> = match other.meets {
                    Meets::AsOne => vec![NodeIndex::new(other.target)],
                    Meets::InFolder | Meets::InCircle => targets[other.target].parents().map(NodeIndex::new).collect(),
                };
                let is_seen = first.iter().all(|first| !later.discovered.is_visited(first));
                for &first in first.iter().filter(|_| is_seen) {
                    if earlier.insert(first) {
                        graph.add_edge(first, this, Edge::Perhaps);
                    }
                }
                is_seen
            });
        }
    }
}

/// Adds, before each target, what tells whether others make its files, too: their steps may be one, and then go by what both
/// say. Where that needs the target itself, it is seen when it is seen.
fn joiners(graph: &mut DiGraph<TargetId, Edge>, targets: &mut [Target]) {
    let makers = Makers::new(targets);
    let mut all = makers.meeting_later();
    for (id, others) in all.iter_mut().filter(|(_, others)| !others.is_empty()) {
        let this = NodeIndex::new(*id);
        let mut later = Dfs::new(&*graph, this);
        while later.next(&*graph).is_some() {}
        let is_before = |list: TargetId| !later.discovered.is_visited(&NodeIndex::<u32>::new(list));
        let (before, late) = others.iter().partition(|&&other| targets[other].parents().all(is_before));
        (*others, targets[*id].joined_late_by) = (before, late);
        let mut earlier: HashSet<NodeIndex> = graph.neighbors_directed(this, petgraph::Incoming).collect();
        for list in others.iter().flat_map(|&other| targets[other].parents()).map(NodeIndex::new) {
            if earlier.insert(list) {
                graph.add_edge(list, this, Edge::Perhaps);
            }
        }
    }
    all.into_iter().for_each(|(id, others)| targets[id].joined_by = others);
}

/// Adds, before each target that goes on without what fails, or is only made after that, what tells whether it fails late, for
/// another step that makes its file or needs a folder there: what was made stays as it is. Where that needs the target itself,
/// it is seen when it is seen.
fn undoing(graph: &mut DiGraph<TargetId, Edge>, targets: &mut [Target], order: &[TargetId]) {
    let is_partial = |input: &Input| match input.kind {
        InputKind::Target { target, partial: true, .. } => Some(target),
        _ => None,
    };
    let mut all: Vec<(TargetId, Vec<TargetId>)> = Vec::new();
    for (id, target) in order.iter().map(|&id| (id, &targets[id])) {
        let after = target.after.iter().map(|after| after.target);
        let needed: Vec<TargetId> = target.inputs.iter().filter_map(is_partial).chain(after).collect();
        all.extend((!needed.is_empty()).then_some((id, needed)));
    }
    if all.is_empty() {
        return;
    }
    let makers = Makers::new(targets);
    let undone_by: Vec<Vec<TargetId>> = (0..targets.len()).map(|of| makers.undoing_later(of)).collect();
    // Most need nothing that may be undone, and what they need is not to be gone through for each of them.
    let mut behind = Dfs::empty(&*graph);
    behind.stack.extend((0..targets.len()).filter(|&of| !undone_by[of].is_empty()).map(NodeIndex::new));
    while behind.next(&*graph).is_some() {}
    let may_need = |of: &TargetId| behind.discovered.is_visited(&NodeIndex::<u32>::new(*of));
    all.retain(|(_, needed)| needed.iter().any(may_need));
    let mut found: Vec<(TargetId, Vec<(TargetId, TargetId)>)> = Vec::new();
    // Who waits for one of these waits for all that tells what may undo what this one comes after.
    let mut told = HashSet::new();
    for (id, mut open) in all {
        let (mut needed, mut undone) = (HashSet::new(), Vec::new());
        while let Some(of) = open.pop() {
            if !may_need(&of) || !needed.insert(of) {
                continue;
            }
            let goes_through = |edge: &Edge| match edge {
                Edge::Perhaps => false,
                Edge::After => !told.contains(&of),
                Edge::Input | Edge::Axis => true,
            };
            let needs = graph.edges_directed(NodeIndex::new(of), petgraph::Incoming);
            open.extend(needs.filter(|edge| goes_through(edge.weight())).map(|edge| edge.source().index()));
            let others = targets[of].inputs.iter().flat_map(|input| &input.others);
            open.extend(others.filter(|other| other.meets == Meets::AsOne).map(|other| other.target));
            undone.extend(undone_by[of].iter().map(|&other| (of, other)));
        }
        let (this, all) = (NodeIndex::new(id), undone.len());
        if all > 0 {
            let mut later = Dfs::new(&*graph, this);
            while later.next(&*graph).is_some() {}
            let is_before = |list: TargetId| !later.discovered.is_visited(&NodeIndex::<u32>::new(list));
            undone.retain(|&(_, other)| targets[other].parents().all(is_before));
        }
        if undone.len() == all {
            told.insert(id);
        }
        let mut earlier: HashSet<NodeIndex> = graph.neighbors_directed(this, petgraph::Incoming).collect();
        for list in undone.iter().flat_map(|&(_, other)| targets[other].parents()).map(NodeIndex::new) {
            if earlier.insert(list) {
                graph.add_edge(list, this, Edge::Perhaps);
            }
        }
        found.push((id, undone));
    }
    found.into_iter().for_each(|(id, undone)| targets[id].undone_before = undone);
}

/// Reports a circle for each knot of targets that wait for each other.
fn circles(
    graph: &DiGraph<TargetId, Edge>,
    places: &HashMap<(TargetId, TargetId), Span>,
    targets: &[Target],
    problems: &mut Problems,
) {
    // Tarjan's way calls itself for each target of a chain; this one needs no stack.
    for knot in kosaraju_scc(graph) {
        // Most targets are knots of their own, without a circle.
        if knot.len() == 1 && !graph.contains_edge(knot[0], knot[0]) {
            continue;
        }
        let start = knot.iter().map(|n| n.index()).min().unwrap_or(0);
        let Some(circle) = shortest_circle(graph, start) else { continue };
        // Read as "needs": each names the next.
        let names: Vec<&str> = circle.iter().map(|id| targets[*id].name.as_str()).collect();
        let mut pairs = circle.windows(2).map(|pair| {
            let place = places.get(&(pair[1], pair[0])).copied().unwrap_or(targets[pair[0]].span);
            (place, format!("`{}` needs `{}`", targets[pair[0]].name, targets[pair[1]].name))
        });
        let Some((span, label)) = pairs.next() else { continue };
        let problem = problems.at(span, format!("targets wait for each other: {}", names.join(" -> ")), label);
        for (span, label) in pairs {
            problem.also(span, label);
        }
    }
}

/// The shortest way from `start` over what it needs back to itself, both ends included.
fn shortest_circle(graph: &DiGraph<TargetId, Edge>, start: TargetId) -> Option<Vec<TargetId>> {
    // From what it was reached, for each target that was.
    let mut came: HashMap<TargetId, TargetId> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        let mut needs: Vec<TargetId> =
            graph.neighbors_directed(NodeIndex::new(at), petgraph::Incoming).map(NodeIndex::index).collect();
        needs.sort_unstable();
        for next in needs {
            if next == start {
                let back = std::iter::successors(Some(at), |at| came.get(at).copied());
                let mut way: Vec<TargetId> = std::iter::once(start).chain(back).collect();
                way.reverse();
                return Some(way);
            }
            came.entry(next).or_insert_with(|| {
                queue.push_back(next);
                at
            });
        }
    }
    None
}

/// Producers first; otherwise as in the file. What waits for a circle comes last.
fn order(graph: &DiGraph<TargetId, Edge>) -> Vec<TargetId> {
    let mut waits: Vec<usize> =
        graph.node_indices().map(|n| graph.edges_directed(n, petgraph::Incoming).count()).collect();
    let mut ready: BinaryHeap<Reverse<TargetId>> =
        waits.iter().enumerate().filter(|(_, w)| **w == 0).map(|(id, _)| Reverse(id)).collect();
    let mut order = Vec::with_capacity(waits.len());
    let mut placed = vec![false; waits.len()];
    while let Some(Reverse(id)) = ready.pop() {
        order.push(id);
        placed[id] = true;
        for edge in graph.edges(NodeIndex::new(id)) {
            let next = edge.target().index();
            waits[next] -= 1;
            if waits[next] == 0 {
                ready.push(Reverse(next));
            }
        }
    }
    order.extend((0..placed.len()).filter(|id| !placed[*id]));
    order
}

/// Gives the targets their inputs. A group among them stands for its own inputs, so that the engine never waits for
/// what has no steps.
fn expand_groups(pipeline: &mut Pipeline, mut wants: Vec<Wants>) {
    for id in pipeline.order.clone() {
        let own = std::mem::take(&mut wants[id]);
        let mut inputs = Vec::with_capacity(own.inputs.len());
        for input in own.inputs {
            match input.kind {
                InputKind::Target { target, partial, .. } if pipeline.targets[target].rule.is_none() => {
                    for member in &pipeline.targets[target].inputs {
                        let kind = match &member.kind {
                            InputKind::Target { target, on, partial: theirs } => {
                                // What is named by its path is that step, whoever reads it: a group has no values.
                                let on = match member.path {
                                    Some(_) => on.clone(),
                                    None => join(&pipeline.targets[id], &pipeline.targets[*target]),
                                };
                                InputKind::Target { target: *target, on, partial: partial || *theirs }
                            }
                            path => path.clone(),
                        };
                        let (path, others) = (member.path.clone(), member.others.clone());
                        let (name, group) = (input.name.clone(), Some(target));
                        inputs.push(Input { name, path, kind, others, group, span: input.span });
                    }
                }
                _ => inputs.push(input),
            }
        }
        let mut after = Vec::new();
        for (target, _) in own.after {
            match &pipeline.targets[target] {
                group @ Target { rule: None, .. } => {
                    after.extend(group.sure_members());
                    // That what it names by a path is there, the group itself sees.
                    if group.inputs.iter().any(|input| input.path.is_some() || matches!(input.kind, InputKind::Path(_)))
                    {
                        after.push(StepsOf { target, values: Vec::new(), path: None });
                    }
                }
                _ => after.push(StepsOf { target, values: Vec::new(), path: None }),
            }
        }
        (pipeline.targets[id].inputs, pipeline.targets[id].after) = (inputs, after);
    }
}

//! The end of what waits where nothing is ready and nothing runs.

use std::collections::HashMap;

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use super::Engine;
use crate::build::steps::StepId;
use crate::build::steps::waits::{GroupId, Wait};

/// What a step waits for, or rows that are still to come do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Node {
    Step(StepId),
    Group(GroupId),
}

/// So many steps of a circle are named.
const NAMED: usize = 5;

impl Engine<'_> {
    /// Fails the steps that wait for each other, so that what waits for them is blocked, and everything else goes on; whether
    /// there are such. A path is seen to lie in a circle before it is waited for: this is the last resort.
    pub(super) fn fail_circles(&mut self) -> bool {
        let open: Vec<StepId> = self.unfinished().collect();
        if open.is_empty() {
            return false;
        }
        let withheld = self.withheld.iter().flat_map(|(&group, steps)| steps.iter().map(move |&step| (step, group)));
        let mut withheld: Vec<(StepId, GroupId)> = withheld.collect();
        withheld.sort_unstable();
        let (mut graph, mut places): (DiGraph<Node, ()>, HashMap<Node, NodeIndex>) = Default::default();
        let mut to_do: Vec<Node> = open.iter().copied().map(Node::Step).collect();
        while let Some(node) = to_do.pop() {
            let from = *places.entry(node).or_insert_with(|| graph.add_node(node));
            for next in self.waited_for_by(node, &withheld) {
                let to = *places.entry(next).or_insert_with(|| {
                    to_do.push(next);
                    graph.add_node(next)
                });
                graph.update_edge(from, to, ());
            }
        }
        let mut circles: Vec<Vec<StepId>> = Vec::new();
        for knot in kosaraju_scc(&graph) {
            let steps = knot.iter().filter_map(|&node| match graph[node] {
                Node::Step(step) => Some(step),
                Node::Group(_) => None,
            });
            let mut steps: Vec<StepId> = steps.collect();
            if knot.len() > 1 || graph.contains_edge(knot[0], knot[0]) {
                steps.sort_by(|&a, &b| self.by_name(a).cmp(&self.by_name(b)));
                circles.push(steps);
            }
        }
        circles.retain(|steps| !steps.is_empty());
        for circle in &circles {
            let names: Vec<String> = circle.iter().take(NAMED).map(|&step| self.steps.label(step)).collect();
            let more = circle.len().checked_sub(NAMED).filter(|more| *more > 0);
            let more = more.map(|more| format!(" and {more} more")).unwrap_or_default();
            let message = match circle.len() {
                1 => "it waits for itself".to_owned(),
                _ => format!("these wait for each other: {}{more}", names.join(", ")),
            };
            // The end of one wakes the next.
            self.withdrawn.extend(circle);
            circle.iter().for_each(|&id| self.fail(id, message.clone(), None));
        }
        !circles.is_empty()
    }

    /// Steps that have come to no end.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = StepId> {
        let ids = 0..StepId::try_from(self.steps.len()).unwrap_or(StepId::MAX);
        ids.filter(|&id| !self.steps.step(id).status.is_done())
    }

    fn by_name(&self, id: StepId) -> (u32, Vec<&str>) {
        (self.steps.step(id).target, self.steps.values_of(id))
    }

    /// What has to come to an end first. `withheld` has the groups by which steps were put aside.
    fn waited_for_by(&self, node: Node, withheld: &[(StepId, GroupId)]) -> Vec<Node> {
        let is_open = |step: &StepId| !self.steps.step(*step).status.is_done();
        match node {
            Node::Step(id) => {
                let waits = self.steps.slots_of(id).iter().filter_map(|slot| match slot.wait {
                    Wait::Step(step) => Some(step).filter(is_open).map(Node::Step),
                    Wait::Group(group) => Some(Node::Group(group)),
                    Wait::File(_) | Wait::None => None,
                });
                let from = withheld.partition_point(|&(step, _)| step < id);
                let aside = withheld[from..].iter().take_while(|&&(step, _)| step == id);
                let all = waits.chain(aside.map(|&(_, group)| Node::Group(group)));
                all.filter(|node| !matches!(node, Node::Group(group) if self.steps.is_complete(*group))).collect()
            }
            Node::Group(id) => {
                let group = &self.steps.groups[id as usize];
                let steps = group.rows.iter().map(|&row| self.steps.rows[group.target].steps[row as usize]);
                let sources = if group.closed { Vec::new() } else { self.sources(id) };
                let sources = sources.into_iter().filter(|&from| !self.steps.is_complete(from));
                steps.filter(is_open).map(Node::Step).chain(sources.map(Node::Group)).collect()
            }
        }
    }
}

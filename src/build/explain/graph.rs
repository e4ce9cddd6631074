//! The graph as something to draw: of targets here, of steps in [`super::neighbourhood`].

use std::collections::{HashMap, HashSet};

use petgraph::Direction;
use petgraph::visit::EdgeRef;

use crate::pipeline::model::{Edge as TargetEdge, Pipeline, TargetId};
use crate::pipeline::pattern;

use crate::build::request::Asked;
use crate::build::session::{Order, Session};

#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Producers first.
    pub nodes: Vec<Node>,
    /// By the node that needs, then by the one that is needed.
    pub edges: Vec<Edge>,
}

#[derive(Clone, Debug)]
pub struct Node {
    pub name: String,
    /// `group` for a target that has none; `None` for a file that no step makes.
    pub rule: Option<String>,
    pub outputs: Vec<String>,
    /// It was asked for, and is not there only because it is near.
    pub asked: bool,
}

/// Positions among the nodes: `to` needs `from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    pub from: usize,
    pub to: usize,
    /// `input`, `axis` or `after`.
    pub kind: &'static str,
}

/// How far a drawing goes from what was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// To what that needs.
    pub needs: bool,
    /// To what needs that.
    pub needed_by: bool,
    /// At most so many steps away; `None`: all the way.
    pub depth: Option<usize>,
}

impl Graph {
    /// What one node needs.
    pub fn into_node(&self, node: usize) -> &[Edge] {
        let first = self.edges.partition_point(|e| e.to < node);
        let end = self.edges.partition_point(|e| e.to <= node);
        &self.edges[first..end]
    }

    pub(crate) fn sorted(mut self) -> Self {
        self.edges.sort_by_key(|e| (e.to, e.from, e.kind));
        self.edges.dedup();
        self
    }
}

/// The targets that were asked for, with as much around them as the reach says.
pub fn targets(session: &Session, order: &Order, reach: Reach) -> Graph {
    let pipeline = &session.pipeline;
    let asked: HashSet<TargetId> = order.asked.iter().flat_map(Asked::targets).collect();
    let mut found = asked.clone();
    if reach.needs {
        found.extend(walk(pipeline, &asked, Direction::Incoming, reach.depth));
    }
    if reach.needed_by {
        found.extend(walk(pipeline, &asked, Direction::Outgoing, reach.depth));
    }
    let mut graph = Graph::default();
    let mut node_of = HashMap::new();
    for &target in pipeline.order.iter().filter(|t| found.contains(t)) {
        let this = &pipeline.targets[target];
        node_of.insert(target, graph.nodes.len());
        graph.nodes.push(Node {
            name: this.name.clone(),
            rule: Some(this.rule.clone().unwrap_or_else(|| "group".to_owned())),
            outputs: this.outputs.iter().map(|o| pattern::template(&o.pattern, &this.bindings)).collect(),
            asked: asked.contains(&target),
        });
    }
    for edge in pipeline.graph.raw_edges() {
        let end = |i: petgraph::graph::NodeIndex| node_of.get(&pipeline.graph[i]).copied();
        if let (Some(from), Some(to)) = (end(edge.source()), end(edge.target())) {
            let kind = match edge.weight {
                TargetEdge::Input => "input",
                TargetEdge::Axis => "axis",
                TargetEdge::After => "after",
                TargetEdge::Perhaps => continue,
            };
            graph.edges.push(Edge { from, to, kind });
        }
    }
    graph.sorted()
}

/// All targets that are met from these in one direction, at most `depth` edges away.
fn walk(
    pipeline: &Pipeline,
    start: &HashSet<TargetId>,
    direction: Direction,
    depth: Option<usize>,
) -> HashSet<TargetId> {
    let mut met = start.clone();
    let mut ring: Vec<TargetId> = start.iter().copied().collect();
    let mut left = depth.unwrap_or(usize::MAX);
    while !ring.is_empty() && left > 0 {
        let near = |target: TargetId| {
            let edges = pipeline.graph.edges_directed(petgraph::graph::NodeIndex::new(target), direction);
            let near = edges.filter(|edge| *edge.weight() != TargetEdge::Perhaps).map(|edge| match direction {
                Direction::Outgoing => edge.target(),
                Direction::Incoming => edge.source(),
            });
            near.map(|node| pipeline.graph[node]).collect::<Vec<_>>()
        };
        ring = ring.into_iter().flat_map(near).filter(|&target| met.insert(target)).collect();
        left -= 1;
    }
    met
}

//! The graph as something to draw: of targets, or of steps.

use std::collections::HashMap;

use crate::pipeline::model::Edge as TargetEdge;
use crate::pipeline::pattern;

use super::events::Silence;
use super::request;
use super::session::{BuildError, Order, Session, looked};
use super::steps::Wait;

#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Producers first.
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
}

#[derive(Clone, Debug)]
pub struct Node {
    pub name: String,
    /// `group` where it has none.
    pub rule: String,
    pub outputs: Vec<String>,
}

/// Positions among the nodes: `to` needs `from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    pub from: usize,
    pub to: usize,
    /// `input`, `axis` or `after`.
    pub kind: &'static str,
}

/// The targets that were asked for, with all that they need.
pub fn targets(session: &Session, order: &Order) -> Result<Graph, BuildError> {
    let pipeline = &session.pipeline;
    let wanted = request::wanted(pipeline, &order.asked);
    let mut graph = Graph::default();
    let mut node_of = HashMap::new();
    for &target in pipeline.order.iter().filter(|&&t| wanted[t].is_wanted()) {
        let this = &pipeline.targets[target];
        node_of.insert(target, graph.nodes.len());
        graph.nodes.push(Node {
            name: this.name.clone(),
            rule: this.rule.clone().unwrap_or_else(|| "group".to_owned()),
            outputs: this.outputs.iter().map(|o| pattern::template(&o.pattern, &this.bindings)).collect(),
        });
    }
    for edge in pipeline.graph.raw_edges() {
        let end = |i: petgraph::graph::NodeIndex| node_of.get(&pipeline.graph[i]).copied();
        if let (Some(from), Some(to)) = (end(edge.source()), end(edge.target())) {
            let kind = match edge.weight {
                TargetEdge::Input => "input",
                TargetEdge::Axis => "axis",
                TargetEdge::After => "after",
            };
            graph.edges.push(Edge { from, to, kind });
        }
    }
    graph.edges.sort_by_key(|e| (e.to, e.from, e.kind));
    graph.edges.dedup();
    Ok(graph)
}

/// The steps that were asked for, with all that they need, as far as they can be told now.
pub fn steps(session: &Session, order: &Order) -> Result<Graph, BuildError> {
    let (engine, _) = looked(session, order, &mut Silence)?;
    let steps = &engine.steps;
    let mut graph = Graph::default();
    let mut node_of = HashMap::new();
    for &target in &session.pipeline.order {
        for &id in &steps.rows[target].steps {
            node_of.entry(id).or_insert_with(|| {
                let this = steps.target(id);
                graph.nodes.push(Node {
                    name: steps.label(id),
                    rule: this.rule.clone().unwrap_or_else(|| "group".to_owned()),
                    outputs: engine.paths(id).map(str::to_owned).collect(),
                });
                graph.nodes.len() - 1
            });
        }
    }
    for (&id, &to) in &node_of {
        let inputs = steps.target(id).inputs.len();
        for (position, slot) in steps.slots_of(id).iter().enumerate() {
            let kind = if position < inputs { "input" } else { "after" };
            let from = match slot.wait {
                Wait::Step(step) => vec![step],
                Wait::Group(group) => steps.ordered(group),
                Wait::File(_) => Vec::new(),
            };
            graph.edges.extend(from.iter().filter_map(|s| node_of.get(s)).map(|&from| Edge { from, to, kind }));
        }
    }
    for (target, rows) in steps.rows.iter().enumerate() {
        let Some(parent) = super::expand::parent_of(&session.pipeline.targets[target]) else { continue };
        for (&id, &row) in rows.steps.iter().zip(&rows.parents) {
            let from = steps.rows[parent].steps[row as usize];
            graph.edges.push(Edge { from: node_of[&from], to: node_of[&id], kind: "axis" });
        }
    }
    graph.edges.sort_by_key(|e| (e.to, e.from, e.kind));
    graph.edges.dedup();
    Ok(graph)
}

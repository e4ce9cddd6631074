//! `layermill graph`

use std::fmt::Write;

use serde::Serialize;

use crate::build::graph::{Graph, steps, targets};

use super::error::Error;
use super::{Global, open, print, print_json, svg};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Targets, with all that they need [default: all]
    #[arg(value_name = "TARGET")]
    wanted: Vec<String>,
    /// Draw steps instead of targets
    #[arg(long)]
    steps: bool,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Text,
    /// For Graphviz
    Dot,
    Mermaid,
    Svg,
    Json,
}

#[derive(Serialize)]
struct Json<'a> {
    nodes: Vec<JsonNode<'a>>,
    edges: Vec<JsonEdge<'a>>,
}

#[derive(Serialize)]
struct JsonNode<'a> {
    name: &'a str,
    rule: &'a str,
    outputs: &'a [String],
}

#[derive(Serialize)]
struct JsonEdge<'a> {
    from: &'a str,
    to: &'a str,
    kind: &'a str,
}

pub fn run(global: &Global, arguments: &Arguments) -> Result<u8, Error> {
    let session = open::session(global)?;
    let mut order = open::order(global, &session, &arguments.wanted)?;
    if arguments.wanted.is_empty() {
        order.asked = open::everything(&session);
    }
    let graph = if arguments.steps { steps(&session, &order) } else { targets(&session, &order) };
    let graph = graph.map_err(|e| Error::build(e, &session.pipeline))?;
    match arguments.format {
        Format::Text => print(&text(&graph)),
        Format::Dot => print(&dot(&graph)),
        Format::Mermaid => print(&mermaid(&graph)),
        Format::Svg => print(&svg::draw(&graph)),
        Format::Json => print_json(&json(&graph)),
    }
}

fn json(graph: &Graph) -> Json<'_> {
    let name = |node: usize| graph.nodes[node].name.as_str();
    Json {
        nodes: graph.nodes.iter().map(|n| JsonNode { name: &n.name, rule: &n.rule, outputs: &n.outputs }).collect(),
        edges: graph.edges.iter().map(|e| JsonEdge { from: name(e.from), to: name(e.to), kind: e.kind }).collect(),
    }
}

/// Producers first, each with what it is made from.
fn text(graph: &Graph) -> String {
    let mut text = String::new();
    for (position, node) in graph.nodes.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} ({}) -> {}", node.name, node.rule, node.outputs.join(", "));
        for edge in graph.edges.iter().filter(|e| e.to == position) {
            let _ = writeln!(text, "  {} {}", edge.kind, graph.nodes[edge.from].name);
        }
    }
    text
}

fn dot(graph: &Graph) -> String {
    let quoted = |s: &str| format!("\"{}\"", s.replace('\\', "\\\\").replace('"', "\\\""));
    let mut text = "digraph layermill {\n  rankdir=LR;\n  node [shape=box];\n".to_owned();
    for node in &graph.nodes {
        let _ = writeln!(text, "  {} [tooltip={}];", quoted(&node.name), quoted(&node.rule));
    }
    for edge in &graph.edges {
        let style = if edge.kind == "after" { " [style=dashed]" } else { "" };
        let (from, to) = (quoted(&graph.nodes[edge.from].name), quoted(&graph.nodes[edge.to].name));
        let _ = writeln!(text, "  {from} -> {to}{style};");
    }
    text + "}\n"
}

fn mermaid(graph: &Graph) -> String {
    // Mermaid knows entities where quotes and brackets would end a label.
    let label = |s: &str| s.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;");
    let mut text = "flowchart LR\n".to_owned();
    for (position, node) in graph.nodes.iter().enumerate() {
        let _ = writeln!(text, "  n{position}[\"{}\"]", label(&node.name));
    }
    for edge in &graph.edges {
        let arrow = if edge.kind == "after" { "-.->" } else { "-->" };
        let _ = writeln!(text, "  n{} {arrow} n{}", edge.from, edge.to);
    }
    text
}

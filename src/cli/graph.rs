//! `layermill graph`

use std::fmt::Write;

use serde::Serialize;

use crate::build::Session;
use crate::build::explain::graph::{Graph, Node, Reach, targets};
use crate::build::explain::neighbourhood::{Neighbourhood, steps};
use crate::build::request::Asked;

use super::error::Error;
use super::{Global, open, print, print_json, svg};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Targets, steps, or files that are made or read [default: all]
    #[arg(value_name = "TARGET")]
    wanted: Vec<String>,
    /// Draw steps instead of targets
    #[arg(long)]
    steps: bool,
    /// With what they need [default, unless --needed-by or --under is given]
    #[arg(long)]
    needs: bool,
    /// With what needs them
    #[arg(long)]
    needed_by: bool,
    /// At most so many steps away
    #[arg(long, value_name = "N")]
    depth: Option<usize>,
    /// The steps that write under this folder
    #[arg(long, value_name = "FOLDER")]
    under: Option<String>,
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
    /// `step` or `target`, or `file` for one that no step makes.
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    outputs: &'a [String],
    asked: bool,
}

#[derive(Serialize)]
struct JsonEdge<'a> {
    from: &'a str,
    to: &'a str,
    kind: &'a str,
}

pub fn run(global: &Global, arguments: &Arguments) -> Result<u8, Error> {
    let session = open::session(global)?;
    let pipeline = &session.pipeline;
    let (asked, files) = asked(&session, arguments)?;
    let alone = !arguments.needs && !arguments.needed_by;
    let reach = Reach {
        needs: arguments.needs || alone && arguments.under.is_none(),
        needed_by: arguments.needed_by,
        depth: arguments.depth,
    };
    let only_targets = files.is_empty() && asked.iter().all(|a| matches!(a, Asked::Target(_)));
    let order = crate::build::Order { asked, ..open::order(global, &session, &[])? };
    let of_targets = only_targets && !arguments.steps && arguments.under.is_none();
    let graph = if of_targets {
        targets(&session, &order, reach)
    } else {
        let under = arguments.under.as_deref().map(|folder| open::below(pipeline, folder));
        let around = Neighbourhood { reach, under, files };
        let graph = steps(&session, &order, &around).map_err(|e| Error::build(e, pipeline))?;
        if let Some(folder) = arguments.under.as_deref().filter(|_| graph.nodes.is_empty()) {
            return Err(Error::wrong(format!("no step writes under {folder}"))
                .help(Some("`layermill graph --steps` names all steps and what they write".to_owned())));
        }
        graph
    };
    match arguments.format {
        Format::Text => print(&text(&graph)),
        Format::Dot => print(&dot(&graph)),
        Format::Mermaid => print(&mermaid(&graph)),
        Format::Svg => print(&svg::draw(&graph)),
        Format::Json => print_json(&json(&graph, of_targets)),
    }
}

/// What is named; a path that no step can make may be a file that steps read.
fn asked(session: &Session, arguments: &Arguments) -> Result<(Vec<Asked>, Vec<String>), Error> {
    let pipeline = &session.pipeline;
    if arguments.wanted.is_empty() && arguments.under.is_none() {
        return Ok((crate::build::request::everything(pipeline), Vec::new()));
    }
    let (mut asked, mut files) = (Vec::new(), Vec::new());
    for name in &arguments.wanted {
        match open::steps(session, name)? {
            Ok(named) => asked.extend(named),
            Err(_) if std::path::Path::new(name).exists() || pipeline.root.join(name).exists() => {
                files.push(open::below(pipeline, name));
            }
            Err(error) => return Err(open::unknown(error)),
        }
    }
    Ok((asked, files))
}

fn json(graph: &Graph, of_targets: bool) -> Json<'_> {
    let name = |node: usize| graph.nodes[node].name.as_str();
    let node = |n: &'_ Node| -> &'static str {
        match n.rule {
            None => "file",
            Some(_) if of_targets => "target",
            Some(_) => "step",
        }
    };
    let nodes = graph.nodes.iter().map(|n| JsonNode {
        name: &n.name,
        kind: node(n),
        rule: n.rule.as_deref(),
        outputs: &n.outputs,
        asked: n.asked,
    });
    Json {
        nodes: nodes.collect(),
        edges: graph.edges.iter().map(|e| JsonEdge { from: name(e.from), to: name(e.to), kind: e.kind }).collect(),
    }
}

/// Producers first, each with what it is made from.
fn text(graph: &Graph) -> String {
    let mut text = String::new();
    for (position, node) in graph.nodes.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = match &node.rule {
            Some(rule) if node.outputs.is_empty() => writeln!(text, "{} ({rule})", node.name),
            Some(rule) => writeln!(text, "{} ({rule}) -> {}", node.name, node.outputs.join(", ")),
            None => writeln!(text, "{} (file)", node.name),
        };
        for edge in graph.into_node(position) {
            let _ = writeln!(text, "  {} {}", edge.kind, graph.nodes[edge.from].name);
        }
    }
    text
}

fn dot(graph: &Graph) -> String {
    let quoted = |s: &str| format!("\"{}\"", s.replace('\\', "\\\\").replace('"', "\\\""));
    let mut text = "digraph layermill {\n  rankdir=LR;\n  node [shape=box];\n".to_owned();
    for node in &graph.nodes {
        let shape = if node.rule.is_some() { "" } else { " shape=note" };
        let bold = if node.asked { " style=bold" } else { "" };
        let rule = node.rule.as_deref().unwrap_or("file");
        let _ = writeln!(text, "  {} [tooltip={}{shape}{bold}];", quoted(&node.name), quoted(rule));
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
        let (open, close) = if node.rule.is_some() { ("[", "]") } else { ("([", "])") };
        let _ = writeln!(text, "  n{position}{open}\"{}\"{close}", label(&node.name));
    }
    for edge in &graph.edges {
        let arrow = if edge.kind == "after" { "-.->" } else { "-->" };
        let _ = writeln!(text, "  n{} {arrow} n{}", edge.from, edge.to);
    }
    text
}

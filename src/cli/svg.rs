//! A graph as SVG: columns by how far a node is from what needs nothing.

use std::fmt::Write;

use crate::build::explain::graph::Graph;

/// Pixels.
const BOX_HEIGHT: usize = 30;
const ROW: usize = 48;
const GAP: usize = 70;
const MARGIN: usize = 20;
/// About what a character of the font takes.
const CHARACTER: usize = 8;

pub fn draw(graph: &Graph) -> String {
    let columns = columns(graph);
    let width_of = |column: &Vec<usize>| {
        column.iter().map(|&n| graph.nodes[n].name.chars().count() * CHARACTER + 24).max().unwrap_or(0)
    };
    let mut place = vec![(0, 0, 0); graph.nodes.len()];
    let mut x = MARGIN;
    for column in &columns {
        let width = width_of(column);
        for (row, &node) in column.iter().enumerate() {
            place[node] = (x, MARGIN + row * ROW, width);
        }
        x += width + GAP;
    }
    let height = 2 * MARGIN + columns.iter().map(Vec::len).max().unwrap_or(0) * ROW;
    let width = x.saturating_sub(GAP) + MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"monospace\" font-size=\"13\">\n<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" \
         markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#667\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for edge in &graph.edges {
        let ((fx, fy, fw), (tx, ty, _)) = (place[edge.from], place[edge.to]);
        let (x1, y1, x2, y2) = (fx + fw, fy + BOX_HEIGHT / 2, tx, ty + BOX_HEIGHT / 2);
        let dash = if edge.kind == "after" { " stroke-dasharray=\"4 3\"" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(
            svg,
            "<path d=\"M{x1} {y1}C{} {y1} {} {y2} {x2} {y2}\" fill=\"none\" stroke=\"#667\"{dash} marker-end=\"url(#tip)\"/>",
            x1 + GAP / 2,
            x2.saturating_sub(GAP / 2)
        );
    }
    for (node, &(x, y, width)) in graph.nodes.iter().zip(&place) {
        let _ = writeln!(
            svg,
            "<g><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{BOX_HEIGHT}\" rx=\"{}\" fill=\"{}\" \
             stroke=\"#4a6fa5\" stroke-width=\"{}\"/><text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text></g>",
            escaped(&node.rule.as_ref().map_or("a file".to_owned(), |r| format!("{r} → {}", node.outputs.join(", ")))),
            if node.rule.is_some() { 5 } else { 0 },
            if node.rule.is_some() { "#eef3fb" } else { "#fff" },
            if node.asked { 2 } else { 1 },
            x + width / 2,
            y + BOX_HEIGHT / 2 + 5,
            escaped(&node.name)
        );
    }
    svg + "</svg>\n"
}

/// Nodes stand in the graph producers first, so one pass finds how long the longest way to each is.
fn columns(graph: &Graph) -> Vec<Vec<usize>> {
    let mut depth = vec![0; graph.nodes.len()];
    for node in 0..graph.nodes.len() {
        depth[node] = graph.into_node(node).iter().map(|e| depth[e.from] + 1).max().unwrap_or(0);
    }
    let mut columns = vec![Vec::new(); depth.iter().max().map_or(0, |d| d + 1)];
    for (node, d) in depth.into_iter().enumerate() {
        columns[d].push(node);
    }
    columns
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

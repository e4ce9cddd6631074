//! Files as people write them, right and wrong.

use super::testing::*;
use super::*;

#[test]
fn the_example_of_the_design() {
    let p = good(EXAMPLE);
    let names: Vec<&str> = p.order.iter().map(|id| p.targets[*id].name.as_str()).collect();
    assert_eq!(names, ["get_tag", "get_layer_latest", "get_layer_all", "stat_layer", "biggest"]);
    assert_eq!(p.default, [3]);
    let layers = target(&p, "get_layer_latest");
    let bindings: Vec<_> = layers.bindings.iter().map(|b| (b.name.as_str(), b.parent)).collect();
    assert_eq!(bindings, [("repo", Some(0)), ("tag", None)]);
    assert_eq!(
        pattern::fill(&layers.outputs[0].pattern, &["library/nginx", "1.20"]),
        "result/layers/library/nginx/1.20.json"
    );
    assert!(matches!(&layers.axes[0].kind, AxisKind::From { target: 0, read: Read::Tags(Select::Latest) }));
    assert_eq!(layers.keys.get("source").and_then(Node::as_public).as_deref(), Some("sample"));
    assert!(
        matches!(&target(&p, "stat_layer").inputs[0].kind, InputKind::Target { target: 1, on, partial: false } if on.is_empty())
    );
    assert!(matches!(&target(&p, "get_tag").axes[0].kind, AxisKind::Lines(path) if path == "etc/image.lst"));
    assert_eq!(p.graph.edge_count(), 4);
}

/// A file with a mistake in each line that can have one.
const BAD: &str = r#"version: 1
default: [stat_layers]
vars:
  images: etc/image.lst
  again: ${images}/${imags}
sources:
  sample: {kind: oci-layout, path: etc/sample, repos: x}
  secret: {kind: registri, url: https://me:hunter2@registry.example.com}
targets:
  get_tag:
    rule: tags
    source: sampel
    foreach: {repo: {lines: "${images}"}}
    output: result/tags/{rpo}.json
    fresh: exists
    fresh: 24h
  get_layer:
    rule: layer
    foreach: {tag: {from: get_tags, select: latest}}
    output: result/layers/{tag}.json
  stat_layer:
    rule: stat
    inputs: [get_layer, nothing, {target: get_tag, partial: maybe}]
    output: ../stat.csv
    retries: many
  one:
    rule: command
    inputs: [two]
    run: x
    output: result/one
  two:
    rule: command
    inputs: [result/one]
    run: x
    output: result/two
  group:
    output: result/two
"#;

fn render(theme: miette::GraphicalTheme, text: &str, problems: &problem::Problems) -> String {
    let report = problems.report(std::path::Path::new("pipeline.yaml"), text);
    let mut out = String::new();
    miette::GraphicalReportHandler::new_themed(theme).with_width(100).render_report(&mut out, &report).unwrap();
    out
}

/// Compares with a file beside the sources; `GOLDEN=write` writes it.
fn golden(name: &str, text: &str) {
    let path = format!("{}/src/pipeline/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("GOLDEN").is_some_and(|v| v == "write") {
        std::fs::create_dir_all(std::path::Path::new(&path).parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "differs from {path}; GOLDEN=write takes it over");
}

#[test]
fn every_mistake_is_shown_at_its_place() {
    let loaded = check(BAD);
    let plain =
        miette::GraphicalTheme { characters: miette::ThemeCharacters::ascii(), styles: miette::ThemeStyles::none() };
    golden("mistakes.txt", &render(plain, BAD, &loaded.problems));
    let unicode =
        miette::GraphicalTheme { characters: miette::ThemeCharacters::unicode(), styles: miette::ThemeStyles::none() };
    golden("mistakes-unicode.txt", &render(unicode, BAD, &loaded.problems));
}

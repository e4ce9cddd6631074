//! What the tests of this room share: a vocabulary like the real one, and files from text.

use std::path::Path;

use super::check::{Loaded, Options, load_text};
use super::model::{Pipeline, Target};
use super::shape::{Key, Kind, Shape, Vocabulary};

const fn key(name: &'static str, shape: Shape) -> Key {
    Key { name, shape, required: false, doc: "For tests." }
}

const fn needed(name: &'static str, shape: Shape) -> Key {
    Key { name, shape, required: true, doc: "For tests." }
}

const fn kind(name: &'static str, keys: &'static [Key]) -> Kind {
    Kind { name, doc: "For tests.", keys }
}

const TEXTS: Shape = Shape::List(&Shape::Text);

pub const VOCABULARY: Vocabulary = Vocabulary {
    rules: &[
        kind(
            "tags",
            &[needed("source", Shape::Source), key("repo", Shape::Text), key("only", TEXTS), key("omit", TEXTS)],
        ),
        kind(
            "layers",
            &[
                needed("source", Shape::Source),
                key("repo", Shape::Text),
                key("tag", Shape::Text),
                key("platform", Shape::Text),
                key("ids", Shape::Word(&["content", "docker"])),
                key("sizes", Shape::Word(&["compressed", "uncompressed"])),
            ],
        ),
        kind("platforms", &[needed("source", Shape::Source), key("repo", Shape::Text), key("tag", Shape::Text)]),
        kind(
            "repositories",
            &[
                needed("source", Shape::Source),
                key("namespace", Shape::Text),
                key("search", Shape::Text),
                key("limit", Shape::Int(1, 10_000)),
            ],
        ),
        kind("stat", &[key("columns", TEXTS)]),
        kind("command", &[needed("run", Shape::Any(&[Shape::Text, TEXTS]))]),
    ],
    sources: &[
        kind(
            "registry",
            &[
                needed("url", Shape::Text),
                key("concurrency", Shape::Int(1, 1000)),
                key("timeout", Shape::Duration),
                key("insecure", Shape::Bool),
            ],
        ),
        kind("dockerhub", &[]),
        kind("oci-layout", &[needed("path", Shape::Text), key("repo", Shape::Text)]),
    ],
};

/// Checks a text under no environment but `HOME=/home/me`.
pub fn check(text: &str) -> Loaded {
    check_with(text, &Options::default())
}

pub fn check_with(text: &str, options: &Options) -> Loaded {
    let env = |name: &str| (name == "HOME").then(|| "/home/me".to_owned());
    load_text(text, Path::new("pipeline.yaml"), "/pipeline".into(), options, &VOCABULARY, &env)
}

/// A pipeline without problems.
pub fn good(text: &str) -> Pipeline {
    let loaded = check(text);
    assert!(loaded.problems.is_empty(), "{:#?}", loaded.problems);
    loaded.pipeline.expect("has no problems")
}

/// The problems of a text, as `message @ marked text` each, with the other marks behind.
pub fn problems(text: &str) -> Vec<String> {
    problems_with(text, &Options::default())
}

pub fn problems_with(text: &str, options: &Options) -> Vec<String> {
    let cut = |span: super::problem::Span| &text[span.start..span.start + span.len];
    let show = |p: &super::problem::Problem| {
        let mut line = p.message.clone();
        if let Some(span) = p.span {
            line += &format!(" @ {}", cut(span));
        }
        for (span, _) in &p.also {
            line += &format!(" & {}", cut(*span));
        }
        if let Some(help) = &p.help {
            line += &format!(" ? {help}");
        }
        line
    };
    check_with(text, options).problems.0.iter().map(show).collect()
}

pub fn target<'a>(pipeline: &'a Pipeline, name: &str) -> &'a Target {
    pipeline.targets.iter().find(|t| t.name == name).expect("a target of the test")
}

/// The design's example, but for what the test vocabulary does not have.
pub const EXAMPLE: &str = r#"version: 1
default: [stat_layer]

vars:
  images: etc/image.lst
  source: sample

sources:
  sample: {kind: oci-layout, path: etc/sample}
  hub:    {kind: registry, url: https://registry-1.docker.io, concurrency: 32}

profiles:
  hub: {vars: {source: hub, images: etc/image_full.lst}}

targets:
  get_tag:
    rule: tags
    source: ${source}
    foreach: {repo: {lines: "${images}"}}
    output: result/tags/{repo}.json
    fresh: exists

  get_layer_latest:
    rule: layers
    source: ${source}
    foreach: {tag: {from: get_tag, select: latest}}
    output: result/layers/{repo}/{tag}.json

  get_layer_all:
    rule: layers
    source: ${source}
    foreach: {tag: {from: get_tag, select: all}}
    output: result/layers/{repo}/{tag}.json

  stat_layer:
    rule: stat
    inputs: [get_layer_latest]
    output: result/stat/stat_layer.csv

  biggest:
    rule: command
    inputs: [stat_layer]
    run: "sort -t, -k4,4nr {in} | head -20 > {out}"
    output: result/stat/biggest.csv
"#;

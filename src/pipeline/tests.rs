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
    assert!(matches!(&layers.axes[0].kind, AxisKind::From { target: 0, read: Read::Tags(Select::Latest), output: 0 }));
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

/// A file with these targets, sources `s`, pools `p` of 4.
fn targets(text: &str) -> String {
    format!("version: 1\nsources: {{s: {{kind: oci-layout, path: p}}}}\npools: {{p: 4}}\ntargets:\n{text}")
}

fn wrong(text: &str) -> Vec<String> {
    problems(&targets(text))
}

fn first(text: &str) -> String {
    wrong(text).first().cloned().unwrap_or_default()
}

const TAGS: &str = "  tags: {rule: tags, source: s, foreach: {repo: [a, b]}, output: 't/{repo}.json'}\n";

#[test]
fn the_top_of_the_file() {
    assert_eq!(problems("version: 2\ntargets: {t: {inputs: [./f]}}")[0], "expected `1`, found `2` @ 2");
    assert_eq!(problems("vars: {}")[0], "missing key `version` @ vars ? The version of this format: 1.");
    assert_eq!(problems("vars: {}")[1], "missing key `targets` @ vars ? What can be built, by name.");
    assert_eq!(problems("version: 1\ntargets: {}"), ["the pipeline has no targets @ targets"]);
    assert_eq!(problems("version: 1\ntargets: [a]"), ["expected a mapping, found a list @ [a]"]);
    assert_eq!(problems("version: 1\ntargets:"), ["expected a mapping, found nothing @ targets"]);
    assert_eq!(problems("version: 1\ntargts: {}\n")[1], "unknown key `targts` @ targts ? did you mean `targets`?");
    let all = problems(
        "version: 1\nsources: {a: x, b c: {kind: registry}, c: {}, d: {kind: [x]}}\ntargets: {t: {inputs: [./f]}}",
    );
    assert_eq!(all.len(), 5, "{all:#?}");
}

#[test]
fn settings_of_a_target() {
    let p = good(&targets(
        "  t: {rule: command, run: x, output: o, fresh: 24h, missing: error, retries: 3, timeout: 1h30m, pool: {p: 2}, env: {A: 1.20}, cache: false, description: d}\n  u: {rule: command, run: x, output: q, fresh: digest, pool: p}\n",
    ));
    let t = &p.targets[0];
    assert_eq!(t.fresh, Freshness::Within(std::time::Duration::from_secs(86_400)));
    assert!(t.missing_is_error && !t.cache);
    assert_eq!((t.retries, t.timeout), (Some(3), Some(std::time::Duration::from_secs(5_400))));
    assert_eq!((t.pool, p.targets[1].pool), (Some((0, 2)), Some((0, 1))));
    assert_eq!((t.env[0].0.as_str(), t.env[0].1.public().as_str()), ("A", "1.20"));
    assert_eq!(p.targets[1].fresh, Freshness::Digest);
    assert_eq!(t.keys.as_map().unwrap().len(), 1);

    let t = |keys: &str| first(&format!("  t: {{rule: command, run: x, output: o, {keys}}}\n"));
    assert_eq!(
        t("fresh: digets"),
        "expected `exists`, `digest` or `always` or a duration such as `90s` or `24h`, found `digets` @ digets ? did you mean `digest`?"
    );
    assert_eq!(t("cache: 'true'"), "expected `true` or `false`, found `true` @ 'true'");
    assert_eq!(t("cache: yes"), "expected `true` or `false`, found `yes` @ yes");
    assert_eq!(t("retries: 1000"), "expected a whole number from 0 to 100, found `1000` @ 1000");
    assert_eq!(t("timeout: 10"), "expected a duration such as `90s` or `24h`, found `10` @ 10");
    assert_eq!(t("pool: q"), "unknown pool `q` @ q ? did you mean `p`?");
    assert_eq!(t("pool: {p: 9}"), "a share of 9 of the pool `p`, which has 4 @ {p: 9}");
    assert_eq!(t("pool: {p: 1, q: 1}"), "expected one pool @ {p: 1, q: 1}");
    assert_eq!(t("missing: fail"), "expected `ok` or `error`, found `fail` @ fail");
    assert!(t("env: {A=B: x}").starts_with("bad name of an environment variable: `A=B` @ A=B"));
    assert_eq!(t("columns: [x]"), "unknown key `columns` @ columns ? `columns` is a key of the rule `stat`");
    assert_eq!(t("retires: 3"), "unknown key `retires` @ retires ? did you mean `retries`?");
    assert_eq!(
        first("  1t: {rule: command, run: x, output: o}\n").split(" @ ").next(),
        Some("bad name of a target: `1t`")
    );
    assert_eq!(first("  t: {rule: command, output: o}\n"), "missing key `run` @ t ? For tests.");
    assert_eq!(
        first("  t: {rule: command, run: x}\n"),
        "missing key `output` @ t ? say which file the rule writes: `output: result/…`"
    );
    assert_eq!(first("  t: x\n"), "expected a mapping, found `x` @ x");
    assert_eq!(first("  t:\n"), "expected a mapping, found nothing @ t");
}

#[test]
fn groups() {
    let p = good(&targets(&format!(
        "{TAGS}  g: {{inputs: [tags, h, ./f], description: d}}\n  h: {{inputs: [one]}}\n  one: {{rule: command, run: x, output: o}}\n  all: {{rule: command, run: x, inputs: {{x: g}}, after: [h], foreach: {{repo: [a]}}, output: 'a/{{repo}}'}}\n"
    )));
    let all = target(&p, "all");
    let kinds: Vec<String> = all
        .inputs
        .iter()
        .map(|i| match &i.kind {
            InputKind::Target { target, on, .. } => format!("{:?} {} {}", i.name, p.targets[*target].name, on.len()),
            InputKind::Path(path) => format!("{:?} {}", i.name, pattern::fill(path, &[])),
        })
        .collect();
    assert_eq!(kinds, ["Some(\"x\") tags 1", "Some(\"x\") one 0", "Some(\"x\") f"]);
    assert_eq!(all.after, [StepsOf { target: 3, values: vec![], path: None }]);
    // Nothing waits for the last one alone.
    assert_eq!(p.default, [4]);
    assert!(first("  g: {inputs: [./f], output: x}\n").starts_with("`output` in a target without a rule @ output & g"));
    assert!(first("  g: {description: x}\n").starts_with("a target without a rule and without inputs @ g"));
    assert!(first("  g: {inputs: [./f], runn: x}\n").starts_with("`runn` in a target without a rule @ runn & g"));
    assert!(first("  t: {rulle: stat, output: o}\n").ends_with("? did you mean `rule`?"));
}

#[test]
fn axes() {
    let p = good(&targets(
        "  t: {rule: command, run: x, output: 'o/{a}/{b}/{c}/{d}', foreach: {a: [1.20, x, 1.20], b: {lines: ./l.txt}, c: {csv: c.csv, column: n}, d: {glob: 'g/*.x'}}}\n  list: {rule: command, run: x, output: l/all.txt}\n  u: {rule: command, run: x, output: 'u/{v}', foreach: {v: {lines: l/all.txt}}}\n  w: {rule: command, run: x, output: 'w/{v}', foreach: {v: {csv: ./l/all.txt, column: k}}}\n  x: {rule: command, run: x, output: 'x/{a}/{b}/{c}/{d}/{e}', foreach: {e: {from: t, json: /k}}}\n",
    ));
    let kinds: Vec<String> = p.targets[0].axes.iter().map(|a| format!("{:?}", a.kind)).collect();
    assert_eq!(
        kinds,
        [r#"List(["1.20", "x"])"#, r#"Lines("l.txt")"#, r#"Csv { path: "c.csv", column: "n" }"#, r#"Glob("g/*.x")"#]
    );
    assert!(matches!(&target(&p, "u").axes[0].kind, AxisKind::From { target: 1, read: Read::Lines, output: 0 }));
    assert!(
        matches!(&target(&p, "w").axes[0].kind, AxisKind::From { target: 1, read: Read::Csv(c), output: 0 } if c == "k")
    );
    let x = target(&p, "x");
    let names: Vec<&str> = x.bindings.iter().map(|b| b.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
    assert_eq!(x.axes[0].binding, 4);
}

#[test]
fn bad_axes() {
    let axis = |axis: &str| {
        first(&format!("{TAGS}  t: {{rule: command, run: x, output: 'o/{{v}}', foreach: {{v: {axis}}}}}\n"))
    };
    let from = |axis: &str| {
        first(&format!(
            "{TAGS}  t: {{rule: command, run: x, output: 'o/{{repo}}/{{v}}', foreach: {{v: {{from: tags, {axis}}}}}}}\n"
        ))
    };
    assert_eq!(axis("[]"), "an axis without values @ []");
    assert_eq!(axis("['']"), "an empty value @ ''");
    assert_eq!(axis("[a, [b]]"), "expected text, found a list @ [b]");
    assert_eq!(axis("x"), "expected a list or a mapping, found `x` @ x");
    assert!(
        axis("{lines: a, glob: b}")
            .starts_with("an axis has one place where its values come from @ {lines: a, glob: b}")
    );
    assert!(axis("{}").starts_with("an axis has one place where its values come from @ {}"));
    assert!(axis("{lines: /etc/passwd}").starts_with("a path starts with `/`"));
    assert!(axis("{glob: ../*}").starts_with("a path has a part `..`"));
    assert!(axis("{glob: 'a[b'}").starts_with("bad pattern: "));
    assert!(axis("{csv: a.csv}").starts_with("missing key `column` @ csv"));
    assert!(axis("{lines: a, column: b}").starts_with("`column` without `csv` @ column"));
    assert!(axis("{lines: true}").starts_with("`lines: true` without `from` @ lines"));
    assert!(axis("{select: all}").starts_with("`select` without `from` @ select"));
    assert!(axis("{lines: t/a.json}").starts_with("`t/a.json` is made by a step of `tags` @ v"));
    assert!(axis("['${secret.HOME}']").starts_with("a secret in the values of an axis"));
    assert!(axis("{line: x}").starts_with("unknown key `line` @ line ? did you mean `lines`?"));
    assert!(from("lines: x").starts_with("expected `true` @ x"));
    assert!(from("select: all, lines: true").starts_with("`from` needs one way to read the values"));
    assert!(from("glob: x").starts_with("`glob` beside `from` @ glob"));
    assert!(from("json: a").starts_with("a JSON pointer starts with `/` @ a"));
    assert!(from("select: latset").contains("found `latset` @ latset ? did you mean `latest`?"));
    assert!(from("select: {regex: '('}").starts_with("bad regex: unclosed group @ '('"));
    assert!(from("select: {semver: x.y.z.w}").starts_with("bad semver: "));
    assert!(from("select: {newest: 0}").starts_with("expected a whole number from 1"));
    assert!(from("select: {newest: 1, glob: x}").starts_with("expected one way to select"));
    assert!(from("select: {glob: '[a'}").starts_with("bad glob: "));
    assert!(axis("{from: g, select: all}").starts_with("unknown target `g` @ g"));
    let twice = first(&format!(
        "{TAGS}  t: {{rule: command, run: x, output: 'o/{{repo}}', foreach: {{repo: {{from: tags, select: all}}}}}}\n"
    ));
    assert!(twice.starts_with("the binding `repo` is given twice @ repo"), "{twice}");
    let two = first(&format!(
        "{TAGS}  t: {{rule: command, run: x, output: 'o/{{repo}}/{{a}}/{{b}}', foreach: {{a: {{from: tags, select: all}}, b: {{from: tags, select: all}}}}}}\n"
    ));
    assert!(two.starts_with("the binding `repo` is given twice @ b & a"), "{two}");
    let group = first(
        "  g: {inputs: [./f]}\n  t: {rule: command, run: x, output: 'o/{v}', foreach: {v: {from: g, lines: true}}}\n",
    );
    assert!(group.starts_with("`g` has no outputs @ g"), "{group}");
    assert!(
        first("  t: {rule: command, run: x, output: 'o/{in}', foreach: {in: [x]}}\n")
            .starts_with("a binding cannot be called `in` @ in")
    );
}

#[test]
fn what_follows_from_a_mistake_is_not_reported() {
    let text = "  t: {rule: command, run: x, output: 'o/{repo}/{v}', inputs: ['./{repo}'], foreach: {v: {from: tagz, select: all}}}\n  u: {rule: command, run: x, output: 'u/{repo}/{v}/{w}', foreach: {w: {from: t, lines: true}}}\n";
    assert_eq!(wrong(&format!("{TAGS}{text}")), ["unknown target `tagz` @ tagz ? did you mean `tags`?"]);
}

#[test]
fn outputs() {
    let out = |output: &str| {
        first(&format!("  t: {{rule: command, run: x, foreach: {{v: [x], w: [y]}}, output: {output}}}\n"))
    };
    assert_eq!(out("'{v}/{w}/'"), "");
    assert_eq!(out("{a: './{v}/{w}', b: '{w}{v}'}"), "");
    assert_eq!(
        out("'{v}'"),
        "every `w` would write this one file @ '{v}' ? a path of an output has every binding of the target in it"
    );
    assert_eq!(out("['{v}{w}', '{v}{w}']"), "two outputs for one file @ '{v}{w}' & '{v}{w}'");
    assert_eq!(out("'{v}/{w}/{x}'"), "unknown binding `x` @ {x} ? did you mean `v`?");
    assert!(out("'/{v}/{w}'").starts_with("a path starts with `/`"));
    assert!(out("'.layermill/{v}{w}'").starts_with("a path lies in `.layermill`"));
    assert!(out("''").starts_with("a path is empty @ ''"));
    assert!(out("/").starts_with("a path is empty @ /"));
    assert!(out("[]").starts_with("no outputs @ []"));
    assert!(out("{'a b': '{v}{w}'}").starts_with("bad name of an output: `a b`"));
    assert!(out("'${secret.HOME}{v}{w}'").starts_with("a secret in the path of an output"));
    let p = good(&targets("  t: {rule: command, run: x, output: {a: ./x/y, b: d/}}\n"));
    let outputs: Vec<_> = p.targets[0]
        .outputs
        .iter()
        .map(|o| (o.name.as_deref(), pattern::literal(&o.pattern).unwrap(), o.folder))
        .collect();
    assert_eq!(outputs, [(Some("a"), "x/y".to_owned(), false), (Some("b"), "d".to_owned(), true)]);
}

#[test]
fn outputs_that_get_in_each_others_way() {
    let two = |a: &str, b: &str| {
        first(&format!("  a: {{rule: command, run: x, {a}}}\n  b: {{rule: command, run: x, {b}}}\n"))
    };
    assert_eq!(two("output: o", "output: p"), "");
    // The same step, but for what decides nothing.
    assert_eq!(two("output: o, fresh: always, retries: 1", "retries: 2, output: o"), "");
    assert!(two("output: o", "output: ./o, env: {A: x}").starts_with("`a` and `b` write one file, `o` @ ./o & o"));
    assert!(two("output: o/x", "output: o").starts_with("`o` is a file here and a folder there @ o/x & o"));
    assert!(
        two("output: o/", "output: o/x/y")
            .starts_with("`o/x/y` lies in a folder that is an output itself @ o/x/y & o/")
    );
    assert!(two("output: [o, o/x]", "output: p").starts_with("`o` is a file here and a folder there @ o/x & o"));
}

#[test]
fn inputs() {
    let p = good(&targets(&format!(
        "{TAGS}  one: {{rule: layers, source: s, foreach: {{tag: {{from: tags, select: latest}}}}, output: 'l/{{repo}}/{{tag}}.json'}}\n  all: {{rule: layers, source: s, foreach: {{tag: {{from: tags, select: all}}}}, output: 'l/{{repo}}/{{tag}}.json'}}\n  dir: {{rule: command, run: x, output: d/}}\n  t:\n    rule: command\n    run: x\n    foreach: {{repo: [a], name: [b]}}\n    output: o/{{repo}}/{{name}}\n    inputs:\n      joined: tags\n      some: {{target: one, partial: true}}\n      made: t/x/{{name}}.json\n      step: l/x/y/1.json\n      file: ./{{name}}.txt\n      folder: d/\n    after: [all]\n"
    )));
    let t = target(&p, "t");
    let show = |i: &Input| match &i.kind {
        InputKind::Target { target, on, partial } => {
            let theirs = &p.targets[*target];
            let on: Vec<String> = on
                .iter()
                .map(|(b, pattern)| format!("{}={}", theirs.bindings[*b].name, pattern::template(pattern, &t.bindings)))
                .collect();
            format!("{} [{}] {partial}", theirs.name, on.join(" "))
        }
        InputKind::Path(path) => pattern::template(path, &t.bindings),
    };
    let all: Vec<String> = t.inputs.iter().map(show).collect();
    assert_eq!(
        all,
        [
            "tags [repo={repo}] false",
            "one [repo={repo}] true",
            "tags [repo=x/{name}] false",
            "all [repo=x/y tag=1] false",
            "{name}.txt",
            "dir [] false"
        ]
    );
    assert_eq!(t.after, [StepsOf { target: 2, values: vec![], path: None }]);
}

#[test]
fn bad_inputs() {
    let input = |inputs: &str| {
        first(&format!(
            "{TAGS}  d: {{rule: command, run: x, output: d/}}\n  t: {{rule: command, run: x, output: o, inputs: {inputs}}}\n"
        ))
    };
    assert_eq!(input("[tag]"), "unknown target `tag` @ tag ? did you mean `tags`?\n`./tag` names a file");
    assert!(input("[{target: tag}]").starts_with("unknown target `tag` @ tag ? did you mean `tags`?"));
    assert!(input("[{partial: true}]").starts_with("missing key `target`"));
    assert!(input("[]").starts_with("no inputs @ []"));
    assert!(input("tags").starts_with("expected a list or a mapping, found `tags`"));
    assert!(input("{list: tags}").starts_with("an input cannot be called `list` @ list"));
    assert!(input("[/etc/passwd]").starts_with("a path starts with `/`"));
    assert!(input("['./{x}']").starts_with("unknown binding `x` @ {x}"));
    assert!(
        input("[d/x.txt]").starts_with("`d/x.txt` lies in a folder that `d` makes @ d/x.txt ? name the target: `d`")
    );
    assert!(input("[e/]").starts_with("a folder that no target makes @ e/"));
    assert!(input("[o/../x]").starts_with("a path has a part `..`"));
    assert!(first("  t: {rule: command, run: x, output: o, after: [u]}\n").starts_with("unknown target `u` @ u"));
}

#[test]
fn circles() {
    let step = |name: &str, more: &str| format!("  {name}: {{rule: command, run: x, output: {name}.txt, {more}}}\n");
    let three =
        step("a", "inputs: [b]") + &step("b", "after: [c]") + &step("c", "inputs: [a.txt]") + &step("d", "inputs: [a]");
    assert_eq!(wrong(&three), ["targets wait for each other: a -> b -> c -> a @ b & c & a.txt"]);
    assert_eq!(wrong(&step("a", "inputs: [a]")), ["targets wait for each other: a -> a @ a"]);
    let axes = "  a: {rule: command, run: x, output: 'a/{w}/{v}', foreach: {v: {from: b, lines: true}}}\n  b: {rule: command, run: x, output: 'b/{v}/{w}', foreach: {w: {from: a, lines: true}}}\n";
    assert!(
        wrong(axes).iter().any(|p| p.starts_with("targets wait for each other: a -> b -> a @ v & w")),
        "{:?}",
        wrong(axes)
    );
    let two =
        step("a", "inputs: [b]") + &step("b", "inputs: [a]") + &step("c", "inputs: [d]") + &step("d", "inputs: [c]");
    assert_eq!(wrong(&two).len(), 2);
    assert!(
        wrong("  g: {inputs: [h]}\n  h: {inputs: [g]}\n")[0].starts_with("targets wait for each other: g -> h -> g")
    );
}

#[test]
fn who_else_makes_a_file_is_waited_for_where_that_is_no_circle() {
    let p = good(
        "version: 1
targets:
  by: {rule: command, run: x, output: r/by.lst}
  a: {rule: command, foreach: {n: [x]}, run: x, output: 'r/{n}.txt'}
  b: {rule: command, foreach: {n: {from: by, lines: true}}, run: x, output: 'r/{n}.txt'}
  of_a: {rule: command, foreach: {m: {from: a, lines: true}}, run: x, output: 'r/{n}-{m}.txt'}
  too: {rule: command, foreach: {n: {from: by, lines: true}}, run: x, output: 'r/{n}.txt', fresh: always}
  else: {rule: command, foreach: {m: {from: by, lines: true}}, run: x, output: 'r/{m}.csv'}
",
    );
    let joined_by = |name: &str| -> Vec<&str> {
        target(&p, name).joined_by.iter().map(|&other| p.targets[other].name.as_str()).collect()
    };
    // What is read out of `a` is there only after it; what is read out of one list is there together.
    assert_eq!(joined_by("a"), ["b", "too"]);
    assert_eq!((joined_by("b"), joined_by("of_a")), (vec!["of_a"], vec!["b", "too"]));
    assert!(joined_by("by").is_empty() && joined_by("else").is_empty());
    let at = |name: &str| p.order.iter().position(|&id| p.targets[id].name == name);
    assert!(at("by") < at("a") && at("a") < at("b") && at("a") < at("of_a"));
}

#[test]
fn what_is_fine_can_be_looked_at_beside_what_is_not() {
    let loaded = check(&targets("  a: {rule: command, run: x, output: o}\n  b: {rule: command, run: x, output: /o}\n"));
    let faulty: Vec<bool> = loaded.pipeline.unwrap().targets.iter().map(|t| t.faulty).collect();
    assert_eq!(faulty, [false, true]);
    let loaded =
        check(&targets("  a: {rule: command, run: x, output: o}\n  b: {rule: command, run: '${x}', output: p}\n"));
    let faulty: Vec<bool> = loaded.pipeline.unwrap().targets.iter().map(|t| t.faulty).collect();
    assert_eq!(faulty, [false, true]);
}

#[test]
fn a_mistake_in_every_one_of_many_targets_is_shown() {
    let text: String = (0..3_000).map(|i| format!("  t{i}: {{rule: command, run: x, outputs: o/{i}}}\n")).collect();
    let text = targets(&text);
    let loaded = check(&text);
    let plain =
        miette::GraphicalTheme { characters: miette::ThemeCharacters::ascii(), styles: miette::ThemeStyles::none() };
    let shown = render(plain, &text, &loaded.problems);
    assert_eq!(shown.matches("did you mean `output`?").count(), 3_000);
    assert!(shown.contains("[pipeline.yaml:3004:34]"));
}

#[test]
fn shared_definitions_are_reported_once() {
    let text =
        "version: 1\ntargets:\n  a: &a {rule: command, run: x, output: a, retries: many}\n  b: {<<: *a, output: b}\n";
    assert_eq!(problems(text), ["expected a whole number from 0 to 100, found `many` @ many"]);
}

#[test]
fn a_long_chain_of_axes_does_not_overflow() {
    let mut text = String::from("  t0: {rule: command, run: x, output: 'o/{b0}', foreach: {b0: [x]}}\n");
    for i in 1..300 {
        let all: String = (0..=i).map(|b| format!("/{{b{b}}}")).collect();
        text += &format!(
            "  t{i}: {{rule: command, run: x, output: 'o{all}', foreach: {{b{i}: {{from: t{}, lines: true}}}}}}\n",
            i - 1
        );
    }
    let backwards: String = text.lines().rev().map(|l| format!("{l}\n")).collect();
    assert_eq!(good(&targets(&backwards)).targets[0].bindings.len(), 300);
}

#[test]
fn many_targets_are_checked_in_time_that_grows_with_them() {
    // Each reads the file of the one before it.
    let mut text = String::from("  t0: {rule: command, run: x, output: o/0.txt}\n");
    for i in 1..20_000 {
        text += &format!("  t{i}: {{rule: command, run: x, output: o/{i}.txt, inputs: [o/{}.txt]}}\n", i - 1);
    }
    let started = std::time::Instant::now();
    let p = good(&targets(&text));
    assert_eq!(p.order.len(), 20_000);
    assert!(started.elapsed().as_secs() < 60, "took {:?}", started.elapsed());
}

#[test]
fn files_that_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let read = |name: &str| load(&dir.path().join(name), &Options::default(), &VOCABULARY);
    assert!(read("none.yaml").problems.0[0].message.starts_with("cannot read the pipeline file: "));
    std::fs::write(dir.path().join("latin.yaml"), b"version: 1 # \xe9\n").unwrap();
    assert!(read("latin.yaml").problems.0[0].message.starts_with("the file is not UTF-8 text"));
    std::fs::write(dir.path().join("p.yaml"), EXAMPLE).unwrap();
    let loaded = read("p.yaml");
    assert_eq!(loaded.pipeline.unwrap().root, dir.path());
    assert!(read(".").problems.0[0].message.starts_with("cannot read the pipeline file: "));
}

proptest::proptest! {
    /// The example with a piece of it replaced: whatever comes of it, a report.
    #[test]
    fn no_edit_makes_it_panic(at in 0..EXAMPLE.len(), len in 0usize..30, new in "[{}\\[\\]:,a-c\n *&<$./-]{0,8}") {
        let mut text = EXAMPLE.to_owned();
        text.replace_range(at..(at + len).min(EXAMPLE.len()), &new);
        let loaded = check(&text);
        let plain = miette::GraphicalTheme { characters: miette::ThemeCharacters::ascii(), styles: miette::ThemeStyles::none() };
        render(plain, &text, &loaded.problems);
    }
}

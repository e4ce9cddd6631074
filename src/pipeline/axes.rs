//! `foreach:` to axes and bindings.

use super::glob;
use super::known::Known;
use super::makers::Makers;
use super::model::{Axis, AxisKind, Binding, Name, Node, Read, Select, Target, TargetId};
use super::names::public_text;
use super::paths;
use super::pattern::plain;
use super::problem::{Problems, Span};

/// An axis whose target's bindings are not known yet.
pub(super) struct Draft {
    name: Name,
    kind: AxisKind,
    /// The target whose bindings come along, even where it cannot be told how it is read.
    from: Option<TargetId>,
    /// `from` names no target: nobody knows what would come along.
    lost: bool,
    span: Span,
}

/// What a target's steps are parametrised by.
#[derive(Default)]
pub(super) struct Resolved {
    pub bindings: Vec<Binding>,
    pub axes: Vec<Axis>,
    /// How many axes leave something out, those of the targets that values are read from included.
    pub narrowness: usize,
    /// Some bindings are not known, for what would bring them along is not: a name that is none of these may be one.
    pub loose: bool,
}

/// Reads the axes of target `id`. Those with mistakes are reported; they have no values.
pub(super) fn draft(foreach: Option<&Node>, id: TargetId, known: &Known, problems: &mut Problems) -> Vec<Draft> {
    let mut out = Vec::new();
    for (name, node) in foreach.and_then(Node::as_map).unwrap_or_default() {
        super::names::check_name(name, "a binding", problems);
        if matches!(name.text.as_str(), "in" | "out") {
            let label = "stands for what a step reads and writes";
            problems.at(name.span, format!("a binding cannot be called `{}`", name.text), label);
        }
        // One that cannot be read still gives its name: patterns that use it are right to.
        let kind = axis(node, id, known, problems).unwrap_or(AxisKind::List(Vec::new()));
        let from = match kind {
            AxisKind::From { target, .. } => Some(target),
            _ => node.get("from").and_then(Node::as_public).and_then(|t| known.ids.get(t.as_str()).copied()),
        };
        let lost = from.is_none() && node.get("from").is_some();
        out.push(Draft { name: name.clone(), kind, from, lost, span: name.span });
    }
    out
}

fn axis(node: &Node, id: TargetId, known: &Known, problems: &mut Problems) -> Option<AxisKind> {
    if let Some(items) = node.as_list() {
        return list(node, items, problems);
    }
    // A key that is not known has been reported, and was meant to be one that is.
    const KEYS: [&str; 7] = ["lines", "csv", "column", "glob", "from", "select", "json"];
    if !node.as_map()?.iter().all(|(name, _)| KEYS.contains(&name.text.as_str())) {
        return None;
    }
    if node.get("from").is_some() {
        return from(node, known, problems);
    }
    for key in ["select", "json"] {
        if let Some((name, _)) = node.entry(key) {
            problems
                .at(name.span, format!("`{key}` without `from`"), "reads the outputs of a target")
                .help("add `from: TARGET`");
            return None;
        }
    }
    let sources: Vec<&(Name, Node)> =
        node.as_map()?.iter().filter(|(n, _)| matches!(n.text.as_str(), "lines" | "csv" | "glob")).collect();
    let [(key, value)] = sources.as_slice() else {
        problems
            .at(node.span, "an axis has one place where its values come from", format!("has {}", sources.len()))
            .help(
                "write a list, `{lines: FILE}`, `{csv: FILE, column: NAME}`, `{glob: PATTERN}` or `{from: TARGET, …}`",
            );
        return None;
    };
    if let (Some((name, _)), true) = (node.entry("column"), key.text != "csv") {
        problems.at(name.span, "`column` without `csv`", "names a column of a CSV file");
        return None;
    }
    let text = public_text(value, "the values of an axis", problems)?;
    let path = file_path(&text);
    if let Err(why) = paths::safe_path(path) {
        problems.at(value.span, why, "is not below the pipeline's folder");
        return None;
    }
    if key.text == "lines" && value.as_bool().is_some() {
        problems
            .at(key.span, "`lines: true` without `from`", "which file?")
            .help("write `lines: FILE`, or add `from: TARGET`");
        return None;
    }
    match key.text.as_str() {
        "glob" => match glob::compile(path) {
            Ok(_) => Some(AxisKind::Glob(path.to_owned())),
            Err(e) => {
                problems.at(value.span, format!("bad pattern: {e}"), "cannot be read");
                None
            }
        },
        "lines" => Some(match made_by(path, id, known) {
            Some((target, output)) => AxisKind::From { target, read: Read::Lines, output },
            None => AxisKind::Lines(path.to_owned()),
        }),
        _ => {
            let Some(column) = node.get("column") else {
                problems.at(key.span, "missing key `column`", "which column?").help("`{csv: FILE, column: NAME}`");
                return None;
            };
            let column = public_text(column, "the name of a column", problems)?;
            Some(match made_by(path, id, known) {
                Some((target, output)) => AxisKind::From { target, read: Read::Csv(column), output },
                None => AxisKind::Csv { path: path.to_owned(), column },
            })
        }
    }
}

/// `./name` is `name`.
fn file_path(text: &str) -> &str {
    text.strip_prefix("./").unwrap_or(text)
}

/// The target, other than `id` itself, that has an output written just so, and the place of that among its outputs.
fn made_by(path: &str, id: TargetId, known: &Known) -> Option<(TargetId, usize)> {
    known.written.get(path).copied().filter(|(maker, _)| *maker != id)
}

fn list(node: &Node, items: &[Node], problems: &mut Problems) -> Option<AxisKind> {
    let mut values: Vec<String> = Vec::with_capacity(items.len());
    let mut seen = std::collections::HashSet::new();
    for item in items {
        let Some(value) = public_text(item, "the values of an axis", problems) else { continue };
        if value.is_empty() {
            problems.at(item.span, "an empty value", "a step needs a name here");
        } else if seen.insert(value.clone()) {
            values.push(value);
        }
    }
    if items.is_empty() {
        problems.at(node.span, "an axis without values", "no step would come of it");
    }
    Some(AxisKind::List(values))
}

fn from(node: &Node, known: &Known, problems: &mut Problems) -> Option<AxisKind> {
    let target_node = node.get("from")?;
    for key in ["column", "glob"] {
        if let Some((name, _)) = node.entry(key) {
            let help = match key {
                "glob" => "write `select: {glob: …}`",
                _ => "write `csv: COLUMN`",
            };
            problems.at(name.span, format!("`{key}` beside `from`"), "does not go with it").help(help);
            return None;
        }
    }
    let ways: Vec<&(Name, Node)> =
        node.as_map()?.iter().filter(|(n, _)| matches!(n.text.as_str(), "select" | "lines" | "csv" | "json")).collect();
    let [(key, value)] = ways.as_slice() else {
        problems
            .at(node.span, "`from` needs one way to read the values", format!("has {}", ways.len()))
            .help("add `select: all` for tag files, otherwise `lines: true`, `csv: COLUMN` or `json: /pointer`");
        return None;
    };
    let read = match key.text.as_str() {
        "select" => Read::Tags(select(value, problems)?),
        "lines" => {
            if value.as_bool() != Some(true) {
                problems.at(value.span, "expected `true`", "with `from`, the outputs are the files");
                return None;
            }
            Read::Lines
        }
        "csv" => Read::Csv(public_text(value, "the name of a column", problems)?),
        _ => {
            let pointer = public_text(value, "a JSON pointer", problems)?;
            if !pointer.is_empty() && !pointer.starts_with('/') {
                problems
                    .at(value.span, "a JSON pointer starts with `/`", "not a pointer")
                    .help(format!("write `/{pointer}`"));
                return None;
            }
            Read::Json(pointer)
        }
    };
    // An unknown name has been reported with its shape.
    let target = known.ids.get(target_node.as_public()?.as_str()).copied()?;
    let (name, other) = &known.names[target];
    match other.get("output") {
        None => {
            problems.at(target_node.span, format!("`{name}` has no outputs"), "nothing can be read out of it");
            None
        }
        Some(output) if output.as_public().is_some_and(|t| t.ends_with('/')) => {
            problems.at(
                target_node.span,
                format!("the output of `{name}` is a folder"),
                "values are read out of files",
            );
            None
        }
        Some(_) => Some(AxisKind::From { target, read, output: 0 }),
    }
}

fn select(node: &Node, problems: &mut Problems) -> Option<Select> {
    if let Some(word) = node.as_public() {
        return match word.as_str() {
            "all" => Some(Select::All),
            "latest" => Some(Select::Latest),
            _ => None,
        };
    }
    let entries = node.as_map()?;
    let [(key, value)] = entries else {
        problems
            .at(node.span, "expected one way to select", format!("has {}", entries.len()))
            .help("one of `glob`, `regex`, `newest` and `semver`");
        return None;
    };
    let text = public_text(value, "a selection", problems)?;
    let made = match key.text.as_str() {
        "glob" => {
            globset::Glob::new(&text).map(|g| Select::Glob(g.compile_matcher())).map_err(|e| e.kind().to_string())
        }
        "regex" => regex::Regex::new(&text).map(Select::Regex).map_err(|e| {
            // The last line says what; those before draw the expression again.
            e.to_string().lines().last().unwrap_or("").trim_start_matches("error: ").to_owned()
        }),
        "newest" => Ok(Select::Newest(usize::try_from(value.as_u64()?).ok()?)),
        "semver" => semver::VersionReq::parse(&text).map(Select::Semver).map_err(|e| e.to_string()),
        _ => return None,
    };
    made.map_err(|e| problems.at(value.span, format!("bad {}: {e}", key.text), "cannot be read").message.clone()).ok()
}

/// Gives every target its bindings: those that come along with its axes' targets, then the axes' own.
pub(super) fn bind(
    drafts: Vec<Vec<Draft>>,
    entries: &[(Name, Node)],
    problems: &mut Problems,
    faulty: &mut [bool],
) -> Vec<Resolved> {
    let mut done: Vec<Option<Resolved>> = drafts.iter().map(|_| None).collect();
    let mut open = vec![false; drafts.len()];
    for start in 0..drafts.len() {
        // A stack of our own: a chain of axes may be as long as the file.
        let mut stack = vec![start];
        while let Some(&id) = stack.last() {
            if done[id].is_some() {
                stack.pop();
                continue;
            }
            let waits = |target: &TargetId| done[*target].is_none() && !open[*target] && *target != id;
            let next = drafts[id].iter().find_map(|d| d.from.filter(waits));
            open[id] = true;
            if let Some(next) = next {
                stack.push(next);
                continue;
            }
            // Where axes go round in a circle, a target is met here whose own is still open; the graph reports it.
            let before = problems.0.len();
            done[id] = Some(resolve(&drafts[id], &done, entries, problems));
            faulty[id] |= problems.0.len() > before;
            open[id] = false;
            stack.pop();
        }
    }
    done.into_iter().map(Option::unwrap_or_default).collect()
}

fn resolve(drafts: &[Draft], done: &[Option<Resolved>], entries: &[(Name, Node)], problems: &mut Problems) -> Resolved {
    let mut bindings: Vec<Binding> = Vec::new();
    let mut axes: Vec<Axis> = Vec::new();
    let mut loose = false;
    let mut narrowness = 0usize;
    for draft in drafts {
        loose |= draft.lost;
        narrowness = narrowness.saturating_add(usize::from(leaves_out(&draft.kind)));
        let axis = axes.len();
        let mut clash = |bindings: &[Binding], name: &str, why: String| {
            let Some(known) = bindings.iter().find(|b| b.name == name) else { return false };
            let first = axes.get(known.axis).map_or(draft.span, |a: &Axis| a.span);
            problems
                .at(draft.span, format!("the binding `{name}` is given twice"), why)
                .also(first, "first given by this axis")
                .help("a step has one value for each name: rename one of them");
            true
        };
        if let Some(target) = draft.from {
            let theirs = done[target].as_ref();
            // Not there yet means a circle, which the graph reports.
            loose |= theirs.is_none_or(|t| t.loose);
            narrowness = narrowness.saturating_add(theirs.map_or(0, |t| t.narrowness));
            let theirs = theirs.map(|t| t.bindings.as_slice()).unwrap_or_default();
            for (parent, b) in theirs.iter().enumerate() {
                let along = format!("brings `{}` along from `{}`", b.name, entries[target].0.text);
                if !clash(&bindings, &b.name, along) {
                    bindings.push(Binding { name: b.name.clone(), axis, parent: Some(parent) });
                }
            }
        }
        if clash(&bindings, &draft.name.text, "given again here".into()) {
            continue;
        }
        bindings.push(Binding { name: draft.name.text.clone(), axis, parent: None });
        axes.push(Axis { binding: bindings.len() - 1, kind: draft.kind.clone(), span: draft.span });
    }
    Resolved { bindings, axes, narrowness, loose }
}

/// Whether an axis takes some values and not others.
fn leaves_out(kind: &AxisKind) -> bool {
    matches!(kind, AxisKind::From { read: Read::Tags(select), .. } if !matches!(select, Select::All))
}

/// Looks for axes that read a file which is the output of one of many steps, or lies in a folder that a step makes.
pub(super) fn check_paths(targets: &[Target], makers: &Makers, problems: &mut Problems, faulty: &mut [bool]) {
    for (id, target) in targets.iter().enumerate() {
        for axis in &target.axes {
            let (path, way, of_file) = match &axis.kind {
                AxisKind::Lines(path) => (path, "lines: true".to_owned(), "{lines: FILE}".to_owned()),
                AxisKind::Csv { path, column } => {
                    (path, format!("csv: {column}"), format!("{{csv: FILE, column: {column}}}"))
                }
                AxisKind::Glob(pattern) => {
                    if let Some(maker) = made_folder(pattern, makers).filter(|maker| *maker != id) {
                        let what = format!("`{pattern}` reaches into a folder that `{}` makes", targets[maker].name);
                        read_too_early(axis, what, &targets[maker].name, "{lines: FILE}", problems);
                        faulty[id] = true;
                    }
                    continue;
                }
                AxisKind::List(_) | AxisKind::From { .. } => continue,
            };
            let pattern = plain(path, axis.span);
            let lies_in = |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
            let around = makers.known_folders(path).into_iter().find(|(maker, folder)| *maker != id && lies_in(folder));
            if let Some((maker, _)) = around {
                let maker = &targets[maker].name;
                let what = format!("`{path}` lies in a folder that `{maker}` makes");
                read_too_early(axis, what, maker, &of_file, problems);
                faulty[id] = true;
                continue;
            }
            let Some((maker, _)) = makers.find(&pattern, id).filter(|(maker, _)| *maker != id) else { continue };
            let maker = &targets[maker].name;
            problems
                .at(axis.span, format!("`{path}` is made by a step of `{maker}`"), "reads the file of one step")
                .help(format!("an axis reads all outputs of a target: `{{from: {maker}, {way}}}`"));
            faulty[id] = true;
        }
    }
}

/// The first target that makes a folder of which a glob may match files. Of folders with bindings in their paths, which
/// there are is seen by the steps.
fn made_folder(pattern: &str, makers: &Makers) -> Option<TargetId> {
    let folders = makers.known_folders(glob::fixed(pattern));
    if folders.is_empty() {
        return None;
    }
    let reach = glob::Reach::of(pattern);
    folders.into_iter().find(|(_, folder)| reach.goes_into(folder)).map(|(id, _)| id)
}

fn read_too_early(axis: &Axis, what: String, maker: &str, way: &str, problems: &mut Problems) {
    problems.at(axis.span, what, "is read before anything is made").help(format!(
        "let `{maker}` write the list to an output of its own, outside of that folder: `{way}` is read once it is made"
    ));
}

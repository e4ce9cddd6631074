//! The keys that the pipeline file itself has: at its top, in every source, and in every target.

use super::shape::{Key, Shape};

const fn key(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, required: false, doc }
}

const fn required(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, required: true, doc }
}

/// The top of the file. Sources and targets are looked into one by one, for their keys depend on `kind` and `rule`.
pub const TOP: &[Key] = &[
    required("version", Shape::Int(1, 1), "The version of this format: 1."),
    key("default", TARGETS, "What a bare `layermill build` builds; without it, the targets that no other needs."),
    key("vars", Shape::Map(&Shape::Text), "Texts that stand for `${name}` anywhere in the file."),
    key("sources", Shape::Map(&Shape::Record(SOURCE)), "Where image metadata comes from, by name."),
    key("profiles", Shape::Map(&Shape::Record(PROFILE)), "Other vars and defaults, chosen with `--profile NAME`."),
    key("pools", Shape::Map(&Shape::Int(1, 1_000_000)), "Limits on how many steps run at once, by name."),
    required("targets", Shape::Map(&Shape::Record(TARGET)), "What can be built, by name."),
];

const TARGETS: Shape = Shape::List(&Shape::Target);

/// An entry under `profiles:`.
pub const PROFILE: &[Key] = &[
    key("vars", Shape::Map(&Shape::Text), "Values that override those under `vars:`."),
    key("default", TARGETS, "Overrides `default:`."),
];

/// What every entry under `sources:` takes.
pub const SOURCE: &[Key] = &[required("kind", Shape::Text, "What kind of source this is.")];

/// What every entry under `targets:` takes.
pub const TARGET: &[Key] = &[
    key("rule", Shape::Text, "How the outputs are made. Without it, the target is a group of its inputs."),
    key("description", Shape::Text, "What this is, for people."),
    key("foreach", Shape::Map(&AXIS), "Bindings and where their values come from: one step for each combination."),
    key("inputs", Shape::Any(&[Shape::List(&INPUT), Shape::Map(&INPUT)]), "Targets and files that the steps read."),
    key("after", TARGETS, "Targets to be built before, though nothing is read from them."),
    key(
        "output",
        Shape::Any(&[Shape::Text, Shape::List(&Shape::Text), Shape::Map(&Shape::Text)]),
        "The file or files that a step writes; a `/` at the end makes it a folder.",
    ),
    key(
        "fresh",
        Shape::Any(&[Shape::Word(&["exists", "digest", "always"]), Shape::Duration]),
        "How old an answer of a source may be before it is asked again.",
    ),
    key("missing", Shape::Word(&["ok", "error"]), "`error`: what a source does not have fails the step."),
    key(
        "retries",
        Shape::Int(0, 100),
        "How often a failed step (0 unless set), or a failed request of it (8), is tried again.",
    ),
    key("timeout", Shape::Duration, "How long a step may take."),
    key(
        "pool",
        Shape::Any(&[Shape::Text, Shape::Map(&Shape::Int(1, 1_000_000))]),
        "The pool that a step takes a share of: `name` or `{name: share}`.",
    ),
    key("env", Shape::Map(&Shape::Text), "Variables that a step's processes see."),
    key("cache", Shape::Bool, "`false`: the outputs are not kept in the store."),
];

/// What a group takes.
pub const GROUP: &[&str] = &["description", "inputs", "after"];

const INPUT: Shape = Shape::Any(&[
    Shape::Text,
    Shape::Record(&[
        required("target", Shape::Target, "The target that is read."),
        key("partial", Shape::Bool, "Go on without its failed or deferred steps."),
    ]),
]);

const AXIS: Shape = Shape::Any(&[
    Shape::List(&Shape::Text),
    Shape::Record(&[
        key(
            "lines",
            Shape::Any(&[Shape::Bool, Shape::Text]),
            "A file with one value a line; with `from`, `true`: the outputs are such files.",
        ),
        key("csv", Shape::Text, "A CSV file with a header; with `from`, the column to read in the outputs."),
        key("column", Shape::Text, "The column of `csv`."),
        key("glob", Shape::Text, "The files whose paths match."),
        key("from", Shape::Target, "A target whose outputs the values are read from."),
        key("select", SELECT, "Which tags of a tag file."),
        key("json", Shape::Text, "A JSON pointer to an array, or to an object whose keys are meant."),
        key("namespace", TEXTS, "The repositories of a namespace, or of several, as a source lists them."),
        key("search", TEXTS, "The repositories that a source finds for these words, or for several."),
        key("limit", Shape::Int(1, 10_000), "How many of what each search finds are taken (default 100)."),
        key("source", Shape::Source, "Who is asked for `namespace` and `search`; the target's `source:` unless set."),
    ]),
]);

/// A text, or several.
pub const TEXTS: Shape = Shape::Any(&[Shape::Text, Shape::List(&Shape::Text)]);

const SELECT: Shape = Shape::Any(&[
    Shape::Word(&["all", "latest"]),
    Shape::Record(&[
        key("glob", Shape::Text, "The tags that match, e.g. `1.*-alpine`."),
        key("regex", Shape::Text, "The tags in which this expression is found."),
        key("newest", Shape::Int(1, 1_000_000_000), "The last so many in version order."),
        key("semver", Shape::Text, "The tags that are versions in this range, e.g. `>=1.20, <2`."),
    ]),
]);

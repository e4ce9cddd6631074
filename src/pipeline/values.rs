//! Which values a binding cannot have, as far as the pipeline alone tells: a path that is read backwards is not taken for
//! a step that can never be.

use super::model::{AxisKind, Binding, Node, Part, Pattern, Read, Select, Target, TargetId};

/// What stands for a binding whose value is not known. No path has it.
pub const UNKNOWN: char = '\0';

/// Why a binding cannot have a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unfit {
    /// It is no tag, platform or repository by its grammar, which holds whatever a list has.
    Spelling,
    /// It is not among those that the pipeline says, which may be edited: a step may have had it before.
    Unlisted,
}

/// How likely values are those of a step, the least first; `None` where no step can have them. They are over the bindings
/// of the target that names the path.
pub fn rank(targets: &[Target], target: TargetId, values: &[(usize, Pattern)]) -> Option<usize> {
    values.iter().map(|(binding, value)| of_binding(targets, target, *binding, &known(value))).sum()
}

/// The same of values that are known.
pub fn rank_of_known(targets: &[Target], target: TargetId, values: &[(usize, String)]) -> Option<usize> {
    values.iter().map(|(binding, value)| of_binding(targets, target, *binding, value)).sum()
}

/// Whether values are spelt as those of a target are, whether or not its lists have them.
pub fn are_spelt(targets: &[Target], target: TargetId, values: &[(usize, String)]) -> bool {
    values.iter().all(|(binding, value)| fit(targets, target, *binding, value) != Err(Unfit::Spelling))
}

/// Whether a target may have a step of these values, as far as the pipeline alone tells.
pub fn may_be(targets: &[Target], target: TargetId, values: &[(usize, String)]) -> bool {
    rank_of_known(targets, target, values).is_some()
}

/// Whether a target is sure to have a step of these values: all of them stand in the pipeline.
pub fn is_sure(targets: &[Target], target: TargetId, values: &[(usize, Pattern)]) -> bool {
    let bindings = targets.get(target).map_or(0, |target| target.bindings.len());
    (0..bindings).all(|binding| {
        let value = values.iter().find(|(b, _)| *b == binding).map(|(_, value)| known(value));
        value.is_some_and(|value| stands_in_a_list(targets, target, binding, &value))
    })
}

/// Whether a value is one of those that the pipeline itself gives a binding.
fn stands_in_a_list(targets: &[Target], target: TargetId, binding: usize, value: &str) -> bool {
    let axis = targets.get(target).and_then(|target| target.axes.get(target.bindings.get(binding)?.axis));
    // What a value came with may have none of its own.
    matches!(axis.map(|axis| &axis.kind), Some(AxisKind::List(values)) if values.iter().any(|listed| listed == value))
}

/// A value as it is known.
pub fn known(value: &Pattern) -> String {
    let mut known = String::new();
    for part in &value.parts {
        match part {
            Part::Text(text) => known.push_str(&text.public()),
            Part::Binding(_) | Part::Special(..) => known.push(UNKNOWN),
        }
    }
    known
}

/// The same of one value, of which not all has to be known.
pub fn of_binding(targets: &[Target], target: TargetId, binding: usize, value: &str) -> Option<usize> {
    fit(targets, target, binding, value).ok()
}

/// The same, or why it cannot have it.
fn fit(targets: &[Target], target: TargetId, binding: usize, value: &str) -> Result<usize, Unfit> {
    let (mut target, mut binding) = (target, binding);
    // Up to the target whose axis gives it. Of what is at fault, and has been reported, all may be.
    loop {
        let Some(this) = targets.get(target) else { return Err(Unfit::Unlisted) };
        let Some(Binding { axis, parent, .. }) = this.bindings.get(binding) else { return Ok(0) };
        if !may_be_in(this, binding, value) {
            return Err(Unfit::Spelling);
        }
        let Some(axis) = this.axes.get(*axis) else { return Ok(0) };
        match (&axis.kind, *parent) {
            (AxisKind::From { target: of, .. }, Some(theirs)) => (target, binding) = (*of, theirs),
            (AxisKind::From { target: of, read, .. }, None) => {
                return targets.get(*of).map_or(Err(Unfit::Unlisted), |of| read_out(of, read, value));
            }
            (AxisKind::List(values), _) => {
                let is_listed = values.iter().any(|listed| fits(listed, value));
                return if is_listed { Ok(0) } else { Err(Unfit::Unlisted) };
            }
            (AxisKind::Lines(_) | AxisKind::Csv { .. } | AxisKind::Glob(_), _) => return Ok(0),
        }
    }
}

/// Whether a target of a rule that asks a registry takes a value, as its keys have it.
fn may_be_in(target: &Target, binding: usize, value: &str) -> bool {
    let (of_repository, of_tag) = match target.rule.as_deref() {
        Some("tags") => (true, false),
        Some("layers" | "platforms") => (true, true),
        _ => (false, false),
    };
    let is = |key: &str| is_value_of(target, key, binding);
    !(of_repository && is("repo") && !may_be_repository(value) || of_tag && is("tag") && !may_be_tag(value))
}

/// The same of what is read out of an output of a target.
fn read_out(of: &Target, read: &Read, value: &str) -> Result<usize, Unfit> {
    match (of.rule.as_deref(), read) {
        (Some("tags"), Read::Tags(_)) if !may_be_tag(value) => Err(Unfit::Spelling),
        (Some("tags"), Read::Tags(select)) if !may_be_chosen(select, value) => Err(Unfit::Unlisted),
        (Some("platforms"), Read::Json(_)) => of_platform(value).ok_or(Unfit::Spelling),
        (Some("repositories"), Read::Json(_)) if !may_be_listed(of, value) => Err(Unfit::Unlisted),
        _ => Ok(0),
    }
}

/// Whether a rule's key is the value of a binding and nothing else, as it is unless said.
fn is_value_of(target: &Target, key: &str, binding: usize) -> bool {
    let name = &target.bindings[binding].name;
    match target.keys.get(key) {
        None => name == key,
        Some(said) => said.as_public().is_some_and(|said| said == format!("{{{name}}}")),
    }
}

/// Whether a value may be this one, whatever is not known of it.
pub fn fits(value: &str, known: &str) -> bool {
    match (known.split_once(UNKNOWN), known.rsplit_once(UNKNOWN)) {
        (Some((start, _)), Some((_, end))) => {
            value.len() >= start.len() + end.len() && value.starts_with(start) && value.ends_with(end)
        }
        _ => value == known,
    }
}

fn may_be_tag(value: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | UNKNOWN);
    !value.starts_with(['.', '-']) && value.chars().all(fine)
}

fn may_be_repository(value: &str) -> bool {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-' | UNKNOWN);
    let sign = ['.', '_', '-'];
    let part = |part: &str| !part.is_empty() && !part.starts_with(sign) && !part.ends_with(sign);
    value.split('/').all(|p| part(p) && p.chars().all(fine))
}

/// Whether a list of repositories may have this one.
fn may_be_listed(list: &Target, repository: &str) -> bool {
    starts_of(list).is_none_or(|starts| {
        starts.iter().any(|start| match repository.split_once(UNKNOWN) {
            Some((known, _)) => known.starts_with(start) || start.starts_with(known),
            None => repository.starts_with(start),
        })
    })
}

/// What the repositories begin with that a list can have: that of a namespace has only what lies in it; what a search finds
/// may be any.
pub fn starts_of(list: &Target) -> Option<Vec<String>> {
    let namespaces = list.keys.get("namespace").filter(|_| list.rule.as_deref() == Some("repositories"))?;
    let start = |namespace: &Node| {
        let namespace = namespace.as_public().unwrap_or_default() + "/";
        // What a binding or a secret is, is not known.
        namespace.split(['{', '$']).next().unwrap_or_default().to_owned()
    };
    Some(namespaces.as_list().unwrap_or(std::slice::from_ref(namespaces)).iter().map(start).collect())
}

/// Only what is said by expressions: of the others it depends on which tags there are.
fn may_be_chosen(select: &Select, tag: &str) -> bool {
    match select {
        _ if tag.contains(UNKNOWN) => true,
        Select::Glob(glob) => glob.is_match(tag),
        Select::Regex(regex) => regex.is_match(tag),
        Select::All | Select::Latest | Select::Newest(_) | Select::Semver(_) => true,
    }
}

/// `linux/amd64`, `linux/arm/v7`: of what may be read in several ways, that which is one by its words comes first.
fn of_platform(value: &str) -> Option<usize> {
    const SYSTEMS: [&str; 8] = ["linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "solaris", "unknown"];
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-' | UNKNOWN);
    let parts: Vec<&str> = value.split('/').collect();
    let may_be = |part: &&str| !part.is_empty() && part.chars().all(fine);
    // What is not known of it may have more parts.
    let least = if value.contains(UNKNOWN) { 1 } else { 2 };
    if !(least..=3).contains(&parts.len()) || !parts.iter().all(may_be) {
        return None;
    }
    let is_variant =
        |part: &&&str| part.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let is_known = SYSTEMS.contains(&parts[0]) || parts[0].contains(UNKNOWN);
    let of_parts = match parts.get(2) {
        Some(variant) => 2 * usize::from(!is_variant(&variant)),
        None => 1,
    };
    Some(3 * usize::from(!is_known) + of_parts)
}

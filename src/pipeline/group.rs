//! Groups: inputs under one name.

use super::model::{InputKind, Meets, StepsOf, Target};
use super::pattern::{fill, joined};

impl Target {
    /// What a group stands for, groups in it replaced by what these do; of what is no group, nothing.
    pub fn members(&self) -> impl Iterator<Item = StepsOf> + '_ {
        let inputs = if self.rule.is_none() { self.inputs.as_slice() } else { &[] };
        inputs.iter().flat_map(|input| {
            let meant = match &input.kind {
                InputKind::Target { target, on, .. } => Some((target, on)),
                InputKind::Path(_) => None,
            };
            let others = input.others.iter().filter(|other| other.meets == Meets::AsOne);
            let all = meant.into_iter().chain(others.map(|other| (&other.target, &other.on)));
            // A group has no values: a path in it is one file's.
            let path = input.path.as_ref().map(|path| fill(path, &[]));
            all.map(move |(&target, on)| StepsOf { target, values: joined(on, &[]), path: path.clone() })
        })
    }
}

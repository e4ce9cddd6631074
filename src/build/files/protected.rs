//! The files that the pipeline itself is read from: what a step makes cannot be among them, since they are read before
//! anything is made, and the next build would find another pipeline.

use std::collections::{BTreeSet, HashSet};
use std::ops::Bound;

use foldhash::fast::RandomState;
use globset::GlobMatcher;

use crate::pipeline::glob::{self, Reach};
use crate::pipeline::model::{AxisKind, Output, Pipeline};
use crate::store::state::{PathId, State};

pub(crate) struct Protected {
    /// The pipeline file, and the files of the lists that it goes over.
    files: HashSet<PathId, RandomState>,
    /// The paths of these files.
    paths: BTreeSet<String>,
    /// The patterns of files that it goes over, and the folders that they reach into.
    globs: Vec<(String, GlobMatcher, Reach)>,
}

impl Protected {
    pub fn of(pipeline: &Pipeline, state: &mut State) -> Self {
        let file = std::path::absolute(&pipeline.file).ok();
        let file = file.as_deref().and_then(|f| f.strip_prefix(&pipeline.root).ok()).map(|f| f.display().to_string());
        let mut paths: BTreeSet<String> = file.into_iter().collect();
        let mut globs: Vec<(String, GlobMatcher, Reach)> = Vec::new();
        for axis in pipeline.targets.iter().flat_map(|target| &target.axes) {
            match &axis.kind {
                AxisKind::Lines(path) | AxisKind::Csv { path, .. } => {
                    paths.insert(path.strip_prefix("./").unwrap_or(path).to_owned());
                }
                AxisKind::Glob(pattern) if globs.iter().all(|(known, ..)| known != pattern) => {
                    globs.extend(glob::compile(pattern).map(|glob| (pattern.clone(), glob, Reach::of(pattern))));
                }
                _ => {}
            }
        }
        let files = paths.iter().map(|path| state.intern(path)).collect();
        Self { files, paths, globs }
    }

    /// Why nothing may be made at this path, where nothing may. `id` is its number, if it has one.
    pub fn refuses(&self, output: &Output, path: &str, id: Option<PathId>) -> Option<String> {
        if id.is_some_and(|id| self.files.contains(&id)) {
            return Some(format!("the output {path} is a file that the pipeline itself is read from"));
        }
        if let Some((pattern, ..)) = self.globs.iter().find(|(_, glob, _)| glob.is_match(path)) {
            return Some(format!(
                "the output {path} is among the files that an axis goes over, {{glob: \"{pattern}\"}}"
            ));
        }
        if !output.folder {
            return None;
        }
        let below = format!("{path}/");
        let first = self.paths.range::<str, _>((Bound::Included(below.as_str()), Bound::Unbounded)).next();
        if let Some(file) = first.filter(|file| file.starts_with(&below)) {
            return Some(format!(
                "the output {below} is a folder around {file}, which the pipeline itself is read from"
            ));
        }
        let (pattern, ..) = self.globs.iter().find(|(_, _, reach)| reach.goes_into(path))?;
        Some(format!("the output {below} is a folder that an axis reaches into, {{glob: \"{pattern}\"}}"))
    }
}

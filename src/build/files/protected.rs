//! The files that the pipeline itself is read from: what a step makes cannot be among them, since they are read before
//! anything is made, and the next build would find another pipeline.

use std::collections::HashSet;

use foldhash::fast::RandomState;
use globset::GlobMatcher;

use crate::pipeline::glob;
use crate::pipeline::model::{AxisKind, Pipeline};
use crate::store::state::{PathId, State};

pub(crate) struct Protected {
    /// The pipeline file, and the files of the lists that it goes over.
    files: HashSet<PathId, RandomState>,
    /// The patterns of files that it goes over.
    globs: Vec<(String, GlobMatcher)>,
}

impl Protected {
    pub fn of(pipeline: &Pipeline, state: &mut State) -> Self {
        let file = std::path::absolute(&pipeline.file).ok();
        let file = file.as_deref().and_then(|f| f.strip_prefix(&pipeline.root).ok()).map(|f| f.display().to_string());
        let mut files: HashSet<PathId, RandomState> = file.iter().map(|path| state.intern(path)).collect();
        let mut globs = Vec::new();
        for axis in pipeline.targets.iter().flat_map(|target| &target.axes) {
            match &axis.kind {
                AxisKind::Lines(path) | AxisKind::Csv { path, .. } => {
                    files.insert(state.intern(path.strip_prefix("./").unwrap_or(path)));
                }
                AxisKind::Glob(pattern) if globs.iter().all(|(known, _)| known != pattern) => {
                    globs.extend(glob::compile(pattern).map(|glob| (pattern.clone(), glob)));
                }
                _ => {}
            }
        }
        Self { files, globs }
    }

    /// Why nothing may be made at this path, where nothing may. `id` is its number, if it has one.
    pub fn refuses(&self, path: &str, id: Option<PathId>) -> Option<String> {
        if id.is_some_and(|id| self.files.contains(&id)) {
            return Some(format!("the output {path} is a file that the pipeline itself is read from"));
        }
        let (pattern, _) = self.globs.iter().find(|(_, glob)| glob.is_match(path.trim_end_matches('/')))?;
        Some(format!("the output {path} is among the files that an axis goes over, {{glob: \"{pattern}\"}}"))
    }
}

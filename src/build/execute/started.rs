//! Commands that were begun, and what sources are asked for, as a build writes them down: of one that was killed, they tell
//! what it was at.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::rules::Lane;
use crate::store::lock;

use crate::build::engine::Engine;
use crate::build::failures::{Failed, line_of, lines};
use crate::build::steps::StepId;

/// Beside what commands leave: it goes with that at the end of a build.
const FILE: &str = "tmp/started";

/// What was begun, by the path of a step's first output. What came to an end since has a later record, or failed later.
pub(crate) fn begun(work_dir: &Path) -> impl Iterator<Item = (String, Failed)> {
    let running = lock::is_held_by_another(work_dir);
    lines(&work_dir.join(FILE)).map(move |(path, failed)| {
        let message = match (running, failed.asked()) {
            (true, true) => "a build asks its source now".to_owned(),
            (true, false) => "a build makes it now".to_owned(),
            (false, _) => format!("the build was killed while {}", failed.under_way()),
        };
        (path, Failed { running, message, ..failed })
    })
}

impl Engine<'_> {
    /// Writes down that a step is begun which may take its time: a command, or what asks or reads a source that is elsewhere.
    pub(crate) fn keep_start(&mut self, id: StepId) {
        let rule = self.rules[self.steps.step(id).target as usize].as_ref().map(|compiled| compiled.rule.common());
        if !rule.is_some_and(|rule| rule.lane == Lane::Process || rule.is_remote) {
            return;
        }
        let run = self.runs.get(&id);
        let begun = Failed {
            step: self.steps.label(id),
            more_outputs: self.paths(id).skip(1).map(str::to_owned).collect(),
            at: self.clock.now_ms(),
            interrupted: true,
            because: run.map(|run| run.reasons.listed().join("; ")),
            work: run.map(|run| run.work.word().to_owned()),
            ..Failed::default()
        };
        let line = line_of(self.path(id, 0), &begun);
        // It is only told: without it, a step that was killed is told as never tried.
        let _ = line.map_err(io::Error::from).and_then(|line| self.start_log()?.write_all(&line));
    }

    fn start_log(&mut self) -> io::Result<&mut File> {
        let log = match self.start_log.take() {
            Some(log) => log,
            None => {
                std::fs::create_dir_all(self.work_dir.join("tmp"))?;
                File::options().append(true).create(true).open(self.work_dir.join(FILE))?
            }
        };
        Ok(self.start_log.insert(log))
    }
}

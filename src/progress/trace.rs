//! A timeline for Perfetto and `chrome://tracing`: `--trace`. The format is Chrome's "Trace Event Format", as an array:
//! it may end anywhere, so that the trace of a build that was killed can be looked at too.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use serde_json::{Value, json};

use crate::build::events::{Event, Listener, Progress, Start};
use crate::build::outcome::{Account, Status};

use super::sink::Sink;

/// The process under which counters stand; lanes come after it.
const COUNTERS: usize = 0;

pub struct Trace {
    sink: Sink,
    began: Instant,
    written: bool,
    lanes: Vec<Lane>,
    /// Each step that runs, with where it is drawn.
    running: HashMap<u32, Drawn>,
    last: Option<Progress>,
}

/// What bounds how many steps run at once is shown as a process, and each place in it as a thread.
struct Lane {
    name: String,
    /// Rows that nothing runs in.
    free: BTreeSet<usize>,
    rows: usize,
}

struct Drawn {
    lane: usize,
    row: usize,
    from: u128,
    work: &'static str,
}

impl Trace {
    pub fn new(sink: Sink) -> Self {
        let (lanes, running) = (Vec::new(), HashMap::new());
        Self { sink, began: Instant::now(), written: false, lanes, running, last: None }
    }

    fn write(&mut self, event: &Value) {
        let before = if self.written { ",\n" } else { "[\n" };
        self.written = true;
        self.sink.write(format!("{before}{event}").as_bytes());
    }

    /// Microseconds since the build began.
    fn now(&self) -> u128 {
        self.began.elapsed().as_micros()
    }

    fn name(&mut self, what: &str, lane: usize, row: usize, name: &str) {
        self.write(&json!({"ph": "M", "name": what, "pid": lane, "tid": row, "args": {"name": name}}));
    }

    fn start(&mut self, start: &Start<'_>) {
        let lane = match self.lanes.iter().position(|l| l.name == start.lane) {
            Some(lane) => lane,
            None => {
                self.lanes.push(Lane { name: start.lane.to_owned(), free: BTreeSet::new(), rows: 0 });
                self.name("process_name", self.lanes.len(), 0, start.lane);
                self.lanes.len() - 1
            }
        };
        let row = match self.lanes[lane].free.pop_first() {
            Some(row) => row,
            None => {
                let row = self.lanes[lane].rows;
                self.lanes[lane].rows += 1;
                self.name("thread_name", lane + 1, row, &format!("{} {}", start.lane, row + 1));
                row
            }
        };
        self.running.insert(start.id, Drawn { lane, row, from: self.now(), work: start.work });
    }

    fn end(&mut self, id: u32, account: &Account) {
        let Some(Drawn { lane, row, from, work }) = self.running.remove(&id) else { return };
        self.lanes[lane].free.insert(row);
        let mut event = json!({
            "ph": "X", "name": account.step, "cat": account.status.word(), "pid": lane + 1, "tid": row,
            "ts": from, "dur": self.now() - from,
            "args": {
                "outcome": account.status.word(), "work": work,
                "reason": account.reasons.as_ref().map(ToString::to_string),
                "message": account.message, "attempts": account.attempts,
            },
        });
        if account.status == Status::Failed {
            event["cname"] = "terrible".into();
        }
        self.write(&event);
    }

    fn progress(&mut self, progress: &Progress) {
        // Time that passes is shown as it is.
        let progress = Progress { budget_wait: None, ..*progress };
        if self.last == Some(progress) {
            return;
        }
        self.last = Some(progress);
        self.count("running", progress.running as u64);
        self.count("requests", progress.requests);
        self.count("steps left", progress.total.saturating_sub(progress.done) as u64);
        self.sink.flush();
    }

    fn count(&mut self, name: &str, value: u64) {
        self.write(&json!({"ph": "C", "name": name, "pid": COUNTERS, "ts": self.now(), "args": {"value": value}}));
    }

    fn close(&mut self) {
        if self.written {
            self.sink.write(b"\n]\n");
            self.sink.flush();
            self.written = false;
        }
    }
}

impl Listener for Trace {
    fn hear(&mut self, event: &Event<'_>) {
        match event {
            Event::Begun { .. } => self.name("process_name", COUNTERS, 0, "layermill"),
            Event::Started(start) => self.start(start),
            Event::Finished { id, account } => self.end(*id, account),
            Event::Progress(progress) => self.progress(progress),
            Event::Waiting { .. } | Event::SetAside { .. } | Event::Output { .. } | Event::Done(_) => {}
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        self.close();
    }
}

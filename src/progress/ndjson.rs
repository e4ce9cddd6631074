//! Events as lines of JSON: `--events`. What stands in them is documented in `docs/events.md`.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::build::events::{Event, Listener, Progress};
use crate::build::outcome::{Account, Summary};
use crate::build::reasons::Reasons;

use super::report::{self, Totals};
use super::sink::Sink;

/// The version of the lines. It is raised where a field goes or changes its meaning; new ones may come under the same.
const VERSION: u32 = 1;
/// How often progress is written.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    time: String,
    #[serde(flatten)]
    event: Told<'a>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Told<'a> {
    Begun {
        layermill: &'static str,
        pid: u32,
        jobs: usize,
    },
    Waiting {
        holder: &'a str,
    },
    SetAside {
        what: &'a str,
    },
    Started {
        id: u32,
        step: &'a str,
        target: &'a str,
        work: &'static str,
        lane: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        pool: Option<&'a str>,
        reason: &'a Reasons,
    },
    Output {
        id: u32,
        step: &'a str,
        lines: &'a [String],
        left_out: u64,
        log: &'a str,
    },
    Finished(Finished<'a>),
    Progress {
        total: usize,
        grows: bool,
        done: usize,
        ran: usize,
        running: usize,
        requests: u64,
        bytes: u64,
        retries: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        budget_wait: Option<f64>,
    },
    Done(Box<Done<'a>>),
}

#[derive(Serialize)]
struct Finished<'a> {
    id: u32,
    step: &'a str,
    target: &'a str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a Reasons>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "report::is_zero")]
    attempts: u32,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    by: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<&'a str>,
}

#[derive(Serialize)]
struct Done<'a> {
    exit: u8,
    #[serde(flatten)]
    totals: Totals<'a>,
}

pub struct Ndjson {
    sink: Sink,
    progress_at: Option<Instant>,
}

impl Ndjson {
    pub fn new(sink: Sink) -> Self {
        Self { sink, progress_at: None }
    }

    fn write(&mut self, event: Told<'_>) {
        let line = Line { v: VERSION, time: now(), event };
        let mut text = serde_json::to_vec(&line).expect("numbers and text are JSON");
        text.push(b'\n');
        self.sink.write(&text);
    }

    fn progress(&mut self, p: &Progress) {
        // Whoever reads along sees what happened before this.
        self.sink.flush();
        if self.progress_at.is_some_and(|at| at.elapsed() < PROGRESS_EVERY) {
            return;
        }
        self.progress_at = Some(Instant::now());
        self.write(Told::Progress {
            total: p.total,
            grows: p.grows,
            done: p.done,
            ran: p.ran,
            running: p.running,
            requests: p.requests,
            bytes: p.bytes,
            retries: p.retries,
            budget_wait: p.budget_wait.map(|wait| wait.as_secs_f64()),
        });
    }

    fn done(&mut self, summary: &Summary) {
        self.write(Told::Done(Box::new(Done { exit: summary.exit_code(), totals: Totals::of(summary) })));
        self.sink.flush();
    }
}

impl Listener for Ndjson {
    fn hear(&mut self, event: &Event<'_>) {
        match event {
            Event::Begun { jobs } => {
                let (layermill, pid) = (env!("CARGO_PKG_VERSION"), std::process::id());
                self.write(Told::Begun { layermill, pid, jobs: *jobs });
                self.sink.flush();
            }
            Event::Waiting { holder } => {
                self.write(Told::Waiting { holder });
                self.sink.flush();
            }
            Event::SetAside { what } => self.write(Told::SetAside { what }),
            Event::Started(start) => self.write(Told::Started {
                id: start.id,
                step: start.step,
                target: target_of(start.step),
                work: start.work,
                lane: start.lane,
                pool: start.pool,
                reason: start.reasons,
            }),
            Event::Output { id, step, printed } => self.write(Told::Output {
                id: *id,
                step,
                lines: &printed.lines,
                left_out: printed.left_out,
                log: &printed.log,
            }),
            Event::Finished { id, account } => self.write(Told::Finished(finished(*id, account))),
            Event::Progress(progress) => self.progress(progress),
            Event::Done(summary) => self.done(summary),
        }
    }
}

impl Drop for Ndjson {
    fn drop(&mut self) {
        self.sink.flush();
    }
}

fn finished(id: u32, account: &Account) -> Finished<'_> {
    Finished {
        id,
        step: &account.step,
        target: target_of(&account.step),
        outcome: account.status.word(),
        reason: account.reasons.as_ref(),
        message: account.message.as_deref(),
        help: account.help.as_deref(),
        seconds: account.took.map(|t| t.as_secs_f64()),
        attempts: account.attempts,
        by: &account.by,
        log: account.log.as_deref(),
    }
}

/// A step is written `target@binding=value,…`, and names of targets hold no `@`.
fn target_of(step: &str) -> &str {
    step.split('@').next().unwrap_or(step)
}

/// In UTC, to the millisecond.
fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

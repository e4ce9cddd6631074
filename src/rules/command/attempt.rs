//! One attempt to run a step's command.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::Ordering;

use rustix::io::Errno;
use tokio::process::Child;

use crate::pipeline::model::{Part, Pattern, Text};
use crate::pipeline::pattern;
use crate::rules::{Content, Failure, Job, JobInput, Made};

use super::output::Output;
use super::places::{self, Places};
use super::process::{self, End, Streams};
use super::simple::Direct;
use super::{Command, depfile, sandbox};

impl Command {
    pub(super) async fn attempt(&self, job: &Job) -> Result<Made, Failure> {
        if self.sandbox && !sandbox::is_possible() {
            return Err(Failure {
                help: Some(
                    "it takes Landlock, which is in Linux from 5.13 on, where it is switched on (`cat \
                     /sys/kernel/security/lsm` names it); or do without `sandbox`"
                        .into(),
                ),
                ..Failure::new("this system cannot confine commands, and `sandbox: true` asks for it")
            });
        }
        job.began.store(file_clock(), Ordering::Relaxed);
        let places = Places::new(job, self.outputs.iter().map(|(_, folder)| *folder), self.in_place)
            .map_err(|e| cannot("prepare", &e))?;
        if self.in_place {
            places.set_aside().map_err(|e| cannot("set the old output aside", &e))?;
        }
        let ended = self.run(job, &places).await;
        if self.in_place {
            let done = matches!(&ended, Ok((End::Exited(status), _)) if status.success());
            places.put_back(done).map_err(|e| cannot("put the old output back", &e))?;
        }
        let (end, printed) = ended?;
        let fail = |message: String| Failure { output: printed.clone(), ..Failure::new(message) };
        match end {
            End::Interrupted => return Err(Failure::interrupted()),
            End::TimedOut => {
                let limit = job.timeout.unwrap_or_default();
                return Err(fail(format!("the command took longer than {limit:?} and was ended")));
            }
            End::Exited(status) if !status.success() => return Err(fail(format!("the command failed: {status}"))),
            End::Exited(_) => {}
        }
        let outputs = places.out.iter().zip(&job.step.outputs);
        let missing: Vec<&str> =
            outputs.filter(|(path, _)| path.symlink_metadata().is_err()).map(|(_, name)| name.as_str()).collect();
        let said = match missing.as_slice() {
            [] => None,
            [one] => Some((format!("the output {one} was not written"), "it")),
            all => Some((format!("the outputs {} were not written", all.join(", ")), "them")),
        };
        if let Some((message, what)) = said {
            return Err(Failure {
                help: Some(format!("the command ended well, and did not write {what}")),
                ..fail(message)
            });
        }
        let found = self.found(job, &places).map_err(fail)?;
        let contents = places.out.into_iter().map(Content::File).collect();
        Ok(match found {
            None => Made::Outputs(contents),
            Some(paths) => Made::Found(contents, paths),
        })
    }

    /// Runs it to its end, and keeps what it printed; gives the last lines of that.
    async fn run(&self, job: &Job, places: &Places) -> Result<(End, Vec<String>), Failure> {
        let (mut output, theirs) = Output::open(job, &self.secrets).map_err(|e| cannot("prepare", &e))?;
        let child = self.start(job, places, &theirs)?;
        let end = process::wait(child, job.timeout, &mut job.cancelled.clone(), output.listen()).await;
        // Not before: that no one can print any more would wake us a moment before the end does.
        drop(theirs);
        let (lines, kept) = output.end();
        let end = end.map_err(|e| cannot("wait for the command", &e))?;
        if matches!(end, End::Exited(status) if status.success()) {
            kept.map_err(|e| cannot("keep what the command printed", &e))?;
        }
        Ok((end, lines))
    }

    fn start(&self, job: &Job, places: &Places, output: &OwnedFd) -> Result<Child, Failure> {
        let prepared = |e: io::Error| cannot("prepare", &e);
        let fill = self.placeholders(job, places).map_err(prepared)?;
        // In a sandbox, nothing can be written beside the scratch folder.
        let tmp = match self.sandbox {
            true => places.own().map_err(prepared)?.to_owned(),
            false => places::temporary_of(&job.scratch),
        };
        let values: Vec<&str> = job.step.values.iter().map(|v| &**v).collect();
        let filled: Vec<String> = self.env.iter().map(|(_, value)| pattern::fill_exposed(value, &values)).collect();
        let mut env: Vec<(&OsStr, &OsStr)> = Vec::with_capacity(self.passed.len() + 1 + filled.len());
        env.extend(self.passed.iter().map(|(name, value)| (OsStr::new(name), value.as_os_str())));
        env.push((OsStr::new("TMPDIR"), tmp.as_os_str()));
        env.extend(self.env.iter().zip(&filled).map(|((name, _), value)| (OsStr::new(name), OsStr::new(value))));

        let start = |direct: Direct| {
            let argv: Vec<OsString> = direct.argv.into_iter().map(OsString::from).collect();
            let argv = if self.sandbox { sandbox::confined(argv, &job.scratch) } else { argv };
            let stdin = direct.stdin.map(|path| fs::File::open(job.root.join(path))).transpose()?;
            // It lies in the scratch folder, and nothing is there yet.
            let stdout = direct.stdout.map(|path| fs::File::create_new(job.root.join(path))).transpose()?;
            process::start(&argv, &job.root, &env, Streams { stdin, stdout, printed: output })
        };
        // In a sandbox, the command itself opens its files, or may not.
        let confined = |d: &Direct| self.sandbox && (d.stdin.is_some() || d.stdout.is_some());
        let direct = self.line.direct(&job.step.values, &fill).filter(|d| !confined(d));
        let program = direct.as_ref().and_then(|d| d.argv.first()).map_or("sh", String::as_str).to_owned();
        let started = match direct {
            None => Err(io::ErrorKind::NotFound.into()),
            Some(direct) => start(direct),
        };
        let started = match started {
            Err(e) if !is_too_long(&e) => match self.line.shell_argv(&job.step.values, &fill) {
                // Whatever is wrong with the program, the shell says it as people know it, or finds a way.
                Some(argv) => start(Direct { argv, ..Direct::default() }),
                None => Err(e),
            },
            started => started,
        };
        started.map_err(|e| if is_too_long(&e) { too_long() } else { cannot(&format!("start `{program}`"), &e) })
    }

    /// What stands for each placeholder; writes the list of inputs where one is asked for.
    fn placeholders<'a>(&'a self, job: &'a Job, places: &Places) -> io::Result<impl Fn(&str) -> Vec<String> + 'a> {
        let all = || job.inputs.iter().flat_map(|i| &i.paths);
        let outputs: Vec<String> = places.out.iter().map(|p| relative(p, &job.root)).collect();
        let mut list = Vec::new();
        if self.line.mentions("in.list") {
            let path = places.own()?.join("inputs.list");
            fs::write(&path, all().flat_map(|p| [p, "\n"]).collect::<String>())?;
            list.push(relative(&path, &job.root));
        }
        Ok(move |name: &str| match name.split_once('.') {
            None if name == "in" => all().cloned().collect(),
            None => outputs.clone(),
            Some(("in", "list")) => list.clone(),
            Some(("in", name)) => paths_of(&job.inputs, name),
            Some((_, name)) => self.output(name, &outputs),
        })
    }

    /// The path of the output of this name.
    fn output(&self, name: &str, paths: &[String]) -> Vec<String> {
        let named = self.outputs.iter().zip(paths).filter(|((n, _), _)| n.as_deref() == Some(name));
        named.map(|(_, path)| path.clone()).collect()
    }

    /// The path of the depfile beside these outputs.
    fn depfile_path(&self, pattern: &Pattern, job: &Job, outputs: &[String], text: impl Fn(&Text) -> String) -> String {
        let part = |part: &Part| match part {
            Part::Text(t) => text(t),
            Part::Binding(b) => job.step.values[*b].to_string(),
            Part::Special(name, _) => match name.split_once('.') {
                Some((_, name)) => self.output(name, outputs).concat(),
                None => outputs.join(" "),
            },
        };
        pattern.parts.iter().map(part).collect()
    }

    /// What the depfile says that was read beside the declared inputs. The depfile itself goes.
    fn found(&self, job: &Job, places: &Places) -> Result<Option<Vec<String>>, String> {
        let Some(pattern) = &self.depfile else { return Ok(None) };
        let outputs: Vec<String> = places.out.iter().map(|p| relative(p, &job.root)).collect();
        let file = job.root.join(self.depfile_path(pattern, job, &outputs, Text::expose));
        // As it is called beside the outputs: a person never sees the temporary ones.
        let shown = self.depfile_path(pattern, job, &job.step.outputs, Text::public);
        let text = match fs::read(&file) {
            Ok(bytes) => String::from_utf8(bytes).map_err(|_| format!("the depfile {shown} is not UTF-8"))?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(format!("the depfile {shown} was not written"));
            }
            Err(e) => return Err(format!("cannot read the depfile {shown}: {e}")),
        };
        let named = depfile::parse(&text).map_err(|line| format!("line {line} of the depfile {shown} is no rule"))?;
        fs::remove_file(&file).map_err(|e| format!("cannot remove the depfile {shown}: {e}"))?;
        let scratch = relative(&job.scratch, &job.root);
        let mut found: Vec<String> = named.iter().map(|path| depfile::normal(path, &job.root)).collect();
        // What it wrote for itself, or is told by its declared inputs already.
        let declared: std::collections::HashSet<&str> =
            job.inputs.iter().flat_map(|i| &i.paths).chain(&job.step.outputs).map(String::as_str).collect();
        found.retain(|path| !Path::new(path).starts_with(&scratch) && !declared.contains(path.as_str()));
        found.sort();
        found.dedup();
        Ok(Some(found))
    }
}

/// The time as files are stamped with it: what is written from now on is not stamped earlier. Nanoseconds since 1970.
fn file_clock() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec)
}

fn is_too_long(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::TOOBIG.raw_os_error())
}

fn too_long() -> Failure {
    Failure {
        help: Some("use `{in.list}`, a file with the names of all inputs, one a line".to_owned()),
        ..Failure::new("the command line is longer than the system allows; `{in.list}` takes any number of inputs")
    }
}

fn cannot(what: &str, error: &io::Error) -> Failure {
    Failure::new(format!("cannot {what}: {error}"))
}

fn relative(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}

fn paths_of(inputs: &[JobInput], name: &str) -> Vec<String> {
    inputs.iter().filter(|i| i.name.as_deref() == Some(name)).flat_map(|i| i.paths.iter().cloned()).collect()
}

//! `command`: an output made by a program of the user's.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::pipeline::model::{Node, Part, Pattern, Piece, Target, Text};
use crate::pipeline::problem::{Problems, suggest};
use crate::pipeline::shape::{Key, Kind, Shape};
use crate::pipeline::{Pipeline, pattern};

use super::process::{self, End};
use super::{Content, Failure, Job, JobInput, Lane, Made, Rule};

pub const KIND: Kind = Kind {
    name: "command",
    doc: "Runs a program that makes the output",
    keys: &[Key {
        name: "run",
        shape: Shape::Any(&[Shape::Text, Shape::List(&Shape::Text)]),
        required: true,
        doc: "A text for `sh -c`, every value quoted; or a list, run without a shell. {in}, {in.NAME}, {in.list}, {out}, {out.NAME} and bindings are filled in",
    }],
};

/// What a command gets of the environment beside what `env:` says.
const PASSED: &[&str] = &["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ"];

/// A text for the shell, or words without one.
enum Line {
    Shell(Pattern),
    Words(Vec<Pattern>),
}

struct Command {
    line: Line,
    params: Vec<(String, String)>,
    reads: Vec<usize>,
    env: Vec<(String, Text)>,
    /// Names of the outputs, where they have any.
    outputs: Vec<(Option<String>, bool)>,
    /// No `{out}` is in its text: it names its outputs itself.
    in_place: bool,
}

/// Makes the rule of a target.
pub fn compile(target: &Target, pipeline: &Pipeline, problems: &mut Problems) -> Option<Arc<dyn Rule>> {
    let run = target.keys.get("run")?;
    let parse = |node: &Node| node.as_text().map(|t| pattern::parse(t, node.span, &pipeline.text, &target.bindings));
    let line = match run.as_list() {
        Some([]) => {
            problems.at(run.span, "nothing to run", "this list is empty");
            return None;
        }
        Some(words) => Line::Words(words.iter().map(parse).collect::<Option<_>>()?),
        None => Line::Shell(parse(run)?),
    };
    let patterns = || match &line {
        Line::Shell(p) => std::slice::from_ref(p),
        Line::Words(words) => words.as_slice(),
    };
    let parts = || patterns().iter().flat_map(|p| &p.parts);
    let known = specials(target);
    let before = problems.0.len();
    for part in parts() {
        if let Part::Special(name, span) = part
            && !known.contains(name)
        {
            let names = known.iter().map(String::as_str).chain(target.bindings.iter().map(|b| b.name.as_str()));
            let label = format!("nothing is called `{name}` here");
            problems.at(*span, "unknown binding", label).help = suggest(name, names)
                .or_else(|| Some("write {{ and }} for braces that are meant as they are".to_owned()));
        }
    }
    if problems.0.len() > before {
        return None;
    }
    let mut params: Vec<(String, String)> = match &line {
        Line::Shell(p) => vec![("run".to_owned(), pattern::template(p, &target.bindings))],
        Line::Words(words) => words
            .iter()
            .enumerate()
            .map(|(i, p)| (format!("run.{i}"), pattern::template(p, &target.bindings)))
            .collect(),
    };
    params.extend(target.env.iter().map(|(name, value)| (format!("env.{name}"), value.public())));
    let names: Vec<&str> = target.outputs.iter().filter_map(|o| o.name.as_deref()).collect();
    if !names.is_empty() {
        params.push(("outputs".to_owned(), names.join(",")));
    }
    let reads: BTreeSet<usize> =
        parts().filter_map(|p| if let Part::Binding(b) = p { Some(*b) } else { None }).collect();
    let in_place = !parts().any(|p| matches!(p, Part::Special(n, _) if n == "out" || n.starts_with("out.")));
    Some(Arc::new(Command {
        params,
        reads: reads.into_iter().collect(),
        env: target.env.clone(),
        outputs: target.outputs.iter().map(|o| (o.name.clone(), o.folder)).collect(),
        in_place,
        line,
    }))
}

/// What may stand in braces beside bindings.
fn specials(target: &Target) -> BTreeSet<String> {
    let named = |prefix: &'static str, names: Vec<&str>| {
        names.into_iter().map(move |n| format!("{prefix}.{n}")).collect::<Vec<_>>()
    };
    let inputs = named("in", target.inputs.iter().filter_map(|i| i.name.as_deref()).collect());
    let outputs = named("out", target.outputs.iter().filter_map(|o| o.name.as_deref()).collect());
    ["in", "in.list", "out"].into_iter().map(str::to_owned).chain(inputs).chain(outputs).collect()
}

impl Rule for Command {
    fn name(&self) -> &'static str {
        "command"
    }

    fn version(&self) -> u32 {
        1
    }

    fn params(&self) -> &[(String, String)] {
        &self.params
    }

    fn reads(&self) -> &[usize] {
        &self.reads
    }

    fn lane(&self) -> Lane {
        Lane::Process
    }

    fn cached(&self) -> bool {
        true
    }

    fn make<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Made, Failure>> {
        Box::pin(async move {
            let mut attempt = 0;
            loop {
                job.attempts.fetch_add(1, Ordering::Relaxed);
                match self.attempt(job).await {
                    Err(failure) if !failure.interrupted && attempt < job.retries.unwrap_or(0) => {
                        wait_before(attempt, job).await?;
                        attempt += 1;
                    }
                    done => return done,
                }
            }
        })
    }
}

/// A second, then two, then four, up to a minute; and not in step with others.
async fn wait_before(attempt: u32, job: &Job) -> Result<(), Failure> {
    let longest = Duration::from_secs(1 << attempt.min(6)).min(Duration::from_secs(60));
    let mut cancelled = job.cancelled.clone();
    tokio::select! {
        () = tokio::time::sleep(longest.mul_f64(0.5 + fastrand::f64() / 2.0)) => Ok(()),
        _ = cancelled.wait_for(|c| *c) => Err(Failure::interrupted()),
    }
}

/// Where the outputs of one attempt are written, and where old ones wait meanwhile.
struct Places {
    out: Vec<PathBuf>,
    aside: Vec<PathBuf>,
    real: Vec<PathBuf>,
}

impl Command {
    async fn attempt(&self, job: &Job) -> Result<Made, Failure> {
        let cannot = |what: &str, e: std::io::Error| Failure::new(format!("cannot {what}: {e}"));
        let places = self.places(job).map_err(|e| cannot("prepare", e))?;
        let command = self.command(job, &places).map_err(|e| cannot("prepare", e))?;
        if self.in_place {
            set_aside(&places).map_err(|e| cannot("set the old output aside", e))?;
        }
        let mut cancelled = job.cancelled.clone();
        let end = process::run(command, &job.log, job.timeout, &mut cancelled).await;
        let hidden = self.hide_secrets(&job.log);
        if self.in_place {
            let done = matches!(&end, Ok(End::Exited(status)) if status.success());
            put_back(&places, done).map_err(|e| cannot("put the old output back", e))?;
        }
        hidden.map_err(|e| cannot("read what the command printed", e))?;
        let fail =
            |message: String| Failure { output: process::tail(&job.log).unwrap_or_default(), ..Failure::new(message) };
        match end.map_err(|e| cannot(&format!("start `{}`", self.program()), e))? {
            End::Interrupted => Err(Failure::interrupted()),
            End::TimedOut => {
                Err(fail(format!("the command took longer than {:?} and was ended", job.timeout.unwrap_or_default())))
            }
            End::Exited(status) if !status.success() => Err(fail(format!("the command failed: {status}"))),
            End::Exited(_) => match places.out.iter().position(|path| !path.exists()) {
                Some(missing) => Err(Failure {
                    help: Some("the command ended well, and did not write it".to_owned()),
                    ..fail(format!("the output {} was not written", job.step.outputs[missing]))
                }),
                None => Ok(Made::Outputs(places.out.into_iter().map(Content::File).collect())),
            },
        }
    }

    fn program(&self) -> String {
        match &self.line {
            Line::Shell(_) => "sh".to_owned(),
            Line::Words(words) => words.first().map(|w| pattern::fill(w, &[])).unwrap_or_default(),
        }
    }

    fn places(&self, job: &Job) -> std::io::Result<Places> {
        let mut places = Places { out: Vec::new(), aside: Vec::new(), real: Vec::new() };
        for (position, (path, (_, folder))) in job.step.outputs.iter().zip(&self.outputs).enumerate() {
            let holder = job.scratch.join(format!("out-{position}"));
            if holder.exists() {
                fs::remove_dir_all(&holder)?;
            }
            fs::create_dir_all(&holder)?;
            // The same name, and so the same ending, as the file that it becomes.
            let name = Path::new(path).file_name().unwrap_or_default();
            let out = holder.join(name);
            if *folder && !self.in_place {
                fs::create_dir(&out)?;
            }
            let real = job.root.join(path);
            if self.in_place {
                fs::create_dir_all(real.parent().unwrap_or(&job.root))?;
            }
            places.aside.push(job.scratch.join(format!("aside-{position}")));
            places.out.push(out);
            places.real.push(real);
        }
        Ok(places)
    }

    fn command(&self, job: &Job, places: &Places) -> std::io::Result<tokio::process::Command> {
        let list = job.scratch.join("inputs.list");
        let all: Vec<&str> = job.inputs.iter().flat_map(|i| i.paths.iter().map(String::as_str)).collect();
        if self.mentions("in.list") {
            fs::write(&list, all.iter().flat_map(|p| [p, "\n"]).collect::<String>())?;
        }
        let outputs: Vec<String> = places.out.iter().map(|p| relative(p, &job.root)).collect();
        let words = |name: &str| -> Vec<String> {
            match name {
                "in" => all.iter().map(|p| (*p).to_owned()).collect(),
                "in.list" => vec![relative(&list, &job.root)],
                "out" => outputs.clone(),
                _ => match name.split_once('.') {
                    Some(("in", name)) => paths_of(&job.inputs, name),
                    Some((_, name)) => self
                        .outputs
                        .iter()
                        .zip(&outputs)
                        .filter(|((n, _), _)| n.as_deref() == Some(name))
                        .map(|(_, path)| path.clone())
                        .collect(),
                    None => Vec::new(),
                },
            }
        };
        let mut command = match &self.line {
            Line::Shell(text) => {
                let mut command = tokio::process::Command::new("sh");
                command.arg("-c").arg(shell_text(text, &job.step.values, &words));
                command
            }
            Line::Words(patterns) => {
                let mut argv = patterns.iter().flat_map(|p| arguments(p, &job.step.values, &words));
                let mut command = tokio::process::Command::new(argv.next().unwrap_or_default());
                command.args(argv);
                command
            }
        };
        let tmp = job.scratch.join("tmp");
        fs::create_dir_all(&tmp)?;
        command.current_dir(&job.root).env_clear().env("TMPDIR", tmp);
        command.envs(PASSED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs(self.env.iter().map(|(name, value)| (name, value.expose())));
        Ok(command)
    }

    fn patterns(&self) -> &[Pattern] {
        match &self.line {
            Line::Shell(p) => std::slice::from_ref(p),
            Line::Words(words) => words,
        }
    }

    fn mentions(&self, special: &str) -> bool {
        self.patterns().iter().flat_map(|p| &p.parts).any(|p| matches!(p, Part::Special(n, _) if n == special))
    }

    /// Puts the names of secrets where a command printed their values.
    fn hide_secrets(&self, log: &Path) -> std::io::Result<()> {
        let texts = self
            .patterns()
            .iter()
            .flat_map(|p| &p.parts)
            .filter_map(|p| if let Part::Text(t) = p { Some(t) } else { None });
        let secrets: Vec<(&str, &str)> = texts
            .chain(self.env.iter().map(|(_, t)| t))
            .flat_map(|t| &t.0)
            .filter_map(|p| match p {
                Piece::Secret { name, value } if !value.is_empty() => Some((name.as_str(), value.as_str())),
                _ => None,
            })
            .collect();
        if secrets.is_empty() || !log.exists() {
            return Ok(());
        }
        let printed = fs::read(log)?;
        let text = String::from_utf8_lossy(&printed).into_owned();
        let clean = secrets.iter().fold(text, |t, (name, value)| t.replace(value, &format!("${{secret.{name}}}")));
        fs::write(log, clean)
    }
}

fn relative(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}

fn paths_of(inputs: &[JobInput], name: &str) -> Vec<String> {
    inputs.iter().filter(|i| i.name.as_deref() == Some(name)).flat_map(|i| i.paths.iter().cloned()).collect()
}

/// The text for the shell: what is filled in is quoted, a word a file.
fn shell_text(text: &Pattern, values: &[Arc<str>], words: &dyn Fn(&str) -> Vec<String>) -> String {
    text.parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => text.expose(),
            Part::Binding(b) => quoted(&values[*b]),
            Part::Special(name, _) => words(name).iter().map(|w| quoted(w)).collect::<Vec<_>>().join(" "),
        })
        .collect()
}

/// The arguments that one word of a list comes to: `{in}` alone is one for each file.
fn arguments(word: &Pattern, values: &[Arc<str>], words: &dyn Fn(&str) -> Vec<String>) -> Vec<String> {
    if let [Part::Special(name, _)] = word.parts.as_slice() {
        return words(name);
    }
    let filled = word.parts.iter().map(|part| match part {
        Part::Text(text) => text.expose(),
        Part::Binding(b) => values[*b].to_string(),
        Part::Special(name, _) => words(name).join(" "),
    });
    vec![filled.collect()]
}

/// A word that the shell takes as it is (POSIX shell, 2.2.2 Single-Quotes).
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn set_aside(places: &Places) -> std::io::Result<()> {
    for (real, aside) in places.real.iter().zip(&places.aside) {
        if real.exists() {
            fs::rename(real, aside)?;
        }
    }
    Ok(())
}

/// Moves what a command wrote in place out of it, and puts back what lay there before: the engine decides which stays.
fn put_back(places: &Places, done: bool) -> std::io::Result<()> {
    for ((real, aside), out) in places.real.iter().zip(&places.aside).zip(&places.out) {
        if real.exists() {
            if done {
                fs::rename(real, out)?;
            } else if real.is_dir() {
                fs::remove_dir_all(real)?;
            } else {
                fs::remove_file(real)?;
            }
        }
        if aside.exists() {
            fs::rename(aside, real)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_reaches_the_program_as_one_word() {
        for word in ["plain", "", "two words", "it's", "$(rm -rf /)", "a\nb", "`x`", "-n", "*"] {
            let out = std::process::Command::new("sh")
                .arg("-c")
                .arg(format!("printf %s {}", quoted(word)))
                .output()
                .expect("sh runs");
            assert_eq!(String::from_utf8_lossy(&out.stdout), if word == "-n" { "-n" } else { word });
        }
    }
}

//! Errors as people see them: what, where, and what to do.

use std::process::ExitCode;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};

use crate::build::BuildError;

use super::{Color, exit};

/// An error with the exit code that it ends the program with.
#[derive(Debug)]
pub struct Error {
    report: miette::Report,
    code: u8,
}

/// An error that has no place in a file.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{message}")]
struct Plain {
    message: String,
    #[help]
    help: Option<String>,
}

impl Error {
    /// The pipeline or the call is wrong.
    pub fn wrong(message: impl Into<String>) -> Self {
        Self::plain(message.into(), None, exit::WRONG)
    }

    /// Something failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::plain(message.into(), None, exit::FAILED)
    }

    pub fn help(self, help: Option<String>) -> Self {
        Self::plain(self.report.to_string(), help, self.code)
    }

    /// What is wrong with a pipeline file.
    pub fn pipeline(report: miette::Report) -> Self {
        Self { report, code: exit::WRONG }
    }

    fn plain(message: String, help: Option<String>, code: u8) -> Self {
        Self { report: Plain { message, help }.into(), code }
    }

    /// What kept a build from being.
    pub fn build(error: BuildError, pipeline: &crate::pipeline::Pipeline) -> Self {
        match error {
            BuildError::Pipeline(problems) => Self::pipeline(problems.report(&pipeline.file, &pipeline.text).into()),
            BuildError::Unknown(unknown) => Self::wrong(unknown.message).help(unknown.help),
            BuildError::Locked(_) => {
                Self::failed(error.to_string()).help(Some("without --no-wait, layermill waits for it".to_owned()))
            }
            BuildError::Interrupted => Self::plain(error.to_string(), None, exit::INTERRUPTED),
            BuildError::State(ref e) => Self::failed(with_cause(e)),
            BuildError::Io { .. } => Self::failed(error.to_string()),
        }
    }
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", with_cause(cause)),
        None => error.to_string(),
    }
}

/// Makes `--color` hold for all that is printed.
pub fn set_up(color: Color) {
    let choice = match color {
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::Always,
        Color::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
}

/// Prints an error, and gives its exit code.
pub fn show(error: &Error) -> ExitCode {
    let stderr = anstream::stderr();
    let colours = !matches!(stderr.current_choice(), anstream::ColorChoice::Never);
    let theme = if colours { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let width = std::env::var("COLUMNS").ok().and_then(|w| w.parse().ok()).unwrap_or(100);
    let mut text = String::new();
    let shown = GraphicalReportHandler::new_themed(theme)
        .with_width(width)
        .with_links(false)
        .render_report(&mut text, error.report.as_ref());
    if shown.is_err() {
        text = error.report.to_string();
    }
    anstream::eprintln!("{text}");
    ExitCode::from(error.code)
}

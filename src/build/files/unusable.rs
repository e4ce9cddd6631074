//! What is there and cannot be used.

use std::fmt;
use std::io;

use crate::rules::Failure;

/// Why what is there cannot be used.
#[derive(Clone, Debug)]
pub enum Unusable {
    /// It is this, where something else is wanted.
    Is(&'static str),
    /// This path in the folder is a symbolic link.
    Link(String),
    /// It cannot be read: why.
    Unread(String),
}

impl Unusable {
    /// What a file has come to be, as a cause tells it.
    pub fn became(&self) -> String {
        match self {
            Self::Is(what) => (*what).to_owned(),
            why => format!("what cannot be read: {why}"),
        }
    }

    /// The way out where it is read.
    pub fn help(&self) -> Option<String> {
        const HELP: &str =
            "links in folders are not followed: put a copy of what it leads to in its place, or name each file";
        matches!(self, Self::Link(_)).then(|| HELP.to_owned())
    }

    /// How a step fails that made this in place of an output.
    pub fn made_as(&self, output: &str, folder: bool) -> Failure {
        const HELP: &str = "links in folders are not kept: let the command copy what it leads to in its place";
        let wanted = if folder { "a folder" } else { "a file" };
        match self {
            Self::Is(what) => Failure::new(format!("the output {output} was to be {wanted}, and is: {what}")),
            why => Failure {
                help: matches!(why, Self::Link(_)).then(|| HELP.to_owned()),
                ..Failure::new(format!("the output {output} cannot be read: {why}"))
            },
        }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(what) => f.write_str(what),
            Self::Link(path) => write!(f, "{path} in it is a symbolic link"),
            Self::Unread(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Unusable {}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        error.downcast().unwrap_or_else(|error| Self::Unread(error.to_string()))
    }
}

//! A line for each build of `watch`: what changed, and what came of it.

use crate::build::events::{Event, Listener};

use super::failures::{self, Causes};
use super::words;

/// Tells one build, and what it was for.
pub struct Round {
    why: String,
}

impl Round {
    pub fn new(why: String) -> Self {
        Self { why }
    }
}

impl Listener for Round {
    fn hear(&mut self, event: &Event<'_>) {
        match event {
            Event::Waiting { holder } => anstream::eprint!("{}", words::waiting(holder)),
            Event::SetAside { what } => anstream::eprint!("{}", words::set_aside(what)),
            Event::Done(summary) => {
                let wrong = failures::failures(summary, Causes::First) + &words::warnings(summary);
                anstream::eprintln!("{wrong}{}: {}", self.why, words::line(summary));
            }
            _ => {}
        }
    }
}

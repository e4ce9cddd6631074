//! The whole program, run as people run it, against images, a real registry and servers that misbehave. Each test is named
//! after the promise that it proves. The registry is Debian's `docker-registry`; `tests/run` installs it.

mod adoption;
mod bad_input;
mod bed;
mod build;
mod cli;
mod command;
mod determinism;
mod engine;
mod events;
mod explain;
mod hostile;
mod interrupt;
mod laws;
mod sample;
mod support;
mod tags_layers;
mod verbs;

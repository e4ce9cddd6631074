//! The whole program, run as people run it, against images, a real registry and servers that misbehave. Each test is named
//! after the promise that it proves. The registry is Debian's `docker-registry`; `tests/run` installs it.

mod adoption;
mod auth;
mod bad_input;
mod bed;
mod budget;
mod build;
mod cli;
mod command;
mod crawl;
mod determinism;
mod edges;
mod engine;
mod events;
mod explain;
mod formats;
mod hostile;
mod hub;
mod imagelayers;
mod interrupt;
mod laws;
mod names;
mod once;
mod platforms;
mod reaching;
mod refusals;
mod repositories;
mod requests;
mod safety;
mod sample;
mod secrets;
mod sizes;
mod support;
mod tags_layers;
mod telling;
mod verbs;

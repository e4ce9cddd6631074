//! What the tests stand on: images, a real registry, a server that misbehaves, and a project to build in.

pub mod certificates;
pub mod clock;
pub mod fault;
pub mod front;
pub mod http;
pub mod hub;
pub mod images;
pub mod project;
pub mod proxy;
pub mod registry;
pub mod sample;
pub mod schema;
pub mod spoiler;
pub mod stock;
pub mod words;

use std::time::{Duration, Instant};

/// Waits until something holds, asking again and again; panics with `what` where it never does.
pub fn until<T>(what: &str, mut holds: impl FnMut() -> Option<T>) -> T {
    // Far longer than anything takes, so that a slow machine fails no test.
    let end = Instant::now() + Duration::from_secs(300);
    loop {
        if let Some(found) = holds() {
            return found;
        }
        assert!(Instant::now() < end, "gave up waiting: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

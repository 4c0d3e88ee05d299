//! The seeded world: people, phones and screens use the whole server in process, over a store that
//! fails on demand, with a clock that is set and chance that is sown; messages are lost, doubled and
//! late, the server crashes, and after every step the same things must be true.
//!
//! `WORLD_SEED` and `WORLD_STEPS` choose another course; a failure prints both. Only keys and
//! signatures come from the operating system, and no decision depends on which they are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "world/actors.rs"]
mod actors;
#[path = "world/chance.rs"]
mod chance;
#[path = "world/invariants.rs"]
mod invariants;
#[path = "world/net.rs"]
mod net;
#[path = "world/play.rs"]
mod play;

use chance::Seeded;

/// Steps of one world; then another begins, so that looking at everything after each step stays cheap.
const STEPS_EACH: u64 = 500;

#[expect(clippy::disallowed_methods, reason = "a course is chosen from outside")]
fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(usual)
}

#[test]
fn after_every_step_of_a_seeded_world_the_same_things_are_true() {
    let (seed, steps) = (setting("WORLD_SEED", 20_261_121), setting("WORLD_STEPS", 10_000));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut seen = play::Seen::default();
    let mut left = steps;
    let mut world = 0;
    while left > 0 {
        let n = left.min(STEPS_EACH);
        let own = seed.wrapping_add(world);
        let played = runtime.block_on(play::World::run(Seeded::new(own), n));
        match played {
            Ok(more) => seen.add(&more),
            Err(broken) => panic!("{broken}\n\nagain: WORLD_SEED={own} WORLD_STEPS={n}"),
        }
        left -= n;
        world += 1;
    }
    println!("{steps} steps from seed {seed}: {seen}");
    // A world in which nothing happens would prove nothing.
    if steps >= 10_000 {
        seen.was_eventful();
    }
}

//! Secrets of different processes (KEY-2).

use std::collections::HashSet;
use std::sync::Barrier;
use std::thread;

use serde_json::{Value, json};

use crate::support::{Caller, Place, Server, text};

const EACH: usize = 120;

/// Makes keys as fast as it can, once everybody is ready.
fn make(caller: &Caller, start: &Barrier) -> Vec<Value> {
    start.wait();
    (0..EACH).map(|_| caller.key(json!({ "class": "ingest", "label": "x" }))).collect()
}

#[test]
fn key_2_two_processes_never_make_the_same_secret() {
    let server = Server::start();
    let node = server.second_node();
    assert_ne!(node.pid(), server.pid());
    let callers =
        [server.root(), server.root(), node.caller(&server.operator()), node.caller(&server.operator())];
    let start = Barrier::new(callers.len());
    let made: Vec<Value> = thread::scope(|scope| {
        let all: Vec<_> = callers.iter().map(|caller| scope.spawn(|| make(caller, &start))).collect();
        all.into_iter().flat_map(|one| one.join().expect("no panic")).collect()
    });
    let count = callers.len() * EACH;
    let distinct = |part: &dyn Fn(&Value) -> String| made.iter().map(part).collect::<HashSet<_>>().len();
    assert_eq!(distinct(&|key| text(&key["id"])), count);
    assert_eq!(distinct(&|key| text(&key["access_key"])), count);
    // Also no part of what is random: two generators with one state would show in any of them.
    for (from, to) in [(4, 12), (12, 20), (20, 34), (34, 48), (48, 62)] {
        assert_eq!(distinct(&|key| text(&key["secret"])[from..to].to_owned()), count, "{from}..{to}");
    }
}

#[test]
fn key_2_processes_that_start_alike_at_the_same_moment_differ() {
    let places: Vec<Place> = (0..6).map(|_| Place::new()).collect();
    let start = Barrier::new(places.len());
    let made: Vec<Value> = thread::scope(|scope| {
        let bootstrap = |place: &Place| {
            start.wait();
            place.bootstrap()
        };
        // A place lives on one thread at a time; each thread has its own.
        let all: Vec<_> = places.iter().map(|place| scope.spawn(move || bootstrap(place))).collect();
        all.into_iter().map(|one| one.join().expect("no panic")).collect()
    });
    for name in ["tenant_id", "user_id", "access_key"] {
        let distinct: HashSet<_> = made.iter().map(|one| text(&one[name])).collect();
        assert_eq!(distinct.len(), places.len(), "{name}");
    }
    for (from, to) in [(4, 12), (20, 34), (48, 62)] {
        let distinct: HashSet<_> = made.iter().map(|one| text(&one["secret"])[from..to].to_owned()).collect();
        assert_eq!(distinct.len(), places.len(), "{from}..{to}");
    }
}

//! At least once: across kill -9, and with several nodes (R13).

use std::collections::{BTreeMap, BTreeSet};

use super::{bring_about, hook, scene, wait_for};
use crate::support::{text, wait_until};

#[test]
fn r_13_no_event_is_lost_by_kill_9_and_what_comes_twice_has_the_same_id() {
    let (mut server, receiver) = scene();
    hook(&server.root(), &receiver.url("/ok"), &["key.create"]);
    let mut made = BTreeSet::new();
    for round in 0..5 {
        let root = server.root();
        for place in 0..20 {
            made.insert(bring_about(&root, &format!("key-{round}-{place}")));
        }
        // At another moment of the way each time: before, while and after they are sent.
        std::thread::sleep(std::time::Duration::from_millis(120 * round));
        server = server.kill_and_restart();
    }
    // What a dead node had taken is due again when its lease is over.
    server.place.sql("UPDATE jobs SET due_at = 0");
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    wait_until(|| {
        ids.clear();
        for sent in receiver.at("/ok") {
            let key = text(&sent.json()["data"]["target"]["id"]);
            ids.entry(key).or_default().insert(sent.id());
        }
        ids.len() >= made.len()
    });
    assert_eq!(ids.keys().cloned().collect::<BTreeSet<_>>(), made, "none missing, none made up");
    assert!(ids.values().all(|ids| ids.len() == 1), "{ids:?}");
    let waiting = || server.root().get("/v1/jobs?state=waiting").ok();
    wait_until(|| waiting()["data"].as_array().is_some_and(Vec::is_empty));
}

#[test]
fn r_13_several_nodes_share_the_work_without_doubling_it() {
    let (server, receiver) = scene();
    let nodes = [server.second_node(), server.second_node()];
    let root = server.root();
    let callers = [root.clone(), nodes[0].caller(&root.secret), nodes[1].caller(&root.secret)];
    let made = hook(&root, &receiver.url("/ok"), &["key.create"]);
    for place in 0..45 {
        bring_about(&callers[place % callers.len()], &format!("key-{place}"));
    }
    receiver.wait_for("/ok", 45);
    wait_for(&root, &made, |row| row["state"] == "delivered");
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    let ids: BTreeSet<_> = receiver.at("/ok").iter().map(super::receiver::Got::id).collect();
    assert_eq!((ids.len(), receiver.at("/ok").len()), (45, 45), "nothing came twice");
}

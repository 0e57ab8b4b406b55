//! Attempts, what receivers do to them, and what becomes of a receiver that takes nothing (OUT-3, OUT-4, R13).

use std::time::Duration;

use serde_json::{Value, json};

use super::{actions, bring_about, deliveries, hook, hurry, path, scene, wait_for};
use crate::notifications::kinds;
use crate::support::{text, wait_until};

#[test]
fn out_4_a_message_is_tried_again_under_its_id_until_it_is_taken() {
    let (server, receiver) = scene();
    let root = server.root();
    let made = hook(&root, &receiver.url("/second"), &["key.create"]);
    bring_about(&root, "nightly");
    let failed = wait_for(&root, &made, |row| row["attempts"] == 1);
    assert_eq!((&failed["state"], &failed["status_code"]), (&json!("waiting"), &json!(500)));
    assert!(failed["next_attempt_at"].is_string() && failed["duration_ms"].is_number(), "{failed}");
    assert!(root.get(&path(&made)).ok()["failing_since"].is_string());
    // Not before its time, and then by itself: five seconds, a tenth more or less.
    let sent = receiver.wait_for("/second", 2);
    let pause = sent[1].at - sent[0].at;
    assert!(pause >= Duration::from_millis(4_400), "{pause:?}");
    assert_eq!(sent[0].id(), sent[1].id());
    assert_eq!(sent[0].body, sent[1].body);
    assert_ne!(sent[0].header("webhook-timestamp"), sent[1].header("webhook-timestamp"));
    assert!(sent.iter().all(|sent| sent.is_by(&text(&made["secret"]))));
    let done = wait_for(&root, &made, |row| row["state"] == "delivered");
    assert_eq!(
        (&done["attempts"], &done["error"], &done["response"]),
        (&json!(2), &Value::Null, &json!("taken"))
    );
    assert_eq!(root.get(&path(&made)).ok()["failing_since"], Value::Null);
}

#[test]
fn out_4_who_takes_nothing_is_told_of_then_switched_off_and_can_be_replayed() {
    let (server, receiver) = scene();
    let root = server.root();
    let administrators = text(&root.get("/v1/groups?q=Administrators").ok()["data"][0]["id"]);
    let (dora, key) = root.member("dora", &[]);
    root.put(&format!("/v1/groups/{administrators}/members/{dora}")).expect(204);
    let dora = server.caller(&text(&key["secret"]));
    let told = || kinds(&dora).iter().filter(|kind| *kind == "webhook").count();
    let made = hook(&root, &receiver.url("/fail"), &["key.create"]);
    bring_about(&root, "nightly");
    wait_for(&root, &made, |row| row["attempts"] == 1);
    server.place.sql("UPDATE jobs SET attempts = 2");
    hurry(&server);
    wait_for(&root, &made, |row| row["attempts"] == 3);
    assert_eq!((actions(&root, &made).len(), told()), (1, 0), "three are nothing yet");
    server.place.sql("UPDATE webhooks SET failing_since = failing_since - 1860000");
    server.place.sql("UPDATE webhook_deliveries SET first_failed_at = first_failed_at - 1860000");
    hurry(&server);
    wait_until(|| told() == 1);
    assert_eq!(actions(&root, &made)[0], "webhook.failing");
    wait_for(&root, &made, |row| row["attempts"] == 4);
    assert_eq!(root.get(&path(&made)).ok()["enabled"], true);
    // Told once, not each time.
    server.place.sql("UPDATE jobs SET attempts = 8");
    hurry(&server);
    wait_for(&root, &made, |row| row["attempts"] == 9);
    hurry(&server);
    let given_up = wait_for(&root, &made, |row| row["state"] == "failed");
    assert_eq!((&given_up["attempts"], &given_up["next_attempt_at"]), (&json!(10), &Value::Null));
    assert_eq!(given_up["response"], " [31mno   way ", "without tricks: {given_up}");
    wait_until(|| told() == 2);
    assert_eq!(actions(&root, &made)[..2], ["webhook.disabled", "webhook.failing"]);
    let off = root.get(&path(&made)).ok();
    assert_eq!((&off["enabled"], &off["disabled_reason"]), (&json!(false), &json!("failing")));
    let words = dora.get("/v1/notifications?kind=webhook").ok()["data"][0].clone();
    assert!(text(&words["text"]).contains("it answered 500"), "{words}");

    // Nothing is sent while it is off, not even again; what is missing can be sent once it is on.
    let replay = format!("{}/deliveries/{}/replay", path(&made), text(&given_up["id"]));
    root.post(&replay, json!({})).refused(409, "webhook_disabled");
    let sent = receiver.got().len();
    bring_about(&root, "unheard");
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!((receiver.got().len(), deliveries(&root, &made).len()), (sent, 1));
    let on = root.patch(&path(&made), json!({ "enabled": true, "url": receiver.url("/ok") })).ok();
    assert_eq!((&on["disabled_reason"], &on["failing_since"]), (&Value::Null, &Value::Null));
    assert_eq!(root.post(&replay, json!({})).ok()["state"], "waiting");
    let again = receiver.wait_for("/ok", 1).remove(0);
    assert_eq!(again.id(), receiver.at("/fail")[0].id());
    let done = wait_for(&root, &made, |row| row["state"] == "delivered");
    assert_eq!(done["attempts"], 1);
}

#[test]
fn out_4_ten_attempts_in_three_days_by_the_clock() {
    let (mut server, receiver) = scene();
    let made = hook(&server.root(), &receiver.url("/fail"), &["key.create"]);
    bring_about(&server.root(), "nightly");
    receiver.wait_for("/fail", 1);
    let mut ahead = 0;
    let pauses = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
    for (seconds, count) in pauses.into_iter().zip(2..) {
        wait_for(&server.root(), &made, |row| row["attempts"] == count - 1);
        // A tenth later at the latest; what the test itself takes comes on top.
        ahead += seconds + seconds / 10;
        server.place.ahead = Some(format!("+{ahead}s"));
        server = server.kill_and_restart();
        receiver.wait_for("/fail", usize::try_from(count).expect("a count"));
    }
    wait_for(&server.root(), &made, |row| row["state"] == "failed");
    wait_until(|| server.root().get(&path(&made)).ok()["enabled"] == false);
    let sent = receiver.at("/fail");
    let secret = text(&made["secret"]);
    assert!(sent.len() == 10 && sent.iter().all(|one| one.id() == sent[0].id() && one.is_by(&secret)));
    let at = |place: usize| sent[place].header("webhook-timestamp").parse::<i64>().expect("seconds");
    for (place, seconds) in pauses.into_iter().enumerate() {
        let pause = at(place + 1) - at(place);
        assert!(pause >= seconds * 9 / 10 - 1, "{pause} s before attempt {}", place + 2);
    }
    assert!((3 * 86_400 - 7_200..4 * 86_400).contains(&(at(9) - at(0))), "about three days");
}

#[test]
fn out_4_one_bad_message_does_not_switch_off_what_takes_others() {
    let (server, receiver) = scene();
    let root = server.root();
    let made = hook(&root, &receiver.url("/fail"), &["key.create"]);
    bring_about(&root, "bad");
    wait_for(&root, &made, |row| row["attempts"] == 1);
    server.place.sql("UPDATE jobs SET due_at = 9000000000000 WHERE kind = 'webhook'");
    root.patch(&path(&made), json!({ "url": receiver.url("/ok") })).expect(200);
    bring_about(&root, "good");
    wait_for(&root, &made, |row| row["state"] == "delivered");
    root.patch(&path(&made), json!({ "url": receiver.url("/fail") })).expect(200);
    server.place.sql("UPDATE jobs SET attempts = 9, due_at = 0 WHERE kind = 'webhook'");
    wait_until(|| deliveries(&root, &made)[1]["state"] == "failed");
    assert_eq!(root.get(&path(&made)).ok()["enabled"], true);
    assert!(!actions(&root, &made).contains(&"webhook.disabled".to_owned()));
    let failed = root.get(&format!("{}/deliveries?state=failed", path(&made))).ok();
    assert_eq!(failed["data"].as_array().map(Vec::len), Some(1));
    root.get(&format!("{}/deliveries?state=lost", path(&made))).expect(400);
}

#[test]
fn out_4_who_is_gone_is_switched_off_and_who_is_busy_left_alone() {
    let (server, receiver) = scene();
    let root = server.root();
    let gone = hook(&root, &receiver.url("/gone"), &["key.create"]);
    let busy = hook(&root, &receiver.url("/busy"), &["key.create"]);
    bring_about(&root, "nightly");
    wait_until(|| root.get(&path(&gone)).ok()["enabled"] == false);
    let row = wait_for(&root, &gone, |row| row["state"] == "failed");
    assert_eq!((&row["attempts"], &row["status_code"]), (&json!(1), &json!(410)));
    assert_eq!(root.get(&path(&gone)).ok()["disabled_reason"], "gone");
    assert_eq!(actions(&root, &gone)[0], "webhook.disabled");
    let row = wait_for(&root, &busy, |row| row["attempts"] == 1);
    let hours = |text: &str| {
        text[11..13].parse::<u32>().expect("an hour") * 60 + text[14..16].parse::<u32>().expect("minutes")
    };
    let wait = |row: &Value| {
        (1440 + hours(&text(&row["next_attempt_at"])) - hours(&text(&row["attempted_at"]))) % 1440
    };
    assert!((59..=67).contains(&wait(&row)), "an hour, as it asked: {row}");
    assert_eq!(root.get(&path(&busy)).ok()["enabled"], true);
}

#[test]
fn out_2_out_3_redirects_endless_bodies_and_silence_are_bounded() {
    let (server, receiver) = scene();
    let root = server.root();
    let at = |path: &str| hook(&root, &receiver.url(path), &["key.create"]);
    let (redirect, endless, slow, long) = (at("/redirect"), at("/endless"), at("/slow"), at("/long"));
    let (broken, closed) = (at("/break"), hook(&root, "http://127.0.0.1:9/", &["key.create"]));
    bring_about(&root, "nightly");
    let tried = |hook: &Value| wait_for(&root, hook, |row| row["attempts"] == 1);
    let row = tried(&redirect);
    assert_eq!((&row["status_code"], &row["state"]), (&json!(302), &json!("waiting")));
    assert!(text(&row["error"]).contains("redirects are not followed"));
    assert!(receiver.at("/ok").is_empty(), "nobody followed it");
    let row = wait_for(&root, &endless, |row| row["state"] == "delivered");
    assert_eq!(text(&row["response"]), "x".repeat(1024));
    let row = wait_for(&root, &long, |row| row["state"] == "delivered");
    assert_eq!(text(&row["response"]), "y".repeat(1024));
    let row = tried(&slow);
    assert_eq!((&row["status_code"], text(&row["error"]).as_str()), (&Value::Null, "no answer within 2 s"));
    assert!((1_900..4_000).contains(&row["duration_ms"].as_i64().expect("a number")), "{row}");
    assert!(text(&tried(&broken)["error"]).contains("the connection broke"));
    assert!(text(&tried(&closed)["error"]).contains("no connection"));
}

#[test]
fn r_13_out_3_a_dead_endpoint_delays_no_other() {
    let (server, receiver) = scene();
    let root = server.root();
    let dead: Vec<_> =
        (0..12).map(|n| hook(&root, &receiver.url(&format!("/slow/{n}")), &["key.create"])).collect();
    let good = hook(&root, &receiver.url("/ok"), &["key.create"]);
    let mut made = Vec::new();
    for number in 0..20 {
        made.push((bring_about(&root, &format!("key-{number}")), std::time::Instant::now()));
        std::thread::sleep(Duration::from_millis(100));
    }
    let sent = receiver.wait_for("/ok", 20);
    for (key, at) in &made {
        let came = sent.iter().find(|sent| sent.json()["data"]["target"]["id"] == key.as_str());
        let took = came.expect("it came").at.saturating_duration_since(*at);
        assert!(took < Duration::from_secs(2), "{took:?} beside {} that are dead", dead.len());
    }
    assert!(deliveries(&root, &good).iter().all(|row| row["attempts"].as_i64() <= Some(1)));
    // And each of the dead has its own queue.
    assert!(deliveries(&root, &dead[0]).len() == 20);
}

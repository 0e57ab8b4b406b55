//! Where webhooks may lead: checked when they are saved, and at each delivery (OUT-2).

use serde_json::json;

use super::receiver::Receiver;
use super::{ALLOW, bring_about, hook, path, wait_for};
use crate::api::all;
use crate::support::{Place, Server, text};

#[test]
fn out_2_what_leads_inside_is_refused_when_it_is_saved() {
    let server = Server::start();
    let root = server.root();
    let receiver = Receiver::open();
    let port = receiver.port();
    let good = hook(&root, "https://hooks.example.com/keyward", &["*"]);
    for url in [
        receiver.url("/ok"),
        format!("https://127.0.0.1:{port}/"),
        "https://127.0.0.1/".into(),
        "https://127.1/".into(),
        "https://0x7f.1/".into(),
        "https://2130706433/".into(),
        "https://[::ffff:127.0.0.1]/".into(),
        "https://[::1]:8443/".into(),
        "https://[64:ff9b::7f00:1]/".into(),
        "https://localhost/".into(),
        "https://localhost./".into(),
        "https://10.0.0.1/".into(),
        "https://169.254.169.254/latest/meta-data/".into(),
        "https://0.0.0.0/".into(),
        "https://100.64.0.1/".into(),
        "http://hooks.example.com/".into(),
        "https://hooks.example.com:22/".into(),
        "https://user:pass@hooks.example.com/".into(),
        "https://hooks.example.com/#x".into(),
        "ftp://hooks.example.com/".into(),
        "javascript:alert(1)".into(),
        "hooks.example.com".into(),
        format!("https://hooks.example.com/{}", "x".repeat(2_000)),
    ] {
        let body = json!({ "url": url, "events": ["*"] });
        let refused = root.post("/v1/webhooks", body).refused(422, "invalid_value");
        assert_eq!(refused.body["errors"][0]["pointer"], "/url", "{url}");
        root.patch(&path(&good), json!({ "url": url })).refused(422, "invalid_value");
    }
    assert_eq!(all(&root, "/v1/webhooks"), [root.get(&path(&good)).ok()], "what is refused changes nothing");
    assert_eq!(root.get(&path(&good)).ok()["version"], 1);
    assert!(receiver.got().is_empty());
}

#[test]
fn out_2_what_leads_inside_later_is_refused_when_it_is_sent() {
    let receiver = Receiver::open();
    let server = Server::with_config(ALLOW);
    let made = hook(&server.root(), &receiver.url("/ok"), &["key.create"]);
    let named = hook(&server.root(), &format!("http://localhost:{}/ok", receiver.port()), &["key.create"]);
    bring_about(&server.root(), "before");
    receiver.wait_for("/ok", 2);
    // The operator takes it back: what is saved stays, and nothing goes there.
    let server = server.kill_and_restart_with("");
    let root = server.root();
    bring_about(&root, "after");
    for hook in [&made, &named] {
        let row = wait_for(&root, hook, |row| row["attempts"] == 1 && row["state"] == "waiting");
        assert!(text(&row["error"]).contains("webhooks.allow"), "{row}");
    }
    assert_eq!(receiver.at("/ok").len(), 2);
}

#[test]
fn out_2_over_tls_to_those_whose_certificate_is_good_only() {
    let place = Place::new();
    let (receiver, certificate) = Receiver::open_secure(&place);
    let root = place.bootstrap();
    let allow = format!("allow: ['127.0.0.1:{}']", receiver.port());
    let server = Server::serve(place, root, &format!("webhooks: {{{allow}}}\n"));
    let made = hook(&server.root(), &receiver.url("/ok"), &["key.create"]);
    bring_about(&server.root(), "unknown");
    let row = wait_for(&server.root(), &made, |row| row["attempts"] == 1);
    assert!(text(&row["error"]).starts_with("TLS: "), "{row}");
    assert!(receiver.got().is_empty(), "nothing was told to somebody unknown");

    let config = format!("webhooks: {{{allow}, ca_file: '{}'}}\n", certificate.display());
    let server = server.kill_and_restart_with(&config);
    bring_about(&server.root(), "known");
    let sent = receiver.wait_for("/ok", 1);
    assert!(sent[0].is_by(&text(&made["secret"])));
}

#[test]
fn out_2_a_wrong_rule_or_file_stops_the_start() {
    let place = Place::new();
    let check = |section: &str| {
        let file = place.folder.path().join("wrong.yml");
        std::fs::write(&file, format!("webhooks: {section}\n")).expect("written");
        let args = ["config", "check", "--config", file.to_str().expect("UTF-8")];
        let checked = place.keyward(&args).output().expect("the binary runs");
        (checked.status.code(), String::from_utf8_lossy(&checked.stderr).into_owned())
    };
    for wrong in ["['*.example.com']", "['10.0.0.1/8']", "['http://x']", "['host:0']", "['127.1']", "host"] {
        let (code, told) = check(&format!("{{allow: {wrong}}}"));
        assert_eq!(code, Some(3), "{wrong}: {told}");
        assert!(told.contains("webhooks.allow"), "{told}");
    }
    assert_eq!(check("{timeout: 31s}").0, Some(3));
    assert_eq!(check("{allow: ['hooks.internal:8080', '10.1.0.0/16', '[fd00::/8]:8080']}").0, Some(0));
    let root = place.bootstrap();
    assert!(root["secret"].is_string());
    let file = place.folder.path().join("wrong.yml");
    std::fs::write(&file, "webhooks: {ca_file: /nowhere.pem}\n").expect("written");
    let serve = ["serve", "--config", file.to_str().expect("UTF-8")];
    let started = place.run(&serve);
    assert_ne!(started.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&started.stderr).contains("webhooks.ca_file"), "{started:?}");
}

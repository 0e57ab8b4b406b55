//! The way of a mail: protected, once, also across crashes; and what becomes of those that cannot be sent.

use std::process::Command;

use serde_json::{Value, json};

use super::{Postbox, address, wait_until_told, with_mail};
use crate::support::{Place, Server, text, wait_until};

/// A certificate for 127.0.0.1; returns the files of certificate and key.
fn certificate(place: &Place) -> (String, String) {
    let file = |name: &str| place.folder.path().join(name).display().to_string();
    let (cert, key) = (file("mail.crt"), file("mail.key"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", &key, "-out", &cert])
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (cert, key)
}

/// A place where `ada` gets news whenever her address changes.
fn serve(place: Place, config: &str) -> (Server, String) {
    let root = place.bootstrap();
    let server = Server::serve(place, root, config);
    let ada = server.root().user("ada", &[]);
    (server, ada)
}

fn jobs(server: &Server, state: &str) -> Vec<Value> {
    let listed = server.root().get(&format!("/v1/jobs?state={state}")).ok();
    listed["data"].as_array().expect("a list").clone()
}

#[test]
fn bm_8_mail_goes_over_tls_with_a_login_or_not_at_all() {
    let place = Place::new();
    let (cert, key) = certificate(&place);
    let password = place.folder.path().join("password");
    std::fs::write(&password, "open sesame\n").expect("written");
    let postbox = Postbox::open(&place, &["--tls", &cert, &key, "--login", "keyward", "open sesame"]);
    let login = format!("username: keyward, password_file: '{}'", password.display());
    let (server, ada) = serve(place, &postbox.config(&format!("ca_file: '{cert}', {login}")));
    address(&server.root(), &ada, "ada@example.org");
    let mail = postbox.wait_for(1).remove(0);
    assert_eq!((mail["tls"].as_bool(), mail["login"].as_str()), (Some(true), Some("keyward")));
    assert_eq!(mail["from"], "keyward@example.org");
    let header = |name: &str| {
        let headers = mail["headers"].as_array().expect("a list");
        let found: Vec<_> = headers.iter().filter(|header| header[0] == name).map(|h| text(&h[1])).collect();
        found.join("|")
    };
    assert_eq!(header("Auto-Submitted"), "auto-generated");
    assert!(header("Message-ID").starts_with("<job_"), "{mail}");
    assert_eq!(header("To"), "ada@example.org");
    assert!(!server.place.log().contains("sesame") && !server.place.dump().contains("sesame"));

    // A server whose certificate nobody vouches for gets neither password nor mail.
    let config = postbox.config(&login);
    let mut server = server;
    server = server.kill_and_restart_with(&config);
    address(&server.root(), &ada, "ada@example.net");
    wait_until(|| jobs(&server, "waiting").iter().any(|job| job["last_error"].is_string()));
    assert!(
        text(&jobs(&server, "waiting")[0]["last_error"]).contains("certificate"),
        "{:?}",
        jobs(&server, "waiting")
    );
    assert_eq!(postbox.mails().len(), 1);
}

#[test]
fn bm_8_a_server_without_starttls_gets_nothing_and_a_plain_password_stops_the_start() {
    let place = Place::new();
    let postbox = Postbox::open(&place, &[]);
    let (server, ada) = serve(place, &postbox.config("tls: starttls"));
    address(&server.root(), &ada, "ada@example.org");
    wait_until(|| jobs(&server, "waiting").iter().any(|job| job["last_error"].is_string()));
    assert!(postbox.mails().is_empty());
    let job = &jobs(&server, "waiting")[0];
    assert_eq!((job["attempts"].as_i64(), job["about"]["kind"].as_str()), (Some(1), Some("account")));

    let file = server.place.folder.path().join("plain.yml");
    let mail = "{host: mail.example.org, tls: none, username: a, password_file: /tmp/x}";
    std::fs::write(&file, format!("mail: {mail}\n")).expect("written");
    let check = ["config", "check", "--config", file.to_str().expect("UTF-8")];
    let checked = server.place.keyward(&check).output().expect("the binary runs");
    assert_eq!(checked.status.code(), Some(3), "{checked:?}");
    assert!(String::from_utf8_lossy(&checked.stderr).contains("mail.tls"), "{checked:?}");
}

#[test]
fn r_13_what_is_refused_for_good_can_be_replayed_and_what_is_busy_comes_again() {
    let (server, postbox) = with_mail();
    let root = server.root();
    let nobody = root.user("nobody", &[]);
    address(&root, &nobody, "nobody@example.org");
    wait_until(|| jobs(&server, "failed").len() == 1);
    let job = jobs(&server, "failed").remove(0);
    assert!(text(&job["last_error"]).contains("550"), "{job}");
    assert_eq!(job["due_at"], Value::Null);
    let busy = root.user("busy", &[]);
    address(&root, &busy, "busy@example.org");
    wait_until(|| jobs(&server, "waiting").iter().any(|job| job["attempts"] == 1));
    let waiting = jobs(&server, "waiting").remove(0);
    let path = format!("/v1/jobs/{}", text(&waiting["id"]));
    root.post(&format!("{path}/replay"), json!({})).refused(409, "job_waiting");
    let (_, reader) = root.member("reader", &["jobs:read"]);
    let reader = server.caller(&text(&reader["secret"]));
    assert_eq!(reader.get(&path).ok()["state"], "waiting");
    reader.delete(&path).refused(403, "insufficient_rights");

    // The mail goes to the address that is on file when it is sent.
    server.place.sql("UPDATE users SET email = 'now@example.org' WHERE username IN ('nobody', 'busy')");
    server.place.sql("UPDATE jobs SET due_at = 0 WHERE failed_at IS NULL");
    let path = format!("/v1/jobs/{}/replay", text(&job["id"]));
    assert_eq!(root.post(&path, json!({})).ok()["state"], "waiting");
    let mails = postbox.wait_for(2);
    assert!(mails.iter().all(|mail| mail["to"] == json!(["now@example.org"])), "{mails:?}");
    wait_until(|| jobs(&server, "waiting").is_empty() && jobs(&server, "failed").is_empty());
}

#[test]
fn r_13_nothing_is_lost_by_kill_9_and_what_comes_twice_is_known() {
    let (mut server, postbox) = with_mail();
    let mut sent = 0;
    for round in 0..4 {
        let root = server.root();
        for place in 0..12 {
            let user = root.user(&format!("user-{round}-{place}"), &[]);
            address(&root, &user, &format!("user-{round}-{place}@example.org"));
            sent += 1;
        }
        // At another moment of the way each time: before, while and after they are sent.
        std::thread::sleep(std::time::Duration::from_millis(150 * round));
        server = server.kill_and_restart();
    }
    // What a dead node had taken is due again when its lease is over.
    server.place.sql("UPDATE jobs SET due_at = 0");
    wait_until(|| {
        let mut to: Vec<_> = postbox.subjects().into_iter().map(|(to, _)| to).collect();
        to.dedup();
        to.len() == sent
    });
    wait_until_told(&server.root());
    let ids = |mail: &Value| {
        let headers = mail["headers"].as_array().expect("a list").clone();
        headers.into_iter().find(|header| header[0] == "Message-ID").map(|header| text(&header[1]))
    };
    let mut all: Vec<_> = postbox.mails().iter().map(|mail| (text(&mail["to"][0]), ids(mail))).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), sent, "what came twice has the same id");
}

#[test]
fn r_13_several_nodes_share_the_work_without_doubling_it() {
    let (server, postbox) = with_mail();
    let nodes = [server.second_node(), server.second_node()];
    let root = server.root();
    let callers = [root.clone(), nodes[0].caller(&root.secret), nodes[1].caller(&root.secret)];
    for place in 0..30 {
        let caller = &callers[place % callers.len()];
        let user = caller.user(&format!("user-{place}"), &[]);
        address(caller, &user, &format!("user-{place}@example.org"));
    }
    postbox.wait_for(30);
    wait_until_told(&root);
    let mut to: Vec<_> = postbox.subjects().into_iter().map(|(to, _)| to).collect();
    assert_eq!(to.len(), 30);
    to.dedup();
    assert_eq!(to.len(), 30, "nobody got it twice");
}

#[test]
fn r_13_a_mail_server_that_is_away_holds_up_nothing_and_gets_it_later() {
    let (server, mut postbox) = with_mail();
    postbox.stop();
    let root = server.root();
    let ada = root.user("ada", &[]);
    address(&root, &ada, "ada@example.org");
    wait_until(|| jobs(&server, "waiting").iter().any(|job| job["last_error"].is_string()));
    let waiting = jobs(&server, "waiting").remove(0);
    assert!(waiting["due_at"].is_string());
    postbox.start();
    server.place.sql("UPDATE jobs SET due_at = 0");
    postbox.wait_for(1);
}

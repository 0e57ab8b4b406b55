//! Slow hashes: found by a public part, proven once, and dear to guess at.

use serde_json::{Value, json};

use super::{BCRYPT, imported, named, refused, row};
use crate::api::{all, tenant};
use crate::support::{Answer, Server, client, wait_until};

/// Format, public part, credential, hash.
const SLOW: [(&str, &str, &str, &str); 3] = [
    (
        "bcrypt",
        "bc12_Zx3",
        "bc12_Zx3Cv6Bn9Mq2We5Rt8Yu1Io4",
        "$2b$05$F3uY5CZW1Zos3uh8HU/tTuEr.aj1AJD1A1ZZAnXOmoENQaCwaEhZi",
    ),
    (
        "argon2",
        "ar34_",
        "ar34_Pl0Ok9Ij8Uh7Yg6Tf5Rd4Es3",
        "$argon2id$v=19$m=1024,t=2,p=2$NQP22pKwRg8v6G3tk8KkUw$SvtrMvPRBSSwYwL4dZ2+RnBQmFY3LKFzOy1U49sdheU",
    ),
    (
        "drf_api_key",
        "Qw9Er8Ty",
        "Qw9Er8Ty.Ui7Op6As5Df4Gh3Jk2Lz1Xc0Vb9Nm8Qq",
        "pbkdf2_sha256$260000$NaCl4Django$SPqCucifsnEp52bq+biewA6iYttPvyWBtHOoIaRWGEA=",
    ),
];

fn slow_row(name: &str, prefix: &str, hash: &str) -> Value {
    let mut wish = row(name, hash);
    wish["lookup_prefix"] = json!(prefix);
    wish
}

#[test]
fn x_11_slow_hashes_are_proven_once_and_then_gone() {
    let server = Server::start();
    let root = server.root();
    for (format, prefix, credential, hash) in SLOW {
        assert_ne!(root.code(credential), "ok");
        assert_eq!(refused(&root, format, row(format, hash)), "required", "it needs the public part");
        assert_eq!(refused(&root, format, slow_row(format, "abc", hash)), "required");
        let key = imported(&root, format, slow_row(format, prefix, hash));
        assert!(!server.place.dump().contains(hash), "it is sealed from the beginning");
        for wrong in [format!("{credential}x"), format!("{prefix}.wrong-behind-it")] {
            assert_eq!(root.code(&wrong), "invalid_key", "{format}");
        }
        assert_eq!(root.code(prefix), "invalid_key");
        let verified = root.verify(credential);
        assert_eq!((&verified["code"], &verified["key"]["id"]), (&json!("ok"), &key["id"]), "{format}");
        assert_eq!(root.code(&format!("{credential}x")), "invalid_key");
        assert_eq!(root.code(credential), "ok", "also from memory");
    }
    assert_eq!(server.place.sql("UPDATE imported_secrets SET sealed = NULL WHERE sealed IS NOT NULL"), 0);
    assert_eq!(server.place.sql("UPDATE key_secrets SET hash = hash WHERE pepper_id = 0"), 0);
    let dump = server.place.dump();
    for (_, _, credential, hash) in SLOW {
        assert!(!dump.contains(credential) && !dump.contains(hash));
    }
    let server = server.kill_and_restart();
    for (format, _, credential, _) in SLOW {
        assert_eq!(server.root().code(credential), "ok", "{format}");
    }
}

#[test]
fn x_11_another_node_learns_of_the_first_use() {
    let server = Server::start();
    let node = server.second_node();
    let (root, there) = (server.root(), node.caller(&server.operator()));
    let (format, prefix, credential, hash) = SLOW[0];
    imported(&root, format, slow_row("a", prefix, hash));
    imported(&root, "plain", row("b", "imported-behind-the-other"));
    // The feed has an order: what came before it is known there too.
    wait_until(|| there.code("imported-behind-the-other") == "ok");
    assert_eq!(there.code(&format!("{credential}x")), "invalid_key");
    assert_eq!(root.code(credential), "ok");
    assert_eq!(there.code(credential), "ok", "at once, whatever it has heard of the first use");
    wait_until(|| {
        server.place.sql("UPDATE imported_secrets SET sealed = NULL WHERE sealed IS NOT NULL") == 0
    });
    assert_eq!([there.code(credential), root.code(credential)], ["ok", "ok"]);
}

#[test]
fn x_11_a_prefix_is_of_one_tenant() {
    let server = Server::start();
    let root = server.root();
    let (_, admin) = tenant(&server, "acme");
    let (_, stranger) = tenant(&server, "globex");
    let (_, prefix, credential, hash) = SLOW[0];
    let other = BCRYPT;
    imported(&stranger, "bcrypt", slow_row("a", prefix, other));
    let key = imported(&admin, "bcrypt", slow_row("a", prefix, hash));
    assert_eq!(refused(&admin, "bcrypt", slow_row("b", prefix, other)), "duplicate_credential");
    assert_eq!(admin.verify(credential)["key"]["id"], key["id"]);
    assert_eq!(stranger.code(credential), "invalid_key");
    assert_eq!(root.code(credential), "ok");
}

#[test]
fn x_11_ver_5_guesses_at_slow_hashes_are_throttled_by_source() {
    let server = Server::with_config("server:\n  trusted_proxies: [127.0.0.1/32]\n");
    let root = server.root();
    let (format, prefix, credential, hash) = SLOW[0];
    imported(&root, format, slow_row("a", prefix, hash));
    let from = |address: &str, text: &str| {
        let request = client().get(format!("{}/authz", server.url)).bearer_auth(text);
        Answer::read(request.header("x-forwarded-for", address).send().expect("an answer"))
    };
    let mut statuses = Vec::new();
    for number in 0..14 {
        statuses.push(from("192.0.2.7", &format!("{prefix}-guess-{number}")).status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 10, "{statuses:?}");
    assert_eq!(statuses[13], 429);
    // Not even the right one is computed for it; another source is free, and what was proven costs nothing.
    assert_eq!(from("192.0.2.7", credential).status, 429);
    assert_eq!(from("198.51.100.7", credential).status, 200);
    assert_eq!(from("192.0.2.7", credential).status, 200);
    assert_eq!(from("192.0.2.7", &root.secret).status, 200);
    let key = all(&root, "/v1/keys?label=a")[0].clone();
    assert_eq!(key["secrets"][0]["live"], true);
}

#[test]
fn x_11_ver_8_a_text_that_another_tenant_holds_is_refused_after_one_computation() {
    let server = Server::start();
    let root = server.root();
    let (_, admin) = tenant(&server, "acme");
    let (_, stranger) = tenant(&server, "globex");
    let (_, prefix, credential, hash) = SLOW[0];
    let theirs = imported(&stranger, "bcrypt", slow_row("a", prefix, hash));
    let ours = imported(&admin, "plain", row("b", credential));
    let began = std::time::Instant::now();
    assert_eq!(stranger.code(credential), "invalid_key");
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    assert_eq!(admin.verify(credential)["key"]["id"], ours["id"]);
    assert_eq!(root.verify(credential)["key"]["id"], ours["id"]);
    // What was computed in vain counts as a guess does.
    let codes: Vec<String> = (0..12).map(|_| stranger.code(credential)).collect();
    assert_eq!(codes[11], "rate_limited", "{codes:?}");
    assert_eq!(named(&stranger, &theirs["imported"]["external_id"])["status"], "active");
}

#[test]
fn x_11_ver_5_guesses_that_come_at_once_are_counted_each() {
    let server = Server::with_config("login:\n  hashers: 2\n");
    let root = server.root();
    let (format, prefix, credential, hash) = SLOW[2];
    imported(&root, format, slow_row("a", prefix, hash));
    let many: Vec<Value> = std::thread::scope(|scope| {
        let ask = |number: usize| root.verify(&format!("{prefix}.guess-{number}"))["code"].clone();
        let running: Vec<_> = (0..24).map(|number| scope.spawn(move || ask(number))).collect();
        running.into_iter().map(|one| one.join().expect("an answer")).collect()
    });
    let computed = many.iter().filter(|code| **code == "invalid_key").count();
    assert!(computed <= 11, "{many:?}");
    assert!(many.iter().any(|code| *code == "rate_limited"), "{many:?}");
    assert_eq!(root.code(credential), "rate_limited");
}

#[test]
fn x_11_of_many_first_uses_at_once_none_is_refused() {
    let server = Server::start();
    let root = server.root();
    let (format, prefix, credential, hash) = SLOW[1];
    imported(&root, format, slow_row("a", prefix, hash));
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..24).map(|_| scope.spawn(|| root.code(credential))).collect();
        for one in running {
            assert_eq!(one.join().expect("an answer"), "ok");
        }
    });
}

#[test]
fn x_11_ver_5_guesses_at_one_key_bar_nobody_from_the_first_use_of_another() {
    let server = Server::start();
    let root = server.root();
    let (format, prefix, _, hash) = SLOW[0];
    imported(&root, format, slow_row("guessed at", prefix, hash));
    let (format, other, credential, hash) = SLOW[1];
    imported(&root, format, slow_row("other", other, hash));
    while root.code(&format!("{prefix}-a-guess")) != "rate_limited" {}
    assert_eq!(root.code(credential), "ok", "of the same tenant and from the same source");
}

#[test]
fn x_11_ver_5_many_public_parts_of_one_tenant_keep_no_other_from_its_turn() {
    let server = Server::start();
    let root = server.root();
    let (_, admin) = tenant(&server, "acme");
    let (_, stranger) = tenant(&server, "globex");
    let (_, _, credential, hash) = SLOW[0];
    for length in 11..23 {
        let part = &credential[..length];
        imported(&stranger, "bcrypt", slow_row(part, part, BCRYPT));
    }
    let key = imported(&admin, "bcrypt", slow_row("a", &credential[..10], hash));
    assert_eq!(root.verify(credential)["key"]["id"], key["id"]);
}

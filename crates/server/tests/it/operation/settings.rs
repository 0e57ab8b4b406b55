//! Unsafe and mistaken settings stop the start (OPS-9).

use serde_json::Value;

use crate::cli::Run;
use crate::process::{Process, refused, refused_start, serve};
use crate::support::{Place, free_port, text};

#[test]
fn ops_9_plain_http_off_loopback_needs_the_operators_word() {
    let place = Place::new();
    let secret = text(&place.bootstrap()["secret"]);
    for address in ["0.0.0.0:0", "[::]:0"] {
        let data = place.data();
        let args = ["serve", "--data-dir", data.to_str().expect("UTF-8"), "--listen", address];
        let run = refused(place.keyward(&args));
        assert_eq!(run.code, 3, "{}", run.err);
        assert!(run.err.contains("--insecure-listen"), "{}", run.err);
    }
    let run = refused_start(
        &place,
        "",
        &[("KEYWARD_SERVER__LISTEN", "0.0.0.0:1"), ("KEYWARD_SERVER__PUBLIC_URL", "x")],
    );
    assert_eq!(run.code, 3, "{}", run.err);
    let port = free_port();
    let data = place.data();
    let listen = format!("0.0.0.0:{port}");
    let args =
        ["serve", "--data-dir", data.to_str().expect("UTF-8"), "--listen", &listen, "--insecure-listen"];
    let server = Process::spawn(&place, place.keyward(&args), port);
    server.caller(&secret).get("/v1/me").expect(200);
}

#[test]
fn ops_9_unknown_keys_stop_the_start_and_name_what_was_meant() {
    let place = Place::new();
    place.bootstrap();
    for (config, named, meant) in [
        ("server: {lsten: 127.0.0.1:1}", "lsten", "listen"),
        ("servr: {listen: 127.0.0.1:1}", "servr", "server"),
        ("server: {timeouts: {first_bite: 1s}}", "first_bite", "first_byte"),
        ("verify: {max_stalenes: 1s}", "max_stalenes", "max_staleness"),
    ] {
        let run = refused_start(&place, config, &[]);
        assert_eq!(run.code, 3, "{config}: {}", run.err);
        assert!(run.err.contains(named) && run.err.contains(meant), "{config}: {}", run.err);
        assert!(run.err.contains("line 1"), "{config}: {}", run.err);
    }
    let run = refused_start(&place, "", &[("KEYWARD_SERVER__LSTEN", "127.0.0.1:1")]);
    assert_eq!(run.code, 3);
    assert!(
        run.err.contains("KEYWARD_SERVER__LSTEN") && run.err.to_lowercase().contains("listen"),
        "{}",
        run.err
    );
}

#[test]
fn ops_9_values_out_of_range_and_double_keys_stop_the_start() {
    let place = Place::new();
    place.bootstrap();
    for (config, named) in [
        ("server: {max_connections: 0}", "max_connections"),
        ("server: {timeouts: {first_byte: 0s}}", "first_byte"),
        ("server: {timeouts: {first_byte: soon}}", "first_byte"),
        ("server: {trusted_proxies: [everybody]}", "trusted_proxies"),
        ("server: {tls: {cert_file: only.pem}}", "key_file"),
        ("limits: {max_body_bytes: 1}", "max_body_bytes"),
        ("verify: {on_database_loss: serve_for 1d}", "on_database_loss"),
        ("log: {filter: 'keyward=shout'}", "filter"),
        ("server: {threads: 1}\nserver: {threads: 2}", "server"),
        ("keys: {prefixes: {member: kwt}}", "prefixes"),
        ("root_key: {file: a, command: b}", "root_key"),
        (": :", ""),
    ] {
        let run = refused_start(&place, config, &[]);
        assert_eq!((run.code, run.out.as_str()), (3, ""), "{config}: {}", run.err);
        assert!(run.err.contains(named), "{config}: {}", run.err);
    }
    let run = refused_start(&place, "", &[("KEYWARD_DATABASE__URL", "mysql://h/db")]);
    assert!(run.code == 3 && run.err.contains("database.url"), "{}", run.err);
    let missing = place.keyward(&["serve", "--config", "nowhere.yml"]);
    assert_eq!(refused(missing).code, 3);
}

#[test]
fn ops_9_a_port_in_use_is_told() {
    let place = Place::new();
    place.bootstrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = taken.local_addr().expect("an address").port();
    let run = refused(serve(&place, "", port));
    assert_eq!(run.code, 3, "{}", run.err);
    assert!(run.err.contains(&port.to_string()), "{}", run.err);
}

#[test]
fn ops_9_aud_2_config_show_names_origins_and_hides_passwords() {
    let place = Place::new();
    let file = place.folder.path().join("config.yml");
    std::fs::write(&file, "server: {threads: 3}\nlog: {format: text}\n").expect("written");
    let show = |extra: &[&str]| -> Run {
        let args = [&["config", "show", "--config", file.to_str().expect("UTF-8")][..], extra].concat();
        let mut command = place.keyward(&args);
        command.env("KEYWARD_VERIFY__USAGE_FLUSH", "7s");
        command.env("KEYWARD_DATABASE__URL", "postgres://u:canary-password@h/db");
        command.output().expect("the binary runs").into()
    };
    let run = show(&[]);
    assert_eq!(run.code, 0, "{}", run.err);
    let line = |key: &str| {
        run.out
            .lines()
            .find(|line| line.contains(key))
            .unwrap_or_else(|| panic!("{key} is not in {}", run.out))
            .to_owned()
    };
    assert!(
        line("server.threads").contains('3') && line("server.threads").contains("config.yml"),
        "{}",
        run.out
    );
    assert!(
        line("verify.usage_flush").contains("7s")
            && line("verify.usage_flush").contains("KEYWARD_VERIFY__USAGE_FLUSH")
    );
    assert!(line("server.drain").contains("default"));
    assert!(!run.out.contains("canary-password") && !run.err.contains("canary-password"), "{}", run.out);
    let json: Value = serde_json::from_str(&show(&["-o", "json"]).out).expect("JSON");
    assert!(!json.to_string().contains("canary-password"));
}

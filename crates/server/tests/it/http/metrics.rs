//! Metrics on a listener of their own (HTTP-7).

use std::collections::HashSet;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::process::Process;
use crate::support::{Answer, Place, client, free_port, text};

struct Watched {
    server: Process,
    metrics: String,
    secret: String,
    tenant: String,
    _place: Place,
}

fn watched() -> Watched {
    let place = Place::new();
    let root = place.bootstrap();
    let metrics = format!("127.0.0.1:{}", free_port());
    let server = Process::start(&place, "", &[("KEYWARD_METRICS__LISTEN", &metrics)]);
    Watched {
        server,
        metrics,
        secret: text(&root["secret"]),
        tenant: text(&root["tenant_id"]),
        _place: place,
    }
}

impl Watched {
    fn scrape(&self) -> Answer {
        Answer::read(client().get(format!("http://{}/metrics", self.metrics)).send().expect("metrics"))
    }

    /// Uses everything that counts something, under names that must not show.
    fn use_everything(&self) -> Vec<String> {
        let root = self.server.caller(&self.secret);
        let (user, key) = root.member("metrics-user-marker", &["metricsright:read"]);
        let secret = text(&key["secret"]);
        root.code(&secret);
        root.code("kwm_garbage-marker");
        self.server.caller(&secret).get("/authz").expect(200);
        self.server.caller("garbage-marker").get("/authz").expect(401);
        self.server.caller(&secret).get("/v1/users").expect(403);
        root.get("/v1/keys/path-marker").expect(404);
        root.post("/v1/tenants", json!({ "slug": "tenant-marker" })).expect(201);
        let ids = [&key["id"], &key["access_key"], &key["secret"]].map(text);
        [
            vec![user, self.tenant.clone(), self.secret.clone(), "marker".into(), "127.0.0.1".into()],
            ids.to_vec(),
        ]
        .concat()
    }
}

#[test]
fn http_7_metrics_have_a_listener_of_their_own() {
    let watched = watched();
    assert!(watched.scrape().expect(200).text.contains("keyward_build_info"));
    let root = watched.server.caller(&watched.secret);
    root.get("/metrics").expect(404);
    for path in ["/v1/me", "/v1/keys", "/healthz", "/authz", "/openapi.json"] {
        let answer =
            client().get(format!("http://{}{path}", watched.metrics)).bearer_auth(&watched.secret).send();
        assert_eq!(answer.expect("an answer").status(), 404, "the metrics listener has metrics only: {path}");
    }
}

#[test]
fn http_7_labels_never_hold_ids_names_or_secrets() {
    let watched = watched();
    let hidden = watched.use_everything();
    let text = watched.scrape().expect(200).text;
    for secret in hidden {
        assert!(!text.contains(&secret), "{secret} is in the metrics:\n{text}");
    }
    for counted in [
        "keyward_verify_total{outcome=\"ok\"} 1\n",
        "keyward_verify_total{outcome=\"malformed\"} 1\n",
        "keyward_authz_total{outcome=\"ok\"} 1\n",
        "keyward_authz_total{outcome=\"malformed\"} 1\n",
        "keyward_management_requests_total{status=\"403\"} 1\n",
        "keyward_management_requests_total{status=\"404\"} 1\n",
    ] {
        assert!(text.contains(counted), "{counted} is not in\n{text}");
    }
}

/// The rules of the text format that scrapers rely on.
#[test]
fn http_7_the_text_format_is_sound() {
    let watched = watched();
    watched.use_everything();
    let answer = watched.scrape().expect(200);
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let mut declared = HashSet::new();
    let mut seen = HashSet::new();
    for line in answer.text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(declared.insert(name), "declared twice: {name}");
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').expect("a sample");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(seen.insert(series), "a series twice: {series}");
            let name = series.split('{').next().expect("a name");
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            assert!(
                declared.contains(name) || base.is_some_and(|base| declared.contains(base)),
                "undeclared: {name}"
            );
        }
    }
    assert!(declared.len() > 8, "{declared:?}");
}

#[test]
fn http_7_promtool_finds_nothing_to_complain_about() {
    let watched = watched();
    watched.use_everything();
    let text = watched.scrape().expect(200).text;
    let spawned = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = spawned else {
        // The rules above stand in for it where it is not installed.
        return eprintln!("promtool is not installed");
    };
    promtool.stdin.take().expect("piped").write_all(text.as_bytes()).expect("read");
    let output = promtool.wait_with_output().expect("ends");
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
}

#[test]
fn http_7_public_health_says_only_up_or_not() {
    let watched = watched();
    let health = client().get(format!("{}/healthz", watched.server.url())).send().expect("an answer");
    assert_eq!(health.text().expect("a text"), "ok\n");
    let ready =
        Answer::read(client().get(format!("{}/readyz", watched.server.url())).send().expect("an answer"));
    let mut fields: Vec<_> = ready.expect(200).body.as_object().expect("an object").keys().cloned().collect();
    fields.sort();
    assert_eq!(fields, ["feed_lag_ms", "ready", "reasons"]);
}

//! The canary suite (AUD-2): a marker in every field, header and credential, at the most talkative
//! log level; then a search through everything that the process wrote.

use std::fs;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::factors::enrol;
use crate::oauth::Holder;
use crate::process::Process;
use crate::support::{Answer, Caller, Place, client, free_port, text};

/// A talkative server with metrics.
struct Scene {
    place: Place,
    server: Process,
    metrics: String,
    root: Caller,
    /// What must not be found anywhere.
    secrets: Vec<String>,
    /// What was sent and is kept on purpose, but must not be in logs and metrics.
    inputs: Vec<String>,
}

impl Scene {
    fn new() -> Self {
        let place = Place::new();
        let root = text(&place.bootstrap()["secret"]);
        let metrics = format!("127.0.0.1:{}", free_port());
        let server = Process::start(&place, "log: {filter: trace}", &[("KEYWARD_METRICS__LISTEN", &metrics)]);
        let caller = server.caller(&root);
        Self { place, server, metrics, root: caller, secrets: vec![root], inputs: Vec::new() }
    }

    /// A marker that must not be found anywhere.
    fn secret(&mut self, name: &str) -> String {
        let marker = format!("canary-secret-{name}-{}", self.secrets.len());
        self.secrets.push(marker.clone());
        marker
    }

    /// A marker that must not be found in logs and metrics.
    fn input(&mut self, name: &str) -> String {
        let marker = format!("canaryinput{name}{}", self.inputs.len());
        self.inputs.push(marker.clone());
        marker
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let method = method.parse().expect("a method");
        let mut request = client().request(method, format!("{}{path}", self.server.url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::read(request.json(body).send().expect("an answer"))
    }

    /// Makes a key, and remembers its secret.
    fn key(&mut self, path: &str, body: Value) -> Value {
        let made = self.root.post(path, body).ok();
        self.secrets.push(text(&made["secret"]));
        made
    }

    /// Everything that the process wrote or tells later, by name.
    fn everything(self) -> Vec<(&'static str, String)> {
        let metrics =
            client().get(format!("http://{}/metrics", self.metrics)).send().expect("metrics").text();
        let export = self.root.get("/v1/audit-events/export").text;
        let reads = [
            "/v1/keys",
            "/v1/users",
            "/v1/roles",
            "/v1/groups",
            "/v1/tenants",
            "/v1/policies",
            "/v1/audit-events?limit=200",
        ];
        let reads = reads.map(|path| self.root.get(path).text).concat();
        let running = self.place.dump();
        self.server.terminate();
        let mut all = vec![
            ("log", self.place.log()),
            ("metrics", metrics.expect("a text")),
            ("export", export),
            ("answers", reads),
            ("database", running + &self.place.dump()),
        ];
        for entry in fs::read_dir(self.place.data()).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.file_name().is_some_and(|name| name != "root.key") {
                all.push((
                    "data folder",
                    String::from_utf8_lossy(&fs::read(path).expect("a file")).into_owned(),
                ));
            }
        }
        all
    }
}

fn assert_hidden(all: &[(&str, String)], markers: &[String]) {
    for marker in markers {
        // Basic hides a credential in base64; parts of it must not show either.
        let encoded = STANDARD.encode(marker);
        for (place, content) in all {
            assert!(!content.contains(marker), "{marker} stands in the {place}");
            assert!(
                !content.contains(encoded.trim_end_matches('=')),
                "{marker} stands encoded in the {place}"
            );
        }
    }
}

/// Presents made-up and real credentials in every slot.
fn present_credentials(scene: &mut Scene) {
    let real = text(&scene.key("/v1/keys", json!({ "class": "workspace", "label": "presented" }))["secret"]);
    for path in ["/authz", "/v1/me", "/v1/keys"] {
        let (bearer, basic, triple) = (scene.secret("bearer"), scene.secret("basic"), scene.secret("triple"));
        let (header, cookie, query) = (scene.secret("header"), scene.secret("cookie"), scene.secret("proxy"));
        let pair = STANDARD.encode(format!("{}:{basic}", scene.secret("access-key")));
        for (name, value) in [
            ("Authorization", format!("Bearer {bearer}")),
            ("Authorization", bearer.clone()),
            ("Authorization", format!("Basic {pair}")),
            (
                "Authorization",
                format!("apiKey {}::{}::{triple}", scene.secret("tenant"), scene.secret("access-key")),
            ),
            ("Authorization", format!("Digest {triple}")),
            ("X-API-Key", header),
            ("Cookie", format!("session={cookie}")),
            ("Proxy-Authorization", query),
            ("Authorization", format!("Bearer {}", &real[..68])),
            ("X-API-Key", real.clone()),
        ] {
            scene.send("GET", path, &[(name, &value)], &json!({}));
        }
        let bearer = format!("Bearer {real}");
        scene.send("GET", &format!("{path}?access_token={real}"), &[("Authorization", &bearer)], &json!({}));
        scene.send("GET", &format!("{path}/{real}"), &[("Authorization", &bearer)], &json!({}));
        let uri = format!("/reports?key={real}");
        scene.send("GET", "/authz", &[("X-Forwarded-Uri", &uri), ("Authorization", &bearer)], &json!({}));
    }
}

/// Sends secrets in the bodies that take them, well formed and not.
fn verify_credentials(scene: &mut Scene) {
    let key = scene.key("/v1/keys", json!({ "class": "workspace", "label": "verified" }));
    let (secret, access_key) = (text(&key["secret"]), text(&key["access_key"]));
    let (one, two) = (scene.secret("credential"), scene.secret("pair"));
    for body in [
        json!({ "credential": secret }),
        json!({ "credential": one }),
        json!({ "access_key": access_key, "secret": secret }),
        json!({ "access_key": access_key, "secret": two }),
        json!({ "credential": { "nested": one } }),
        json!({ "credential": secret, "secret": secret }),
        json!({ "credentials": secret }),
        json!({ "credential": secret, "explain": true, "rights": ["a:read"], "client_ip": "nowhere" }),
    ] {
        scene.root.post("/v1/verify", body.clone());
        scene.root.post("/v1/verify/batch", json!({ "requests": [body] }));
    }
    let token = scene.secret("setup");
    scene.root.post("/v1/setup", json!({ "token": token, "username": "eve" })).expect(404);
}

/// The life of a key, which shows secrets in answers.
fn live(scene: &mut Scene) {
    let key = scene.key("/v1/keys", json!({ "class": "workspace", "label": "living" }));
    let path = format!("/v1/keys/{}", text(&key["id"]));
    scene.key(&format!("{path}/rotate"), json!({}));
    scene.key(&format!("{path}/secret"), json!({}));
    let made = scene.root.request("POST", "/v1/keys").header("Idempotency-Key", "canary-suite");
    let made = made.json(&json!({ "class": "workspace", "label": "once" })).send().expect("an answer");
    scene.secrets.push(text(&Answer::read(made).ok()["secret"]));
    let used = scene.secrets.clone();
    for secret in used.iter().filter(|secret| secret.len() == 69) {
        scene.root.code(secret);
        scene.server.caller(secret).get("/authz");
    }
}

/// A trusted secret and its tokens, where they belong and where they do not.
fn trust(scene: &mut Scene) {
    scene.root.user("ada", &[]);
    let made = scene.root.request("POST", "/v1/trusted/enable").header("Idempotency-Key", "canary-trust");
    let made = Answer::read(made.json(&json!({})).send().expect("an answer")).ok();
    let (secret, path) = (text(&made["secret"]), format!("/v1/trusted/{}", text(&made["id"])));
    scene.secrets.push(secret.clone());
    scene.root.post("/v1/trusted/copy", json!({})).expect(200);
    scene.key(&format!("{path}/rotate"), json!({}));
    let backend = scene.server.caller(&secret);
    let token = text(&backend.post("/v1/trusted/tokens", json!({ "username": "ada" })).ok()["token"]);
    scene.secrets.push(token.clone());
    let bearer = format!("Bearer {secret}");
    let browser = [("Authorization", &*bearer), ("Origin", "https://app.example.org")];
    let asked = json!({ "username": "ada", "secret_key": secret, "token": token });
    for door in ["/v1/trusted/tokens", "/v1/trusted/tokens/validate", "/v1/trusted/tokens/revoke"] {
        scene.send("POST", door, &browser, &json!({ "username": "ada" }));
        scene.send("POST", door, &[], &asked);
        backend.post(&format!("{door}?secret_key={secret}&token={token}"), json!({}));
        backend.post(door, json!({ "token": token }));
    }
    for credential in [&token, &secret] {
        let holder = scene.server.caller(credential);
        for path in ["/v1/me", "/v1/keys", "/authz", &format!("/authz?token={token}")] {
            holder.get(path);
        }
        scene.root.code(credential);
    }
    scene.root.post("/v1/tokens/revoke", json!({ "token": token })).expect(200);
    exchange(scene);
}

/// A key as an OAuth client, and what it gets.
fn exchange(scene: &mut Scene) {
    let made = scene.key("/v1/keys", json!({ "class": "workspace", "label": "client" }));
    let holder = Holder::at(&scene.root.url, &made);
    let child = holder.exchanged(&holder.secret, &[("scope", "a:read")]);
    scene.secrets.push(child.clone());
    for path in ["/oauth2/token", "/oauth2/introspect", "/oauth2/revoke"] {
        for token in [&child, &holder.secret] {
            let all =
                [("token", &**token), ("client_secret", token), ("subject_token", token), ("scope", token)];
            holder.send(path, &all);
            holder.send(path, &all[..1]);
            holder.send(&format!("{path}?token={token}"), &[]);
        }
    }
}

/// Logins, good and bad, with all that is secret about them.
fn log_in(scene: &mut Scene) {
    let user = text(&scene.root.post("/v1/users", json!({ "username": "grace" })).ok()["id"]);
    let (guess, password, next) =
        (scene.secret("guessed password"), scene.secret("first password"), scene.secret("second password"));
    let at = format!("/v1/users/{user}/password-reset");
    let link = text(&scene.root.post(&at, json!({})).ok()["token"]);
    let typed = scene.secret("password typed as a name");
    let send = |path: &str, body: Value| scene.send("POST", path, &[], &body);
    send("/v1/auth/password-reset", json!({ "token": link, "password": "short" })).expect(422);
    send("/v1/auth/password-reset", json!({ "token": link, "password": password })).expect(204);
    for (username, password) in
        [("grace", &guess), (typed.as_str(), &guess), ("kwa_0123456789abcdef", &guess)]
    {
        send("/v1/auth/login", json!({ "username": username, "password": password })).expect(401);
    }
    send("/v1/auth/login", json!({ "username": "grace", "passwort": password })).expect(400);
    let opened = send("/v1/auth/login", json!({ "username": "grace", "password": password })).ok();
    let bearer = format!("Bearer {}", text(&opened["token"]));
    let change = json!({ "old_password": password, "new_password": next });
    let headers = [("Authorization", bearer.as_str())];
    let changed = scene.send("POST", "/v1/auth/password", &headers, &change).ok();
    let tokens = [link, text(&opened["token"]), text(&changed["token"])];
    scene.server.caller(&tokens[2]).get("/v1/me").expect(200);
    give_factors(scene, &tokens[2], &next);
    scene.secrets.extend(tokens);
}

/// A second factor with its seed, challenges and codes. Six digits may stand anywhere by chance, so a
/// code that is too long stands for what is typed.
fn give_factors(scene: &mut Scene, token: &str, password: &str) {
    let own = scene.server.caller(token);
    let begun = own.post("/v1/auth/factors/totp", json!({})).ok();
    let typed = scene.secret("typed code");
    let at = format!("/v1/auth/factors/{}/confirm", text(&begun["id"]));
    own.post(&at, json!({ "code": typed })).expect(422);
    let enrolled = enrol(&own);
    let send = |path: &str, body: Value| scene.send("POST", path, &[], &body);
    let login = json!({ "username": "grace", "password": password });
    let challenge = text(&send("/v1/auth/login", login).expect(401).body["challenge"]);
    let factor = |challenge: &str, code: &str| {
        send("/v1/auth/login/factor", json!({ "challenge": challenge, "code": code }))
    };
    factor(&challenge, &typed).expect(401);
    factor(&typed, &enrolled.codes[0]).expect(401);
    let opened = factor(&challenge, &enrolled.codes[0]).ok();
    send("/v1/auth/login/factor", json!({ "challange": challenge, "code": typed })).expect(400);
    enrolled.session.post("/v1/auth/step-up", json!({ "code": typed })).expect(401);
    scene.secrets.extend([
        text(&begun["secret"]),
        challenge,
        text(&opened["token"]),
        enrolled.session.secret,
    ]);
    scene.secrets.extend(enrolled.codes);
}

/// A marker in every field and header that is no secret.
fn fill_in(scene: &mut Scene) {
    let mut field = |name: &str| scene.input(name);
    let role = json!({ "name": field("role"), "description": field("about"), "rights": [format!("{}:read", field("right"))] });
    let user = json!({ "username": field("username"), "email": format!("{}@example.org", field("mail")), "display_name": field("shown") });
    let group = json!({ "name": field("group"), "description": field("about") });
    let tenant = json!({ "slug": field("slug"), "name": field("name") });
    let limits = json!([{ "name": field("limit"), "requests": 5, "per_seconds": 60 }]);
    let conditions = json!({ "paths": [format!("/{}/**", field("path"))], "resources": [field("resource")] });
    let key =
        json!({ "class": "workspace", "label": field("label"), "limits": limits, "conditions": conditions });
    let unknown = json!({ "class": "workspace", field("unknown"): field("value") });
    let headers = [
        "User-Agent",
        "Referer",
        "Origin",
        "X-Forwarded-For",
        "Idempotency-Key",
        "X-Keyward-Tenant",
        "Traceparent",
        "X-Other",
    ];
    let headers: Vec<_> = headers.map(|name| (name, field(name))).to_vec();
    let (query, path) = (field("query"), field("segment"));
    for (path, body) in
        [("/v1/roles", role), ("/v1/users", user), ("/v1/groups", group), ("/v1/tenants", tenant)]
    {
        scene.root.post(path, body).expect(201);
    }
    let key = scene.key("/v1/keys", key);
    scene.root.post("/v1/keys", unknown).expect(400);
    let reason = scene.input("reason");
    scene
        .root
        .post(&format!("/v1/keys/{}/revoke", text(&key["id"])), json!({ "reason": reason }))
        .expect(200);
    let bearer = format!("Bearer {}", scene.root.secret);
    for (name, value) in &headers {
        scene.send("POST", "/v1/keys", &[("Authorization", &bearer), (name, value)], &json!({}));
        scene.send("GET", "/authz", &[("Authorization", &bearer), (name, value)], &json!({}));
    }
    scene.root.get(&format!("/v1/users?q={query}")).expect(200);
    scene.root.get(&format!("/v1/users/{path}")).expect(404);
}

/// The same credentials over HTTP/2, whose library has logs of its own.
fn speak_http_2(scene: &mut Scene) {
    let (bearer, header) = (scene.secret("h2-bearer"), scene.secret("h2-header"));
    let url = format!("{}/v1/me", scene.server.url());
    let spoken = Command::new("curl")
        .args(["-s", "--http2-prior-knowledge", "-w", "%{http_version} %{http_code}", "-o", "-", &url])
        .args(["-H", &format!("Authorization: Bearer {bearer}"), "-H", &format!("X-Secret: {header}")])
        .output();
    if let Ok(output) = spoken {
        assert!(String::from_utf8_lossy(&output.stdout).ends_with("2 401"), "{output:?}");
    }
}

#[test]
fn aud_2_key_5_no_secret_in_anything_that_the_process_writes() {
    let mut scene = Scene::new();
    present_credentials(&mut scene);
    verify_credentials(&mut scene);
    live(&mut scene);
    trust(&mut scene);
    log_in(&mut scene);
    speak_http_2(&mut scene);
    let secrets = scene.secrets.clone();
    assert!(secrets.len() > 30);
    let root_key = fs::read_to_string(scene.place.data().join("root.key")).expect("a root key");
    let all = scene.everything();
    let log = &all[0].1;
    assert!(
        log.contains("\"TRACE\"") && log.contains("\"DEBUG\""),
        "the log was talkative: {} bytes",
        log.len()
    );
    assert_hidden(&all, &secrets);
    assert_hidden(&all, &[root_key.trim().to_owned()]);
}

#[test]
fn aud_2_http_7_no_input_in_logs_and_metrics() {
    let mut scene = Scene::new();
    fill_in(&mut scene);
    let inputs = scene.inputs.clone();
    assert!(inputs.len() > 20);
    let all = scene.everything();
    let database = &all.iter().find(|(place, _)| *place == "database").expect("searched").1;
    assert!(database.contains(&inputs[0]), "the search finds what is kept");
    let spoken: Vec<_> = all.into_iter().filter(|(place, _)| ["log", "metrics"].contains(place)).collect();
    assert_hidden(&spoken, &inputs);
}

#[test]
fn aud_2_ops_1_the_setup_token_is_in_its_file_alone() {
    let place = Place::new();
    let server = Process::start(&place, "log: {filter: trace}", &[]);
    let token = fs::read_to_string(place.data().join("setup-token")).expect("a token");
    let claim = json!({ "token": token.trim(), "username": "ada" });
    let made = client().post(format!("{}/v1/setup", server.url())).json(&claim).send().expect("an answer");
    let secret = text(&Answer::read(made).expect(201).body["secret"]);
    server.terminate();
    let all = [("log", place.log()), ("database", place.dump())];
    assert_hidden(&all, &[token.trim().to_owned(), secret]);
}

//! Ten thousand tokens and a hundred sessions end at once, on every node (R2, R3, IMP-6). Nothing is
//! written for each of them: a token names its user and its secret, and one row of theirs decides.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::blocking::Client;
use serde_json::{Value, json};

use super::{NAMED, Portal, mint};
use crate::logins::log_in;
use crate::support::{Caller, text, wait_until};

const TOKENS: usize = 10_000;
const SESSIONS: usize = 100;
/// Tokens asked about in one request: a body of more would be too large.
const BATCH: usize = 50;
/// Asking and answering at the same time.
const LINES: usize = 4;
/// R2: on other nodes at most. Nothing is accepted that is asked for after it.
const REVOKED: Duration = Duration::from_secs(1);
/// R3: whatever hangs on it.
const ENDED: Duration = Duration::from_secs(2);

/// Does the work of all numbers below `count` on a few threads, each with a connection that it keeps.
fn in_parallel<T: Send>(count: usize, work: impl Fn(&Client, usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let (client, mut done) = (Client::new(), Vec::new());
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return done;
            }
            done.push(work(&client, number));
        }
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..LINES).map(|_| scope.spawn(worker)).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    })
}

fn ask(client: &Client, caller: &Caller, path: &str, body: &Value) -> Value {
    let request = client.post(format!("{}{path}", caller.url)).bearer_auth(&caller.secret).json(body);
    let answer = request.send().expect("an answer");
    assert_eq!(answer.status(), 200, "{path}");
    answer.json().expect("JSON")
}

/// As many tokens of `ada`.
fn mint_all(portal: &Portal) -> Vec<String> {
    let most = 1_000_000;
    let limits = json!({ "ceiling": { "per_minute": most, "per_user_per_minute": most } });
    portal.root.patch(&format!("/v1/trusted/{}", portal.id), limits).expect(200);
    let body = json!({ "username": "ada" });
    let one = |client: &Client, _| text(&ask(client, &portal.backend, "/v1/trusted/tokens", &body)["token"]);
    let mut tokens = in_parallel(TOKENS, one);
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), TOKENS, "each is another");
    tokens
}

/// A portal with two nodes and as many tokens of `ada`, all good at both.
struct Crowd {
    portal: Portal,
    /// The operator at either node.
    nodes: [Caller; 2],
    _second: crate::support::Node,
    tokens: Vec<String>,
}

impl Crowd {
    fn new() -> Self {
        let portal = Portal::with_config(&format!("{NAMED}\nlogin: {{max_sessions: 1000}}"));
        let second = portal.server.second_node();
        let nodes = [portal.root.clone(), second.caller(&portal.server.operator())];
        let tokens = mint_all(&portal);
        let crowd = Self { portal, nodes, _second: second, tokens };
        for node in &crowd.nodes {
            crowd.must_all_be(node, "ok");
        }
        crowd
    }

    /// What a node says of each of these tokens, and when the last answer `ok` had been asked for.
    fn codes(&self, node: &Caller) -> (Vec<String>, Option<Instant>) {
        let chunks: Vec<_> = self.tokens.chunks(BATCH).collect();
        let told = in_parallel(chunks.len(), |client, number| {
            let requests: Vec<_> =
                chunks[number].iter().map(|token| json!({ "credential": token })).collect();
            let asked = Instant::now();
            let body = ask(client, node, "/v1/verify/batch", &json!({ "requests": requests }));
            let results = body["results"].as_array().expect("results");
            let codes: Vec<_> = results.iter().map(|result| text(&result["code"])).collect();
            assert_eq!(codes.len(), chunks[number].len());
            (codes, asked)
        });
        let good = told.iter().filter(|(codes, _)| codes.iter().any(|code| code == "ok"));
        let last = good.map(|(_, asked)| *asked).max();
        (told.into_iter().flat_map(|(codes, _)| codes).collect(), last)
    }

    #[track_caller]
    fn must_all_be(&self, node: &Caller, code: &str) {
        let (codes, _) = self.codes(node);
        let other = codes.iter().find(|told| *told != code);
        assert_eq!((codes.len(), other), (TOKENS, None), "at {}", node.url);
    }

    /// After the answer to what ended them: here none is accepted, there none beyond the bound.
    fn must_be_dead(&self, code: &str, bound: Duration) {
        let answered = Instant::now();
        let [here, there] = &self.nodes;
        std::thread::scope(|scope| {
            scope.spawn(|| self.must_all_be(here, code));
            while let (_, Some(asked)) = self.codes(there) {
                assert!(asked - answered <= bound, "accepted {:?} after the answer", asked - answered);
            }
        });
        self.must_all_be(there, code);
    }
}

/// Sessions of a user, through a key of the user.
fn sessions(portal: &Portal) -> Vec<String> {
    let own = portal.root.key(json!({ "class": "member", "owner_id": portal.ada, "label": "own" }));
    let pair = json!({ "username": own["access_key"], "password": own["secret"] });
    (0..SESSIONS).map(|_| text(&log_in(&portal.server.url, pair.clone()).ok()["token"])).collect()
}

/// How `/v1/auth/session` of a node answers to each.
fn statuses(node: &Caller, sessions: &[String]) -> Vec<u16> {
    in_parallel(sessions.len(), |client, number| {
        let request = client.get(format!("{}/v1/auth/session", node.url)).bearer_auth(&sessions[number]);
        request.send().expect("an answer").status().as_u16()
    })
}

#[test]
fn r3_imp_6_ses_4_a_deleted_user_takes_ten_thousand_tokens_and_a_hundred_sessions_along() {
    let crowd = Crowd::new();
    let portal = &crowd.portal;
    let sessions = sessions(portal);
    for node in &crowd.nodes {
        assert_eq!(statuses(node, &sessions), vec![200; SESSIONS]);
    }
    let ordered = Instant::now();
    portal.root.delete(&format!("/v1/users/{}", portal.ada)).expect(204);
    assert!(ordered.elapsed() < ENDED, "{:?}", ordered.elapsed());
    let answered = Instant::now();
    assert_eq!(statuses(&crowd.nodes[0], &sessions), vec![401; SESSIONS]);
    wait_until(|| statuses(&crowd.nodes[1], &sessions) == vec![401; SESSIONS]);
    assert!(answered.elapsed() < ENDED, "{:?}", answered.elapsed());
    crowd.must_be_dead("owner_deleted", ENDED.saturating_sub(answered.elapsed()));
    mint(&portal.backend, json!({ "username": "ada" })).refused(404, "not_found");
}

#[test]
fn imp_6_r2_a_disabled_secret_takes_ten_thousand_tokens_along() {
    let crowd = Crowd::new();
    let root = &crowd.portal.root;
    let ordered = Instant::now();
    root.post("/v1/trusted/disable", json!({ "confirm": true })).expect(200);
    assert!(ordered.elapsed() < REVOKED, "{:?}", ordered.elapsed());
    crowd.must_be_dead("revoked", REVOKED);
    mint(&crowd.portal.backend, json!({ "username": "ada" })).refused(401, "trusted_disabled");
}

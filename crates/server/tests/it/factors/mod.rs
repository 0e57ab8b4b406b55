//! Second factors.

mod commands;
mod guesses;
mod login;
mod own;
pub(crate) mod passkeys;
mod required;
mod reset;

use serde_json::{Value, json};
use totp_rs::{Builder, Secret, Totp};

use crate::logins::{PASSWORD, log_in, post, session, somebody};
use crate::support::{Answer, Caller, Server, text};

/// An authenticator, as people carry one.
pub(crate) struct Phone(Totp);

impl Phone {
    /// Takes a seed over, as it is typed.
    pub(crate) fn new(secret: &str) -> Self {
        let seed = Secret::try_from_base32(secret).expect("base32");
        Self(Builder::new().with_secret(seed).build().expect("a good seed"))
    }

    /// What it shows now.
    pub(crate) fn code(&self) -> String {
        self.code_at(0)
    }

    /// What it shows so many steps from now.
    pub(crate) fn code_at(&self, steps: i64) -> String {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        let at = i64::try_from(now.as_secs()).expect("not yet") + 30 * steps;
        self.0.generate(u64::try_from(at).expect("after 1970")).to_string()
    }
}

/// A code that is not the one of now or around it.
fn wrong(phone: &Phone) -> String {
    let near: Vec<_> = (-3..=3).map(|steps| phone.code_at(steps)).collect();
    let guesses = ["000000", "111111", "222222", "333333", "444444", "555555", "666666", "777777"];
    guesses.into_iter().find(|guess| !near.contains(&(*guess).to_owned())).expect("eight guesses").into()
}

/// What enrolment gives.
pub(crate) struct Enrolled {
    /// The session with its new token.
    pub(crate) session: Caller,
    pub(crate) phone: Phone,
    pub(crate) id: String,
    pub(crate) codes: Vec<String>,
}

/// Adds an authenticator. Its code of now is used up by that.
#[track_caller]
pub(crate) fn enrol(session: &Caller) -> Enrolled {
    let begun = session.post("/v1/auth/factors/totp", json!({ "name": "phone" })).ok();
    let (id, phone) = (text(&begun["id"]), Phone::new(&text(&begun["secret"])));
    let confirmed =
        session.post(&format!("/v1/auth/factors/{id}/confirm"), json!({ "code": phone.code() })).ok();
    let codes = confirmed["recovery_codes"].as_array().into_iter().flatten().map(text).collect();
    let session = Caller { url: session.url.clone(), secret: text(&confirmed["token"]) };
    Enrolled { session, phone, id, codes }
}

/// Somebody with [`PASSWORD`] and an authenticator whose codes are all unused; and the user's id.
pub(crate) fn somebody_with_factor(server: &Server, name: &str, rights: &[&str]) -> (String, Enrolled) {
    let user = somebody(server, name, rights);
    let enrolled = enrol(&session(&server.url, name));
    unused(server);
    (user, enrolled)
}

/// Makes every code count as unused, so that no test waits half a minute.
pub(crate) fn unused(server: &Server) {
    server.place.sql("UPDATE factors SET last_step = 0");
}

/// The first half of a login; returns the challenge.
#[track_caller]
pub(crate) fn begin(url: &str, name: &str) -> String {
    let answer = log_in(url, json!({ "username": name, "password": PASSWORD }));
    text(&answer.refused(401, "second_factor_required").body["challenge"])
}

/// The second half.
pub(crate) fn give(url: &str, challenge: &str, code: &str) -> Answer {
    post(url, "/v1/auth/login/factor", json!({ "challenge": challenge, "code": code }))
}

/// Both halves.
#[track_caller]
pub(crate) fn log_in_with(url: &str, name: &str, code: &str) -> Caller {
    let opened = give(url, &begin(url, name), code).ok();
    Caller { url: url.into(), secret: text(&opened["token"]) }
}

/// How many sessions are not ended.
fn sessions_alive(server: &Server) -> u64 {
    server.place.sql("UPDATE sessions SET agent = agent WHERE ended_at IS NULL")
}

/// The newest event with this action.
fn newest(server: &Server, action: &str) -> Value {
    server.root().get(&format!("/v1/audit-events?limit=1&action={action}")).ok()["data"][0].clone()
}

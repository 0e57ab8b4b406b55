//! What is recorded where, and for how long (AUD-7): every table of the schema, every way out, every message of
//! the log. What is missing here, or too much, fails the test.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::must_equal;
use crate::factors::CONFIRM_MS;
use crate::jobs::kept;

/// For how long something is kept.
enum Kept {
    /// So many milliseconds, behind these words.
    For(i64, &'static str),
    /// As these words say.
    Until(&'static str),
}

/// Somewhere something is recorded.
struct Place {
    name: &'static str,
    holds: &'static str,
    kept: Kept,
}

const fn place(name: &'static str, holds: &'static str, kept: Kept) -> Place {
    Place { name, holds, kept }
}

const TENANT: Kept = Kept::Until("the tenant is deleted");
const OBJECT: Kept = Kept::Until("what it is about is deleted, or the tenant");

/// Tables that record what happened.
const RECORDS: &[Place] = &[
    place(
        "audit_events",
        "every change, refusal, login and export: the chain of each tenant",
        Kept::Until("`audit.keep` is over (by default never), or the tenant is deleted"),
    ),
    place(
        "audit_personal",
        "what those events say of users: names, addresses, user agents",
        Kept::Until("its event is closed, or the user erased"),
    ),
    place(
        "audit_checkpoints",
        "where each chain stood, signed, once a minute",
        Kept::Until("its event is closed"),
    ),
    place("audit_segments", "what is left of closed events: numbers, times, hashes, a signature", TENANT),
    place("audit_sink_cursors", "up to which event the syslog receiver has each log", TENANT),
    place("audit_sinks", "which process sends to it", Kept::Until("another one does")),
    place("event_cursors", "up to which event each log was turned into news", TENANT),
    place(
        "key_seen",
        "last use of each secret: time, address, user agent",
        Kept::Until("the user is erased, or the tenant deleted"),
    ),
    place(
        "key_networks",
        "networks that each key was used from: the first time, address, user agent",
        Kept::Until("the user is erased, or the tenant deleted"),
    ),
    place("key_hours", "uses of each key by hour and outcome", TENANT),
    place(
        "login_attempts",
        "failed logins in a row by a keyed hash of the name",
        Kept::Until("a login succeeds; of 100 000 names the least pressing go first"),
    ),
    place("leak_reports", "where credentials were found, as a hash", OBJECT),
    place("incidents", "many keys that were ended at once: filter, reason", TENANT),
    place("incident_keys", "which keys those were", TENANT),
    place("notifications", "what users were told", Kept::For(kept::TOLD_MS, "")),
    place(
        "mail_pauses",
        "when users were last sent a mail of what could be many",
        Kept::For(kept::TOLD_MS, ""),
    ),
    place("expiry_notices", "which ends of keys were told", Kept::For(kept::TOLD_MS, " after the end")),
    place(
        "webhook_deliveries",
        "what webhooks were sent, and what they answered",
        Kept::For(kept::SENT_MS, ""),
    ),
    place(
        "jobs",
        "what is still to be sent; what was given up",
        Kept::For(kept::FAILED_MS, " after it was given up"),
    ),
    place(
        "handovers",
        "secrets that wait, sealed; who opened a link, from where",
        Kept::For(kept::TOLD_MS, " after the end of the secret; that until it is opened"),
    ),
    place("trusted_firsts", "networks and administrators that a trusted secret was used for once", OBJECT),
    place(
        "changes",
        "ids of what changed, for other nodes",
        Kept::For(kept::FEED_MS, "; the last until the next"),
    ),
    place("change_clock", "the number of the last change", Kept::Until("ever")),
    place(
        "idempotency",
        "answers to POST requests with a key, without secrets",
        Kept::For(kept::IDEMPOTENCY_MS, ""),
    ),
    place("policy_versions", "every policy that a tenant had, and who applied it", TENANT),
    place("sessions", "logins: who, when, address, user agent", Kept::For(kept::ENDED_MS, " after the end")),
    place("login_challenges", "logins that wait for a second factor", Kept::Until("they are over, minutes")),
    place("used_passkey_challenges", "challenges that were answered", Kept::Until("they are over, minutes")),
    place(
        "revoked_tokens",
        "ids of tokens that were ended",
        Kept::For(kept::REVOKED_SECONDS * 1000, " after their end"),
    ),
    place(
        "token_budgets",
        "uses that tokens have left",
        Kept::For(kept::REVOKED_SECONDS * 1000, " after their end"),
    ),
];

/// Tables that hold what there is.
const OBJECTS: &[Place] = &[
    place("instance", "facts of the instance; its signing key of checkpoints, sealed", Kept::Until("ever")),
    place("data_keys", "keys that seal values, wrapped by the root key", TENANT),
    place("peppers", "keys of the hashes of secrets, sealed", Kept::Until("ever")),
    place(
        "signing_keys",
        "keys that sign access tokens, sealed",
        Kept::Until("all that they signed is over"),
    ),
    place("tenants", "name, features, policy", TENANT),
    place(
        "users",
        "name, mail address, display name",
        Kept::Until("the user is erased; the id stays until the tenant is deleted"),
    ),
    place("passwords", "hash of a password, sealed", Kept::Until("the user is deleted")),
    place("password_links", "hash of a link that sets a password", Kept::Until("it is over, an hour")),
    place(
        "factors",
        "second factors, sealed",
        Kept::For(CONFIRM_MS, " unconfirmed, else until the user is deleted"),
    ),
    place("recovery_codes", "hashes of recovery codes, sealed", Kept::Until("the user is deleted")),
    place("notification_wishes", "what a user wants to be told", Kept::Until("the user is erased")),
    place("roles", "names and rights", OBJECT),
    place("role_holders", "who holds which role", OBJECT),
    place("user_groups", "names of groups", OBJECT),
    place("group_members", "who is in which group", OBJECT),
    place("keys", "owner, rules, state; revoked ones too; the label until the user is erased", TENANT),
    place("key_secrets", "hashes of secrets", TENANT),
    place("imported_secrets", "hashes of imported credentials", TENANT),
    place("import_ways", "how imported credentials are looked up", TENANT),
    place("trusted_secrets", "name, ceiling; disabled ones too", TENANT),
    place("trusted_generations", "trusted secrets, sealed; of dead ones a digest", TENANT),
    place(
        "policy_drafts",
        "policies that somebody thinks of",
        Kept::For(kept::DECIDED_MS, " after they were applied or failed"),
    ),
    place("webhooks", "addresses that events are sent to", OBJECT),
    place(
        "webhook_secrets",
        "what signs their messages, sealed",
        Kept::Until("it is replaced, or the webhook deleted"),
    ),
];

/// What leaves the process.
const STREAMS: &[Place] = &[
    place(
        "log (standard error)",
        "the messages below, without secrets",
        Kept::Until("whoever collects it says"),
    ),
    place("metrics", "counters without ids and names", Kept::Until("whoever scrapes them says")),
    place(
        "`audit.syslog`",
        "every event of every tenant, with what it says of people",
        Kept::Until("the receiver says; erasing a user does not reach it"),
    ),
    place(
        "`audit.archive`",
        "events that are closed, with what they say of people",
        Kept::Until("somebody deletes the files; erasing a user does not reach them"),
    ),
    place("exports of the audit log", "as above, of one tenant", Kept::Until("whoever made them says")),
    place("webhooks", "events that a tenant chose: who did what to what", Kept::Until("the receiver says")),
    place("mail", "news of one's own account and keys", Kept::Until("the receiver says")),
];

fn told(kept: &Kept) -> String {
    const UNITS: [(i64, &str); 4] =
        [(86_400_000, "days"), (3_600_000, "hours"), (60_000, "minutes"), (1_000, "seconds")];
    match kept {
        Kept::Until("ever") => "for ever".into(),
        Kept::Until(words) => format!("until {words}"),
        Kept::For(ms, words) => {
            let unit = UNITS.iter().find(|(size, _)| ms % size == 0 && *ms >= *size);
            let (size, name) = unit.expect("whole seconds at least");
            let name = if ms / size == 1 { name.trim_end_matches('s') } else { name };
            format!("{} {name}{words}", ms / size)
        }
    }
}

/// Names of the tables that the migrations make.
fn tables() -> BTreeSet<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let files = fs::read_dir(folder).expect("migrations").map(|entry| entry.expect("a file").path());
    let text: String = files.map(|file| fs::read_to_string(file).expect("SQL")).collect();
    let names = text.match_indices("CREATE TABLE ").map(|(at, word)| &text[at + word.len()..]);
    names.filter_map(|rest| rest.split([' ', '(']).next()).map(ToOwned::to_owned).collect()
}

/// What the log can say: level, part of the server and message, from the source.
fn messages() -> BTreeSet<(String, String, String)> {
    let mut found = BTreeSet::new();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("inventory.rs") {
                read(&root, &path, &mut found);
            }
        }
    }
    found
}

fn read(root: &Path, file: &Path, found: &mut BTreeSet<(String, String, String)>) {
    let source = fs::read_to_string(file).expect("source");
    let part = file.strip_prefix(root).expect("below it").with_extension("");
    let part = part.display().to_string().trim_end_matches("/mod").to_owned();
    for level in ["error", "warn", "info", "debug", "trace"] {
        let start = format!("tracing::{level}!(");
        for (at, _) in source.match_indices(&start) {
            let call = &source[at + start.len()..];
            let call = &call[..end_of_call(call)];
            // Behind the fields stands the message, and nothing else in quotes.
            let message = call.rsplit('"').nth(1).expect("a message");
            let message = message.split("\\\n").map(str::trim_start).collect::<String>();
            found.insert((level.into(), part.clone(), message));
        }
    }
}

/// Where the bracket that was opened before closes again.
fn end_of_call(text: &str) -> usize {
    let (mut depth, mut quoted) = (1, false);
    for (at, char) in text.char_indices() {
        match char {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    panic!("a call without an end")
}

fn table(text: &mut String, title: &str, places: &[Place]) {
    let _ = write!(text, "\n## {title}\n\n| where | what | how long |\n|---|---|---|\n");
    for place in places {
        let name =
            if place.name.contains([' ', '`']) { place.name.into() } else { format!("`{}`", place.name) };
        let _ = writeln!(text, "| {name} | {} | {} |", place.holds, told(&place.kept));
    }
}

#[test]
fn aud_7_the_page_of_what_is_recorded_names_every_table_every_way_out_and_every_message() {
    let listed: Vec<&str> = RECORDS.iter().chain(OBJECTS).map(|place| place.name).collect();
    let unique: BTreeSet<String> = listed.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(listed.len(), unique.len(), "each once");
    assert_eq!(unique, tables(), "the tables of the migrations, and those of this page");
    let messages = messages();
    assert!(messages.len() > 25, "{messages:?}");

    let mut text = String::from(
        "# What is recorded, where, and for how long\n\n\
         Written out of the schema, the times in `crates/server/src/jobs/kept.rs` and the messages in the source, by a test\n\
         that fails when something is missing. What each event holds stands in [the audit log](audit-schema.md), how\n\
         long it is kept in [the page about shipping it](../how-to/operate/audit-log.md). Nothing here holds a secret in\n\
         clear. A deleted tenant takes all its rows along.\n",
    );
    table(&mut text, "What happened", RECORDS);
    table(&mut text, "What there is", OBJECTS);
    table(&mut text, "What leaves the server", STREAMS);
    text.push_str(
        "\n## Messages of the log\n\n\
         As JSON lines with time, level, `target` and the fields of the case: `error`, `cause`, ids. Times, levels and where\n\
         the log goes are the operator's: `log.filter`, and `keyward log-levels`.\n\n\
         | level | part | message |\n|---|---|---|\n",
    );
    for (level, part, message) in messages {
        let _ = writeln!(text, "| {level} | `{part}` | {message} |");
    }
    must_equal("inventory.md", &text);
}

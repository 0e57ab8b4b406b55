//! News of one's own account, which nobody can switch off.

use serde_json::json;

use super::{address, kinds, with_mail};
use crate::logins::{PASSWORD, ask_for_no_factor, session, somebody};
use crate::support::{text, wait_until};

#[test]
fn aut_7_dir_7_a_change_of_password_or_address_is_told_to_the_old_and_the_new_one() {
    let (server, postbox) = with_mail();
    let root = server.root();
    ask_for_no_factor(&root);
    let ada = somebody(&server, "ada", &["me:read"]);
    let first = session(&server.url, "ada");
    wait_until(|| kinds(&first) == ["account"]);
    address(&root, &ada, "ada@example.org");
    postbox.wait_for(1);
    let changed = "Your account was changed";
    assert_eq!(postbox.subjects(), [("ada@example.org".into(), changed.to_owned())]);

    address(&root, &ada, "ada@example.net");
    postbox.wait_for(3);
    let to: Vec<_> = postbox.subjects().into_iter().map(|(to, _)| to).collect();
    assert_eq!(to, ["ada@example.net", "ada@example.org", "ada@example.org"], "the old and the new one");

    let own = session(&server.url, "ada");
    let body = json!({ "old_password": PASSWORD, "new_password": "seven cold rivers under it" });
    own.post("/v1/auth/password", body).expect(200);
    let mails = postbox.wait_for(4);
    assert_eq!(mails[3]["to"], json!(["ada@example.net"]));
    assert!(text(&mails[3]["text"]).contains("user.change_password"), "{}", mails[3]);
    let other = session_with(&server.url, "ada", "seven cold rivers under it");
    wait_until(|| kinds(&other).iter().filter(|kind| *kind == "account").count() == 4);

    // A user name in a mail is text; a name that would be a header is refused.
    root.patch(&format!("/v1/users/{ada}"), json!({ "email": "x@example.org\r\nBcc: all@example.org" }))
        .refused(422, "invalid_value");
    root.patch(&format!("/v1/users/{ada}"), json!({ "username": "ada\r\nBcc: all" })).expect(422);
}

fn session_with(url: &str, name: &str, password: &str) -> crate::support::Caller {
    let opened = crate::logins::log_in(url, json!({ "username": name, "password": password })).ok();
    crate::support::Caller { url: url.into(), secret: text(&opened["token"]) }
}

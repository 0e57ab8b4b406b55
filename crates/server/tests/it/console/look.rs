//! How the console is shown.

use super::Browser;
use crate::logins::somebody;
use crate::support::Server;

#[test]
fn bm_9_a_look_is_kept_with_the_user_in_every_browser() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read", "me/sessions:*"]);
    somebody(&server, "mia", &["me:read", "me/sessions:*"]);
    let one = Browser::of(&server, "grace");
    let shown = |browser: &Browser| browser.get("/console/me/sessions").expect(200).text;
    assert!(!shown(&one).contains("data-theme"));
    let look = [("theme", "dark"), ("zone", "Asia/Tokyo")];
    one.submit("/console/me/preferences/look", &look).expect(303);
    let other = Browser::of(&server, "grace");
    let page = shown(&other);
    assert!(page.contains("data-theme=\"dark\"") && page.contains(" JST, "), "{page}");
    assert!(!page.contains("data-single-keys"), "single keys were not ticked");
    // The other browser is told, for the page of the login.
    let told = other.get("/console").expect(200);
    assert!(told.header("set-cookie").starts_with("keyward-theme=dark;"), "{:?}", told.headers);
    let mia = shown(&Browser::of(&server, "mia"));
    assert!(!mia.contains("data-theme") && mia.contains("data-single-keys"), "nobody else sees it so");
    // What cannot be read is as if it were not chosen.
    let odd = [("theme", "pink"), ("zone", "Mars/Base"), ("single_keys", "yes")];
    one.submit("/console/me/preferences/look", &odd).expect(303);
    let page = shown(&other);
    assert!(!page.contains("data-theme") && !page.contains("JST") && page.contains("data-single-keys"));
}

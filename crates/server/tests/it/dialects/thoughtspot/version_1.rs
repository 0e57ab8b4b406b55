//! `/callosum/v1`: forms in, text and cookies out (TS1, TS8).

use reqwest::redirect::Policy;
use serde_json::json;

use super::{Scene, V1, cookie, form, refused, session_of};
use crate::api::tenant;
use crate::logins::PASSWORD;
use crate::support::{Answer, client, text, wait_until};

const ACTIVE: &str = "/dialects/thoughtspot/callosum/v1/session/isactive";

fn send(scene: &Scene, path: &str, fields: &[(&str, &str)]) -> Answer {
    let request = form(client().post(format!("{}{V1}{path}", scene.server.url)), fields);
    Answer::read(request.send().expect("an answer"))
}

fn mint(scene: &Scene, more: &[(&str, &str)]) -> Answer {
    let mut fields = vec![("secret_key", scene.secret.as_str())];
    fields.extend(more);
    send(scene, "/session/auth/token", &fields)
}

#[test]
fn ts_1_ts_8_auth_token_answers_with_the_bare_token() {
    let scene = Scene::new();
    let got =
        mint(&scene, &[("username", "ada"), ("access_level", "FULL"), ("autocreate", "false")]).expect(200);
    assert!(got.header("content-type").starts_with("text/plain"));
    assert_eq!(scene.code(&got.text, "models/emea:write"), "ok");
    let level = ("access_level", "REPORT_BOOK_VIEW");
    let got = mint(&scene, &[("username", "ada"), level, ("id", "models/emea")]).expect(200);
    assert_eq!(scene.code(&got.text, "models/emea:write"), "insufficient_rights");
    assert_eq!(scene.code(&got.text, "models/emea:read"), "ok");
    refused(mint(&scene, &[("username", "ada"), level]), 400, 10002);
    refused(mint(&scene, &[("username", "ada"), ("access_level", "ALL")]), 400, 10002);
    refused(mint(&scene, &[("username", "ada"), ("orgid", "x")]), 400, 10002);
    refused(send(&scene, "/session/auth/token", &[("username", "ada"), ("secret_key", "wrong")]), 401, 10097);
    refused(send(&scene, "/session/auth/token", &[("username", "ada")]), 400, 10002);
    let made =
        [("username", "eve"), ("autocreate", "true"), ("display_name", "Eve"), ("groups", "[\"Fresh\"]")];
    mint(&scene, &made).expect(200);
    assert_eq!(scene.root.get("/v1/users?q=eve").ok()["data"][0]["display_name"], "Eve");
    let body = json!({ "username": "ada", "secret_key": scene.secret });
    let other = client().post(format!("{}{V1}/session/auth/token", scene.server.url)).json(&body);
    refused(Answer::read(other.send().expect("an answer")), 415, 10002);
    // Disabled, it is 500 here.
    scene.root.post("/v1/trusted/disable", json!({ "confirm": true })).expect(200);
    refused(mint(&scene, &[("username", "ada")]), 500, 10038);
}

#[test]
fn ts_8_login_token_sets_the_cookie_and_leads_to_a_path_of_this_site_alone() {
    let scene = Scene::new();
    let token = scene.token();
    let url = format!("{}{V1}/session/login/token", scene.server.url);
    let client = reqwest::blocking::Client::builder().redirect(Policy::none()).build().expect("a client");
    let get = |fields: &[(&str, &str)]| {
        let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Answer::read(client.get(format!("{url}?{}", pairs.join("&"))).send().expect("an answer"))
    };
    let own = [("username", "ada"), ("auth_token", token.as_str())];
    let quiet = get(&[own[0], own[1], ("no_url_redirection", "true")]).expect(204);
    assert_eq!(session_of(&quiet), token);
    let led = get(&[own[0], own[1], ("redirect_url", "/embed%3Fa=b")]).expect(302);
    assert_eq!((led.header("location"), session_of(&led)), ("/embed?a=b", token.clone()));
    assert_eq!(get(&own).expect(302).header("location"), "/");
    for elsewhere in
        ["https://evil.example", "//evil.example", "/%5Cevil.example", "evil", "%5C%5Cevil", "/a%0d%0ab"]
    {
        let told = get(&[own[0], own[1], ("redirect_url", elsewhere)]);
        assert_eq!(told.header("set-cookie"), "");
        refused(told, 400, 10002);
    }
    refused(get(&[("username", "root"), own[1]]), 401, 10097);
    refused(get(&[own[0], ("auth_token", "x.y.z")]), 401, 10097);
    refused(get(&[own[0]]), 400, 10002);
    // What lasts does not belong into a URL, here either.
    let operator = scene.server.operator();
    for exposed in [
        vec![own[0], ("auth_token", operator.as_str())],
        vec![own[0], own[1], ("redirect_url", operator.as_str())],
        vec![own[0], own[1], own[1]],
        vec![own[0], ("redirect_url", token.as_str())],
    ] {
        let told = get(&exposed).refused(400, "credential_in_url");
        assert!(!told.text.contains(&operator) && !told.text.contains(&token), "{}", told.text);
    }
    assert_eq!(client.delete(format!("{url}?auth_token={token}")).send().expect("an answer").status(), 400);
    // Nor does a session that lasts, and who put it there has it no more.
    let session = session_of(&send(&scene, "/session/login", &[own[0], ("password", PASSWORD)]).expect(204));
    refused(get(&[own[0], ("auth_token", session.as_str())]), 400, 10002);
    wait_until(|| cookie(&scene.server.url, &session, "GET", ACTIVE).status == 401);
    let short = json!({ "username": "ada", "password": PASSWORD, "validity_time_in_sec": 60 });
    let short = text(&scene.post("/auth/token/full", short).ok()["token"]);
    assert_eq!(session_of(&get(&[own[0], ("auth_token", short.as_str())]).expect(302)), short);
    let posted = form(client.post(&url), &[own[0], own[1], ("no_url_redirection", "true")]);
    Answer::read(posted.send().expect("an answer")).expect(204);
    assert_eq!(cookie(&scene.server.url, &token, "GET", ACTIVE).status, 200);
}

#[test]
fn ts_8_login_info_orgs_and_logout() {
    let scene = Scene::new();
    let url = &scene.server.url;
    let fields = [("username", "ada"), ("password", PASSWORD), ("rememberme", "true")];
    let session = session_of(&send(&scene, "/session/login", &fields).expect(204));
    let info = cookie(url, &session, "GET", &format!("{V1}/session/info")).ok();
    assert_eq!((&info["userGUID"], &info["userName"]), (&json!(scene.ada), &json!("ada")));
    assert_eq!(cookie(url, &session, "GET", ACTIVE).status, 200);
    let orgs = cookie(url, &session, "GET", &format!("{V1}/session/orgs")).ok();
    assert_eq!((&orgs["currentOrgId"], &orgs["orgs"][0]["orgId"]), (&json!(0), &json!(0)));
    let (acme, _) = tenant(&scene.server, "acme");
    let number = scene.root.get(&format!("/v1/tenants/{acme}")).ok()["number"].to_string();
    let switch = |org: &str| {
        let request = form(client().put(format!("{url}{V1}/session/orgs")), &[("orgid", org)]);
        Answer::read(request.header("cookie", format!("JSESSIONID={session}")).send().expect("an answer"))
    };
    switch("0").expect(204);
    refused(switch(&number), 403, 10023);
    refused(switch("acme"), 400, 10002);
    wait_until(|| scene.count("switch_org") == 1);
    let noted = scene.root.get("/v1/audit-events?action=switch_org").ok()["data"][0].clone();
    assert_eq!((&noted["outcome"], &noted["reason"]), (&json!("refused"), &json!("other_org")));
    assert_eq!((&noted["actor"]["id"], &noted["after"]["attempts"]), (&json!(scene.ada), &json!(1)));
    cookie(url, &session, "POST", &format!("{V1}/session/logout")).expect(204);
    refused(cookie(url, &session, "GET", ACTIVE), 401, 10097);
    refused(
        send(&scene, "/session/login", &[("username", "ada"), ("password", "wrong and wrong again")]),
        401,
        10097,
    );
    refused(send(&scene, "/session/login", &[("username", "ada")]), 400, 10002);
    refused(send(&scene, "/session/login", &[("username", "a\0"), ("password", PASSWORD)]), 400, 10002);
    assert!(!text(&scene.user(&scene.ada)["id"]).is_empty());
}

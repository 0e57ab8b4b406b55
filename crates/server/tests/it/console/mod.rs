//! The console, from outside: what a browser sends and gets. What people see of it is walked with a
//! real browser by `integrations/console.py`.

mod keys;
mod look;
mod markup;
mod pages;
mod safety;

use reqwest::blocking::{Client, RequestBuilder};
use reqwest::redirect;

use crate::logins::PASSWORD;
use crate::support::{Answer, Server};

/// A browser with the cookie of a session, which goes where it is sent only when told.
pub(crate) struct Browser {
    client: Client,
    url: String,
    cookie: String,
}

impl Browser {
    /// A browser in which somebody has logged in.
    pub(crate) fn of(server: &Server, username: &str) -> Self {
        let stranger = Self::of_nobody(server);
        let sent =
            stranger.send("/console/login", &[("username", username), ("password", PASSWORD)]).expect(303);
        let cookie = sent.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
        assert!(cookie.starts_with("__Host-keyward=kws_"), "{cookie}");
        Self { cookie, ..stranger }
    }

    /// A browser without a session.
    pub(crate) fn of_nobody(server: &Server) -> Self {
        Self::at(&server.url)
    }

    /// The same, by the address of a server.
    pub(crate) fn at(url: &str) -> Self {
        let client = Client::builder().redirect(redirect::Policy::none()).build().expect("a client");
        Self { client, url: url.into(), cookie: String::new() }
    }

    /// A request as the browser makes it on a page of the server.
    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method: reqwest::Method = method.parse().expect("a method");
        let request = self.client.request(method, format!("{}{path}", self.url));
        if self.cookie.is_empty() { request } else { request.header("cookie", &self.cookie) }
    }

    /// A page.
    pub(crate) fn get(&self, path: &str) -> Answer {
        Answer::read(self.request("GET", path).send().expect("an answer"))
    }

    /// A form that a page of the server sends, without the mark of the session.
    pub(crate) fn send(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = as_form(self.request("POST", path), fields).header("sec-fetch-site", "same-origin");
        Answer::read(request.send().expect("an answer"))
    }

    /// The same with the mark, as every page has it.
    pub(crate) fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.form_token();
        self.send(path, &[fields, &[("form_token", &token)]].concat())
    }

    /// The mark of the session, out of a page.
    pub(crate) fn form_token(&self) -> String {
        field(&self.get("/console").expect(200).text, "form_token")
    }
}

/// The same request with a form as its body.
pub(crate) fn as_form(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let body = serde_html_form::to_string(fields).expect("fields are text");
    request.header("content-type", "application/x-www-form-urlencoded").body(body)
}

/// The value of a hidden field.
pub(crate) fn field(page: &str, name: &str) -> String {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\"")).expect(page);
    rest.split('"').next().unwrap_or_default().to_owned()
}

/// What stands in the element with an id.
pub(crate) fn element(page: &str, id: &str) -> String {
    let (_, rest) = page.split_once(&format!("id=\"{id}\"")).expect(page);
    let (_, rest) = rest.split_once('>').expect(rest);
    rest.split('<').next().unwrap_or_default().to_owned()
}

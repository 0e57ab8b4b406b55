//! `/authz`, the question of a gateway, and how credentials are presented everywhere.

mod answers;
mod cookies;
mod credentials;
mod exposure;
mod proxies;
mod strangers;

use crate::support::{Answer, Caller, client};

/// Asks `/authz` with these headers and no others.
pub(crate) fn ask(url: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = client().get(format!("{url}/authz"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::read(request.send().expect("an answer"))
}

/// Asks `/authz` with the caller's secret as Bearer, and these headers.
pub(crate) fn ask_as(caller: &Caller, headers: &[(&str, &str)]) -> Answer {
    let bearer = format!("Bearer {}", caller.secret);
    ask(&caller.url, &[&[("Authorization", bearer.as_str())], headers].concat())
}

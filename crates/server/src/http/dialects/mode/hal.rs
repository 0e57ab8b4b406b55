//! Answers in HAL, and pages by number, as Mode has them.

use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::http::dialects::body;
use crate::http::problem::Problem;
use crate::store::page::Listed;

/// The type of all answers but the audit log's.
pub(super) const HAL: &str = "application/hal+json; charset=utf-8";
/// The type of the audit log, which is no HAL.
pub(super) const JSON: &str = "application/json; charset=utf-8";
/// Items on a page, unless asked otherwise and at most.
const PER_PAGE: u64 = 30;
/// Items that are gone through for one answer, at most.
const MOST: u64 = 10_000;

/// What a handler answers.
pub(super) type Told = Result<Response, Problem>;

/// 200 with an object.
pub(super) fn ok(value: &impl Serialize) -> Told {
    answer(StatusCode::OK, HAL, value)
}

/// An answer of this status and type.
pub(super) fn answer(status: StatusCode, kind: &'static str, value: &impl Serialize) -> Told {
    let body = serde_json::to_vec(value).map_err(Error::internal)?;
    let mut response = (status, body).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

/// A link.
pub(super) fn link(href: &str) -> Value {
    json!({ "href": href })
}

/// The page that a client asked for, filled by going through all items: the keyset pages of the store know no
/// numbers, and Mode tells how many items there are.
pub(super) struct Window {
    page: u64,
    per_page: u64,
    total: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PageQuery {
    page: Option<u64>,
    per_page: Option<u64>,
}

impl Window {
    /// Reads `page` and `per_page`, which is cut to 30.
    ///
    /// # Errors
    /// `Error::Malformed` for what is no number, and for 0.
    pub(super) fn read(uri: &Uri) -> Result<Self> {
        let asked: PageQuery = body::query(uri.query().unwrap_or_default())?;
        let (page, per_page) = (asked.page.unwrap_or(1), asked.per_page.unwrap_or(PER_PAGE));
        if page == 0 || per_page == 0 {
            return Err(Error::malformed("", "out_of_range", "page and per_page begin with 1"));
        }
        Ok(Self { page, per_page: per_page.min(PER_PAGE), total: 0 })
    }

    /// Fills the page, where `list` answers with the items from a cursor on.
    ///
    /// # Errors
    /// Those of `list`, and 400 for a list that is too long, which tells where else it is.
    pub(super) async fn fill<T, F: Future<Output = Result<Listed<T>>>>(
        &mut self,
        elsewhere: &str,
        list: impl Fn(Option<String>) -> F,
    ) -> Result<Vec<T>> {
        let mut items = Vec::new();
        let mut listed = list(None).await?;
        loop {
            items.extend(listed.data.into_iter().filter(|_| self.admits_next()));
            let Some(cursor) = listed.next_cursor else { return Ok(items) };
            self.must_end(elsewhere)?;
            listed = list(Some(cursor)).await?;
        }
    }

    /// Counts one more item; whether it is on the page.
    fn admits_next(&mut self) -> bool {
        let first = (self.page - 1).saturating_mul(self.per_page);
        let at = self.total;
        self.total += 1;
        (first..first.saturating_add(self.per_page)).contains(&at)
    }

    /// Refuses to go on through more than anybody pages through: each page is the work of the whole list.
    fn must_end(&self, elsewhere: &str) -> Result<()> {
        if self.total < MOST {
            return Ok(());
        }
        let detail = format!("there are more than {MOST} items; list them by {elsewhere}");
        Err(Error::invalid("", "too_many", detail))
    }

    /// The page with its items.
    pub(super) fn answer(&self, path: &str, name: &str, items: &[impl Serialize]) -> Told {
        ok(&json!({
            "_links": { "self": link(path) },
            "_embedded": { (name): items },
            "pagination": {
                "page": self.page,
                "per_page": self.per_page,
                "total_pages": self.total.div_ceil(self.per_page),
                "total_count": self.total,
            },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(query: &str) -> Result<Window> {
        Window::read(&format!("/x?{query}").parse().expect("a target"))
    }

    #[test]
    fn pages_by_number_are_cut_to_thirty() {
        let mut second = window("page=2&per_page=500&filter=all").expect("reads");
        let on_it: Vec<u64> = (0..70).filter(|_| second.admits_next()).collect();
        assert_eq!((on_it.len(), on_it[0], second.total), (30, 30, 70));
        let mut far = window(&format!("page={}", u64::MAX)).expect("reads");
        assert!((0..70).all(|_| !far.admits_next()), "a page past the end is empty");
    }

    #[test]
    fn lists_that_have_no_end() {
        let mut first = window("").expect("reads");
        for _ in 1..MOST {
            first.admits_next();
        }
        assert!(first.must_end("/v1/keys").is_ok());
        first.admits_next();
        assert!(first.must_end("/v1/keys").is_err());
    }

    #[test]
    fn pages_that_are_none() {
        for bad in ["page=0", "per_page=0", "page=x", "page=-1"] {
            assert!(window(bad).is_err(), "{bad}");
        }
    }
}

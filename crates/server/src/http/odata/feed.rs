//! Pages of a set: cut off by the server, counted and sorted where the set is small enough.

use std::cmp::{Ordering, Reverse};

use super::options::Options;
use super::rows::{self, Part};
use super::sets::{Row, Set};
use crate::app::{Actor, App};
use crate::error::{Error, Result};
use crate::store::page::MAX_LIMIT;

/// Rows on a page, at most.
pub(crate) const PAGE: usize = 1000;
/// Rows that are looked through for one answer, at most. Beyond them a page ends where it is, and what needs
/// all rows is refused.
pub(crate) const MOST: usize = 10_000;

/// A page of a set.
pub(crate) struct Page {
    pub(crate) rows: Vec<Row>,
    /// Rows that fit, whatever page they are on.
    pub(crate) count: Option<usize>,
    /// The query of the next page.
    pub(crate) next: Option<String>,
}

/// Who asks for what.
#[derive(Clone, Copy)]
pub(crate) struct Feed<'f> {
    pub(crate) app: &'f App,
    pub(crate) actor: &'f Actor,
    pub(crate) set: &'static Set,
    pub(crate) options: &'f Options,
}

impl Feed<'_> {
    /// The rows that are asked for, `most` of them at a time.
    ///
    /// # Errors
    /// 400 for a count or an order of too many rows; as [`rows::read`].
    pub(crate) async fn page(&self, most: usize) -> Result<Page> {
        if !self.options.order.is_empty() {
            return self.sorted().await;
        }
        let count = if self.options.count { Some(self.count().await?) } else { None };
        let (rows, next) = self.stream(most).await?;
        Ok(Page { rows, count, next })
    }

    /// How many rows fit.
    ///
    /// # Errors
    /// As [`Feed::page`].
    pub(crate) async fn count(&self) -> Result<usize> {
        let mut count = 0;
        self.each("$count", |_| count += 1).await?;
        Ok(count)
    }

    /// Rows in the order in which they come, and the query of those behind them.
    async fn stream(&self, most: usize) -> Result<(Vec<Row>, Option<String>)> {
        let (mut cursor, mut top, mut skip) = match &self.options.place {
            Some(place) => (Some(place.cursor.clone()), place.top, place.skip),
            None => (None, self.options.top, self.options.skip),
        };
        let full = usize::try_from(MAX_LIMIT).unwrap_or(MOST);
        let step = most.min(full);
        let (mut rows, mut seen) = (Vec::new(), 0);
        while top != Some(0) {
            let part = self.part(cursor.as_deref(), step).await?;
            // A small part is as much work to find as a full one: small pages must not mean many queries.
            seen += part.rows.len().max(full);
            for row in part.rows.into_iter().filter(|row| self.fits(row)) {
                if skip > 0 {
                    skip -= 1;
                } else if top != Some(0) {
                    top = top.map(|top| top - 1);
                    rows.push(row);
                }
            }
            let Some(next) = part.next else { return Ok((rows, None)) };
            // Another part may not fit on the page any more.
            if top != Some(0) && (rows.len() + step > most || seen >= MOST) {
                return Ok((rows, Some(self.options.next(next, top, skip)?)));
            }
            cursor = Some(next);
        }
        Ok((rows, None))
    }

    /// All rows in an order of their own, which come on one page.
    async fn sorted(&self) -> Result<Page> {
        let mut rows = Vec::new();
        self.each("$orderby", |row| rows.push(row)).await?;
        rows.sort_by(|one, two| self.compare(one, two));
        let count = self.options.count.then_some(rows.len());
        let skip = usize::try_from(self.options.skip).unwrap_or(usize::MAX);
        let top = self.options.top.and_then(|top| usize::try_from(top).ok()).unwrap_or(usize::MAX);
        let rows = rows.into_iter().skip(skip).take(top).collect();
        Ok(Page { rows, count, next: None })
    }

    fn compare(&self, one: &Row, two: &Row) -> Ordering {
        let by = |(at, down): &(usize, bool)| {
            if *down { Reverse(&one[*at]).cmp(&Reverse(&two[*at])) } else { one[*at].cmp(&two[*at]) }
        };
        self.options.order.iter().map(by).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }

    /// Goes through every row that fits.
    async fn each(&self, option: &str, mut take: impl FnMut(Row)) -> Result<()> {
        let (mut cursor, mut seen) = (None, 0);
        loop {
            let part = self.part(cursor.as_deref(), PAGE).await?;
            seen += part.rows.len();
            part.rows.into_iter().filter(|row| self.fits(row)).for_each(&mut take);
            cursor = part.next;
            if cursor.is_none() {
                return Ok(());
            }
            if seen >= MOST {
                return Err(too_many(option, self.set));
            }
        }
    }

    async fn part(&self, cursor: Option<&str>, step: usize) -> Result<Part> {
        let limit = i64::try_from(step).unwrap_or(MAX_LIMIT).min(MAX_LIMIT);
        let what = (self.set, self.options.filter.as_ref());
        rows::read(self.app, self.actor, what, cursor, limit).await
    }

    fn fits(&self, row: &Row) -> bool {
        self.options.filter.as_ref().is_none_or(|filter| filter.matches(row))
    }
}

fn too_many(option: &str, set: &Set) -> Error {
    let order: Vec<String> = set
        .order
        .iter()
        .map(|(name, down)| if *down { format!("{name} desc") } else { (*name).to_owned() })
        .collect();
    let detail = format!(
        "there are more than {MOST} rows to look through; narrow them by $filter, or read them without {option} in the order of {}",
        order.join(", ")
    );
    Error::malformed(option, "too_many_rows", detail)
}

//! Keyset pages: one cursor for all lists, bound to the filter and sort it was made for (`api.md` 3).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Items on a page unless asked otherwise, and at most.
pub(crate) const DEFAULT_LIMIT: i64 = 50;
/// A larger wish is cut to this.
pub(crate) const MAX_LIMIT: i64 = 200;

/// Where a page starts: behind the last row of the page before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Sort value of that row, when the sort is by number.
    pub(crate) number: Option<i64>,
    /// Sort value of that row, when the sort is by text.
    pub(crate) text: Option<String>,
    /// Its id, which breaks ties.
    pub(crate) id: String,
}

#[derive(Serialize, Deserialize)]
struct Cursor {
    /// Checksum of filter and sort.
    scope: u32,
    position: Position,
}

/// A page request: how many rows, from where, under which filter.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// Rows wanted.
    pub(crate) limit: i64,
    /// Where to start.
    pub(crate) after: Option<Position>,
    scope: u32,
}

impl Page {
    /// Reads `limit` and `cursor`; `scope` is the text of all other query parameters.
    pub(crate) fn read(limit: Option<i64>, cursor: Option<&str>, scope: &str) -> Result<Self> {
        let scope = crc32(scope);
        let limit = match limit {
            Some(limit) if limit < 1 => {
                return Err(Error::malformed("limit", "out_of_range", "limit must be 1 or more"));
            }
            limit => limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT),
        };
        let after = cursor.map(|text| decode(text, scope)).transpose()?;
        Ok(Self { limit, after, scope })
    }

    /// Everything at once, for operations that must see all rows.
    pub(crate) fn unlimited() -> Self {
        Self::part(i64::MAX - 1, None)
    }

    /// A part of everything, for operations that go through all rows.
    pub(crate) fn part(limit: i64, after: Option<Position>) -> Self {
        Self { limit, after, scope: 0 }
    }

    /// The cursor of the page behind `position`.
    pub(crate) fn cursor(&self, position: Position) -> String {
        let cursor = Cursor { scope: self.scope, position };
        let json = serde_json::to_vec(&cursor).expect("a cursor is plain data");
        URL_SAFE_NO_PAD.encode(json)
    }

    /// Cuts the extra row that was asked for to learn whether there is a next page.
    pub(crate) fn finish<T>(&self, mut rows: Vec<T>, position: impl Fn(&T) -> Position) -> Listed<T> {
        let more = i64::try_from(rows.len()).is_ok_and(|n| n > self.limit);
        rows.truncate(usize::try_from(self.limit).unwrap_or(usize::MAX));
        let next_cursor = rows.last().filter(|_| more).map(|row| self.cursor(position(row)));
        Listed { data: rows, next_cursor }
    }
}

/// A page of a list.
#[derive(Debug, Serialize)]
pub(crate) struct Listed<T> {
    /// The items.
    pub(crate) data: Vec<T>,
    /// Where the next page starts; `null` on the last.
    pub(crate) next_cursor: Option<String>,
}

impl<T> Listed<T> {
    /// The same page with each item rendered.
    pub(crate) fn map<U>(self, render: impl FnMut(T) -> U) -> Listed<U> {
        Listed { data: self.data.into_iter().map(render).collect(), next_cursor: self.next_cursor }
    }
}

fn decode(text: &str, scope: u32) -> Result<Position> {
    let bad = |detail| Error::malformed("cursor", "bad_cursor", detail);
    let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad("this is no cursor of this server"))?;
    let cursor: Cursor =
        serde_json::from_slice(&json).map_err(|_| bad("this is no cursor of this server"))?;
    if cursor.scope != scope {
        return Err(bad("the cursor belongs to another filter or sort; start again without it"));
    }
    if cursor.position.id.contains('\0')
        || cursor.position.text.as_ref().is_some_and(|text| text.contains('\0'))
    {
        return Err(bad("this is no cursor of this server"));
    }
    Ok(cursor.position)
}

/// CRC-32 by the polynomial of zlib; a slip detector, not a protection.
pub(crate) fn crc32(text: &str) -> u32 {
    text.bytes().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { c >> 1 ^ 0xEDB8_8320 } else { c >> 1 })
    }) ^ !0
}

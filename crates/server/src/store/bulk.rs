//! Many rows in one statement: most of a small statement is the way to the database and back.

use super::Conn;

/// Rows in one statement. Few sizes, so that each is prepared once.
const SIZES: [usize; 3] = [256, 16, 1];

/// The texts of a statement, by its number of rows.
pub(super) struct Bulk {
    sqlite: [String; SIZES.len()],
    postgres: [String; SIZES.len()],
}

impl Bulk {
    /// The texts that `around` makes of a list of rows of so many columns.
    pub(super) fn new(columns: usize, around: impl Fn(&str) -> String) -> Self {
        // To SQLite a place without a name is cheap: with names it looks at all of them for each.
        let nameless = |_| "?".to_owned();
        let numbered = |place| format!("${place}");
        Self {
            sqlite: SIZES.map(|rows| around(&list(rows, columns, nameless))),
            postgres: SIZES.map(|rows| around(&list(rows, columns, numbered))),
        }
    }

    /// Cuts rows into statements, the largest first.
    pub(super) fn cut<'t, 'r, T>(&'t self, conn: &Conn, mut rows: &'r [T]) -> Vec<(&'t str, &'r [T])> {
        let texts = match conn {
            Conn::Sqlite(_) => &self.sqlite,
            Conn::Postgres(_) => &self.postgres,
        };
        let mut statements = Vec::new();
        for (size, text) in SIZES.into_iter().zip(texts) {
            let full = rows.chunks_exact(size);
            rows = full.remainder();
            statements.extend(full.map(|rows| (text.as_str(), rows)));
        }
        statements
    }
}

/// `($1, $2), ($3, $4)` for two rows of two columns.
fn list(rows: usize, columns: usize, place: impl Fn(usize) -> String) -> String {
    let row = |row: usize| {
        let places: Vec<_> = (1..=columns).map(|column| place(row * columns + column)).collect();
        format!("({})", places.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_engine_gets_its_own_places() {
        let bulk = Bulk::new(2, |values| format!("VALUES {values}"));
        assert_eq!(bulk.sqlite[2], "VALUES (?, ?)");
        assert_eq!(bulk.postgres[2], "VALUES ($1, $2)");
        assert!(bulk.postgres[1].ends_with("($31, $32)"));
    }
}

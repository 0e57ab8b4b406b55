//! What must hold when processes are killed, databases go away and disks are full.

mod drain;
mod full_disk;
mod kills;
mod loss;
mod memory;
mod proxy;
mod records;
mod replays;
mod start;

use std::process::Command;

use crate::support::Place;

/// The one number that a query answers.
pub(crate) fn count(place: &Place, query: &'static str) -> i64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        use sqlx::Connection as _;
        match place.database_url() {
            Some(url) => {
                let mut conn = sqlx::PgConnection::connect(&url).await.expect("connects");
                sqlx::query_scalar(query).fetch_one(&mut conn).await.expect("answers")
            }
            None => {
                let url = format!("sqlite:{}", place.data().join("keyward.db").display());
                let mut conn = sqlx::SqliteConnection::connect(&url).await.expect("connects");
                sqlx::query_scalar(query).fetch_one(&mut conn).await.expect("answers")
            }
        }
    })
}

/// Sends a signal by its name without `SIG`.
pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(status.expect("kill runs").success(), "no process {pid}");
}

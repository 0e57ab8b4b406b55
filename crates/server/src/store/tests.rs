use super::*;

async fn run(db: &Db, statement: &'static str, value: &str) {
    let mut tx = db.begin().await.expect("begins");
    on!(tx.conn(), c => sqlx::query(statement).bind(value).execute(c).await.map(drop)).expect("runs");
    tx.commit().await.expect("commits");
}

/// Rows of two owners share pages; SQLite moves them about and leaves copies in the gaps.
#[tokio::test]
async fn az_14_no_copy_of_deleted_rows_is_left_in_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("some.db");
    let db = Db::open_sqlite(&path, Duration::from_secs(5)).await.expect("opens");
    let Db::Sqlite { writer, .. } = &db else { panic!("SQLite") };
    run(&db, "CREATE TABLE held (owner TEXT, what TEXT, PRIMARY KEY (owner, what)) WITHOUT ROWID", "").await;
    let mut left = false;
    for round in 0..50 {
        for number in 0..40 {
            let what = format!("{}{}", crate::random::hex::<8>(), "x".repeat(number * 7 % 90));
            run(&db, "INSERT INTO held VALUES (substr($1, 1, 1) || '-owner-that-stays', $1)", &what).await;
            run(&db, "INSERT INTO held VALUES (substr($1, 2, 1) || '-owner-that-goes', $1)", &what).await;
            run(&db, "DELETE FROM held WHERE what < $1 AND length(what) > 90", &what).await;
        }
        run(&db, "DELETE FROM held WHERE owner LIKE '%' || $1", "-owner-that-goes").await;
        fold_log(writer).await.expect("folds");
        left = holds(&path, b"-owner-that-goes").expect("reads");
        if left {
            println!("a copy is left in round {round}");
            break;
        }
    }
    assert!(left, "SQLite leaves nothing: the rest of this test shows nothing");
    db.scrub("-owner-that-goes").await.expect("scrubs");
    assert!(!holds(&path, b"-owner-that-goes").expect("reads"));
    assert!(holds(&path, b"-owner-that-stays").expect("reads"));
    assert_eq!(std::fs::metadata(path.with_extension("db-wal")).map_or(0, |file| file.len()), 0);
}

#[test]
fn text_is_found_wherever_parts_of_the_file_meet() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    for at in [0, 1, (1 << 20) - 3, 1 << 20, (1 << 20) + 5, 3 << 20] {
        let mut bytes = vec![b'x'; 4 << 20];
        bytes[at..at + 6].copy_from_slice(b"needle");
        std::fs::write(file.path(), &bytes).expect("written");
        assert!(holds(file.path(), b"needle").expect("reads"), "{at}");
        assert!(!holds(file.path(), b"noodle").expect("reads"), "{at}");
    }
    std::fs::write(file.path(), b"").expect("written");
    assert!(!holds(file.path(), b"needle").expect("reads"));
}

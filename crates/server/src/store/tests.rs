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

#[tokio::test]
async fn x_5_drafts_that_were_decided_long_ago_are_forgotten_and_open_ones_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = Db::open_sqlite(&folder.path().join("some.db"), Duration::from_secs(30)).await.expect("opens");
    db.migrate().await.expect("migrates");
    let row = |id: &str, state: &str, updated_at: i64| policies::DraftRow {
        tenant_id: "tenant_1".into(),
        id: id.into(),
        policy: "{}".into(),
        based_on: 1,
        note: None,
        state: state.into(),
        starts_at: None,
        scheduled_by: None,
        applied_version: None,
        failure: None,
        failure_detail: None,
        created_at: 0,
        created_by: "user_1".into(),
        updated_at,
        version: 1,
    };
    let mut tx = db.begin().await.expect("begins");
    let states = [("a", "applied", 99), ("b", "failed", 99), ("c", "applied", 100), ("d", "draft", 0)];
    for (id, state, updated_at) in states.into_iter().chain([("e", "scheduled", 0)]) {
        policies::insert_draft(tx.conn(), &row(id, state, updated_at)).await.expect("inserts");
    }
    policies::prune_drafts(tx.conn(), 100).await.expect("prunes");
    let left =
        policies::list_drafts(tx.conn(), "tenant_1", None, &page::Page::unlimited()).await.expect("reads");
    let left: Vec<_> = left.data.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(left, ["e", "d", "c"]);
}

use keyward_core::id::{KeyId, TenantId};

use super::*;
use crate::random;
use crate::store::changes::{Change, ChangeKind};
use crate::store::on;

/// What is unknown would stay so for an hour: only an invalidation can end it earlier.
fn settings() -> CacheSettings {
    let hour = Duration::from_secs(3600);
    CacheSettings {
        max_staleness: hour,
        on_database_loss: OnDatabaseLoss::Deny,
        unknown_ttl: hour,
        max_unknown: 10_000,
        timeout: Duration::from_secs(30),
    }
}

struct Scene {
    db: Db,
    cache: Arc<Cache>,
    clock: Clock,
    tenant: String,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let db =
            Db::open_sqlite(&folder.path().join("some.db"), Duration::from_secs(30)).await.expect("opens");
        db.migrate().await.expect("migrates");
        let clock = Clock::start();
        let cache =
            Cache::new(db.clone(), Handle::current(), clock, Arc::new(RootKey::generate()), settings());
        cache.health.confirmed_ms.store(clock.monotonic_ms(), Ordering::Release);
        let tenant = random::new_id::<keyward_core::id::Tenant>(0).to_string();
        Self { db, cache: Arc::new(cache), clock, tenant, _folder: folder }
    }

    /// Whether the cache knows of the key; reads what it lacks.
    async fn knows(&self, id: AccessKey) -> bool {
        loop {
            match self.cache.key(id, self.clock.now()) {
                Ok(found) => return found.is_some(),
                Err(need) => self.cache.load(need).await.expect("reads"),
            }
        }
    }

    /// The key is made, and told of, as by `App::write`.
    async fn make(&self, id: AccessKey) {
        self.insert(id).await;
        let subject = id.digits().to_owned();
        self.cache.apply(&Change { kind: ChangeKind::Key, tenant_id: self.tenant.clone(), subject });
    }

    /// The key is made by another node, and not told of yet.
    async fn insert(&self, id: AccessKey) {
        let key: KeyId = random::new_id(0);
        let mut tx = self.db.begin().await.expect("begins");
        on!(tx.conn(), c => sqlx::query(
            "INSERT INTO keys (tenant_id, id, access_key, class, label, switch, created_at, created_by,
                updated_at, updated_by, version) VALUES ($1, $2, $3, 'ingest', '', 'on', 0, '', 0, '', 1)"
        ).bind(&self.tenant).bind(key.to_string()).bind(id.digits()).execute(c).await.map(drop))
        .expect("is made");
        tx.commit().await.expect("commits");
    }
}

#[tokio::test]
async fn ver_9_a_key_that_was_asked_for_before_it_was_made_is_known_at_once() {
    let scene = Scene::new().await;
    for _ in 0..100 {
        let id = AccessKey::generate(&mut random::fill);
        assert!(!scene.knows(id).await);
        let reads = scene.cache.reads.load(Ordering::Relaxed);
        assert!(!scene.knows(id).await);
        assert_eq!(scene.cache.reads.load(Ordering::Relaxed), reads, "that it is not there is remembered");
        scene.make(id).await;
        assert!(scene.knows(id).await);
    }
}

#[tokio::test]
async fn r10_guesses_cost_a_few_reads_and_no_key_is_denied_for_them() {
    let scene = Scene::new().await;
    let ids: Vec<AccessKey> = (0..300).map(|_| AccessKey::generate(&mut random::fill)).collect();
    for id in &ids[..100] {
        scene.make(*id).await;
    }
    scene.cache.register.fill_when_wanted(&scene.db).await.expect("nobody guesses yet");
    for _ in 0..5000 {
        assert!(!scene.knows(AccessKey::generate(&mut random::fill)).await);
    }
    let reads = scene.cache.reads.load(Ordering::Relaxed);
    assert!(reads >= 5000, "without the filter each costs a read: {reads}");
    scene.cache.register.fill_when_wanted(&scene.db).await.expect("reads all keys");
    for id in &ids[100..200] {
        scene.make(*id).await;
    }
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let quiet = ids[200];
    scene.insert(quiet).await;
    assert!(scene.knows(quiet).await, "made elsewhere, not told of yet, and nobody guesses");
    let before = scene.cache.reads.load(Ordering::Relaxed);
    for _ in 0..5000 {
        assert!(!scene.knows(AccessKey::generate(&mut random::fill)).await);
    }
    let reads = scene.cache.reads.load(Ordering::Relaxed) - before;
    assert!((100..1500).contains(&reads), "{reads} reads");
    for id in &ids[..200] {
        assert!(scene.knows(*id).await, "denied for the guesses of others");
    }
    let late = ids[201];
    scene.insert(late).await;
    scene.cache.expire_all();
    assert!(scene.knows(late).await, "a gap in the feed: nothing is ruled out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ver_9_x_7_of_a_thousand_races_between_asking_and_making_none_is_lost() {
    let scene = Arc::new(Scene::new().await);
    let mut before = 0;
    for _ in 0..1000 {
        let id = AccessKey::generate(&mut random::fill);
        let probe = |scene: Arc<Scene>| async move {
            let mut tries = 0_u32;
            while !scene.knows(id).await {
                tries += 1;
                tokio::task::yield_now().await;
            }
            tries
        };
        let probes = [tokio::spawn(probe(scene.clone())), tokio::spawn(probe(scene.clone()))];
        tokio::task::yield_now().await;
        scene.make(id).await;
        assert!(scene.knows(id).await, "made, told of, and still unknown");
        for probe in probes {
            before += u32::from(probe.await.expect("no panic") > 0);
        }
    }
    assert!(before > 100, "asked for before it was made: {before} times only");
}

#[tokio::test]
async fn az_14_x_7_after_a_tenant_was_deleted_every_tenant_is_read_anew() {
    let scene = Scene::new().await;
    let ids: Vec<TenantId> = (0..2).map(random::new_id).collect();
    for (number, id) in (0_i64..).zip(&ids) {
        let mut tx = scene.db.begin().await.expect("begins");
        on!(tx.conn(), c => sqlx::query(
            "INSERT INTO tenants (id, number, slug, name, features, policy, policy_version, created_at,
                updated_at, version) VALUES ($1, $2, $1, '', '{}', '{}', 1, 0, 0, 1)"
        ).bind(id.to_string()).bind(number).execute(c).await.map(drop))
        .expect("is made");
        tx.commit().await.expect("commits");
        let need = scene.cache.tenant(*id, scene.clock.now()).expect_err("not read yet");
        scene.cache.load(need).await.expect("reads");
    }
    let known = |id: TenantId| scene.cache.tenant(id, scene.clock.now()).map(|found| found.is_some());
    assert_eq!([known(ids[0]), known(ids[1])], [Ok(true), Ok(true)]);
    let mut tx = scene.db.begin().await.expect("begins");
    crate::store::tenants::delete(tx.conn(), &ids[0].to_string()).await.expect("deletes");
    tx.commit().await.expect("commits");
    let told = Change { kind: ChangeKind::Tenants, tenant_id: String::new(), subject: String::new() };
    scene.cache.apply(&told);
    for id in &ids {
        scene.cache.load(known(*id).expect_err("is read anew")).await.expect("reads");
    }
    assert_eq!([known(ids[0]), known(ids[1])], [Ok(false), Ok(true)]);
}

/// With more guesses than may be read.
#[tokio::test]
async fn r_10_guessed_trusted_secrets_cost_a_few_reads() {
    let scene = Scene::new().await;
    scene.cache.register.fill(&scene.db).await.expect("reads all");
    let told = AccessKey::generate(&mut random::fill);
    let change = |id: AccessKey| Change {
        kind: ChangeKind::Trusted,
        tenant_id: scene.tenant.clone(),
        subject: id.digits().into(),
    };
    for _ in 0..5000 {
        let guess = AccessKey::generate(&mut random::fill);
        if let Err(need) = scene.cache.trusted(guess, scene.clock.now()) {
            scene.cache.load(need).await.expect("reads");
        }
    }
    let reads = scene.cache.reads.load(Ordering::Relaxed);
    assert!((100..1500).contains(&reads), "{reads} reads");
    scene.cache.apply(&change(told));
    assert!(scene.cache.trusted(told, scene.clock.now()).is_err(), "told of: it is looked for");
}

/// Revocations that come faster than all of them are read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imp_6_a_stream_of_revocations_neither_delays_their_reading_nor_is_lost() {
    // A busy machine may keep the stream waiting for as long as all are read: then nothing was shown.
    for _ in 0..50 {
        if revoke_while_reading().await {
            return;
        }
    }
    panic!("no revocation ever came while all were read");
}

/// Reads all revocations while others come; whether the last one came while or after they were read, which
/// must be known then.
async fn revoke_while_reading() -> bool {
    use keyward_core::id::TokenId;
    let scene = Arc::new(Scene::new().await);
    let (done, came) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (stream, over, coming) = (scene.clone(), done.clone(), came.clone());
    let stream = std::thread::spawn(move || {
        let mut ids: Vec<TokenId> = Vec::new();
        while !over.load(Ordering::Acquire) {
            let id = random::new_id(0);
            let subject = crate::verify::tokens::subject_of(id, i64::MAX);
            stream.cache.apply(&Change { kind: ChangeKind::Token, tenant_id: String::new(), subject });
            ids.push(id);
            coming.fetch_add(1, Ordering::AcqRel);
        }
        ids
    });
    while came.load(Ordering::Acquire) < 100 {
        tokio::task::yield_now().await;
    }
    let before = came.load(Ordering::Acquire);
    let read = tokio::time::timeout(Duration::from_secs(10), scene.cache.load(Need::Revocations)).await;
    done.store(true, Ordering::Release);
    let ids = stream.join().expect("no panic");
    read.expect("it ends").expect("reads");
    // One may have been on its way already when the reading began.
    if ids.len() as u64 <= before + 1 {
        return false;
    }
    let known = scene.cache.revocations(scene.clock.now()).expect("read");
    assert!(known.holds(*ids.last().expect("some came")), "the last came while or after all were read");
    true
}

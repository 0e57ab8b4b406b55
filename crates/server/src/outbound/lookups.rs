//! Names of others are looked up on threads that nothing can stop (OUT-3): of one tenant a few at a time, and
//! of all not so many that nothing else gets a thread.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;

/// Lookups of one tenant, and of all.
const TENANT: usize = 8;
const ALL: usize = 128;
/// How long one may take: twice what a resolver gives a name server.
const LONGEST: Duration = Duration::from_secs(10);

/// Lookups that are under way.
pub(super) struct Lookups {
    all: Arc<Semaphore>,
    tenants: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Default for Lookups {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(ALL)), tenants: Mutex::default() }
    }
}

impl Lookups {
    /// Every address of a name.
    pub(super) async fn find(&self, tenant: &str, host: &str, port: u16) -> io::Result<Vec<IpAddr>> {
        let host = host.to_owned();
        let ask = move || {
            let found = (host.as_str(), port).to_socket_addrs()?;
            Ok(found.map(|address| address.ip()).collect())
        };
        self.run(tenant, ask, LONGEST).await
    }

    async fn run<T: Send + 'static>(
        &self,
        tenant: &str,
        ask: impl FnOnce() -> io::Result<T> + Send + 'static,
        longest: Duration,
    ) -> io::Result<T> {
        let own = self.of(tenant);
        let answer = async {
            let own = own.acquire_owned().await.map_err(io::Error::other)?;
            let all = self.all.clone().acquire_owned().await.map_err(io::Error::other)?;
            let answer = tokio::task::spawn_blocking(move || {
                // The thread is taken until the answer is there, also when nobody waits for it any more.
                let _places = (own, all);
                ask()
            });
            answer.await.map_err(io::Error::other)?
        };
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the name server does not answer in time");
        tokio::time::timeout(longest, answer).await.map_err(late)?
    }

    fn of(&self, tenant: &str) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock().expect("no code panics while it holds this lock");
        tenants.retain(|_, places| Arc::strong_count(places) > 1);
        tenants.entry(tenant.into()).or_insert_with(|| Arc::new(Semaphore::new(TENANT))).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn out_3_slow_names_of_one_tenant_take_a_few_threads_and_hold_up_no_other() {
        let lookups = Arc::new(Lookups::default());
        let begun = Arc::new(AtomicUsize::new(0));
        let short = Duration::from_millis(100);
        let slow: Vec<_> = (0..50)
            .map(|_| {
                let (lookups, begun) = (lookups.clone(), begun.clone());
                let ask = move || {
                    begun.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(700));
                    Ok(())
                };
                tokio::spawn(async move { lookups.run("tenant_1", ask, short).await })
            })
            .collect();
        for one in slow {
            let late = one.await.expect("ends").expect_err("too late");
            assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        }
        // Their threads are still at it, so that no more begin, and nobody else waits for them.
        assert!(lookups.run("tenant_1", || Ok(()), short).await.is_err());
        assert_eq!(begun.load(Ordering::Relaxed), TENANT);
        assert_eq!(lookups.run("tenant_2", || Ok(7), short).await.expect("at once"), 7);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(lookups.run("tenant_1", || Ok(7), short).await.expect("they are through"), 7);
        assert_eq!(lookups.all.available_permits(), ALL);
        let of = lookups.of("tenant_3");
        assert_eq!(lookups.tenants.lock().expect("free").len(), 1, "what is idle is forgotten");
        drop(of);
    }

    #[tokio::test]
    async fn out_2_a_name_leads_to_its_addresses() {
        let found = Lookups::default().find("tenant_1", "localhost", 80).await.expect("an answer");
        assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
    }
}

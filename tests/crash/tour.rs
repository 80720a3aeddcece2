//! One ensemble on its way through all scenarios, with an operator of its own that meets faults.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::cluster::{Ensemble, PATIENCE, Space, eventually};
use super::plan::{FaultPlan, RecordedWrites, Tour};
use super::proxy::Proxy;
use super::scenario::{Scenario, uids};
use super::state::{State, differences, state};
use super::writers::Writers;

/// Not `zk`: the end-to-end tests drain nodes of members of that name.
const NAME: &str = "tour";
/// Nothing is written for so long when a scenario is over.
const QUIET: Duration = Duration::from_secs(3);

/// Longest until the end state shows: two regular looks of the operator, and some.
const SETTLED: Duration = Duration::from_mins(1);

/// What the undisturbed tour left after each scenario.
#[derive(Default)]
pub struct Reference(Mutex<BTreeMap<Scenario, State>>);

impl Reference {
    async fn after(&self, scenario: Scenario) -> State {
        let mut found = None;
        eventually(PATIENCE, "the undisturbed tour to be as far", async || {
            found = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&scenario).cloned();
            found.is_some()
        })
        .await;
        found.unwrap()
    }
}

/// What became of a tour so far.
#[derive(Default)]
pub struct Log {
    pub writes: RecordedWrites,
    pub passed: Vec<FaultPlan>,
    pub not_reached: Vec<FaultPlan>,
    /// The scenario that is under way.
    pub now: Option<Scenario>,
}

/// A tour: where it is, what it meets, and what it is compared with.
pub struct Trip<'a> {
    pub space: Space,
    pub tour: &'a Tour,
    /// Whether the others are compared with this one.
    pub undisturbed: bool,
    pub reference: &'a Reference,
    pub log: &'a Mutex<Log>,
}

impl Trip<'_> {
    /// Goes all the way, or panics with what went wrong.
    pub async fn go(&self) {
        let proxy = Proxy::start(self.space.client.clone(), &self.space.name).await;
        let zk = Ensemble { space: self.space.clone(), name: NAME.to_owned() };
        proxy.begin(&[]);
        proxy.operator().start();
        let result = futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(self.all(&zk, &proxy))).await;
        if let Err(panic) = result {
            eprintln!("--- the operator of {}\n{}", self.space.name, proxy.operator().tail());
            std::panic::resume_unwind(panic);
        }
    }

    async fn all(&self, zk: &Ensemble, proxy: &Proxy) {
        let last = if self.undisturbed { Some(Scenario::Grow) } else { self.tour.keys().last().copied() };
        let mut writers = None;
        for scenario in Scenario::ALL.into_iter().filter(|scenario| Some(*scenario) <= last) {
            self.one(scenario, zk, proxy).await;
            if scenario == Scenario::Bootstrap {
                writers = Some(Writers::start(&zk.address("client").await, 1).await);
            }
        }
        if let Some(writers) = writers {
            writers.stop().await.assert_all_there(&zk.address("client").await).await;
        }
    }

    async fn one(&self, scenario: Scenario, zk: &Ensemble, proxy: &Proxy) {
        let started = Instant::now();
        let plans = self.tour.get(&scenario).map_or(&[][..], Vec::as_slice);
        self.log().now = Some(scenario);
        let before = uids(&self.space).await;
        proxy.begin(plans);
        scenario.ask(zk).await;
        eventually(PATIENCE, &format!("{} to be done", scenario.name()), async || {
            proxy.revive();
            assert_eq!(proxy.operator().ended(), None);
            let now = uids(&self.space).await;
            assert_eq!(scenario.lost_claims(&before, &now), Vec::<String>::new(), "deleted outside their policy");
            scenario.done(&before, &now) && is_ready(zk, scenario.voters()).await
        })
        .await;
        self.settle(scenario, zk, proxy).await;
        let now = uids(&self.space).await;
        assert_eq!(scenario.lost_claims(&before, &now), Vec::<String>::new(), "deleted outside their policy");
        let (writes, fired) = proxy.end();
        let mut log = self.log();
        for plan in plans {
            let reached = fired.contains(plan);
            println!(
                "{} {plan} ({:.0} s)",
                if reached { "ok         " } else { "not reached" },
                started.elapsed().as_secs_f64()
            );
            if reached { &mut log.passed } else { &mut log.not_reached }.push(plan.clone());
        }
        if self.undisturbed {
            println!(
                "undisturbed {}: {} writes ({:.0} s)",
                scenario.name(),
                writes.len(),
                started.elapsed().as_secs_f64()
            );
        }
        log.writes.insert(scenario, writes);
    }

    /// Waits until all is as it is without faults; what is not so in the end is the failure.
    async fn settle(&self, scenario: Scenario, zk: &Ensemble, proxy: &Proxy) {
        if self.undisturbed {
            eventually(PATIENCE, "the operator to be done", async || proxy.quiet() > QUIET).await;
            zk.ready(scenario.voters()).await;
            let state = state(&self.space).await;
            self.reference.0.lock().unwrap_or_else(PoisonError::into_inner).insert(scenario, state);
            return;
        }
        let expected = self.reference.after(scenario).await;
        let deadline = Instant::now() + SETTLED;
        loop {
            proxy.revive();
            let different = differences(&expected, &state(&self.space).await);
            if different.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "after {}:\n{}", scenario.name(), different.join("\n"));
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn is_ready(zk: &Ensemble, voters: u32) -> bool {
    let ensemble = zk.get().await;
    let status = ensemble.status.clone().unwrap_or_default();
    status.observed_generation == ensemble.metadata.generation
        && super::cluster::condition(&status, "Ready").0 == "True"
        && status.replicas == i32::try_from(voters).unwrap()
        && status.members.iter().filter(|member| member.confirmed).count() == voters as usize
}

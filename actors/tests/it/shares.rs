//! Downloads by the links of shares.

use crate::{morning, until};
use cdn_actors::{
    domain::ids::TokenHash,
    fakes::MemoryGate,
    ports::{PortError, Visit},
    runtime::CallError,
    shares::{AdmitError, Shares, SharesConfig},
};
use std::{sync::Arc, time::Duration};
use tokio::task::JoinHandle;

const LINK: TokenHash = TokenHash([1; 32]);
const OTHER: TokenHash = TokenHash([2; 32]);

struct World {
    gate: MemoryGate,
    shares: Shares,
}

impl World {
    fn new() -> Self {
        Self::with(SharesConfig::default())
    }

    fn with(config: SharesConfig) -> Self {
        let gate = MemoryGate::default();
        gate.add_link(LINK, 3);
        gate.add_link(OTHER, 100);
        Self { shares: Shares::start(Arc::new(gate.clone()), config), gate }
    }

    fn calls(&self) -> usize {
        self.gate.controls().calls("admit")
    }

    /// Starts a call and comes back when it is queued.
    async fn asking(&self, token: TokenHash) -> JoinHandle<Result<(), CallError<AdmitError>>> {
        let before = self.shares.snapshot().queued;
        let shares = self.shares.clone();
        let task = actix::spawn(async move { shares.admit_download(token, visit()).await });
        until(|| self.shares.snapshot().queued > before).await;
        task
    }
}

fn visit() -> Visit {
    Visit { user: None, ip_address: None, user_agent: String::new(), at: morning() }
}

#[actix::test]
async fn of_ten_visitors_at_once_exactly_the_three_of_the_limit_are_admitted_in_two_calls() {
    let world = World::new();
    world.gate.controls().close("admit");
    let mut tasks = Vec::new();
    for _ in 0..10 {
        tasks.push(world.asking(LINK).await);
    }
    world.gate.controls().open("admit");
    let mut admitted = Vec::new();
    for (place, task) in tasks.into_iter().enumerate() {
        match task.await.unwrap() {
            Ok(()) => admitted.push(place),
            Err(error) => assert_eq!(error, CallError::Domain(AdmitError::LimitReached)),
        }
    }
    assert_eq!(admitted, [0, 1, 2], "first come, first served");
    assert_eq!(world.gate.admitted(LINK).len(), 3);
    assert_eq!(world.calls(), 2, "the first alone, the nine that came meanwhile together");
    assert_eq!(world.shares.snapshot().queued, 0);
}

#[actix::test]
async fn one_link_does_not_wait_for_another() {
    let world = World::new();
    world.gate.controls().close("admit");
    let first = world.asking(LINK).await;
    let second = world.asking(OTHER).await;
    until(|| world.calls() == 2).await;
    world.gate.controls().open("admit");
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (Ok(()), Ok(())));
}

#[actix::test]
async fn a_link_that_is_gone_admits_nobody() {
    let world = World::new();
    let refused = world.shares.admit_download(TokenHash([9; 32]), visit()).await;
    assert_eq!(refused, Err(CallError::Domain(AdmitError::Closed)));
}

#[actix::test]
async fn who_went_away_while_waiting_takes_no_place() {
    let world = World::new();
    world.gate.controls().close("admit");
    let first = world.asking(LINK).await;
    let gone = world.asking(LINK).await;
    gone.abort();
    assert!(gone.await.is_err());
    world.gate.controls().open("admit");
    assert_eq!(first.await.unwrap(), Ok(()));
    until(|| world.shares.snapshot().queued == 0).await;
    assert_eq!(world.gate.admitted(LINK).len(), 1);
}

#[actix::test]
async fn a_gate_that_is_away_fails_those_who_wait_and_serves_those_who_come_later() {
    let world = World::new();
    let away = PortError::Unavailable("away".to_owned());
    world.gate.controls().fail("admit", away);
    let refused = world.shares.admit_download(LINK, visit()).await;
    assert_eq!(refused, Err(CallError::Domain(AdmitError::Unavailable("away".to_owned()))));
    world.gate.controls().heal();
    assert_eq!(world.shares.admit_download(LINK, visit()).await, Ok(()));
}

#[actix::test]
async fn a_panic_costs_those_in_hand_and_nobody_is_counted_twice() {
    let world = World::new();
    world.gate.controls().panic_once("admit");
    assert_eq!(world.shares.admit_download(LINK, visit()).await, Err(CallError::Restarted));
    until(|| world.shares.snapshot().alive).await;
    assert_eq!(world.shares.admit_download(LINK, visit()).await, Ok(()));
    assert_eq!((world.gate.admitted(LINK).len(), world.calls()), (1, 2), "the lost call was not repeated");
}

#[actix::test]
async fn more_than_the_queue_holds_are_refused() {
    let world = World::with(SharesConfig { queue: 2, ..SharesConfig::default() });
    world.gate.controls().close("admit");
    let tasks = [world.asking(LINK).await, world.asking(OTHER).await];
    assert_eq!(world.shares.admit_download(LINK, visit()).await, Err(CallError::Busy));
    world.gate.controls().open("admit");
    for task in tasks {
        assert_eq!(task.await.unwrap(), Ok(()));
    }
    assert_eq!(world.shares.snapshot().refused, 1);
}

#[actix::test]
async fn a_stop_lets_those_in_hand_finish() {
    let world = World::new();
    world.gate.controls().close("admit");
    let task = world.asking(LINK).await;
    let shares = world.shares.clone();
    let stopping = actix::spawn(async move { shares.stop(Duration::from_secs(5)).await });
    world.gate.controls().held("admit").await;
    world.gate.controls().open("admit");
    assert_eq!(task.await.unwrap(), Ok(()));
    assert!(stopping.await.unwrap());
    assert_eq!(world.shares.admit_download(LINK, visit()).await, Err(CallError::Stopped));
}

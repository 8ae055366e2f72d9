//! Jobs are taken by priority, by a bounded number of workers; whoever dies, each ends done or failed, once.

use crate::{morning, until};
use cdn_actors::{
    domain::{
        clock::{Clock, ManualClock},
        ids::JobId,
    },
    fakes::{MemoryJobs, Stage},
    ports::{JobOutcome, JobStore, OpenJobs, PortError},
    runtime::{CallError, Ticker, TickerHand},
    thumbnails::{Thumbnails, ThumbnailsConfig, retry_delay},
};
use chrono::TimeDelta;
use std::{sync::Arc, time::Duration};

struct World {
    jobs: MemoryJobs,
    clock: Arc<ManualClock>,
    tick: TickerHand,
    thumbnails: Thumbnails,
}

impl World {
    fn new(workers: usize) -> Self {
        Self::with(ThumbnailsConfig { workers, ..ThumbnailsConfig::default() })
    }

    fn with(config: ThumbnailsConfig) -> Self {
        let jobs = MemoryJobs::default();
        let clock = Arc::new(ManualClock::at(morning()));
        let (ticks, tick) = Ticker::by_hand();
        let port = Arc::new(jobs.clone());
        let thumbnails = Thumbnails::start_ticked(port.clone(), port, clock.clone(), config, ticks);
        Self { jobs, clock, tick, thumbnails }
    }

    fn add(&self, priority: u32) -> JobId {
        self.jobs.add(priority, morning())
    }

    fn busy(&self) -> usize {
        self.thumbnails.snapshot().busy
    }

    fn draining(&self) -> tokio::task::JoinHandle<Result<(), CallError<PortError>>> {
        let thumbnails = self.thumbnails.clone();
        actix::spawn(async move { thumbnails.drain().await })
    }
}

fn failed(message: &str, is_permanent: bool) -> JobOutcome {
    JobOutcome::Failed { message: message.to_owned(), is_permanent }
}

#[actix::test]
async fn draining_does_every_due_job_and_leaves_the_others() {
    let world = World::new(2);
    let due: Vec<_> = (0..5).map(|_| world.add(1)).collect();
    let later = world.jobs.add(1, morning() + TimeDelta::seconds(1));
    world.thumbnails.drain().await.unwrap();
    for job in due {
        assert_eq!((world.jobs.stage(job), world.jobs.results(job)), (Some(Stage::Completed), 1));
    }
    assert!(matches!(world.jobs.stage(later), Some(Stage::Pending { .. })));
    let snapshot = world.thumbnails.snapshot();
    assert_eq!((snapshot.completed, snapshot.busy, snapshot.failed), (5, 0, 0));
}

#[actix::test]
async fn nothing_is_taken_before_a_tick_or_a_wake_up() {
    let world = World::new(1);
    let job = world.add(1);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(world.jobs.runs().is_empty());
    world.thumbnails.wake();
    until(|| world.jobs.results(job) == 1).await;
    let second = world.add(1);
    world.tick.tick().await;
    until(|| world.jobs.results(second) == 1).await;
}

#[actix::test]
async fn urgent_jobs_go_before_those_that_waited_longer() {
    let world = World::new(1);
    let (backlog, retry, fresh) = (world.add(10), world.add(50), world.add(100));
    world.thumbnails.drain().await.unwrap();
    assert_eq!(world.jobs.runs(), [fresh, retry, backlog]);
}

#[actix::test]
async fn no_more_jobs_are_taken_than_there_are_workers() {
    let world = World::new(3);
    for _ in 0..10 {
        world.add(1);
    }
    world.jobs.controls().close("run");
    let drain = world.draining();
    until(|| world.busy() == 3).await;
    world.tick.tick().await;
    world.thumbnails.wake();
    world.tick.tick().await;
    assert_eq!((world.jobs.runs().len(), world.busy()), (3, 3));
    assert_eq!(world.thumbnails.snapshot().open, OpenJobs { waiting: 7, leased: 3 });
    world.jobs.controls().open("run");
    drain.await.unwrap().unwrap();
    assert_eq!(world.thumbnails.snapshot().completed, 10);
}

#[actix::test]
async fn more_workers_begin_at_once_and_fewer_lose_no_job() {
    let world = World::new(2);
    let jobs: Vec<_> = (0..8).map(|_| world.add(1)).collect();
    world.jobs.controls().close("run");
    let drain = world.draining();
    until(|| world.busy() == 2).await;
    world.thumbnails.resize(5);
    until(|| world.busy() == 5).await;
    world.thumbnails.resize(1);
    world.tick.tick().await;
    assert_eq!(world.busy(), 5, "what runs goes on");
    world.jobs.controls().open("run");
    drain.await.unwrap().unwrap();
    assert!(jobs.iter().all(|job| world.jobs.results(*job) == 1));
    assert_eq!((world.thumbnails.snapshot().workers, world.jobs.runs().len()), (1, 8));
}

#[actix::test]
async fn zero_workers_are_one() {
    let world = World::new(0);
    world.thumbnails.resize(0);
    let job = world.add(1);
    world.thumbnails.drain().await.unwrap();
    assert_eq!(world.jobs.results(job), 1);
}

#[actix::test]
async fn a_failed_attempt_is_tried_again_later_each_time() {
    let world = World::new(1);
    let job = world.add(1);
    world.jobs.script(job, [failed("first", false), failed("second", false), failed("third", false)]);
    world.thumbnails.drain().await.unwrap();
    let due_at = morning() + TimeDelta::seconds(30);
    assert_eq!(world.jobs.stage(job), Some(Stage::Pending { due_at }));
    world.thumbnails.drain().await.unwrap();
    assert_eq!(world.jobs.attempts(job), 1, "not before it is due");
    world.clock.advance(TimeDelta::seconds(30));
    world.thumbnails.drain().await.unwrap();
    let due_at = world.clock.now() + TimeDelta::seconds(120);
    assert_eq!(world.jobs.stage(job), Some(Stage::Pending { due_at }));
    world.clock.advance(TimeDelta::seconds(120));
    world.thumbnails.drain().await.unwrap();
    assert_eq!(world.jobs.stage(job), Some(Stage::Failed { message: "third".to_owned() }));
    let snapshot = world.thumbnails.snapshot();
    assert_eq!((snapshot.postponed, snapshot.failed), (2, 1));
}

#[actix::test]
async fn what_can_never_work_is_tried_once() {
    let world = World::new(1);
    let job = world.add(1);
    world.jobs.script(job, [failed("not an image", true)]);
    world.thumbnails.drain().await.unwrap();
    assert_eq!(world.jobs.stage(job), Some(Stage::Failed { message: "not an image".to_owned() }));
    assert_eq!(world.jobs.attempts(job), 1);
}

#[test]
fn delays_grow_fourfold_up_to_a_day() {
    let delay = |attempt| retry_delay(Duration::from_secs(30), attempt).as_secs();
    assert_eq!([delay(0), delay(1), delay(2), delay(3), delay(4)], [30, 30, 120, 480, 1920]);
    assert_eq!([delay(100), delay(u32::MAX)], [86_400, 86_400]);
}

#[actix::test]
async fn a_worker_that_panics_costs_its_job_one_attempt_and_the_others_nothing() {
    let world = World::new(2);
    world.jobs.controls().panic_once("run");
    let jobs: Vec<_> = (0..4).map(|_| world.add(1)).collect();
    world.thumbnails.drain().await.unwrap();
    let done = jobs.iter().filter(|job| world.jobs.results(**job) == 1).count();
    assert_eq!((done, world.thumbnails.snapshot().postponed, world.busy()), (3, 1, 0));
    world.clock.advance(TimeDelta::seconds(30));
    world.thumbnails.drain().await.unwrap();
    assert!(jobs.iter().all(|job| world.jobs.results(*job) == 1));
    assert_eq!(world.thumbnails.snapshot().actor.restarts, 0);
}

#[actix::test]
async fn a_coordinator_that_dies_leaves_running_jobs_running_and_is_replaced() {
    let world = World::new(2);
    let running = world.add(1);
    world.jobs.controls().close("run");
    world.thumbnails.wake();
    until(|| world.busy() == 1).await;
    world.jobs.controls().panic_once("lease");
    let next = world.add(1);
    world.thumbnails.wake();
    until(|| world.thumbnails.snapshot().actor.restarts == 1).await;
    until(|| world.busy() == 2).await;
    world.jobs.controls().open("run");
    until(|| world.busy() == 0).await;
    assert_eq!((world.jobs.results(running), world.jobs.attempts(running)), (1, 1));
    assert_eq!(world.jobs.results(next), 1);
}

#[actix::test]
async fn jobs_that_were_taken_by_a_call_nobody_heard_the_end_of_come_back() {
    tokio::time::pause();
    let config = ThumbnailsConfig { call_timeout: Duration::from_millis(10), ..ThumbnailsConfig::default() };
    let world = World::with(config);
    let job = world.add(1);
    // Taken, and the one who took it is gone.
    world.jobs.lease(morning(), morning() + TimeDelta::days(1), 1).await.unwrap();
    world.thumbnails.drain().await.unwrap();
    assert_eq!((world.jobs.results(job), world.jobs.attempts(job)), (1, 2));
    assert_eq!(world.thumbnails.snapshot().reclaimed, 1);
}

#[actix::test]
async fn leases_of_long_jobs_are_prolonged_by_ticks() {
    let world = World::new(1);
    let job = world.add(1);
    world.jobs.controls().close("run");
    world.thumbnails.wake();
    until(|| world.busy() == 1).await;
    for _ in 0..5 {
        world.clock.advance(TimeDelta::seconds(59));
        world.tick.tick().await;
    }
    world.jobs.controls().open("run");
    until(|| world.busy() == 0).await;
    assert_eq!((world.jobs.results(job), world.jobs.attempts(job)), (1, 1));
}

#[actix::test]
async fn a_result_after_the_end_of_the_lease_is_not_recorded_twice() {
    let world = World::new(2);
    let job = world.add(1);
    world.jobs.controls().close("run");
    world.thumbnails.wake();
    until(|| world.busy() == 1).await;
    // As if another process had found the lease over.
    world.clock.advance(TimeDelta::hours(1));
    assert_eq!(world.jobs.reclaim(world.clock.now(), vec![job]).await, Ok(1));
    let elsewhere = world.jobs.lease(world.clock.now(), world.clock.now(), 1).await.unwrap();
    assert_eq!(elsewhere.len(), 1);
    world.jobs.controls().open("run");
    until(|| world.busy() == 0).await;
    let snapshot = world.thumbnails.snapshot();
    assert_eq!((world.jobs.results(job), snapshot.superseded, snapshot.completed), (0, 1, 0));
}

#[actix::test]
async fn a_store_that_is_away_is_asked_again_at_the_next_tick() {
    let world = World::new(1);
    let job = world.add(1);
    let away = PortError::Unavailable("away".to_owned());
    world.jobs.controls().fail("lease", away.clone());
    assert_eq!(world.thumbnails.drain().await, Err(CallError::Domain(away)));
    world.jobs.controls().heal();
    world.tick.tick().await;
    until(|| world.jobs.results(job) == 1).await;
}

#[actix::test]
async fn trouble_of_the_infrastructure_costs_no_attempt() {
    let world = World::new(1);
    let job = world.add(1);
    world.jobs.controls().fail("run", PortError::Unavailable("blob store away".to_owned()));
    for _ in 0..5 {
        world.thumbnails.drain().await.unwrap();
        world.clock.advance(TimeDelta::seconds(10));
    }
    assert_eq!((world.jobs.attempts(job), world.thumbnails.snapshot().returned), (0, 5));
    world.jobs.controls().heal();
    world.thumbnails.drain().await.unwrap();
    assert_eq!(world.jobs.results(job), 1);
}

#[actix::test]
async fn an_end_that_could_not_be_recorded_comes_back_by_itself() {
    let world = World::new(1);
    let job = world.add(1);
    world.jobs.script(job, [failed("first", true)]);
    world.jobs.controls().fail("end", PortError::Full);
    world.thumbnails.drain().await.unwrap();
    assert!(matches!(world.jobs.stage(job), Some(Stage::Leased { .. })));
    world.jobs.controls().heal();
    world.tick.tick().await;
    until(|| world.jobs.results(job) == 1).await;
    assert_eq!(world.jobs.attempts(job), 2);
}

#[actix::test]
async fn an_attempt_that_never_ends_is_ended() {
    tokio::time::pause();
    let world = World::new(1);
    let job = world.add(1);
    world.jobs.controls().close("run");
    let drain = world.draining();
    until(|| world.busy() == 1).await;
    tokio::time::advance(Duration::from_secs(301)).await;
    until(|| world.busy() == 0).await;
    world.jobs.controls().open("run");
    // The drain's own limit is over by now.
    drain.abort();
    assert!(matches!(world.jobs.stage(job), Some(Stage::Pending { .. })));
    assert_eq!(world.thumbnails.snapshot().postponed, 1);
}

#[actix::test]
async fn a_stop_lets_running_jobs_finish_and_takes_no_more() {
    let world = World::new(1);
    let (first, second) = (world.add(2), world.add(1));
    world.jobs.controls().close("run");
    world.thumbnails.wake();
    until(|| world.busy() == 1).await;
    let thumbnails = world.thumbnails.clone();
    let stop = actix::spawn(async move { thumbnails.stop(Duration::from_secs(60)).await });
    tokio::task::yield_now().await;
    world.jobs.controls().open("run");
    assert!(stop.await.unwrap());
    assert_eq!((world.jobs.results(first), world.jobs.results(second)), (1, 0));
    assert!(matches!(world.jobs.stage(second), Some(Stage::Pending { .. })));
    assert_eq!(world.thumbnails.drain().await, Err(CallError::Stopped));
}

#[actix::test]
async fn a_stop_gives_back_what_does_not_finish_in_time() {
    tokio::time::pause();
    let world = World::new(1);
    let job = world.add(1);
    world.jobs.controls().close("run");
    world.thumbnails.wake();
    until(|| world.busy() == 1).await;
    assert!(!world.thumbnails.stop(Duration::from_secs(5)).await);
    assert_eq!(world.jobs.stage(job), Some(Stage::Pending { due_at: morning() }));
    assert_eq!(world.jobs.attempts(job), 0, "the turn counts as none");
    until(|| world.busy() == 0).await;
    world.jobs.controls().open("run");
    assert_eq!(world.jobs.results(job), 0);
}

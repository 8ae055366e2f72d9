//! The client's engine: work spread over one thread for each core, each with a connection pool of its own.

use super::Failure;
use futures_util::{StreamExt, stream::FuturesUnordered};
use reqwest::Client;
use std::{
    num::NonZero,
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::Builder;

/// No request takes this long; a server that hangs must end the run.
const TIME_LIMIT: Duration = Duration::from_secs(600);

#[derive(Clone, Copy)]
pub struct Pace {
    connections: usize,
    warm_up: Duration,
    time: Duration,
}

impl Pace {
    pub fn new(connections: usize, time: Duration) -> Self {
        Self { connections, warm_up: (time / 5).min(Duration::from_secs(1)), time }
    }
}

/// What one kind of request came to. Requests of the warm-up are not in it, but for their errors.
#[derive(Default)]
pub struct Figures {
    /// Sorted.
    pub latencies: Vec<Duration>,
    pub errors: usize,
    pub first_error: Option<String>,
    /// From the end of the warm-up to the last answer.
    pub took: Duration,
}

impl Figures {
    #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
    pub fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// The latency that `percent` of 100 requests stay within.
    pub fn percentile(&self, percent: usize) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get(last * percent / 100).copied().unwrap_or_default()
    }

    fn add(mut self, other: Self) -> Self {
        self.latencies.extend(other.latencies);
        self.errors += other.errors;
        self.first_error = self.first_error.or(other.first_error);
        self.took = self.took.max(other.took);
        self
    }
}

/// Repeats a request on each connection until the time is over.
pub fn measure<T>(
    pace: Pace,
    request: impl AsyncFn(&Client) -> Result<T, Failure> + Sync,
) -> Result<Figures, Failure> {
    let start = Instant::now() + pace.warm_up;
    let end = start + pace.time;
    let shares = spread(pace.connections, async |client, _| {
        let mut figures = Figures::default();
        loop {
            let begun = Instant::now();
            if begun >= end {
                return figures;
            }
            let outcome = request(client).await;
            match outcome {
                Ok(_) if begun >= start => figures.latencies.push(begun.elapsed()),
                Ok(_) => {}
                Err(error) => {
                    figures.errors += 1;
                    figures.first_error.get_or_insert_with(|| error.to_string());
                }
            }
            figures.took = Instant::now().saturating_duration_since(start);
        }
    })?;
    let mut figures = shares.into_iter().fold(Figures::default(), Figures::add);
    figures.latencies.sort_unstable();
    Ok(figures)
}

/// Runs all jobs at the same time; the answers come in no order.
pub fn spread<T: Send>(
    jobs: usize,
    work: impl AsyncFn(&Client, usize) -> T + Sync,
) -> Result<Vec<T>, Failure> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(jobs.max(1));
    let work = &work;
    thread::scope(|scope| {
        let shares = (0..threads).map(|first| (first..jobs).step_by(threads));
        let running: Vec<_> = shares.map(|share| scope.spawn(move || run_share(share, work))).collect();
        let mut answers = Vec::with_capacity(jobs);
        for thread in running {
            answers.extend(thread.join().map_err(|_| "a client thread panicked")??);
        }
        Ok(answers)
    })
}

/// Runs one job.
pub fn once<T: Send>(work: impl AsyncFn(&Client) -> Result<T, Failure> + Sync) -> Result<T, Failure> {
    let mut answers = spread(1, async |client, _| work(client).await)?;
    answers.pop().unwrap_or_else(|| Err("no answer".into()))
}

fn run_share<T>(
    share: impl Iterator<Item = usize>,
    work: &impl AsyncFn(&Client, usize) -> T,
) -> Result<Vec<T>, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let client = Client::builder().no_proxy().timeout(TIME_LIMIT).build()?;
    let jobs: FuturesUnordered<_> = share.map(|job| work(&client, job)).collect();
    Ok(runtime.block_on(jobs.collect()))
}

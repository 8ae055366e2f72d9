//! What is printed: a table, the large transfers, and at the end whether all went well.

use super::{Failure, MIB, drive::Figures};
use std::{
    io::{IsTerminal, stderr},
    num::NonZero,
    process::ExitCode,
    thread,
    time::Duration,
};

pub struct Report {
    errors: usize,
    is_live: bool,
    has_table_head: bool,
}

impl Report {
    pub fn begin(engine: &str, seconds: u64, connections: u16) -> Self {
        let engine = engine.split(':').next().unwrap_or(engine);
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        println!(
            "{engine}, {connections} connections, {seconds} s each, client and server on {cores} cores\n"
        );
        Self { errors: 0, is_live: stderr().is_terminal(), has_table_head: false }
    }

    /// Says what is going on, where somebody looks.
    pub fn progress(&self, what: &str) {
        if self.is_live {
            eprint!("\r\x1b[K{what} …");
        }
    }

    fn line(&self, line: &str) {
        if self.is_live {
            eprint!("\r\x1b[K");
        }
        println!("{line}");
    }

    pub fn row(&mut self, name: &str, figures: Figures, bare: Option<Figures>) {
        if !self.has_table_head {
            self.has_table_head = true;
            self.line("            requests/s    p50 ms    p99 ms    max ms  errors  bare req/s  of bare");
        }
        let (p50, p99, max) = (figures.percentile(50), figures.percentile(99), figures.percentile(100));
        let mut line = format!(
            "{name:<12}{:>10.0}{:>10.2}{:>10.2}{:>10.2}{:>8}",
            figures.per_second(),
            millis(p50),
            millis(p99),
            millis(max),
            figures.errors
        );
        if let Some(bare) = &bare {
            let share = 100.0 * figures.per_second() / bare.per_second();
            line += &format!("{:>12.0}{share:>7.0} %", bare.per_second());
        }
        self.line(&line);
        if figures.latencies.is_empty() {
            self.fail(&format!("{name}: no request was answered"));
        }
        for part in [Some(figures), bare].into_iter().flatten() {
            if let Some(error) = part.first_error {
                self.line(&format!("  first error: {error}"));
            }
            self.errors += part.errors;
        }
    }

    /// Counts and prints what failed.
    pub fn keep_good<T>(&mut self, outcomes: Vec<Result<T, Failure>>) -> Vec<T> {
        let mut good = Vec::new();
        for outcome in outcomes {
            match outcome {
                Ok(value) => good.push(value),
                Err(error) => self.fail(&error.to_string()),
            }
        }
        good
    }

    pub fn note_many(&mut self, (count, size): (usize, u64), right: usize, up: Duration, down: Duration) {
        let total = size * count as u64;
        self.line(&format!(
            "\n{count} parallel uploads of {} MiB: {right} correct by SHA-256; up {:.1} s ({:.0} MiB/s), down {:.1} s ({:.0} MiB/s)",
            size / MIB,
            up.as_secs_f64(),
            mib_per_second(total, up),
            down.as_secs_f64(),
            mib_per_second(total, down)
        ));
        if right != count {
            self.fail(&format!("{} of {count} parallel uploads are not right", count - right));
        }
    }

    pub fn note_large(&mut self, name: &str, size: u64, took: Duration, growth: Option<u64>, limit: u64) {
        let memory = match growth {
            Some(growth) if growth <= limit => {
                format!("peak memory +{:.1} MiB, within {} MiB", mib(growth), limit / MIB)
            }
            Some(growth) => {
                self.errors += 1;
                format!("peak memory +{:.1} MiB, OVER {} MiB", mib(growth), limit / MIB)
            }
            None => "peak memory not measured on this system".to_owned(),
        };
        self.line(&format!(
            "{name} of {} MiB: {:.1} s ({:.0} MiB/s), {memory}",
            size / MIB,
            took.as_secs_f64(),
            mib_per_second(size, took)
        ));
    }

    pub fn note_check(&mut self, (is_clean, text): (bool, String)) {
        self.line(&format!("check: {text}"));
        if !is_clean {
            self.fail("the server's data is not in order");
        }
    }

    pub fn fail(&mut self, what: &str) {
        self.errors += 1;
        self.line(&format!("error: {what}"));
    }

    /// The last line, and the exit code.
    pub fn conclude(self) -> ExitCode {
        self.line(&format!("{} errors", self.errors));
        if self.errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}

fn mib_per_second(bytes: u64, took: Duration) -> f64 {
    mib(bytes) / took.as_secs_f64().max(f64::MIN_POSITIVE)
}

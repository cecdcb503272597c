//! An imaginary shop whose metrics are functions of time.
//!
//! Every counter is the integral of a rate that is known in closed form, so the same code writes
//! the past and answers for the present, and the two meet without a reset. Three instances serve
//! three routes. Before the demo started one of them was in trouble for a while, which is there to
//! be found: errors and latency rise, its queue fills, its memory grows.
//!
//! The series cannot collide with those that Prometheus scrapes of itself and of Promgate: all
//! of them carry `job="shop"`.

use std::{
    f64::consts::TAU,
    io::{self, Write},
    ops::Range,
};

/// The job label of all that the shop exposes.
pub(super) const JOB: &str = "shop";

/// The instances: name, path of its metrics, share of the traffic.
pub(super) const INSTANCES: [Instance; 3] = [
    Instance { name: "shop-1:8080", path: "/shop-1", share: 1.0, phase: 0.0 },
    Instance { name: TROUBLED, path: "/shop-2", share: 0.9, phase: 2.0 },
    Instance { name: "shop-3:8080", path: "/shop-3", share: 0.6, phase: 4.0 },
];

const TROUBLED: &str = "shop-2:8080";

/// Seconds between the samples, in the past as in the present.
pub(super) const STEP_S: u32 = 15;

/// Length of the past, in seconds.
const PAST_S: f64 = 3.0 * 3600.0;

/// How long the shop had been open when its recorded past begins, in seconds; counters that begin
/// at nought look like a restart.
const OPEN_S: f64 = 9.3 * 3600.0;

/// When the trouble was, in seconds before the end of the past.
const TROUBLE_S: Range<f64> = 1500.0..2700.0;

/// Upper bounds of the latency buckets: as written, and in seconds.
const BUCKETS: [(&str, f64); 11] = [
    ("0.005", 0.005),
    ("0.01", 0.01),
    ("0.025", 0.025),
    ("0.05", 0.05),
    ("0.1", 0.1),
    ("0.25", 0.25),
    ("0.5", 0.5),
    ("1.0", 1.0),
    ("2.5", 2.5),
    ("5.0", 5.0),
    ("10.0", 10.0),
];

/// Mean latencies, in seconds, of requests that find what they want at hand, of those that do not,
/// and of those that meet the trouble.
const QUICK_S: f64 = 0.018;
const SLOW_S: f64 = 0.21;
const HURT_S: f64 = 1.3;

/// One instance of the shop.
#[derive(Debug)]
pub(super) struct Instance {
    /// Its `instance` label.
    pub(super) name: &'static str,
    /// Where the exporter serves its metrics.
    pub(super) path: &'static str,
    share: f64,
    phase: f64,
}

/// One route of the shop: requests per second of each kind, and the share that finds nothing.
struct Route {
    method: &'static str,
    path: &'static str,
    quick: Flow,
    slow: Flow,
    missing: f64,
}

const ROUTES: [Route; 3] = [
    Route {
        method: "GET",
        path: "/products",
        quick: Flow { mean: 22.0, swing: 0.35, period: 5400.0 },
        slow: Flow { mean: 3.0, swing: 0.6, period: 2000.0 },
        missing: 0.02,
    },
    Route {
        method: "POST",
        path: "/cart",
        quick: Flow { mean: 4.0, swing: 0.3, period: 4100.0 },
        slow: Flow { mean: 1.2, swing: 0.5, period: 1700.0 },
        missing: 0.0,
    },
    Route {
        method: "POST",
        path: "/checkout",
        quick: Flow { mean: 0.4, swing: 0.2, period: 3600.0 },
        slow: Flow { mean: 1.1, swing: 0.4, period: 2900.0 },
        missing: 0.0,
    },
];

/// A rate that swings around its mean; `swing` is below 1, so that it is never negative.
struct Flow {
    mean: f64,
    swing: f64,
    period: f64,
}

impl Flow {
    /// Events since the shop opened: the integral of `mean · (1 + swing · sin(τt/period + phase))`.
    fn total(&self, t: f64, phase: f64) -> f64 {
        let wave = phase.cos() - (TAU * t / self.period + phase).cos();
        self.mean * (t + self.swing * self.period / TAU * wave)
    }
}

/// Requests of one route at one instance since the shop opened, by what befell them.
#[derive(Debug, Clone, Copy)]
struct Served {
    quick: f64,
    slow: f64,
    hurt: f64,
}

impl Served {
    fn well(self) -> f64 {
        self.quick + self.slow
    }

    /// Counts by status. Each is a sum of non-decreasing terms, so none ever goes down.
    fn by_status(self, missing: f64) -> [(&'static str, f64); 3] {
        const FAILING: f64 = 0.002;
        const FAILING_HURT: f64 = 0.35;
        [
            (
                "200",
                (self.well() * (1.0 - FAILING - missing) + self.hurt * (1.0 - FAILING_HURT))
                    .floor(),
            ),
            ("404", (self.well() * missing).floor()),
            ("500", (self.well() * FAILING + self.hurt * FAILING_HURT).floor()),
        ]
    }

    fn count(self, missing: f64) -> f64 {
        self.by_status(missing).iter().map(|(_, count)| count).sum()
    }

    /// Requests that took at most `le` seconds; latencies are distributed exponentially.
    fn within(self, le: f64) -> f64 {
        let share = |mean: f64| 1.0 - (-le / mean).exp();
        (self.quick * share(QUICK_S) + self.slow * share(SLOW_S) + self.hurt * share(HURT_S))
            .floor()
    }

    fn seconds(self) -> f64 {
        self.quick * QUICK_S + self.slow * SLOW_S + self.hurt * HURT_S
    }
}

/// The shop; all times are Unix seconds.
#[derive(Debug, Clone)]
pub(super) struct Shop {
    opened: f64,
    past: Range<f64>,
    trouble: Range<f64>,
}

impl Shop {
    /// The shop whose past ends at the last full step before `now`.
    pub(super) fn with_past_until(now: f64) -> Self {
        let end = (now / f64::from(STEP_S)).floor() * f64::from(STEP_S);
        let opened = end - PAST_S - OPEN_S;
        let trouble = end - TROUBLE_S.end - opened..end - TROUBLE_S.start - opened;
        Self { opened, past: end - PAST_S..end, trouble }
    }

    /// Writes the past of every instance as OpenMetrics text with timestamps.
    pub(super) fn write_past(&self, out: &mut impl Write) -> io::Result<()> {
        let steps = 0u32..;
        let times = steps.map(|n| self.past.start + f64::from(n * STEP_S));
        let times: Vec<f64> = times.take_while(|t| *t <= self.past.end).collect();
        let scene = Scene { shop: self, instances: &INSTANCES, times: &times, past: true };
        scene.write(out)
    }

    /// Writes the present of one instance as OpenMetrics text for a scrape.
    pub(super) fn write_present(
        &self,
        out: &mut impl Write,
        instance: &Instance,
        now: f64,
    ) -> io::Result<()> {
        let instances = std::slice::from_ref(instance);
        Scene { shop: self, instances, times: &[now], past: false }.write(out)
    }

    fn served(&self, instance: &Instance, route: &Route, time: f64) -> Served {
        let t = time - self.opened;
        let quick = |t: f64| instance.share * route.quick.total(t, instance.phase);
        let slow = |t: f64| instance.share * route.slow.total(t, instance.phase);
        let (mut hurt_quick, mut hurt_slow) = (0.0, 0.0);
        if instance.name == TROUBLED {
            let within = t.clamp(self.trouble.start, self.trouble.end);
            hurt_quick = quick(within) - quick(self.trouble.start);
            hurt_slow = slow(within) - slow(self.trouble.start);
        }
        Served {
            quick: quick(t) - hurt_quick,
            slow: slow(t) - hurt_slow,
            hurt: hurt_quick + hurt_slow,
        }
    }

    /// Seconds of the trouble that `instance` has behind it, and seconds since it ended.
    fn suffered(&self, instance: &Instance, time: f64) -> (f64, f64) {
        if instance.name != TROUBLED {
            return (0.0, 0.0);
        }
        let t = time - self.opened;
        let suffered = t.clamp(self.trouble.start, self.trouble.end) - self.trouble.start;
        (suffered, (t - self.trouble.end).max(0.0))
    }

    fn memory_bytes(&self, instance: &Instance, time: f64) -> f64 {
        let (suffered, since) = self.suffered(instance, time);
        let collected = (time + instance.phase * 97.0) % 420.0 / 420.0;
        // What the trouble took is given back a minute after it.
        let leaked = if since > 60.0 { 0.0 } else { suffered };
        (180e6 * instance.share + 24e6 * collected + 0.4e6 * leaked).floor()
    }

    fn queue_depth(&self, instance: &Instance, time: f64) -> f64 {
        let (suffered, since) = self.suffered(instance, time);
        let usual = 3.0 + 2.5 * (time / 47.0 + instance.phase).sin();
        (usual + (0.2 * suffered - 0.5 * since).max(0.0)).floor()
    }
}

/// What is written: some instances at some times.
struct Scene<'a> {
    shop: &'a Shop,
    instances: &'a [Instance],
    times: &'a [f64],
    // The past says its times and its target; a scrape leaves both to Prometheus.
    past: bool,
}

impl Scene<'_> {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        self.requests(out)?;
        self.durations(out)?;
        family(out, "process_resident_memory_bytes", "gauge", "Resident memory, in bytes.")?;
        self.gauge(out, "process_resident_memory_bytes", Shop::memory_bytes)?;
        family(out, "shop_orders_queue_depth", "gauge", "Orders that wait to be booked.")?;
        self.gauge(out, "shop_orders_queue_depth", Shop::queue_depth)?;
        if self.past {
            // From now on Prometheus says by itself whether it reaches the shop.
            family(out, "up", "gauge", "1 while the target could be scraped.")?;
            self.gauge(out, "up", |_, _, _| 1.0)?;
        }
        writeln!(out, "# EOF")
    }

    fn requests(&self, out: &mut impl Write) -> io::Result<()> {
        family(out, "http_requests", "counter", "Requests served.")?;
        for (instance, route) in self.routes() {
            for (index, status) in ["200", "404", "500"].into_iter().enumerate() {
                if status == "404" && route.missing == 0.0 {
                    continue;
                }
                let Route { method, path, missing, .. } = route;
                let labels = format!(r#"method="{method}",handler="{path}",status="{status}""#);
                for time in self.times {
                    let counts = self.shop.served(instance, route, *time).by_status(*missing);
                    let count = counts.get(index).map_or(0.0, |(_, count)| *count);
                    self.line(out, instance, ("http_requests_total", &labels), (*time, count))?;
                }
            }
        }
        Ok(())
    }

    fn durations(&self, out: &mut impl Write) -> io::Result<()> {
        const NAME: &str = "http_request_duration_seconds";
        family(out, NAME, "histogram", "Time from a request's arrival to its answer, in seconds.")?;
        let (bucket, sum, count) =
            (format!("{NAME}_bucket"), format!("{NAME}_sum"), format!("{NAME}_count"));
        for (instance, route) in self.routes() {
            let labels = format!(r#"handler="{}""#, route.path);
            for time in self.times {
                let served = self.shop.served(instance, route, *time);
                let total = served.count(route.missing);
                for (le, seconds) in BUCKETS {
                    // Rounding may not lift a bucket over the count.
                    let within = served.within(seconds).min(total);
                    let labels = format!(r#"{labels},le="{le}""#);
                    self.line(out, instance, (&bucket, &labels), (*time, within))?;
                }
                let all = format!(r#"{labels},le="+Inf""#);
                self.line(out, instance, (&bucket, &all), (*time, total))?;
                self.line(out, instance, (&count, &labels), (*time, total))?;
                self.line(out, instance, (&sum, &labels), (*time, served.seconds()))?;
            }
        }
        Ok(())
    }

    fn gauge(
        &self,
        out: &mut impl Write,
        name: &str,
        value: impl Fn(&Shop, &Instance, f64) -> f64,
    ) -> io::Result<()> {
        for instance in self.instances {
            for time in self.times {
                self.line(out, instance, (name, ""), (*time, value(self.shop, instance, *time)))?;
            }
        }
        Ok(())
    }

    fn routes(&self) -> impl Iterator<Item = (&Instance, &'static Route)> {
        const ALL: &[Route] = &ROUTES;
        self.instances.iter().flat_map(|instance| ALL.iter().map(move |route| (instance, route)))
    }

    fn line(
        &self,
        out: &mut impl Write,
        instance: &Instance,
        (name, labels): (&str, &str),
        (time, value): (f64, f64),
    ) -> io::Result<()> {
        if self.past {
            let comma = if labels.is_empty() { "" } else { "," };
            let target = format!(r#"job="{JOB}",instance="{}""#, instance.name);
            writeln!(out, "{name}{{{target}{comma}{labels}}} {value} {time}")
        } else {
            writeln!(out, "{name}{{{labels}}} {value}")
        }
    }
}

fn family(out: &mut impl Write, name: &str, kind: &str, help: &str) -> io::Result<()> {
    writeln!(out, "# TYPE {name} {kind}\n# HELP {name} {help}")
}

#[cfg(test)]
mod tests;

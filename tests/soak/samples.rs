use std::collections::BTreeMap;

/// What the program had when nothing ran: its line by names.
#[derive(Debug)]
struct Sample {
    when: String,
    has: BTreeMap<String, f64>,
}

/// The part of a run in which buffers and pools reach their size. That of the calls in an hour takes a minute.
const WARM_UP: f64 = 0.5;

/// What must be the same after every round, and what it may have besides at the end.
const SAME: [&str; 5] = ["descriptors", "threads", "temp", "target", "in_flight"];

/// The most connections that are kept between two rounds.
const SOCKETS: f64 = 8.0;

/// The most that the heap may grow with each step, in bytes, in three of four rounds. A string that is forgotten has some
/// hundred, in every round. What buffers grow by comes in few.
const HEAP_PER_STEP: f64 = 0.25;

/// The most that it may grow in all, in bytes. A log of calls that passes 1,024 of them doubles, and there are six.
const HEAP: f64 = 131_072.0;

/// The most that the memory of the process may grow from the first half of the rounds to the second.
const RSS_KIB: f64 = 256.0;

fn samples(printed: &str) -> Vec<Sample> {
    let lines = printed.lines().filter_map(|line| line.strip_prefix("sample "));
    let read = |line: &str| {
        let (when, rest) = line.split_once(' ').unwrap();
        let pairs = rest.split(' ').map(|pair| pair.split_once('=').unwrap());
        let has = pairs.map(|(name, value)| (name.to_owned(), value.parse().unwrap()));
        Sample { when: when.to_owned(), has: has.collect() }
    };
    lines.map(read).collect()
}

/// The value that this part of all values is smaller than.
fn quantile(part: f64, mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() as f64 * part) as usize]
}

/// All that grew.
pub fn growth(printed: &str) -> Vec<String> {
    let all = samples(printed);
    let mut found = Vec::new();
    let [begin, rounds @ .., end] = all.as_slice() else { panic!("no samples:\n{printed}") };
    assert!(begin.when == "begin" && end.when == "end", "{printed}");
    let warm = &rounds[(rounds.len() as f64 * WARM_UP) as usize..];
    assert!(warm.len() >= 3, "{} rounds are too few:\n{printed}", rounds.len());
    for name in SAME {
        for sample in &warm[1..] {
            let (first, now) = (warm[0].has[name], sample.has[name]);
            if now != first {
                found.push(format!(
                    "{name}: {first} after the warm-up, {now} after {}",
                    sample.when
                ));
            }
        }
    }
    if warm[0].has["in_flight"] != 0.0 {
        found.push(format!("in_flight: {}", warm[0].has["in_flight"]));
    }
    let most = warm.iter().map(|it| it.has["sockets"]).fold(0.0, f64::max);
    if most > SOCKETS || end.has["sockets"] != 0.0 {
        found.push(format!("sockets: {most}, and {} without a client", end.has["sockets"]));
    }
    let grown = |a: &Sample, b: &Sample, name: &str| b.has[name] - a.has[name];
    let each =
        warm.windows(2).map(|it| grown(&it[0], &it[1], "heap") / grown(&it[0], &it[1], "numbers"));
    let (per_step, all) =
        (quantile(0.25, each.collect()), grown(&warm[0], &warm[warm.len() - 1], "heap"));
    println!(
        "the heap grew by {per_step:.3} bytes with each step in three of four rounds, and by {all} in all"
    );
    if per_step > HEAP_PER_STEP || all > HEAP {
        found.push(format!("heap: {per_step:.3} bytes with each step, {all} in all"));
    }
    let (before, after) = warm.split_at(warm.len() / 2);
    let rss = |part: &[Sample]| quantile(0.5, part.iter().map(|it| it.has["rss_kib"]).collect());
    let (before, after) = (rss(before), rss(after));
    println!("memory: {before} KiB in the first half, {after} KiB in the second");
    if after - before > RSS_KIB {
        found.push(format!("memory: {before} KiB in the first half, {after} KiB in the second"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: impl Fn(usize) -> String) -> Vec<String> {
        let when = |n: usize| match n {
            0 => "begin".to_owned(),
            11 => "end".to_owned(),
            n => n.to_string(),
        };
        let lines: Vec<_> = (0..12).map(|n| format!("sample {} {}", when(n), line(n))).collect();
        growth(&lines.join("\n"))
    }

    fn sample(n: usize, name: &str, value: usize) -> String {
        let mut pairs = vec![
            ("numbers", n * 1_000),
            ("heap", 50_000 + n % 2 * 16),
            ("rss_kib", 4_000 + n % 3 * 50),
            ("sockets", if n == 11 { 0 } else { 2 }),
        ];
        pairs.extend(SAME.map(|name| (name, if name == "in_flight" { 0 } else { 3 })));
        for pair in &mut pairs {
            if pair.0 == name {
                pair.1 = value;
            }
        }
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join(" ")
    }

    #[test]
    fn what_stays_is_no_growth() {
        assert_eq!(run(|n| sample(n, "", 0)), [] as [String; 0]);
        // The warm-up counts for nothing.
        assert_eq!(run(|n| sample(n, "threads", if n < 6 { 9 } else { 1 })), [] as [String; 0]);
    }

    #[test]
    fn each_growth_is_found() {
        for name in SAME {
            let found = run(|n| sample(n, name, if n < 8 { 0 } else { 1 }));
            assert!(!found.is_empty() && found.iter().all(|it| it.starts_with(name)), "{found:?}");
        }
        let found = run(|n| sample(n, "heap", 50_000 + n * 300));
        assert_eq!(found, ["heap: 0.300 bytes with each step, 1200 in all"]);
        assert_eq!(run(|n| sample(n, "heap", 50_000 + n * 200)), [] as [String; 0]);
        // Logs and buffers grow and shrink in some rounds.
        let odd = [0, 0, 0, 0, 0, 0, 940_368, 940_416, 948_640, 949_808, 948_640, 0];
        assert_eq!(run(|n| sample(n, "heap", odd[n])), [] as [String; 0]);
        // A buffer that grows once is none, unless it is large.
        assert_eq!(run(|n| sample(n, "heap", if n < 8 { 0 } else { 131_072 })), [] as [String; 0]);
        assert_eq!(run(|n| sample(n, "heap", if n < 8 { 0 } else { 131_073 })).len(), 1);
        assert_eq!(run(|n| sample(n, "sockets", n)).len(), 1);
        assert_eq!(run(|n| sample(n, "rss_kib", 4_000 + n * 300)).len(), 1);
        assert_eq!(run(|n| sample(n, "in_flight", 1)), ["in_flight: 1"]);
    }
}

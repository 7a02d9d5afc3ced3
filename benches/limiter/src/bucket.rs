//! The log on a Redis server, compared with token buckets in a script, which are usual there.

use redis::{Client, Connection, Script};

use crate::location::database;
use crate::shared::{CROWDS, speed};

/// As many calls as the option allows, because a bench would use up the documented limits.
const LIMITS: &str = "collect=1000000/60,1000000/3600";

/// A bucket per window, refilled by the server's clock. A call needs a token of each. Nothing is recorded after it.
const BUCKETS: &str = "
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local kept, left = redis.call('HMGET', KEYS[1], 'at', '1', '2'), {}
for window = 1, #ARGV / 2 do
    local limit, length = tonumber(ARGV[2 * window - 1]), tonumber(ARGV[2 * window])
    local since = now - (tonumber(kept[1]) or now)
    left[window] = math.min(limit, (tonumber(kept[window + 1]) or limit) + since * limit / length)
    if left[window] < 1 then
        return math.ceil((1 - left[window]) * length / limit)
    end
end
redis.call('HSET', KEYS[1], 'at', string.format('%.0f', now), '1', left[1] - 1, '2', left[2] - 1)
redis.call('PEXPIRE', KEYS[1], '3660000')
return 0";

pub fn print(server: &str) {
    println!(
        "\nDecisions through a Redis server, with room; ours needs two round trips, one before the call and one \
         after its reply, the buckets one.\n"
    );
    println!(
        "| limiter | processes | threads each | decisions per second | CPU µs of a client | CPU µs of the server |\n\
         |---|---|---|---|---|---|"
    );
    for (number, (processes, threads)) in (0..).zip(CROWDS) {
        let location = database(server, number);
        for (name, location) in
            [("ours", location.clone()), ("token buckets", format!("bucket {location}"))]
        {
            let mut connection = connect(server);
            let before = server_cost(&mut connection);
            let (rate, cpu) = speed(&location, LIMITS, processes, threads);
            let after = server_cost(&mut connection);
            let (scripts, micros) = (after.0 - before.0, after.1 - before.1);
            assert!(scripts >= rate, "continued without the server");
            let trips = if name == "ours" { 2.0 } else { 1.0 };
            println!(
                "| {name} | {processes} | {threads} | {rate:.0} | {cpu:.1} | {:.1} |",
                micros / (scripts / trips)
            );
        }
    }
}

pub fn decider(url: &str) -> impl FnMut() {
    let (mut connection, script) = (connect(url), Script::new(BUCKETS));
    move || {
        let mut run = script.key("bench");
        for number in [1_000_000u64, 60_000_000, 1_000_000, 3_600_000_000] {
            run.arg(number);
        }
        let wait: i64 = run.invoke(&mut connection).unwrap();
        assert_eq!(wait, 0, "there is room");
    }
}

fn connect(url: &str) -> Connection {
    Client::open(url).unwrap().get_connection().unwrap()
}

/// The number of scripts that the server has run so far, and its processor time in microseconds.
fn server_cost(connection: &mut Connection) -> (f64, f64) {
    let mut number = |section: &str, name: &str| -> f64 {
        let text: String = redis::cmd("INFO").arg(section).query(connection).unwrap();
        let (_, value) = text.split_once(name).unwrap_or(("", "0"));
        value.split([',', '\r']).next().unwrap().parse().unwrap()
    };
    let scripts = number("commandstats", "cmdstat_evalsha:calls=");
    let cpu = number("cpu", "used_cpu_user:") + number("cpu", "used_cpu_sys:");
    (scripts, cpu * 1e6)
}

//! How a host was reached, as a document.

use std::time::Duration;

use serde::Serialize;

use crate::http::trace::{Phases, Trace};
use crate::http::way::Way;

/// A host, and what it took to reach it.
#[derive(Debug, Serialize)]
pub(super) struct Host {
    host: String,
    port: u16,
    proxy: Way,
    addresses: Vec<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    ms: Milliseconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_ahead_s: Option<i64>,
}

/// An address that was tried.
#[derive(Debug, Serialize)]
struct Address {
    address: String,
    used: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// The length of each phase that has ended.
#[derive(Debug, Serialize)]
struct Milliseconds {
    #[serde(skip_serializing_if = "Option::is_none")]
    lookup: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_byte: Option<u64>,
}

impl Host {
    pub(super) fn new(trace: &Trace, mask: &dyn Fn(&mut String)) -> Host {
        let masked = |text: &Option<String>| {
            let mut text = text.clone();
            text.iter_mut().for_each(mask);
            text
        };
        let addresses = trace.tried.iter().map(|tried| Address {
            address: tried.address.to_string(),
            used: tried.is_usable(),
            problem: masked(&tried.problem),
        });
        Host {
            host: trace.host.clone(),
            port: trace.port,
            proxy: trace.way.clone(),
            addresses: addresses.collect(),
            tls: trace.tls,
            issuer: masked(&trace.issuer),
            http_status: trace.answer.map(|answer| answer.status),
            ms: Milliseconds::from(trace.phases()),
            clock_ahead_s: trace.answer.and_then(|answer| answer.clock_ahead),
        }
    }
}

impl From<Phases> for Milliseconds {
    fn from(phases: Phases) -> Milliseconds {
        let ms =
            |phase: Option<Duration>| Some(u64::try_from(phase?.as_millis()).unwrap_or(u64::MAX));
        Milliseconds {
            lookup: ms(phases.lookup),
            connect: ms(phases.connect),
            tunnel: ms(phases.tunnel),
            tls: ms(phases.tls),
            first_byte: ms(phases.first_byte),
        }
    }
}

//! The listener, and the steps of one request through the simulator.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::body::{Body, Cut, Wire};
use crate::config::CountAt;
use crate::control;
use crate::faults;
use crate::log::LoggedRequest;
use crate::routes::{self, Answer, Asked};
use crate::script::{self, Outcome};
use crate::state::State;

/// Largest request body that is read.
const MOST_BODY: usize = 16 * 1024 * 1024;

/// Accepts connections until the simulator stops.
pub async fn run(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>) {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                tokio::spawn(connection(socket, tls.clone(), Arc::clone(&state)));
            }
            // Probably no descriptor is free: other connections must close first.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn connection(socket: TcpStream, tls: Option<TlsAcceptor>, state: Arc<State>) {
    // Without it, small replies would wait for the caller's acknowledgement.
    let _ = socket.set_nodelay(true);
    match tls {
        None => serve(socket, state).await,
        Some(acceptor) => {
            if let Ok(socket) = acceptor.accept(socket).await {
                serve(socket, state).await;
            }
        }
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + 'static>(socket: S, state: Arc<State>) {
    let cut = Cut::default();
    let wire = Wire::new(socket, cut.clone());
    let service = service_fn(move |request| handle(Arc::clone(&state), cut.clone(), request));
    // An error here is a caller who disconnected, or a connection that was cut on purpose.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .title_case_headers(true)
        .serve_connection(TokioIo::new(wire), service)
        .await;
}

/// Hyper closes the connection without a reply when a service fails.
fn closed() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

async fn handle(
    state: Arc<State>,
    cut: Cut,
    request: Request<Incoming>,
) -> io::Result<Response<Body>> {
    let arrived = state.clock.real_ms();
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MOST_BODY).collect().await.map_err(|_| closed())?.to_bytes();
    let asked = Arc::new(Asked {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    });
    if asked.path.starts_with(control::PREFIX) {
        return Ok(control::answer(&state, &asked).into_response(cut));
    }
    let number = state.log.arrived(entry(&asked, arrived));
    let act = state.world().script.take(&script::Asked {
        method: asked.method.as_str(),
        path: &asked.path,
        query: &asked.query,
        body: &asked.body,
    });
    let act = act.or_else(|| faults::draw(&state, &asked));
    let settle = |status: StatusCode, refused: bool, endpoint: &str| {
        settled(&state, number, status.as_u16(), refused, endpoint);
    };
    let Some(act) = act else {
        let answer = perform(&state, &asked).await;
        settle(answer.reply.status, answer.refused_by_quota, answer.endpoint);
        return Ok(answer.reply.into_response(cut));
    };

    if let Some(late) = act.late {
        let (state, asked) = (Arc::clone(&state), Arc::clone(&asked));
        tokio::spawn(async move {
            tokio::time::sleep(late).await;
            routes::answer(&state, &asked);
        });
    }
    let real = matches!(act.outcome, Outcome::Real);
    let performed = if act.process { Some(perform(&state, &asked).await) } else { None };
    pause(act.delay).await;
    let performed = match performed {
        None if real => Some(perform(&state, &asked).await),
        other => other,
    };
    let refused = performed.as_ref().is_some_and(|answer| answer.refused_by_quota);
    let endpoint = performed.as_ref().map_or("scripted", |answer| answer.endpoint);
    match (act.outcome, performed) {
        (Outcome::Reply(reply), _) => {
            settle(reply.status, refused, endpoint);
            Ok(reply.into_response(cut))
        }
        (Outcome::Real, Some(answer)) => {
            settle(answer.reply.status, refused, endpoint);
            Ok(answer.reply.into_response(cut))
        }
        (Outcome::Stall, _) => {
            settled(&state, number, 0, refused, endpoint);
            std::future::pending().await
        }
        (Outcome::Close | Outcome::Real, _) => {
            settled(&state, number, 0, refused, endpoint);
            Err(closed())
        }
    }
}

/// The real reply, with the chosen latency.
async fn perform(state: &State, asked: &Asked) -> Answer {
    let (least, most) = state.config.latency_ms;
    let latency = Duration::from_millis(fastrand::u64(least..=most.max(least)));
    let before = match state.config.count_at {
        CountAt::Arrival => Duration::ZERO,
        CountAt::Reply => latency,
        CountAt::Random => latency.mul_f64(fastrand::f64()),
    };
    pause(before).await;
    let answer = routes::answer(state, asked);
    pause(latency.saturating_sub(before)).await;
    answer
}

/// Does not sleep for 0, which the runtime would round up to a millisecond.
async fn pause(span: Duration) {
    if !span.is_zero() {
        tokio::time::sleep(span).await;
    }
}

fn settled(state: &State, number: u64, status: u16, refused: bool, endpoint: &str) {
    let entry = state.log.settled(number, status, refused, endpoint);
    if let (Some(entry), Some(observer)) = (entry, &state.observer) {
        observer(&entry);
    }
}

fn entry(asked: &Asked, at_ms: u64) -> LoggedRequest {
    let headers = asked.headers.iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    LoggedRequest {
        method: asked.method.to_string(),
        path: asked.path.clone(),
        query: asked.query.clone(),
        headers: headers.collect(),
        body: asked.body.clone(),
        status: 0,
        at_ms,
        refused_by_quota: false,
        endpoint: "other".to_owned(),
    }
}

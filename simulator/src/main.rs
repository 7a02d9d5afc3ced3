//! The simulator as a program: flags in, one line per request out.
#![allow(clippy::print_stdout, reason = "a program speaks on its standard output")]

mod flags;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use mde_simulator::{LoggedRequest, Simulator};

use flags::Flags;

fn report(request: &LoggedRequest) {
    let LoggedRequest { method, path, query, status, .. } = request;
    let (mark, query) = if query.is_empty() { ("", "") } else { ("?", query.as_str()) };
    let status = if *status == 0 { "-".to_owned() } else { status.to_string() };
    let note = if request.refused_by_quota { " (quota)" } else { "" };
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{status} {method} {path}{mark}{query}{note}");
    let _ = out.flush();
}

fn run(flags: Flags) -> io::Result<()> {
    // Installed before anything listens, so that a signal always ends the program in order.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (quiet, ca_out, port_file) = (flags.quiet, flags.ca_out.clone(), flags.port_file.clone());
    let ended = {
        let _inside = runtime.enter();
        signals()?
    };
    let sim = Simulator::start_observed(flags.into(), move |request| {
        if !quiet {
            report(request);
        }
    })?;
    if let (Some(file), Some(pem)) = (ca_out, sim.ca_pem()) {
        std::fs::write(file, pem)?;
    }
    let url = sim.origin();
    if let Some(file) = port_file {
        // Renamed into place, so that no reader sees half a number.
        let port = url.rsplit(':').next().unwrap_or_default();
        let draft = file.with_extension("tmp");
        std::fs::write(&draft, port)?;
        std::fs::rename(draft, file)?;
    }
    let mut out = io::stdout().lock();
    writeln!(out, "listening on {url}")?;
    out.flush()?;
    drop(out);
    runtime.block_on(ended);
    Ok(())
}

/// Ends with the first signal that asks the program to end.
#[cfg(unix)]
fn signals() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn signals() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

#[allow(clippy::print_stderr, reason = "errors of a program go to its standard error")]
fn main() -> ExitCode {
    match run(Flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("mde-simulator: {why}");
            ExitCode::FAILURE
        }
    }
}

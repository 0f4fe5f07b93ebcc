//! `vestibule serve`

use std::{convert::Infallible, future::pending, io, process::ExitCode, time::Duration};

use clap::Args;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use super::{ConfigFile, LogFormat, refuse, runtime, start_log_and};
use crate::{clock::Clock, config::Config, host::Host, http, telemetry::Traces};

const DAY: Duration = Duration::from_hours(24);

/// Serve requests until SIGTERM or SIGINT.
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigFile,
    /// How log lines look.
    #[arg(long, value_enum, default_value = "text", env = "VESTIBULE_LOG_FORMAT")]
    log_format: LogFormat,
}

impl Serve {
    pub(super) fn run(self) -> ExitCode {
        let config = match self.config.load() {
            Ok(config) => config,
            Err(error) => return refuse(error),
        };
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("error: the runtime cannot be started: {error}");
                return ExitCode::FAILURE;
            }
        };
        let traces = {
            let _within = runtime.enter();
            match Traces::start(&config.telemetry) {
                Ok(traces) => traces,
                Err(error) => return refuse(format_args!("[telemetry] otlp_endpoint: {error}")),
            }
        };
        start_log_and(self.log_format, "info", traces.as_ref());
        let status = runtime.block_on(serve(config, self.config));
        // The runtime is still there to send what is left.
        if let Some(traces) = traces {
            traces.finish();
        }
        status
    }
}

async fn serve(config: Config, file: ConfigFile) -> ExitCode {
    let (address, envoy) = (config.server.listen, config.server.envoy_listen);
    let admin = config.server.admin.as_ref().map(|admin| admin.listen);
    let host = match Host::start(config, Clock::System).await {
        Ok(host) => host,
        Err(error) => return refuse(error),
    };
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => {
            return refuse(format_args!(
                "cannot listen on {address}: {error}; set [server] listen"
            ));
        }
    };
    let envoy = match envoy {
        Some(address) => match TcpListener::bind(address).await {
            Ok(listener) => Some(listener),
            Err(error) => {
                return refuse(format_args!(
                    "cannot listen on {address}: {error}; set [server] envoy_listen"
                ));
            }
        },
        None => None,
    };
    let admin = match admin {
        Some(address) => match TcpListener::bind(address).await {
            Ok(listener) => Some(listener),
            Err(error) => {
                return refuse(format_args!(
                    "cannot listen on {address}: {error}; set [server] admin_listen"
                ));
            }
        },
        None => None,
    };
    // Before anybody learns that this process listens: a signal that comes
    // earlier than its handler kills.
    let stop = match listen_for_stop() {
        Ok(stop) => stop,
        Err(error) => return refuse(format_args!("signals cannot be received: {error}")),
    };
    if let Err(error) = change_while_running(&host, file) {
        return refuse(format_args!("signals cannot be received: {error}"));
    }
    let bound = listener.local_addr().unwrap_or(address);
    tracing::info!(address = %bound, "listening");
    let asked_by_envoy = async {
        match envoy {
            Some(listener) => http::serve_envoy(listener, host.clone()).await,
            None => pending().await,
        }
    };
    let asked_by_operators = async {
        match admin {
            Some(listener) => http::serve_admin(listener, host.clone()).await,
            None => pending().await,
        }
    };
    let pruned = prune_daily(&host);
    // Envoy is answered for as long as everybody else.
    let served = tokio::select! {
        served = http::serve(listener, host.clone(), stop) => served,
        never = asked_by_envoy => match never {},
        never = asked_by_operators => match never {},
        never = pruned => match never {},
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: serving failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Deletes what the audit need not keep, at the start and every day.
async fn prune_daily(host: &Host) -> Infallible {
    loop {
        match host.store().prune_audit().await {
            Ok(0) => {}
            Ok(entries) => tracing::info!(entries, "old entries of the audit are deleted"),
            Err(error) => tracing::warn!(%error, "old entries of the audit cannot be deleted"),
        }
        tokio::time::sleep(DAY).await;
    }
}

/// Has what is put into the plugins folder serve, and at SIGHUP the configuration as it
/// is then.
fn change_while_running(host: &Host, file: ConfigFile) -> io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let host = host.clone();
    #[expect(clippy::disallowed_methods, reason = "it is beside every request")]
    tokio::spawn(host.clone().watch());
    #[expect(clippy::disallowed_methods, reason = "it is beside every request")]
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            match file.load() {
                // How that ends is in the log.
                Ok(config) => drop(host.reload(config).await),
                Err(error) => host.refuse_configuration(&error).await,
            }
        }
    });
    Ok(())
}

/// Begins to listen for SIGTERM and SIGINT. What comes out is done at the first of
/// them; a second one ends the process at once.
fn listen_for_stop() -> io::Result<impl Future<Output = ()> + Send> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut next = async move || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(async move {
        next().await;
        #[expect(clippy::disallowed_methods, reason = "it must be heard while requests end")]
        tokio::spawn(async move {
            next().await;
            std::process::exit(1);
        });
    })
}

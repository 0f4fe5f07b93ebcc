//! `vestibule serve`

use std::{future::pending, io, process::ExitCode};

use clap::Args;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use super::{ConfigFile, LogFormat, refuse, runtime, start_log};
use crate::{clock::Clock, config::Config, host::Host, http};

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
        start_log(self.log_format, "info");
        let config = match self.config.load() {
            Ok(config) => config,
            Err(error) => return refuse(error),
        };
        match runtime() {
            Ok(runtime) => runtime.block_on(serve(config, self.config)),
            Err(error) => {
                eprintln!("error: the runtime cannot be started: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

async fn serve(config: Config, file: ConfigFile) -> ExitCode {
    let (address, envoy) = (config.server.listen, config.server.envoy_listen);
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
    // Envoy is answered for as long as everybody else.
    let served = tokio::select! {
        served = http::serve(listener, host.clone(), stop) => served,
        never = asked_by_envoy => match never {},
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: serving failed: {error}");
            ExitCode::FAILURE
        }
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

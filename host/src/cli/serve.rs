//! `vestibule serve`

use std::process::ExitCode;

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
            Ok(runtime) => runtime.block_on(serve(config)),
            Err(error) => {
                eprintln!("error: the runtime cannot be started: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

async fn serve(config: Config) -> ExitCode {
    let address = config.server.listen;
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
    let bound = listener.local_addr().unwrap_or(address);
    tracing::info!(address = %bound, "listening");
    match http::serve(listener, host, asked_to_stop()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: serving failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Done at the first SIGTERM or SIGINT; a second one ends the process at once.
#[expect(clippy::disallowed_methods, reason = "a second signal must be heard while requests end")]
async fn asked_to_stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be received, only SIGKILL will stop this process");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(1);
    });
}

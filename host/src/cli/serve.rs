//! `vestibule serve`

use std::{convert::Infallible, io, net::SocketAddr, process::ExitCode, time::Duration};

use clap::Args;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use super::{ConfigFile, LogFormat, refuse, runtime, start_log_and};
use crate::{
    clock::Clock,
    config::{self, Config},
    host::Host,
    http::{self, Listeners},
    telemetry::Traces,
};

const HOUR: Duration = Duration::from_hours(1);

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
    let wanted = config.server.clone();
    let host = match Host::start(config, Clock::System).await {
        Ok(host) => host,
        Err(error) => return refuse(error),
    };
    let listeners = match listen(&wanted).await {
        Ok(listeners) => listeners,
        Err(refused) => return refused,
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
    for (listener, whom) in [
        (Some(&listeners.everybody), ""),
        (listeners.envoy.as_ref(), " to Envoy"),
        (listeners.operators.as_ref(), " to operators"),
    ] {
        if let Some(Ok(address)) = listener.map(TcpListener::local_addr) {
            tracing::info!(%address, "listening{whom}");
        }
    }
    let pruned = prune_hourly(&host);
    let served = tokio::select! {
        served = http::serve(listeners, host.clone(), stop) => served,
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

/// Listens everywhere that the configuration names.
async fn listen(server: &config::Server) -> Result<Listeners, ExitCode> {
    let at = async |address: SocketAddr, setting: &str| {
        TcpListener::bind(address).await.map_err(|error| {
            refuse(format_args!("cannot listen on {address}: {error}; set [server] {setting}"))
        })
    };
    let mut listeners = Listeners::from(at(server.listen, "listen").await?);
    if let Some(address) = server.envoy_listen {
        listeners.envoy = Some(at(address, "envoy_listen").await?);
    }
    if let Some(admin) = &server.admin {
        listeners.operators = Some(at(admin.listen, "admin_listen").await?);
    }
    Ok(listeners)
}

/// Deletes what is over, at the start and every hour.
async fn prune_hourly(host: &Host) -> Infallible {
    loop {
        match host.store().prune().await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "what is over is deleted"),
            Err(error) => tracing::warn!(%error, "what is over cannot be deleted"),
        }
        tokio::time::sleep(HOUR).await;
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

//! The MCP servers that the owner of a sandbox works with.

use std::{collections::BTreeMap, fmt, time::Duration};

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use crate::Error;

/// An MCP server. Any part of it can hold a key, so none is shown.
#[derive(Clone)]
pub enum McpServer {
    /// Events sent by a server.
    Sse {
        /// Where it is.
        url: String,
        /// What to present there as a bearer token.
        api_key: Option<SecretString>,
    },
    /// HTTP in both directions.
    StreamableHttp {
        /// Where it is.
        url: String,
        /// What to present there as a bearer token.
        api_key: Option<SecretString>,
        /// How long a call may take.
        timeout: Option<Duration>,
    },
    /// A program that reads its standard input.
    Stdio {
        /// The program.
        command: String,
        /// Its arguments.
        args: Vec<String>,
        /// What is added to its environment.
        env: BTreeMap<String, SecretString>,
    },
}

impl fmt::Debug for McpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Sse { .. } => "Sse",
            Self::StreamableHttp { .. } => "StreamableHttp",
            Self::Stdio { .. } => "Stdio",
        };
        f.debug_struct(kind).finish_non_exhaustive()
    }
}

/// What an account says about its servers.
#[derive(Deserialize)]
pub(crate) struct Account {
    #[serde(default)]
    mcp_config: Value,
}

/// The three lists of servers; those by URL have no names.
#[derive(Deserialize)]
struct Lists {
    #[serde(rename = "sse_servers")]
    sse: Option<Vec<Remote>>,
    #[serde(rename = "shttp_servers")]
    shttp: Option<Vec<Remote>>,
    #[serde(rename = "stdio_servers")]
    stdio: Option<Vec<Local>>,
}

#[derive(Deserialize)]
struct Remote {
    url: String,
    api_key: Option<SecretString>,
    timeout: Option<f64>,
}

#[derive(Deserialize)]
struct Local {
    name: String,
    command: String,
    args: Option<Vec<String>>,
    env: Option<BTreeMap<String, SecretString>>,
}

impl Account {
    /// The servers by name; those without one are `sse_0`, `shttp_0` and so on.
    pub(crate) fn servers(self, path: &str) -> Result<BTreeMap<String, McpServer>, Error> {
        if !self.mcp_config.is_object() {
            return Ok(BTreeMap::new());
        }
        let bad =
            || Error::Answer { path: path.to_owned(), reason: "has an MCP server that is none" };
        let lists = Lists::deserialize(self.mcp_config).map_err(|_| bad())?;
        let mut servers = BTreeMap::new();
        for (index, server) in lists.sse.into_iter().flatten().enumerate() {
            let Remote { url, api_key, .. } = server;
            servers.insert(format!("sse_{index}"), McpServer::Sse { url, api_key });
        }
        for (index, server) in lists.shttp.into_iter().flatten().enumerate() {
            let Remote { url, api_key, timeout } = server;
            let timeout =
                timeout.map(Duration::try_from_secs_f64).transpose().map_err(|_| bad())?;
            let server = McpServer::StreamableHttp { url, api_key, timeout };
            servers.insert(format!("shttp_{index}"), server);
        }
        for Local { name, command, args, env } in lists.stdio.into_iter().flatten() {
            let (args, env) = (args.unwrap_or_default(), env.unwrap_or_default());
            servers.insert(name, McpServer::Stdio { command, args, env });
        }
        Ok(servers)
    }
}
